package cli_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/google/go-cmp/cmp"
)

// TestAStackHasTheRangeThatItIsGiven makes one in the smallest VPC, and asks for another
// range of what is there.
func TestAStackHasTheRangeThatItIsGiven(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s, ctx := newShell(t), t.Context()
	h := s.byHand(t, nil)
	before := h.inventory()
	for cidr, why := range map[string]string{
		"10.0.0.0":          "give an IPv4 range",
		"fd00::/64":         "give an IPv4 range",
		"10.0.0.0/8":        "a VPC is /16 at most",
		"10.0.0.0/26":       "the four subnets of a stack need /25",
		"8.8.0.0/16":        "(RFC 1918)",
		"172.32.0.0/16":     "(RFC 1918)",
		"192.169.0.0/16":    "(RFC 1918)",
		"100.64.0.0/16":     "(RFC 1918)",
		"192.168.255.0/255": "give an IPv4 range",
	} {
		s.run("up", "--local", "--cidr", cidr).says(t, 64, why, "choose with --cidr")
	}
	// Two subnets of 32 addresses, of which AWS keeps 5 and a load balancer needs 8.
	s.run("up", "--local", "--cidr", "172.31.255.128/25", "--count", "38").says(t, 64, "addresses for 38 tasks", "choose with --cidr and --count")
	h.same("what is refused left something", before)

	r := s.run(append([]string{"plan", "--local", "--cidr", "192.168.255.200/25"}, imageless()[1:]...)...)
	for _, want := range []string{
		"vpc                         create: 192.168.255.128/25", "subnet-public-a             create: 192.168.255.128/27 in us-east-1a", "subnet-private-b            create: 192.168.255.224/27 in us-east-1b",
	} {
		if r.code != 2 || !strings.Contains(r.out, want) {
			t.Errorf("plan does not say %q: %d\n%s%s", want, r.code, r.out, r.err)
		}
	}
	// It is made canonical, as EC2 does.
	s.up(append([]string{"--cidr", "192.168.255.200/25"}, imageless()...)...)
	network := ec2.NewFromConfig(h.Config)
	own := []ec2types.Filter{{Name: aws.String("tag:bookctl:stack"), Values: []string{"book"}}}
	ranges := func() []string {
		t.Helper()
		vpcs := done[*ec2.DescribeVpcsOutput](t)(network.DescribeVpcs(ctx, &ec2.DescribeVpcsInput{Filters: own}))
		out := []string{*vpcs.Vpcs[0].CidrBlock}
		for _, subnet := range done[*ec2.DescribeSubnetsOutput](t)(network.DescribeSubnets(ctx, &ec2.DescribeSubnetsInput{Filters: own})).Subnets {
			out = append(out, *subnet.CidrBlock)
		}
		slices.Sort(out)
		return out
	}
	want := []string{"192.168.255.128/25", "192.168.255.128/27", "192.168.255.160/27", "192.168.255.192/27", "192.168.255.224/27"}
	if diff := cmp.Diff(want, ranges()); diff != "" {
		t.Errorf("the ranges differ (-want +got):\n%s", diff)
	}
	s.run("up", "--local", "--wait=false").says(t, 0, "0 changed")
	s.run("up", "--local", "--wait=false", "--cidr", "192.168.255.129/25").says(t, 0, "0 changed")
	made := h.backedUp()
	for _, command := range []string{"plan", "up"} {
		s.run(command, "--local", "--cidr", "10.0.0.0/16").says(t, 1, "the VPC of this stack is 192.168.255.128/25", "10.0.0.0/16 requires replacement", "leave --cidr out", "up --local --cidr 10.0.0.0/16 --restore latest")
	}
	h.same("another range was refused", made)
	s.run("destroy", "--local", "--yes", "--purge-snapshots").says(t, 0)
	h.same("after destroy", before)
}

// TestAVPCThatIsAllThereIsKeepsItsRange finds the VPC of a run that was cut off.
func TestAVPCThatIsAllThereIsKeepsItsRange(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	h := s.byHand(t, map[string]any{"deny": []string{"ec2:CreateSubnet"}})
	first := append([]string{"up", "--local", "--wait=false", "--cidr", "10.99.0.0/20"}, imageless()...)
	s.run(first...).says(t, 4, "ec2:CreateSubnet")
	h.faults(map[string]any{})
	s.run(append([]string{"up", "--local", "--wait=false"}, imageless()...)...).says(t, 1, "the range of a VPC is fixed", "keep it with --cidr 10.99.0.0/20")
	s.run(first...).says(t, 0)
	s.run("up", "--local", "--wait=false").says(t, 0, "0 changed")
}
