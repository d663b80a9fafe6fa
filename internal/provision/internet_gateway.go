package provision

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/inventory"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// InternetGateway is the VPC's way out. Attachment is drift, so that a run cut
// off between creating and attaching it is healed by the next.
type InternetGateway struct {
	graph.NodeOf[*liveGateway]
	ec2Access
	vpc       *VPC
	createdID string // in this run
	// doubtful reports whether a gateway was attached before this run attached it, perhaps to
	// another VPC.
	doubtful bool
}

func newInternetGateway(n ec2Access, vpc *VPC) *InternetGateway {
	// Detaching waits until nothing in the VPC has a public address, which
	// network interfaces keep for minutes after their owner is gone.
	g := &InternetGateway{ec2Access: n, vpc: vpc}
	g.NodeOf = graph.Of(g, "internet-gateway", 20*time.Minute, vpc)
	return g
}

// liveGateway is a gateway as far as it is compared and used.
type liveGateway struct {
	tags map[string]string
	// attached is the VPC that it is attached to. The stack's own is not known where
	// looking for that one failed, and then nothing would ever detach the gateway.
	attached   string
	duplicates []string // the ids of other gateways like it, which are bare
}

// Read looks the gateway up by its tags.
func (g *InternetGateway) Read(ctx context.Context) (*liveGateway, graph.State, error) {
	all, err := g.allGateways(ctx)
	if err != nil {
		return nil, graph.State{}, err
	}
	ours := named(all, g.Name(), func(x types.InternetGateway) []types.Tag { return x.Tags })
	gw, bare, err := oneOf("internet gateways", g.createdID, ours, func(x types.InternetGateway) string { return aws.ToString(x.InternetGatewayId) },
		func(x types.InternetGateway) (bool, error) { return len(x.Attachments) > 0, nil })
	if gw == nil || err != nil {
		return nil, absent, err
	}
	live := &liveGateway{tags: fromEC2Tags(gw.Tags), attached: attachedTo(gw), duplicates: bare}
	return live, graph.State{Phase: graph.Ready, ID: aws.ToString(gw.InternetGatewayId), Owner: live.tags[TagStack]}, nil
}

// Wanted implements graph.Shape.
func (g *InternetGateway) Wanted(*liveGateway) *liveGateway {
	return &liveGateway{tags: g.tags(g.Name()), attached: g.vpc.ID()}
}

// Attributes implements graph.Shape.
func (g *InternetGateway) Attributes() graph.Attributes[*liveGateway] {
	attached := func(l *liveGateway) string { return l.attached }
	return graph.Attributes[*liveGateway]{
		duplicateAttribute(func(l *liveGateway) []string { return l.duplicates }, &g.createdID, func(ctx context.Context, other *string) error {
			_, err := g.ec2.DeleteInternetGateway(ctx, &ec2.DeleteInternetGatewayInput{InternetGatewayId: other})
			return err
		}),
		tagAttribute(func(l *liveGateway) map[string]string { return l.tags }, g.retagging(g.Node)),
		graph.Field("attachment", attached, graph.SetBy(g.attach)).FixedIf(func(live, _ *liveGateway) (r graph.Remedy) {
			if live.attached != "" {
				r = graph.Fixed("it serves another VPC")
			}
			return r
		}),
	}
}

func attachedTo(gw *types.InternetGateway) string {
	for _, a := range gw.Attachments {
		return aws.ToString(a.VpcId) // a gateway is attached to one VPC at most
	}
	return ""
}

// Create creates the gateway, detached.
func (g *InternetGateway) Create(ctx context.Context) (string, error) {
	out, err := g.ec2.CreateInternetGateway(ctx, &ec2.CreateInternetGatewayInput{
		TagSpecifications: g.onCreate(types.ResourceTypeInternetGateway, g.Name()),
	}, throttlesOnly)
	if err != nil {
		return "", fmt.Errorf("create internet gateway: %w", err)
	}
	g.createdID = aws.ToString(out.InternetGateway.InternetGatewayId)
	g.Answer(&liveGateway{tags: g.tags(g.Name())}, graph.State{Phase: graph.Ready, Owner: g.stack})
	return g.createdID, nil
}

func (g *InternetGateway) attach(ctx context.Context, _ []graph.Change) error {
	_, err := g.ec2.AttachInternetGateway(ctx, &ec2.AttachInternetGatewayInput{
		InternetGatewayId: aws.String(g.ID()), VpcId: aws.String(g.vpc.ID()),
	})
	g.doubtful = IsCode(err, "Resource.AlreadyAssociated")
	if err != nil && !g.doubtful {
		return fmt.Errorf("attach %s to %s: %w", g.ID(), g.vpc.ID(), err)
	}
	return nil
}

