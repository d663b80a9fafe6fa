package provision

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/inventory"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// rdsAccess is the client and the identity of a stack's RDS resources.
type rdsAccess struct {
	identity
	rds *rds.Client
}

// tagsOf lists the tags of what has no tags in its description.
func (d rdsAccess) tagsOf(ctx context.Context, arn *string) (map[string]string, error) {
	if tags, ok := d.hinted(arn); ok {
		return tags, nil
	}
	out, err := d.rds.ListTagsForResource(ctx, &rds.ListTagsForResourceInput{ResourceName: arn})
	if err != nil {
		return nil, fmt.Errorf("list the tags of %s: %w", aws.ToString(arn), err)
	}
	return fromRDSTags(out.TagList), nil
}

func (d rdsAccess) retag(ctx context.Context, arn, resource string, changes []graph.Change) error {
	return d.retagAs(ctx, arn, resource, d.tags(resource), changes)
}

// retagAs is retag with tags that are not all that the resource is to have.
func (d rdsAccess) retagAs(ctx context.Context, arn, resource string, tags map[string]string, changes []graph.Change) error {
	if drop := d.toDrop(resource, changes); drop != nil {
		if _, err := d.rds.RemoveTagsFromResource(ctx, &rds.RemoveTagsFromResourceInput{ResourceName: &arn, TagKeys: drop}); err != nil {
			return fmt.Errorf("untag %s: %w", arn, err)
		}
	}
	if _, err := d.rds.AddTagsToResource(ctx, &rds.AddTagsToResourceInput{ResourceName: &arn, Tags: toRDSTags(tags)}); err != nil {
		return fmt.Errorf("tag %s: %w", arn, err)
	}
	return nil
}

// DBSubnetGroup names the subnets that the database may live in.
type DBSubnetGroup struct {
	graph.NodeOf[*liveSubnetGroup]
	rdsAccess
	subnets []anySubnet
}

func newDBSubnetGroup(d rdsAccess, linked *ServiceLinkedRole, subnets ...anySubnet) *DBSubnetGroup {
	var needs []graph.Finder
	if linked != nil {
		needs = append(needs, linked)
	}
	for _, s := range subnets {
		needs = append(needs, s)
	}
	g := &DBSubnetGroup{rdsAccess: d, subnets: subnets}
	g.NodeOf = graph.Of(g, "db-subnet-group", 5*time.Minute, needs...)
	return g
}

func (g *DBSubnetGroup) groupName() string { return g.names().DBSubnetGroup() }

// liveSubnetGroup is a subnet group as far as it is compared.
type liveSubnetGroup struct {
	tags    map[string]string
	subnets []string
}

// Read looks the group up by its name.
func (g *DBSubnetGroup) Read(ctx context.Context) (*liveSubnetGroup, graph.State, error) {
	live, err := g.describe(ctx)
	if live == nil || err != nil {
		return nil, absent, err
	}
	tags, err := g.tagsOf(ctx, live.DBSubnetGroupArn)
	if err != nil {
		return nil, graph.State{}, err
	}
	var have []string
	for _, s := range live.Subnets {
		have = append(have, aws.ToString(s.SubnetIdentifier))
	}
	return &liveSubnetGroup{tags: tags, subnets: have}, graph.State{Phase: graph.Ready, ID: aws.ToString(live.DBSubnetGroupArn), Owner: tags[TagStack]}, nil
}

// describe returns the group, or nil. That of an instance that was just observed is described
// with it: https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DBInstance.html
// A destroy reads it all the same: a caller who may not is to learn that before anything is
// touched, and not when that nothing is left is proved.
func (g *DBSubnetGroup) describe(ctx context.Context) (*types.DBSubnetGroup, error) {
	if graph.Observing(ctx) && !g.destroying {
		if live := subnetGroupOf(g.observed().instance.freshValue()); live != nil && aws.ToString(live.DBSubnetGroupName) == g.groupName() {
			return live, nil
		}
	}
	out, err := g.rds.DescribeDBSubnetGroups(ctx, &rds.DescribeDBSubnetGroupsInput{DBSubnetGroupName: aws.String(g.groupName())})
	if IsCode(err, "DBSubnetGroupNotFoundFault") || err == nil && len(out.DBSubnetGroups) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("describe DB subnet group %s: %w", g.groupName(), err)
	}
	return &out.DBSubnetGroups[0], nil
}

