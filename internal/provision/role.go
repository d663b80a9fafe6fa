package provision

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/bookctl/bookctl/internal/inventory"
	"github.com/bookctl/bookctl/internal/naming"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// Role is a role that tasks run under: the execution role, which may fetch
// exactly this stack's image, secret and log, or the task role, which may read
// the secret.
//
// IAM has one set of names for all regions, so the name and a tag hold the region:
// a stack of the same name elsewhere has roles of its own.
type Role struct {
	graph.Node
	identity
	iam *iam.Client
	// boundary is the ARN of the permissions boundary, "" for none.
	boundary string
	// secret is what tells, by its ARN, account and partition.
	secret *Secret
	// permissions are asked when the things that they name have ARNs.
	permissions func() []statement
	seen        *cached[*types.Role]
}

// condition is an IAM condition block: operator, key, values.
type condition map[string]map[string][]string

// statement is an allowance in an IAM policy.
type statement struct {
	Effect    string            `json:"Effect"`
	Action    []string          `json:"Action"`
	Resource  []string          `json:"Resource,omitempty"`
	Principal map[string]string `json:"Principal,omitempty"`
	Condition condition         `json:"Condition,omitempty"`
}

func policy(statements ...statement) string {
	text, err := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": statements})
	if err != nil {
		panic(err) // strings and maps of strings always encode
	}
	return string(text)
}

// inlineName is the name of the one inline policy of a role.
const inlineName = "bookctl"

// newRole makes a role, which needs the secret and whatever else its permissions
// name.
func newRole(i identity, client *iam.Client, name, boundary string, secret *Secret, needs []graph.Finder, permissions func() []statement) *Role {
	return &Role{
		Node: graph.Named(name, 5*time.Minute, append([]graph.Finder{secret}, needs...)...), identity: i, iam: client,
		boundary: boundary, secret: secret, permissions: permissions,
	}
}

func (r *Role) roleName() *string { return aws.String(r.names().Role(r.Name())) }

func (r *Role) inline() string { return policy(r.permissions()...) }

// trust lets tasks of the account and region assume the role, so that ECS can't be
// brought to lend it to somebody else's. It can't be told of which cluster.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html
func (r *Role) trust(of arn.ARN) string {
	return policy(statement{
		Effect: "Allow", Action: []string{"sts:AssumeRole"}, Principal: map[string]string{"Service": "ecs-tasks.amazonaws.com"},
		Condition: condition{
			"StringEquals": {"aws:SourceAccount": {of.AccountID}},
			"ArnLike":      {"aws:SourceArn": {"arn:" + of.Partition + ":ecs:" + r.region + ":" + of.AccountID + ":*"}},
		},
	})
}

func (r *Role) wantedTags() map[string]string {
	tags := r.tags(r.Name())
	tags[TagRegion] = r.region
	return tags
}

// ownerOfRole is the stack that a role belongs to, "" where that is one in another
// region.
func (i identity) ownerOfRole(tags map[string]string) string {
	if tags[TagRegion] != i.region {
		return ""
	}
	return tags[TagStack]
}

func roleTags(r *types.Role) map[string]string {
	return readTags(r.Tags, func(t types.Tag) (*string, *string) { return t.Key, t.Value })
}

func boundaryOf(r *types.Role) string {
	if b := r.PermissionsBoundary; b != nil {
		return aws.ToString(b.PermissionsBoundaryArn)
	}
	return ""
}

// lookup returns the role, or nil.
func (r *Role) lookup(ctx context.Context) (*types.Role, error) {
	out, err := r.iam.GetRole(ctx, &iam.GetRoleInput{RoleName: r.roleName()})
	if isCode(err, "NoSuchEntity") {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("get role %s: %w", *r.roleName(), err)
	}
	return out.Role, nil
}

