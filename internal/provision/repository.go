package provision

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/bookctl/bookctl/internal/inventory"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// Repository holds the stack's images: scanned when pushed, tags immutable, and
// kept as long as lifecycle says.
type Repository struct {
	graph.NodeOf[*liveRepository]
	identity
	ecr     *ecr.Client
	served  servedImages
	created bool // by this run, so that nothing in it serves
}

// lifecycle keeps what served, of which servedImages marks as much as is to be
// kept, and of all the rest what is among the newest.
const lifecycle = `{"rules":[` +
	`{"rulePriority":1,"description":"Keep the images that served: bookctl marks the last 10","selection":{"tagStatus":"tagged","tagPrefixList":["` + servedPrefix + `"],"countType":"imageCountMoreThan","countNumber":100},"action":{"type":"expire"}},` +
	`{"rulePriority":2,"description":"Remove all others but the newest 5","selection":{"tagStatus":"any","countType":"imageCountMoreThan","countNumber":5},"action":{"type":"expire"}}]}`

func newRepository(i identity, client *ecr.Client, served servedImages) *Repository {
	r := &Repository{identity: i, ecr: client, served: served}
	r.NodeOf = graph.Of(r, "repository", 5*time.Minute)
	return r
}

func (r *Repository) repositoryName() string { return r.names().Repository() }

// URI returns the name by which images are pushed and pulled, without a tag, or
// "" before it is known.
func (r *Repository) URI() string {
	if live := r.Last(); live != nil {
		return live.uri
	}
	return ""
}

// liveRepository is a repository as far as it is compared and used.
type liveRepository struct {
	uri       string
	tags      map[string]string
	scan      bool
	mutable   string
	lifecycle string
}

// Read looks the repository up by its name.
func (r *Repository) Read(ctx context.Context) (*liveRepository, graph.State, error) {
	name := r.repositoryName()
	out, err := r.ecr.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{RepositoryNames: []string{name}})
	if IsCode(err, "RepositoryNotFoundException") || err == nil && len(out.Repositories) == 0 {
		return nil, absent, nil
	}
	if err != nil {
		return nil, graph.State{}, fmt.Errorf("describe repository %s: %w", name, err)
	}
	repo := out.Repositories[0]
	tags, hinted := r.hinted(repo.RepositoryArn)
	if !hinted {
		out, err := r.ecr.ListTagsForResource(ctx, &ecr.ListTagsForResourceInput{ResourceArn: repo.RepositoryArn})
		if err != nil {
			return nil, graph.State{}, fmt.Errorf("list the tags of repository %s: %w", name, err)
		}
		tags = toMap(out.Tags, func(t types.Tag) (*string, *string) { return t.Key, t.Value })
	}
	live, st := liveOf(&repo, tags), graph.State{Phase: graph.Ready, ID: aws.ToString(repo.RepositoryArn), Owner: tags[TagStack]}
	if r.destroying {
		return live, st, nil
	}
	policy, err := r.ecr.GetLifecyclePolicy(ctx, &ecr.GetLifecyclePolicyInput{RepositoryName: &name})
	if err != nil && !IsCode(err, "LifecyclePolicyNotFoundException") {
		return nil, graph.State{}, fmt.Errorf("get the lifecycle policy of repository %s: %w", name, err)
	}
	if policy != nil {
		live.lifecycle = aws.ToString(policy.LifecyclePolicyText)
	}
	return live, st, nil
}

// liveOf describes a repository that has no lifecycle.
func liveOf(repo *types.Repository, tags map[string]string) *liveRepository {
	return &liveRepository{
		uri: aws.ToString(repo.RepositoryUri), tags: tags,
		scan:    repo.ImageScanningConfiguration != nil && repo.ImageScanningConfiguration.ScanOnPush,
		mutable: string(repo.ImageTagMutability),
	}
}

// Wanted implements graph.Shape.
func (r *Repository) Wanted(*liveRepository) *liveRepository {
	return &liveRepository{tags: r.tags(r.Name()), scan: true, mutable: string(types.ImageTagMutabilityImmutable), lifecycle: lifecycle}
}

// Attributes implements graph.Shape.
func (r *Repository) Attributes() graph.Attributes[*liveRepository] {
	return graph.Attributes[*liveRepository]{
		tagAttribute(func(l *liveRepository) map[string]string { return l.tags }, graph.SetBy(r.retag)),
		graph.Flag("scan-on-push", func(l *liveRepository) bool { return l.scan }, graph.SetBy(r.setScanning)),
		graph.Field("tag-mutability", func(l *liveRepository) string { return l.mutable }, graph.SetBy(r.setMutability)),
		graph.Field("lifecycle", func(l *liveRepository) string { return l.lifecycle }, graph.SetBy(r.setLifecycle)).
			Same(sameJSON).Shown("keep what served, and the newest 5"),
	}
}

