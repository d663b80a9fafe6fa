package cli_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/google/go-cmp/cmp"

	"github.com/bookctl/bookctl/internal/provision"
)

// replicate has the secrets of the stack be in another region too, as a person does it.
func (s *shell) replicate(t *testing.T, name, region string) {
	t.Helper()
	done[*secretsmanager.ReplicateSecretToRegionsOutput](t)(secretsmanager.NewFromConfig(s.config()).ReplicateSecretToRegions(t.Context(), &secretsmanager.ReplicateSecretToRegionsInput{
		SecretId: &name, AddReplicaRegions: []types.ReplicaRegionType{{Region: &region}},
	}))
}

// TestASecretWithReplicasHoldsADestroyBeforehand replicates both secrets of a stack, which
// Secrets Manager does not delete then.
func TestASecretWithReplicasHoldsADestroyBeforehand(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	h := s.byHand(t, nil)
	s.set(t, "TOKEN", "very-own\n").says(t, 0)
	s.up(imageless()...)
	h.database()
	before := h.inventory()
	client := secretsmanager.NewFromConfig(s.config())
	for _, name := range []string{"book/database", "book/environment"} {
		s.replicate(t, name, "eu-west-1")
		s.replicate(t, name, "eu-north-1")
		for _, purge := range []string{"--purge-snapshots", "--purge-snapshots=false"} {
			s.run("destroy", "--local", "--yes", purge).says(t, 1, "secret "+name+" is replicated to eu-west-1, eu-north-1", "nothing was touched",
				"secretsmanager remove-regions-from-replication --secret-id "+name+" --remove-replica-regions eu-west-1 eu-north-1")
		}
		h.same("a refused destroy", before)
		s.run("plan", "--local").says(t, 0) // it serves
		done[*secretsmanager.RemoveRegionsFromReplicationOutput](t)(client.RemoveRegionsFromReplication(t.Context(), &secretsmanager.RemoveRegionsFromReplicationInput{
			SecretId: aws.String(name), RemoveReplicaRegions: []string{"eu-west-1", "eu-north-1"},
		}))
	}
	s.run("destroy", "--local", "--yes", "--purge-snapshots").says(t, 0)
}

// TestAReplicaOfASecretIsNotTakenForTheStacks deploys where the secrets of a stack of
// another region are replicated to: they have its tags, and can't be written or deleted.
func TestAReplicaOfASecretIsNotTakenForTheStacks(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	h := s.byHand(t, nil)
	cfg := s.config()
	client := secretsmanager.NewFromConfig(cfg)
	for _, name := range []string{"book/database", "book/environment"} {
		value := `{"TOKEN":"very-own"}`
		if name == "book/database" {
			value = `{"engine":"postgres","port":5432,"dbname":"books","username":"books","password":"very-own"}`
		}
		done[*secretsmanager.CreateSecretOutput](t)(client.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{
			Name: &name, SecretString: &value, Tags: []types.Tag{{Key: aws.String(provision.TagStack), Value: aws.String("book")}},
		}))
		if code, body := call(t, http.MethodPost, *cfg.BaseEndpoint+"/_bookctl/secret?"+url.Values{"id": {name}, "primary": {"eu-west-1"}}.Encode(), ""); code != http.StatusOK {
			t.Fatalf("make %s a replica: %s", name, body)
		}
		own := "secretsmanager stop-replication-to-replica --secret-id " + name
		// Without the record of the lock, which an up takes before it looks.
		there := func() []string {
			return slices.DeleteFunc(h.inventory(), func(line string) bool { return strings.HasPrefix(line, "parameter /bookctl/book/lock/") })
		}
		before := there()
		s.run(append([]string{"up", "--local"}, imageless()...)...).says(t, 1, "replica-of: eu-west-1", own)
		s.run("destroy", "--local", "--yes", "--purge-snapshots").says(t, 1, "secret "+name+" is a replica of the one in eu-west-1", "nothing was touched", own)
		if name != "book/database" {
			s.set(t, "OTHER", "very-own").says(t, 1, "secret "+name+" is a replica of the one in eu-west-1", own)
		}
		if diff := cmp.Diff(before, there()); diff != "" {
			t.Errorf("what was refused left (-before +after):\n%s", diff)
		}
		done[*secretsmanager.StopReplicationToReplicaOutput](t)(client.StopReplicationToReplica(t.Context(), &secretsmanager.StopReplicationToReplicaInput{SecretId: &name}))
	}
	s.run("destroy", "--local", "--yes", "--purge-snapshots").says(t, 0, "2 deleted, 0 left")
}

// TestBackupsInAnotherRegionAreNamedByADestroy replicates the automated backups of a database,
// which then outlive it where bookctl does not look.
func TestBackupsInAnotherRegionAreNamedByADestroy(t *testing.T) {
	s, h, kept := replicatedBackups(t)
	if h.database(); !strings.Contains(kept, ":eu-west-1:") {
		t.Errorf("the backups are replicated as %s", kept)
	}
	cmd := s.command("destroy", "--local", "--purge-snapshots")
	m := openTerminal(t, cmd, 200, 40)
	until(t, "it asks", func() bool { return strings.Contains(m.screen(), "stack's name") })
	if asked := m.text(); !strings.Contains(asked, kept) || strings.Contains(asked, "no snapshot and no backup is kept") {
		t.Errorf("the question does not name %s:\n%s", kept, asked)
	}
	m.press("no\n")
	m.wait()
	r := s.run("destroy", "--local", "--yes", "--purge-snapshots", "--output", "json")
	if r.code != 0 || !strings.Contains(r.out, `"replicatedBackups":[{"arn":"`+kept+`","region":"eu-west-1"}]`) {
		t.Errorf("destroy: exit code %d\n%s%s", r.code, r.out, r.err)
	}
}

// TestWhatDeletesBackupsInAnotherRegionIsSaid is the end of the same destroy for people.
func TestWhatDeletesBackupsInAnotherRegionIsSaid(t *testing.T) {
	s, _, kept := replicatedBackups(t)
	s.run("destroy", "--local", "--yes").says(t, 0, kept+" (eu-west-1)", "rds delete-db-instance-automated-backup --db-instance-automated-backups-arn "+kept+" --region eu-west-1")
}

// TestACutOffDestroyNamesBackupsInAnotherRegion deletes the database, which alone names them,
// and then fails: the next run can't know of them.
func TestACutOffDestroyNamesBackupsInAnotherRegion(t *testing.T) {
	s, h, kept := replicatedBackups(t)
	h.faults(map[string]any{"deny": []string{"ec2:DeleteVpc"}})
	s.run("destroy", "--local", "--yes").says(t, 4, "ec2:DeleteVpc", kept+" (eu-west-1)", "rds delete-db-instance-automated-backup --db-instance-automated-backups-arn "+kept+" --region eu-west-1")
}

// replicatedBackups has RDS replicate the backups of a stack's database to another region, and
// returns their ARN there.
func replicatedBackups(t *testing.T) (s *shell, h *byHand, kept string) {
	t.Helper()
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s = newShell(t)
	h = s.byHand(t, nil)
	s.up(imageless()...)
	there := s.config()
	there.Region = "eu-west-1"
	return s, h, *done[*rds.StartDBInstanceAutomatedBackupsReplicationOutput](t)(rds.NewFromConfig(there).StartDBInstanceAutomatedBackupsReplication(t.Context(), &rds.StartDBInstanceAutomatedBackupsReplicationInput{
		SourceDBInstanceArn: h.database().DBInstanceArn,
	})).DBInstanceAutomatedBackup.DBInstanceAutomatedBackupsArn
}
