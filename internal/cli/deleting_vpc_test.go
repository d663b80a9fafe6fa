package cli_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// TestAVPCThatIsBeingDeletedIsNotUsed has VPCs with the tags of a stack that EC2 still lists as
// "deleting": before there is a stack, alongside its VPC, and after it was destroyed.
func TestAVPCThatIsBeingDeletedIsNotUsed(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s, ctx := newShell(t), t.Context()
	h := s.byHand(t, map[string]any{"vpcSeconds": 86400})
	network := ec2.NewFromConfig(h.Config)
	deleting := func(resource string) string {
		t.Helper()
		id := done[*ec2.CreateVpcOutput](t)(network.CreateVpc(ctx, &ec2.CreateVpcInput{CidrBlock: aws.String("10.0.0.0/16"), TagSpecifications: []ec2types.TagSpecification{{
			ResourceType: ec2types.ResourceTypeVpc, Tags: []ec2types.Tag{{Key: aws.String("bookctl:stack"), Value: aws.String("book")}, {Key: aws.String("bookctl:resource"), Value: &resource}},
		}}})).Vpc.VpcId
		h.must(ok(network.DeleteVpc(ctx, &ec2.DeleteVpcInput{VpcId: id})))
		if left := done[*ec2.DescribeVpcsOutput](t)(network.DescribeVpcs(ctx, &ec2.DescribeVpcsInput{VpcIds: []string{*id}})).Vpcs; len(left) != 1 || left[0].State != ec2types.VpcStateDeleting {
			t.Fatalf("what was deleted is %v", left)
		}
		return *id
	}
	listed := func(when string) {
		t.Helper()
		if r := s.run("list", "--local", "--output", "json"); r.code != 0 || strings.Contains(r.out, `"book"`) {
			t.Errorf("%s list has it: %d\n%s%s", when, r.code, r.out, r.err)
		}
	}
	before := h.inventory()
	first := deleting("vpc")
	listed("before an up")
	up := slices.Concat([]string{"up", "--local"}, imageless())
	s.run(append(up, "--vpc", first)...).says(t, 1, first+" is being deleted", "choose another with --vpc")
	s.run(up...).says(t, 0)
	deleting("vpc")
	s.run("up", "--local", "--wait=false").says(t, 0, "0 changed")
	s.run("destroy", "--local", "--yes", "--purge-snapshots").says(t, 0, "0 left")
	h.same("after destroy", before)
	listed("after a destroy")
	s.run(up...).says(t, 0)
	s.run("destroy", "--local", "--yes", "--purge-snapshots").says(t, 0, "0 left")
	h.same("after a second destroy", before)
}
