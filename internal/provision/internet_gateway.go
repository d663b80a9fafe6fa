package provision

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/bookctl/bookctl/internal/inventory"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// InternetGateway is the VPC's way out. Attachment is drift, so that a run cut
// off between creating and attaching it is healed by the next.
type InternetGateway struct {
	graph.Node
	network
	vpc  *VPC
	made string // in this run
	// attached is the VPC that it was last seen at. The stack's own is not known where
	// looking for that one failed, and then nothing would ever detach the gateway.
	attached atomic.Pointer[string]
}

func newInternetGateway(n network, vpc *VPC) *InternetGateway {
	// Detaching waits until nothing in the VPC has a public address, which
	// network interfaces keep for minutes after their owner is gone.
	return &InternetGateway{Node: graph.Named("internet-gateway", 20*time.Minute, vpc), network: n, vpc: vpc}
}

// Find looks the gateway up by its tags.
func (g *InternetGateway) Find(ctx context.Context) (graph.State, error) {
	out, err := g.ec2.DescribeInternetGateways(ctx, &ec2.DescribeInternetGatewaysInput{Filters: g.owned(g.Name())})
	if err != nil {
		return graph.State{}, fmt.Errorf("describe internet gateways: %w", err)
	}
	gw, bare, err := oneOf("internet gateways", g.made, out.InternetGateways, func(x types.InternetGateway) string { return aws.ToString(x.InternetGatewayId) },
		func(x types.InternetGateway) (bool, error) { return len(x.Attachments) > 0, nil })
	if gw == nil || err != nil {
		return absent, err
	}
	at := attachedTo(gw)
	g.attached.Store(&at)
	tags := tagMap(gw.Tags)
	st := graph.State{Phase: graph.Ready, ID: aws.ToString(gw.InternetGatewayId), Owner: tags[TagStack]}
	st.Drift = append(gatewayDrift(tags, at, g.vpc.ID(), g.tags(g.Name())), duplicates(bare)...)
	return st, nil
}

func attachedTo(gw *types.InternetGateway) string {
	for _, a := range gw.Attachments {
		return aws.ToString(a.VpcId) // a gateway is attached to one VPC at most
	}
	return ""
}

func gatewayDrift(live map[string]string, attached, vpc string, want map[string]string) []graph.Change {
	out := tagDrift(live, want)
	if attached != vpc {
		c := graph.Change{Field: "attachment", Have: attached, Want: vpc}
		if attached != "" {
			c.Refused = "it serves another VPC"
		}
		out = append(out, c)
	}
	sortChanges(out)
	return out
}

// Create makes the gateway, detached.
func (g *InternetGateway) Create(ctx context.Context) (string, error) {
	out, err := g.ec2.CreateInternetGateway(ctx, &ec2.CreateInternetGatewayInput{
		TagSpecifications: g.onCreate(types.ResourceTypeInternetGateway, g.Name()),
	}, throttlesOnly)
	if err != nil {
		return "", fmt.Errorf("create internet gateway: %w", err)
	}
	g.made = aws.ToString(out.InternetGateway.InternetGatewayId)
	return g.made, nil
}

// Update repairs tags and the attachment, and removes a second gateway.
func (g *InternetGateway) Update(ctx context.Context, changes []graph.Change) error {
	err := removeDuplicates(changes, &g.made, func(other *string) error {
		_, err := g.ec2.DeleteInternetGateway(ctx, &ec2.DeleteInternetGatewayInput{InternetGatewayId: other})
		return err
	})
	if err != nil {
		return err
	}
	if hasTagDrift(changes) {
		if err := g.retag(ctx, g.ID(), g.Name()); err != nil {
			return err
		}
	}
	if hasField(changes, "attachment") {
		_, err := g.ec2.AttachInternetGateway(ctx, &ec2.AttachInternetGatewayInput{
			InternetGatewayId: aws.String(g.ID()), VpcId: aws.String(g.vpc.ID()),
		})
		if err != nil && !isCode(err, "Resource.AlreadyAssociated") {
			return fmt.Errorf("attach %s to %s: %w", g.ID(), g.vpc.ID(), err)
		}
	}
	return nil
}

// Delete detaches the gateway from the stack's VPC and removes it.
func (g *InternetGateway) Delete(ctx context.Context) error {
	vpc := g.vpc.ID()
	if seen := g.attached.Load(); seen != nil && *seen != "" {
		vpc = *seen
	}
	if vpc != "" {
		_, err := g.ec2.DetachInternetGateway(ctx, &ec2.DetachInternetGatewayInput{
			InternetGatewayId: aws.String(g.ID()), VpcId: &vpc,
		})
		if err != nil && !isCode(err, "Gateway.NotAttached") && !notFound(err) {
			return fmt.Errorf("detach %s from %s: %w", g.ID(), vpc, err)
		}
	}
	_, err := g.ec2.DeleteInternetGateway(ctx, &ec2.DeleteInternetGatewayInput{InternetGatewayId: aws.String(g.ID())})
	if err != nil && !notFound(err) {
		return fmt.Errorf("delete %s: %w", g.ID(), err)
	}
	return nil
}

// internetGatewayKind lists and deletes the stack's internet gateways.
func (n network) internetGatewayKind() inventory.Kind {
	return n.kind("internet gateway", "internet gateways", func(ctx context.Context) ([]*string, error) {
		out, err := n.ec2.DescribeInternetGateways(ctx, &ec2.DescribeInternetGatewaysInput{Filters: n.all()})
		if err != nil {
			return nil, err
		}
		return collect(out.InternetGateways, func(x types.InternetGateway) *string { return x.InternetGatewayId }), nil
	}, func(ctx context.Context, id *string) error {
		out, err := n.ec2.DescribeInternetGateways(ctx, &ec2.DescribeInternetGatewaysInput{InternetGatewayIds: []string{*id}})
		if err != nil {
			return err
		}
		for _, g := range out.InternetGateways {
			for _, a := range g.Attachments {
				if _, err := n.ec2.DetachInternetGateway(ctx, &ec2.DetachInternetGatewayInput{InternetGatewayId: id, VpcId: a.VpcId}); err != nil {
					return err
				}
			}
		}
		_, err = n.ec2.DeleteInternetGateway(ctx, &ec2.DeleteInternetGatewayInput{InternetGatewayId: id})
		return err
	})
}