// Find looks the role up by its name.
func (r *Role) Find(ctx context.Context) (graph.State, error) {
	role, ok := r.seen.take()
	if !ok {
		var err error
		if role, err = r.lookup(ctx); err != nil {
			return graph.State{}, err
		}
	}
	if role == nil {
		return absent, nil
	}
	live := liveRole{tags: roleTags(role), trust: decoded(role.AssumeRolePolicyDocument), boundary: boundaryOf(role)}
	st := graph.State{Phase: graph.Ready, ID: aws.ToString(role.Arn), Owner: r.ownerOfRole(live.tags)}
	if st.Owner != r.stack {
		return st, nil
	}
	own, err := arn.Parse(st.ID)
	if err != nil {
		return graph.State{}, fmt.Errorf("role %s: %w", *r.roleName(), err)
	}
	if live.inline, live.others, err = r.inlinePolicies(ctx); err == nil {
		live.attached, err = r.attached(ctx)
	}
	if isCode(err, "NoSuchEntity") {
		return absent, nil // gone since
	}
	if err != nil {
		return graph.State{}, err
	}
	want := liveRole{tags: r.wantedTags(), trust: r.trust(own), inline: r.inline(), boundary: r.boundary}
	st.Drift = roleDrift(live, want)
	return st, nil
}

// inlinePolicies returns the stack's own policy of the role and the names of all
// others.
func (r *Role) inlinePolicies(ctx context.Context) (own string, others []string, err error) {
	pages := iam.NewListRolePoliciesPaginator(r.iam, &iam.ListRolePoliciesInput{RoleName: r.roleName()})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return "", nil, fmt.Errorf("list the policies of role %s: %w", *r.roleName(), err)
		}
		for _, name := range page.PolicyNames {
			if name != inlineName {
				others = append(others, name)
				continue
			}
			out, err := r.iam.GetRolePolicy(ctx, &iam.GetRolePolicyInput{RoleName: r.roleName(), PolicyName: &name})
			if isCode(err, "NoSuchEntity") {
				continue // taken away since
			}
			if err != nil {
				return "", nil, fmt.Errorf("get the policy of role %s: %w", *r.roleName(), err)
			}
			own = decoded(out.PolicyDocument)
		}
	}
	return own, others, nil
}

// attached returns the ARNs of the managed policies that are attached to the role.
func (r *Role) attached(ctx context.Context) ([]string, error) {
	var arns []string
	pages := iam.NewListAttachedRolePoliciesPaginator(r.iam, &iam.ListAttachedRolePoliciesInput{RoleName: r.roleName()})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("list the attached policies of role %s: %w", *r.roleName(), err)
		}
		for _, p := range page.AttachedPolicies {
			arns = append(arns, aws.ToString(p.PolicyArn))
		}
	}
	return arns, nil
}

// decoded undoes the URL encoding in which IAM returns documents.
func decoded(document *string) string {
	text, err := url.PathUnescape(aws.ToString(document))
	if err != nil {
		return aws.ToString(document)
	}
	return text
}

// liveRole is what drift compares.
type liveRole struct {
	tags                    map[string]string
	trust, inline, boundary string
	others, attached        []string // what nobody of the stack gave it
}

// The fields of a role's drift.
const (
	fieldTrust       = "trust"
	fieldPermissions = "permissions"
	fieldBoundary    = "permissions boundary"
	fieldOthers      = "other inline policies"
	fieldAttached    = "attached policies"
)

func roleDrift(live, want liveRole) []graph.Change {
	out := tagDrift(live.tags, want.tags)
	differ := func(field, have, want string, same bool) {
		if !same {
			out = append(out, graph.Change{Field: field, Have: have, Want: want})
		}
	}
	differ(fieldTrust, live.trust, want.trust, sameJSON(live.trust, want.trust))
	differ(fieldPermissions, live.inline, want.inline, sameJSON(live.inline, want.inline))
	differ(fieldBoundary, live.boundary, want.boundary, live.boundary == want.boundary)
	differ(fieldOthers, strings.Join(live.others, ", "), "", len(live.others) == 0)
	differ(fieldAttached, strings.Join(live.attached, ", "), "", len(live.attached) == 0)
	sortChanges(out)
	return out
}

// Create makes the role without permissions.
func (r *Role) Create(ctx context.Context) (string, error) {
	of, err := arn.Parse(r.secret.ID())
	if err != nil {
		return "", fmt.Errorf("create role %s: its account is not known: %w", *r.roleName(), err)
	}
	in := &iam.CreateRoleInput{RoleName: r.roleName(), AssumeRolePolicyDocument: aws.String(r.trust(of)), Tags: iamTags(r.wantedTags())}
	if r.boundary != "" {
		in.PermissionsBoundary = &r.boundary
	}
	out, err := r.iam.CreateRole(ctx, in)
	if err != nil {
		return "", fmt.Errorf("create role %s: %w", *r.roleName(), err)
	}
	return aws.ToString(out.Role.Arn), nil
}

