package provision_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/google/go-cmp/cmp"

	"github.com/bookctl/bookctl/internal/moto"
	"github.com/bookctl/bookctl/internal/provision"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// TestTwoRegionsShareNoRoles makes a stack of one name in two regions of an
// account, in which IAM is one, and destroys the first.
func TestTwoRegionsShareNoRoles(t *testing.T) {
	t.Parallel()
	endpoint, ctx := moto.Start(t), t.Context()
	stack := func(region string) *provision.Stack {
		cfg := (&wire{}).config(endpoint)
		cfg.Region = region
		want := spec()
		want.Zones = [2]string{region + "a", region + "b"}
		s, err := provision.NewStack(provision.NewClients(cfg), want)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	regions := []string{"us-east-1", "eu-west-1"}
	for _, region := range regions {
		s := stack(region)
		if _, err := graph.Up(ctx, s.Resources(), soon(s)); err != nil {
			t.Fatalf("up in %s: %v", region, err)
		}
	}
	roles := func() (names []string) {
		out, err := (&wire{}).clients(endpoint).IAM.ListRoles(ctx, &iam.ListRolesInput{PathPrefix: aws.String("/")})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range out.Roles {
			if strings.HasPrefix(*r.RoleName, "book-") {
				names = append(names, *r.RoleName)
			}
		}
		slices.Sort(names)
		return names
	}
	kept := []string{"book-eu-west-1-execution-role", "book-eu-west-1-task-role"}
	if got := roles(); !slices.Equal(got, append(slices.Clone(kept), "book-us-east-1-execution-role", "book-us-east-1-task-role")) {
		t.Errorf("roles of both: %v", got)
	}
	s := stack(regions[0])
	if _, err := graph.Destroy(ctx, s.Resources(), soon(s)); err != nil {
		t.Fatal(err)
	}
	if got := roles(); !slices.Equal(got, kept) {
		t.Errorf("roles after one was destroyed: %v", got)
	}
	other := stack(regions[1])
	for _, f := range graph.Observe(ctx, other.Resources(), other.Options()) {
		if f.Err != nil || f.Phase != graph.Ready && !f.Unwanted || len(f.Drift) > 0 {
			t.Errorf("%s of the other stack: %+v", f.Name, f)
		}
	}
}

// TestWhatWasAddedToARoleIsTakenOff gives a stack's role policies and another
// trust by hand, and takes its boundary off.
func TestWhatWasAddedToARoleIsTakenOff(t *testing.T) {
	t.Parallel()
	endpoint, ctx := moto.Start(t), t.Context()
	c := (&wire{}).clients(endpoint)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	const everything = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`
	policy, err := c.IAM.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: aws.String("limits"), PolicyDocument: aws.String(everything)})
	must(err)
	limits := *policy.Policy.Arn
	name := aws.String("book-us-east-1-task-role")
	run := func(ctx context.Context, bounded string) []string {
		want := spec()
		want.Boundary = bounded
		s := wired(t, &wire{}, endpoint, want)
		report, err := graph.Up(ctx, s.Resources(), soon(s))
		must(err)
		var changed []string
		for _, step := range report.Steps {
			if step.Action != graph.None {
				changed = append(changed, step.Name)
			}
		}
		return changed
	}
	run(ctx, limits)
	have, err := provision.ReadDeployed(ctx, c, "book")
	must(err)
	if have.Boundary != limits {
		t.Errorf("the boundary is kept as %q", have.Boundary)
	}
	_, err = c.IAM.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: name, PolicyName: aws.String("more"), PolicyDocument: aws.String(everything)})
	must(err)
	_, err = c.IAM.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: name, PolicyArn: &limits})
	must(err)
	_, err = c.IAM.UpdateAssumeRolePolicy(ctx, &iam.UpdateAssumeRolePolicyInput{RoleName: name, PolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ecs-tasks.amazonaws.com"},"Action":"sts:AssumeRole"}]}`)})
	must(err)
	_, err = c.IAM.DeleteRolePermissionsBoundary(ctx, &iam.DeleteRolePermissionsBoundaryInput{RoleName: name})
	must(err)
	if have, err = provision.ReadDeployed(ctx, c, "book"); err != nil || have.Boundary != limits {
		t.Errorf("after it was taken off by hand, the boundary is kept as %q, %v", have.Boundary, err)
	}
	if got := run(ctx, limits); !slices.Equal(got, []string{"task-role"}) {
		t.Errorf("up changed %v", got)
	}
	role, err := c.IAM.GetRole(ctx, &iam.GetRoleInput{RoleName: name})
	must(err)
	if b := role.Role.PermissionsBoundary; b == nil || *b.PermissionsBoundaryArn != limits {
		t.Errorf("the boundary is %+v", b)
	}
	trust, err := url.PathUnescape(*role.Role.AssumeRolePolicyDocument)
	must(err)
	for _, part := range []string{`"aws:SourceAccount":["123456789012"]`, `"aws:SourceArn":["arn:aws:ecs:us-east-1:123456789012:*"]`} {
		if !strings.Contains(trust, part) {
			t.Errorf("the trust lacks %s: %s", part, trust)
		}
	}
	inline, err := c.IAM.ListRolePolicies(ctx, &iam.ListRolePoliciesInput{RoleName: name})
	must(err)
	attached, err := c.IAM.ListAttachedRolePolicies(ctx, &iam.ListAttachedRolePoliciesInput{RoleName: name})
	must(err)
	if len(inline.PolicyNames) != 1 || len(attached.AttachedPolicies) != 0 {
		t.Errorf("policies that stay: %v, %v", inline.PolicyNames, attached.AttachedPolicies)
	}
	if got := run(ctx, ""); !slices.Equal(got, []string{"execution-role", "task-role"}) {
		t.Errorf("up without a boundary changed %v", got)
	}
	if have, err = provision.ReadDeployed(ctx, c, "book"); err != nil || have.Boundary != "" {
		t.Errorf("after it was taken off, the boundary is kept as %q, %v", have.Boundary, err)
	}
	// IAM deletes no role that somebody gave another policy.
	_, err = c.IAM.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: name, PolicyName: aws.String("more"), PolicyDocument: aws.String(everything)})
	must(err)
	_, err = c.IAM.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: name, PolicyArn: &limits})
	must(err)
	if _, err := (provision.Run{Clients: c, Spec: spec(), Holder: "test"}).Destroy(ctx, true, time.Minute); err != nil {
		t.Error(err)
	}
	var none *iamtypes.NoSuchEntityException
	if out, err := c.IAM.GetRole(ctx, &iam.GetRoleInput{RoleName: name}); !errors.As(err, &none) {
		t.Errorf("destroy left the role: %+v, %v", out, err)
	}
}

