package provision

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/inventory"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// networkInterface is an interface in a VPC, which keeps its subnet, its groups and its
// VPC from being removed.
type networkInterface struct {
	ID     string   `json:"id"`
	Of     string   `json:"of"` // whose it is, in words
	Status string   `json:"status"`
	VPC    string   `json:"vpc"`
	Subnet string   `json:"subnet"`
	Groups []string `json:"groups"`
	// Managed reports whether an AWS service made it and will remove it: it can't be
	// removed by anybody else, and goes minutes after what it belonged to.
	Managed bool `json:"managed"`
	// Public reports whether it has a public address, which keeps the internet gateway.
	Public bool `json:"public,omitempty"`
}

func (b networkInterface) String() string {
	return fmt.Sprintf("network interface %s of %s (%s)", b.ID, b.Of, b.Status)
}

// listInterfaces lists the network interfaces that a filter finds by ids, such as those in VPCs.
func listInterfaces(ctx context.Context, client *ec2.Client, by string, ids ...string) ([]networkInterface, error) {
	var out []networkInterface
	pages := ec2.NewDescribeNetworkInterfacesPaginator(client, &ec2.DescribeNetworkInterfacesInput{
		Filters: []types.Filter{filter(by, ids...)},
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("list the network interfaces of %s: %w", strings.Join(ids, ", "), err)
		}
		for _, x := range page.NetworkInterfaces {
			b := networkInterface{
				ID: aws.ToString(x.NetworkInterfaceId), Status: string(x.Status), VPC: aws.ToString(x.VpcId), Subnet: aws.ToString(x.SubnetId),
				Managed: aws.ToBool(x.RequesterManaged), Public: x.Association != nil && aws.ToString(x.Association.PublicIp) != "", Of: interfaceOwner(aws.ToString(x.Description), aws.ToString(x.RequesterId), string(x.InterfaceType)),
			}
			for _, g := range x.Groups {
				b.Groups = append(b.Groups, aws.ToString(g.GroupId))
			}
			out = append(out, b)
		}
	}
	return out, nil
}

// heldInterfaces are the network interfaces of a VPC that is being removed, read once
// for all parts of the network that wait until they are gone.
type heldInterfaces struct {
	// turn is full while somebody has the fields below, and makes a call for them.
	turn chan struct{}
	all  []networkInterface
	vpc  string
	at   time.Time // when the call for them was sent
}

// interfacesAge is how old the list may be by which a deletion is put off. One that it
// does not put off is sent, and EC2 decides.
const interfacesAge = 4 * time.Second

func newHeldInterfaces() *heldInterfaces { return &heldInterfaces{turn: make(chan struct{}, 1)} }

// checkNotHeld returns a graph.HeldError while an interface of the VPC holds a
// part of the network. EC2 would answer DependencyViolation, and not say by what. Where
// the list can't be read nothing is known to hold it.
func (n ec2Access) checkNotHeld(ctx context.Context, vpc string, holds func(networkInterface) bool) error {
	h := n.interfaces
	if h == nil || vpc == "" {
		return nil
	}
	select {
	case h.turn <- struct{}{}:
		defer func() { <-h.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if now := time.Now(); h.vpc != vpc || now.Sub(h.at) > interfacesAge {
		all, err := listInterfaces(ctx, n.ec2, "vpc-id", vpc)
		if err != nil {
			all = nil
		}
		h.all, h.vpc, h.at = all, vpc, now
	}
	if at := slices.IndexFunc(h.all, holds); at >= 0 {
		return &graph.HeldError{By: h.all[at].String()}
	}
	return nil
}

// usersOf returns in words what uses a security group in any VPC, "" if nothing is found: network
// interfaces, and other VPCs that it is associated with. What can't be read is not found. An
// association can be removed once no interface in its VPC has the group.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DisassociateSecurityGroupVpc.html
func (n ec2Access) usersOf(ctx context.Context, group string) string {
	var users []string
	if found, err := listInterfaces(ctx, n.ec2, "group-id", group); err == nil {
		for _, b := range found {
			users = append(users, b.String()+" in "+b.VPC)
		}
	}
	pages := ec2.NewDescribeSecurityGroupVpcAssociationsPaginator(n.ec2, &ec2.DescribeSecurityGroupVpcAssociationsInput{Filters: []types.Filter{filter("group-id", group)}})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			break
		}
		for _, x := range page.SecurityGroupVpcAssociations {
			if x.State == types.SecurityGroupVpcAssociationStateDisassociated || x.State == types.SecurityGroupVpcAssociationStateAssociationFailed {
				continue
			}
			users = append(users, fmt.Sprintf("its association with %s, which is removed by %s", aws.ToString(x.VpcId),
				hint.AWS("ec2", "disassociate-security-group-vpc", "--group-id", group, "--vpc-id", aws.ToString(x.VpcId))))
		}
	}
	return strings.Join(users, " and ")
}

// interfacesGoneAfter is how long it usually takes until the interfaces of load balancers and tasks
// are gone, which hold their subnets, their groups and the gateway.
// https://docs.aws.amazon.com/vpc/latest/userguide/delete-vpc.html
const interfacesGoneAfter = time.Minute

// interfaceOwner describes who owns an interface. Services write it into the
// description:
// https://docs.aws.amazon.com/elasticloadbalancing/latest/userguide/how-elastic-load-balancing-works.html
func interfaceOwner(description, requester, kind string) string {
	if rest, ok := strings.CutPrefix(description, "ELB app/"); ok {
		name, _, _ := strings.Cut(rest, "/")
		return "load balancer " + name
	}
	switch {
	case description == "RDSNetworkInterface":
		return "a database"
	case strings.HasPrefix(description, "arn:aws") && strings.Contains(description, ":ecs:"):
		return "a task"
	case description != "":
		return fmt.Sprintf("%q", description)
	case requester != "":
		return requester
	case kind != "" && kind != "interface":
		return "a " + kind
	}
	return "something that does not say what it is"
}

// explain fills in what holds the parts of the network: network interfaces, and
// what is not the stack's in its VPCs.
func (n ec2Access) explain(ctx context.Context, items []inventory.Item) error {
	var vpcs []string
	for _, i := range items {
		if i.Service == "ec2" && i.Type == "vpc" {
			vpcs = append(vpcs, i.ID)
		}
	}
	if vpcs == nil {
		return nil
	}
	blockers, err := listInterfaces(ctx, n.ec2, "vpc-id", vpcs...)
	if err != nil {
		return err
	}
	for at, i := range items {
		for _, b := range blockers {
			if i.Service == "ec2" && (i.ID == b.Subnet || i.ID == b.VPC || slices.Contains(b.Groups, i.ID)) {
				items[at].HeldBy = b.String()
				break
			}
		}
	}
	s, err := n.search(ctx, vpcs)
	if err != nil {
		return err
	}
	holders, err := s.holders(ctx)
	if err != nil {
		return err
	}
	for at, i := range items {
		by := slices.IndexFunc(holders, func(h Holder) bool { return slices.Contains(h.Holds, i.ID) })
		if i.Service == "ec2" && i.HeldBy == "" && by >= 0 {
			items[at].HeldBy = holders[by].String()
		}
		if i.Service == "ec2" && i.Type == "security group" && items[at].HeldBy == "" {
			items[at].HeldBy = n.usersOf(ctx, i.ID)
		}
	}
	return nil
}
