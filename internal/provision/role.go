package provision

import (
	"context"
	"fmt"
	"slices"
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
// the secret. Or it is the role under which ECS shifts the traffic from one release to
// the next.
//
// IAM has one set of names for all regions, so the name and a tag hold the region:
// a stack of the same name elsewhere has roles of its own.
type Role struct {
	graph.NodeOf[*liveRole]
	identity
	iam  *iam.Client
	name string
	// boundary is the ARN of the permissions boundary, "" for none.
	boundary string
	// policies are the ARNs of the managed policies that are attached to it, sorted.
	policies []string
	// account is a resource whose ARN has the account and the partition.
	account identified
	// permissions are asked when the resources that they name have ARNs.
	permissions func() []statement
	// former returns what tasks of a former release need that still serve, since ECS may have to
	// start them again; nil for a role that tasks of any release use alike.
	former  func(context.Context) (formerNeed, error)
	needed  *formerNeed // what it returned
	created bool        // by this run, so that nobody else has given it a policy
	// forECS reports whether it is ECS itself, and not tasks, that assumes the role.
	forECS bool
}

// formerNeed is what tasks of a former release need of a role, and those of the wanted release don't.
type formerNeed struct {
	statements []statement
	policies   []string // ARNs of managed ones
}

func (n formerNeed) none() bool { return len(n.statements) == 0 && len(n.policies) == 0 }

// inlineName is the name of the one inline policy of a role.
const inlineName = "bookctl"

// identified is a part of the stack that has an ARN when it is there.
type identified interface {
	graph.Finder
	ID() string
}

// roleSpec is a role as it is wanted, and what it waits for.
type roleSpec struct {
	name, boundary string
	account        identified
	needs          []graph.Finder
	permissions    func() []statement
}

// newRole creates a role. It needs a resource whose ARN has the account, and whatever else
// its permissions name.
func newRole(i identity, client *iam.Client, want roleSpec) *Role {
	r := &Role{identity: i, iam: client, name: want.name, boundary: want.boundary, account: want.account, permissions: want.permissions}
	r.NodeOf = graph.Of(r, want.name, 5*time.Minute, append([]graph.Finder{want.account}, want.needs...)...)
	return r
}

func (r *Role) roleName() *string { return aws.String(r.names().Role(r.name)) }

// inline is the stack's own policy of the role, with what a former release needs; "" for a
// role that may do nothing: IAM takes no policy without a statement.
func (r *Role) inline(former []statement) string {
	may := slices.Concat(r.permissions(), former)
	if len(may) == 0 {
		return ""
	}
	return policy(mergeStatements(may)...)
}

// trust lets tasks of the account and region assume the role, so that ECS can't be
// brought to lend it to somebody else's. The cluster can't be named.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html
//
// For itself ECS asks without conditions, as far as its pages say:
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/AmazonECSInfrastructureRolePolicyForLoadBalancers.html
func (r *Role) trust(of arn.ARN) string {
	if r.forECS {
		return policy(statement{Effect: "Allow", Action: []string{"sts:AssumeRole"}, Principal: map[string]string{"Service": "ecs.amazonaws.com"}})
	}
	return policy(statement{
		Effect: "Allow", Action: []string{"sts:AssumeRole"}, Principal: map[string]string{"Service": "ecs-tasks.amazonaws.com"},
		Condition: condition{
			"StringEquals": {"aws:SourceAccount": {of.AccountID}},
			"ArnLike":      {"aws:SourceArn": {"arn:" + of.Partition + ":ecs:" + r.region + ":" + of.AccountID + ":*"}},
		},
	})
}

func (r *Role) wantedTags() map[string]string {
	tags := r.tags(r.name)
	tags[tagRegion] = r.region
	return tags
}

// ownerOfRole is the stack that a role belongs to, "" where that is one in another
// region.
func (i identity) ownerOfRole(tags map[string]string) string {
	if tags[tagRegion] != i.region {
		return ""
	}
	return tags[TagStack]
}

func fromRoleTags(r *types.Role) map[string]string {
	return toMap(r.Tags, func(t types.Tag) (*string, *string) { return t.Key, t.Value })
}

func boundaryOf(r *types.Role) string {
	if b := r.PermissionsBoundary; b != nil {
		return aws.ToString(b.PermissionsBoundaryArn)
	}
	return ""
}

// describe returns the role, or nil. That of the execution has the tags of settings, so
// that it is read with these.
func (r *Role) describe(ctx context.Context) (*types.Role, error) {
	if r.name != naming.ExecutionRole {
		return r.lookup(ctx)
	}
	return r.observed().role.readOnce(ctx, r.lookup)
}

// lookup returns the role, or nil. It needs no more than the name.
func (r *Role) lookup(ctx context.Context) (*types.Role, error) {
	out, err := r.iam.GetRole(ctx, &iam.GetRoleInput{RoleName: r.roleName()})
	if IsCode(err, "NoSuchEntity") {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("get role %s: %w", *r.roleName(), err)
	}
	return out.Role, nil
}

// Read looks the role up by its name. One that is not the stack's is not looked into.
func (r *Role) Read(ctx context.Context) (*liveRole, graph.State, error) {
	role, err := r.describe(ctx)
	if err != nil {
		return nil, graph.State{}, err
	}
	if role == nil {
		return nil, absent, nil
	}
	live := &liveRole{tags: fromRoleTags(role), trust: decoded(role.AssumeRolePolicyDocument), boundary: boundaryOf(role)}
	st := graph.State{Phase: graph.Ready, ID: aws.ToString(role.Arn), Owner: r.ownerOfRole(live.tags)}
	if st.Owner != r.stack {
		return nil, st, nil
	}
	if r.destroying {
		live.inline = policy() // one that goes, whatever it says; Delete looks for others
		live.attached = r.policies
		return live, st, nil
	}
	if live.arn, err = arn.Parse(st.ID); err != nil {
		return nil, graph.State{}, fmt.Errorf("role %s: %w", *r.roleName(), err)
	}
	if r.created {
		if live.inline, err = r.policy(ctx, inlineName); err == nil && len(r.policies) > 0 {
			live.attached, err = r.attached(ctx)
		}
		return live, st, err
	}
	if live.inline, live.others, err = r.inlinePolicies(ctx); err == nil {
		live.attached, err = r.attached(ctx)
	}
	if IsCode(err, "NoSuchEntity") {
		return nil, absent, nil // gone since
	}
	if err == nil {
		live.former, err = r.formerNeeds(ctx)
	}
	if err != nil {
		return nil, graph.State{}, err
	}
	live.former.policies = slices.DeleteFunc(slices.Clone(live.former.policies), func(policy string) bool { return !slices.Contains(live.attached, policy) })
	return live, st, nil
}

// formerNeeds finds liveRole.former, once in a run.
func (r *Role) formerNeeds(ctx context.Context) (formerNeed, error) {
	if r.former != nil && r.needed == nil {
		needed, err := r.former(ctx)
		if err != nil {
			return formerNeed{}, err
		}
		r.needed = &needed
	}
	if r.needed == nil {
		return formerNeed{}, nil
	}
	return *r.needed, nil
}

// lastFormer is the liveRole.former that was last read.
func (r *Role) lastFormer() formerNeed {
	if live := r.Last(); live != nil {
		return live.former
	}
	return formerNeed{}
}

// leaveFormer takes away what only the tasks of a former release needed, which are gone.
func (r *Role) leaveFormer(ctx context.Context) error {
	former := r.lastFormer()
	if len(former.statements) > 0 {
		if err := r.putPermissions(ctx, r.inline(nil)); err != nil {
			return fmt.Errorf("set the permissions of role %s: %w", *r.roleName(), err)
		}
	}
	if err := r.detach(ctx, former.policies); err != nil || former.none() {
		return err
	}
	live := *r.Last()
	live.attached = slices.DeleteFunc(slices.Clone(live.attached), func(policy string) bool { return slices.Contains(former.policies, policy) })
	live.former, r.needed = formerNeed{}, &formerNeed{}
	r.Learn(&live)
	return nil
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
			if own, err = r.policy(ctx, name); err != nil {
				return "", nil, err
			}
		}
	}
	return own, others, nil
}

