package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// TestSecretsAreLookedForBeforeAnythingIsCreated gives a container secrets that it could not
// get, each of which would fail when the tasks start, and then some that it does get.
func TestSecretsAreLookedForBeforeAnythingIsCreated(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	s.must("local", "start")
	partial := func(arn string) string { return arn[:len(arn)-len("-AbCdEf")] }
	const prefix = "arn:aws:secretsmanager:us-east-1:000000000000:secret:"
	key, old := s.createSecret("team/api-secret", `{"key":"of the team"}`), s.createSecret("old", "{}")
	managed := s.createSecret("rds!db-0a1b2c3d", `{"username":"clerk","password":"hidden"}`)
	done[*ssm.PutParameterOutput](t)(ssm.NewFromConfig(s.config()).PutParameter(t.Context(), &ssm.PutParameterInput{
		Name: aws.String("/team/level"), Value: aws.String("debug"), Type: ssmtypes.ParameterTypeString,
	}))
	const parameters = "arn:aws:ssm:us-east-1:000000000000:parameter"
	image := anyImage(t, func(*v1.ConfigFile) {})

	before := s.inventory()
	for _, refused := range []struct {
		code int
		says string
		args []string
	}{
		{64, "is not the full ARN of a secret, which ends with a hyphen and six characters: 'bookctl local aws secretsmanager describe-secret --secret-id " + prefix + "old", []string{"--secret", "A=" + partial(old)}},
		{64, "is not the full ARN of a secret", []string{"--secret", "A=" + partial(old) + ":key"}},
		{64, "is not the full ARN of a secret", []string{"--secret", "A=" + partial(old) + ":key::"}},
		{64, "is not the full ARN of a secret", []string{"--image", noImage, "--registry-secret", partial(old)}},
		{1, "there is no secret " + prefix + "gone-AbCdEf (of A, B) in Secrets Manager", []string{"--secret", "A=" + prefix + "gone-AbCdEf", "--secret", "B=" + prefix + "gone-AbCdEf:key"}},
		// Its name ends as if it were the full ARN.
		{1, "there is no secret " + partial(key) + " (of A)", []string{"--secret", "A=" + partial(key)}},
		{1, "there is no secret " + prefix + "gone-AbCdEf (of --registry-secret)", []string{"--image", noImage, "--registry-secret", prefix + "gone-AbCdEf"}},
		{1, "there is no parameter " + parameters + "/team/gone (of A)", []string{"--secret", "A=" + parameters + "/team/gone", "--secret", "B=" + parameters + "/team/level"}},
	} {
		for _, command := range []string{"plan", "up"} {
			args := append([]string{command, "--local", "--image", image, "--health-path", "/up"}, refused.args...)
			s.run(args...).says(t, refused.code, refused.says)
		}
	}
	if diff := cmp.Diff(before, s.inventory()); diff != "" {
		t.Errorf("what was refused has changed something (-before +after):\n%s", diff)
	}
	done[*secretsmanager.DeleteSecretOutput](t)(secretsmanager.NewFromConfig(s.config()).DeleteSecret(t.Context(), &secretsmanager.DeleteSecretInput{SecretId: &old, RecoveryWindowInDays: aws.Int64(7)}))
	s.run("up", "--local", "--image", image, "--health-path", "/up", "--secret", "A="+old).says(t, 1, "secret "+old+" (of A) is scheduled for deletion, and can't be read")
	const other = "arn:aws:secretsmanager:us-east-1:111122223333:secret:theirs-AbCdEf"
	s.run("plan", "--local", "--image", image, "--health-path", "/up", "--secret", "A="+other).says(t, 2,
		"whether there is "+other+" (of A) can't be seen: it is in account 111122223333, region us-east-1")

	at := s.up("--image", image, "--health-path", "/up", "--no-database", "--secret", "KEY="+key+":key", "--secret", "CLERK="+managed+":username", "--secret", "LEVEL="+parameters+"/team/level")
	for name, want := range map[string]string{"KEY": "of the team", "CLERK": "clerk", "LEVEL": "debug"} {
		if got := get(t, at+"/env?name="+name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	s.run("up", "--local").says(t, 0, "0 changed")
	s.must("destroy", "--local", "--yes")
}

// TestWhoMayNotLookForSecretsIsWarned plans with a policy that does not allow to look for
// what the container is given.
func TestWhoMayNotLookForSecretsIsWarned(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	file := filepath.Join(s.dir, "policy.json")
	if err := os.WriteFile(file, []byte(`{"Version": "2012-10-17", "Statement": [
		{"Effect": "Allow", "Action": "*", "Resource": "*"},
		{"Effect": "Deny", "Action": "secretsmanager:DescribeSecret", "Resource": "arn:aws:secretsmanager:*:*:secret:team/*"},
		{"Effect": "Deny", "Action": "ssm:DescribeParameters", "Resource": "*"}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	s.must("local", "start", "--policy", file)
	const secret, parameter = "arn:aws:secretsmanager:us-east-1:000000000000:secret:team/key-AbCdEf", "arn:aws:ssm:us-east-1:000000000000:parameter/level"
	r := s.run(append([]string{"plan", "--local", "--secret", "A=" + secret, "--secret", "B=" + parameter}, imageless()[1:]...)...)
	for _, want := range []string{
		"whether there is " + secret + " (of A) can't be seen: secretsmanager:DescribeSecret is not allowed",
		"whether there is " + parameter + " (of B) can't be seen: ssm:DescribeParameters is not allowed",
	} {
		if !strings.Contains(r.out+r.err, want) {
			t.Errorf("plan does not say %q: exit code %d\n%s%s", want, r.code, r.out, r.err)
		}
	}
}
