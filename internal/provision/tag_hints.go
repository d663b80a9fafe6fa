package provision

import (
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	tagapi "github.com/aws/aws-sdk-go-v2/service/resourcegroupstaggingapi"
	"github.com/aws/aws-sdk-go-v2/service/resourcegroupstaggingapi/types"
)

// HintTags lets the next look at the stack take the tags of many things from one
// call, where it would ask each service for each thing's. It is for a look that
// nothing is changed upon, such as a status.
//
// The tagging API lags behind the services, and lists what is gone
// (https://github.com/aws/aws-sdk/issues/676). So its word counts only where it
// is that everything is as it should be: whatever it misses, or tells otherwise,
// the service itself is asked. That it can't be asked at all is no failure.
func (d *Deployed) HintTags(ctx context.Context, client *tagapi.Client, stack string) {
	var found []types.ResourceTagMapping
	pages := tagapi.NewGetResourcesPaginator(client, &tagapi.GetResourcesInput{
		TagFilters: []types.TagFilter{{Key: aws.String(TagStack), Values: []string{stack}}}, ResourcesPerPage: aws.Int32(100),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx, func(o *tagapi.Options) { o.Retryer = aws.NopRetryer{} })
		if err != nil {
			break
		}
		found = append(found, page.ResourceTagMappingList...)
	}
	d.seen.tags = map[string]map[string]string{}
	for _, r := range found {
		d.seen.tags[aws.ToString(r.ResourceARN)] = readTags(r.Tags, func(t types.Tag) (*string, *string) { return t.Key, t.Value })
	}
}

// hinted returns the tags of a thing of the stack, if they are known to be what
// they should be.
func (i identity) hinted(arn *string) (map[string]string, bool) {
	tags, ok := i.hints[aws.ToString(arn)]
	return tags, ok && tags[TagStack] == i.stack && len(tagDrift(tags, i.tags(tags[TagResource]))) == 0
}

// allHinted is hinted for several things at once.
func (i identity) allHinted(arns []string) (map[string]map[string]string, bool) {
	all := map[string]map[string]string{}
	return all, len(arns) > 0 && !slices.ContainsFunc(arns, func(arn string) bool {
		tags, ok := i.hinted(&arn)
		all[arn] = tags
		return !ok
	})
}
