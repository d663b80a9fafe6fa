package cli_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/bookctl/bookctl/internal/awsaccount"
)

// TestTheTasksMayWhatTheUserSays attaches policies to the role of the tasks, by the policy
// that bookctl prints for that, and changes them by hand.
func TestTheTasksMayWhatTheUserSays(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	const own, missing, reads, more = "arn:aws:iam::" + localAccount + ":policy/team/queues", "arn:aws:iam::" + localAccount + ":policy/missing",
		"arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess", "arn:aws:iam::aws:policy/AdministratorAccess"
	j := newAuthorizedRun(t, "book", "us-east-1")
	image := anyImage(t, func(f *v1.ConfigFile) { f.Config.ExposedPorts = map[string]struct{}{"3000": {}} })
	j.withPolicy(t, "--task-policies", own+","+reads+","+missing)
	ctx, client := t.Context(), iam.NewFromConfig(j.config("root"))
	done[*iam.CreatePolicyOutput](t)(client.CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: aws.String("queues"), Path: aws.String("/team/"), PolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"sqs:SendMessage","Resource":"*"}]}`)}))
	role := aws.String("book-us-east-1-task-role")
	attached := func() []string {
		t.Helper()
		var out []string
		for _, p := range done[*iam.ListAttachedRolePoliciesOutput](t)(client.ListAttachedRolePolicies(ctx, &iam.ListAttachedRolePoliciesInput{RoleName: role})).AttachedPolicies {
			out = append(out, *p.PolicyArn)
		}
		slices.Sort(out)
		return out
	}
	is := func(what string, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, attached()); diff != "" {
			t.Errorf("%s the role of the tasks has (-want +got):\n%s", what, diff)
		}
	}
	inventory := func() []string {
		t.Helper()
		return done[[]string](t)(awsaccount.Inventory(ctx, j.config("root")))
	}
	before := inventory()
	first := []string{"up", "--local", "--no-database", "--image", image, "--health-path", "/up", "--task-policies"}
	for policies, refused := range map[string]struct {
		code int
		why  string
	}{
		"AmazonS3ReadOnlyAccess":                     {64, "give the ARN of a managed policy"},
		"arn:aws-cn:iam::aws:policy/AmazonS3":        {1, "is of partition aws-cn"},
		"arn:aws:iam::111122223333:policy/elsewhere": {1, "is of account 111122223333"},
		own + "," + missing:                          {1, "task policy " + missing + " does not exist"},
		more:                                         {4, "--task-policies " + more + "'"}, // the printed policy does not name it
	} {
		j.run(append(slices.Clone(first), policies)...).says(t, refused.code, refused.why)
	}
	if diff := cmp.Diff(before, inventory()); diff != "" {
		t.Errorf("what was refused has changed something (-before +after):\n%s", diff)
	}

	j.must(append(slices.Clone(first), reads+" , "+own)...)
	is("at first", own, reads)
	if out := j.step("up", "--output", "json"); !strings.Contains(out, `"apiWrites":0`) {
		t.Errorf("a second up writes: %s", out)
	}

	done[*iam.DetachRolePolicyOutput](t)(client.DetachRolePolicy(ctx, &iam.DetachRolePolicyInput{RoleName: role, PolicyArn: aws.String(own)}))
	done[*iam.AttachRolePolicyOutput](t)(client.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: role, PolicyArn: aws.String(more)}))
	j.run("plan", "--local").shows(t, 2, "task-role", "attached policies", more)
	j.step("up")
	is("after changes by hand", own, reads)

	j.step("up", "--task-policies", reads)
	is("with one", reads)
	j.step("up", "--task-policies", "none")
	is("with none")
	if out := j.step("up", "--output", "json"); !strings.Contains(out, `"apiWrites":0`) {
		t.Errorf("an up after --task-policies none writes: %s", out)
	}
	j.step("up", "--task-policies", own)
	j.step("destroy", "--yes")
	if diff := cmp.Diff(before, inventory()); diff != "" {
		t.Errorf("destroy left (-before +after):\n%s", diff)
	}
}

// TestAReleaseKeepsItsPoliciesWhileItServes gives a release other policies than the one that
// it takes the place of: that is finished, taken back, and not waited for.
func TestAReleaseKeepsItsPoliciesWhileItServes(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	const begin = "arn:aws:iam::aws:policy/"
	s := newShell(t)
	s.must("local", "start", "--scale", "0.01")
	ctx, client, role := t.Context(), iam.NewFromConfig(s.config()), aws.String("book-us-east-1-task-role")
	is := func(when string, want ...string) {
		t.Helper()
		var got []string
		for _, p := range done[*iam.ListAttachedRolePoliciesOutput](t)(client.ListAttachedRolePolicies(ctx, &iam.ListAttachedRolePoliciesInput{RoleName: role})).AttachedPolicies {
			got = append(got, strings.TrimPrefix(*p.PolicyArn, begin))
		}
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s the role of the tasks has (-want +got):\n%s", when, diff)
		}
	}
	s.up("--no-database", "--image", ownService(t), "--count", "1", "--deploy", "canary:25%/20m:0m", "--task-policies", begin+"First")
	is("at first", "First")

	run := s.begin(t, "up", "--local", "--env", "N=2", "--task-policies", begin+"Second")
	shiftingNow(t, s)
	is("while both releases serve", "First", "Second")
	s.run("rollback", "--local").says(t, 0, "revision 2 is taken back")
	run.end(t).says(t, 1, "Revision 2 was taken back")
	is("behind a release that was taken back", "First", "Second")

	done[*iam.AttachRolePolicyOutput](t)(client.AttachRolePolicy(ctx, &iam.AttachRolePolicyInput{RoleName: role, PolicyArn: aws.String(begin + "ByHand")}))
	run = s.begin(t, "up", "--local")
	shiftingNow(t, s)
	is("while both releases serve again", "First", "Second")
	run.end(t).says(t, 0, "former-permissions")
	is("behind the release", "Second")
	s.run("plan", "--local").says(t, 0)

	s.must("up", "--local", "--env", "N=3", "--task-policies", "none", "--wait=false")
	is("behind a run that does not wait", "Second")
	s.must("up", "--local")
	is("behind one that does")
	s.run("up", "--local", "--output", "json").shows(t, 0, `"apiWrites":0`)

	many := func(begin string) string {
		var out []string
		for _, n := range strings.Split("123456", "") {
			out = append(out, begin+n)
		}
		return strings.Join(out, ",")
	}
	s.must("up", "--local", "--task-policies", many(begin+"A"))
	s.run("up", "--local", "--task-policies", many(begin+"B")).says(t, 1, "PoliciesPerRole: 10", "with those that are to stay first")
	is("of too many", "A1", "A2", "A3", "A4", "A5", "A6", "B1", "B2", "B3", "B4")
	s.must("up", "--local", "--task-policies", "none")
	is("after a first step")
	s.must("up", "--local", "--task-policies", many(begin+"B"))
	is("after a second step", "B1", "B2", "B3", "B4", "B5", "B6")

	run = s.begin(t, "up", "--local", "--env", "N=4", "--task-policies", begin+"Second")
	shiftingNow(t, s)
	s.run("rollback", "--local").says(t, 0, "is taken back")
	run.end(t).says(t, 1, "was taken back")
	s.must("destroy", "--local", "--yes", "--purge-snapshots")
}
