package provision

import (
	"context"
	"fmt"
	"net/netip"
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
	graph.NodeOf[*liveSubnet]
	ec2Access
	vpc       *VPC
	want      subnetSpec
	createdID string // in this run
}

type subnetSpec struct {
	cidr string
	zone string
}

func newSubnet(n ec2Access, name string, vpc *VPC, want subnetSpec) *Subnet {
	s := &Subnet{ec2Access: n, vpc: vpc, want: want}
	s.NodeOf = graph.Of(s, name, 5*time.Minute, vpc)
	return s
}

// liveSubnet is a subnet as far as it is compared and used.
type liveSubnet struct {
	subnetSpec
	zoneID string // as AWS calls the zone in all accounts
	tags   map[string]string
	vpc    string
	public bool   // it gives addresses
	acl    string // the network ACL that it is with, or vpcACL
	stays  string // why it stays with that, "" if it is to be moved
	route  string // where the default route of an existing one leads, "" for nowhere
	// blocked is how the account keeps the internet out of an existing one.
	blocked string
}

// vpcACL stands for the network ACL that the VPC came with.
const vpcACL = "the VPC's default"

// Read looks the subnet up by its tags.
func (s *Subnet) Read(ctx context.Context) (*liveSubnet, graph.State, error) {
	all, err := s.allSubnets(ctx)
	if err != nil {
		return nil, graph.State{}, err
	}
	ours := named(all, s.Name(), func(x types.Subnet) []types.Tag { return x.Tags })
	sub, err := only("subnets", ours, func(x types.Subnet) string { return aws.ToString(x.SubnetId) })
	if sub == nil || err != nil {
		return nil, absent, err
	}
	live := describeSubnet(sub)
	if last := s.Last(); !s.destroying && (last == nil || last.acl != vpcACL) { // one look that finds it there is enough
		if live.acl, live.stays, err = s.withACL(ctx, aws.ToString(sub.SubnetId)); err != nil {
			return nil, graph.State{}, err
		}
	}
	st := graph.State{Phase: graph.Ready, ID: aws.ToString(sub.SubnetId), Owner: live.tags[TagStack], Note: string(sub.State)}
	if sub.State == types.SubnetStatePending {
		st.Phase = graph.Pending
	}
	return live, st, nil
}

// describeSubnet describes one that is with the VPC's own network ACL.
func describeSubnet(sub *types.Subnet) *liveSubnet {
	return &liveSubnet{
		subnetSpec: subnetSpec{
			cidr: aws.ToString(sub.CidrBlock),
			zone: aws.ToString(sub.AvailabilityZone),
		},
		zoneID: aws.ToString(sub.AvailabilityZoneId),
		tags:   fromEC2Tags(sub.Tags),
		vpc:    aws.ToString(sub.VpcId),
		public: aws.ToBool(sub.MapPublicIpOnLaunch),
		acl:    vpcACL,
	}
}

func (s *Subnet) cidr() string { return s.want.cidr }

// Planned returns what would be made.
func (s *Subnet) Planned() string { return s.want.cidr + " in " + s.want.zone }

// Wanted implements graph.Shape.
func (s *Subnet) Wanted(*liveSubnet) *liveSubnet {
	return &liveSubnet{subnetSpec: s.want, tags: s.tags(s.Name()), vpc: s.vpc.ID(), acl: vpcACL}
}

// Attributes implements graph.Shape.
func (s *Subnet) Attributes() graph.Attributes[*liveSubnet] {
	fixed := graph.Fixed("a subnet can't be moved or resized")
	return graph.Attributes[*liveSubnet]{
		tagAttribute(func(l *liveSubnet) map[string]string { return l.tags }, s.retagging(s.Node)),
		graph.Field("vpc", func(l *liveSubnet) string { return l.vpc }, fixed),
		graph.Field("cidr", func(l *liveSubnet) string { return l.cidr }, fixed),
		graph.Field("zone", func(l *liveSubnet) string { return l.zone }, fixed),
		graph.Flag("public-addresses", func(l *liveSubnet) bool { return l.public }, graph.SetBy(s.keepPrivate)),
		graph.Field("network-acl", func(l *liveSubnet) string { return l.acl }, graph.SetBy(s.withOwnACL)).
			Retain(func(live, _ *liveSubnet) string { return live.stays }),
	}
}

