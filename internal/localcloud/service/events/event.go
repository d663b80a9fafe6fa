package events

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
)

// PutEvents takes events of the account's own. AWS's sources are for AWS.
// https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html
func (a tx) PutEvents(in *eventbridge.PutEventsInput) (*eventbridge.PutEventsOutput, error) {
	out := &eventbridge.PutEventsOutput{}
	for _, e := range in.Entries {
		var detail any
		source := aws.ToString(e.Source)
		refuse := func(code, message string) {
			out.FailedEntryCount++
			out.Entries = append(out.Entries, types.PutEventsResultEntry{ErrorCode: aws.String(code), ErrorMessage: aws.String(message)})
		}
		switch {
		case strings.HasPrefix(source, "aws."):
			refuse("NotAuthorizedForSourceException", "Not authorized for the source.")
			continue
		case source == "" || e.DetailType == nil:
			refuse("InvalidArgument", "Parameter Source or DetailType is not valid. Reason: it is a required argument.")
			continue
		case json.Unmarshal([]byte(aws.ToString(e.Detail)), &detail) != nil:
			refuse("MalformedDetail", "Detail is malformed.")
			continue
		}
		id := kernel.UUID()
		a.emit(id, source, *e.DetailType, e.Resources, detail)
		out.Entries = append(out.Entries, types.PutEventsResultEntry{EventId: &id})
	}
	return out, nil
}

// Emit is an event of one of AWS's services.
func (s *Service) Emit(t *kernel.Tx, source, detailType string, resources []string, detail map[string]any) {
	s.in(t).emit(kernel.UUID(), source, detailType, resources, detail)
}

func (a tx) emit(id, source, detailType string, resources []string, detail any) {
	text, _ := json.Marshal(map[string]any{ // of what JSON was made of, or texts
		"version": "0", "id": id, "detail-type": detailType, "source": source, "account": a.Account(), "time": a.Now(), "region": a.Region(),
		"resources": append([]string{}, resources...), "detail": detail,
	})
	var event map[string]any
	_ = json.Unmarshal(text, &event) // it was made here
	for _, name := range slices.Sorted(maps.Keys(a.state().Rules)) {
		r := a.state().Rules[name]
		var pattern map[string]any
		if json.Unmarshal([]byte(r.Pattern), &pattern) != nil || r.State != types.RuleStateEnabled || !matches(pattern, event) {
			continue
		}
		for _, t := range r.Targets {
			if refused := a.topics.Deliver(a.Tx, *t.Arn, "events.amazonaws.com", r.ARN, "AWS Notification Message", transformed(t, string(text), event)); refused != "" {
				a.Log().Warn("an event was not delivered", "rule", r.Name, "why", refused)
			}
		}
	}
}

// matchable reports whether a pattern is one that matches can judge.
func matchable(pattern map[string]any) bool {
	for _, want := range pattern {
		switch w := want.(type) {
		case map[string]any:
			if !matchable(w) {
				return false
			}
		case []any:
			if len(w) == 0 || slices.ContainsFunc(w, func(v any) bool { _, filter := v.(map[string]any); return filter }) {
				return false
			}
		default:
			return false
		}
	}
	return len(pattern) > 0
}

// matches reports whether an event has for each field of the pattern one of the values.
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-patterns.html
func matches(pattern, event map[string]any) bool {
	for key, want := range pattern {
		have := event[key]
		if below, ok := want.(map[string]any); ok {
			inner, ok := have.(map[string]any)
			if !ok || !matches(below, inner) {
				return false
			}
			continue
		}
		values, ok := have.([]any)
		if !ok {
			values = []any{have}
		}
		list, _ := want.([]any)
		if !slices.ContainsFunc(values, func(v any) bool { return slices.Contains(list, v) }) {
			return false
		}
	}
	return true
}

// transformed is what a target receives of an event.
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html
func transformed(t types.Target, text string, event map[string]any) string {
	switch {
	case t.Input != nil:
		return *t.Input
	case t.InputTransformer == nil:
		return text
	}
	out := aws.ToString(t.InputTransformer.InputTemplate)
	for name, path := range t.InputTransformer.InputPathsMap {
		var at any = event
		for part := range strings.SplitSeq(strings.TrimPrefix(path, "$."), ".") {
			inner, _ := at.(map[string]any)
			at = inner[part]
		}
		value, ok := at.(string)
		if !ok && at != nil {
			encoded, _ := json.Marshal(at) // of what JSON was made of
			value = string(encoded)
		}
		out = strings.ReplaceAll(out, "<"+name+">", value)
	}
	return out
}
