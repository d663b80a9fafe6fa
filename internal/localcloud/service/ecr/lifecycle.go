package ecr

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
	"github.com/bookctl/bookctl/internal/localcloud/registry"
	"github.com/bookctl/bookctl/internal/sorted"
)

// lifecyclePolicy is as in
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/lifecycle_policy_parameters.html,
// but for what moves images into the archive.
type lifecyclePolicy struct {
	Rules []lifecycleRule `json:"rules"`
}

type lifecycleRule struct {
	RulePriority int    `json:"rulePriority"`
	Description  string `json:"description"`
	Selection    struct {
		TagStatus      string   `json:"tagStatus"`
		TagPrefixList  []string `json:"tagPrefixList"`
		TagPatternList []string `json:"tagPatternList"`
		CountType      string   `json:"countType"`
		CountUnit      string   `json:"countUnit"`
		CountNumber    int      `json:"countNumber"`
	} `json:"selection"`
	Action struct {
		Type string `json:"type"`
	} `json:"action"`
}

// mostWildcards is how many there may be in a pattern.
const mostWildcards = 4

func parseLifecycle(text string) (lifecyclePolicy, error) {
	var p lifecyclePolicy
	bad := func(format string, args ...any) (lifecyclePolicy, error) {
		return p, kernel.Fail("InvalidParameterException", "Invalid parameter at 'LifecyclePolicyText' failed to satisfy constraint: 'Lifecycle policy validation failure: %s'", fmt.Sprintf(format, args...))
	}
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		return bad("string is not valid JSON")
	}
	if len(p.Rules) == 0 {
		return bad(`object has missing required properties (["rules"])`)
	}
	sorted.By(p.Rules, func(x, y lifecycleRule) int { return cmp.Compare(x.RulePriority, y.RulePriority) })
	seen, selected := map[int]bool{}, map[string]bool{}
	for i, r := range p.Rules {
		s := r.Selection
		tagged := len(s.TagPrefixList)+len(s.TagPatternList) > 0
		selection := fmt.Sprint(s.TagStatus, s.TagPrefixList, s.TagPatternList)
		switch {
		case r.RulePriority < 1:
			return bad("rulePriority: numeric instance is lower than the required minimum (minimum: 1, found: %d)", r.RulePriority)
		case seen[r.RulePriority]:
			return bad("Rule priorities must be unique: %d", r.RulePriority)
		case !slices.Contains([]string{"tagged", "untagged", "any"}, s.TagStatus):
			return bad(`instance value ("%s") not found in enum (possible values: ["any","tagged","untagged"])`, s.TagStatus)
		case s.TagStatus == "tagged" && !tagged:
			return bad("tagged selection needs tagPrefixList or tagPatternList")
		case s.TagStatus != "tagged" && tagged:
			return bad("tagPrefixList and tagPatternList go with tagStatus tagged only")
		case len(s.TagPrefixList) > 0 && len(s.TagPatternList) > 0:
			return bad("tagPrefixList and tagPatternList exclude each other")
		case slices.ContainsFunc(s.TagPatternList, func(p string) bool { return strings.Count(p, "*") > mostWildcards }):
			return bad("a tag pattern has more than %d wildcards", mostWildcards)
		case s.TagStatus == "any" && i < len(p.Rules)-1:
			return bad("the rule with tagStatus any must have the highest value for rulePriority")
		case selected[selection]:
			return bad("two rules select the same images: %s", selection)
		case s.CountType == "sinceImagePushed" && s.CountUnit != "days", s.CountType == "imageCountMoreThan" && s.CountUnit != "":
			return bad("countUnit goes with countType sinceImagePushed and is days")
		case s.CountType != "imageCountMoreThan" && s.CountType != "sinceImagePushed":
			return bad(`instance value ("%s") not found in enum (possible values: ["imageCountMoreThan","sinceImagePushed"])`, s.CountType)
		case s.CountNumber < 1:
			return bad("countNumber: numeric instance is lower than the required minimum (minimum: 1, found: %d)", s.CountNumber)
		case r.Action.Type != "expire":
			return bad(`instance value ("%s") not found in enum (possible values: ["expire"])`, r.Action.Type)
		}
		seen[r.RulePriority], selected[selection] = true, true
	}
	return p, nil
}

// selects goes by the tags. Of several prefixes or patterns, each must fit one
// of the image's tags.
func (r lifecycleRule) selects(image registry.Image) bool {
	switch r.Selection.TagStatus {
	case "untagged":
		return len(image.Tags) == 0
	case "any":
		return true
	}
	has := func(fits func(tag string) bool) bool { return slices.ContainsFunc(image.Tags, fits) }
	for _, prefix := range r.Selection.TagPrefixList {
		if !has(func(tag string) bool { return strings.HasPrefix(tag, prefix) }) {
			return false
		}
	}
	for _, pattern := range r.Selection.TagPatternList {
		if !has(func(tag string) bool { return kernel.Wildcard(pattern, tag) }) {
			return false
		}
	}
	return true
}

