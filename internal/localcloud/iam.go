package localcloud

import (
	"cmp"
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

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
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

type iamAPI struct{ tx }

func (c *Cloud) iamService() kernel.Service {
	return kernel.Service{Model: "iam", Signing: "iam", Protocol: kernel.Query, Operations: kernel.Operations(func(t *kernel.Tx) iamAPI { return iamAPI{tx{t, c}} },
		kernel.Op("AttachRolePolicy", iamAPI.AttachRolePolicy),
		kernel.Op("CreatePolicy", iamAPI.CreatePolicy),
		kernel.Op("CreateRole", iamAPI.CreateRole),
		kernel.Op("CreateServiceLinkedRole", iamAPI.CreateServiceLinkedRole),
		kernel.Op("DeletePolicy", iamAPI.DeletePolicy),
		kernel.Op("DeleteRole", iamAPI.DeleteRole),
		kernel.Op("DeleteRolePermissionsBoundary", iamAPI.DeleteRolePermissionsBoundary),
		kernel.Op("DeleteRolePolicy", iamAPI.DeleteRolePolicy),
		kernel.Op("DeleteServiceLinkedRole", iamAPI.DeleteServiceLinkedRole),
		kernel.Op("DetachRolePolicy", iamAPI.DetachRolePolicy),
		kernel.Op("GetPolicy", iamAPI.GetPolicy),
		kernel.Op("GetPolicyVersion", iamAPI.GetPolicyVersion),
		kernel.Op("GetUser", iamAPI.GetUser),
		kernel.Op("GetRole", iamAPI.GetRole),
		kernel.Op("GetRolePolicy", iamAPI.GetRolePolicy),
		kernel.Op("GetServiceLinkedRoleDeletionStatus", iamAPI.GetServiceLinkedRoleDeletionStatus),
		kernel.Op("ListAttachedRolePolicies", iamAPI.ListAttachedRolePolicies),
		kernel.Op("ListInstanceProfilesForRole", iamAPI.ListInstanceProfilesForRole),
		kernel.Op("ListRolePolicies", iamAPI.ListRolePolicies),
		kernel.Op("ListRoleTags", iamAPI.ListRoleTags),
		kernel.Op("ListRoles", iamAPI.ListRoles),
		kernel.Op("PutRolePermissionsBoundary", iamAPI.PutRolePermissionsBoundary),
		kernel.Op("PutRolePolicy", iamAPI.PutRolePolicy),
		kernel.Op("TagRole", iamAPI.TagRole),
		kernel.Op("UntagRole", iamAPI.UntagRole),
		kernel.Op("UpdateAssumeRolePolicy", iamAPI.UpdateAssumeRolePolicy),
		kernel.Op("UpdateRole", iamAPI.UpdateRole),
	)}
}

// roleByARN finds the role that another service is to assume.
func (c tx) roleByARN(arn string) (iamRole, bool) {
	for _, r := range c.iam().Roles {
		if r.ARN == arn {
			return r, true
		}
	}
	return iamRole{}, false
}

// roleUsable says whether other services can assume the role yet, which they
// can't for some seconds after its creation
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency).
func (c tx) roleUsable(arn string) bool {
	r, ok := c.roleByARN(arn)
	wait := max(c.Scaled(c.Latencies().RoleUsable), kernel.Seconds(c.Faults().RoleSeconds))
	return ok && time.Since(r.Created) >= wait
}

// hasServiceLinkedRole says whether the account has the role of that service,
// such as "ecs.amazonaws.com".
func (c tx) hasServiceLinkedRole(service string) bool {
	_, ok := c.iam().Roles[serviceLinkedRoles[service]]
	return ok
}

