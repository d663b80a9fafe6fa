package iam

import (
	"cmp"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
	"github.com/bookctl/bookctl/internal/pattern"
)

// policy is a managed policy of the account, with one version.
type policy struct {
	Name, ID, Path, ARN, Description string
	Document                         string
	Created                          time.Time
}

var policyName = pattern.New(`^[\w+=,.@-]{1,128}$`)

// CreatePolicy refuses a document of more than 6,144 characters, white space not
// counted (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html).
func (a tx) CreatePolicy(in *iam.CreatePolicyInput) (*iam.CreatePolicyOutput, error) {
	name, path := aws.ToString(in.PolicyName), cmp.Or(aws.ToString(in.Path), "/")
	if !policyName.MatchString(name) {
		return nil, kernel.Fail("ValidationError", "The specified value for policyName is invalid. It must contain only alphanumeric characters and/or the following: +=,.@_- and be at most 128 long")
	}
	if !rolePath.MatchString(path) {
		return nil, kernel.Fail("ValidationError", "The specified value for path is invalid.")
	}
	document := aws.ToString(in.PolicyDocument)
	if err := checkPolicy(document, rolePolicy); err != nil {
		return nil, err
	}
	if policySize(document) > 6144 {
		return nil, kernel.Fail("LimitExceeded", "Cannot exceed quota for PolicySize: 6144")
	}
	p := policy{
		Name: name, ID: "ANPA" + roleID()[4:], Path: path, ARN: a.ARN("iam", "policy"+path+name), Description: aws.ToString(in.Description),
		Document: document, Created: a.Now(),
	}
	for _, other := range a.state().Policies {
		if other.Name == name {
			return nil, kernel.Fail("EntityAlreadyExists", "A policy called %s already exists. Duplicate names are not allowed.", name)
		}
	}
	if a.state().Policies == nil {
		a.state().Policies = map[string]policy{}
	}
	a.state().Policies[p.ARN] = p
	return &iam.CreatePolicyOutput{Policy: a.sdkPolicy(p)}, nil
}

func policySize(document string) int {
	return len(strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return -1
		}
		return r
	}, document))
}

func (a tx) sdkPolicy(p policy) *types.Policy {
	attached, bounding := a.policyUses(p.ARN)
	return &types.Policy{
		Arn: &p.ARN, PolicyName: &p.Name, PolicyId: &p.ID, Path: &p.Path, CreateDate: &p.Created, UpdateDate: &p.Created, DefaultVersionId: aws.String("v1"),
		AttachmentCount: &attached, PermissionsBoundaryUsageCount: &bounding, IsAttachable: true,
	}
}

// policyUses counts the roles that have the policy, and that it is the boundary of.
func (a tx) policyUses(arn string) (attached, bounding int32) {
	for _, r := range a.state().Roles {
		if slices.Contains(r.Attached, arn) {
			attached++
		}
		if r.Boundary == arn {
			bounding++
		}
	}
	return attached, bounding
}

func (a tx) policy(arn *string) (policy, error) {
	p, ok := a.state().Policies[aws.ToString(arn)]
	if !ok {
		return policy{}, kernel.Fail("NoSuchEntity", "Policy %s was not found.", aws.ToString(arn))
	}
	return p, nil
}

func (a tx) GetPolicy(in *iam.GetPolicyInput) (*iam.GetPolicyOutput, error) {
	arn := aws.ToString(in.PolicyArn)
	if path, ofAWS := strings.CutPrefix(arn, strings.TrimSuffix(a.managedARN(""), "/")); ofAWS && a.attachable(arn) {
		at := strings.LastIndexByte(path, '/') + 1
		return &iam.GetPolicyOutput{Policy: a.sdkPolicy(policy{Name: path[at:], Path: path[:at], ARN: arn, ID: "ANPA" + roleID()[4:], Created: a.Now()})}, nil
	}
	p, err := a.policy(in.PolicyArn)
	if err != nil {
		return nil, err
	}
	return &iam.GetPolicyOutput{Policy: a.sdkPolicy(p)}, nil
}

func (a tx) GetPolicyVersion(in *iam.GetPolicyVersionInput) (*iam.GetPolicyVersionOutput, error) {
	p, err := a.policy(in.PolicyArn)
	if err != nil {
		return nil, err
	}
	if v := aws.ToString(in.VersionId); v != "v1" {
		return nil, kernel.Fail("NoSuchEntity", "Policy %s version %s does not exist or is not attachable.", p.ARN, v)
	}
	return &iam.GetPolicyVersionOutput{PolicyVersion: &types.PolicyVersion{
		VersionId: in.VersionId, IsDefaultVersion: true, CreateDate: &p.Created, Document: aws.String(encodeDocument(p.Document)),
	}}, nil
}

