package access

import (
	"encoding/json"
	"slices"
	"strings"
)

// Trusts reports whether a role's trust policy lets an AWS service assume the role.
// The context has the condition keys of the resource that the service acts for.
func Trusts(trust Policy, service string, context map[string][]string) bool {
	return trust.admits(func(p principals) bool { return slices.Contains(p.Service, service) }, context)
}

// Admits reports whether a role's trust policy lets a caller assume the role, who may be
// named in several ways, such as a session's ARN and its role's.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html
func Admits(trust Policy, names []string, context map[string][]string) bool {
	return trust.admits(func(p principals) bool {
		return slices.ContainsFunc(p.AWS, func(who string) bool { return who == "*" || slices.Contains(names, who) })
	}, context)
}

func (p Policy) admits(named func(principals) bool, context map[string][]string) bool {
	lower := make(map[string][]string, len(context))
	for key, values := range context {
		lower[strings.ToLower(key)] = values
	}
	trusted := false
	for _, s := range p.statements {
		deny := s.Effect == "Deny"
		assumes := slices.ContainsFunc(s.Action, func(a string) bool { return Matches(strings.ToLower(a), "sts:assumerole") })
		if !assumes || !s.names(named) || !s.conditions(lower, deny) {
			continue
		}
		if deny {
			return false
		}
		trusted = true
	}
	return trusted
}

// principals are whom a statement of a trust policy names.
type principals struct{ Service, AWS Words }

// names reports whether the statement is about whom named knows, or about everybody.
func (s statement) names(named func(principals) bool) bool {
	var anybody string
	if json.Unmarshal(s.Principal, &anybody) == nil {
		return anybody == "*"
	}
	var who principals
	return json.Unmarshal(s.Principal, &who) == nil && named(who)
}