func iamTags(tags map[string]string) []types.Tag {
	return writeTags(tags, func(k, v *string) types.Tag { return types.Tag{Key: k, Value: v} })
}

// Update repairs whatever drifted. The boundary comes first: it may be what the
// caller needs for the rest, and it is recorded when it is set.
func (r *Role) Update(ctx context.Context, changes []graph.Change) error {
	fail := func(what string, err error) error { return fmt.Errorf("%s of role %s: %w", what, *r.roleName(), err) }
	if hasField(changes, fieldBoundary) {
		if err := r.setBoundary(ctx); err != nil {
			return fail("set the permissions boundary", err)
		}
	}
	if hasTagDrift(changes) {
		if _, err := r.iam.TagRole(ctx, &iam.TagRoleInput{RoleName: r.roleName(), Tags: iamTags(r.wantedTags())}); err != nil {
			return fail("set the tags", err)
		}
	}
	if hasField(changes, fieldTrust) {
		own, err := arn.Parse(r.ID())
		if err != nil {
			return fail("set the trust", err)
		}
		if _, err := r.iam.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: r.roleName(), PolicyDocument: aws.String(r.trust(own))}); err != nil {
			return fail("set the trust", err)
		}
	}
	if hasField(changes, fieldPermissions) {
		_, err := r.iam.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: r.roleName(), PolicyName: aws.String(inlineName), PolicyDocument: aws.String(r.inline())})
		if err != nil {
			return fail("set the permissions", err)
		}
	}
	if hasField(changes, fieldOthers) || hasField(changes, fieldAttached) {
		return r.strip(ctx, false)
	}
	return nil
}

func (r *Role) setBoundary(ctx context.Context) error {
	if r.boundary == "" {
		_, err := r.iam.DeleteRolePermissionsBoundary(ctx, &iam.DeleteRolePermissionsBoundaryInput{RoleName: r.roleName()})
		return err
	}
	_, err := r.iam.PutRolePermissionsBoundary(ctx, &iam.PutRolePermissionsBoundaryInput{RoleName: r.roleName(), PermissionsBoundary: &r.boundary})
	return err
}

// strip takes every policy off the role that is not the stack's or, with own, that
// one too.
func (r *Role) strip(ctx context.Context, own bool) error {
	_, names, err := r.inlinePolicies(ctx)
	if err != nil {
		return err
	}
	if own {
		names = append(names, inlineName)
	}
	for _, name := range names {
		_, err := r.iam.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: r.roleName(), PolicyName: &name})
		if err != nil && !isCode(err, "NoSuchEntity") {
			return fmt.Errorf("delete policy %s of role %s: %w", name, *r.roleName(), err)
		}
	}
	attached, err := r.attached(ctx)
	if err != nil {
		return err
	}
	for _, policy := range attached {
		_, err := r.iam.DetachRolePolicy(ctx, &iam.DetachRolePolicyInput{RoleName: r.roleName(), PolicyArn: &policy})
		if err != nil && !isCode(err, "NoSuchEntity") {
			return fmt.Errorf("detach policy %s from role %s: %w", policy, *r.roleName(), err)
		}
	}
	return nil
}

// Delete strips the role of every policy, those added by hand too, since IAM
// deletes only bare roles, and removes it.
func (r *Role) Delete(ctx context.Context) error {
	if err := r.strip(ctx, true); err != nil && !isCode(err, "NoSuchEntity") {
		return err
	}
	if _, err := r.iam.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: r.roleName()}); err != nil && !isCode(err, "NoSuchEntity") {
		return fmt.Errorf("delete role %s: %w", *r.roleName(), err)
	}
	return nil
}

// roleKind lists the stack's roles.
func (i identity) roleKind(client *iam.Client) inventory.Kind {
	return inventory.Kind{Service: "iam", Type: "role", List: func(ctx context.Context) ([]inventory.Item, error) {
		var out []inventory.Item
		for _, name := range []string{naming.ExecutionRole, naming.TaskRole} {
			r := &Role{Node: graph.Named(name, 0), identity: i, iam: client}
			live, err := r.lookup(ctx)
			if err != nil {
				return out, err
			}
			if live != nil && i.ownerOfRole(roleTags(live)) == i.stack {
				out = append(out, inventory.Item{ID: *r.roleName()})
			}
		}
		return out, nil
	}}
}
