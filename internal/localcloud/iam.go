package localcloud

import (
	"cmp"
	"context"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
)

// iamState is what IAM keeps.
type iamState struct {
	Roles map[string]iamRole `json:"roles"` // by name
	// Policies are the customer's own managed policies, by ARN.
	Policies map[string]iamPolicy `json:"policies,omitempty"`
}

// iamRole is a role with its inline policies and attachments.
type iamRole struct {
	Name        string
	ID          string
	Path        string
	ARN         string
	Description string
	Trust       string // the policy that says who may assume it
	MaxSession  int32  // seconds
	Boundary    string
	Created     time.Time
	Tags        map[string]string
	Policies    map[string]string // inline, by name
	Attached    []string          // ARNs
	// Service is who a service-linked role belongs to, "" for others.
	Service string
}

type iamAPI struct{ *Cloud }

func (c *Cloud) iamService() service {
	a := iamAPI{c}
	return service{model: "iam", signing: "iam", protocol: protocolQuery, operations: operations(
		op("AttachRolePolicy", a.AttachRolePolicy),
		op("CreatePolicy", a.CreatePolicy),
		op("CreateRole", a.CreateRole),
		op("CreateServiceLinkedRole", a.CreateServiceLinkedRole),
		op("DeletePolicy", a.DeletePolicy),
		op("DeleteRole", a.DeleteRole),
		op("DeleteRolePermissionsBoundary", a.DeleteRolePermissionsBoundary),
		op("DeleteRolePolicy", a.DeleteRolePolicy),
		op("DeleteServiceLinkedRole", a.DeleteServiceLinkedRole),
		op("DetachRolePolicy", a.DetachRolePolicy),
		op("GetPolicy", a.GetPolicy),
		op("GetPolicyVersion", a.GetPolicyVersion),
		op("GetUser", a.GetUser),
		op("GetRole", a.GetRole),
		op("GetRolePolicy", a.GetRolePolicy),
		op("GetServiceLinkedRoleDeletionStatus", a.GetServiceLinkedRoleDeletionStatus),
		op("ListAttachedRolePolicies", a.ListAttachedRolePolicies),
		op("ListInstanceProfilesForRole", a.ListInstanceProfilesForRole),
		op("ListRolePolicies", a.ListRolePolicies),
		op("ListRoleTags", a.ListRoleTags),
		op("ListRoles", a.ListRoles),
		op("PutRolePermissionsBoundary", a.PutRolePermissionsBoundary),
		op("PutRolePolicy", a.PutRolePolicy),
		op("TagRole", a.TagRole),
		op("UntagRole", a.UntagRole),
		op("UpdateAssumeRolePolicy", a.UpdateAssumeRolePolicy),
		op("UpdateRole", a.UpdateRole),
	)}
}

// roleByARN finds the role that another service is to assume.
func (c *Cloud) roleByARN(arn string) (iamRole, bool) {
	for _, r := range c.state.IAM.Roles {
		if r.ARN == arn {
			return r, true
		}
	}
	return iamRole{}, false
}

// roleUsable says whether other services can assume the role yet, which they
// can't for some seconds after its creation
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency).
func (c *Cloud) roleUsable(arn string) bool {
	r, ok := c.roleByARN(arn)
	wait := max(c.cfg.Latencies.scaled(c.cfg.Latencies.RoleUsable), seconds(c.Faults().RoleSeconds))
	return ok && time.Since(r.Created) >= wait
}

// hasServiceLinkedRole says whether the account has the role of that service,
// such as "ecs.amazonaws.com".
func (c *Cloud) hasServiceLinkedRole(service string) bool {
	_, ok := c.state.IAM.Roles[serviceLinkedRoles[service]]
	return ok
}

// linkedRoleUsable says whether the account has the role of that service, and the
// service knows of it yet.
func (c *Cloud) linkedRoleUsable(service string) bool {
	r, ok := c.state.IAM.Roles[serviceLinkedRoles[service]]
	return ok && c.roleUsable(r.ARN)
}

