package cli_test

import (
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/smithy-go/middleware"
	"github.com/google/go-cmp/cmp"

	"github.com/bookctl/bookctl/internal/moto"
	"github.com/bookctl/bookctl/internal/requestbody"
)

// TestThePrintedCommandsBringARolesPolicyUpToDate runs them where a policy has as many versions as
// IAM lets it have, and once more for another policy, in an IAM that nobody here wrote.
func TestThePrintedCommandsBringARolesPolicyUpToDate(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	needAWS(t)
	const account = "123456789012"
	endpoint, ctx := moto.Start(t), t.Context()
	s := newShell(t)
	c := iam.NewFromConfig(aws.Config{Region: "us-east-1", BaseEndpoint: &endpoint, Credentials: credentials.NewStaticCredentialsProvider("t", "t", ""), APIOptions: []func(*middleware.Stack) error{requestbody.Readable}})
	role := aws.String("deployer")
	done[*iam.CreateRoleOutput](t)(c.CreateRole(ctx, &iam.CreateRoleInput{RoleName: role, AssumeRolePolicyDocument: aws.String("{}")}))
	const (
		others = "bookctl-book-us-east-1-eu-west-1-1" // of stack book-us-east-1 in another region
		first  = "bookctl-book-us-east-1-1"
		former = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"ecs:ListClusters","Resource":"*"}}`
	)
	for _, name := range []string{others, first, "bookctl-book-us-east-1-9"} {
		p := done[*iam.CreatePolicyOutput](t)(c.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: &name, PolicyDocument: aws.String(former)}))
		done[*iam.AttachRolePolicyOutput](t)(c.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: role, PolicyArn: p.Policy.Arn}))
	}
	firstARN := aws.String("arn:aws:iam::" + account + ":policy/" + first)
	for range 4 { // the first of five is the default
		done[*iam.CreatePolicyVersionOutput](t)(c.CreatePolicyVersion(ctx, &iam.CreatePolicyVersionInput{PolicyArn: firstARN, PolicyDocument: aws.String(former)}))
	}
	versions := func() (ids []string) {
		for _, v := range done[*iam.ListPolicyVersionsOutput](t)(c.ListPolicyVersions(ctx, &iam.ListPolicyVersionsInput{PolicyArn: firstARN})).Versions {
			ids = append(ids, *v.VersionId)
		}
		slices.Sort(ids)
		return ids
	}
	dir := ""
	commands := func(role string, flags ...string) (said string, err error) {
		dir = filepath.Join(t.TempDir(), "the policies")
		script := s.must(append([]string{"policy", "--account", account, "--region", "us-east-1", "--dir", dir}, flags...)...)
		cmd := exec.CommandContext(ctx, "sh")
		cmd.Stdin, cmd.Dir = strings.NewReader(script), s.dir
		cmd.Env = append(os.Environ(), "ROLE="+role, "AWS_ENDPOINT_URL="+endpoint, "AWS_ACCESS_KEY_ID=t", "AWS_SECRET_ACCESS_KEY=t", "AWS_DEFAULT_REGION=us-east-1", "AWS_PAGER=")
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if said, err := commands(""); err == nil || !strings.Contains(said, "has to be the name of the role that deploys") {
		t.Errorf("without a role: %v: %s", err, said)
	}
	if said, err := commands("nobody"); err == nil || !strings.Contains(said, "NoSuchEntity") || strings.Contains(said, first[:len(first)-1]+"2") {
		t.Errorf("for a role that does not exist: %v: %s", err, said)
	}
	if diff := cmp.Diff([]string{"v1", "v3", "v4", "v5", "v6"}, versions()); diff != "" {
		t.Errorf("the versions of a policy that had five (-want +got):\n%s", diff)
	}
	for _, domain := range []string{"", "api.example.com"} {
		var flags []string
		if domain != "" {
			flags = []string{"--domain", domain, "--hosted-zone", "Z1D633PJN98FT9"}
		}
		if said, err := commands(*role, flags...); err != nil {
			t.Fatalf("%q: %v: %s", domain, err, said)
		}
		want := []string{others}
		files, err := filepath.Glob(filepath.Join(dir, "*.json"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			name := strings.TrimSuffix(filepath.Base(file), ".json")
			want = append(want, name)
			arn := aws.String("arn:aws:iam::" + account + ":policy/" + name)
			id := done[*iam.GetPolicyOutput](t)(c.GetPolicy(ctx, &iam.GetPolicyInput{PolicyArn: arn})).Policy.DefaultVersionId
			live, err := url.QueryUnescape(*done[*iam.GetPolicyVersionOutput](t)(c.GetPolicyVersion(ctx, &iam.GetPolicyVersionInput{PolicyArn: arn, VersionId: id})).PolicyVersion.Document)
			if err != nil {
				t.Fatal(err)
			}
			written, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(parsedJSON(t, string(written)), parsedJSON(t, live)); diff != "" {
				t.Errorf("with domain %q, IAM has another %s (-written +IAM's):\n%s", domain, name, diff)
			}
		}
		var attached []string
		for _, p := range done[*iam.ListAttachedRolePoliciesOutput](t)(c.ListAttachedRolePolicies(ctx, &iam.ListAttachedRolePoliciesInput{RoleName: role})).AttachedPolicies {
			attached = append(attached, *p.PolicyName)
		}
		slices.Sort(attached)
		slices.Sort(want)
		if diff := cmp.Diff(want, attached); diff != "" {
			t.Errorf("with domain %q, the role has (-want +got):\n%s", domain, diff)
		}
	}
}

func parsedJSON(t *testing.T, text string) (v any) {
	t.Helper()
	decode(t, text, &v)
	return v
}
