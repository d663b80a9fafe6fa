package events

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
)

// state is what EventBridge keeps.
type state struct {
	Rules map[string]*rule `json:"rules,omitempty"` // by name
}

type rule struct {
	Name        string            `json:"name"`
	ARN         string            `json:"arn"`
	Description string            `json:"description,omitempty"`
	Pattern     string            `json:"pattern"`
	State       types.RuleState   `json:"state"`
	Tags        map[string]string `json:"tags,omitempty"`
	Targets     []types.Target    `json:"targets,omitempty"`
}

func (a tx) rule(name *string) (*rule, error) {
	r := a.state().Rules[aws.ToString(name)]
	if r == nil || !a.Visible(r.ARN) {
		return nil, kernel.Fail("ResourceNotFoundException", "Rule %s does not exist on EventBus default.", aws.ToString(name))
	}
	return r, nil
}

// PutRule creates a rule or changes it. Tags are taken for a new one alone.
// https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutRule.html
func (a tx) PutRule(in *eventbridge.PutRuleInput) (*eventbridge.PutRuleOutput, error) {
	if in.EventPattern == nil || in.ScheduleExpression != nil {
		return nil, kernel.Fail("ValidationException", "The local cloud knows rules with an event pattern only")
	}
	if bus := aws.ToString(in.EventBusName); bus != "" && bus != "default" {
		return nil, kernel.Fail("ResourceNotFoundException", "Event bus %s does not exist.", bus)
	}
	var pattern map[string]any
	if err := json.Unmarshal([]byte(*in.EventPattern), &pattern); err != nil || !matchable(pattern) {
		return nil, kernel.Fail("InvalidEventPatternException", "Event pattern is not valid. Reason: the local cloud knows objects whose leaves are lists of values: %s", *in.EventPattern)
	}
	name := aws.ToString(in.Name)
	r := a.state().Rules[name]
	if r == nil {
		r = &rule{Name: name, ARN: a.ARN("events", "rule/"+name), Tags: kernel.TagMap(in.Tags, tagPair)}
		if a.state().Rules == nil {
			a.state().Rules = map[string]*rule{}
		}
		a.state().Rules[name] = r
		a.Created(r.ARN)
	}
	r.Pattern, r.Description, r.State = *in.EventPattern, aws.ToString(in.Description), cmp.Or(in.State, types.RuleStateEnabled)
	return &eventbridge.PutRuleOutput{RuleArn: &r.ARN}, nil
}

// DescribeRule describes a rule.
func (a tx) DescribeRule(in *eventbridge.DescribeRuleInput) (*eventbridge.DescribeRuleOutput, error) {
	r, err := a.rule(in.Name)
	if err != nil {
		return nil, err
	}
	out := &eventbridge.DescribeRuleOutput{Name: &r.Name, Arn: &r.ARN, EventPattern: &r.Pattern, State: r.State, EventBusName: aws.String("default"), CreatedBy: aws.String(a.Account())}
	if r.Description != "" {
		out.Description = &r.Description
	}
	return out, nil
}

// ListRules lists rules by the beginning of their names.
func (a tx) ListRules(in *eventbridge.ListRulesInput) (*eventbridge.ListRulesOutput, error) {
	all := []types.Rule{}
	for _, name := range slices.Sorted(maps.Keys(a.state().Rules)) {
		if r := a.state().Rules[name]; strings.HasPrefix(name, aws.ToString(in.NamePrefix)) && a.Visible(r.ARN) {
			all = append(all, types.Rule{Name: &r.Name, Arn: &r.ARN, EventPattern: &r.Pattern, State: r.State, EventBusName: aws.String("default")})
		}
	}
	out := &eventbridge.ListRulesOutput{}
	var err error
	out.Rules, out.NextToken, err = kernel.PageOf(all, in.NextToken, int(cmp.Or(aws.ToInt32(in.Limit), 100)), kernel.Fail("ValidationException", "NextToken is not valid"))
	return out, err
}