// linkedRoleUsable says whether the account has the role of that service, and the
// service knows of it yet.
func (c tx) linkedRoleUsable(service string) bool {
	r, ok := c.iam().Roles[serviceLinkedRoles[service]]
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
func (c tx) seedServiceLinkedRoles() {
	for service := range serviceLinkedRoles {
		r := c.makeServiceLinkedRole(service, "")
		r.Created = r.Created.AddDate(-1, 0, 0) // and is known everywhere
		c.putRole(r)
	}
}

func (c tx) makeServiceLinkedRole(service, description string) iamRole {
	name := serviceLinkedRoles[service]
	path := "/aws-service-role/" + service + "/"
	r := iamRole{
		Name: name, ID: roleID(), Path: path, ARN: c.ARN("iam", "role"+path+name), Description: description,
		Trust:      `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"` + service + `"},"Action":"sts:AssumeRole"}]}`,
		MaxSession: 3600, Created: c.Now(), Service: service,
	}
	c.putRole(r)
	return r
}

func (c tx) putRole(r iamRole) {
	if c.iam().Roles == nil {
		c.iam().Roles = map[string]iamRole{}
	}
	c.iam().Roles[r.Name] = r
}

// managedARN names one of AWS's own policies.
func (c *Cloud) managedARN(name string) string {
	return "arn:" + c.Partition() + ":iam::aws:policy/" + name
}

func roleID() string { return "AROA" + strings.ToUpper(kernel.HexDigits(18))[:17] }

// role finds a role for an API call.
func (a iamAPI) role(name *string) (iamRole, error) {
	r, ok := a.iam().Roles[aws.ToString(name)]
	if !ok || !a.Visible(r.ARN) {
		return iamRole{}, kernel.Fail("NoSuchEntity", "The role with name %s cannot be found.", aws.ToString(name))
	}
	r.Tags, r.Policies, r.Attached = maps.Clone(r.Tags), maps.Clone(r.Policies), slices.Clone(r.Attached)
	return r, nil
}

// change is role for one that is to be changed, which service-linked roles
// can't be.
func (a iamAPI) change(name *string) (iamRole, error) {
	r, err := a.role(name)
	if err == nil && r.Service != "" {
		return iamRole{}, kernel.Fail("UnmodifiableEntity", "Cannot perform the operation on the protected role '%s' - this role is only modifiable by AWS", r.Name)
	}
	return r, err
}

var (
	roleName = regexp.MustCompile(`^[\w+=,.@-]{1,64}$`)
	rolePath = regexp.MustCompile(`^/([!-~]+/)?$`)
)

const maxTags = 50 // https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html

func (a iamAPI) CreateRole(in *iam.CreateRoleInput) (*iam.CreateRoleOutput, error) {
	name, path := aws.ToString(in.RoleName), cmp.Or(aws.ToString(in.Path), "/")
	if !roleName.MatchString(name) {
		return nil, kernel.Fail("ValidationError", "The specified value for roleName is invalid. It must contain only alphanumeric characters and/or the following: +=,.@_- and be at most 64 long")
	}
	if !rolePath.MatchString(path) || strings.HasPrefix(path, "/aws-service-role/") {
		return nil, kernel.Fail("ValidationError", "The specified value for path is invalid.")
	}
	if _, taken := a.iam().Roles[name]; taken {
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
	r := iamRole{
		Name: name, ID: roleID(), Path: path, ARN: a.ARN("iam", "role"+path+name),
		Description: aws.ToString(in.Description), Trust: *in.AssumeRolePolicyDocument,
		MaxSession: cmp.Or(session, 3600), Boundary: aws.ToString(in.PermissionsBoundary),
		Created: a.Now(), Tags: tags,
	}
	a.putRole(r)
	a.Born(r.ARN)
	return &iam.CreateRoleOutput{Role: r.sdk(true)}, nil
}

func (a iamAPI) GetRole(in *iam.GetRoleInput) (*iam.GetRoleOutput, error) {
	r, err := a.role(in.RoleName)
	if err != nil {
		return nil, err
	}
	out := r.sdk(true)
	out.RoleLastUsed = &types.RoleLastUsed{}
	return &iam.GetRoleOutput{Role: out}, nil
}

func (a iamAPI) ListRoles(in *iam.ListRolesInput) (*iam.ListRolesOutput, error) {
	var roles []iamRole
	for _, name := range slices.Sorted(maps.Keys(a.iam().Roles)) {
		r := a.iam().Roles[name]
		if strings.HasPrefix(r.Path, aws.ToString(in.PathPrefix)) && a.Visible(r.ARN) {
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

func (a iamAPI) UpdateRole(in *iam.UpdateRoleInput) (*iam.UpdateRoleOutput, error) {
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

func (a iamAPI) UpdateAssumeRolePolicy(in *iam.UpdateAssumeRolePolicyInput) (*iam.UpdateAssumeRolePolicyOutput, error) {
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

func (a iamAPI) DeleteRole(in *iam.DeleteRoleInput) (*iam.DeleteRoleOutput, error) {
	r, err := a.change(in.RoleName)
	switch {
	case err != nil:
		return nil, err
	case len(r.Attached) > 0:
		return nil, kernel.Fail("DeleteConflict", "Cannot delete entity, must detach all policies first.")
	case len(r.Policies) > 0:
		return nil, kernel.Fail("DeleteConflict", "Cannot delete entity, must delete policies first.")
	}
	delete(a.iam().Roles, r.Name)
	return &iam.DeleteRoleOutput{}, nil
}

func (a iamAPI) TagRole(in *iam.TagRoleInput) (*iam.TagRoleOutput, error) {
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

func (a iamAPI) UntagRole(in *iam.UntagRoleInput) (*iam.UntagRoleOutput, error) {
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

func (a iamAPI) ListRoleTags(in *iam.ListRoleTagsInput) (*iam.ListRoleTagsOutput, error) {
	r, err := a.role(in.RoleName)
	if err != nil {
		return nil, err
	}
	page, next, err := iamPage(iamTags(r.Tags), in.Marker, in.MaxItems)
	return &iam.ListRoleTagsOutput{Tags: page, IsTruncated: next != nil, Marker: next}, err
}

func (a iamAPI) PutRolePolicy(in *iam.PutRolePolicyInput) (*iam.PutRolePolicyOutput, error) {
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

func (a iamAPI) GetRolePolicy(in *iam.GetRolePolicyInput) (*iam.GetRolePolicyOutput, error) {
	r, err := a.role(in.RoleName)
	if err != nil {
		return nil, err
	}
	document, ok := r.Policies[aws.ToString(in.PolicyName)]
	if !ok {
		return nil, kernel.Fail("NoSuchEntity", "The role policy with name %s cannot be found.", aws.ToString(in.PolicyName))
	}
	return &iam.GetRolePolicyOutput{RoleName: &r.Name, PolicyName: in.PolicyName, PolicyDocument: aws.String(encodeDocument(document))}, nil
}

func (a iamAPI) DeleteRolePolicy(in *iam.DeleteRolePolicyInput) (*iam.DeleteRolePolicyOutput, error) {
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

func (a iamAPI) ListRolePolicies(in *iam.ListRolePoliciesInput) (*iam.ListRolePoliciesOutput, error) {
	r, err := a.role(in.RoleName)
	if err != nil {
		return nil, err
	}
	page, next, err := iamPage(slices.Sorted(maps.Keys(r.Policies)), in.Marker, in.MaxItems)
	return &iam.ListRolePoliciesOutput{PolicyNames: page, IsTruncated: next != nil, Marker: next}, err
}

func (a iamAPI) AttachRolePolicy(in *iam.AttachRolePolicyInput) (*iam.AttachRolePolicyOutput, error) {
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

func (a iamAPI) DetachRolePolicy(in *iam.DetachRolePolicyInput) (*iam.DetachRolePolicyOutput, error) {
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

func (a iamAPI) ListAttachedRolePolicies(in *iam.ListAttachedRolePoliciesInput) (*iam.ListAttachedRolePoliciesOutput, error) {
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
func (a iamAPI) ListInstanceProfilesForRole(in *iam.ListInstanceProfilesForRoleInput) (*iam.ListInstanceProfilesForRoleOutput, error) {
	_, err := a.role(in.RoleName)
	return &iam.ListInstanceProfilesForRoleOutput{}, err
}

func (a iamAPI) CreateServiceLinkedRole(in *iam.CreateServiceLinkedRoleInput) (*iam.CreateServiceLinkedRoleOutput, error) {
	service := aws.ToString(in.AWSServiceName)
	name, ok := serviceLinkedRoles[service]
	if !ok {
		return nil, kernel.Fail("InvalidInput", "Service name %s is not one that the local cloud has a service-linked role for", service)
	}
	if in.CustomSuffix != nil {
		return nil, kernel.Fail("InvalidInput", "Custom suffix is not allowed for %s", service)
	}
	if a.hasServiceLinkedRole(service) {
		return nil, kernel.Fail("InvalidInput", "Service role name %s has been taken in this account, please try a different suffix.", name)
	}
	r := a.makeServiceLinkedRole(service, aws.ToString(in.Description))
	return &iam.CreateServiceLinkedRoleOutput{Role: r.sdk(true)}, nil
}

// DeleteServiceLinkedRole deletes at once, without a look at who needs the role.
func (a iamAPI) DeleteServiceLinkedRole(in *iam.DeleteServiceLinkedRoleInput) (*iam.DeleteServiceLinkedRoleOutput, error) {
	r, err := a.role(in.RoleName)
	if err != nil {
		return nil, err
	}
	if r.Service == "" {
		return nil, kernel.Fail("InvalidInput", "%s is not a service-linked role", r.Name)
	}
	delete(a.iam().Roles, r.Name)
	return &iam.DeleteServiceLinkedRoleOutput{DeletionTaskId: aws.String("task" + r.Path + r.Name + "/" + kernel.RequestID())}, nil
}

func (a iamAPI) GetServiceLinkedRoleDeletionStatus(*iam.GetServiceLinkedRoleDeletionStatusInput) (*iam.GetServiceLinkedRoleDeletionStatusOutput, error) {
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
