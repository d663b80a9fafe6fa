package access

import (
	"encoding/json"
	"slices"
	"strings"
)

// Trusts says whether a role's trust policy lets an AWS service assume the role,
// for what the context tells of whom it works for.
func Trusts(trust Policy, service string, context map[string][]string) bool {
	lower := make(map[string][]string, len(context))
	for key, values := range context {
		lower[strings.ToLower(key)] = values
	}
	trusted := false
	for _, s := range trust.statements {
		deny := s.Effect == "Deny"
		assumes := slices.ContainsFunc(s.Action, func(a string) bool { return Matches(strings.ToLower(a), "sts:assumerole") })
		if !assumes || !s.names(service) || !s.conditions(lower, deny) {
			continue
		}
		if deny {
			return false
		}
		trusted = true
	}
	return trusted
}

// names says whether the statement is about a service.
func (s statement) names(service string) bool {
	var anybody string
	if json.Unmarshal(s.Principal, &anybody) == nil {
		return anybody == "*"
	}
	var who struct{ Service Words }
	return json.Unmarshal(s.Principal, &who) == nil && slices.Contains(who.Service, service)
}