func (a tx) DeletePolicy(in *iam.DeletePolicyInput) (*iam.DeletePolicyOutput, error) {
	p, err := a.policy(in.PolicyArn)
	if err != nil {
		return nil, err
	}
	if attached, bounding := a.policyUses(p.ARN); attached+bounding > 0 {
		return nil, kernel.Fail("DeleteConflict", "Cannot delete a policy attached to entities.")
	}
	delete(a.state().Policies, p.ARN)
	return &iam.DeletePolicyOutput{}, nil
}

// attachable reports whether there is such a managed policy. Every name that may be
// one of AWS's own is taken for one.
func (a tx) attachable(arn string) bool {
	_, own := a.state().Policies[arn]
	return own || strings.HasPrefix(arn, a.managedARN(""))
}

// checkBoundary refuses a permissions boundary that does not exist.
func (a tx) checkBoundary(arn *string) error {
	if arn != nil && !a.attachable(*arn) {
		return kernel.Fail("NoSuchEntity", "Scope ARN: %s does not exist or is not attachable.", *arn)
	}
	return nil
}

// PutRolePermissionsBoundary sets how much the role's policies can allow at most
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html).
func (a tx) PutRolePermissionsBoundary(in *iam.PutRolePermissionsBoundaryInput) (*iam.PutRolePermissionsBoundaryOutput, error) {
	r, err := a.change(in.RoleName)
	if err != nil {
		return nil, err
	}
	if err := a.checkBoundary(in.PermissionsBoundary); err != nil {
		return nil, err
	}
	r.Boundary = aws.ToString(in.PermissionsBoundary)
	a.putRole(r)
	return &iam.PutRolePermissionsBoundaryOutput{}, nil
}

func (a tx) DeleteRolePermissionsBoundary(in *iam.DeleteRolePermissionsBoundaryInput) (*iam.DeleteRolePermissionsBoundaryOutput, error) {
	r, err := a.change(in.RoleName)
	if err != nil {
		return nil, err
	}
	if r.Boundary == "" {
		return nil, kernel.Fail("NoSuchEntity", "The role with name %s does not have a permissions boundary.", r.Name)
	}
	r.Boundary = ""
	a.putRole(r)
	return &iam.DeleteRolePermissionsBoundaryOutput{}, nil
}

// managedDocument is what a managed policy says; one of AWS's that is not known
// here allows nothing.
func (a tx) managedDocument(arn string) string {
	if p, ok := a.state().Policies[arn]; ok {
		return p.Document
	}
	_, name, _ := strings.Cut(arn, ":policy/")
	return managedPolicies[name]
}

// executionPolicy is AWS's managed policy for execution roles
// (https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AmazonECSTaskExecutionRolePolicy.html).
const executionPolicy = `{"Statement":[{"Effect":"Allow","Action":["ecr:GetAuthorizationToken","ecr:BatchCheckLayerAvailability","ecr:GetDownloadUrlForLayer","ecr:BatchGetImage","logs:CreateLogStream","logs:PutLogEvents"],"Resource":"*"}]}`

// balancingPolicy is AWS's managed policy for what ECS does to load balancers
// (https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AmazonECSInfrastructureRolePolicyForLoadBalancers.html).
const balancingPolicy = `{"Statement":[
	{"Effect":"Allow","Action":["elasticloadbalancing:DescribeListeners","elasticloadbalancing:DescribeRules","elasticloadbalancing:DescribeTargetGroups","elasticloadbalancing:DescribeTargetHealth"],"Resource":"*"},
	{"Effect":"Allow","Action":["elasticloadbalancing:RegisterTargets","elasticloadbalancing:DeregisterTargets"],"Resource":"arn:aws:elasticloadbalancing:*:*:targetgroup/*/*"},
	{"Effect":"Allow","Action":"elasticloadbalancing:ModifyListener","Resource":["arn:aws:elasticloadbalancing:*:*:listener/app/*/*/*","arn:aws:elasticloadbalancing:*:*:listener/net/*/*/*"]},
	{"Effect":"Allow","Action":"elasticloadbalancing:ModifyRule","Resource":"arn:aws:elasticloadbalancing:*:*:listener-rule/app/*/*/*/*"}]}`

// managedPolicies are the documents of the managed policies that are known, by
// what follows "policy/" in their ARNs; a role gets nothing of others.
var managedPolicies = map[string]string{
	"service-role/AmazonECSTaskExecutionRolePolicy":     executionPolicy,
	"AmazonECSInfrastructureRolePolicyForLoadBalancers": balancingPolicy,
	"AdministratorAccess":                               `{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`,
}