// UpdatesSynchronously implements graph.UpdatesSynchronously.
func (g *InternetGateway) UpdatesSynchronously(changes []graph.Change) bool {
	return !g.doubtful && len(changes) == 1 && changes[0].Field == "attachment"
}

// ExpectDeleted returns the usual time until nothing in the VPC has a public address.
func (g *InternetGateway) ExpectDeleted() time.Duration { return interfacesGoneAfter }

// Delete detaches the gateway from the stack's VPC and removes it. One that somebody has moved to
// another VPC is left there.
func (g *InternetGateway) Delete(ctx context.Context) error {
	vpc := g.vpc.ID()
	if live := g.Last(); live != nil && vpc == "" {
		vpc = live.attached
	}
	if vpc != "" {
		if err := g.checkNotHeld(ctx, vpc, func(b networkInterface) bool { return b.Public }); err != nil {
			return fmt.Errorf("detach %s: %w", g.ID(), err)
		}
		if err := g.detach(ctx, g.ID(), g.vpc.ID()); err != nil {
			return err
		}
	}
	_, err := g.ec2.DeleteInternetGateway(ctx, &ec2.DeleteInternetGatewayInput{InternetGatewayId: aws.String(g.ID())})
	if err != nil && !notFound(err) {
		return fmt.Errorf("delete %s: %w", g.ID(), err)
	}
	return nil
}

// detach detaches a gateway from the VPC that it has now, which somebody may have changed since
// it was read: from one that is not the stack's it would take the internet away. Own is the
// stack's VPC, "" if that is not known. Between the look and the call, AWS takes the VPC that was
// read: "Gateway.NotAttached: An internet gateway is not attached to a VPC. If you are trying to
// detach an internet gateway, ensure that you specify the correct VPC."
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
func (n ec2Access) detach(ctx context.Context, id, own string) error {
	out, err := n.ec2.DescribeInternetGateways(ctx, &ec2.DescribeInternetGatewaysInput{InternetGatewayIds: []string{id}})
	if err != nil && !notFound(err) {
		return fmt.Errorf("describe %s: %w", id, err)
	}
	if err != nil || len(out.InternetGateways) == 0 {
		return nil
	}
	vpc := attachedTo(&out.InternetGateways[0])
	if vpc == "" {
		return nil
	}
	if vpc != own {
		in, err := n.ec2.DescribeVpcs(ctx, &ec2.DescribeVpcsInput{Filters: []types.Filter{filter("vpc-id", vpc)}})
		if err != nil {
			return fmt.Errorf("describe %s, to which %s is attached: %w", vpc, id, err)
		}
		if len(in.Vpcs) > 0 && fromEC2Tags(in.Vpcs[0].Tags)[TagStack] != n.stack {
			return hint.With(fmt.Errorf("%s is attached to %s, which is not the stack's", id, vpc), "give that VPC another internet gateway, or none, and detach this one: %s; then run the same command again",
				hint.AWS("ec2", "detach-internet-gateway", "--internet-gateway-id", id, "--vpc-id", vpc))
		}
	}
	_, err = n.ec2.DetachInternetGateway(ctx, &ec2.DetachInternetGatewayInput{InternetGatewayId: &id, VpcId: &vpc})
	if err != nil && !IsCode(err, "Gateway.NotAttached") && !notFound(err) {
		return fmt.Errorf("detach %s from %s: %w", id, vpc, err)
	}
	return nil
}

// DeletesSynchronously implements graph.DeletesSynchronously.
func (g *InternetGateway) DeletesSynchronously() {}

// internetGatewayKind lists and deletes the stack's internet gateways.
func (n ec2Access) internetGatewayKind() inventory.Kind {
	return n.kind("internet gateway", "internet gateways", func(ctx context.Context) ([]*string, error) {
		out, err := n.ec2.DescribeInternetGateways(ctx, &ec2.DescribeInternetGatewaysInput{Filters: n.all()})
		if err != nil {
			return nil, err
		}
		return mapped(out.InternetGateways, func(x types.InternetGateway) *string { return x.InternetGatewayId }), nil
	}, func(ctx context.Context, id *string) error {
		if err := n.detach(ctx, *id, ""); err != nil {
			return err
		}
		_, err := n.ec2.DeleteInternetGateway(ctx, &ec2.DeleteInternetGatewayInput{InternetGatewayId: id})
		return err
	})
}
