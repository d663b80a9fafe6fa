package cli_test

import (
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
)

// TestAStackRunsWithinTheBoundaryOnThePage gives the roles of a stack the permissions boundary
// of docs/security.md: its tasks serve. Whatever the roles may do with each option that adds
// permissions is within it, and each of its statements is needed.
func TestAStackRunsWithinTheBoundaryOnThePage(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	h := s.byHand(t, nil)
	page, err := os.ReadFile("../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, found := strings.Cut(string(page), "\nThis boundary allows ")
	_, text, begins := strings.Cut(text, "\n```json\n")
	text, _, ends := strings.Cut(text, "\n```\n")
	if !found || !begins || !ends {
		t.Fatal("the page has no boundary")
	}
	text = strings.NewReplacer("eu-west-1", h.Region, "111122223333", "000000000000").Replace(text)
	ctx, roles := t.Context(), iam.NewFromConfig(h.Config)
	boundary := *done[*iam.CreatePolicyOutput](t)(roles.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: aws.String("limits"), PolicyDocument: &text})).Policy.Arn
	s.up("--permissions-boundary", boundary) // and waits until its tasks serve

	secret := *done[*secretsmanager.CreateSecretOutput](t)(secretsmanager.NewFromConfig(h.Config).CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: aws.String("shop-key"), SecretString: aws.String("hidden")})).ARN
	done[*ssm.PutParameterOutput](t)(ssm.NewFromConfig(h.Config).PutParameter(ctx, &ssm.PutParameterInput{Name: aws.String("/shop/key"), Value: aws.String("hidden"), Type: ssmtypes.ParameterTypeSecureString}))
	s.up("--wait=false", "--exec", "--deploy", "blue-green", "--secret", "KEY="+secret, "--secret", "OTHER=arn:aws:ssm:"+h.Region+":000000000000:parameter/shop/key")

	var may []policyStatement
	all := done[*iam.ListRolesOutput](t)(roles.ListRoles(ctx, &iam.ListRolesInput{}))
	for _, r := range all.Roles {
		if !strings.HasPrefix(*r.RoleName, "book-") {
			continue
		}
		role := done[*iam.GetRoleOutput](t)(roles.GetRole(ctx, &iam.GetRoleInput{RoleName: r.RoleName})).Role
		if b := role.PermissionsBoundary; b == nil || aws.ToString(b.PermissionsBoundaryArn) != boundary {
			t.Errorf("role %s has boundary %+v", *r.RoleName, b)
		}
		for _, name := range done[*iam.ListRolePoliciesOutput](t)(roles.ListRolePolicies(ctx, &iam.ListRolePoliciesInput{RoleName: r.RoleName})).PolicyNames {
			out := done[*iam.GetRolePolicyOutput](t)(roles.GetRolePolicy(ctx, &iam.GetRolePolicyInput{RoleName: r.RoleName, PolicyName: &name}))
			document, err := url.QueryUnescape(*out.PolicyDocument)
			if err != nil {
				t.Fatal(err)
			}
			may = append(may, statementsOf(t, document)...)
		}
	}
	limits := statementsOf(t, text)
	if lacks := beyondBoundary(may, limits); len(lacks) > 0 || len(may) < 8 {
		t.Errorf("of %d statements, the boundary does not allow:\n%s", len(may), strings.Join(lacks, "\n"))
	}
	for i, l := range limits {
		if lacks := beyondBoundary(may, slices.Delete(slices.Clone(limits), i, i+1)); len(lacks) == 0 {
			t.Errorf("statement %s of the boundary is for nothing", l.Sid)
		}
	}
}

// policyStatement is a statement of an IAM policy.
type policyStatement struct {
	Sid              string
	Effect           string
	Action, Resource oneOrMore
	Condition        map[string]map[string]oneOrMore
}

func statementsOf(t *testing.T, document string) []policyStatement {
	t.Helper()
	var d struct{ Statement []policyStatement }
	decode(t, document, &d)
	return d.Statement
}

// beyondBoundary are the actions and resources that statements allow and a boundary does not.
func beyondBoundary(may, limits []policyStatement) (lacks []string) {
	matches := func(pattern, text string) bool {
		p := regexp.QuoteMeta(pattern)
		p = strings.NewReplacer(`\*`, `.*`, `\?`, `.`).Replace(p)
		return regexp.MustCompile("^" + p + "$").MatchString(text)
	}
	for _, m := range may {
		for _, action := range m.Action {
			for _, resource := range m.Resource {
				within := slices.ContainsFunc(limits, func(l policyStatement) bool {
					for operator, keys := range l.Condition {
						for key, values := range keys {
							for _, v := range m.Condition[operator][key] {
								if !slices.Contains(values, v) {
									return false
								}
							}
							if len(m.Condition[operator][key]) == 0 {
								return false
							}
						}
					}
					return l.Effect == "Allow" && slices.Contains(l.Action, action) &&
						slices.ContainsFunc(l.Resource, func(r string) bool { return matches(r, resource) })
				})
				if !within {
					lacks = append(lacks, action+" on "+resource)
				}
			}
		}
	}
	return lacks
}