// expired are the digests that a policy takes of a repository's images
// (https://docs.aws.amazon.com/AmazonECR/latest/userguide/LifecyclePolicies.html#lp_evaluation_rules):
// each rule counts all images that it selects, also those that another one takes,
// and takes none that a rule of higher priority selects. An image that an index
// refers to stays as long as that.
func (p lifecyclePolicy) expired(images []registry.Image, tooOld func(image registry.Image, days int) bool) []string {
	inIndex := registry.Referenced(images)
	images = slices.DeleteFunc(slices.Clone(images), func(i registry.Image) bool { return inIndex[i.Digest] })
	slices.Reverse(images) // the newest first, also of one moment
	sorted.By(images, func(x, y registry.Image) int { return y.Pushed.Compare(x.Pushed) })
	var out []string
	kept := map[string]bool{} // by an earlier rule, or taken by it
	for _, rule := range p.Rules {
		var selected []string
		for _, image := range images {
			if !rule.selects(image) {
				continue
			}
			selected = append(selected, image.Digest)
			n := rule.Selection.CountNumber
			over := len(selected) > n
			if rule.Selection.CountType == "sinceImagePushed" {
				over = tooOld(image, n)
			}
			if over && !kept[image.Digest] {
				out = append(out, image.Digest)
			}
		}
		for _, digest := range selected {
			kept[digest] = true
		}
	}
	return out
}

// expire applies a repository's policy.
func (a tx) expire(r *repository) {
	if r.Lifecycle == "" {
		return
	}
	policy, err := parseLifecycle(r.Lifecycle)
	if err != nil {
		return // checked when it was put
	}
	r.Evaluated = a.Now()
	gone := policy.expired(a.registry.Images(r.Name), func(image registry.Image, days int) bool {
		return image.Pushed.Before(a.Now().AddDate(0, 0, -days))
	})
	for _, digest := range gone {
		if _, err := a.registry.Delete(r.Name, digest); err != nil {
			a.Log().Error("an expired image could not be removed", "repository", r.Name, "error", err)
		}
	}
}

// PutLifecyclePolicy sets the policy and applies it.
func (a tx) PutLifecyclePolicy(in *ecr.PutLifecyclePolicyInput) (*ecr.PutLifecyclePolicyOutput, error) {
	r, err := a.repository(in.RepositoryName)
	if err != nil {
		return nil, err
	}
	if _, err := parseLifecycle(aws.ToString(in.LifecyclePolicyText)); err != nil {
		return nil, err
	}
	r.Lifecycle = aws.ToString(in.LifecyclePolicyText)
	a.expire(r)
	return &ecr.PutLifecyclePolicyOutput{RegistryId: aws.String(a.Account()), RepositoryName: aws.String(r.Name), LifecyclePolicyText: aws.String(r.Lifecycle)}, nil
}

func (a tx) lifecycle(name *string) (*repository, error) {
	r, err := a.repository(name)
	if err != nil {
		return nil, err
	}
	if r.Lifecycle == "" {
		return nil, kernel.Fail("LifecyclePolicyNotFoundException", "Lifecycle policy does not exist for the repository with name '%s' in the registry with id '%s'", r.Name, a.Account())
	}
	return r, nil
}

// GetLifecyclePolicy returns the policy as it was put.
func (a tx) GetLifecyclePolicy(in *ecr.GetLifecyclePolicyInput) (*ecr.GetLifecyclePolicyOutput, error) {
	r, err := a.lifecycle(in.RepositoryName)
	if err != nil {
		return nil, err
	}
	return &ecr.GetLifecyclePolicyOutput{
		RegistryId: aws.String(a.Account()), RepositoryName: aws.String(r.Name), LifecyclePolicyText: aws.String(r.Lifecycle), LastEvaluatedAt: aws.Time(r.Evaluated),
	}, nil
}

// DeleteLifecyclePolicy deletes the policy.
func (a tx) DeleteLifecyclePolicy(in *ecr.DeleteLifecyclePolicyInput) (*ecr.DeleteLifecyclePolicyOutput, error) {
	r, err := a.lifecycle(in.RepositoryName)
	if err != nil {
		return nil, err
	}
	out := &ecr.DeleteLifecyclePolicyOutput{RegistryId: aws.String(a.Account()), RepositoryName: aws.String(r.Name), LifecyclePolicyText: aws.String(r.Lifecycle), LastEvaluatedAt: aws.Time(r.Evaluated)}
	r.Lifecycle = ""
	return out, nil
}
