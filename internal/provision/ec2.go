package provision

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/inventory"
	"github.com/bookctl/bookctl/internal/provision/graph"
	"github.com/bookctl/bookctl/internal/sorted"
)

// ec2Access is the client and the identity of a stack's EC2 resources.
type ec2Access struct {
	identity
	ec2 *ec2.Client
	// interfaces are nil outside of a graph.
	interfaces *heldInterfaces
}

func newNetwork(i identity, client *ec2.Client) ec2Access {
	return ec2Access{identity: i, ec2: client, interfaces: newHeldInterfaces()}
}

// allVPCs are the stack's VPCs.
func (n ec2Access) allVPCs(ctx context.Context) ([]types.Vpc, error) {
	return n.observed().vpcs.readOnce(ctx, func(ctx context.Context) ([]types.Vpc, error) {
		out, err := n.ec2.DescribeVpcs(ctx, &ec2.DescribeVpcsInput{Filters: n.all()})
		if err != nil {
			return nil, fmt.Errorf("describe the VPCs of stack %s: %w", n.stack, err)
		}
		return WithoutDeleting(out.Vpcs), nil
	})
}

// WithoutDeleting returns those of the VPCs that are not being deleted. EC2 may list one for a
// while after DeleteVpc has accepted its deletion, when nothing can be created in it any more.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Vpc.html
func WithoutDeleting(all []types.Vpc) []types.Vpc {
	return slices.DeleteFunc(slices.Clone(all), func(v types.Vpc) bool { return v.State == types.VpcStateDeleting })
}

// allGateways are the stack's internet gateways.
func (n ec2Access) allGateways(ctx context.Context) ([]types.InternetGateway, error) {
	return n.observed().gateways.readOnce(ctx, func(ctx context.Context) ([]types.InternetGateway, error) {
		out, err := n.ec2.DescribeInternetGateways(ctx, &ec2.DescribeInternetGatewaysInput{Filters: n.all()})
		if err != nil {
			return nil, fmt.Errorf("describe internet gateways: %w", err)
		}
		return out.InternetGateways, nil
	})
}

// allSubnets are the stack's subnets, by one call for all who read them.
func (n ec2Access) allSubnets(ctx context.Context) ([]types.Subnet, error) {
	return n.observed().subnets.readShared(ctx, func(ctx context.Context) ([]types.Subnet, error) {
		out, err := n.ec2.DescribeSubnets(ctx, &ec2.DescribeSubnetsInput{Filters: n.all()})
		if err != nil {
			return nil, fmt.Errorf("describe subnets: %w", err)
		}
		return out.Subnets, nil
	})
}

// allTables are the stack's route tables, likewise.
func (n ec2Access) allTables(ctx context.Context) ([]types.RouteTable, error) {
	return n.observed().tables.readShared(ctx, func(ctx context.Context) ([]types.RouteTable, error) {
		out, err := n.ec2.DescribeRouteTables(ctx, &ec2.DescribeRouteTablesInput{Filters: n.all()})
		if err != nil {
			return nil, fmt.Errorf("describe route tables: %w", err)
		}
		return out.RouteTables, nil
	})
}

// named returns those of the resources that are tagged as the resource.
func named[T any](all []T, resource string, tags func(T) []types.Tag) []T {
	var out []T
	for _, x := range all {
		if fromEC2Tags(tags(x))[TagResource] == resource {
			out = append(out, x)
		}
	}
	return out
}

// all are the filters that find everything of the stack.
func (n ec2Access) all() []types.Filter {
	return []types.Filter{{Name: aws.String("tag:" + TagStack), Values: []string{n.stack}}}
}

// throttlesOnly is for the create calls of EC2, which take no client token.
func throttlesOnly(o *ec2.Options) { o.Retryer = onlyThrottles{o.Retryer} }

// onCreate are the tags in the shape that EC2's create calls take.
func (n ec2Access) onCreate(t types.ResourceType, resource string) []types.TagSpecification {
	return []types.TagSpecification{{ResourceType: t, Tags: toEC2Tags(n.tags(resource))}}
}

