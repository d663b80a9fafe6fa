package localcloud_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/acm"
	acmtypes "github.com/aws/aws-sdk-go-v2/service/acm/types"
	"github.com/aws/aws-sdk-go-v2/service/resourcegroupstaggingapi"
	tagtypes "github.com/aws/aws-sdk-go-v2/service/resourcegroupstaggingapi/types"
	"github.com/aws/aws-sdk-go-v2/service/route53"
	"github.com/aws/aws-sdk-go-v2/service/route53/types"

	"github.com/bookctl/bookctl/internal/localcloud"
)

// dns is a cloud with a hosted zone.
type dns struct {
	*route53.Client
	t    *testing.T
	zone *string
}

func newDNS(t *testing.T, c *localcloud.Cloud) dns {
	t.Helper()
	client := route53.NewFromConfig(once(c))
	out, err := client.CreateHostedZone(t.Context(), &route53.CreateHostedZoneInput{Name: aws.String("Example.com"), CallerReference: aws.String("1")})
	if err != nil {
		t.Fatal(err)
	}
	return dns{client, t, out.HostedZone.Id}
}

// change makes one change of a record, and returns the error's code and message.
func (d dns) change(action types.ChangeAction, name string, kind types.RRType, value string) error {
	d.t.Helper()
	_, err := d.ChangeResourceRecordSets(d.t.Context(), &route53.ChangeResourceRecordSetsInput{
		HostedZoneId: d.zone,
		ChangeBatch: &types.ChangeBatch{Changes: []types.Change{{Action: action, ResourceRecordSet: &types.ResourceRecordSet{
			Name: &name, Type: kind, TTL: aws.Int64(60), ResourceRecords: []types.ResourceRecord{{Value: &value}},
		}}}},
	})
	return err
}

