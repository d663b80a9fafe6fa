package kill_test

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go/middleware"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/localcloud"
	"github.com/bookctl/bookctl/internal/provision"
)

// copied copies a snapshot by hand, and waits until that is complete.
func copied(t *testing.T, c provision.Clients, in *rds.CopyDBSnapshotInput) {
	t.Helper()
	if _, err := c.RDS.CopyDBSnapshot(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	time.Sleep(10 * time.Minute)
}

// TestTheNewestSnapshotIsTheOneWithTheNewestData has somebody copy an old snapshot, which RDS
// then has from later than the final one.
func TestTheNewestSnapshotIsTheOneWithTheNewestData(t *testing.T) {
	t.Parallel()
	withDatabase(t, func(t *testing.T, a *account, c provision.Clients) {
		if _, err := c.RDS.CreateDBSnapshot(t.Context(), &rds.CreateDBSnapshotInput{DBInstanceIdentifier: aws.String("book-database"), DBSnapshotIdentifier: aws.String("old")}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		var final string
		if err := a.run(&wire{}, a.spec, func(r provision.Run) error {
			done, err := r.Destroy(t.Context(), false, time.Minute)
			for _, s := range done.Kept {
				if s.Kind == provision.FinalSnapshot {
					final = s.ID
				}
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		copied(t, c, &rds.CopyDBSnapshotInput{SourceDBSnapshotIdentifier: aws.String("old"), TargetDBSnapshotIdentifier: aws.String("old-with-our-key")})
		if s, err := provision.SnapshotToRestore(t.Context(), c.RDS, "", "book", "latest"); err != nil || s.ID != final {
			t.Errorf("the newest snapshot is %q of %s, want %q: %v", s.ID, s.Created, final, err)
		}
		of := rds.New(c.RDS.Options(), func(o *rds.Options) {
			o.APIOptions = append(o.APIOptions, func(s *middleware.Stack) error {
				return s.Initialize.Add(middleware.InitializeMiddlewareFunc("mysql", func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
					out, meta, err := next.HandleInitialize(ctx, in)
					if found, ok := out.Result.(*rds.DescribeDBSnapshotsOutput); ok && err == nil {
						for i := range found.DBSnapshots {
							found.DBSnapshots[i].Engine = aws.String("mysql")
						}
					}
					return out, meta, err
				}), middleware.After)
			})
		})
		if _, err := provision.SnapshotToRestore(t.Context(), of, "", "book", final); err == nil || !strings.Contains(err.Error(), "is of mysql") {
			t.Errorf("a snapshot of another engine: %v", err)
		}
		all, err := provision.Snapshots(t.Context(), c.RDS, "book")
		if err != nil || len(all) != 3 || all[2].ID != final || !all[0].Created.Equal(all[1].Created) {
			t.Errorf("the snapshots are %+v: %v", all, err)
		}
	})
}

// copyByHand has somebody copy a snapshot of the database, without its tags, as RDS does by
// default, and returns its id.
func copyByHand(t *testing.T, c provision.Clients) string {
	t.Helper()
	out, err := c.RDS.DescribeDBSnapshots(t.Context(), &rds.DescribeDBSnapshotsInput{})
	if err != nil || len(out.DBSnapshots) == 0 {
		t.Fatalf("there is no snapshot: %v", err)
	}
	copied(t, c, &rds.CopyDBSnapshotInput{SourceDBSnapshotIdentifier: out.DBSnapshots[0].DBSnapshotIdentifier, TargetDBSnapshotIdentifier: aws.String("keep-2026")})
	return "keep-2026"
}

// TestAPurgeDeletesTheCopiesThatPeopleMade has a copy that has no tag, and shows whose it is
// by the instance alone.
func TestAPurgeDeletesTheCopiesThatPeopleMade(t *testing.T) {
	t.Parallel()
	withDatabase(t, func(t *testing.T, a *account, c provision.Clients) {
		id := copyByHand(t, c)
		var purged []provision.Snapshot
		if err := a.run(&wire{}, a.spec, func(r provision.Run) error {
			done, err := r.Destroy(t.Context(), true, time.Minute)
			purged = done.Purged
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(purged, func(s provision.Snapshot) bool { return s.ID == id }) {
			t.Errorf("purged are %+v, without %s", purged, id)
		}
		out, err := c.RDS.DescribeDBSnapshots(t.Context(), &rds.DescribeDBSnapshotsInput{})
		if err != nil || len(out.DBSnapshots) > 0 {
			t.Errorf("there are still %d snapshots: %v", len(out.DBSnapshots), err)
		}
	})
}

// TestARefusalThatDoesNotPassIsReported has something hold the database, such as an integration of
// it, for which RDS refuses changes, another password, the snapshot before an upgrade and the
// deletion as long as the database is available.
func TestARefusalThatDoesNotPassIsReported(t *testing.T) {
	t.Parallel()
	withDatabase(t, func(t *testing.T, a *account, c provision.Clients) {
		const words = "Instance book-database has an active integration."
		answer, by := "<ErrorResponse><Error><Code>InvalidDBInstanceState</Code><Message>"+words+"</Message></Error></ErrorResponse>", a.by
		settings := a.spec
		for _, refused := range []struct {
			call   string
			change func()
			run    func(context.Context, *wire) error
		}{
			{"Action=ModifyDBInstance", func() { a.spec.BackupDays = 14 }, a.up},
			{"Action=CreateDBSnapshot", func() { a.spec.UpgradeFrom, a.spec.DBVersion = *databaseOf(t, c).EngineVersion, "18" }, a.up},
			{"Action=ModifyDBInstance", func() {
				if _, err := c.Secrets.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: aws.String("book/database"), SecretString: aws.String("set-by-hand-1")}); err != nil {
					t.Fatal(err)
				}
			}, a.up},
			{"Action=DeleteDBInstance", func() {}, a.destroy},
		} {
			call := refused.call
			refused.change()
			a.by = refusing{call, answer, by}
			begun := time.Now()
			err := refused.run(t.Context(), &wire{})
			a.by, a.spec = by, settings
			if err == nil || !strings.Contains(err.Error(), words) || !strings.Contains(hint.Of(err).String(), "describe-events") || time.Since(begun) > 30*time.Minute {
				t.Errorf("%s, after %s: %v; next: %s", call, time.Since(begun), err, hint.Of(err))
			}
		}
		if err := a.destroy(t.Context(), &wire{}); err != nil {
			t.Error(err)
		}
	})
}

// TestADestroyLeavesToAWSBackupWhatItHolds has AWS Backup hold continuous backups of the database,
// without which RDS does not delete it and which only AWS Backup deletes.
func TestADestroyLeavesToAWSBackupWhatItHolds(t *testing.T) {
	t.Parallel()
	for _, purge := range []bool{false, true} {
		withDatabase(t, func(t *testing.T, a *account, c provision.Clients) {
			a.SetFaults(localcloud.Faults{BackupPlan: true})
			have, err := provision.ReadDeployed(t.Context(), c, "book")
			if err != nil {
				t.Fatal(err)
			}
			earlier, err := have.AutomatedBackups(t.Context(), c.RDS, "book", nil)
			if err != nil || !strings.Contains(earlier.RecoveryPoint, ":recovery-point:continuous:") {
				t.Errorf("what a destroy asks about: %+v, %v", earlier, err)
			}
			for range 2 { // the second finds nothing else
				if err := a.run(&wire{}, a.spec, func(r provision.Run) error {
					done, err := r.Destroy(t.Context(), purge, time.Minute)
					backup := slices.IndexFunc(done.Kept, func(s provision.Snapshot) bool { return s.Kind == provision.RetainedBackup })
					if backup < 0 || !done.Kept[backup].OnlyAWSDeletes() || done.Kept[backup].What() != "retained backup of AWS Backup" {
						t.Errorf("kept are %+v", done.Kept)
					}
					return err
				}); err != nil {
					t.Errorf("destroy, purging %t: %v", purge, err)
				}
			}
		})
	}
}

// refusing answers the calls that contain a text with an error.
type refusing struct {
	text, answer string
	by           http.RoundTripper
}

func (r refusing) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := bodyOf(req)
	if err != nil {
		return nil, err
	}
	if call := req.Header.Get("X-Amz-Target") + string(body); !strings.Contains(call, r.text) {
		return r.by.RoundTrip(req)
	}
	return &http.Response{
		StatusCode: http.StatusBadRequest, Header: http.Header{"Content-Type": {"application/x-amz-json-1.1"}},
		Body: io.NopCloser(strings.NewReader(r.answer)), Request: req,
	}, nil
}

// TestTheDatabaseStaysWhileACopyOfItCannotBeDeleted has a copy that has no tag, and which the
// policy therefore does not allow to delete, or which is not complete. Without the database
// nothing would show whose it is; and once that is gone, without its final snapshot. A purge
// that can't see the retained backups fails.
func TestTheDatabaseStaysWhileACopyOfItCannotBeDeleted(t *testing.T) {
	t.Parallel()
	withDatabase(t, func(t *testing.T, a *account, c provision.Clients) {
		id := copyByHand(t, c)
		by := a.by
		for refusal, next := range map[string]string{
			`<Code>AccessDenied</Code><Message>not authorized to perform: rds:DeleteDBSnapshot</Message>`:                                                    "'aws rds delete-db-snapshot --db-snapshot-identifier " + id + "' does, for those who may; then run the same command again",
			`<Code>InvalidDBSnapshotState</Code><Message>Cannot delete the snapshot because it is not currently in the available or failed state.</Message>`: "run the same command again when 'bookctl db snapshots' shows it as available",
		} {
			a.by = refusing{"Action=DeleteDBSnapshot&DBSnapshotIdentifier=" + id, `<ErrorResponse><Error>` + refusal + `</Error></ErrorResponse>`, by}
			err := a.destroy(t.Context(), &wire{})
			a.by = by
			if err == nil || !strings.Contains(err.Error(), id) || !strings.Contains(hint.Of(err).String(), next) {
				t.Errorf("with the answer %s: %v; next: %s", refusal, err, hint.Of(err))
			}
			databaseOf(t, c) // is there
		}
		a.keeping = true
		if err := a.destroy(t.Context(), &wire{}); err != nil {
			t.Fatal(err)
		}
		a.keeping = false
		a.by = refusing{"Action=DeleteDBSnapshot&DBSnapshotIdentifier=" + id, `<ErrorResponse><Error><Code>AccessDenied</Code><Message>not authorized to perform: rds:DeleteDBSnapshot</Message></Error></ErrorResponse>`, by}
		refused := &wire{}
		err := a.destroy(t.Context(), refused)
		if err == nil || !strings.Contains(err.Error(), " stays until "+id+" is deleted, as it shows whose that is") {
			t.Errorf("without the database: %v", err)
		}
		if deletions := numbersOf(refused.written(), "DeleteDBSnapshot"); len(deletions) != 1 {
			t.Errorf("without the database, %d snapshots were to be deleted", len(deletions))
		}
		a.by = refusing{"Action=DescribeDBInstanceAutomatedBackups", `<ErrorResponse><Error><Code>AccessDenied</Code><Message>not authorized to perform: rds:DescribeDBInstanceAutomatedBackups</Message></Error></ErrorResponse>`, by}
		if err := a.destroy(t.Context(), &wire{}); err == nil || !strings.Contains(err.Error(), "rds:DescribeDBInstanceAutomatedBackups") {
			t.Errorf("a purge that can't see the backups: %v", err)
		}
		a.by = by
		if err := a.destroy(t.Context(), &wire{}); err != nil {
			t.Fatal(err)
		}
		out, err := c.RDS.DescribeDBSnapshots(t.Context(), &rds.DescribeDBSnapshotsInput{})
		if err != nil || len(out.DBSnapshots) > 0 {
			t.Errorf("there are still %d snapshots: %v", len(out.DBSnapshots), err)
		}
	})
}

// TestARefusedDestroyDeletesNoCopy has IAM refuse the first call of a destroy of everything.
func TestARefusedDestroyDeletesNoCopy(t *testing.T) {
	t.Parallel()
	withDatabase(t, func(t *testing.T, a *account, c provision.Clients) {
		id, by := copyByHand(t, c), a.by
		a.by = refusing{".DeleteService", `{"__type":"AccessDeniedException","message":"not authorized to perform: ecs:DeleteService"}`, by}
		err := a.destroy(t.Context(), &wire{})
		a.by = by
		if _, denied := provision.Denied(err); !denied {
			t.Fatalf("the destroy ended with %v", err)
		}
		if _, err := c.RDS.DescribeDBSnapshots(t.Context(), &rds.DescribeDBSnapshotsInput{DBSnapshotIdentifier: &id}); err != nil {
			t.Error(err)
		}
	})
}

// TestKilledWhileItPurges stops a destroy of everything, with a copy that has no tag, at some
// of its writes: those that delete the copy and the database, and others. The same destroy then
// has to leave nothing, the copy least of all.
func TestKilledWhileItPurges(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, ctx := openInMemory(t), t.Context()
		c := provision.NewClients(a.config(&wire{}))
		purge := func(kill func() (write string, err error)) (write string) {
			t.Helper()
			err := a.up(ctx, &wire{})
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Minute) // the first backup is complete
			copyByHand(t, c)
			write, err = kill()
			if err == nil {
				err = a.vanish(ctx)
			}
			if err != nil {
				t.Fatalf("killed at %s: %v", write, err)
			}
			return write
		}
		for _, side := range []side{beforeSent, afterDone} {
			for _, write := range []string{"DeleteDBSnapshot", "DeleteDBInstance"} {
				purge(func() (string, error) { return write, a.killedOf(ctx, a.destroy, write, side) })
			}
			kills := 0
			for n := 1; purge(func() (string, error) { return a.killed(ctx, a.destroy, n, side) }) != ""; n += 5 + stride {
				kills++
			}
			if kills*stride < 5 {
				t.Errorf("%s: a purge was killed at %d writes only", side, kills)
			}
		}
	})
}
