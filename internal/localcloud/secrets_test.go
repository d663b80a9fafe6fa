package localcloud_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/bookctl/bookctl/internal/localcloud"
)

func TestASecretsValuesMoveThroughTheirStages(t *testing.T) {
	t.Parallel()
	dir := stateDir(t)
	c, ctx := secretsmanager.NewFromConfig(clientConfig(openCloud(t, localcloud.Config{StateDir: dir}))), t.Context()
	create := &secretsmanager.CreateSecretInput{Name: aws.String("book/database"), ClientRequestToken: aws.String("11111111-1111-1111-1111-111111111111")}
	created := must[*secretsmanager.CreateSecretOutput](t)(c.CreateSecret(ctx, create))
	if again := must[*secretsmanager.CreateSecretOutput](t)(c.CreateSecret(ctx, create)); *again.ARN != *created.ARN {
		t.Errorf("the same token made %s and %s", *created.ARN, *again.ARN)
	}
	create.ClientRequestToken = aws.String("22222222-2222-2222-2222-222222222222")
	_, err := c.CreateSecret(ctx, create)
	refused(t, err, "ResourceExistsException", "the secret book/database already exists")
	get := func(stage *string) (string, error) {
		out, err := c.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: created.ARN, VersionStage: stage})
		if err != nil {
			return "", err
		}
		return *out.SecretString, nil
	}
	_, err = get(nil)
	refused(t, err, "ResourceNotFoundException", "staging label: AWSCURRENT")

	put := func(token, value string) error {
		_, err := c.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: aws.String("book/database"), ClientRequestToken: aws.String(token + "3333333-3333-3333-3333-333333333333"), SecretString: &value})
		return err
	}
	for _, v := range []string{"1", "2", "2"} { // the last is a repeated request
		if err := put(v, "value-in-clear-"+v); err != nil {
			t.Fatal(err)
		}
	}
	refused(t, put("2", "another"), "ResourceExistsException", "already in use for a version")
	for stage, want := range map[string]string{"AWSCURRENT": "value-in-clear-2", "AWSPREVIOUS": "value-in-clear-1"} {
		if got, err := get(&stage); err != nil || got != want {
			t.Errorf("%s is %q, %v; want %q", stage, got, err, want)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "state.json"))
	if err != nil || strings.Contains(string(text), "value-in-clear") {
		t.Errorf("the state holds the value in clear, or can't be read: %v", err)
	}
}

func TestADeletedSecretKeepsItsNameUntilItIsGone(t *testing.T) {
	t.Parallel()
	c, ctx := secretsmanager.NewFromConfig(clientConfig(openCloud(t, localcloud.Config{}))), t.Context()
	name := aws.String("mine")
	create := func() (*secretsmanager.CreateSecretOutput, error) {
		return c.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: name, SecretString: aws.String("x"), Tags: []types.Tag{{Key: aws.String("stack"), Value: aws.String("book")}}})
	}
	list := func(deleted bool, filters ...types.Filter) int {
		t.Helper()
		return len(must[*secretsmanager.ListSecretsOutput](t)(c.ListSecrets(ctx, &secretsmanager.ListSecretsInput{IncludePlannedDeletion: &deleted, Filters: filters})).SecretList)
	}
	first := must[*secretsmanager.CreateSecretOutput](t)(create())
	if n := list(false, types.Filter{Key: "tag-key", Values: []string{"sta"}}, types.Filter{Key: "tag-value", Values: []string{"book"}}); n != 1 {
		t.Errorf("%d secrets by their tag", n)
	}
	if n := list(false, types.Filter{Key: "name", Values: []string{"!mine"}}); n != 0 {
		t.Errorf("%d secrets of another name", n)
	}
	must[*secretsmanager.DeleteSecretOutput](t)(c.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: name}))
	_, err := create()
	refused(t, err, "InvalidRequestException", "You can't create this secret because a secret with this name is already scheduled for deletion.")
	_, err = c.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: name})
	refused(t, err, "InvalidRequestException", "marked for deletion")
	if list(false) != 0 || list(true) != 1 {
		t.Errorf("listed: %d, with planned deletions %d", list(false), list(true))
	}
	must[*secretsmanager.RestoreSecretOutput](t)(c.RestoreSecret(ctx, &secretsmanager.RestoreSecretInput{SecretId: name}))
	if v := must[*secretsmanager.GetSecretValueOutput](t)(c.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: name})); *v.SecretString != "x" {
		t.Errorf("restored as %q", *v.SecretString)
	}
	force := &secretsmanager.DeleteSecretInput{SecretId: name, ForceDeleteWithoutRecovery: aws.Bool(true)}
	must[*secretsmanager.DeleteSecretOutput](t)(c.DeleteSecret(ctx, force))
	must[*secretsmanager.DeleteSecretOutput](t)(c.DeleteSecret(ctx, force)) // gone already, and no error
	if second := must[*secretsmanager.CreateSecretOutput](t)(create()); *second.ARN == *first.ARN {
		t.Error("a new secret of an old name has its ARN")
	}
}

