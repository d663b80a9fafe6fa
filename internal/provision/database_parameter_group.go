package provision

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"

	"github.com/bookctl/bookctl/internal/inventory"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// DBParameterGroup holds the database's settings: TLS is forced.
//
// A group keeps its family for good, and a database of another major version needs one
// of another family. So a stack has two while its database is upgraded: the one that it
// began with, and one that is called after its family. The one that the database had is
// deleted when that has the other and lacks nothing that people have set (see Database).
type DBParameterGroup struct {
	graph.NodeOf[*liveParameters]
	rdsAccess
	family string // "" for any that is there, or else the default version's
	// refused are the groups that RDS did not delete in this run, and why.
	refused map[string]string
	// changed are the parameters that people have set, by group, as this run has read them.
	changed map[string][]string
	// createResponse is what the call answered that created it, until that is looked at.
	createResponse *types.DBParameterGroup
}

func newDBParameterGroup(d rdsAccess, family string) *DBParameterGroup {
	g := &DBParameterGroup{rdsAccess: d, family: family}
	g.NodeOf = graph.Of(g, "db-parameter-group", 5*time.Minute)
	return g
}

func (g *DBParameterGroup) groupName() string {
	if live := g.Last(); live != nil {
		return live.name
	}
	return g.names().DBParameterGroup()
}

// forceTLS is the parameter that refuses connections in the clear. It is on by
// default since PostgreSQL 15, and set all the same, so that it shows:
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/PostgreSQL.Concepts.General.SSL.html
const forceTLS = "rds.force_ssl"

// liveParameters is a parameter group as far as it is compared.
type liveParameters struct {
	// name is that of the group for the family, of those that were found, also where it
	// is not there.
	name             string
	tags             map[string]string
	family, forceTLS string
	// others are the stack's groups of other families.
	others []string // by name
}

// Read looks for the groups by their names, and for the parameter that they are there
// for.
//
// That is asked for by its own name, whatever its source: a parameter that is set
// to its family's default is never one of the source "user"
// (hashicorp/terraform-provider-aws #593, #3182, #23335).
func (g *DBParameterGroup) Read(ctx context.Context) (*liveParameters, graph.State, error) {
	all, err := g.groups(ctx)
	if err != nil {
		return nil, graph.State{}, err
	}
	name, live := g.choose(all)
	if live == nil {
		return &liveParameters{name: name}, absent, nil
	}
	tags, err := g.tagsOf(ctx, live.DBParameterGroupArn)
	if err != nil {
		return nil, graph.State{}, err
	}
	var others []string
	for _, other := range all {
		if aws.ToString(other.DBParameterGroupName) == name {
			continue
		}
		tags, err := g.tagsOf(ctx, other.DBParameterGroupArn)
		if err != nil {
			return nil, graph.State{}, err
		}
		if tags[TagStack] == g.stack {
			others = append(others, aws.ToString(other.DBParameterGroupName))
		}
	}
	st := graph.State{Phase: graph.Ready, ID: aws.ToString(live.DBParameterGroupArn), Owner: tags[TagStack]}
	found := &liveParameters{name: name, tags: tags, family: aws.ToString(live.DBParameterGroupFamily), others: others}
	if g.destroying {
		return found, st, nil
	}
	set, err := g.list(ctx, &rds.DescribeDBParametersInput{
		DBParameterGroupName: &name, Filters: []types.Filter{{Name: aws.String("parameter-name"), Values: []string{forceTLS}}},
	})
	if err != nil {
		return nil, graph.State{}, err
	}
	for _, p := range set {
		if aws.ToString(p.ParameterName) == forceTLS {
			found.forceTLS = aws.ToString(p.ParameterValue)
		}
	}
	return found, st, nil
}

// list lists the parameters of a group that in asks for.
func (g *DBParameterGroup) list(ctx context.Context, in *rds.DescribeDBParametersInput) ([]types.Parameter, error) {
	var out []types.Parameter
	pages := rds.NewDescribeDBParametersPaginator(g.rds, in)
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("describe the parameters of %s: %w", aws.ToString(in.DBParameterGroupName), err)
		}
		out = append(out, page.Parameters...)
	}
	return out, nil
}

// groups are those that can be the stack's by their names.
func (g *DBParameterGroup) groups(ctx context.Context) ([]types.DBParameterGroup, error) {
	if made := g.createResponse; made != nil && len(g.others()) == 0 {
		g.createResponse = nil
		return []types.DBParameterGroup{*made}, nil
	}
	var found []types.DBParameterGroup
	pages := rds.NewDescribeDBParameterGroupsPaginator(g.rds, &rds.DescribeDBParameterGroupsInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("describe the DB parameter groups: %w", err)
		}
		for _, live := range page.DBParameterGroups {
			name := aws.ToString(live.DBParameterGroupName)
			if name == g.names().DBParameterGroup() || name == g.names().DBParameterGroupOf(aws.ToString(live.DBParameterGroupFamily)) {
				found = append(found, live)
			}
		}
	}
	return found, nil
}

// choose returns the name of the group for the wanted family, and that group where it
// is there: the one that is called after the family, or else the stack's first, unless
// that is of another one.
func (g *DBParameterGroup) choose(all []types.DBParameterGroup) (string, *types.DBParameterGroup) {
	first, own := g.names().DBParameterGroup(), g.names().DBParameterGroupOf(g.family)
	var taken bool
	for _, want := range []string{own, first} {
		for i, live := range all {
			if aws.ToString(live.DBParameterGroupName) != want {
				continue
			}
			if g.family == "" || aws.ToString(live.DBParameterGroupFamily) == g.family {
				return want, &all[i]
			}
			taken = true
		}
	}
	switch {
	case g.family == "" && len(all) > 0:
		return aws.ToString(all[0].DBParameterGroupName), &all[0]
	case taken:
		return own, nil
	}
	return first, nil
}

