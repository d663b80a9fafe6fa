package provision

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/bookctl/bookctl/internal/naming"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// tagServed is on a task definition whose rollout was completed. ECS keeps no
// such record with it, and a revision that never became healthy looks like any
// other: without the tag, going back could go to one that failed.
const tagServed = "bookctl:served"

// tagRolledBack is on a task definition that a rollback made, and names the
// revision that was left.
const tagRolledBack = "bookctl:rolled-back-from"

// tagRelease is on a task definition that a rollback made, and names the
// revision of the release that it repeats: the revision itself is new, and what
// it runs is not.
const tagRelease = "bookctl:release"

// Release is one revision of the stack's task definition.
type Release struct {
	Revision int32 `json:"revision"`
	// Image is the reference that its tasks run.
	Image   string    `json:"image"`
	Created time.Time `json:"created"`
	// Served reports whether its rollout was completed once.
	Served bool `json:"served"`
	// Serving reports whether it is what the service runs, or is rolling out.
	Serving bool `json:"serving"`
	// Repeats is the revision of the release that a rollback made this one of; 0
	// for one that no rollback made.
	Repeats int32 `json:"repeats,omitempty"`
	// Left is the revision that the rollback went back from; 0 likewise.
	Left int32 `json:"left,omitempty"`
	// RegistrySecret is Settings.RegistrySecret of it.
	RegistrySecret string `json:"-"`

	definition revision
	// apart reports whether its tasks know no database of the stack.
	apart bool
	// Gone reports whether its image is no longer in the stack's repository.
	Gone bool `json:"gone,omitempty"`
}

// Contract lays over settings how the release's tasks are run, and its image. A setting
// that the release does not record was at its default.
func (r Release) Contract(s *Settings) {
	s.Image, s.RegistrySecret = r.Image, r.RegistrySecret
	if r.definition.live == nil {
		return
	}
	for _, row := range Table() {
		if row.ofRelease() {
			row.Value.Reset(s)
		}
	}
	s.readRelease(r.definition.live, r.definition.tags, r.Image)
	s.readEnvironment(container(r.definition.live))
}

// Since is what changes when the tasks of another release are replaced by those of this
// one. Of variables it has the names alone.
func (r Release) Since(other Release) []graph.Change {
	have, want := DefaultSettings(), DefaultSettings()
	have.NoDatabase, want.NoDatabase = other.apart, r.apart
	other.Contract(&have)
	r.Contract(&want)
	var out []graph.Change
	add := func(field, have, want string) {
		if have != want {
			out = append(out, graph.Change{Field: field, Have: have, Want: want})
		}
	}
	for _, row := range Table() {
		if row.ofRelease() {
			add(row.Flag, row.Value.Format(have), row.Value.Format(want))
		}
	}
	for _, kind := range []struct {
		name       string
		have, want map[string]string
	}{{"environment ", have.Env.Map(), want.Env.Map()}, {"secret ", have.Secrets.Map(), want.Secrets.Map()}} {
		all := maps.Clone(kind.have)
		maps.Copy(all, kind.want)
		for _, name := range slices.Sorted(maps.Keys(all)) {
			before, had := kind.have[name]
			after, has := kind.want[name]
			switch {
			case !had:
				add(kind.name+name, "", "a value")
			case !has:
				add(kind.name+name, "a value", "")
			case before != after:
				add(kind.name+name, "a value", "another value")
			}
		}
	}
	return out
}

// mostReleases is how far back Releases looks from the one that serves: the
// repository keeps the images of ten.
const mostReleases = 20

// Releases lists the newest releases of a stack, the newest first. It makes
// reads only.
func Releases(ctx context.Context, c Clients, stack string) ([]Release, error) {
	if err := naming.CheckStack(stack); err != nil {
		return nil, err
	}
	in := ecsAccess{identity: identity{stack: stack}, ecs: c.ECS}
	out, err := in.releases(ctx)
	if err != nil {
		return nil, err
	}
	repository := servedImages{ecsAccess: in, ecr: c.ECR}
	images, err := repository.all(ctx)
	if err != nil {
		return nil, err
	}
	for i, r := range out {
		_, digest, own := strings.Cut(r.Image, "/"+repository.repositoryName()+"@")
		out[i].Gone = own && !slices.ContainsFunc(images, func(d ecrtypes.ImageDetail) bool { return aws.ToString(d.ImageDigest) == digest })
	}
	return out, nil
}