// TestManySecretsFitIntoTheRolesPolicy gives the tasks forty secrets, and the next release
// others: while the service runs both, the role may read all of them.
func TestManySecretsFitIntoTheRolesPolicy(t *testing.T) {
	t.Parallel()
	endpoint, ctx := moto.Start(t), t.Context()
	var all []string
	run := func(release string) string {
		want, secrets := spec(), map[string]string{}
		for i := range 20 {
			name := fmt.Sprintf("%s_%d", release, i)
			arn := fmt.Sprintf("arn:aws:secretsmanager:us-east-1:123456789012:secret:%s-AbCdEf", name)
			all = append(all, arn)
			secrets[name] = arn
		}
		want.Secrets = provision.NewPairs(secrets)
		s := wired(t, &wire{}, endpoint, want)
		if _, err := graph.Up(ctx, s.Resources(), soon(s)); err != nil {
			t.Fatal(err)
		}
		for _, f := range graph.Observe(ctx, s.Resources(), s.Options()) {
			if f.Name == "execution-role" && len(f.Drift) > 0 {
				t.Errorf("the role differs right after it was set: %v", f.Drift)
			}
		}
		out, err := (&wire{}).clients(endpoint).IAM.GetRolePolicy(ctx, &iam.GetRolePolicyInput{RoleName: aws.String("book-us-east-1-execution-role"), PolicyName: aws.String("bookctl")})
		if err != nil {
			t.Fatal(err)
		}
		document, err := url.PathUnescape(*out.PolicyDocument)
		if err != nil {
			t.Fatal(err)
		}
		return document
	}
	run("first")
	document := run("second")
	// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
	if len(document) > 10240 {
		t.Errorf("the policy has %d characters", len(document))
	}
	var policy struct {
		Statement []struct {
			Action, Resource []string
			Condition        map[string]map[string][]string
		}
	}
	if err := json.Unmarshal([]byte(document), &policy); err != nil {
		t.Fatal(err)
	}
	read, decrypted := map[string]int{}, map[string]int{}
	for _, s := range policy.Statement {
		switch {
		case slices.Contains(s.Action, "secretsmanager:GetSecretValue"):
			for _, arn := range s.Resource {
				read[arn]++
			}
		case slices.Contains(s.Action, "kms:Decrypt"):
			if diff := cmp.Diff([]string{"secretsmanager.us-east-1.amazonaws.com"}, s.Condition["StringEquals"]["kms:ViaService"]); diff != "" {
				t.Errorf("keys may be used by (-want +got):\n%s", diff)
			}
			for _, arn := range s.Condition["StringEquals"]["kms:EncryptionContext:SecretARN"] {
				decrypted[arn]++
			}
		}
	}
	for _, arn := range all {
		if read[arn] != 1 || decrypted[arn] != 1 {
			t.Errorf("%s may be read by %d statements, and decrypted by %d", arn, read[arn], decrypted[arn])
		}
	}
}

