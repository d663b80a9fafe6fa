package iam

import (
	"cmp"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
	"github.com/bookctl/bookctl/internal/pattern"
)

// state is what IAM keeps.
type state struct {
	Roles map[string]role `json:"roles"` // by name
	// Policies are the customer's own managed policies, by ARN.
	Policies map[string]policy `json:"policies,omitempty"`
}

// role is a role with its inline policies and attachments.
type role struct {
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

// API is the service's operations.
func (s *Service) API() kernel.Service {
	return kernel.Service{Model: "iam", Signing: "iam", Protocol: kernel.Query, Operations: kernel.Operations(s.in,
		kernel.Op("AttachRolePolicy", tx.AttachRolePolicy),
		kernel.Op("CreatePolicy", tx.CreatePolicy),
		kernel.Op("CreateRole", tx.CreateRole),
		kernel.Op("CreateServiceLinkedRole", tx.CreateServiceLinkedRole),
		kernel.Op("DeletePolicy", tx.DeletePolicy),
		kernel.Op("DeleteRole", tx.DeleteRole),
		kernel.Op("DeleteRolePermissionsBoundary", tx.DeleteRolePermissionsBoundary),
		kernel.Op("DeleteRolePolicy", tx.DeleteRolePolicy),
		kernel.Op("DeleteServiceLinkedRole", tx.DeleteServiceLinkedRole),
		kernel.Op("DetachRolePolicy", tx.DetachRolePolicy),
		kernel.Op("GetPolicy", tx.GetPolicy),
		kernel.Op("GetPolicyVersion", tx.GetPolicyVersion),
		kernel.Op("GetUser", tx.GetUser),
		kernel.Op("GetRole", tx.GetRole),
		kernel.Op("GetRolePolicy", tx.GetRolePolicy),
		kernel.Op("GetServiceLinkedRoleDeletionStatus", tx.GetServiceLinkedRoleDeletionStatus),
		kernel.Op("ListAttachedRolePolicies", tx.ListAttachedRolePolicies),
		kernel.Op("ListInstanceProfilesForRole", tx.ListInstanceProfilesForRole),
		kernel.Op("ListRolePolicies", tx.ListRolePolicies),
		kernel.Op("ListRoleTags", tx.ListRoleTags),
		kernel.Op("ListRoles", tx.ListRoles),
		kernel.Op("PutRolePermissionsBoundary", tx.PutRolePermissionsBoundary),
		kernel.Op("PutRolePolicy", tx.PutRolePolicy),
		kernel.Op("TagRole", tx.TagRole),
		kernel.Op("UntagRole", tx.UntagRole),
		kernel.Op("UpdateAssumeRolePolicy", tx.UpdateAssumeRolePolicy),
		kernel.Op("UpdateRole", tx.UpdateRole),
	)}
}

func (a tx) byARN(arn string) (role, bool) {
	for _, r := range a.state().Roles {
		if r.ARN == arn {
			return r, true
		}
	}
	return role{}, false
}

// serviceLinkedRoles are the roles' names by service
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_aws-services-that-work-with-iam.html).
var serviceLinkedRoles = map[string]string{
	"ecs.amazonaws.com":                         "AWSServiceRoleForECS",
	"ecs.application-autoscaling.amazonaws.com": "AWSServiceRoleForApplicationAutoScaling_ECSService",
	"elasticloadbalancing.amazonaws.com":        "AWSServiceRoleForElasticLoadBalancing",
	"rds.amazonaws.com":                         "AWSServiceRoleForRDS",
}

// SeedLinkedRoles makes the account one that has used all its services
// before.
func (s *Service) SeedLinkedRoles(t *kernel.Tx) {
	c := s.in(t)
	for service := range serviceLinkedRoles {
		r := c.makeServiceLinkedRole(service, "")
		r.Created = r.Created.AddDate(-1, 0, 0) // and is known everywhere
		c.putRole(r)
	}
}

func (a tx) makeServiceLinkedRole(service, description string) role {
	name := serviceLinkedRoles[service]
	path := "/aws-service-role/" + service + "/"
	r := role{
		Name: name, ID: roleID(), Path: path, ARN: a.ARN("iam", "role"+path+name), Description: description,
		Trust:      `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"` + service + `"},"Action":"sts:AssumeRole"}]}`,
		MaxSession: 3600, Created: a.Now(), Service: service,
	}
	a.putRole(r)
	return r
}

func (a tx) putRole(r role) {
	if a.state().Roles == nil {
		a.state().Roles = map[string]role{}
	}
	a.state().Roles[r.Name] = r
}

// managedARN names one of AWS's own policies.
func (s *Service) managedARN(name string) string {
	return "arn:" + s.Partition() + ":iam::aws:policy/" + name
}