// withACL is the network ACL that a subnet is with, or vpcACL, and why it stays with it.
func (s *Subnet) withACL(ctx context.Context, id string) (acl, stays string, err error) {
	all, err := s.allACLs(ctx, s.vpc.ID())
	if err != nil {
		return "", "", err
	}
	acl, by := association(all, id)
	own := defaultACL(all)
	if own == nil || acl == "" || acl == aws.ToString(own.NetworkAclId) {
		return vpcACL, "", nil
	}
	return acl, s.mayMoveACL(ctx, &by, own.NetworkAclId), nil
}

// withOwnACL moves the subnet to the VPC's own network ACL.
func (s *Subnet) withOwnACL(ctx context.Context, _ []graph.Change) error {
	all, err := s.allACLs(ctx, s.vpc.ID())
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

// Create creates the subnet. Its range is its natural key: a second one
// conflicts.
func (s *Subnet) Create(ctx context.Context) (string, error) {
	out, err := s.ec2.CreateSubnet(ctx, &ec2.CreateSubnetInput{
		VpcId:             aws.String(s.vpc.ID()),
		CidrBlock:         &s.want.cidr,
		AvailabilityZone:  &s.want.zone,
		TagSpecifications: s.onCreate(types.ResourceTypeSubnet, s.Name()),
	}, throttlesOnly)
	if IsCode(err, "InvalidSubnet.Conflict") {
		return s.occupant(ctx, err)
	}
	if err != nil {
		return "", fmt.Errorf("create subnet %s in %s: %w", s.want.cidr, s.want.zone, err)
	}
	s.createdID = aws.ToString(out.Subnet.SubnetId)
	// One that is new is with the VPC's own network ACL:
	// https://docs.aws.amazon.com/vpc/latest/userguide/nacl-basics.html
	live := describeSubnet(out.Subnet)
	if out.Subnet.State != types.SubnetStateAvailable || live.tags[TagStack] != s.stack {
		s.Learn(live)
		return s.createdID, nil
	}
	s.Answer(live, graph.State{Phase: graph.Ready, Owner: s.stack, Note: string(out.Subnet.State)})
	return s.createdID, nil
}

// occupant finds the subnet that has the range, or some of it, already: ours,
// made by a call whose answer was lost, or another owner's.
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
		if tags := fromEC2Tags(live.Tags); tags[TagStack] != s.stack || tags[TagResource] != s.Name() {
			return "", fmt.Errorf("subnet %s, which has %s: %w", aws.ToString(live.SubnetId), have, graph.ErrUnmanaged)
		}
		return aws.ToString(live.SubnetId), nil
	}
	return "", fmt.Errorf("create subnet %s in %s, which is taken by one that is not visible yet: %w", s.want.cidr, s.want.zone, conflict)
}

// keepPrivate lets the subnet give no public addresses.
func (s *Subnet) keepPrivate(ctx context.Context, _ []graph.Change) error {
	in := &ec2.ModifySubnetAttributeInput{SubnetId: aws.String(s.ID()), MapPublicIpOnLaunch: &types.AttributeBooleanValue{Value: aws.Bool(false)}}
	if _, err := s.ec2.ModifySubnetAttribute(ctx, in); err != nil {
		return fmt.Errorf("set public addresses of %s: %w", s.ID(), err)
	}
	return nil
}

// ExpectDeleted returns the usual time until nothing is in it any more.
func (s *Subnet) ExpectDeleted() time.Duration { return interfacesGoneAfter }

// Delete deletes the subnet.
func (s *Subnet) Delete(ctx context.Context) error {
	if err := s.checkNotHeld(ctx, s.vpc.ID(), func(b networkInterface) bool { return b.Subnet == s.ID() }); err != nil {
		return fmt.Errorf("delete %s: %w", s.ID(), err)
	}
	if _, err := s.ec2.DeleteSubnet(ctx, &ec2.DeleteSubnetInput{SubnetId: aws.String(s.ID())}); err != nil && !notFound(err) {
		return fmt.Errorf("delete %s: %w", s.ID(), err)
	}
	return nil
}

// DeletesSynchronously implements graph.DeletesSynchronously.
func (s *Subnet) DeletesSynchronously() {}

// subnetKind lists and deletes the stack's subnets.
func (n ec2Access) subnetKind() inventory.Kind {
	return n.kind("subnet", "subnets", func(ctx context.Context) ([]*string, error) {
		out, err := n.ec2.DescribeSubnets(ctx, &ec2.DescribeSubnetsInput{Filters: n.all()})
		if err != nil {
			return nil, err
		}
		return mapped(out.Subnets, func(x types.Subnet) *string { return x.SubnetId }), nil
	}, func(ctx context.Context, id *string) error {
		_, err := n.ec2.DeleteSubnet(ctx, &ec2.DeleteSubnetInput{SubnetId: id})
		return err
	})
}
