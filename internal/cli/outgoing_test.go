package cli_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// TestTasksConnectToThePortsThatTheUserSays opens and closes ports for what tasks send,
// and changes them by hand.
func TestTasksConnectToThePortsThatTheUserSays(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s, ctx := newShell(t), t.Context()
	image := anyImage(t, func(f *v1.ConfigFile) { f.Config.ExposedPorts = map[string]struct{}{"3000": {}} })
	s.must("local", "start")
	before := s.inventory()
	for ports, why := range map[string]string{
		"smtp":    `"smtp" is neither a port nor a range`,
		"0":       "ports are from 1 to 65535",
		"8100-80": "a range has the lower one first",
		"65536":   "ports are from 1 to 65535",
		"-1":      "neither a port nor a range",
	} {
		s.run("up", "--local", "--no-database", "--image", image, "--outgoing-ports="+ports).says(t, 64, why, "choose with --outgoing-ports")
	}
	network := ec2.NewFromConfig(s.config())
	group := func() ec2types.SecurityGroup {
		t.Helper()
		return done[*ec2.DescribeSecurityGroupsOutput](t)(network.DescribeSecurityGroups(ctx, &ec2.DescribeSecurityGroupsInput{Filters: []ec2types.Filter{
			{Name: aws.String("tag:bookctl:resource"), Values: []string{"sg-task"}},
		}})).SecurityGroups[0]
	}
	outgoing := func() []string {
		t.Helper()
		var out []string
		for _, p := range group().IpPermissionsEgress {
			for _, r := range p.IpRanges {
				out = append(out, fmt.Sprintf("%s %d-%d %s", *p.IpProtocol, aws.ToInt32(p.FromPort), aws.ToInt32(p.ToPort), *r.CidrIp))
			}
		}
		slices.Sort(out)
		return out
	}
	recorded := func() string {
		t.Helper()
		var plan struct {
			Settings []struct {
				Name string
				Now  any
			}
		}
		r := s.run("plan", "--local", "--output", "json")
		if err := json.Unmarshal([]byte(r.out), &plan); err != nil || r.code != 0 {
			t.Fatalf("plan: exit code %d, %v\n%s%s", r.code, err, r.out, r.err)
		}
		for _, x := range plan.Settings {
			if x.Name == "outgoingPorts" {
				return fmt.Sprint(x.Now)
			}
		}
		t.Fatal("the plan has no outgoingPorts")
		return ""
	}

	// What touches becomes one range, and 443 is open anyway.
	s.up("--no-database", "--image", image, "--health-path", "/up", "--outgoing-ports", "8051-8100, 587,8000-8050 ,443,6379")
	some := []string{"tcp 443-443 0.0.0.0/0", "tcp 587-587 0.0.0.0/0", "tcp 6379-6379 0.0.0.0/0", "tcp 8000-8100 0.0.0.0/0"}
	if diff := cmp.Diff(some, outgoing()); diff != "" {
		t.Errorf("what tasks connect to (-want +got):\n%s", diff)
	}
	if got, want := recorded(), "443,587,6379,8000-8100"; got != want {
		t.Errorf("the ports are kept as %q, want %q", got, want)
	}
	s.run("up", "--local").says(t, 0, "0 changed")
	s.run("up", "--local", "--outgoing-ports", "6379,8000-8100,443,587").says(t, 0, "0 changed")

	// A port that somebody closed is opened again, and one that somebody opened is closed.
	rule := func(port int32) []ec2types.IpPermission {
		return []ec2types.IpPermission{{IpProtocol: aws.String("tcp"), FromPort: &port, ToPort: &port, IpRanges: []ec2types.IpRange{{CidrIp: aws.String("0.0.0.0/0")}}}}
	}
	done[*ec2.RevokeSecurityGroupEgressOutput](t)(network.RevokeSecurityGroupEgress(ctx, &ec2.RevokeSecurityGroupEgressInput{GroupId: group().GroupId, IpPermissions: rule(587)}))
	done[*ec2.AuthorizeSecurityGroupEgressOutput](t)(network.AuthorizeSecurityGroupEgress(ctx, &ec2.AuthorizeSecurityGroupEgressInput{GroupId: group().GroupId, IpPermissions: rule(25)}))
	s.run("plan", "--local").shows(t, 2, "tcp 587 to 0.0.0.0/0", "tcp 25 to 0.0.0.0/0")
	s.must("up", "--local")
	if diff := cmp.Diff(some, outgoing()); diff != "" {
		t.Errorf("after changes by hand (-want +got):\n%s", diff)
	}

	for _, c := range []struct {
		said, kept string
		rules      []string
	}{
		{"all", "all", []string{"-1 0-0 0.0.0.0/0"}},
		{"25", "25", []string{"tcp 25-25 0.0.0.0/0", "tcp 443-443 0.0.0.0/0"}},
		{"none", "", []string{"tcp 443-443 0.0.0.0/0"}},
	} {
		s.must("up", "--local", "--outgoing-ports", c.said)
		if diff := cmp.Diff(c.rules, outgoing()); diff != "" {
			t.Errorf("--outgoing-ports %s (-want +got):\n%s", c.said, diff)
		}
		if got := recorded(); got != c.kept {
			t.Errorf("--outgoing-ports %s is kept as %q", c.said, got)
		}
		s.run("up", "--local").says(t, 0, "0 changed")
	}
	s.must("destroy", "--local", "--yes")
	if diff := cmp.Diff(before, s.inventory()); diff != "" {
		t.Errorf("destroy left (-before +after):\n%s", diff)
	}
}