func roleID() string { return "AROA" + strings.ToUpper(kernel.HexDigits(18))[:17] }

// role finds a role for an API call.
func (a tx) role(name *string) (role, error) {
	r, ok := a.state().Roles[aws.ToString(name)]
	if !ok || !a.Visible(r.ARN) {
		return role{}, kernel.Fail("NoSuchEntity", "The role with name %s cannot be found.", aws.ToString(name))
	}
	r.Tags, r.Policies, r.Attached = maps.Clone(r.Tags), maps.Clone(r.Policies), slices.Clone(r.Attached)
	return r, nil
}

// change is role for one that is to be changed, which service-linked roles
// can't be.
func (a tx) change(name *string) (role, error) {
	r, err := a.role(name)
	if err == nil && r.Service != "" {
		return role{}, kernel.Fail("UnmodifiableEntity", "Cannot perform the operation on the protected role '%s' - this role is only modifiable by AWS", r.Name)
	}
	return r, err
}

var (
	roleName = pattern.New(`^[\w+=,.@-]{1,64}$`)
	rolePath = pattern.New(`^/([!-~]+/)?$`)
)

const maxTags = 50 // https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html

func (a tx) CreateRole(in *iam.CreateRoleInput) (*iam.CreateRoleOutput, error) {
	name, path := aws.ToString(in.RoleName), cmp.Or(aws.ToString(in.Path), "/")
	if !roleName.MatchString(name) {
		return nil, kernel.Fail("ValidationError", "The specified value for roleName is invalid. It must contain only alphanumeric characters and/or the following: +=,.@_- and be at most 64 long")
	}
	if !rolePath.MatchString(path) || strings.HasPrefix(path, "/aws-service-role/") {
		return nil, kernel.Fail("ValidationError", "The specified value for path is invalid.")
	}
	if _, taken := a.state().Roles[name]; taken {
		return nil, kernel.Fail("EntityAlreadyExists", "Role with name %s already exists.", name)
	}
	session := aws.ToInt32(in.MaxSessionDuration)
	if session != 0 && (session < 3600 || session > 43200) {
		return nil, kernel.Fail("ValidationError", "1 validation error detected: Value '%d' at 'maxSessionDuration' failed to satisfy constraint: Member must be between 3600 and 43200", session)
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
	r := role{
		Name: name, ID: roleID(), Path: path, ARN: a.ARN("iam", "role"+path+name),
		Description: aws.ToString(in.Description), Trust: *in.AssumeRolePolicyDocument,
		MaxSession: cmp.Or(session, 3600), Boundary: aws.ToString(in.PermissionsBoundary),
		Created: a.Now(), Tags: tags,
	}
	a.putRole(r)
	a.Created(r.ARN)
	return &iam.CreateRoleOutput{Role: r.sdk(true)}, nil
}

func (a tx) GetRole(in *iam.GetRoleInput) (*iam.GetRoleOutput, error) {
	r, err := a.role(in.RoleName)
	if err != nil {
		return nil, err
	}
	out := r.sdk(true)
	out.RoleLastUsed = &types.RoleLastUsed{}
	return &iam.GetRoleOutput{Role: out}, nil
}

func (a tx) ListRoles(in *iam.ListRolesInput) (*iam.ListRolesOutput, error) {
	var roles []role
	for _, name := range slices.Sorted(maps.Keys(a.state().Roles)) {
		r := a.state().Roles[name]
		if strings.HasPrefix(r.Path, aws.ToString(in.PathPrefix)) && a.Visible(r.ARN) {
			roles = append(roles, r)
		}
	}
	page, next, err := page(roles, in.Marker, in.MaxItems)
	if err != nil {
		return nil, err
	}
	out := &iam.ListRolesOutput{IsTruncated: next != nil, Marker: next}
	for _, r := range page {
		out.Roles = append(out.Roles, *r.sdk(false)) // a list has no tags
	}
	return out, nil
}

// page is the part of a list that was asked for, and the marker of the next.
func page[T any](all []T, marker *string, size *int32) ([]T, *string, error) {
	start := 0
	if marker != nil {
		n, err := strconv.Atoi(*marker)
		if err != nil || n < 0 || n > len(all) {
			return nil, nil, kernel.Fail("ValidationError", "Invalid Marker.")
		}
		start = n
	}
	n := 100
	if size != nil {
		if n = int(*size); n < 1 || n > 1000 {
			return nil, nil, kernel.Fail("ValidationError", "1 validation error detected: Value '%d' at 'maxItems' failed to satisfy constraint: Member must be between 1 and 1000", n)
		}
	}
	if end := start + n; end < len(all) {
		return all[start:end], aws.String(strconv.Itoa(end)), nil
	}
	return all[start:], nil, nil
}

func (a tx) UpdateRole(in *iam.UpdateRoleInput) (*iam.UpdateRoleOutput, error) {
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

func (a tx) UpdateAssumeRolePolicy(in *iam.UpdateAssumeRolePolicyInput) (*iam.UpdateAssumeRolePolicyOutput, error) {
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

func (a tx) DeleteRole(in *iam.DeleteRoleInput) (*iam.DeleteRoleOutput, error) {
	r, err := a.change(in.RoleName)
	switch {
	case err != nil:
		return nil, err
	case len(r.Attached) > 0:
		return nil, kernel.Fail("DeleteConflict", "Cannot delete entity, must detach all policies first.")
	case len(r.Policies) > 0:
		return nil, kernel.Fail("DeleteConflict", "Cannot delete entity, must delete policies first.")
	}
	delete(a.state().Roles, r.Name)
	return &iam.DeleteRoleOutput{}, nil
}

func (a tx) TagRole(in *iam.TagRoleInput) (*iam.TagRoleOutput, error) {
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

func (a tx) UntagRole(in *iam.UntagRoleInput) (*iam.UntagRoleOutput, error) {
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

func (a tx) ListRoleTags(in *iam.ListRoleTagsInput) (*iam.ListRoleTagsOutput, error) {
	r, err := a.role(in.RoleName)
	if err != nil {
		return nil, err
	}
	page, next, err := page(writeTags(r.Tags), in.Marker, in.MaxItems)
	return &iam.ListRoleTagsOutput{Tags: page, IsTruncated: next != nil, Marker: next}, err
}

func (a tx) PutRolePolicy(in *iam.PutRolePolicyInput) (*iam.PutRolePolicyOutput, error) {
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
		return nil, kernel.Fail("LimitExceeded", "Maximum policy size of 10240 bytes exceeded for role %s", r.Name)
	}
	a.putRole(r)
	return &iam.PutRolePolicyOutput{}, nil
}

func (a tx) GetRolePolicy(in *iam.GetRolePolicyInput) (*iam.GetRolePolicyOutput, error) {
	r, err := a.role(in.RoleName)
	if err != nil {
		return nil, err
	}
	document, ok := r.Policies[aws.ToString(in.PolicyName)]
	if !ok {
		return nil, kernel.Fail("NoSuchEntity", "The role policy with name %s cannot be found.", aws.ToString(in.PolicyName))
	}
	return &iam.GetRolePolicyOutput{RoleName: &r.Name, PolicyName: in.PolicyName, PolicyDocument: aws.String(encodeDocument(rewritten(document)))}, nil
}

func (a tx) DeleteRolePolicy(in *iam.DeleteRolePolicyInput) (*iam.DeleteRolePolicyOutput, error) {
	r, err := a.change(in.RoleName)
	if err != nil {
		return nil, err
	}
	if _, ok := r.Policies[aws.ToString(in.PolicyName)]; !ok {
		return nil, kernel.Fail("NoSuchEntity", "The role policy with name %s cannot be found.", aws.ToString(in.PolicyName))
	}
	delete(r.Policies, *in.PolicyName)
	a.putRole(r)
	return &iam.DeleteRolePolicyOutput{}, nil
}

func (a tx) ListRolePolicies(in *iam.ListRolePoliciesInput) (*iam.ListRolePoliciesOutput, error) {
	r, err := a.role(in.RoleName)
	if err != nil {
		return nil, err
	}
	page, next, err := page(slices.Sorted(maps.Keys(r.Policies)), in.Marker, in.MaxItems)
	return &iam.ListRolePoliciesOutput{PolicyNames: page, IsTruncated: next != nil, Marker: next}, err
}

func (a tx) AttachRolePolicy(in *iam.AttachRolePolicyInput) (*iam.AttachRolePolicyOutput, error) {
	r, err := a.change(in.RoleName)
	if err != nil {
		return nil, err
	}
	arn := aws.ToString(in.PolicyArn)
	if !a.attachable(arn) {
		return nil, kernel.Fail("NoSuchEntity", "Policy %s does not exist or is not attachable.", arn)
	}
	if !slices.Contains(r.Attached, arn) {
		if len(r.Attached) == 10 { // https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
			return nil, kernel.Fail("LimitExceeded", "Cannot exceed quota for PoliciesPerRole: 10")
		}
		r.Attached = append(r.Attached, arn)
	}
	a.putRole(r)
	return &iam.AttachRolePolicyOutput{}, nil
}

func (a tx) DetachRolePolicy(in *iam.DetachRolePolicyInput) (*iam.DetachRolePolicyOutput, error) {
	r, err := a.change(in.RoleName)
	if err != nil {
		return nil, err
	}
	i := slices.Index(r.Attached, aws.ToString(in.PolicyArn))
	if i < 0 {
		return nil, kernel.Fail("NoSuchEntity", "Policy %s was not found.", aws.ToString(in.PolicyArn))
	}
	r.Attached = slices.Delete(r.Attached, i, i+1)
	a.putRole(r)
	return &iam.DetachRolePolicyOutput{}, nil
}

func (a tx) ListAttachedRolePolicies(in *iam.ListAttachedRolePoliciesInput) (*iam.ListAttachedRolePoliciesOutput, error) {
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
	page, next, err := page(all, in.Marker, in.MaxItems)
	return &iam.ListAttachedRolePoliciesOutput{AttachedPolicies: page, IsTruncated: next != nil, Marker: next}, err
}

// ListInstanceProfilesForRole is always empty: there are no instances here. Some
// clients ask before they delete a role.
func (a tx) ListInstanceProfilesForRole(in *iam.ListInstanceProfilesForRoleInput) (*iam.ListInstanceProfilesForRoleOutput, error) {
	_, err := a.role(in.RoleName)
	return &iam.ListInstanceProfilesForRoleOutput{}, err
}

func (a tx) CreateServiceLinkedRole(in *iam.CreateServiceLinkedRoleInput) (*iam.CreateServiceLinkedRoleOutput, error) {
	service := aws.ToString(in.AWSServiceName)
	name, ok := serviceLinkedRoles[service]
	if !ok {
		return nil, kernel.Fail("InvalidInput", "Service name %s is not one that the local cloud has a service-linked role for", service)
	}
	if in.CustomSuffix != nil {
		return nil, kernel.Fail("InvalidInput", "Custom suffix is not allowed for %s", service)
	}
	if a.HasLinkedRole(a.Tx, service) {
		return nil, kernel.Fail("InvalidInput", "Service role name %s has been taken in this account, please try a different suffix.", name)
	}
	r := a.makeServiceLinkedRole(service, aws.ToString(in.Description))
	return &iam.CreateServiceLinkedRoleOutput{Role: r.sdk(true)}, nil
}

// DeleteServiceLinkedRole deletes at once, without a look at who needs the role.
func (a tx) DeleteServiceLinkedRole(in *iam.DeleteServiceLinkedRoleInput) (*iam.DeleteServiceLinkedRoleOutput, error) {
	r, err := a.role(in.RoleName)
	if err != nil {
		return nil, err
	}
	if r.Service == "" {
		return nil, kernel.Fail("InvalidInput", "%s is not a service-linked role", r.Name)
	}
	delete(a.state().Roles, r.Name)
	return &iam.DeleteServiceLinkedRoleOutput{DeletionTaskId: aws.String("task" + r.Path + r.Name + "/" + kernel.RequestID())}, nil
}

func (a tx) GetServiceLinkedRoleDeletionStatus(*iam.GetServiceLinkedRoleDeletionStatusInput) (*iam.GetServiceLinkedRoleDeletionStatusOutput, error) {
	return &iam.GetServiceLinkedRoleDeletionStatusOutput{Status: types.DeletionTaskStatusTypeSucceeded}, nil
}

// sdk is the role as IAM answers it.
func (r role) sdk(withTags bool) *types.Role {
	out := &types.Role{
		RoleName: &r.Name, RoleId: &r.ID, Path: &r.Path, Arn: &r.ARN, CreateDate: &r.Created,
		AssumeRolePolicyDocument: aws.String(encodeDocument(rewritten(r.Trust))), MaxSessionDuration: &r.MaxSession,
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
		out.Tags = writeTags(r.Tags)
	}
	return out
}

// encodeDocument is a policy as IAM answers it, in RFC 3986's encoding
// (https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetRolePolicy.html).
func encodeDocument(document string) string {
	return strings.ReplaceAll(url.QueryEscape(document), "+", "%20")
}

func writeTags(tags map[string]string) []types.Tag {
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
			return nil, kernel.Fail("InvalidInput", "Duplicate tag keys found. Please note that Tag keys are case insensitive.")
		}
		if strings.HasPrefix(low, "aws:") || key == "" {
			return nil, kernel.Fail("InvalidInput", "Tag key %q is not allowed", key)
		}
		seen[low] = true
		tags[key] = aws.ToString(t.Value)
	}
	if len(tags) > maxTags {
		return nil, kernel.Fail("LimitExceeded", "The number of tags has reached the maximum limit of %d.", maxTags)
	}
	return tags, nil
}
