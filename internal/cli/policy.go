package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/iampolicy"
	"github.com/bookctl/bookctl/internal/provision"
)

// policyFlags are the flags of policy.
type policyFlags struct {
	boundary, domain, zone, vpc, snapshot, image, dir string
	taskPolicies                                      []string
}

func newPolicy(s streams, g *globals) *cobra.Command {
	var f policyFlags
	cmd := &cobra.Command{
		Use:   "policy",
		Short: "Print the least IAM policy that bookctl needs",
		Long: `Print, as JSON for IAM, the least policy with which the stack can be created,
updated, inspected and destroyed. With --account and --region no AWS call is
made and no credentials are needed; --domain without --hosted-zone asks Route 53.

A managed policy of IAM has at most 6144 characters. --dir writes the policy as
several that fit, and prints the commands that create and attach them, or bring
those of an earlier version up to date.

Without --permissions-boundary, whoever holds the policy can become
administrator, because it allows to change the permissions of the stack's roles
and who may assume them. With it, the policy allows that only for roles that
have the boundary, which 'bookctl up --permissions-boundary' sets.

With --task-policies, the policy also allows to attach these policies to the
role of the tasks, and no others; without it, none can be attached.`,
		Example: `  bookctl policy > policy.json
  bookctl policy --stack staging --account 111122223333 --region eu-central-1
  bookctl policy --vpc vpc-0123456789abcdef0
  bookctl policy --dir policies | ROLE=deployer sh
  bookctl policy --restore arn:aws:rds:eu-west-1:444455556666:snapshot:books
  bookctl policy --image 111122223333.dkr.ecr.eu-central-1.amazonaws.com/shop
  bookctl policy --permissions-boundary arn:aws:iam::111122223333:policy/limits`,
		Args: cobra.NoArgs,
		RunE: within(g, func(ctx context.Context, _ []string) error { return printPolicy(ctx, s, g, f) }),
	}
	cmd.Flags().StringVar(&f.boundary, "permissions-boundary", "", "require this permissions boundary (the ARN of a policy) on the stack's roles")
	cmd.Flags().StringSliceVar(&f.taskPolicies, "task-policies", nil, "also allow to attach these policies to the role of the tasks, which 'up --task-policies' does (their ARNs)")
	cmd.Flags().StringVar(&f.domain, "domain", "", "also allow what 'up --domain' needs for this domain")
	cmd.Flags().StringVar(&f.zone, "hosted-zone", "", "id of the domain's hosted zone (default: looked up in Route 53)")
	cmd.Flags().StringVar(&f.vpc, "vpc", "", "allow what 'up --vpc' needs in this VPC (its id), in place of what a new one needs")
	cmd.Flags().StringVar(&f.snapshot, "restore", "", "also allow what 'up --restore' needs for this snapshot, which is not the stack's own (its id or ARN)")
	cmd.Flags().StringVar(&f.image, "image", "", "also allow what 'up --image' needs for images in this repository of ECR, which is not the stack's own")
	cmd.Flags().StringVar(&f.dir, "dir", "", "write managed policies into this directory, and print the commands that create, update and attach them")
	return cmd
}

