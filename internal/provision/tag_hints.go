package provision

import (
	"context"
	"iter"
	"maps"
	"slices"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	tagapi "github.com/aws/aws-sdk-go-v2/service/resourcegroupstaggingapi"
	"github.com/aws/aws-sdk-go-v2/service/resourcegroupstaggingapi/types"
)

// PreloadTags reads the tags of many resources with one call, so that the next read of the
// stack does not ask each service for the tags of each resource. It is for reads that no change
// follows, such as a status.
//
// The tagging API lags behind the services, and lists what is gone
// (https://github.com/aws/aws-sdk/issues/676). So its tags are used only if
// they are as they should be: else the service itself is asked. It is no failure if the
// tagging API can't be called.
func (d *Deployed) PreloadTags(ctx context.Context, client *tagapi.Client, stack string) {
	d.hints = map[string]map[string]string{}
	for arn, tags := range taggedThings(ctx, client, types.TagFilter{Key: aws.String(TagStack), Values: []string{stack}}) {
		d.hints[arn] = tags
	}
}

// taggedThings yields, by ARN, the tags of what the tagging API lists with a tag,
// of some types or of all. Where the API can't be asked it ends early.
func taggedThings(ctx context.Context, client *tagapi.Client, filter types.TagFilter, kinds ...string) iter.Seq2[string, map[string]string] {
	return func(yield func(string, map[string]string) bool) {
		pages := tagapi.NewGetResourcesPaginator(client, &tagapi.GetResourcesInput{
			TagFilters: []types.TagFilter{filter}, ResourceTypeFilters: kinds, ResourcesPerPage: aws.Int32(100),
		})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx, func(o *tagapi.Options) { o.Retryer = aws.NopRetryer{} })
			if err != nil {
				return
			}
			for _, r := range page.ResourceTagMappingList {
				if !yield(aws.ToString(r.ResourceARN), toMap(r.Tags, func(t types.Tag) (*string, *string) { return t.Key, t.Value })) {
					return
				}
			}
		}
	}
}

// tagHints are tags that are known already, by ARN: those that PreloadTags read, and those
// that this run has made resources with.
type tagHints struct {
	mu sync.Mutex
	by map[string]map[string]string
}

func newTagHints(read map[string]map[string]string) *tagHints {
	h := &tagHints{by: map[string]map[string]string{}}
	maps.Copy(h.by, read)
	return h
}

// rememberTags notes tags that this run has given to a resource with the call that made it, or
// since.
func (i identity) rememberTags(arn string, tags map[string]string) {
	if i.hints == nil {
		return
	}
	i.hints.mu.Lock()
	defer i.hints.mu.Unlock()
	all := maps.Clone(i.hints.by[arn])
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, tags)
	i.hints.by[arn] = all
}

// hinted returns the tags of a resource of the stack, if they are known to be what
// they should be.
func (i identity) hinted(arn *string) (map[string]string, bool) {
	if i.hints == nil {
		return nil, false
	}
	i.hints.mu.Lock()
	tags, ok := i.hints.by[aws.ToString(arn)]
	i.hints.mu.Unlock()
	return tags, ok && tags[TagStack] == i.stack && len(tagDrift(tags, i.tags(tags[TagResource]))) == 0
}

// allHinted is hinted for several resources at once.
func (i identity) allHinted(arns []string) (map[string]map[string]string, bool) {
	all := map[string]map[string]string{}
	return all, len(arns) > 0 && !slices.ContainsFunc(arns, func(arn string) bool {
		tags, ok := i.hinted(&arn)
		all[arn] = tags
		return !ok
	})
}