// sameJSON compares documents, since services reformat what they are given.
func sameJSON(a, b string) bool {
	var x, y any
	return json.Unmarshal([]byte(a), &x) == nil && json.Unmarshal([]byte(b), &y) == nil && reflect.DeepEqual(x, y)
}

// Create creates the repository.
func (r *Repository) Create(ctx context.Context) (string, error) {
	tags := r.tags(r.Name())
	out, err := r.ecr.CreateRepository(ctx, &ecr.CreateRepositoryInput{
		RepositoryName:             aws.String(r.repositoryName()),
		ImageScanningConfiguration: &types.ImageScanningConfiguration{ScanOnPush: true},
		ImageTagMutability:         types.ImageTagMutabilityImmutable,
		Tags:                       toECRTags(tags),
	})
	if err != nil {
		return "", fmt.Errorf("create repository %s: %w", r.repositoryName(), err)
	}
	arn := aws.ToString(out.Repository.RepositoryArn)
	r.created = true
	r.rememberTags(arn, tags)
	r.Answer(liveOf(out.Repository, tags), graph.State{Phase: graph.Ready, Owner: r.stack})
	return arn, nil
}

func (r *Repository) failed(what string, err error) error {
	return fmt.Errorf("%s of repository %s: %w", what, r.repositoryName(), err)
}

func (r *Repository) retag(ctx context.Context, changes []graph.Change) error {
	if drop := r.toDrop(r.Name(), changes); drop != nil {
		if _, err := r.ecr.UntagResource(ctx, &ecr.UntagResourceInput{ResourceArn: aws.String(r.ID()), TagKeys: drop}); err != nil {
			return r.failed("remove tags", err)
		}
	}
	if _, err := r.ecr.TagResource(ctx, &ecr.TagResourceInput{ResourceArn: aws.String(r.ID()), Tags: toECRTags(r.tags(r.Name()))}); err != nil {
		return r.failed("set the tags", err)
	}
	return nil
}

func (r *Repository) setScanning(ctx context.Context, _ []graph.Change) error {
	_, err := r.ecr.PutImageScanningConfiguration(ctx, &ecr.PutImageScanningConfigurationInput{
		RepositoryName: aws.String(r.repositoryName()), ImageScanningConfiguration: &types.ImageScanningConfiguration{ScanOnPush: true},
	})
	if err != nil {
		return r.failed("switch on the scanning", err)
	}
	return nil
}

func (r *Repository) setMutability(ctx context.Context, _ []graph.Change) error {
	_, err := r.ecr.PutImageTagMutability(ctx, &ecr.PutImageTagMutabilityInput{
		RepositoryName: aws.String(r.repositoryName()), ImageTagMutability: types.ImageTagMutabilityImmutable,
	})
	if err != nil {
		return r.failed("fix the tags", err)
	}
	return nil
}

func (r *Repository) setLifecycle(ctx context.Context, _ []graph.Change) error {
	if !r.created {
		if err := r.served.keepServing(ctx); err != nil { // or the new rules might take it
			return err
		}
	}
	_, err := r.ecr.PutLifecyclePolicy(ctx, &ecr.PutLifecyclePolicyInput{RepositoryName: aws.String(r.repositoryName()), LifecyclePolicyText: aws.String(lifecycle)})
	if err != nil {
		return r.failed("set the lifecycle", err)
	}
	return nil
}

// Delete deletes the repository with its images.
func (r *Repository) Delete(ctx context.Context) error {
	_, err := r.ecr.DeleteRepository(ctx, &ecr.DeleteRepositoryInput{RepositoryName: aws.String(r.repositoryName()), Force: true})
	if err != nil && !IsCode(err, "RepositoryNotFoundException") {
		return fmt.Errorf("delete repository %s: %w", r.repositoryName(), err)
	}
	return nil
}

// DeletesSynchronously implements graph.DeletesSynchronously.
func (r *Repository) DeletesSynchronously() {}

// UpdatesSynchronously implements graph.UpdatesSynchronously.
func (*Repository) UpdatesSynchronously([]graph.Change) bool { return true }

// repositoryKind lists the stack's image repository.
func (i identity) repositoryKind(client *ecr.Client) inventory.Kind {
	return inventory.Kind{Service: "ecr", Type: "repository", List: func(ctx context.Context) ([]inventory.Item, error) {
		name := i.names().Repository()
		found, err := client.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{RepositoryNames: []string{name}})
		if IsCode(err, "RepositoryNotFoundException") {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("describe repository %s: %w", name, err)
		}
		var out []inventory.Item
		for _, x := range found.Repositories {
			tags, err := client.ListTagsForResource(ctx, &ecr.ListTagsForResourceInput{ResourceArn: x.RepositoryArn})
			if err != nil {
				return out, fmt.Errorf("list the tags of repository %s: %w", name, err)
			}
			for _, t := range tags.Tags {
				if aws.ToString(t.Key) == TagStack && aws.ToString(t.Value) == i.stack {
					out = append(out, inventory.Item{ID: name})
				}
			}
		}
		return out, nil
	}}
}