// Wanted implements graph.Shape.
func (g *DBParameterGroup) Wanted(live *liveParameters) *liveParameters {
	return &liveParameters{tags: g.tags(g.Name()), family: cmp.Or(g.family, live.family), forceTLS: "1"}
}

// Attributes implements graph.Shape.
func (g *DBParameterGroup) Attributes() graph.Attributes[*liveParameters] {
	return graph.Attributes[*liveParameters]{
		graph.Field("family", func(l *liveParameters) string { return l.family }, graph.Fixed("a parameter group keeps its family")),
		tagAttribute(func(l *liveParameters) map[string]string { return l.tags }, graph.SetBy(func(ctx context.Context, changes []graph.Change) error {
			return g.retag(ctx, g.ID(), g.Name(), changes)
		})),
		graph.Field(forceTLS, func(l *liveParameters) string { return l.forceTLS }, graph.SetBy(g.setForceTLS)),
	}
}

// Create creates the group with the family's defaults.
func (g *DBParameterGroup) Create(ctx context.Context) (string, error) {
	tags := g.tags(g.Name())
	out, err := g.rds.CreateDBParameterGroup(ctx, &rds.CreateDBParameterGroupInput{
		DBParameterGroupName: aws.String(g.groupName()), DBParameterGroupFamily: aws.String(cmp.Or(g.family, "postgres"+DefaultDBVersion)),
		Description: aws.String("Settings of bookctl stack " + g.stack), Tags: toRDSTags(tags),
	})
	if err != nil {
		return "", fmt.Errorf("create DB parameter group %s: %w", g.groupName(), err)
	}
	arn := aws.ToString(out.DBParameterGroup.DBParameterGroupArn)
	g.rememberTags(arn, tags)
	g.createResponse = out.DBParameterGroup
	return arn, nil
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

// others are the names of the stack's groups of other families, as they were last seen.
func (g *DBParameterGroup) others() []string {
	if live := g.Last(); live != nil {
		return slices.Clone(live.others)
	}
	return nil
}

// changedIn are the names of the parameters that people have set in a group. One that has its
// family's default is not among them.
func (g *DBParameterGroup) changedIn(ctx context.Context, name string) (found []string, err error) {
	if found, read := g.changed[name]; read {
		return found, nil
	}
	set, err := g.list(ctx, &rds.DescribeDBParametersInput{DBParameterGroupName: &name, Source: aws.String("user")})
	if IsCode(err, "DBParameterGroupNotFound") {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for _, p := range set {
		if name := aws.ToString(p.ParameterName); name != forceTLS {
			found = append(found, name)
		}
	}
	if g.changed == nil {
		g.changed = map[string][]string{}
	}
	g.changed[name] = found
	return found, nil
}

// lacks says which parameters that people have set in another group this one lacks; "" for
// none.
func (g *DBParameterGroup) lacks(ctx context.Context, other string) (string, error) {
	theirs, err := g.changedIn(ctx, other)
	if err != nil || len(theirs) == 0 {
		return "", err
	}
	ours, err := g.changedIn(ctx, g.groupName())
	theirs = slices.DeleteFunc(slices.Clone(theirs), func(name string) bool { return slices.Contains(ours, name) })
	if err != nil || len(theirs) == 0 {
		return "", err
	}
	return fmt.Sprintf("%s has no %s, which somebody has set in this one: set it there too; this one costs nothing, and can be deleted by hand",
		g.groupName(), strings.Join(theirs, ", ")), nil
}

// deleteOthers removes the stack's groups of other families that are in free, which the database
// had before it was upgraded. RDS is asked once: it keeps a group as long as an instance has it, and
// that is nothing to wait for.
// https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DeleteDBParameterGroup.html
func (g *DBParameterGroup) deleteOthers(ctx context.Context, free []string) error {
	var kept []string
	for _, name := range g.others() {
		if !slices.Contains(free, name) {
			kept = append(kept, name)
			continue
		}
		err := g.deleteGroup(ctx, name)
		if IsCode(err, "InvalidDBParameterGroupState") {
			if g.refused == nil {
				g.refused = map[string]string{}
			}
			kept, g.refused[name], err = append(kept, name), message(err), nil
		}
		if err != nil {
			return err
		}
	}
	live := *g.Last()
	live.others = kept
	g.Learn(&live)
	return nil
}

// Delete deletes the group, and those of other families.
func (g *DBParameterGroup) Delete(ctx context.Context) error {
	for _, name := range append(g.others(), g.groupName()) {
		if err := g.deleteGroup(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// DeletesSynchronously implements graph.DeletesSynchronously.
func (g *DBParameterGroup) DeletesSynchronously() {}

func (g *DBParameterGroup) deleteGroup(ctx context.Context, name string) error {
	_, err := g.rds.DeleteDBParameterGroup(ctx, &rds.DeleteDBParameterGroupInput{DBParameterGroupName: &name})
	if err != nil && !IsCode(err, "DBParameterGroupNotFound") {
		return fmt.Errorf("delete DB parameter group %s: %w", name, err)
	}
	return nil
}

// parameterGroupKind lists the stack's DB parameter group.
func (d rdsAccess) parameterGroupKind() inventory.Kind {
	return d.foundKind("DB parameter group", newDBParameterGroup(d, ""))
}
