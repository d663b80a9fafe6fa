package provision

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/bookctl/bookctl/internal/sorted"
)

// condition is an IAM condition block: operator, key, values.
type condition map[string]map[string][]string

// statement is an allowance in an IAM policy.
type statement struct {
	Effect    string            `json:"Effect"`
	Action    []string          `json:"Action"`
	Resource  []string          `json:"Resource,omitempty"`
	Principal map[string]string `json:"Principal,omitempty"`
	Condition condition         `json:"Condition,omitempty"`
}

// notCovered is what the statements may allow and have don't.
func notCovered(may, have []statement) []statement {
	alike := func(a, b statement) bool {
		a.Resource, b.Resource = nil, nil
		return policy(a) == policy(b)
	}
	var out []statement
	for _, m := range may {
		for _, h := range have {
			if alike(m, h) {
				m.Resource = slices.DeleteFunc(slices.Clone(m.Resource), func(r string) bool { return slices.Contains(h.Resource, r) })
			}
		}
		if len(m.Resource) > 0 {
			out = append(out, m)
		}
	}
	return out
}

// mergeStatements returns the same allowances in fewer statements, since a role has no more than 10,240
// characters of inline policies: what differs in its resources, or in the values of one key of
// its condition, is one statement with all of them.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
func mergeStatements(statements []statement) []statement {
	var out []statement
	for _, s := range statements {
		at := slices.IndexFunc(out, func(into statement) bool { return into.canMerge(s) })
		if at < 0 {
			out = append(out, s)
			continue
		}
		out[at] = out[at].merge(s)
	}
	return out
}

// values are those of a condition, by "operator key".
func (c condition) values() map[string][]string {
	out := map[string][]string{}
	for operator, keys := range c {
		for key, values := range keys {
			out[operator+" "+key] = values
		}
	}
	return out
}

// differentKeys are the keys of which two conditions have other values. Same is false if they
// don't have the same keys.
func (c condition) differentKeys(from condition) (keys []string, same bool) {
	a, b := c.values(), from.values()
	for key, values := range a {
		other, has := b[key]
		if !has {
			return nil, false
		}
		if !slices.Equal(values, other) {
			keys = append(keys, key)
		}
	}
	return keys, len(a) == len(b)
}

// alike reports whether two statements differ at most in their resources and conditions.
func (s statement) alike(other statement) bool {
	return s.Effect == other.Effect && slices.Equal(s.Action, other.Action) && maps.Equal(s.Principal, other.Principal)
}

// canMerge reports whether one statement with the resources, or the values of a condition, of
// both would allow nothing more than the two do.
func (s statement) canMerge(other statement) bool {
	keys, same := s.Condition.differentKeys(other.Condition)
	if !s.alike(other) || !same {
		return false
	}
	return len(keys) == 0 || len(keys) == 1 && slices.Equal(s.Resource, other.Resource)
}

// merge returns one statement for two that canMerge.
func (s statement) merge(other statement) statement {
	add := func(to, from []string) []string {
		to = slices.Clone(to)
		for _, one := range from {
			if !slices.Contains(to, one) {
				to = append(to, one)
			}
		}
		return to
	}
	s.Resource = add(s.Resource, other.Resource)
	if s.Condition == nil {
		return s
	}
	both := condition{}
	for operator, keys := range s.Condition {
		both[operator] = map[string][]string{}
		for key, values := range keys {
			both[operator][key] = add(values, other.Condition[operator][key])
		}
	}
	s.Condition = both
	return s
}

func policy(statements ...statement) string {
	text, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": statements})
	if err != nil {
		panic(err) // strings and maps of strings always encode
	}
	return string(text)
}

// decoded undoes the URL encoding in which IAM returns documents.
func decoded(document *string) string {
	text, err := url.PathUnescape(aws.ToString(document))
	if err != nil {
		return aws.ToString(document)
	}
	return text
}

// samePolicy reports whether two policies mean the same; "" is none. AWS returns a policy in
// other words than it was given: with one element in the place of a list of one, with lists
// in another order, which has no meaning in a policy, and with empty statement ids.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html
func samePolicy(a, b string) bool {
	var x, y any
	return a == b || json.Unmarshal([]byte(a), &x) == nil && json.Unmarshal([]byte(b), &y) == nil && reflect.DeepEqual(inOneForm(x), inOneForm(y))
}

// inOneForm is a part of a policy in the form that all policies of its meaning share.
func inOneForm(part any) any {
	switch part := part.(type) {
	case map[string]any:
		if part["Sid"] == "" {
			delete(part, "Sid")
		}
		for key := range part {
			part[key] = inOneForm(part[key])
		}
	case []any:
		for i := range part {
			part[i] = inOneForm(part[i])
		}
		if len(part) == 1 {
			return part[0]
		}
		sorted.By(part, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	}
	return part
}

// plainStatement is a statement without MarshalJSON.
type plainStatement statement

// MarshalJSON writes the one action of a trust policy as a string, as AWS's own
// examples have it. IAM takes a list as well, but tools that read the trust of
// somebody's roles, such as ecspresso's verify, expect the string.
func (s statement) MarshalJSON() ([]byte, error) {
	if len(s.Principal) == 0 || len(s.Action) != 1 {
		return json.Marshal(plainStatement(s))
	}
	return json.Marshal(struct {
		plainStatement
		Action string `json:"Action"`
	}{plainStatement(s), s.Action[0]})
}
