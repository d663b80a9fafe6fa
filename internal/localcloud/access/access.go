// Package access decides what IAM policies allow. It is pure: a request has all
// that a decision needs, and the same documents and request give the same
// answer.
//
// It evaluates identity-based policies of one account, as
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
// says. The operators for dates, addresses and binary values are not evaluated;
// Policy.Unsupported names them.
package access

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Request is one action on one resource.
type Request struct {
	// Action is as in "ec2:CreateVpc".
	Action string `json:"action"`
	// Resource is an ARN, or "*" for an action that knows no resource.
	Resource string `json:"resource"`
	// Context are the values of the condition keys that the request has. A key
	// that is missing here is missing in the request.
	Context map[string][]string `json:"context,omitempty"`
}

// Decision is what the policies say of a request.
type Decision int

// The decisions. A denial wins over an allowance.
const (
	// NotAllowed: no statement allows the request.
	NotAllowed Decision = iota
	// Allowed: a statement allows the request, and none denies it.
	Allowed
	// Denied: a statement denies the request.
	Denied
)

// Policy is one document.
type Policy struct{ statements []statement }

type statement struct {
	Sid                                      string
	Effect                                   string
	Action, NotAction, Resource, NotResource Words
	Condition                                map[string]map[string]Words
	// Principal is who a trust policy is about.
	Principal json.RawMessage
}

// Parse reads a policy document.
func Parse(document []byte) (Policy, error) {
	var outer struct{ Statement json.RawMessage }
	if err := json.Unmarshal(document, &outer); err != nil {
		return Policy{}, fmt.Errorf("read the policy: %w", err)
	}
	text := bytes.TrimSpace(outer.Statement)
	if len(text) == 0 {
		return Policy{}, errors.New("read the policy: it has no statement")
	}
	var p Policy
	if text[0] == '{' {
		p.statements = make([]statement, 1)
		if err := json.Unmarshal(text, &p.statements[0]); err != nil {
			return Policy{}, fmt.Errorf("read the policy: %w", err)
		}
		return p, nil
	}
	if err := json.Unmarshal(text, &p.statements); err != nil {
		return Policy{}, fmt.Errorf("read the policy: %w", err)
	}
	return p, nil
}

