package provision

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/bookctl/bookctl/internal/provision/graph"
)

// revision is a task definition with its tags, or none.
type revision struct {
	live *types.TaskDefinition
	tags map[string]string
}

func (r revision) number() string { return strconv.Itoa(int(r.live.Revision)) }

// revisionToCompare returns the revision to go by: the newest, or the one that serves where
// nothing new has to be registered for it.
func (t *TaskDefinition) revisionToCompare(ctx context.Context, newest revision) (revision, error) {
	needsNewRevision := func(r revision) bool {
		live := liveDefinitionOf(r, newest)
		drift, _ := t.Attributes().Compare(live, t.Wanted(live))
		return NewRelease(drift)
	}
	if t.destroying || newest.tags[TagStack] != t.stack || newest.live.Revision == 1 || !needsNewRevision(newest) {
		return newest, nil
	}
	serving, err := t.serving(ctx)
	if err != nil {
		return newest, err
	}
	if serving.live == nil || serving.tags[TagStack] != t.stack || serving.live.Revision >= newest.live.Revision || needsNewRevision(serving) {
		return newest, nil
	}
	failed, err := t.neverServed(ctx, serving.live.Revision)
	if failed == nil || err != nil {
		return newest, err
	}
	return serving, nil
}

// fieldNewest is the drift that revisions which never served are newer than the
// one that serves and is wanted. What a stack was last given is read from the
// newest, so they have to go.
const fieldNewest = "newest-revision"

// NewRelease reports whether changes of the task definition take another revision.
func NewRelease(changes []graph.Change) bool {
	return slices.ContainsFunc(changes, func(c graph.Change) bool { return c.Field != fieldNewest && !strings.HasPrefix(c.Field, "tag ") })
}

// serving returns the revision that the stack's service runs, or goes back to, or
// none where it has not served yet.
func (t *TaskDefinition) serving(ctx context.Context) (revision, error) {
	live, err := t.service().describe(ctx)
	if live == nil || err != nil {
		return revision{}, err
	}
	def, tags, err := t.describe(ctx, aws.ToString(live.TaskDefinition))
	if err != nil || tags[tagServed] == "" && completed(live) == "" {
		return revision{}, err
	}
	return revision{def, tags}, nil
}

// neverServed returns the ARNs of the stack's revisions that are newer than one,
// or nil where one of them has served: that is a release to go back to.
func (t *TaskDefinition) neverServed(ctx context.Context, than int32) ([]string, error) {
	arns, err := t.list(ctx, types.TaskDefinitionStatusActive)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, arn := range arns {
		live, tags, err := t.describe(ctx, arn)
		switch {
		case err != nil:
			return nil, err
		case live == nil || tags[TagStack] != t.stack:
		case live.Revision <= than:
			return out, nil // the newest come first
		case tags[tagServed] != "":
			return nil, nil
		default:
			out = append(out, arn)
		}
	}
	return out, nil
}

// withdraw deregisters the revisions that are newer than the one that serves.
func (t *TaskDefinition) withdraw(ctx context.Context) error {
	number, err := strconv.Atoi(t.ID()[strings.LastIndexByte(t.ID(), ':')+1:])
	if err != nil {
		return fmt.Errorf("task definition %s has no revision: %w", t.ID(), err)
	}
	arns, err := t.neverServed(ctx, int32(number)) //nolint:gosec // ECS counts in this type
	if err != nil {
		return err
	}
	for _, arn := range arns {
		if err := t.deregister(ctx, arn); err != nil {
			return err
		}
	}
	return nil
}

func (t *TaskDefinition) deregister(ctx context.Context, arn string) error {
	if _, err := t.ecs.DeregisterTaskDefinition(ctx, &ecs.DeregisterTaskDefinitionInput{TaskDefinition: &arn}); err != nil {
		return fmt.Errorf("deregister %s: %w", arn, err)
	}
	return nil
}

// newest returns the newest revision that carries our tags; a family without
// one is answered with its newest revision, whoever made it.
func (t *TaskDefinition) newest(ctx context.Context) (revision, error) {
	return t.observed().definition.readOnce(ctx, t.lookup)
}

func (t *TaskDefinition) lookup(ctx context.Context) (revision, error) {
	live, tags, err := t.describe(ctx, t.family())
	if err != nil {
		return revision{}, err
	}
	if live != nil && tags[TagStack] == t.stack {
		return revision{live, tags}, nil
	}
	statuses := []types.TaskDefinitionStatus{types.TaskDefinitionStatusActive, types.TaskDefinitionStatusInactive}
	if live == nil { // a family is described by its latest active revision
		statuses = statuses[1:]
	}
	for _, status := range statuses {
		arns, err := t.list(ctx, status)
		if err != nil {
			return revision{}, err
		}
		for _, arn := range arns {
			one, its, err := t.describe(ctx, arn)
			if err != nil {
				return revision{}, err
			}
			if one == nil {
				continue
			}
			if its[TagStack] == t.stack {
				return revision{one, its}, nil
			}
			if live == nil {
				live, tags = one, its
			}
		}
	}
	return revision{live, tags}, nil
}

// describe returns a revision, or nil when there is none.
func (t *TaskDefinition) describe(ctx context.Context, name string) (*types.TaskDefinition, map[string]string, error) {
	out, err := t.ecs.DescribeTaskDefinition(ctx, &ecs.DescribeTaskDefinitionInput{
		TaskDefinition: &name, Include: []types.TaskDefinitionField{types.TaskDefinitionFieldTags},
	})
	// ECS has no code of its own for it: "Unable to describe task definition."
	if IsCode(err, "ClientException") && strings.Contains(err.Error(), "Unable to describe task definition") {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("describe task definition %s: %w", name, err)
	}
	if out.TaskDefinition == nil || out.TaskDefinition.Status == types.TaskDefinitionStatusDeleteInProgress {
		return nil, nil, nil
	}
	return out.TaskDefinition, fromECSTags(out.Tags), nil
}

// list returns the ARNs of the family's revisions, newest first.
func (t *TaskDefinition) list(ctx context.Context, status types.TaskDefinitionStatus) ([]string, error) {
	var arns []string
	pages := ecs.NewListTaskDefinitionsPaginator(t.ecs, &ecs.ListTaskDefinitionsInput{
		FamilyPrefix: aws.String(t.family()), Status: status, Sort: types.SortOrderDesc,
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("list task definitions %s: %w", t.family(), err)
		}
		for _, arn := range page.TaskDefinitionArns {
			if strings.Contains(arn, "/"+t.family()+":") {
				arns = append(arns, arn)
			}
		}
	}
	return arns, nil
}
