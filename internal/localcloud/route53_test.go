package localcloud_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/route53"
	"github.com/aws/aws-sdk-go-v2/service/route53/types"

	"github.com/bookctl/bookctl/internal/localcloud"
)

func TestACNAMEExcludesOtherRecords(t *testing.T) {
	t.Parallel()
	client := route53.NewFromConfig(once(openCloud(t, localcloud.Config{})))
	zone := must[*route53.CreateHostedZoneOutput](t)(client.CreateHostedZone(t.Context(), &route53.CreateHostedZoneInput{Name: aws.String("example.com"), CallerReference: aws.String("1")}))
	create := func(name string, kind types.RRType, value string) error {
		_, err := client.ChangeResourceRecordSets(t.Context(), &route53.ChangeResourceRecordSetsInput{HostedZoneId: zone.HostedZone.Id, ChangeBatch: &types.ChangeBatch{Changes: []types.Change{{
			Action: types.ChangeActionCreate, ResourceRecordSet: &types.ResourceRecordSet{Name: &name, Type: kind, TTL: aws.Int64(60), ResourceRecords: []types.ResourceRecord{{Value: &value}}},
		}}}})
		return err
	}
	for _, r := range []struct {
		name string
		kind types.RRType
	}{{"a.example.com", types.RRTypeA}, {"b.example.com", types.RRTypeCname}} {
		if err := create(r.name, r.kind, "192.0.2.1"); err != nil {
			t.Fatal(err)
		}
	}
	refused(t, create("a.example.com", types.RRTypeA, "192.0.2.1"), "InvalidChangeBatch", "[Tried to create resource record set [name='a.example.com.', type='A'] but it already exists]")
	refused(t, create("a.example.com", types.RRTypeCname, "c.example.com"), "InvalidChangeBatch",
		"[RRSet of type CNAME with DNS name a.example.com. is not permitted as it conflicts with other records with the same DNS name in zone example.com.]")
	refused(t, create("b.example.com", types.RRTypeA, "192.0.2.1"), "InvalidChangeBatch",
		"[RRSet of type A with DNS name b.example.com. is not permitted because a conflicting RRSet of type CNAME with the same DNS name already exists in zone example.com.]")
}
