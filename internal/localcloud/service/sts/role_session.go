package sts

import (
	"fmt"
	"maps"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"

	"github.com/bookctl/bookctl/internal/localcloud/access"
	"github.com/bookctl/bookctl/internal/localcloud/kernel"
	"github.com/bookctl/bookctl/internal/pattern"
)

// Seconds that a role's session lasts if nothing is said, which is also the most where
// a session assumes another role.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
const usualRoleSession = 3600

var sessionName = pattern.New(`^[\w+=,.@-]{2,64}$`)

var _ kernel.RoleSessions = (*Service)(nil)

// AssumeRole gives credentials that may do what a role may. The role's trust policy has
// to name the caller; where it names the account, the caller's own policies have to
// allow it as well.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic_policy-eval-basics.html
func (a tx) AssumeRole(in *sts.AssumeRoleInput) (*sts.AssumeRoleOutput, error) {
	caller, arn := a.Caller(), aws.ToString(in.RoleArn)
	longest, exists := a.roles.Longest(a.Tx, arn)
	seconds := aws.ToInt32(in.DurationSeconds)
	switch {
	case !sessionName.MatchString(aws.ToString(in.RoleSessionName)):
		return nil, invalid("1 validation error detected: Value '%s' at 'roleSessionName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\w+=,.@-]*", aws.ToString(in.RoleSessionName))
	case len(in.Tags)+len(in.PolicyArns)+len(in.TransitiveTagKeys)+len(in.ProvidedContexts) > 0 || in.SerialNumber != nil || in.SourceIdentity != nil:
		return nil, invalid("The local cloud's sessions have no tags, managed policies, source identity or MFA device.")
	case in.DurationSeconds == nil:
		seconds = usualRoleSession
	case seconds < shortestSession:
		return nil, invalid("1 validation error detected: Value '%d' at 'durationSeconds' failed to satisfy constraint: Member must have value greater than or equal to %d", seconds, shortestSession)
	case caller.Session && seconds > usualRoleSession:
		return nil, invalid("The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.")
	case exists && seconds > longest:
		return nil, invalid("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
	}
	policy := aws.ToString(in.Policy)
	if _, err := access.Parse([]byte(policy)); policy != "" && err != nil {
		return nil, &kernel.Error{Status: http.StatusBadRequest, Code: "MalformedPolicyDocument", Message: err.Error()}
	}
	context := map[string][]string{"aws:PrincipalArn": caller.Names[:1], "aws:PrincipalAccount": {a.Account()}, "sts:RoleSessionName": {*in.RoleSessionName}}
	if in.ExternalId != nil {
		context["sts:ExternalId"] = []string{*in.ExternalId}
	}
	account := []string{a.Account(), a.ARN("iam", "root")}
	admitted := exists && a.roles.Usable(a.Tx, arn) &&
		(a.roles.Admits(a.Tx, arn, caller.Names, context) || a.roles.Admits(a.Tx, arn, account, context) && a.CallerMay("sts:AssumeRole", arn))
	if !admitted { // AWS does not reveal whether there is such a role
		return nil, &kernel.Error{Status: http.StatusForbidden, Code: "AccessDenied", Message: fmt.Sprintf("User: %s is not authorized to perform: sts:AssumeRole on resource: %s", caller.ARN, arn)}
	}

	who := a.roles.Principal(a.Tx, arn, *in.RoleSessionName)
	s := session{Role: arn, Name: *in.RoleSessionName, ID: who.ID, Policy: policy, Ends: a.Now().Add(time.Duration(seconds) * time.Second)}
	given := credentials(s.Ends)
	all := a.state()
	maps.DeleteFunc(all.Sessions, func(_ string, s session) bool { return a.Now().Sub(s.Ends) > time.Hour }) // till then it is known to have ended
	if all.Sessions == nil {
		all.Sessions = map[string]session{}
	}
	all.Sessions[*given.AccessKeyId] = s
	a.Changed()
	return &sts.AssumeRoleOutput{
		Credentials:     given,
		AssumedRoleUser: &types.AssumedRoleUser{Arn: &who.ARN, AssumedRoleId: &who.ID},
	}, nil
}

func invalid(format string, args ...any) error {
	return kernel.Fail("ValidationError", format, args...)
}

// Principal is the session of an access key. One whose role is gone, or is another of
// the same name, may do nothing.
func (s *Service) Principal(t *kernel.Tx, key string) (p kernel.Principal, known bool) {
	a := s.in(t)
	of, known := a.state().Sessions[key]
	if !known {
		return p, false
	}
	p = s.roles.Principal(t, of.Role, of.Name)
	p.Ended = !t.Now().Before(of.Ends)
	if p.ID != of.ID {
		p.Limits = [][]access.Policy{nil}
	}
	if of.Policy != "" {
		own, err := access.Parse([]byte(of.Policy))
		if err != nil {
			own = access.Policy{} // which allows nothing; it was read before
		}
		p.Limits = append(p.Limits, []access.Policy{own})
	}
	return p, true
}