func printPolicy(ctx context.Context, s streams, g *globals, f policyFlags) error {
	scope := iampolicy.Scope{Account: g.account, Region: g.region, Stack: g.stack, Boundary: f.boundary, TaskPolicies: f.taskPolicies, Domain: f.domain, Zone: f.zone, VPC: f.vpc, Snapshot: f.snapshot}
	if f.image != "" {
		if scope.Repository = provision.RepositoryARN(f.image); scope.Repository == "" {
			return usageError{fmt.Errorf("image %q is in no repository of ECR (ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME): no other registry asks for AWS permissions", f.image)}
		}
	}
	if scope.Account == "" || scope.Region == "" || scope.Domain != "" && scope.Zone == "" {
		t, err := connect(ctx, s, g)
		if err != nil {
			return err
		}
		scope.Account, scope.Region = t.account, t.region
		if scope.Domain != "" && scope.Zone == "" {
			if scope.Zone, err = provision.HostedZone(ctx, t.clients, scope.Domain); err != nil {
				return err
			}
		}
	}
	policy, err := iampolicy.For(scope)
	if err != nil {
		return usageError{err}
	}
	parts := managedPolicies(scope, policy)
	if f.dir != "" {
		for i := range parts {
			if parts[i].File, err = parts[i].write(f.dir); err != nil {
				return err
			}
		}
	}
	if scope.Boundary == "" {
		g.note(s, "note: whoever has this policy can become administrator: they can give the stack's roles any permission (iam:PutRolePolicy) and decide who can assume them (iam:UpdateAssumeRolePolicy); --permissions-boundary ARN prevents that")
	}
	switch {
	case g.output == "json":
		return encode(s.out, policyDocument{headOf("policy"), place{scope.Stack, scope.Account, scope.Region}, policy, parts})
	case f.dir != "":
		_, err = io.WriteString(s.out, attaching(parts))
		return err
	}
	if n := policy.Size(); n > iampolicy.MaxSize {
		g.note(s, "note: the policy has %d characters, and a managed policy takes %d: %s writes it as %d", n, iampolicy.MaxSize, hint.Command("policy", "--dir", "DIR"), len(parts))
	}
	_, err = s.out.Write(policy.JSON())
	return err
}

// managedPolicy is a part of the policy that fits into IAM.
type managedPolicy struct {
	Name       string `json:"name"`
	ARN        string `json:"arn" doc:"Its ARN once it is created under that name."`
	Characters int    `json:"characters" doc:"Its size as IAM counts it."`
	// File is where it was written to, if so.
	File     string             `json:"file,omitempty" doc:"Where --dir wrote it."`
	Document iampolicy.Document `json:"document"`
}

func managedPolicies(scope iampolicy.Scope, policy iampolicy.Document) []managedPolicy {
	var out []managedPolicy
	for i, d := range policy.Managed() {
		name := fmt.Sprintf("bookctl-%s-%s-%d", scope.Stack, scope.Region, i+1) // IAM is global
		out = append(out, managedPolicy{Name: name, ARN: scope.ARN(name), Characters: d.Size(), Document: d})
	}
	return out
}

// attaching returns the commands of a POSIX shell that give a role these policies, or give it
// those of today in place of former ones. IAM has five versions of a policy at most.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_managed-versioning.html
func attaching(parts []managedPolicy) string {
	var b strings.Builder
	b.WriteString(`set -e
# ROLE is the name of the role that deploys.
: "${ROLE:?has to be the name of the role that deploys}"
`)
	var arns []string
	for _, p := range parts {
		arns = append(arns, p.ARN)
		fmt.Fprintf(&b, `
if aws iam get-policy --policy-arn %[1]s >/dev/null 2>&1; then
  oldest=$(aws iam list-policy-versions --policy-arn %[1]s --output text \
    --query 'Versions[4] && sort_by(Versions[?!IsDefaultVersion], &CreateDate)[0].VersionId')
  if [ "$oldest" != None ]; then # IAM has room for five
    aws iam delete-policy-version --policy-arn %[1]s --version-id "$oldest"
  fi
  aws iam create-policy-version --policy-arn %[1]s --policy-document %[3]s --set-as-default
else
  aws iam create-policy --policy-name %[2]s --policy-document %[3]s
fi
aws iam attach-role-policy --role-name "$ROLE" --policy-arn %[1]s
`, p.ARN, p.Name, posixWord("file://"+p.File))
	}
	fmt.Fprintf(&b, `
# Parts that only a former policy had are detached.
attached=$(aws iam list-attached-role-policies --role-name "$ROLE" --query 'AttachedPolicies[].PolicyArn' --output text)
for arn in $attached; do
  case $arn in
  %s) ;;
  %[2]s[0-9] | %[2]s[0-9][0-9]) aws iam detach-role-policy --role-name "$ROLE" --policy-arn "$arn" ;;
  esac
done
`, strings.Join(arns, " | "), strings.TrimSuffix(arns[0], "1"))
	return b.String()
}

func (p managedPolicy) write(dir string) (file string, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("write the policy: %w", err)
	}
	file = filepath.Join(dir, p.Name+".json")
	if err := os.WriteFile(file, p.Document.JSON(), 0o644); err != nil {
		return "", fmt.Errorf("write the policy: %w", err)
	}
	return file, nil
}