// policy returns an inline policy of the role, "" where that is not there.
func (r *Role) policy(ctx context.Context, name string) (string, error) {
	out, err := r.iam.GetRolePolicy(ctx, &iam.GetRolePolicyInput{RoleName: r.roleName(), PolicyName: &name})
	if IsCode(err, "NoSuchEntity") {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("get the policy of role %s: %w", *r.roleName(), err)
	}
	return decoded(out.PolicyDocument), nil
}

// attached returns the ARNs of the managed policies that are attached to the role, sorted.
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
	slices.Sort(arns)
	return arns, nil
}

// liveRole is a role as far as it is compared.
type liveRole struct {
	arn                     arn.ARN
	tags                    map[string]string
	trust, inline, boundary string
	others                  []string // inline policies that nobody of the stack gave it
	attached                []string // managed policies
	// former is what the releases need that the service runs, and the wanted one does not. Of
	// managed policies it has those that are attached.
	former formerNeed
}

// Wanted implements graph.Shape.
func (r *Role) Wanted(live *liveRole) *liveRole {
	return &liveRole{tags: r.wantedTags(), trust: r.trust(live.arn), inline: r.inline(live.former.statements), boundary: r.boundary, attached: r.attachable(live.former)}
}

// Attributes implements graph.Shape. The boundary comes first: it may be what the caller
// needs for the rest, and it is recorded when it is set.
func (r *Role) Attributes() graph.Attributes[*liveRole] {
	return graph.Attributes[*liveRole]{
		graph.Field("permissions boundary", func(l *liveRole) string { return l.boundary }, r.setBy("set the permissions boundary", r.setBoundary)),
		tagAttribute(func(l *liveRole) map[string]string { return l.tags }, graph.SetBy(func(ctx context.Context, changes []graph.Change) error {
			if err := r.setTags(ctx, changes); err != nil {
				return fmt.Errorf("set the tags of role %s: %w", *r.roleName(), err)
			}
			return nil
		})),
		graph.Field("trust", func(l *liveRole) string { return l.trust }, r.setBy("set the trust", r.setTrust)).Same(samePolicy),
		graph.Field("permissions", func(l *liveRole) string { return l.inline }, r.setBy("set the permissions", r.setPermissions)).Same(samePolicy),
		graph.Field("other inline policies", func(l *liveRole) string { return strings.Join(l.others, ", ") },
			graph.SetBy(func(ctx context.Context, _ []graph.Change) error { return r.deletePolicies(ctx, false) })),
		graph.Field("attached policies", func(l *liveRole) string { return strings.Join(l.attached, ", ") },
			graph.SetBy(func(ctx context.Context, _ []graph.Change) error { return r.attach(ctx) })),
	}
}

