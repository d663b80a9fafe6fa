package kill_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	rdstypes "github.com/aws/aws-sdk-go-v2/service/rds/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	secrettypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/bookctl/bookctl/internal/provision"
	"github.com/bookctl/bookctl/internal/provision/graph"
	"github.com/bookctl/bookctl/internal/runlock"
)

// passwords is a way to a cloud that keeps the password which RDS took last.
type passwords struct {
	by http.RoundTripper

	mu    sync.Mutex
	taken []string
}

func (p *passwords) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := bodyOf(req)
	if err != nil {
		return nil, err
	}
	resp, err := p.by.RoundTrip(req)
	if values, parseErr := url.ParseQuery(string(body)); parseErr == nil && err == nil && resp.StatusCode == http.StatusOK && values.Has("MasterUserPassword") {
		p.mu.Lock()
		p.taken = append(p.taken, values.Get("MasterUserPassword"))
		p.mu.Unlock()
	}
	return resp, err
}

// check fails unless the secret has the password that RDS took last.
func (p *passwords) check(ctx context.Context, c provision.Clients) error {
	out, err := c.Secrets.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String("book/database")})
	if err != nil {
		return err
	}
	var secret struct{ Password string }
	if err := json.Unmarshal([]byte(*out.SecretString), &secret); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.taken) == 0 || secret.Password != p.taken[len(p.taken)-1] {
		return fmt.Errorf("the secret has another password than the last of %d that RDS took", len(p.taken))
	}
	return nil
}

// rotate does what 'bookctl db rotate-password' does over the wire, up to the tasks.
func (a *account) rotate(ctx context.Context, w *wire) error {
	return a.run(w, a.spec, func(r provision.Run) error {
		return r.Hold(ctx, func(*runlock.Lock) error {
			return provision.RotatePassword(ctx, r.Clients, a.spec.Stack, func(string) {})
		})
	})
}

// TestKilledWhileAPasswordIsRotated stops a rotation at each of its writes, and has RDS refuse
// one. After the next up, the secret and the database have the same password.
func TestKilledWhileAPasswordIsRotated(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, ctx := openInMemory(t), t.Context()
		taken := &passwords{by: a.by}
		a.by = taken
		c := provision.NewClients(a.config(&wire{}))
		if err := errors.Join(a.up(ctx, &wire{}), taken.check(ctx, c)); err != nil {
			t.Fatal(err)
		}
		for _, side := range []side{beforeSent, afterDone} {
			most := 0
			for n := 1; ; n++ {
				write, err := a.killed(ctx, a.rotate, n, side)
				if err == nil {
					err = a.up(ctx, &wire{})
				}
				if err == nil {
					err = errors.Join(taken.check(ctx, c), a.quiet(ctx))
				}
				if err != nil {
					t.Fatalf("%s write %d, %s: %v", side, n, write, err)
				}
				if write == "" {
					break
				}
				most = n
				t.Logf("%s write %d: %s", side, n, write)
			}
			if most < 5 { // lock, secret, database, its tag, lock
				t.Errorf("a rotation was killed at writes up to %d only", most)
			}
		}

		a.by = refusing{"Action=ModifyDBInstance", `<ErrorResponse><Error><Code>AccessDenied</Code><Message>not authorized to perform: rds:ModifyDBInstance</Message></Error></ErrorResponse>`, taken}
		for _, run := range []func(context.Context, *wire) error{a.rotate, a.up} {
			if err := run(ctx, &wire{}); err == nil || !strings.Contains(err.Error(), "rds:ModifyDBInstance") {
				t.Errorf("where RDS refuses the password: %v", err)
			}
		}
		a.by = taken
		if err := errors.Join(a.up(ctx, &wire{}), taken.check(ctx, c), a.quiet(ctx)); err != nil {
			t.Errorf("after RDS refused a password: %v", err)
		}
	})
}

// TestARotationMindsWhatOthersDid rotates where the database or the secret of the stack's name is
// somebody else's, where somebody has deleted the secret, which Secrets Manager keeps for some
// days, and where somebody deletes the database meanwhile. An up after one that was interrupted
// waits until RDS has set the password.
func TestARotationMindsWhatOthersDid(t *testing.T) {
	t.Parallel()
	withDatabase(t, func(t *testing.T, a *account, c provision.Clients) {
		ctx, arn := t.Context(), databaseOf(t, c).DBInstanceArn
		give := map[string]func(stack string) error{
			"database": func(stack string) error {
				_, err := c.RDS.AddTagsToResource(ctx, &rds.AddTagsToResourceInput{ResourceName: arn, Tags: []rdstypes.Tag{{Key: aws.String(provision.TagStack), Value: &stack}}})
				return err
			},
			"secret": func(stack string) error {
				_, err := c.Secrets.TagResource(ctx, &secretsmanager.TagResourceInput{SecretId: aws.String("book/database"), Tags: []secrettypes.Tag{{Key: aws.String(provision.TagStack), Value: &stack}}})
				return err
			},
		}
		for what, to := range give {
			if err := to("other"); err != nil {
				t.Fatal(err)
			}
			w := &wire{}
			err := provision.RotatePassword(ctx, provision.NewClients(a.config(w)), "book", func(string) {})
			if !errors.Is(err, graph.ErrUnmanaged) || !strings.Contains(err.Error(), what) || len(w.written()) > 0 {
				t.Errorf("where the %s is of another stack: %v, written %v", what, err, w.written())
			}
			if err := to("book"); err != nil {
				t.Fatal(err)
			}
		}

		if _, err := c.Secrets.DeleteSecret(ctx, &secretsmanager.DeleteSecretInput{SecretId: aws.String("book/database"), RecoveryWindowInDays: aws.Int64(7)}); err != nil {
			t.Fatal(err)
		}
		if err := provision.RotatePassword(ctx, c, "book", func(string) {}); err != nil {
			t.Errorf("where somebody has deleted the secret: %v", err)
		}
		out, err := c.Secrets.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: aws.String("book/database")})
		if err != nil || out.DeletedDate != nil {
			t.Errorf("afterwards the secret is deleted at %v: %v", out.DeletedDate, err)
		}

		short, cancel := context.WithTimeout(ctx, 10*time.Second) // RDS has not set it by then
		defer cancel()
		if err := provision.RotatePassword(short, c, "book", func(string) {}); !errors.Is(err, context.DeadlineExceeded) || databaseOf(t, c).PendingModifiedValues.MasterUserPassword == nil {
			t.Errorf("a rotation that is interrupted: %v", err)
		}
		if err := a.up(ctx, &wire{}); err != nil || databaseOf(t, c).PendingModifiedValues.MasterUserPassword != nil {
			t.Errorf("an up before RDS has set the password: %v", err)
		}

		ended := make(chan error, 1)
		go func() { ended <- provision.RotatePassword(ctx, c, "book", func(string) {}) }()
		time.Sleep(10 * time.Second)
		if _, err := c.RDS.DeleteDBInstance(ctx, &rds.DeleteDBInstanceInput{DBInstanceIdentifier: aws.String("book-database"), FinalDBSnapshotIdentifier: aws.String("by-hand")}); err != nil {
			t.Fatal(err)
		}
		if err := <-ended; err == nil || !strings.Contains(err.Error(), `database book-database is "deleting", and has not got its new password`) {
			t.Errorf("where somebody deletes the database meanwhile: %v", err)
		}
	})
}