// DeleteRule deletes a rule without targets.
func (a tx) DeleteRule(in *eventbridge.DeleteRuleInput) (*eventbridge.DeleteRuleOutput, error) {
	r := a.state().Rules[aws.ToString(in.Name)]
	if r == nil {
		return &eventbridge.DeleteRuleOutput{}, nil
	}
	if len(r.Targets) > 0 {
		return nil, kernel.Fail("ValidationException", "Rule can't be deleted since it has targets.")
	}
	delete(a.state().Rules, r.Name)
	return &eventbridge.DeleteRuleOutput{}, nil
}

// PutTargets adds targets or changes them, by their ids.
func (a tx) PutTargets(in *eventbridge.PutTargetsInput) (*eventbridge.PutTargetsOutput, error) {
	r, err := a.rule(in.Rule)
	if err != nil {
		return nil, err
	}
	for _, t := range in.Targets {
		if parts := strings.Split(aws.ToString(t.Arn), ":"); len(parts) != 6 || parts[2] != "sns" {
			return nil, kernel.Fail("ValidationException", "The local cloud's rules have topics for targets only, not %s", aws.ToString(t.Arn))
		}
		r.Targets = append(slices.DeleteFunc(slices.Clone(r.Targets), func(have types.Target) bool { return *have.Id == aws.ToString(t.Id) }), t)
	}
	return &eventbridge.PutTargetsOutput{FailedEntries: []types.PutTargetsResultEntry{}}, nil
}

// RemoveTargets removes targets by their ids.
func (a tx) RemoveTargets(in *eventbridge.RemoveTargetsInput) (*eventbridge.RemoveTargetsOutput, error) {
	r, err := a.rule(in.Rule)
	if err != nil {
		return nil, err
	}
	r.Targets = slices.DeleteFunc(slices.Clone(r.Targets), func(have types.Target) bool { return slices.Contains(in.Ids, *have.Id) })
	return &eventbridge.RemoveTargetsOutput{FailedEntries: []types.RemoveTargetsResultEntry{}}, nil
}

// ListTargetsByRule lists the targets of a rule, of which it has five at most.
func (a tx) ListTargetsByRule(in *eventbridge.ListTargetsByRuleInput) (*eventbridge.ListTargetsByRuleOutput, error) {
	r, err := a.rule(in.Rule)
	if err != nil {
		return nil, err
	}
	return &eventbridge.ListTargetsByRuleOutput{Targets: slices.Clone(r.Targets)}, nil
}

// tagPair returns the key and the value of a tag.
func tagPair(t types.Tag) (key, value *string) { return t.Key, t.Value }

// newTag returns a tag of that key and value.
func newTag(key, value *string) types.Tag { return types.Tag{Key: key, Value: value} }

func (a tx) byARN(arn *string) (*rule, error) {
	for _, r := range a.state().Rules {
		if r.ARN == aws.ToString(arn) {
			return r, nil
		}
	}
	return nil, kernel.Fail("ResourceNotFoundException", "Rule %s does not exist.", aws.ToString(arn))
}

// TagResource tags a rule.
func (a tx) TagResource(in *eventbridge.TagResourceInput) (*eventbridge.TagResourceOutput, error) {
	r, err := a.byARN(in.ResourceARN)
	if err != nil {
		return nil, err
	}
	maps.Copy(r.Tags, kernel.TagMap(in.Tags, tagPair))
	return &eventbridge.TagResourceOutput{}, nil
}

// UntagResource is the opposite of TagResource.
func (a tx) UntagResource(in *eventbridge.UntagResourceInput) (*eventbridge.UntagResourceOutput, error) {
	r, err := a.byARN(in.ResourceARN)
	if err != nil {
		return nil, err
	}
	for _, key := range in.TagKeys {
		delete(r.Tags, key)
	}
	return &eventbridge.UntagResourceOutput{}, nil
}

// ListTagsForResource lists a rule's tags.
func (a tx) ListTagsForResource(in *eventbridge.ListTagsForResourceInput) (*eventbridge.ListTagsForResourceOutput, error) {
	r, err := a.byARN(in.ResourceARN)
	if err != nil {
		return nil, err
	}
	return &eventbridge.ListTagsForResourceOutput{Tags: kernel.TagList(r.Tags, newTag)}, nil
}
