// Package tagging is the Resource Groups Tagging API. It has no state: each service
// registers how its own resources are listed and tagged (kernel.Tagger).
package tagging

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	tagapi "github.com/aws/aws-sdk-go-v2/service/resourcegroupstaggingapi"
	"github.com/aws/aws-sdk-go-v2/service/resourcegroupstaggingapi/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
)

// tx is the service within a transaction.
type tx struct{ *kernel.Tx }

// API is the service's operations.
func API() kernel.Service {
	return kernel.Service{
		Model: "resourcegroupstaggingapi", Signing: "tagging", Protocol: kernel.JSON,
		Operations: kernel.Operations(func(t *kernel.Tx) tx { return tx{t} },
			kernel.Op("GetResources", tx.GetResources),
			kernel.Op("GetTagKeys", tx.GetTagKeys),
			kernel.Op("GetTagValues", tx.GetTagValues),
			kernel.Op("TagResources", tx.TagResources),
			kernel.Op("UntagResources", tx.UntagResources),
		),
	}
}

func (a tx) GetResources(in *tagapi.GetResourcesInput) (*tagapi.GetResourcesOutput, error) {
	if a.Faults().TagCrash {
		return nil, &kernel.Error{Status: 500, Code: "InternalServiceException", Message: "The request processing failed because of an unknown error, exception, or failure."}
	}
	if len(in.ResourceARNList) > 0 && (len(in.TagFilters) > 0 || len(in.ResourceTypeFilters) > 0) {
		return nil, kernel.Fail("InvalidParameterException", "ResourceARNList cannot be combined with filters")
	}
	var found []types.ResourceTagMapping
	for _, t := range a.Tagged() {
		if !wanted(in, t) {
			continue
		}
		m := types.ResourceTagMapping{ResourceARN: aws.String(t.ARN)}
		for _, key := range slices.Sorted(maps.Keys(t.Tags)) {
			m.Tags = append(m.Tags, types.Tag{Key: aws.String(key), Value: aws.String(t.Tags[key])})
		}
		found = append(found, m)
	}
	start, size := 0, 50
	if token := aws.ToString(in.PaginationToken); token != "" {
		n, err := strconv.Atoi(token)
		if err != nil || n < 0 || n > len(found) {
			return nil, kernel.Fail("PaginationTokenExpiredException", "The pagination token is not valid")
		}
		start = n
	}
	if in.ResourcesPerPage != nil {
		if size = int(*in.ResourcesPerPage); size < 1 || size > 100 {
			return nil, kernel.Fail("InvalidParameterException", "ResourcesPerPage must be between 1 and 100")
		}
	}
	out := &tagapi.GetResourcesOutput{PaginationToken: aws.String("")}
	if end := start + size; end < len(found) {
		out.ResourceTagMappingList, out.PaginationToken = found[start:end], aws.String(strconv.Itoa(end))
	} else {
		out.ResourceTagMappingList = found[start:]
	}
	return out, nil
}

// wanted reports whether the resource passes all filters: of each tag filter the key,
// with one of its values if it has any.
func wanted(in *tagapi.GetResourcesInput, t kernel.Tagged) bool {
	if len(in.ResourceARNList) > 0 && !slices.Contains(in.ResourceARNList, t.ARN) {
		return false
	}
	if len(in.ResourceTypeFilters) > 0 && !slices.ContainsFunc(in.ResourceTypeFilters, func(kind string) bool {
		return t.Kind() == kind || strings.HasPrefix(t.Kind(), kind+":")
	}) {
		return false
	}
	for _, f := range in.TagFilters {
		value, ok := t.Tags[aws.ToString(f.Key)]
		if !ok || len(f.Values) > 0 && !slices.Contains(f.Values, value) {
			return false
		}
	}
	return true
}

func (a tx) GetTagKeys(*tagapi.GetTagKeysInput) (*tagapi.GetTagKeysOutput, error) {
	keys := map[string]bool{}
	for _, t := range a.Tagged() {
		for key := range t.Tags {
			keys[key] = true
		}
	}
	return &tagapi.GetTagKeysOutput{TagKeys: slices.Sorted(maps.Keys(keys)), PaginationToken: aws.String("")}, nil
}

func (a tx) GetTagValues(in *tagapi.GetTagValuesInput) (*tagapi.GetTagValuesOutput, error) {
	values := map[string]bool{}
	for _, t := range a.Tagged() {
		if value, ok := t.Tags[aws.ToString(in.Key)]; ok {
			values[value] = true
		}
	}
	return &tagapi.GetTagValuesOutput{TagValues: slices.Sorted(maps.Keys(values)), PaginationToken: aws.String("")}, nil
}

// TagResources tags resources of any service through the service's own call, and
// says which ones it could not
// (https://docs.aws.amazon.com/resourcegroupstagging/latest/APIReference/API_TagResources.html).
func (a tx) TagResources(in *tagapi.TagResourcesInput) (*tagapi.TagResourcesOutput, error) {
	if len(in.Tags) == 0 || len(in.Tags) > 50 {
		return nil, kernel.Fail("InvalidParameterException", "Tags must have between 1 and 50 entries")
	}
	failed, err := a.each(in.ResourceARNList, func(arn string) error { return a.retag(arn, in.Tags, nil) })
	return &tagapi.TagResourcesOutput{FailedResourcesMap: failed}, err
}

// UntagResources is the opposite of TagResources.
func (a tx) UntagResources(in *tagapi.UntagResourcesInput) (*tagapi.UntagResourcesOutput, error) {
	if len(in.TagKeys) == 0 || len(in.TagKeys) > 50 {
		return nil, kernel.Fail("InvalidParameterException", "TagKeys must have between 1 and 50 entries")
	}
	failed, err := a.each(in.ResourceARNList, func(arn string) error { return a.retag(arn, nil, in.TagKeys) })
	return &tagapi.UntagResourcesOutput{FailedResourcesMap: failed}, err
}

func (a tx) each(arns []string, change func(arn string) error) (map[string]types.FailureInfo, error) {
	if len(arns) == 0 || len(arns) > 20 {
		return nil, kernel.Fail("InvalidParameterException", "ResourceARNList must have between 1 and 20 entries")
	}
	failed := map[string]types.FailureInfo{}
	for _, arn := range arns {
		if err := change(arn); err != nil {
			info := types.FailureInfo{ErrorCode: types.ErrorCodeInvalidParameterException, ErrorMessage: aws.String(err.Error()), StatusCode: 400}
			var said *kernel.Error
			if errors.As(err, &said) {
				info.ErrorMessage = aws.String(said.Message)
			}
			failed[arn] = info
		}
	}
	return failed, nil
}

// retag adds tags to a resource, or takes some away.
func (a tx) retag(arn string, add map[string]string, remove []string) error {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) < 6 {
		return kernel.Fail("InvalidParameterException", "The ARN %s is not valid", arn)
	}
	tagger, ok := a.Tagger(parts[2])
	if !ok {
		return kernel.Fail("InvalidParameterException", "The service %s is not served by the local cloud's tagging API", parts[2])
	}
	if len(add) > 0 {
		return tagger.Add(a.Tx, arn, add)
	}
	return tagger.Remove(a.Tx, arn, remove)
}