// releases are those that Releases lists, without a look at their images.
func (c ecsAccess) releases(ctx context.Context) ([]Release, error) {
	live, err := c.service().describe(ctx)
	if err != nil {
		return nil, err
	}
	t := TaskDefinition{ecsAccess: c}
	arns, err := t.list(ctx, types.TaskDefinitionStatusActive)
	if err != nil {
		return nil, err
	}
	serving := 0 // behind any number of releases that failed
	if live != nil {
		serving = max(0, slices.Index(arns, aws.ToString(live.TaskDefinition)))
	}
	arns = arns[:min(len(arns), serving+mostReleases)]
	var (
		all  = make([]*Release, len(arns))
		each graph.Group
	)
	for i, arn := range arns {
		each.Go(func() error {
			def, tags, err := t.describe(ctx, arn)
			if err != nil || def == nil || tags[TagStack] != c.stack {
				return err
			}
			r := releaseOf(revision{def, tags})
			r.apart = !c.opensDatabase(container(def))
			if live != nil && aws.ToString(live.TaskDefinition) == arn {
				r.Serving = true
				r.Served = r.Served || completed(live) == arn
			}
			all[i] = &r
			return nil
		})
	}
	err = each.Wait()
	var out []Release
	for _, r := range all {
		if r != nil {
			out = append(out, *r)
		}
	}
	return out, err
}

// releaseOf is a release as far as its definition records it.
func releaseOf(r revision) Release {
	return Release{
		Revision: r.live.Revision, Created: aws.ToTime(r.live.RegisteredAt), Image: imageOf(r.live), Served: r.tags[tagServed] != "",
		Repeats: tagNumber(r.tags, tagRelease, 0), Left: tagNumber(r.tags, tagRolledBack, 0), RegistrySecret: registrySecretOf(container(r.live)),
		definition: r,
	}
}

// formerNeeds is what a role has to allow in addition, for the tasks of the releases that the
// service runs, or is leaving: each of them may have to be started again. May returns what a
// role allows for a release, and have is what it allows for the wanted one.
func (c ecsAccess) formerNeeds(ctx context.Context, wanted Settings, may func(Settings, string) []statement, have []statement) (formerNeed, error) {
	live, err := c.ownService(ctx)
	if live == nil || err != nil {
		return formerNeed{}, err
	}
	arns := []string{aws.ToString(live.TaskDefinition)}
	for _, d := range live.Deployments {
		if arn := aws.ToString(d.TaskDefinition); arn != "" && !slices.Contains(arns, arn) {
			arns = append(arns, arn)
		}
	}
	var out formerNeed
	for _, arn := range arns {
		r, err := c.deployed(ctx, arn)
		if err != nil {
			return formerNeed{}, err
		}
		if r.live == nil || r.tags[TagStack] != c.stack {
			continue
		}
		settings, release := wanted, releaseOf(r)
		release.Contract(&settings)
		out.statements = append(out.statements, notCovered(may(settings, release.Image), slices.Concat(have, out.statements))...)
		for _, policy := range IDList(policiesFromText(r.tags[tagTaskPolicies])) {
			if !slices.Contains(wanted.taskPolicies(), policy) && !slices.Contains(out.policies, policy) {
				out.policies = append(out.policies, policy)
			}
		}
	}
	return out, nil
}

// imageOf is what the books container of a definition runs.
func imageOf(def *types.TaskDefinition) string {
	return aws.ToString(container(def).Image)
}

// container is the books container of a definition.
func container(def *types.TaskDefinition) types.ContainerDefinition {
	for _, k := range def.ContainerDefinitions {
		if aws.ToString(k.Name) == containerName {
			return k
		}
	}
	return types.ContainerDefinition{}
}

// opensDatabase reports whether a container gets the password of the stack's database.
func (c ecsAccess) opensDatabase(d types.ContainerDefinition) bool {
	return slices.ContainsFunc(d.Secrets, func(s types.Secret) bool {
		return strings.Contains(aws.ToString(s.ValueFrom), ":secret:"+c.names().Secret()+"-")
	})
}

