package cli_test

import (
	"crypto/rand"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/acm"
	acmtypes "github.com/aws/aws-sdk-go-v2/service/acm/types"
	"github.com/aws/aws-sdk-go-v2/service/route53"
	dns "github.com/aws/aws-sdk-go-v2/service/route53/types"
)

// createZone creates a public hosted zone, whether or not there is one of the name, and
// returns its id and its name servers.
func (s *shell) createZone(name string) (id string, servers []string) {
	s.t.Helper()
	made := done[*route53.CreateHostedZoneOutput](s.t)(route53.NewFromConfig(s.config()).CreateHostedZone(s.t.Context(), &route53.CreateHostedZoneInput{
		Name: &name, CallerReference: aws.String(rand.Text()),
	}))
	return strings.TrimPrefix(*made.HostedZone.Id, "/hostedzone/"), made.DelegationSet.NameServers
}

// hostedZone creates a public hosted zone, and returns its id.
func (s *shell) hostedZone(name string) string {
	s.t.Helper()
	id, _ := s.createZone(name)
	return id
}

// recordSets are all of the zone.
func (s *shell) recordSets(zone string) []dns.ResourceRecordSet {
	s.t.Helper()
	out := done[*route53.ListResourceRecordSetsOutput](s.t)(route53.NewFromConfig(s.config()).ListResourceRecordSets(s.t.Context(), &route53.ListResourceRecordSetsInput{HostedZoneId: &zone}))
	if out.IsTruncated {
		s.t.Fatalf("zone %s has more than one page of records", zone)
	}
	return out.ResourceRecordSets
}

// records are the names of the zone's records by their types, but for those that every zone has.
func (s *shell) records(zone string) map[string]string {
	s.t.Helper()
	all := map[string]string{}
	for _, r := range s.recordSets(zone) {
		if r.Type != dns.RRTypeNs && r.Type != dns.RRTypeSoa {
			all[string(r.Type)] = *r.Name
		}
	}
	return all
}

// noRecords fails if a record is in the zone, but for those that every zone has.
func (s *shell) noRecords(zone string) {
	s.t.Helper()
	if r := s.records(zone); len(r) > 0 {
		s.t.Errorf("destroy leaves %v in the zone", r)
	}
}

// record is a record of the zone.
func (s *shell) record(zone, kind, name string) dns.ResourceRecordSet {
	s.t.Helper()
	all := s.recordSets(zone)
	for _, r := range all {
		if string(r.Type) == kind && *r.Name == name {
			return r
		}
	}
	s.t.Fatalf("no %s record %s is among %+v", kind, name, all)
	return dns.ResourceRecordSet{}
}

// changeRecord creates, replaces or deletes a record by hand.
func (s *shell) changeRecord(zone string, action dns.ChangeAction, record dns.ResourceRecordSet) {
	s.t.Helper()
	done[*route53.ChangeResourceRecordSetsOutput](s.t)(route53.NewFromConfig(s.config()).ChangeResourceRecordSets(s.t.Context(), &route53.ChangeResourceRecordSetsInput{
		HostedZoneId: &zone, ChangeBatch: &dns.ChangeBatch{Changes: []dns.Change{{Action: action, ResourceRecordSet: &record}}},
	}))
}

// createRecord creates a record of one value by hand.
func (s *shell) createRecord(zone, kind, name, value string) {
	s.t.Helper()
	s.changeRecord(zone, dns.ChangeActionCreate, dns.ResourceRecordSet{
		Name: &name, Type: dns.RRType(kind), TTL: aws.Int64(60), ResourceRecords: []dns.ResourceRecord{{Value: &value}},
	})
}

// deleteRecord takes a record out of the zone.
func (s *shell) deleteRecord(zone, kind, name string) {
	s.t.Helper()
	s.changeRecord(zone, dns.ChangeActionDelete, s.record(zone, kind, name))
}

// formerBalancer is the name of a load balancer as AWS would have called one of the stack's:
// those of the local cloud are all localhost.
const formerBalancer = "dualstack.book-lb-1234567890.us-east-1.elb.amazonaws.com"

// leadToFormer has a domain lead to formerBalancer.
func (s *shell) leadToFormer(zone, domain string) {
	s.t.Helper()
	s.changeRecord(zone, dns.ChangeActionUpsert, dns.ResourceRecordSet{
		Name: &domain, Type: dns.RRTypeA, AliasTarget: &dns.AliasTarget{HostedZoneId: aws.String("Z35SXDOTRQ7X7K"), DNSName: aws.String(formerBalancer)},
	})
}

// requestCertificate requests a certificate by hand, and returns its ARN.
func (s *shell) requestCertificate(name string) string {
	s.t.Helper()
	return *done[*acm.RequestCertificateOutput](s.t)(acm.NewFromConfig(s.config()).RequestCertificate(s.t.Context(), &acm.RequestCertificateInput{
		DomainName: &name, ValidationMethod: acmtypes.ValidationMethodDns,
	})).CertificateArn
}

// proveDomain makes the record that ACM asks for, so that a certificate is issued, and
// returns its name.
func (s *shell) proveDomain(zone, certificate string) string {
	s.t.Helper()
	detail := done[*acm.DescribeCertificateOutput](s.t)(acm.NewFromConfig(s.config()).DescribeCertificate(s.t.Context(), &acm.DescribeCertificateInput{CertificateArn: &certificate}))
	proof := detail.Certificate.DomainValidationOptions[0].ResourceRecord
	s.createRecord(zone, string(proof.Type), *proof.Name, *proof.Value)
	return *proof.Name
}

// issuedCertificate requests a certificate by hand, proves its name in the zone, and returns its ARN.
func (s *shell) issuedCertificate(zone, name string) string {
	s.t.Helper()
	arn := s.requestCertificate(name)
	s.proveDomain(zone, arn)
	return arn
}

// certificates are those of some statuses; of all, if none is given.
func (s *shell) certificates(statuses ...acmtypes.CertificateStatus) []acmtypes.CertificateSummary {
	s.t.Helper()
	return done[*acm.ListCertificatesOutput](s.t)(acm.NewFromConfig(s.config()).ListCertificates(s.t.Context(), &acm.ListCertificatesInput{CertificateStatuses: statuses})).CertificateSummaryList
}
