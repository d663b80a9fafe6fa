package localcloud_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/bookctl/bookctl/internal/localcloud"
)

const policy = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["logs:PutLogEvents"],"Resource":"arn:aws:logs:us-east-1:000000000000:log-group:a:*"}]}`

func TestARoleGoesOnlyAfterItsPolicies(t *testing.T) {
	t.Parallel()
	c := openCloud(t, localcloud.Config{})
	client, name := iam.NewFromConfig(once(c)), aws.String("a")
	if err := createRole(t, once(c), "a"); err != nil {
		t.Fatal(err)
	}
	if _, err := client.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: name, PolicyName: aws.String("p"), PolicyDocument: aws.String(policy)}); err != nil {
		t.Fatal(err)
	}
	managed := aws.String("arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy")
	if _, err := client.AttachRolePolicy(t.Context(), &iam.AttachRolePolicyInput{RoleName: name, PolicyArn: managed}); err != nil {
		t.Fatal(err)
	}
	remove := func() string {
		_, err := client.DeleteRole(t.Context(), &iam.DeleteRoleInput{RoleName: name})
		return code(err)
	}
	if got := remove(); got != "DeleteConflict" {
		t.Errorf("deletion with both kinds of policy: %q", got)
	}
	if _, err := client.DetachRolePolicy(t.Context(), &iam.DetachRolePolicyInput{RoleName: name, PolicyArn: managed}); err != nil {
		t.Fatal(err)
	}
	if got := remove(); got != "DeleteConflict" {
		t.Errorf("deletion with an inline policy: %q", got)
	}
	if _, err := client.DeleteRolePolicy(t.Context(), &iam.DeleteRolePolicyInput{RoleName: name, PolicyName: aws.String("p")}); err != nil {
		t.Fatal(err)
	}
	if got := remove(); got != "" {
		t.Errorf("deletion without policies: %q", got)
	}
	if got := remove(); got != "NoSuchEntity" {
		t.Errorf("a second deletion: %q", got)
	}
}

// TestPoliciesReadBackInOtherWords reads policies, of which IAM keeps the meaning and not the
// text, and which it encodes.
func TestPoliciesReadBackInOtherWords(t *testing.T) {
	t.Parallel()
	c := openCloud(t, localcloud.Config{})
	client, name := iam.NewFromConfig(once(c)), aws.String("a")
	if err := createRole(t, once(c), "a"); err != nil {
		t.Fatal(err)
	}
	check := func(what string, document *string, want string) {
		t.Helper()
		text, err := url.PathUnescape(aws.ToString(document))
		if err != nil || text != want || strings.ContainsAny(*document, `{" `) {
			t.Errorf("%s comes back as %s, %v", what, *document, err)
		}
	}
	const trust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":["ecs-tasks.amazonaws.com"]},"Action":["sts:AssumeRole"],"Condition":{"StringEquals":{"aws:SourceAccount":["000000000000"]}}}]}`
	if _, err := client.UpdateAssumeRolePolicy(t.Context(), &iam.UpdateAssumeRolePolicyInput{RoleName: name, PolicyDocument: aws.String(trust)}); err != nil {
		t.Fatal(err)
	}
	role, err := client.GetRole(t.Context(), &iam.GetRoleInput{RoleName: name})
	if err != nil {
		t.Fatal(err)
	}
	check("the trust", role.Role.AssumeRolePolicyDocument,
		`{"Statement":[{"Action":"sts:AssumeRole","Condition":{"StringEquals":{"aws:SourceAccount":"000000000000"}},"Effect":"Allow","Principal":{"Service":"ecs-tasks.amazonaws.com"}}],"Version":"2012-10-17"}`)
	const may = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["logs:PutLogEvents","logs:CreateLogStream"],"Resource":["*"]}]}`
	if _, err := client.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: name, PolicyName: aws.String("p"), PolicyDocument: aws.String(may)}); err != nil {
		t.Fatal(err)
	}
	inline, err := client.GetRolePolicy(t.Context(), &iam.GetRolePolicyInput{RoleName: name, PolicyName: aws.String("p")})
	if err != nil {
		t.Fatal(err)
	}
	check("the policy", inline.PolicyDocument,
		`{"Statement":[{"Action":["logs:CreateLogStream","logs:PutLogEvents"],"Effect":"Allow","Resource":"*"}],"Version":"2012-10-17"}`)
}

func TestMalformedPoliciesAreRefused(t *testing.T) {
	t.Parallel()
	c := openCloud(t, localcloud.Config{})
	client := iam.NewFromConfig(once(c))
	if err := createRole(t, once(c), "a"); err != nil {
		t.Fatal(err)
	}
	statement := func(s string) string { return `{"Version":"2012-10-17","Statement":[` + s + `]}` }
	for _, tc := range []struct{ name, document string }{
		{"not JSON", `{`},
		{"no version", `{"Statement":[]}`},
		{"no statement", `{"Version":"2012-10-17"}`},
		{"unknown element", statement(`{"Effect":"Allow","Action":"s3:*","Resource":"*","Resorce":"*"}`)},
		{"no effect", statement(`{"Action":"s3:*","Resource":"*"}`)},
		{"no action", statement(`{"Effect":"Allow","Resource":"*"}`)},
		{"action without vendor", statement(`{"Effect":"Allow","Action":"PutObject","Resource":"*"}`)},
		{"no resource", statement(`{"Effect":"Allow","Action":"s3:*"}`)},
		{"resource that is no ARN", statement(`{"Effect":"Allow","Action":"s3:*","Resource":"bucket"}`)},
		{"principal", statement(`{"Effect":"Allow","Action":"s3:*","Resource":"*","Principal":"*"}`)},
		{"the same Sid twice", statement(`{"Sid":"a","Effect":"Allow","Action":"s3:*","Resource":"*"},{"Sid":"a","Effect":"Allow","Action":"s3:*","Resource":"*"}`)},
	} {
		_, err := client.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: aws.String("a"), PolicyName: aws.String("p"), PolicyDocument: aws.String(tc.document)})
		if got := code(err); got != "MalformedPolicyDocument" {
			t.Errorf("%s: %q", tc.name, got)
		}
	}
	_, err := client.UpdateAssumeRolePolicy(t.Context(), &iam.UpdateAssumeRolePolicyInput{RoleName: aws.String("a"), PolicyDocument: aws.String(policy)})
	if got := code(err); got != "MalformedPolicyDocument" {
		t.Errorf("a role's policy as its trust: %q", got)
	}
}

func TestANewAccountMayLackItsServiceLinkedRoles(t *testing.T) {
	t.Parallel()
	create := func(c *localcloud.Cloud) error {
		_, err := iam.NewFromConfig(once(c)).CreateServiceLinkedRole(t.Context(), &iam.CreateServiceLinkedRoleInput{AWSServiceName: aws.String("ecs.amazonaws.com")})
		return err
	}
	used := openCloud(t, localcloud.Config{})
	if err := create(used); code(err) != "InvalidInput" || !strings.Contains(err.Error(), "Service role name AWSServiceRoleForECS has been taken in this account") {
		t.Errorf("in a used account: %v", err)
	}
	fresh := openCloud(t, localcloud.Config{Faults: localcloud.Faults{NoServiceLinkedRoles: true}})
	if err := create(fresh); err != nil {
		t.Errorf("in a new account: %v", err)
	}
	_, err := iam.NewFromConfig(once(fresh)).DeleteRole(t.Context(), &iam.DeleteRoleInput{RoleName: aws.String("AWSServiceRoleForECS")})
	if got := code(err); got != "UnmodifiableEntity" {
		t.Errorf("its deletion as a common role: %q", got)
	}
}

func TestRolesAreListedInPages(t *testing.T) {
	t.Parallel()
	c := openCloud(t, localcloud.Config{Faults: localcloud.Faults{NoServiceLinkedRoles: true}})
	for _, name := range []string{"a", "b", "c"} {
		if err := createRole(t, once(c), name); err != nil {
			t.Fatal(err)
		}
	}
	var names []string
	pages := iam.NewListRolesPaginator(iam.NewFromConfig(once(c)), &iam.ListRolesInput{MaxItems: aws.Int32(2)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page.Roles {
			names = append(names, aws.ToString(r.RoleName))
			if r.Tags != nil {
				t.Errorf("the list has the tags of %s, which IAM's has not", *r.RoleName)
			}
		}
	}
	if got := strings.Join(names, " "); got != "a b c" {
		t.Errorf("the pages have %s", got)
	}
	_, err := iam.NewFromConfig(once(c)).TagRole(t.Context(), &iam.TagRoleInput{RoleName: aws.String("a"), Tags: []types.Tag{
		{Key: aws.String("Key"), Value: aws.String("1")}, {Key: aws.String("key"), Value: aws.String("2")},
	}})
	if got := code(err); got != "InvalidInput" {
		t.Errorf("one key in two cases: %q", got)
	}
}

func TestABoundaryLimitsWhatARoleMayDo(t *testing.T) {
	t.Parallel()
	c := openCloud(t, localcloud.Config{})
	client := iam.NewFromConfig(once(c))
	document := func(text string) *string { return &text }
	create := func(name, text string) (*string, error) {
		out, err := client.CreatePolicy(t.Context(), &iam.CreatePolicyInput{PolicyName: &name, PolicyDocument: &text})
		if err != nil {
			return nil, err
		}
		return out.Policy.Arn, nil
	}
	arn, err := create("limits", policy)
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Replace(policy, "logs:PutLogEvents", "logs:"+strings.Repeat("P", 6144), 1)
	if _, err := create("long", long); code(err) != "LimitExceeded" || !strings.Contains(err.Error(), "PolicySize: 6144") {
		t.Errorf("a policy of more than 6144 characters: %v", err)
	}
	if _, err := create("spaced", strings.Replace(policy, "{", "{"+strings.Repeat(" ", 6144), 1)); err != nil {
		t.Errorf("a policy with 6144 blanks: %v", err)
	}
	trust := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ecs-tasks.amazonaws.com"},"Action":"sts:AssumeRole"}]}`
	_, err = client.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: aws.String("a"), AssumeRolePolicyDocument: document(trust), PermissionsBoundary: aws.String(*arn + "x")})
	if got := code(err); got != "NoSuchEntity" {
		t.Errorf("a boundary that does not exist: %q", got)
	}
	if _, err := client.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: aws.String("a"), AssumeRolePolicyDocument: document(trust), PermissionsBoundary: arn}); err != nil {
		t.Fatal(err)
	}
	remove := func() string {
		_, err := client.DeletePolicy(t.Context(), &iam.DeletePolicyInput{PolicyArn: arn})
		return code(err)
	}
	if got := remove(); got != "DeleteConflict" {
		t.Errorf("deletion of a policy that bounds a role: %q", got)
	}
	for range 2 {
		_, err = client.DeleteRolePermissionsBoundary(t.Context(), &iam.DeleteRolePermissionsBoundaryInput{RoleName: aws.String("a")})
	}
	if got := code(err); got != "NoSuchEntity" {
		t.Errorf("taking off a boundary twice: %q", got)
	}
	if got := remove(); got != "" {
		t.Errorf("deletion of a policy that nothing has: %q", got)
	}
}