// TestAListOfSecretsIsLate creates a secret and deletes it, and lists it both times for a
// while as it was before.
func TestAListOfSecretsIsLate(t *testing.T) {
	t.Parallel()
	c, ctx := secretsmanager.NewFromConfig(clientConfig(openCloud(t, localcloud.Config{Latencies: localcloud.Latencies{SecretList: time.Second}}))), t.Context()
	listed := func() bool {
		t.Helper()
		return len(must[*secretsmanager.ListSecretsOutput](t)(c.ListSecrets(ctx, &secretsmanager.ListSecretsInput{})).SecretList) > 0
	}
	becomes := func(want bool) {
		t.Helper()
		if listed() == want {
			t.Errorf("a list shows at once that it is %t", want)
		}
		for begun := time.Now(); listed() != want; time.Sleep(20 * time.Millisecond) {
			if time.Since(begun) > 30*time.Second {
				t.Fatalf("a list never shows that it is %t", want)
			}
		}
	}
	must[*secretsmanager.CreateSecretOutput](t)(c.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: aws.String("mine"), SecretString: aws.String("x")}))
	must[*secretsmanager.DescribeSecretOutput](t)(c.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: aws.String("mine")}))
	becomes(true)
	must[*secretsmanager.DeleteSecretOutput](t)(c.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: aws.String("mine"), ForceDeleteWithoutRecovery: aws.Bool(true)}))
	_, err := c.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: aws.String("mine")})
	refused(t, err, "ResourceNotFoundException", "")
	becomes(false)
}

func TestRandomPasswordsKeepToTheirOptions(t *testing.T) {
	t.Parallel()
	c, ctx := secretsmanager.NewFromConfig(clientConfig(openCloud(t, localcloud.Config{}))), t.Context()
	seen := map[string]bool{}
	for range 20 {
		p := *must[*secretsmanager.GetRandomPasswordOutput](t)(c.GetRandomPassword(ctx, &secretsmanager.GetRandomPasswordInput{
			PasswordLength: aws.Int64(12), ExcludePunctuation: aws.Bool(true), ExcludeCharacters: aws.String("abcXYZ01"),
		})).RandomPassword
		if len(p) != 12 || strings.ContainsAny(p, "abcXYZ01!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~ ") || seen[p] ||
			!strings.ContainsAny(p, "defghijklmnopqrstuvwxyz") || !strings.ContainsAny(p, "ABCDEFGHIJKLMNOPQRSTUVW") || !strings.ContainsAny(p, "23456789") {
			t.Errorf("password %q", p)
		}
		seen[p] = true
	}
	_, err := c.GetRandomPassword(ctx, &secretsmanager.GetRandomPasswordInput{PasswordLength: aws.Int64(3)})
	refused(t, err, "InvalidParameterException", "too short")
}

// TestASecretIsReplicated replicates a secret, which is not deleted before its replicas are.
func TestASecretIsReplicated(t *testing.T) {
	t.Parallel()
	c, ctx := secretsmanager.NewFromConfig(clientConfig(openCloud(t, localcloud.Config{}))), t.Context()
	name := aws.String("mine")
	created := must[*secretsmanager.CreateSecretOutput](t)(c.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: name, SecretString: aws.String("x"), AddReplicaRegions: []types.ReplicaRegionType{{Region: aws.String("eu-west-2")}}}))
	must[*secretsmanager.ReplicateSecretToRegionsOutput](t)(c.ReplicateSecretToRegions(ctx, &secretsmanager.ReplicateSecretToRegionsInput{SecretId: name, AddReplicaRegions: []types.ReplicaRegionType{{Region: aws.String("eu-north-1")}}}))
	found := must[*secretsmanager.DescribeSecretOutput](t)(c.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: name}))
	if len(found.ReplicationStatus) != 2 || *found.ReplicationStatus[1].Region != "eu-north-1" || aws.ToString(found.PrimaryRegion) == "" {
		t.Errorf("replicas %v of %s", found.ReplicationStatus, aws.ToString(found.PrimaryRegion))
	}
	for _, force := range []bool{true, false} {
		_, err := c.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: name, ForceDeleteWithoutRecovery: &force})
		refused(t, err, "InvalidParameterException", "You can't delete secret "+*created.ARN+" that still has replica regions [eu-west-2, eu-north-1].")
	}
	must[*secretsmanager.RemoveRegionsFromReplicationOutput](t)(c.RemoveRegionsFromReplication(ctx, &secretsmanager.RemoveRegionsFromReplicationInput{SecretId: name, RemoveReplicaRegions: []string{"eu-west-2", "eu-north-1"}}))
	_, err := c.StopReplicationToReplica(ctx, &secretsmanager.StopReplicationToReplicaInput{SecretId: name})
	refused(t, err, "InvalidRequestException", "")
	must[*secretsmanager.DeleteSecretOutput](t)(c.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: name, ForceDeleteWithoutRecovery: aws.Bool(true)}))
}