func TestACertificateIsIssuedOnceItsRecordIsInTheZone(t *testing.T) {
	t.Parallel()
	c := openCloud(t, localcloud.Config{})
	d, certificates := newDNS(t, c), acm.NewFromConfig(once(c))
	asked, err := certificates.RequestCertificate(t.Context(), &acm.RequestCertificateInput{
		DomainName: aws.String("api.example.com"), ValidationMethod: acmtypes.ValidationMethodDns,
		Tags: []acmtypes.Tag{{Key: aws.String("k"), Value: aws.String("v")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	look := func() *acmtypes.CertificateDetail {
		t.Helper()
		out, err := certificates.DescribeCertificate(t.Context(), &acm.DescribeCertificateInput{CertificateArn: asked.CertificateArn})
		if err != nil {
			t.Fatal(err)
		}
		return out.Certificate
	}
	before := look()
	if before.Status != acmtypes.CertificateStatusPendingValidation {
		t.Errorf("before its record is there the certificate is %s", before.Status)
	}
	record := before.DomainValidationOptions[0].ResourceRecord
	if err := d.change(types.ChangeActionUpsert, *record.Name, types.RRTypeCname, "elsewhere.example.com."); err != nil {
		t.Fatal(err)
	}
	if got := look().Status; got != acmtypes.CertificateStatusPendingValidation {
		t.Errorf("with a wrong record the certificate is %s", got)
	}
	if err := d.change(types.ChangeActionUpsert, *record.Name, types.RRTypeCname, *record.Value); err != nil {
		t.Fatal(err)
	}
	if after := look(); after.Status != acmtypes.CertificateStatusIssued || after.NotAfter == nil {
		t.Errorf("with its record the certificate is %s until %v", after.Status, after.NotAfter)
	}
	listed, err := certificates.ListCertificates(t.Context(), &acm.ListCertificatesInput{CertificateStatuses: []acmtypes.CertificateStatus{acmtypes.CertificateStatusIssued}})
	if err != nil || len(listed.CertificateSummaryList) != 1 {
		t.Errorf("issued certificates: %v, %v", listed, err)
	}
	if _, err := certificates.DeleteCertificate(t.Context(), &acm.DeleteCertificateInput{CertificateArn: asked.CertificateArn}); err != nil {
		t.Error(err)
	}
	_, err = certificates.DescribeCertificate(t.Context(), &acm.DescribeCertificateInput{CertificateArn: asked.CertificateArn})
	if got := code(err); got != "ResourceNotFoundException" {
		t.Errorf("the deleted certificate: %q", got)
	}
}

// TestCertificatesAreListedByTheirKeys asks for certificates as somebody does who
// does not know that ACM leaves some out.
func TestCertificatesAreListedByTheirKeys(t *testing.T) {
	t.Parallel()
	certificates := acm.NewFromConfig(once(openCloud(t, localcloud.Config{})))
	for _, key := range []acmtypes.KeyAlgorithm{"", acmtypes.KeyAlgorithmEcPrime256v1} {
		_, err := certificates.RequestCertificate(t.Context(), &acm.RequestCertificateInput{
			DomainName: aws.String("api.example.com"), ValidationMethod: acmtypes.ValidationMethodDns, KeyAlgorithm: key,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for want, includes := range map[int]*acmtypes.Filters{1: nil, 2: {KeyTypes: acmtypes.KeyAlgorithm("").Values()}} {
		out, err := certificates.ListCertificates(t.Context(), &acm.ListCertificatesInput{Includes: includes})
		if err != nil || len(out.CertificateSummaryList) != want {
			t.Errorf("with %+v, %d certificates are listed instead of %d: %v", includes, len(out.CertificateSummaryList), want, err)
		}
	}
}

func TestRecordsAreChangedAsRoute53Allows(t *testing.T) {
	t.Parallel()
	d := newDNS(t, openCloud(t, localcloud.Config{}))
	for _, tc := range []struct {
		action      types.ChangeAction
		name        string
		kind        types.RRType
		value, want string // of the error; "" for none
	}{
		{types.ChangeActionCreate, "a.example.com", types.RRTypeA, "10.0.0.1", ""},
		{types.ChangeActionCreate, "a.example.com.", types.RRTypeA, "10.0.0.2", "already exists"},
		{types.ChangeActionUpsert, "A.example.com", types.RRTypeA, "10.0.0.3", ""},
		{types.ChangeActionCreate, "a.example.com", types.RRTypeCname, "b.example.com", "conflicts"},
		{types.ChangeActionCreate, "a.example.org", types.RRTypeA, "10.0.0.1", "not permitted in zone example.com."},
		{types.ChangeActionDelete, "a.example.com", types.RRTypeA, "10.0.0.1", "do not match the current values"},
		{types.ChangeActionDelete, "b.example.com", types.RRTypeA, "10.0.0.1", "not found"},
		{types.ChangeActionDelete, "example.com", types.RRTypeSoa, "x", "exactly one SOA"},
	} {
		err := d.change(tc.action, tc.name, tc.kind, tc.value)
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s %s %s: %v; want %q", tc.action, tc.name, tc.value, err, tc.want)
		}
	}
	if _, err := d.DeleteHostedZone(t.Context(), &route53.DeleteHostedZoneInput{Id: d.zone}); code(err) != "HostedZoneNotEmpty" {
		t.Errorf("deletion of a zone in use: %v", err)
	}
	sets, err := d.ListResourceRecordSets(t.Context(), &route53.ListResourceRecordSetsInput{HostedZoneId: d.zone})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range sets.ResourceRecordSets {
		names = append(names, aws.ToString(s.Name)+" "+string(s.Type))
	}
	if got := strings.Join(names, ", "); got != "example.com. NS, example.com. SOA, a.example.com. A" {
		t.Errorf("the zone has %s", got)
	}
	if err := d.change(types.ChangeActionDelete, "a.example.com", types.RRTypeA, "10.0.0.3"); err != nil {
		t.Error(err)
	}
	if _, err := d.DeleteHostedZone(t.Context(), &route53.DeleteHostedZoneInput{Id: d.zone}); err != nil {
		t.Error(err)
	}
}

func TestTheTaggingAPIListsByTagAndType(t *testing.T) {
	t.Parallel()
	c := openCloud(t, localcloud.Config{})
	certificates, tags := acm.NewFromConfig(once(c)), resourcegroupstaggingapi.NewFromConfig(once(c))
	var last *string
	for _, stack := range []string{"a", "a", "b"} {
		out, err := certificates.RequestCertificate(t.Context(), &acm.RequestCertificateInput{
			DomainName: aws.String("api.example.com"), ValidationMethod: acmtypes.ValidationMethodDns,
			Tags: []acmtypes.Tag{{Key: aws.String("stack"), Value: &stack}},
		})
		if err != nil {
			t.Fatal(err)
		}
		last = out.CertificateArn
	}
	count := func(in *resourcegroupstaggingapi.GetResourcesInput) int {
		t.Helper()
		n := 0
		pages := resourcegroupstaggingapi.NewGetResourcesPaginator(tags, in)
		for pages.HasMorePages() {
			page, err := pages.NextPage(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			n += len(page.ResourceTagMappingList)
		}
		return n
	}
	filter := func(values ...string) []tagtypes.TagFilter {
		return []tagtypes.TagFilter{{Key: aws.String("stack"), Values: values}}
	}
	for _, tc := range []struct {
		in   *resourcegroupstaggingapi.GetResourcesInput
		want int
	}{
		{&resourcegroupstaggingapi.GetResourcesInput{}, 3},
		{&resourcegroupstaggingapi.GetResourcesInput{ResourcesPerPage: aws.Int32(1)}, 3},
		{&resourcegroupstaggingapi.GetResourcesInput{TagFilters: filter("a")}, 2},
		{&resourcegroupstaggingapi.GetResourcesInput{TagFilters: filter("a", "b")}, 3},
		{&resourcegroupstaggingapi.GetResourcesInput{TagFilters: filter("c")}, 0},
		{&resourcegroupstaggingapi.GetResourcesInput{TagFilters: filter(), ResourceTypeFilters: []string{"acm:certificate"}}, 3},
		{&resourcegroupstaggingapi.GetResourcesInput{ResourceTypeFilters: []string{"ec2"}}, 0},
	} {
		if got := count(tc.in); got != tc.want {
			t.Errorf("%+v finds %d, want %d", tc.in, got, tc.want)
		}
	}
	c.SetFaults(localcloud.Faults{StaleTags: true})
	for _, arn := range []*string{last} {
		if _, err := certificates.AddTagsToCertificate(t.Context(), &acm.AddTagsToCertificateInput{CertificateArn: arn, Tags: []acmtypes.Tag{{Key: aws.String("x")}}}); err != nil {
			t.Fatal(err)
		}
		if _, err := certificates.DeleteCertificate(t.Context(), &acm.DeleteCertificateInput{CertificateArn: arn}); err != nil {
			t.Fatal(err)
		}
	}
	if got := count(&resourcegroupstaggingapi.GetResourcesInput{TagFilters: filter("b")}); got != 1 {
		t.Errorf("with stale tags the deleted certificate is listed %d times", got)
	}
	c.SetFaults(localcloud.Faults{TagGaps: true})
	if got := count(&resourcegroupstaggingapi.GetResourcesInput{}); got != 1 {
		t.Errorf("with gaps %d of 2 are listed", got)
	}
}

// TestACertificateIsIssuedByTheZoneThatTheWorldAsks has the record in zones that nobody asks: in
// the second of a name, and in one that delegates the name to others.
func TestACertificateIsIssuedByTheZoneThatTheWorldAsks(t *testing.T) {
	t.Parallel()
	c := openCloud(t, localcloud.Config{})
	d, certificates := newDNS(t, c), acm.NewFromConfig(once(c))
	zone := func(name, reference string) (dns, []string) {
		t.Helper()
		out := must[*route53.CreateHostedZoneOutput](t)(d.CreateHostedZone(t.Context(), &route53.CreateHostedZoneInput{Name: &name, CallerReference: &reference}))
		return dns{d.Client, t, out.HostedZone.Id}, out.DelegationSet.NameServers
	}
	issued := func(domain string, in dns) bool {
		t.Helper()
		asked := must[*acm.RequestCertificateOutput](t)(certificates.RequestCertificate(t.Context(), &acm.RequestCertificateInput{DomainName: &domain, ValidationMethod: acmtypes.ValidationMethodDns}))
		look := func() *acmtypes.CertificateDetail {
			return must[*acm.DescribeCertificateOutput](t)(certificates.DescribeCertificate(t.Context(), &acm.DescribeCertificateInput{CertificateArn: asked.CertificateArn})).Certificate
		}
		record := look().DomainValidationOptions[0].ResourceRecord
		if err := in.change(types.ChangeActionUpsert, *record.Name, types.RRTypeCname, *record.Value); err != nil {
			t.Fatal(err)
		}
		return look().Status == acmtypes.CertificateStatusIssued
	}
	twin, servers := zone("example.com", "2")
	first := must[*route53.GetHostedZoneOutput](t)(d.GetHostedZone(t.Context(), &route53.GetHostedZoneInput{Id: d.zone})).DelegationSet.NameServers
	if len(servers) != 4 || servers[0] == first[0] {
		t.Errorf("two zones have the name servers %v and %v", first, servers)
	}
	if issued("api.example.com", twin) {
		t.Error("the second zone of the name is asked")
	}
	if !issued("api.example.com", d) {
		t.Error("the first zone of the name is not asked")
	}
	if err := d.change(types.ChangeActionCreate, "dev.example.com", types.RRTypeNs, "ns.elsewhere.test."); err != nil {
		t.Fatal(err)
	}
	if issued("api.dev.example.com", d) {
		t.Error("a zone is asked for a name that it delegates")
	}
	dev, servers := zone("dev.example.com", "3")
	if issued("api.dev.example.com", dev) {
		t.Error("a zone is asked that nothing delegates to")
	}
	if err := d.change(types.ChangeActionUpsert, "dev.example.com", types.RRTypeNs, servers[0]); err != nil {
		t.Fatal(err)
	}
	if !issued("api.dev.example.com", dev) {
		t.Error("a zone is not asked that its parent delegates to")
	}
}

// TestATokenStandsForItsCertificateForAnHour repeats a request, also when what it made is deleted.
func TestATokenStandsForItsCertificateForAnHour(t *testing.T) {
	t.Parallel()
	certificates := acm.NewFromConfig(once(openCloud(t, localcloud.Config{})))
	request := func(domain, token string) string {
		t.Helper()
		return *must[*acm.RequestCertificateOutput](t)(certificates.RequestCertificate(t.Context(), &acm.RequestCertificateInput{
			DomainName: &domain, ValidationMethod: acmtypes.ValidationMethodDns, IdempotencyToken: &token,
		})).CertificateArn
	}
	first := request("api.example.com", "one")
	if again := request("api.example.com", "one"); again != first {
		t.Errorf("a repeated request made %s besides %s", again, first)
	}
	if other := request("www.example.com", "one"); other == first {
		t.Error("a request for another domain is taken for the first")
	}
	if _, err := certificates.DeleteCertificate(t.Context(), &acm.DeleteCertificateInput{CertificateArn: &first}); err != nil {
		t.Fatal(err)
	}
	if again := request("api.example.com", "one"); again != first {
		t.Errorf("the token of a deleted certificate %s made %s", first, again)
	}
	if again := request("api.example.com", "two"); again == first {
		t.Error("another token is taken for the first")
	}
}