// retag writes the tags of a resource.
func (n ec2Access) retag(ctx context.Context, id, resource string, changes []graph.Change) error {
	if drop := n.toDrop(resource, changes); drop != nil {
		keys := mapped(drop, func(key string) types.Tag { return types.Tag{Key: &key} })
		if _, err := n.ec2.DeleteTags(ctx, &ec2.DeleteTagsInput{Resources: []string{id}, Tags: keys}); err != nil {
			return fmt.Errorf("untag %s: %w", id, err)
		}
	}
	_, err := n.ec2.CreateTags(ctx, &ec2.CreateTagsInput{Resources: []string{id}, Tags: toEC2Tags(n.tags(resource))})
	if err != nil {
		return fmt.Errorf("tag %s: %w", id, err)
	}
	return nil
}

// retagging is the remedy of the tags of a resource.
func (n ec2Access) retagging(of graph.Node) graph.Remedy {
	return graph.SetBy(func(ctx context.Context, changes []graph.Change) error {
		return n.retag(ctx, of.ID(), of.Name(), changes)
	})
}

// only returns the one resource found, nil for none, and an error that names them
// all for several: bookctl never guesses which is the right one.
func only[T any](kind string, found []T, id func(T) string) (*T, error) {
	switch len(found) {
	case 0:
		return nil, nil
	case 1:
		return &found[0], nil
	}
	var ids []string
	for _, f := range found {
		ids = append(ids, id(f))
	}
	return nil, hint.With(fmt.Errorf("%d of the stack's %s exist where one should: %s", len(found), kind, strings.Join(ids, ", ")), "delete all but one of them")
}

// oneOf returns the resource in use of several of a kind of which one should exist,
// and the ids of the others, which are bare. A run that is cut off right after
// a create call without a client token leaves one that the next run can't see
// yet, and makes once more. While none is in use, the one made in this run (or
// "") counts, and until that is seen, there is none. Two in use are an error,
// as from only.
func oneOf[T any](kind, createdID string, found []T, id func(T) string, used func(T) (bool, error)) (one *T, bare []string, err error) {
	if createdID != "" && !slices.ContainsFunc(found, func(x T) bool { return id(x) == createdID }) {
		return nil, nil, nil
	}
	if len(found) < 2 {
		one, err = only(kind, found, id)
		return one, nil, err
	}
	sorted.By(found, func(a, b T) int { return strings.Compare(id(a), id(b)) })
	var inUse []T
	for i, f := range found {
		in, err := used(f)
		if err != nil {
			return nil, nil, err
		}
		if in {
			inUse = append(inUse, f)
		}
		if one == nil || id(f) == createdID {
			one = &found[i]
		}
	}
	if inUse != nil {
		if one, err = only(kind+" in use", inUse, id); err != nil {
			return nil, nil, err
		}
	}
	for _, f := range found {
		if id(f) != id(*one) {
			bare = append(bare, id(f))
		}
	}
	return one, bare, nil
}

// duplicateField begins the field of a resource that is one too many.
const duplicateField = "duplicate: "

// duplicateAttribute is the attribute of resources of which one should exist, and several
// do. The others are removed, be one of them that made in this run. EC2 refuses it for
// what is in use after all.
func duplicateAttribute[L any](others func(L) []string, made *string, remove func(ctx context.Context, id *string) error) graph.Attribute[L] {
	return graph.Many(duplicateField, func(live, _ L) []graph.Change {
		return mapped(others(live), func(id string) graph.Change { return graph.Change{Field: id, Have: id} })
	}, graph.SetBy(func(ctx context.Context, changes []graph.Change) error {
		for _, c := range changes {
			id := strings.TrimPrefix(c.Field, duplicateField)
			if err := remove(ctx, &id); err != nil && !notFound(err) {
				return fmt.Errorf("remove %s, which is one too many: %w", id, err)
			}
			if id == *made {
				*made = ""
			}
		}
		return nil
	}))
}

// kind is a kind of resource in the network, by how the ids of the stack's are listed,
// and how one is deleted.
func (n ec2Access) kind(name, plural string, list func(context.Context) ([]*string, error), remove func(ctx context.Context, id *string) error) inventory.Kind {
	return inventory.Kind{
		Service: "ec2", Type: name,
		List: func(ctx context.Context) ([]inventory.Item, error) {
			ids, err := list(ctx)
			if err != nil {
				return nil, fmt.Errorf("list the %s: %w", plural, err)
			}
			var out []inventory.Item
			for _, id := range ids {
				out = append(out, inventory.Item{ID: aws.ToString(id)})
			}
			return out, nil
		},
		Delete: func(ctx context.Context, id string) error { return remove(ctx, &id) },
	}
}
