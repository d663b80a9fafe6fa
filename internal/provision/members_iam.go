package provision

import (
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
)

// missingIAM is missing for answers of IAM.
func missingIAM(answer any) string {
	switch a := answer.(type) {
	case *iam.CreateRoleOutput:
		return require(a.Role != nil && has(a.Role.Arn), "Role.Arn")
	case *iam.GetRoleOutput:
		return require(a.Role != nil && has(a.Role.Arn), "Role.Arn")
	case *iam.GetPolicyOutput:
		return require(a.Policy != nil, "Policy")
	case *iam.CreateServiceLinkedRoleOutput:
		return require(a.Role != nil, "Role")
	case *iam.ListRolesOutput:
		return requireEach("Roles", a.Roles, func(x iamtypes.Role) bool { return has(x.RoleName) && has(x.Path) }, "Path")
	case *iam.ListAttachedRolePoliciesOutput:
		return requireList("AttachedPolicies", a.AttachedPolicies)
	case *iam.ListRolePoliciesOutput:
		return requireList("PolicyNames", a.PolicyNames)
	}
	return ""
}