// subnetGroupOf returns the group of an instance, with the ARN, which an instance need not have;
// nil where the instance does not describe it.
func subnetGroupOf(db *types.DBInstance) *types.DBSubnetGroup {
	if db == nil || db.DBSubnetGroup == nil || len(db.DBSubnetGroup.Subnets) == 0 {
		return nil
	}
	group := *db.DBSubnetGroup
	if group.DBSubnetGroupArn != nil {
		return &group
	}
	of, err := arn.Parse(aws.ToString(db.DBInstanceArn))
	if err != nil {
		return nil
	}
	of.Resource = "subgrp:" + aws.ToString(group.DBSubnetGroupName)
	group.DBSubnetGroupArn = aws.String(of.String())
	return &group
}

// Wanted implements graph.Shape.
func (g *DBSubnetGroup) Wanted(*liveSubnetGroup) *liveSubnetGroup {
	return &liveSubnetGroup{tags: g.tags(g.Name()), subnets: g.subnetIDs()}
}

// Attributes implements graph.Shape.
func (g *DBSubnetGroup) Attributes() graph.Attributes[*liveSubnetGroup] {
	return graph.Attributes[*liveSubnetGroup]{
		tagAttribute(func(l *liveSubnetGroup) map[string]string { return l.tags }, graph.SetBy(func(ctx context.Context, changes []graph.Change) error {
			return g.retag(ctx, g.ID(), g.Name(), changes)
		})),
		graph.Field("subnets", func(l *liveSubnetGroup) string { return inAnyOrder(l.subnets) }, graph.SetBy(g.setSubnets)),
	}
}

func (g *DBSubnetGroup) subnetIDs() []string {
	var ids []string
	for _, s := range g.subnets {
		ids = append(ids, s.ID())
	}
	return ids
}

// Create creates the group. RDS takes no group without its subnets.
func (g *DBSubnetGroup) Create(ctx context.Context) (string, error) {
	tags := g.tags(g.Name())
	out, err := g.rds.CreateDBSubnetGroup(ctx, &rds.CreateDBSubnetGroupInput{
		DBSubnetGroupName:        aws.String(g.groupName()),
		DBSubnetGroupDescription: aws.String("Subnets of bookctl stack " + g.stack),
		SubnetIds:                g.subnetIDs(),
		Tags:                     toRDSTags(tags),
	})
	if err != nil {
		return "", fmt.Errorf("create DB subnet group %s: %w", g.groupName(), err)
	}
	g.Answer(&liveSubnetGroup{tags: tags, subnets: g.subnetIDs()}, graph.State{Phase: graph.Ready, Owner: g.stack})
	return aws.ToString(out.DBSubnetGroup.DBSubnetGroupArn), nil
}

func (g *DBSubnetGroup) setSubnets(ctx context.Context, _ []graph.Change) error {
	_, err := g.rds.ModifyDBSubnetGroup(ctx, &rds.ModifyDBSubnetGroupInput{DBSubnetGroupName: aws.String(g.groupName()), SubnetIds: g.subnetIDs()})
	if err == nil {
		return nil
	}
	err = fmt.Errorf("set the subnets of DB subnet group %s: %w", g.groupName(), err)
	if IsCode(err, "SubnetAlreadyInUse") {
		return hint.With(err, "name the subnets that are in use in --db-subnets too: RDS moves no database out of one; a snapshot can be restored into another stack, with --stack")
	}
	return err
}

// Delete deletes the group.
func (g *DBSubnetGroup) Delete(ctx context.Context) error {
	_, err := g.rds.DeleteDBSubnetGroup(ctx, &rds.DeleteDBSubnetGroupInput{DBSubnetGroupName: aws.String(g.groupName())})
	if err != nil && !IsCode(err, "DBSubnetGroupNotFoundFault") {
		return fmt.Errorf("delete DB subnet group %s: %w", g.groupName(), err)
	}
	return nil
}

// DeletesSynchronously implements graph.DeletesSynchronously.
func (g *DBSubnetGroup) DeletesSynchronously() {}

// subnetGroupKind lists the stack's DB subnet group.
func (d rdsAccess) subnetGroupKind() inventory.Kind {
	return d.foundKind("DB subnet group", newDBSubnetGroup(d, nil))
}