// serviceLinkedRoles are the roles' names by service
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_aws-services-that-work-with-iam.html).
var serviceLinkedRoles = map[string]string{
	"ecs.amazonaws.com":                         "AWSServiceRoleForECS",
	"ecs.application-autoscaling.amazonaws.com": "AWSServiceRoleForApplicationAutoScaling_ECSService",
	"elasticloadbalancing.amazonaws.com":        "AWSServiceRoleForElasticLoadBalancing",
	"rds.amazonaws.com":                         "AWSServiceRoleForRDS",
}

// seedServiceLinkedRoles makes the account one that has used all its services
// before.
func (c *Cloud) seedServiceLinkedRoles() {
	for service := range serviceLinkedRoles {
		r := c.makeServiceLinkedRole(service, "")
		r.Created = r.Created.AddDate(-1, 0, 0) // and is known everywhere
		c.putRole(r)
	}
}

func (c *Cloud) makeServiceLinkedRole(service, description string) iamRole {
	name := serviceLinkedRoles[service]
	path := "/aws-service-role/" + service + "/"
	r := iamRole{
		Name: name, ID: roleID(), Path: path, ARN: c.arn("iam", "role"+path+name), Description: description,
		Trust:      `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"` + service + `"},"Action":"sts:AssumeRole"}]}`,
		MaxSession: 3600, Created: c.now(), Service: service,
	}
	c.putRole(r)
	return r
}

func (c *Cloud) putRole(r iamRole) {
	if c.state.IAM.Roles == nil {
		c.state.IAM.Roles = map[string]iamRole{}
	}
	c.state.IAM.Roles[r.Name] = r
}

// managedARN names one of AWS's own policies.
func (c *Cloud) managedARN(name string) string {
	return "arn:" + partitionOf(c.cfg.Region).name + ":iam::aws:policy/" + name
}

func roleID() string { return "AROA" + strings.ToUpper(hexDigits(18))[:17] }

// role finds a role for an API call.
func (a iamAPI) role(name *string) (iamRole, error) {
	r, ok := a.state.IAM.Roles[aws.ToString(name)]
	if !ok || !a.visible(r.ARN) {
		return iamRole{}, fail("NoSuchEntity", "The role with name %s cannot be found.", aws.ToString(name))
	}
	r.Tags, r.Policies, r.Attached = maps.Clone(r.Tags), maps.Clone(r.Policies), slices.Clone(r.Attached)
	return r, nil
}

// change is role for one that is to be changed, which service-linked roles
// can't be.
func (a iamAPI) change(name *string) (iamRole, error) {
	r, err := a.role(name)
	if err == nil && r.Service != "" {
		return iamRole{}, fail("UnmodifiableEntity", "Cannot perform the operation on the protected role '%s' - this role is only modifiable by AWS", r.Name)
	}
	return r, err
}

var (
	roleName = regexp.MustCompile(`^[\w+=,.@-]{1,64}$`)
	rolePath = regexp.MustCompile(`^/([!-~]+/)?$`)
)

const maxTags = 50 // https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html

