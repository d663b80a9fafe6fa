package provision

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"

	"github.com/bookctl/bookctl/internal/inventory"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// DBParameterGroup holds the database's settings: TLS is forced.
type DBParameterGroup struct {
	graph.NodeOf[liveParameters]
	databases
	family string // "" for any that is there, or else the default version's
}

func newDBParameterGroup(d databases, family string) *DBParameterGroup {
	g := &DBParameterGroup{databases: d, family: family}
	g.NodeOf = graph.Of(g, "db-parameter-group", 5*time.Minute)
	return g
}

func (g *DBParameterGroup) groupName() string { return g.names().DBParameterGroup() }

// forceTLS is the parameter that refuses connections in the clear. It is on by
// default since PostgreSQL 15, and set all the same, so that it shows:
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/PostgreSQL.Concepts.General.SSL.html
const forceTLS = "rds.force_ssl"

// liveParameters is a parameter group as far as it is compared.
type liveParameters struct {
	tags             map[string]string
	family, forceTLS string
}

// Read looks the group up by its name, and the parameter that it is there for.
//
// That is asked for by its own name, whatever its source: a parameter that is set
// to its family's default is never one of the source "user"
// (hashicorp/terraform-provider-aws #593, #3182, #23335).
func (g *DBParameterGroup) Read(ctx context.Context) (*liveParameters, graph.State, error) {
	name := aws.String(g.groupName())
	out, err := g.rds.DescribeDBParameterGroups(ctx, &rds.DescribeDBParameterGroupsInput{DBParameterGroupName: name})
	if isCode(err, "DBParameterGroupNotFound") || err == nil && len(out.DBParameterGroups) == 0 {
		return nil, absent, nil
	}
	if err != nil {
		return nil, graph.State{}, fmt.Errorf("describe DB parameter group %s: %w", *name, err)
	}
	live := out.DBParameterGroups[0]
	tags, err := g.tagsOf(ctx, live.DBParameterGroupArn)
	if err != nil {
		return nil, graph.State{}, err
	}
	tls := ""
	pages := rds.NewDescribeDBParametersPaginator(g.rds, &rds.DescribeDBParametersInput{
		DBParameterGroupName: name, Filters: []types.Filter{{Name: aws.String("parameter-name"), Values: []string{forceTLS}}},
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, graph.State{}, fmt.Errorf("describe the parameters of %s: %w", *name, err)
		}
		for _, p := range page.Parameters {
			if aws.ToString(p.ParameterName) == forceTLS {
				tls = aws.ToString(p.ParameterValue)
			}
		}
	}
	return &liveParameters{tags: tags, family: aws.ToString(live.DBParameterGroupFamily), forceTLS: tls},
		graph.State{Phase: graph.Ready, ID: aws.ToString(live.DBParameterGroupArn), Owner: tags[TagStack]}, nil
}

// Wanted implements graph.Shape.
func (g *DBParameterGroup) Wanted(live *liveParameters) *liveParameters {
	return &liveParameters{tags: g.tags(g.Name()), family: cmp.Or(g.family, live.family), forceTLS: "1"}
}

// Attributes implements graph.Shape.
func (g *DBParameterGroup) Attributes() graph.Attributes[liveParameters] {
	return graph.Attributes[liveParameters]{
		graph.Field("family", func(l *liveParameters) string { return l.family }, graph.SetBy(g.replace)),
		tagAttribute(func(l *liveParameters) map[string]string { return l.tags }, graph.SetBy(func(ctx context.Context, _ []graph.Change) error {
			return g.retag(ctx, g.ID(), g.Name())
		})),
		graph.Field(forceTLS, func(l *liveParameters) string { return l.forceTLS }, graph.SetBy(g.setForceTLS)),
	}
}

// Create makes the group with the family's defaults.
func (g *DBParameterGroup) Create(ctx context.Context) (string, error) {
	out, err := g.rds.CreateDBParameterGroup(ctx, &rds.CreateDBParameterGroupInput{
		DBParameterGroupName: aws.String(g.groupName()), DBParameterGroupFamily: aws.String(cmp.Or(g.family, "postgres"+DefaultDBVersion)),
		Description: aws.String("Settings of bookctl stack " + g.stack), Tags: rdsTags(g.tags(g.Name())),
	})
	if err != nil {
		return "", fmt.Errorf("create DB parameter group %s: %w", g.groupName(), err)
	}
	return aws.ToString(out.DBParameterGroup.DBParameterGroupArn), nil
}

// replace makes the group anew. One keeps its family for good, so one of another major
// version is replaced: it is left of a database that is gone, since one that is there
// has a version of the group's family, and RDS deletes no group in use.
func (g *DBParameterGroup) replace(ctx context.Context, _ []graph.Change) error {
	if err := g.Delete(ctx); err != nil {
		return err
	}
	if _, err := g.Create(ctx); err != nil {
		return err
	}
	return g.setForceTLS(ctx, nil)
}

// setForceTLS sets a parameter that is dynamic: it takes effect without a reboot.
func (g *DBParameterGroup) setForceTLS(ctx context.Context, _ []graph.Change) error {
	_, err := g.rds.ModifyDBParameterGroup(ctx, &rds.ModifyDBParameterGroupInput{
		DBParameterGroupName: aws.String(g.groupName()),
		Parameters: []types.Parameter{{
			ParameterName: aws.String(forceTLS), ParameterValue: aws.String("1"), ApplyMethod: types.ApplyMethodImmediate,
		}},
	})
	if err != nil {
		return fmt.Errorf("force TLS in DB parameter group %s: %w", g.groupName(), err)
	}
	return nil
}

// Delete removes the group.
func (g *DBParameterGroup) Delete(ctx context.Context) error {
	_, err := g.rds.DeleteDBParameterGroup(ctx, &rds.DeleteDBParameterGroupInput{DBParameterGroupName: aws.String(g.groupName())})
	if err != nil && !isCode(err, "DBParameterGroupNotFound") {
		return fmt.Errorf("delete DB parameter group %s: %w", g.groupName(), err)
	}
	return nil
}

// parameterGroupKind lists the stack's DB parameter group.
func (d databases) parameterGroupKind() inventory.Kind {
	return d.foundKind("DB parameter group", newDBParameterGroup(d, "postgres"+DefaultDBVersion))
}
