package provision

import (
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/acm"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/route53"
	"github.com/aws/aws-sdk-go-v2/service/route53/types"
)

// TestAZoneThatMayNotBeReadIsPassedOver has two zones of a name, of which a policy allows one, as
// that for a hosted zone does: a destroy deletes the record from that, and fails where the record
// may be in the other.
func TestAZoneThatMayNotBeReadIsPassedOver(t *testing.T) {
	t.Parallel()
	for _, there := range []bool{true, false} {
		deleted := ""
		config := stub(func(r *http.Request, body string) (int, string) {
			switch {
			case strings.Contains(r.Header.Get("X-Amz-Target"), "ListCertificates"):
				return http.StatusOK, `{"CertificateSummaryList":[]}`
			case strings.Contains(body, "DescribeRegions"):
				return http.StatusOK, `<DescribeRegionsResponse><regionInfo><item><regionName>us-east-1</regionName></item></regionInfo></DescribeRegionsResponse>`
			case strings.HasSuffix(r.URL.Path, "/hostedzonesbyname"):
				zones := ""
				if r.URL.Query().Get("dnsname") == "example.com" {
					for _, id := range []string{"Z1", "Z2"} {
						zones += `<HostedZone><Id>/hostedzone/` + id + `</Id><Name>example.com.</Name><CallerReference>` + id + `</CallerReference></HostedZone>`
					}
				}
				return http.StatusOK, `<ListHostedZonesByNameResponse><HostedZones>` + zones + `</HostedZones><IsTruncated>false</IsTruncated><MaxItems>100</MaxItems></ListHostedZonesByNameResponse>`
			case strings.Contains(r.URL.Path, "/Z1/"):
				return http.StatusForbidden, `<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>not Z1</Message></Error></ErrorResponse>`
			case r.Method == http.MethodPost:
				deleted = body
				return http.StatusOK, `<ChangeResourceRecordSetsResponse><ChangeInfo><Id>/change/C1</Id><Status>INSYNC</Status><SubmittedAt>2026-01-01T00:00:00Z</SubmittedAt></ChangeInfo></ChangeResourceRecordSetsResponse>`
			}
			records := ""
			if there {
				records = `<ResourceRecordSet><Name>_x.api.example.com.</Name><Type>CNAME</Type><TTL>300</TTL><ResourceRecords><ResourceRecord><Value>_y.acm-validations.aws.</Value></ResourceRecord></ResourceRecords></ResourceRecordSet>`
			}
			return http.StatusOK, `<ListResourceRecordSetsResponse><ResourceRecordSets>` + records + `</ResourceRecordSets><IsTruncated>false</IsTruncated><MaxItems>1</MaxItems></ListResourceRecordSetsResponse>`
		}).config()
		zone := &hostedZone{client: route53.NewFromConfig(config), domain: "api.example.com", everywhere: true}
		c := newCertificate(identity{stack: "book", region: "us-east-1"}, acm.NewFromConfig(config), ec2.NewFromConfig(config), zone, "api.example.com")
		err := c.deleteRecord(t.Context(), &types.ResourceRecordSet{
			Name: aws.String("_x.api.example.com."), Type: types.RRTypeCname, ResourceRecords: []types.ResourceRecord{{Value: aws.String("_y.acm-validations.aws.")}},
		})
		if there && (err != nil || !strings.Contains(deleted, "<Action>DELETE</Action>")) {
			t.Errorf("the record is in the other zone: %v, deleted: %q", err, deleted)
		}
		if _, denied := Denied(err); !there && (!denied || deleted != "") {
			t.Errorf("the record may be in the zone that may not be read: %v, deleted: %q", err, deleted)
		}
	}
}
