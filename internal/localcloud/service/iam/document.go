package iam

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/bookctl/bookctl/internal/localcloud/access"
	"github.com/bookctl/bookctl/internal/localcloud/kernel"
	"github.com/bookctl/bookctl/internal/pattern"
	"github.com/bookctl/bookctl/internal/sorted"
)

// policyKind is what a policy is attached to.
type policyKind int

const (
	rolePolicy  policyKind = iota // what a role may do
	trustPolicy                   // who may assume it
)

var (
	policyAction   = pattern.New(`^(\*|[a-zA-Z0-9-]+:[a-zA-Z0-9*?]+)$`)
	policyResource = pattern.New(`^(\*|arn:[^:]*:[^:]*:[^:]*:[^:]*:.+)$`)
)

// checkPolicy refuses documents that IAM refuses: by the grammar, not by what
// the actions mean
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html).
func checkPolicy(document string, kind policyKind) error {
	malformed := func(format string, args ...any) error { return kernel.Fail("MalformedPolicyDocument", format, args...) }
	var policy struct {
		Version   string
		ID        string `json:"Id"`
		Statement json.RawMessage
	}
	if err := strictJSON([]byte(document), &policy); err != nil {
		return malformed("Syntax errors in policy: %v", err)
	}
	if policy.Version != "2012-10-17" && policy.Version != "2008-10-17" {
		return malformed("Policy document must be version 2012-10-17 or greater.")
	}
	type statement struct {
		Sid                     string
		Effect                  string
		Action, NotAction       access.Words
		Resource, NotResource   access.Words
		Principal, NotPrincipal json.RawMessage
		Condition               map[string]map[string]access.Words
	}
	var statements []statement
	if text := bytes.TrimSpace(policy.Statement); len(text) > 0 && text[0] == '{' {
		statements = make([]statement, 1)
		if err := strictJSON(text, &statements[0]); err != nil {
			return malformed("Syntax errors in policy: %v", err)
		}
	} else if err := strictJSON(text, &statements); err != nil {
		return malformed("Syntax errors in policy: %v", err)
	}
	if len(statements) == 0 {
		return malformed("Syntax errors in policy: there is no statement")
	}
	var sids []string
	for _, s := range statements {
		actions, resources := slices.Concat(s.Action, s.NotAction), slices.Concat(s.Resource, s.NotResource)
		principal := len(s.Principal) > 0 || len(s.NotPrincipal) > 0
		switch {
		case s.Effect != "Allow" && s.Effect != "Deny":
			return malformed("Syntax errors in policy: Effect must be Allow or Deny, not %q", s.Effect)
		case len(actions) == 0:
			return malformed("Policy statement must contain actions.")
		case kind == rolePolicy && len(resources) == 0:
			return malformed("Policy statement must contain resources.")
		case kind == rolePolicy && principal:
			return malformed("Policy document should not specify a principal.")
		case kind == trustPolicy && len(resources) > 0:
			return malformed("Has prohibited field Resource")
		case kind == trustPolicy && !principal:
			return malformed("Missing required field Principal")
		case s.Sid != "" && slices.Contains(sids, s.Sid):
			return malformed("Statement IDs (SID) in a single policy must be unique.")
		}
		sids = append(sids, s.Sid)
		for _, action := range actions {
			if !policyAction.MatchString(action) {
				return malformed("Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.: %s", action)
			}
			if kind == trustPolicy && action != "*" && !strings.HasPrefix(action, "sts:") {
				return malformed("AssumeRole policy may only specify STS AssumeRole actions.")
			}
		}
		for _, resource := range resources {
			if !policyResource.MatchString(resource) {
				return malformed("Resource %s must be in ARN format or \"*\".", resource)
			}
		}
	}
	return nil
}

// rewritten is a policy as IAM returns it, which keeps its meaning and not its text: a list
// of one element is that element, and the other lists of texts, which are sets, are sorted
// (hashicorp/terraform #6956, crossplane-contrib/provider-aws #1653).
func rewritten(document string) string {
	var policy map[string]any
	if json.Unmarshal([]byte(document), &policy) != nil {
		return document
	}
	statements, isList := policy["Statement"].([]any)
	for i := range statements {
		statements[i] = plainLists(statements[i])
	}
	if !isList {
		policy["Statement"] = plainLists(policy["Statement"])
	}
	var text bytes.Buffer
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	if enc.Encode(policy) != nil {
		return document
	}
	return strings.TrimSpace(text.String())
}

// plainLists rewrites the lists within a part of a policy.
func plainLists(part any) any {
	switch part := part.(type) {
	case map[string]any:
		for key := range part {
			part[key] = plainLists(part[key])
		}
	case []any:
		if len(part) == 1 {
			return part[0]
		}
		sorted.By(part, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	}
	return part
}

func strictJSON(text []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return err
	}
	if dec.More() {
		return &json.SyntaxError{Offset: dec.InputOffset()}
	}
	return nil
}