// Unsupported names what the policy has and Decide does not evaluate: a
// statement with it allows nothing, and denies whatever else it fits.
func (p Policy) Unsupported() []string {
	found := map[string]bool{}
	for _, s := range p.statements {
		for operator := range s.Condition {
			if _, ok := operatorOf(operator); !ok {
				found[operator] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// Decide evaluates all policies of an identity.
func Decide(policies []Policy, r Request) Decision {
	context := make(map[string][]string, len(r.Context))
	for key, values := range r.Context {
		context[strings.ToLower(key)] = values // names of keys have no case
	}
	decision := NotAllowed
	for _, p := range policies {
		for _, s := range p.statements {
			deny := s.Effect == "Deny"
			if !s.about(r, context) || !s.conditions(context, deny) {
				continue
			}
			if deny {
				return Denied
			}
			decision = Allowed
		}
	}
	return decision
}

// about reports whether the statement is about the action and the resource.
func (s statement) about(r Request, context map[string][]string) bool {
	action := strings.ToLower(r.Action)
	fits := func(pattern string) bool { return Matches(strings.ToLower(pattern), action) }
	if len(s.NotAction) > 0 && slices.ContainsFunc(s.NotAction, fits) || len(s.Action) > 0 && !slices.ContainsFunc(s.Action, fits) {
		return false
	}
	named := func(pattern string) bool {
		filled, ok := fill(pattern, context)
		return ok && matchesARN(filled, r.Resource)
	}
	if len(s.NotResource) > 0 {
		return !slices.ContainsFunc(s.NotResource, named)
	}
	return slices.ContainsFunc(s.Resource, named)
}

// conditions reports whether all conditions hold. What can't be evaluated counts as
// unknown says.
func (s statement) conditions(context map[string][]string, unknown bool) bool {
	for operator, keys := range s.Condition {
		op, ok := operatorOf(operator)
		if !ok {
			if !unknown {
				return false
			}
			continue
		}
		for key, values := range keys {
			have, present := context[strings.ToLower(key)]
			filled := make([]string, 0, len(values))
			for _, v := range values {
				if f, ok := fill(v, context); ok {
					filled = append(filled, f)
				}
			}
			if !op.holds(have, present, filled) {
				return false
			}
		}
	}
	return true
}

// fill puts the request's values for policy variables. It is false when the
// request has none for one of them, with which nothing fits
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html).
func fill(text string, context map[string][]string) (string, bool) {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(text, "${")
		out.WriteString(before)
		if !found {
			return out.String(), true
		}
		name, after, _ := strings.Cut(rest, "}")
		name, otherwise, optional := strings.Cut(name, ",")
		values := context[strings.ToLower(strings.TrimSpace(name))]
		switch {
		case len(values) == 1:
			out.WriteString(values[0])
		case optional:
			out.WriteString(strings.Trim(otherwise, " '"))
		default:
			return "", false
		}
		text = after
	}
}

// set is how an operator treats keys with several values:
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html
type set int

const (
	single set = iota
	anyValue
	allValues
)

// operator is a condition operator.
type operator struct {
	set      set
	ifExists bool
	null     bool
	not      bool // the condition holds when no value of the policy fits
	fits     func(policy, request string) bool
}

var operators = map[string]struct {
	not  bool
	fits func(policy, request string) bool
}{
	"stringequals":              {false, func(p, r string) bool { return p == r }},
	"stringnotequals":           {true, func(p, r string) bool { return p == r }},
	"stringequalsignorecase":    {false, strings.EqualFold},
	"stringnotequalsignorecase": {true, strings.EqualFold},
	"stringlike":                {false, Matches},
	"stringnotlike":             {true, Matches},
	"arnequals":                 {false, matchesARN},
	"arnlike":                   {false, matchesARN},
	"arnnotequals":              {true, matchesARN},
	"arnnotlike":                {true, matchesARN},
	"bool":                      {false, strings.EqualFold},
	"numericequals":             {false, compared(func(p, r float64) bool { return r == p })},
	"numericnotequals":          {true, compared(func(p, r float64) bool { return r == p })},
	"numericlessthan":           {false, compared(func(p, r float64) bool { return r < p })},
	"numericlessthanequals":     {false, compared(func(p, r float64) bool { return r <= p })},
	"numericgreaterthan":        {false, compared(func(p, r float64) bool { return r > p })},
	"numericgreaterthanequals":  {false, compared(func(p, r float64) bool { return r >= p })},
}

func compared(test func(policy, request float64) bool) func(policy, request string) bool {
	return func(policy, request string) bool {
		p, err := strconv.ParseFloat(policy, 64)
		r, also := strconv.ParseFloat(request, 64)
		return err == nil && also == nil && test(p, r)
	}
}

// operatorOf reads an operator's name, such as
// "ForAllValues:StringLikeIfExists".
func operatorOf(name string) (operator, bool) {
	var op operator
	name = strings.ToLower(name)
	if rest, ok := strings.CutPrefix(name, "foranyvalue:"); ok {
		op.set, name = anyValue, rest
	} else if rest, ok := strings.CutPrefix(name, "forallvalues:"); ok {
		op.set, name = allValues, rest
	}
	if name == "null" {
		op.null = true
		return op, true
	}
	name, op.ifExists = strings.CutSuffix(name, "ifexists")
	known, ok := operators[name]
	op.not, op.fits = known.not, known.fits
	return op, ok
}

// holds evaluates the operator on the values of one key.
func (o operator) holds(have []string, present bool, values []string) bool {
	if o.null {
		return slices.ContainsFunc(values, func(v string) bool { return strings.EqualFold(v, "true") == !present })
	}
	if !present {
		// A negated operator holds without the key; ForAllValues too.
		return o.ifExists || o.set == allValues || o.set == single && o.not
	}
	one := func(request string) bool {
		return slices.ContainsFunc(values, func(v string) bool { return o.fits(v, request) }) != o.not
	}
	if o.set == allValues {
		return !slices.ContainsFunc(have, func(request string) bool { return !one(request) })
	}
	return slices.ContainsFunc(have, one)
}

// Matches reports whether a text fits a pattern, in which "*" is any text and "?"
// any character.
func Matches(pattern, text string) bool {
	// The last "*" seen, and how far the text was when it was met.
	star, mark := -1, 0
	p, t := 0, 0
	for t < len(text) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, t
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == text[t]):
			p++
			t++
		case star >= 0:
			mark++
			p, t = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// matchesARN is Matches for ARNs, whose first five parts are held against each
// other one by one.
func matchesARN(pattern, arn string) bool {
	if pattern == "*" {
		return true
	}
	want, have := strings.SplitN(pattern, ":", 6), strings.SplitN(arn, ":", 6)
	if len(want) < 6 || len(have) < 6 {
		return pattern == arn
	}
	for i := range want {
		if !Matches(want[i], have[i]) {
			return false
		}
	}
	return true
}

// Words is a string or a list of strings; policies have both. Numbers and
// booleans are read as they are written.
type Words []string

// UnmarshalJSON reads either form.
func (w *Words) UnmarshalJSON(text []byte) error {
	list := []json.RawMessage{text}
	if len(text) > 0 && text[0] == '[' {
		if err := json.Unmarshal(text, &list); err != nil {
			return err
		}
	}
	*w = make(Words, len(list))
	for i, item := range list {
		var one any
		if err := json.Unmarshal(item, &one); err != nil {
			return err
		}
		if s, ok := one.(string); ok {
			(*w)[i] = s
		} else {
			(*w)[i] = string(item)
		}
	}
	return nil
}