func (a iamAPI) CreateRole(_ context.Context, in *iam.CreateRoleInput) (*iam.CreateRoleOutput, error) {
	name, path := aws.ToString(in.RoleName), cmp.Or(aws.ToString(in.Path), "/")
	if !roleName.MatchString(name) {
		return nil, fail("ValidationError", "The specified value for roleName is invalid. It must contain only alphanumeric characters and/or the following: +=,.@_- and be at most 64 long")
	}
	if !rolePath.MatchString(path) || strings.HasPrefix(path, "/aws-service-role/") {
		return nil, fail("ValidationError", "The specified value for path is invalid.")
	}
	if _, taken := a.state.IAM.Roles[name]; taken {
		return nil, fail("EntityAlreadyExists", "Role with name %s already exists.", name)
	}
	session := aws.ToInt32(in.MaxSessionDuration)
	if session != 0 && (session < 3600 || session > 43200) {
		return nil, fail("ValidationError", "1 validation error detected: Value '%d' at 'maxSessionDuration' failed to satisfy constraint: Member must be between 3600 and 43200", session)
	}
	if err := checkPolicy(aws.ToString(in.AssumeRolePolicyDocument), trustPolicy); err != nil {
		return nil, err
	}
	if err := a.checkBoundary(in.PermissionsBoundary); err != nil {
		return nil, err
	}
	tags, err := retag(nil, in.Tags)
	if err != nil {
		return nil, err
	}
	r := iamRole{
		Name: name, ID: roleID(), Path: path, ARN: a.arn("iam", "role"+path+name),
		Description: aws.ToString(in.Description), Trust: *in.AssumeRolePolicyDocument,
		MaxSession: cmp.Or(session, 3600), Boundary: aws.ToString(in.PermissionsBoundary),
		Created: a.now(), Tags: tags,
	}
	a.putRole(r)
	a.born(r.ARN)
	return &iam.CreateRoleOutput{Role: r.sdk(true)}, nil
}

func (a iamAPI) GetRole(_ context.Context, in *iam.GetRoleInput) (*iam.GetRoleOutput, error) {
	r, err := a.role(in.RoleName)
	if err != nil {
		return nil, err
	}
	out := r.sdk(true)
	out.RoleLastUsed = &types.RoleLastUsed{}
	return &iam.GetRoleOutput{Role: out}, nil
}

