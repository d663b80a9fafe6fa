package preflight

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
)

// TestZonesWithoutFargateAreLeftOut asks an EC2 that lists all zones, also of those
// kinds which were not asked for.
func TestZonesWithoutFargateAreLeftOut(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		region string
		zones  string // name=id, and =kind where it is no availability zone
		want   []string
		err    string
	}{
		"all are served":      {"us-east-1", "us-east-1a=use1-az1 us-east-1b=use1-az3", []string{"us-east-1a", "us-east-1b"}, ""},
		"Northern California": {"us-west-1", "us-west-1a=usw1-az2 us-west-1b=usw1-az1 us-west-1c=usw1-az3", []string{"us-west-1b", "us-west-1c"}, ""},
		"Tokyo":               {"ap-northeast-1", "ap-northeast-1a=apne1-az4 ap-northeast-1b=apne1-az3 ap-northeast-1d=apne1-az2", []string{"ap-northeast-1a", "ap-northeast-1d"}, ""},
		"too few":             {"us-west-1", "us-west-1a=usw1-az2 us-west-1b=usw1-az1", nil, "does not serve us-west-1a (usw1-az2)"},
		"a Local Zone":        {"us-west-2", "us-west-2a=usw2-az1 us-west-2-lax-1a=usw2-lax1-az1=local-zone us-west-2b=usw2-az2", []string{"us-west-2a", "us-west-2b"}, ""},
		"no ids":              {"us-west-1", "us-west-1a= us-west-1b=", []string{"us-west-1a", "us-west-1b"}, ""},
	} {
		var items strings.Builder
		for _, z := range strings.Fields(c.zones) {
			parts := append(strings.Split(z, "="), "availability-zone")
			id := ""
			if parts[1] != "" {
				id = "<zoneId>" + parts[1] + "</zoneId>"
			}
			items.WriteString("<item><zoneName>" + parts[0] + "</zoneName><zoneState>available</zoneState><zoneType>" + parts[2] + "</zoneType>" + id + "</item>")
		}
		client := ec2.NewFromConfig(answering(func(*http.Request, string) (int, string) {
			return http.StatusOK, "<DescribeAvailabilityZonesResponse><availabilityZoneInfo>" + items.String() + "</availabilityZoneInfo></DescribeAvailabilityZonesResponse>"
		}).config())
		got, err := openZones(t.Context(), client, c.region)
		if !slices.Equal(got, c.want) || c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}
