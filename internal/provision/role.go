package provision

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/bookctl/bookctl/internal/provision/graph"
)

// Role is a role that tasks run under: the execution role, which may fetch
// exactly this stack's image, secret and log, or the task role, which may read
// the secret.
type Role struct {
	graph.Node
	identity
	iam *iam.Client
	// permissions are asked when the things that they name have ARNs.
	permissions func() []statement
}

// statement is an allowance in an IAM policy.
type statement struct {
	Effect    string            `json:"Effect"`
	Action    []string          `json:"Action"`
	Resource  []string          `json:"Resource,omitempty"`
	Principal map[string]string `json:"Principal,omitempty"`
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

var assumedByTasks = policy(statement{
	Effect: "Allow", Action: []string{"sts:AssumeRole"},
	Principal: map[string]string{"Service": "ecs-tasks.amazonaws.com"},
})

func newRole(i identity, client *iam.Client, name string, needs []graph.Finder, permissions func() []statement) *Role {
	return &Role{Node: graph.Named(name, 5*time.Minute, needs...), identity: i, iam: client, permissions: permissions}
}

func (r *Role) roleName() *string { return aws.String(r.name(r.Name())) }

func (r *Role) inline() string { return policy(r.permissions()...) }

// Find looks the role up by its name.
func (r *Role) Find(ctx context.Context) (graph.State, error) {
	out, err := r.iam.GetRole(ctx, &iam.GetRoleInput{RoleName: r.roleName()})
	if isCode(err, "NoSuchEntity") {
		return absent, nil
	}
	if err != nil {
		return graph.State{}, fmt.Errorf("get role %s: %w", *r.roleName(), err)
	}
	inline, err := r.iam.GetRolePolicy(ctx, &iam.GetRolePolicyInput{RoleName: r.roleName(), PolicyName: aws.String(inlineName)})
	if err != nil && !isCode(err, "NoSuchEntity") {
		return graph.State{}, fmt.Errorf("get the policy of role %s: %w", *r.roleName(), err)
	}
	tags := readTags(out.Role.Tags, func(t types.Tag) (*string, *string) { return t.Key, t.Value })
	live := liveRole{tags: tags, trust: decoded(out.Role.AssumeRolePolicyDocument)}
	if inline != nil {
		live.inline = decoded(inline.PolicyDocument)
	}
	return graph.State{
		Phase: graph.Ready, ID: aws.ToString(out.Role.Arn), Owner: tags[TagStack],
		Drift: roleDrift(live, r.inline(), r.tags(r.Name())),
	}, nil
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
	tags          map[string]string
	trust, inline string
}

func roleDrift(live liveRole, inline string, tags map[string]string) []graph.Change {
	out := tagDrift(live.tags, tags)
	if !sameJSON(live.trust, assumedByTasks) {
		out = append(out, graph.Change{Field: "trust", Have: live.trust, Want: assumedByTasks})
	}
	if !sameJSON(live.inline, inline) {
		out = append(out, graph.Change{Field: "permissions", Have: live.inline, Want: inline})
	}
	sortChanges(out)
	return out
}

// Create makes the role without permissions.
func (r *Role) Create(ctx context.Context) (string, error) {
	out, err := r.iam.CreateRole(ctx, &iam.CreateRoleInput{
		RoleName: r.roleName(), AssumeRolePolicyDocument: aws.String(assumedByTasks), Tags: iamTags(r.tags(r.Name())),
	})
	if err != nil {
		return "", fmt.Errorf("create role %s: %w", *r.roleName(), err)
	}
	return aws.ToString(out.Role.Arn), nil
}

func iamTags(tags map[string]string) []types.Tag {
	return writeTags(tags, func(k, v *string) types.Tag { return types.Tag{Key: k, Value: v} })
}

// Update mends tags, trust and permissions.
func (r *Role) Update(ctx context.Context, changes []graph.Change) error {
	fail := func(what string, err error) error { return fmt.Errorf("%s of role %s: %w", what, *r.roleName(), err) }
	if hasTagDrift(changes) {
		if _, err := r.iam.TagRole(ctx, &iam.TagRoleInput{RoleName: r.roleName(), Tags: iamTags(r.tags(r.Name()))}); err != nil {
			return fail("set the tags", err)
		}
	}
	if hasField(changes, "trust") {
		if _, err := r.iam.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: r.roleName(), PolicyDocument: aws.String(assumedByTasks)}); err != nil {
			return fail("set the trust", err)
		}
	}
	if !hasField(changes, "permissions") {
		return nil
	}
	_, err := r.iam.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: r.roleName(), PolicyName: aws.String(inlineName), PolicyDocument: aws.String(r.inline())})
	if err != nil {
		return fail("set the permissions", err)
	}
	return nil
}

// Delete strips the role of every policy, those added by hand too, since IAM
// deletes only bare roles, and removes it.
func (r *Role) Delete(ctx context.Context) error {
	fail := func(what string, err error) error {
		return fmt.Errorf("%s role %s: %w", what, *r.roleName(), err)
	}
	inline, err := r.iam.ListRolePolicies(ctx, &iam.ListRolePoliciesInput{RoleName: r.roleName()})
	if isCode(err, "NoSuchEntity") {
		return nil
	}
	if err != nil {
		return fail("list the policies of", err)
	}
	for _, name := range inline.PolicyNames {
		_, err := r.iam.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: r.roleName(), PolicyName: &name})
		if err != nil && !isCode(err, "NoSuchEntity") {
			return fail("delete policy "+name+" of", err)
		}
	}
	attached, err := r.iam.ListAttachedRolePolicies(ctx, &iam.ListAttachedRolePoliciesInput{RoleName: r.roleName()})
	if err != nil {
		return fail("list the attached policies of", err)
	}
	for _, p := range attached.AttachedPolicies {
		_, err := r.iam.DetachRolePolicy(ctx, &iam.DetachRolePolicyInput{RoleName: r.roleName(), PolicyArn: p.PolicyArn})
		if err != nil && !isCode(err, "NoSuchEntity") {
			return fail("detach "+aws.ToString(p.PolicyName)+" from", err)
		}
	}
	if _, err := r.iam.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: r.roleName()}); err != nil && !isCode(err, "NoSuchEntity") {
		return fail("delete", err)
	}
	return nil
}