// setBy is graph.SetBy with an error that names the role.
func (r *Role) setBy(what string, set func(context.Context) error) graph.Remedy {
	return graph.SetBy(func(ctx context.Context, _ []graph.Change) error {
		if err := set(ctx); err != nil {
			return fmt.Errorf("%s of role %s: %w", what, *r.roleName(), err)
		}
		return nil
	})
}

// Create creates the role without permissions.
func (r *Role) Create(ctx context.Context) (string, error) {
	of, err := arn.Parse(r.account.ID())
	if err != nil {
		return "", fmt.Errorf("create role %s: its account is not known: %w", *r.roleName(), err)
	}
	in := &iam.CreateRoleInput{RoleName: r.roleName(), AssumeRolePolicyDocument: aws.String(r.trust(of)), Tags: toIAMTags(r.wantedTags())}
	if r.boundary != "" {
		in.PermissionsBoundary = &r.boundary
	}
	out, err := r.iam.CreateRole(ctx, in)
	if err != nil {
		return "", fmt.Errorf("create role %s: %w", *r.roleName(), err)
	}
	id := aws.ToString(out.Role.Arn)
	r.created = true
	if own, err := arn.Parse(id); err == nil {
		r.Answer(&liveRole{arn: own, tags: r.wantedTags(), trust: r.trust(of), boundary: r.boundary}, graph.State{Phase: graph.Ready, Owner: r.stack})
	}
	return id, nil
}

func (r *Role) setTags(ctx context.Context, changes []graph.Change) error {
	if drop := r.toDrop(r.name, changes); drop != nil {
		if _, err := r.iam.UntagRole(ctx, &iam.UntagRoleInput{RoleName: r.roleName(), TagKeys: drop}); err != nil {
			return err
		}
	}
	_, err := r.iam.TagRole(ctx, &iam.TagRoleInput{RoleName: r.roleName(), Tags: toIAMTags(r.wantedTags())})
	return err
}

func (r *Role) setTrust(ctx context.Context) error {
	own, err := arn.Parse(r.ID())
	if err != nil {
		return err
	}
	_, err = r.iam.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: r.roleName(), PolicyDocument: aws.String(r.trust(own))})
	return err
}

func (r *Role) setPermissions(ctx context.Context) error {
	return r.putPermissions(ctx, r.inline(r.lastFormer().statements))
}

func (r *Role) putPermissions(ctx context.Context, document string) error {
	if document == "" {
		_, err := r.iam.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: r.roleName(), PolicyName: aws.String(inlineName)})
		if IsCode(err, "NoSuchEntity") {
			return nil
		}
		return err
	}
	_, err := r.iam.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: r.roleName(), PolicyName: aws.String(inlineName), PolicyDocument: &document})
	return err
}

func (r *Role) setBoundary(ctx context.Context) error {
	if r.boundary == "" {
		_, err := r.iam.DeleteRolePermissionsBoundary(ctx, &iam.DeleteRolePermissionsBoundaryInput{RoleName: r.roleName()})
		return err
	}
	_, err := r.iam.PutRolePermissionsBoundary(ctx, &iam.PutRolePermissionsBoundaryInput{RoleName: r.roleName(), PermissionsBoundary: &r.boundary})
	return err
}