// completed returns the task definition whose rollout the service has
// completed and still has in the first place, or "".
func completed(live *types.Service) string {
	p := newestDeployment(live)
	if p == nil || p.RolloutState != types.DeploymentRolloutStateCompleted {
		return ""
	}
	return aws.ToString(p.TaskDefinition)
}

// markServed notes on the release that is about to be replaced that it has
// served, if it has. It is a help for a later rollback and no reason to stop a
// rollout: a revision that takes no tags any more is let be.
func (s *Service) markServed(ctx context.Context) error {
	live := s.lastService()
	if live == nil {
		return nil
	}
	arn := completed(live)
	if arn == "" || arn == s.definition.ID() {
		return nil
	}
	_, err := s.ecs.TagResource(ctx, &ecs.TagResourceInput{ResourceArn: &arn, Tags: toECSTags(map[string]string{tagServed: "true"})})
	if err != nil && !IsCode(err, "InvalidParameterException", "ClientException", "ResourceNotFoundException") {
		return fmt.Errorf("note on %s that it has served: %w", nameInARN(arn), err)
	}
	return nil
}

// ErrNeverServed is wrapped by the error of RollbackTarget when the newest
// release is not the one that serves, so that the one before serves already.
var ErrNeverServed = errors.New("never served")

// ErrOldest is wrapped by the error of RollbackTarget when there is no older
// release to go back to.
var ErrOldest = errors.New("is the oldest release of this stack that is left")

// RollbackTarget chooses the release to go back to from what Releases returned:
// the revision that is asked for, or for 0 the one that served before what serves
// now and differs from it in anything. What a rollback left is not among them, so that one
// rollback after another goes further and further back, and never forward; nor is
// one whose image is gone. With ErrNeverServed and ErrOldest it returns what serves.
func RollbackTarget(releases []Release, revision int32) (Release, error) {
	at := slices.IndexFunc(releases, func(r Release) bool { return r.Serving })
	if at < 0 {
		return Release{}, errors.New("no release serves, so there is nothing to roll back")
	}
	serving := releases[at]
	if revision != 0 {
		i := slices.IndexFunc(releases, func(r Release) bool { return r.Revision == revision })
		switch {
		case i < 0:
			return Release{}, fmt.Errorf("there is no revision %d; the revisions are %s", revision, revisions(releases))
		case releases[i].Gone:
			return Release{}, fmt.Errorf("the image of revision %d is no longer in the repository, which keeps the last %d that served; what is left: %s", revision, mostServed, revisions(releases))
		}
		return releases[i], nil
	}
	if at > 0 && !releases[0].Served && releases[0].Since(serving) != nil {
		return serving, fmt.Errorf("revision %d %w", releases[0].Revision, ErrNeverServed)
	}
	line := lineage(releases[at:])
	for _, r := range slices.Backward(line[:len(line)-1]) {
		if !r.Gone {
			return r, nil
		}
	}
	switch {
	case len(line) > 1:
		return serving, fmt.Errorf("the images of the releases before revision %d are no longer in the repository: it %w", line[len(line)-1].Revision, ErrOldest)
	case line[0].Revision != cmp.Or(serving.Repeats, serving.Revision):
		return serving, fmt.Errorf("revision %d is as revision %d, which %w", serving.Revision, line[0].Revision, ErrOldest)
	}
	return serving, fmt.Errorf("revision %d %w", line[0].Revision, ErrOldest)
}

// lineage is what led to the newest of the releases: each that served, the first
// of them first, without those that a rollback left. Of releases in a row that differ in
// nothing that could be gone back to, as those of two versions of bookctl, the first
// counts.
func lineage(releases []Release) []Release {
	var line []Release
	for _, r := range slices.Backward(releases) {
		if !r.Served && !r.Serving {
			continue
		}
		if i := slices.IndexFunc(line, func(old Release) bool { return old.Revision == r.Repeats }); i >= 0 {
			line = line[:i+1]
			continue
		}
		if len(line) == 0 || r.Since(line[len(line)-1]) != nil {
			line = append(line, r)
		}
	}
	return line
}

func revisions(releases []Release) string {
	var out []string
	for _, r := range releases {
		if !r.Gone {
			out = append(out, fmt.Sprint(r.Revision))
		}
	}
	return strings.Join(out, ", ")
}