func (a iamAPI) ListRoles(_ context.Context, in *iam.ListRolesInput) (*iam.ListRolesOutput, error) {
	var roles []iamRole
	for _, name := range slices.Sorted(maps.Keys(a.state.IAM.Roles)) {
		r := a.state.IAM.Roles[name]
		if strings.HasPrefix(r.Path, aws.ToString(in.PathPrefix)) && a.visible(r.ARN) {
			roles = append(roles, r)
		}
	}
	page, next, err := iamPage(roles, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	out := &iam.ListRolesOutput{IsTruncated: next != nil, Marker: next}
	for _, r := range page {
		out.Roles = append(out.Roles, *r.sdk(false)) // a list has no tags
	}
	return out, nil
}

// iamPage is the part of a list that was asked for, and the marker of the next.
func iamPage[T any](all []T, marker *string, size *int32) ([]T, *string, error) {
	start := 0
	if marker != nil {
		n, err := strconv.Atoi(*marker)
		if err != nil || n < 0 || n > len(all) {
			return nil, nil, fail("ValidationError", "Invalid Marker.")
		}
		start = n
	}
	n := 100
	if size != nil {
		if n = int(*size); n < 1 || n > 1000 {
			return nil, nil, fail("ValidationError", "1 validation error detected: Value '%d' at 'maxItems' failed to satisfy constraint: Member must be between 1 and 1000", n)
		}
	}
	if end := start + n; end < len(all) {
		return all[start:end], aws.String(strconv.Itoa(end)), nil
	}
	return all[start:], nil, nil
}

func (a iamAPI) UpdateRole(_ context.Context, in *iam.UpdateRoleInput) (*iam.UpdateRoleOutput, error) {
	r, err := a.change(in.RoleName)
	if err != nil {
		return nil, err
	}
	if in.Description != nil {
		r.Description = *in.Description
	}
	if in.MaxSessionDuration != nil {
		r.MaxSession = *in.MaxSessionDuration
	}
	a.putRole(r)
	return &iam.UpdateRoleOutput{}, nil
}

func (a iamAPI) UpdateAssumeRolePolicy(_ context.Context, in *iam.UpdateAssumeRolePolicyInput) (*iam.UpdateAssumeRolePolicyOutput, error) {
	r, err := a.change(in.RoleName)
	if err != nil {
		return nil, err
	}
	if err := checkPolicy(aws.ToString(in.PolicyDocument), trustPolicy); err != nil {
		return nil, err
	}
	r.Trust = *in.PolicyDocument
	a.putRole(r)
	return &iam.UpdateAssumeRolePolicyOutput{}, nil
}

func (a iamAPI) DeleteRole(_ context.Context, in *iam.DeleteRoleInput) (*iam.DeleteRoleOutput, error) {
	r, err := a.change(in.RoleName)
	switch {
	case err != nil:
		return nil, err
	case len(r.Attached) > 0:
		return nil, fail("DeleteConflict", "Cannot delete entity, must detach all policies first.")
	case len(r.Policies) > 0:
		return nil, fail("DeleteConflict", "Cannot delete entity, must delete policies first.")
	}
	delete(a.state.IAM.Roles, r.Name)
	return &iam.DeleteRoleOutput{}, nil
}

func (a iamAPI) TagRole(_ context.Context, in *iam.TagRoleInput) (*iam.TagRoleOutput, error) {
	r, err := a.change(in.RoleName)
	if err != nil {
		return nil, err
	}
	if r.Tags, err = retag(r.Tags, in.Tags); err != nil {
		return nil, err
	}
	a.putRole(r)
	return &iam.TagRoleOutput{}, nil
}

func (a iamAPI) UntagRole(_ context.Context, in *iam.UntagRoleInput) (*iam.UntagRoleOutput, error) {
	r, err := a.change(in.RoleName)
	if err != nil {
		return nil, err
	}
	for _, key := range in.TagKeys {
		delete(r.Tags, key)
	}
	a.putRole(r)
	return &iam.UntagRoleOutput{}, nil
}

func (a iamAPI) ListRoleTags(_ context.Context, in *iam.ListRoleTagsInput) (*iam.ListRoleTagsOutput, error) {
	r, err := a.role(in.RoleName)
	if err != nil {
		return nil, err
	}
	page, next, err := iamPage(iamTags(r.Tags), in.Marker, in.MaxItems)
	return &iam.ListRoleTagsOutput{Tags: page, IsTruncated: next != nil, Marker: next}, err
}

func (a iamAPI) PutRolePolicy(_ context.Context, in *iam.PutRolePolicyInput) (*iam.PutRolePolicyOutput, error) {
	r, err := a.change(in.RoleName)
	if err != nil {
		return nil, err
	}
	if err := checkPolicy(aws.ToString(in.PolicyDocument), rolePolicy); err != nil {
		return nil, err
	}
	if r.Policies == nil {
		r.Policies = map[string]string{}
	}
	r.Policies[aws.ToString(in.PolicyName)] = *in.PolicyDocument
	size := 0
	for _, document := range r.Policies {
		size += policySize(document)
	}
	if size > 10240 {
		return nil, fail("LimitExceeded", "Maximum policy size of 10240 bytes exceeded for role %s", r.Name)
	}
	a.putRole(r)
	return &iam.PutRolePolicyOutput{}, nil
}

func (a iamAPI) GetRolePolicy(_ context.Context, in *iam.GetRolePolicyInput) (*iam.GetRolePolicyOutput, error) {
	r, err := a.role(in.RoleName)
	if err != nil {
		return nil, err
	}
	document, ok := r.Policies[aws.ToString(in.PolicyName)]
	if !ok {
		return nil, fail("NoSuchEntity", "The role policy with name %s cannot be found.", aws.ToString(in.PolicyName))
	}
	return &iam.GetRolePolicyOutput{RoleName: &r.Name, PolicyName: in.PolicyName, PolicyDocument: aws.String(encodeDocument(document))}, nil
}

func (a iamAPI) DeleteRolePolicy(_ context.Context, in *iam.DeleteRolePolicyInput) (*iam.DeleteRolePolicyOutput, error) {
	r, err := a.change(in.RoleName)
	if err != nil {
		return nil, err
	}
	if _, ok := r.Policies[aws.ToString(in.PolicyName)]; !ok {
		return nil, fail("NoSuchEntity", "The role policy with name %s cannot be found.", aws.ToString(in.PolicyName))
	}
	delete(r.Policies, *in.PolicyName)
	a.putRole(r)
	return &iam.DeleteRolePolicyOutput{}, nil
}

func (a iamAPI) ListRolePolicies(_ context.Context, in *iam.ListRolePoliciesInput) (*iam.ListRolePoliciesOutput, error) {
	r, err := a.role(in.RoleName)
	if err != nil {
		return nil, err
	}
	page, next, err := iamPage(slices.Sorted(maps.Keys(r.Policies)), in.Marker, in.MaxItems)
	return &iam.ListRolePoliciesOutput{PolicyNames: page, IsTruncated: next != nil, Marker: next}, err
}

func (a iamAPI) AttachRolePolicy(_ context.Context, in *iam.AttachRolePolicyInput) (*iam.AttachRolePolicyOutput, error) {
	r, err := a.change(in.RoleName)
	if err != nil {
		return nil, err
	}
	arn := aws.ToString(in.PolicyArn)
	if !a.attachable(arn) {
		return nil, fail("NoSuchEntity", "Policy %s does not exist or is not attachable.", arn)
	}
	if !slices.Contains(r.Attached, arn) {
		if len(r.Attached) == 10 { // https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
			return nil, fail("LimitExceeded", "Cannot exceed quota for PoliciesPerRole: 10")
		}
		r.Attached = append(r.Attached, arn)
	}
	a.putRole(r)
	return &iam.AttachRolePolicyOutput{}, nil
}

func (a iamAPI) DetachRolePolicy(_ context.Context, in *iam.DetachRolePolicyInput) (*iam.DetachRolePolicyOutput, error) {
	r, err := a.change(in.RoleName)
	if err != nil {
		return nil, err
	}
	i := slices.Index(r.Attached, aws.ToString(in.PolicyArn))
	if i < 0 {
		return nil, fail("NoSuchEntity", "Policy %s was not found.", aws.ToString(in.PolicyArn))
	}
	r.Attached = slices.Delete(r.Attached, i, i+1)
	a.putRole(r)
	return &iam.DetachRolePolicyOutput{}, nil
}

func (a iamAPI) ListAttachedRolePolicies(_ context.Context, in *iam.ListAttachedRolePoliciesInput) (*iam.ListAttachedRolePoliciesOutput, error) {
	r, err := a.role(in.RoleName)
	if err != nil {
		return nil, err
	}
	var all []types.AttachedPolicy
	for _, arn := range r.Attached {
		_, path, _ := strings.Cut(arn, ":policy")
		if !strings.HasPrefix(path, aws.ToString(in.PathPrefix)) {
			continue
		}
		all = append(all, types.AttachedPolicy{PolicyArn: aws.String(arn), PolicyName: aws.String(arn[strings.LastIndex(arn, "/")+1:])})
	}
	page, next, err := iamPage(all, in.Marker, in.MaxItems)
	return &iam.ListAttachedRolePoliciesOutput{AttachedPolicies: page, IsTruncated: next != nil, Marker: next}, err
}

// ListInstanceProfilesForRole is always empty: there are no instances here. Some
// clients ask before they delete a role.
func (a iamAPI) ListInstanceProfilesForRole(_ context.Context, in *iam.ListInstanceProfilesForRoleInput) (*iam.ListInstanceProfilesForRoleOutput, error) {
	_, err := a.role(in.RoleName)
	return &iam.ListInstanceProfilesForRoleOutput{}, err
}

func (a iamAPI) CreateServiceLinkedRole(_ context.Context, in *iam.CreateServiceLinkedRoleInput) (*iam.CreateServiceLinkedRoleOutput, error) {
	service := aws.ToString(in.AWSServiceName)
	name, ok := serviceLinkedRoles[service]
	if !ok {
		return nil, fail("InvalidInput", "Service name %s is not one that the local cloud has a service-linked role for", service)
	}
	if in.CustomSuffix != nil {
		return nil, fail("InvalidInput", "Custom suffix is not allowed for %s", service)
	}
	if a.hasServiceLinkedRole(service) {
		return nil, fail("InvalidInput", "Service role name %s has been taken in this account, please try a different suffix.", name)
	}
	r := a.makeServiceLinkedRole(service, aws.ToString(in.Description))
	return &iam.CreateServiceLinkedRoleOutput{Role: r.sdk(true)}, nil
}

// DeleteServiceLinkedRole deletes at once, without a look at who needs the role.
func (a iamAPI) DeleteServiceLinkedRole(_ context.Context, in *iam.DeleteServiceLinkedRoleInput) (*iam.DeleteServiceLinkedRoleOutput, error) {
	r, err := a.role(in.RoleName)
	if err != nil {
		return nil, err
	}
	if r.Service == "" {
		return nil, fail("InvalidInput", "%s is not a service-linked role", r.Name)
	}
	delete(a.state.IAM.Roles, r.Name)
	return &iam.DeleteServiceLinkedRoleOutput{DeletionTaskId: aws.String("task" + r.Path + r.Name + "/" + requestID())}, nil
}

func (a iamAPI) GetServiceLinkedRoleDeletionStatus(context.Context, *iam.GetServiceLinkedRoleDeletionStatusInput) (*iam.GetServiceLinkedRoleDeletionStatusOutput, error) {
	return &iam.GetServiceLinkedRoleDeletionStatusOutput{Status: types.DeletionTaskStatusTypeSucceeded}, nil
}

// sdk is the role as IAM answers it.
func (r iamRole) sdk(withTags bool) *types.Role {
	out := &types.Role{
		RoleName: &r.Name, RoleId: &r.ID, Path: &r.Path, Arn: &r.ARN, CreateDate: &r.Created,
		AssumeRolePolicyDocument: aws.String(encodeDocument(r.Trust)), MaxSessionDuration: &r.MaxSession,
	}
	if r.Description != "" {
		out.Description = &r.Description
	}
	if r.Boundary != "" {
		out.PermissionsBoundary = &types.AttachedPermissionsBoundary{
			PermissionsBoundaryArn:  &r.Boundary,
			PermissionsBoundaryType: types.PermissionsBoundaryAttachmentTypePolicy,
		}
	}
	if withTags {
		out.Tags = iamTags(r.Tags)
	}
	return out
}

// encodeDocument is a policy as IAM answers it, in RFC 3986's encoding
// (https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetRolePolicy.html).
func encodeDocument(document string) string {
	return strings.ReplaceAll(url.QueryEscape(document), "+", "%20")
}

func iamTags(tags map[string]string) []types.Tag {
	var out []types.Tag
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		out = append(out, types.Tag{Key: aws.String(key), Value: aws.String(tags[key])})
	}
	return out
}

// retag adds tags to a role's, of which each key may come once.
func retag(have map[string]string, add []types.Tag) (map[string]string, error) {
	tags := maps.Clone(have)
	if tags == nil {
		tags = map[string]string{}
	}
	seen := map[string]bool{}
	for _, t := range add {
		key := aws.ToString(t.Key)
		low := strings.ToLower(key)
		if seen[low] {
			return nil, fail("InvalidInput", "Duplicate tag keys found. Please note that Tag keys are case insensitive.")
		}
		if strings.HasPrefix(low, "aws:") || key == "" {
			return nil, fail("InvalidInput", "Tag key %q is not allowed", key)
		}
		seen[low] = true
		tags[key] = aws.ToString(t.Value)
	}
	if len(tags) > maxTags {
		return nil, fail("LimitExceeded", "The number of tags has reached the maximum limit of %d.", maxTags)
	}
	return tags, nil
}
