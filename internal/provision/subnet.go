package provision

import (
	"context"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/bookctl/bookctl/internal/inventory"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// Subnet is one subnet in one zone. None gives public addresses by itself: the
// load balancer brings its own, and the service asks for those of its tasks.
type Subnet struct {
	graph.Node
	network
	vpc  *VPC
	want subnetSpec
	last atomic.Pointer[types.Subnet] // as it was found
	// astray says that the last look found it with another network ACL than the
	// VPC's own: one look that finds it there is enough.
	looked, astray atomic.Bool
}

type subnetSpec struct {
	cidr string
	zone string
}

func newSubnet(n network, name string, vpc *VPC, want subnetSpec) *Subnet {
	return &Subnet{Node: graph.Named(name, 5*time.Minute, vpc), network: n, vpc: vpc, want: want}
}

// liveSubnet is what drift compares.
type liveSubnet struct {
	subnetSpec
	tags   map[string]string
	vpc    string
	public bool   // it gives addresses
	acl    string // of somebody's choice; "" for the VPC's own
}

// Find looks the subnet up by its tags.
func (s *Subnet) Find(ctx context.Context) (graph.State, error) {
	all, err := s.subnets.look(ctx, s.Name())
	if err != nil {
		return graph.State{}, err
	}
	ours := named(all, s.Name(), func(x types.Subnet) []types.Tag { return x.Tags })
	sub, err := only("subnets", ours, func(x types.Subnet) string { return aws.ToString(x.SubnetId) })
	if sub == nil || err != nil {
		return absent, err
	}
	s.last.Store(sub)
	live := liveSubnet{
		subnetSpec: subnetSpec{
			cidr: aws.ToString(sub.CidrBlock),
			zone: aws.ToString(sub.AvailabilityZone),
		},
		tags:   tagMap(sub.Tags),
		vpc:    aws.ToString(sub.VpcId),
		public: aws.ToBool(sub.MapPublicIpOnLaunch),
	}
	if !s.looked.Swap(true) || s.astray.Load() {
		if live.acl, err = s.otherACL(ctx, aws.ToString(sub.SubnetId)); err != nil {
			return graph.State{}, err
		}
		s.astray.Store(live.acl != "")
	}
	st := graph.State{Phase: graph.Ready, ID: aws.ToString(sub.SubnetId), Owner: live.tags[TagStack], Note: string(sub.State)}
	if sub.State == types.SubnetStatePending {
		st.Phase = graph.Pending
	}
	st.Drift = subnetDrift(live, s.want, s.vpc.ID(), s.tags(s.Name()))
	return st, nil
}

// otherACL is the network ACL that a subnet is with, if it is not the VPC's own.
func (s *Subnet) otherACL(ctx context.Context, id string) (string, error) {
	all, err := s.acls.look(ctx, s.Name())
	if err != nil {
		return "", err
	}
	acl, _ := association(all, id)
	if own := defaultACL(all); own == nil || acl == aws.ToString(own.NetworkAclId) {
		return "", nil
	}
	return acl, nil
}

// withOwnACL moves the subnet to the VPC's own network ACL.
func (s *Subnet) withOwnACL(ctx context.Context) error {
	all, err := s.acls.look(ctx, s.Name())
	if err != nil {
		return err
	}
	_, from := association(all, s.ID())
	to := defaultACL(all)
	if from == "" || to == nil {
		return nil
	}
	in := &ec2.ReplaceNetworkAclAssociationInput{AssociationId: &from, NetworkAclId: to.NetworkAclId}
	if _, err := s.ec2.ReplaceNetworkAclAssociation(ctx, in); err != nil && !notFound(err) {
		return fmt.Errorf("move %s to network ACL %s: %w", s.ID(), aws.ToString(to.NetworkAclId), err)
	}
	return nil
}

func subnetDrift(live liveSubnet, want subnetSpec, vpc string, tags map[string]string) []graph.Change {
	const fixed = "a subnet can't be moved or resized"
	out := tagDrift(live.tags, tags)
	for _, f := range []struct{ field, have, want string }{
		{"vpc", live.vpc, vpc}, {"cidr", live.cidr, want.cidr}, {"zone", live.zone, want.zone},
	} {
		if f.have != f.want {
			out = append(out, graph.Change{Field: f.field, Have: f.have, Want: f.want, Refused: fixed})
		}
	}
	if live.public {
		out = append(out, graph.Change{Field: "public-addresses", Have: "true", Want: "false"})
	}
	if live.acl != "" {
		out = append(out, graph.Change{Field: "network-acl", Have: live.acl, Want: "the VPC's default"})
	}
	sortChanges(out)
	return out
}

// Create makes the subnet. Its range is its natural key: a second one
// conflicts.
func (s *Subnet) Create(ctx context.Context) (string, error) {
	out, err := s.ec2.CreateSubnet(ctx, &ec2.CreateSubnetInput{
		VpcId:             aws.String(s.vpc.ID()),
		CidrBlock:         &s.want.cidr,
		AvailabilityZone:  &s.want.zone,
		TagSpecifications: s.onCreate(types.ResourceTypeSubnet, s.Name()),
	}, throttlesOnly)
	if isCode(err, "InvalidSubnet.Conflict") {
		return s.occupant(ctx, err)
	}
	if err != nil {
		return "", fmt.Errorf("create subnet %s in %s: %w", s.want.cidr, s.want.zone, err)
	}
	return aws.ToString(out.Subnet.SubnetId), nil
}

// occupant finds the subnet that has the range, or some of it, already: ours,
// made by a call whose answer was lost, or a stranger's.
func (s *Subnet) occupant(ctx context.Context, conflict error) (string, error) {
	out, err := s.ec2.DescribeSubnets(ctx, &ec2.DescribeSubnetsInput{Filters: []types.Filter{{Name: aws.String("vpc-id"), Values: []string{s.vpc.ID()}}}})
	if err != nil {
		return "", fmt.Errorf("look for the subnet that has some of %s: %w", s.want.cidr, err)
	}
	want, err := netip.ParsePrefix(s.want.cidr)
	if err != nil {
		return "", fmt.Errorf("range of %s: %w", s.Name(), err)
	}
	for _, live := range out.Subnets {
		have, err := netip.ParsePrefix(aws.ToString(live.CidrBlock))
		if err != nil || !have.Overlaps(want) {
			continue
		}
		if tags := tagMap(live.Tags); tags[TagStack] != s.stack || tags[TagResource] != s.Name() {
			return "", fmt.Errorf("subnet %s, which has %s: %w", aws.ToString(live.SubnetId), have, graph.ErrForeign)
		}
		return aws.ToString(live.SubnetId), nil
	}
	return "", fmt.Errorf("create subnet %s in %s, which is taken by one that is not visible yet: %w", s.want.cidr, s.want.zone, conflict)
}

// Update repairs tags, and that addresses are public.
func (s *Subnet) Update(ctx context.Context, changes []graph.Change) error {
	id := s.ID()
	if hasTagDrift(changes) {
		if err := s.retag(ctx, id, s.Name()); err != nil {
			return err
		}
	}
	if hasField(changes, "public-addresses") {
		in := &ec2.ModifySubnetAttributeInput{SubnetId: &id, MapPublicIpOnLaunch: &types.AttributeBooleanValue{Value: aws.Bool(false)}}
		if _, err := s.ec2.ModifySubnetAttribute(ctx, in); err != nil {
			return fmt.Errorf("set public addresses of %s: %w", id, err)
		}
	}
	if hasField(changes, "network-acl") {
		return s.withOwnACL(ctx)
	}
	return nil
}

// Delete removes the subnet.
func (s *Subnet) Delete(ctx context.Context) error {
	if _, err := s.ec2.DeleteSubnet(ctx, &ec2.DeleteSubnetInput{SubnetId: aws.String(s.ID())}); err != nil && !notFound(err) {
		return fmt.Errorf("delete %s: %w", s.ID(), err)
	}
	return nil
}

// subnetKind lists and deletes the stack's subnets.
func (n network) subnetKind() inventory.Kind {
	return n.kind("subnet", "subnets", func(ctx context.Context) ([]*string, error) {
		out, err := n.ec2.DescribeSubnets(ctx, &ec2.DescribeSubnetsInput{Filters: n.all()})
		if err != nil {
			return nil, err
		}
		return collect(out.Subnets, func(x types.Subnet) *string { return x.SubnetId }), nil
	}, func(ctx context.Context, id *string) error {
		_, err := n.ec2.DeleteSubnet(ctx, &ec2.DeleteSubnetInput{SubnetId: id})
		return err
	})
}