// TestTheExecutionRolePullsWhatAWSPutsBeforeAnImage has an image of another repository of ECR, which
// may be a pull-through cache: the role may let it import a newer one, and pull the container that
// GuardDuty adds to a task.
func TestTheExecutionRolePullsWhatAWSPutsBeforeAnImage(t *testing.T) {
	t.Parallel()
	endpoint, ctx := moto.Start(t), t.Context()
	want := spec()
	want.Image = "444455556666.dkr.ecr.us-east-1.amazonaws.com/docker-hub/library/shop@sha256:" + strings.Repeat("0", 64)
	s := wired(t, &wire{}, endpoint, want)
	if _, err := graph.Up(ctx, s.Resources(), soon(s)); err != nil {
		t.Fatal(err)
	}
	out, err := (&wire{}).clients(endpoint).IAM.GetRolePolicy(ctx, &iam.GetRolePolicyInput{RoleName: aws.String("book-us-east-1-execution-role"), PolicyName: aws.String("bookctl")})
	if err != nil {
		t.Fatal(err)
	}
	document, err := url.PathUnescape(*out.PolicyDocument)
	if err != nil {
		t.Fatal(err)
	}
	var policy struct {
		Statement []struct{ Action, Resource []string }
	}
	if err := json.Unmarshal([]byte(document), &policy); err != nil {
		t.Fatal(err)
	}
	allowed := func(action, resource string) bool {
		for _, s := range policy.Statement {
			if slices.Contains(s.Action, action) && slices.Contains(s.Resource, resource) {
				return true
			}
		}
		return false
	}
	const cache, agent = "arn:aws:ecr:us-east-1:444455556666:repository/docker-hub/library/shop", "arn:aws:ecr:us-east-1:593207742271:repository/aws-guardduty-agent-fargate"
	for _, action := range []string{"ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"} {
		if !allowed(action, cache) || !allowed(action, agent) {
			t.Errorf("%s is not allowed: %s", action, document)
		}
	}
	if !allowed("ecr:BatchImportUpstreamImage", cache) || allowed("ecr:BatchImportUpstreamImage", agent) {
		t.Errorf("what may be imported is wrong: %s", document)
	}
}