// attachable are the policies that the user says, and those that former tasks need.
func (r *Role) attachable(former formerNeed) []string {
	return slices.Compact(slices.Sorted(slices.Values(slices.Concat(r.policies, former.policies))))
}

// attach attaches the policies that the user says, and detaches all others but those that
// former tasks need.
func (r *Role) attach(ctx context.Context) error {
	live := r.Last()
	for _, policy := range r.policies {
		if live != nil && slices.Contains(live.attached, policy) {
			continue
		}
		if _, err := r.iam.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: r.roleName(), PolicyArn: &policy}); err != nil {
			return Settings{TaskPolicies: strings.Join(r.policies, ",")}.withAttachHint(fmt.Errorf("attach policy %s to role %s: %w", policy, *r.roleName(), err))
		}
	}
	if live == nil {
		return nil
	}
	stay := r.attachable(live.former)
	return r.detach(ctx, slices.DeleteFunc(slices.Clone(live.attached), func(policy string) bool { return slices.Contains(stay, policy) }))
}

// detach detaches managed policies.
func (r *Role) detach(ctx context.Context, policies []string) error {
	for _, policy := range policies {
		_, err := r.iam.DetachRolePolicy(ctx, &iam.DetachRolePolicyInput{RoleName: r.roleName(), PolicyArn: &policy})
		if err != nil && !IsCode(err, "NoSuchEntity") {
			return fmt.Errorf("detach policy %s from role %s: %w", policy, *r.roleName(), err)
		}
	}
	return nil
}

// deletePolicies deletes every inline policy that the role was last read with and that is not
// the stack's. With all, it deletes the stack's too, and detaches every managed one.
func (r *Role) deletePolicies(ctx context.Context, all bool) error {
	live := r.Last()
	if live == nil {
		return nil
	}
	names := slices.Clone(live.others)
	if all && live.inline != "" {
		names = append(names, inlineName)
	}
	for _, name := range names {
		_, err := r.iam.DeleteRolePolicy(ctx, &iam.DeleteRolePolicyInput{RoleName: r.roleName(), PolicyName: &name})
		if err != nil && !IsCode(err, "NoSuchEntity") {
			return fmt.Errorf("delete policy %s of role %s: %w", name, *r.roleName(), err)
		}
	}
	if !all {
		return nil
	}
	return r.detach(ctx, live.attached)
}

// Delete deletes the role with its policy. IAM deletes only bare roles: where it says that
// this one is not, as after somebody gave it another policy by hand, all go.
func (r *Role) Delete(ctx context.Context) error {
	err := r.deletePolicies(ctx, true)
	if err == nil {
		err = r.remove(ctx)
	}
	if IsCode(err, "DeleteConflict") {
		err = r.removeWithAll(ctx)
	}
	if err != nil && !IsCode(err, "NoSuchEntity") {
		return fmt.Errorf("delete role %s: %w", *r.roleName(), err)
	}
	return nil
}

func (r *Role) remove(ctx context.Context) error {
	_, err := r.iam.DeleteRole(ctx, &iam.DeleteRoleInput{RoleName: r.roleName()})
	return err
}

// removeWithAll removes the role with every policy that it has.
func (r *Role) removeWithAll(ctx context.Context) error {
	live := *r.Last()
	var err error
	if live.inline, live.others, err = r.inlinePolicies(ctx); err != nil {
		return err
	}
	if live.attached, err = r.attached(ctx); err != nil {
		return err
	}
	r.Learn(&live)
	if err := r.deletePolicies(ctx, true); err != nil {
		return err
	}
	return r.remove(ctx)
}

// DeletesSynchronously implements graph.DeletesSynchronously.
func (r *Role) DeletesSynchronously() {}

// UpdatesSynchronously implements graph.UpdatesSynchronously.
func (*Role) UpdatesSynchronously([]graph.Change) bool { return true }

// roleKind lists the stack's roles.
func (i identity) roleKind(client *iam.Client) inventory.Kind {
	return inventory.Kind{Service: "iam", Type: "role", List: func(ctx context.Context) ([]inventory.Item, error) {
		var out []inventory.Item
		for _, name := range []string{naming.ExecutionRole, naming.TaskRole, naming.BalancingRole} {
			r := &Role{identity: i, iam: client, name: name}
			live, err := r.lookup(ctx)
			if err != nil {
				return out, err
			}
			if live != nil && i.ownerOfRole(fromRoleTags(live)) == i.stack {
				out = append(out, inventory.Item{ID: *r.roleName()})
			}
		}
		return out, nil
	}}
}
