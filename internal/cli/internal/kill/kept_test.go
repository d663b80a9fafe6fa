package kill_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"
	"github.com/google/go-cmp/cmp"

	"github.com/bookctl/bookctl/internal/localcloud"
	"github.com/bookctl/bookctl/internal/provision"
)

// vanishKeeping is a destroy that has to succeed and to leave nothing but snapshots, of which
// it returns those of an instance.
func (a *account) vanishKeeping(ctx context.Context, c provision.Clients, resource string) ([]types.DBSnapshot, error) {
	if err := a.destroy(ctx, &wire{}); err != nil {
		return nil, fmt.Errorf("destroy: %w", err)
	}
	time.Sleep(time.Minute) // the name of the lock is free again
	now, err := a.inventory(ctx)
	if err != nil {
		return nil, err
	}
	now = slices.DeleteFunc(now, func(line string) bool {
		// A secret that is gone is listed for some time.
		return strings.HasPrefix(line, "snapshot of book-database, manual, ") || line == "secret book/database deleted=true without a value"
	})
	if diff := cmp.Diff(a.empty, now); diff != "" {
		return nil, fmt.Errorf("destroy left something behind (-before +after):\n%s", diff)
	}
	out, err := c.RDS.DescribeDBSnapshots(ctx, &rds.DescribeDBSnapshotsInput{})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(out.DBSnapshots, func(s types.DBSnapshot) bool { return *s.DbiResourceId != resource }), nil
}

// TestKilledWhileADestroyKeepsTheData stops a destroy at the writes that make the final
// snapshot. The next destroy has to leave exactly one of the database, complete and with the
// stack's tags although somebody switched off that it gets them, and an up restores it.
func TestKilledWhileADestroyKeepsTheData(t *testing.T) {
	t.Parallel()
	withDatabase(t, func(t *testing.T, a *account, c provision.Clients) {
		ctx := t.Context()
		a.keeping = true
		for _, at := range []struct {
			write string
			side  side
		}{{"ModifyDBInstance", beforeSent}, {"ModifyDBInstance", afterDone}, {"DeleteDBInstance", beforeSent}, {"DeleteDBInstance", afterDone}, {"DeleteDBSubnetGroup", beforeSent}} {
			resource := *databaseOf(t, c).DbiResourceId
			_, err := c.RDS.ModifyDBInstance(ctx, &rds.ModifyDBInstanceInput{DBInstanceIdentifier: aws.String("book-database"), CopyTagsToSnapshot: aws.Bool(false), ApplyImmediately: aws.Bool(true)})
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Minute)
			if err := a.killedOf(ctx, a.destroy, at.write, at.side); err != nil {
				t.Fatal(err)
			}
			kept, err := a.vanishKeeping(ctx, c, resource)
			if err != nil {
				t.Fatalf("%s %s: %v", at.side, at.write, err)
			}
			if len(kept) != 1 || *kept[0].Status != "available" || !slices.ContainsFunc(kept[0].TagList, func(tag types.Tag) bool { return *tag.Key == provision.TagStack && *tag.Value == "book" }) {
				t.Fatalf("%s %s: the snapshots are %+v", at.side, at.write, kept)
			}
			a.spec.Restore = "latest"
			if err := a.up(ctx, &wire{}); err != nil {
				t.Fatalf("%s %s: an up that restores: %v", at.side, at.write, err)
			}
			a.spec.Restore = ""
			if db := databaseOf(t, c); !slices.ContainsFunc(db.TagList, func(tag types.Tag) bool {
				return *tag.Key == "bookctl:restored-from" && *tag.Value == *kept[0].DBSnapshotIdentifier
			}) {
				t.Fatalf("%s %s: the database has the tags %+v", at.side, at.write, db.TagList)
			}
		}
		a.keeping = false
		if left, err := a.vanishKeeping(ctx, c, *databaseOf(t, c).DbiResourceId); err != nil || len(left) > 0 {
			t.Errorf("a purge leaves %d snapshots: %v", len(left), err)
		}
	})
}

// lagging is a way to an RDS that begins to delete a database, answers that it is busy, and
// shows the database for a while as it was before.
type lagging struct {
	by http.RoundTripper

	mu        sync.Mutex
	shown     []byte // what it answered last where it was asked for databases
	until     time.Time
	deletions int
}

func (l *lagging) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := bodyOf(req)
	if err != nil {
		return nil, err
	}
	describes, deletes := bytes.Contains(body, []byte("Action=DescribeDBInstances&")), bytes.Contains(body, []byte("Action=DeleteDBInstance&"))
	if !describes && !deletes {
		return l.by.RoundTrip(req)
	}
	answer := func(status int, with []byte) *http.Response {
		return &http.Response{StatusCode: status, Header: http.Header{"Content-Type": {"text/xml"}}, Body: io.NopCloser(bytes.NewReader(with)), Request: req}
	}
	l.mu.Lock()
	shown, stale := l.shown, time.Now().Before(l.until)
	l.mu.Unlock()
	if describes && stale {
		return answer(http.StatusOK, shown), nil
	}
	resp, err := l.by.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	read, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(read))
	l.mu.Lock()
	defer l.mu.Unlock()
	if deletes {
		l.deletions++
	}
	switch {
	case describes && resp.StatusCode == http.StatusOK:
		l.shown = read
	case deletes && l.deletions == 1:
		l.until = time.Now().Add(90 * time.Second)
		resp = answer(http.StatusBadRequest, []byte(`<ErrorResponse><Error><Code>InvalidDBInstanceState</Code><Message>Instance book-database is not in an available state.</Message></Error></ErrorResponse>`))
	}
	return resp, nil
}

// TestADestroyKnowsTheSnapshotItAskedFor has RDS do what it says it does not. A destroy that
// sends the deletion again waits for the snapshot that RDS takes; and one that follows a run that
// was killed waits for that of the same database alone, and says when it fails.
func TestADestroyKnowsTheSnapshotItAskedFor(t *testing.T) {
	t.Parallel()
	withDatabase(t, func(t *testing.T, a *account, c provision.Clients) {
		ctx, by := t.Context(), a.by
		a.keeping = true
		again := func() string {
			t.Helper()
			time.Sleep(time.Minute) // the name of the lock is free again
			if err := a.up(ctx, &wire{}); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Minute)
			return *databaseOf(t, c).DbiResourceId
		}
		resource, lag := *databaseOf(t, c).DbiResourceId, &lagging{by: by}
		a.by = lag
		begun := time.Now()
		kept, err := a.vanishKeeping(ctx, c, resource)
		if err != nil || len(kept) != 1 || lag.deletions < 2 || time.Since(begun) > 30*time.Minute {
			t.Errorf("after %s and %d deletions: %v, %d snapshots", time.Since(begun), lag.deletions, err, len(kept))
		}
		a.by = by

		again()
		a.SetFaults(localcloud.Faults{SnapshotsFail: true})
		err = a.killedOf(ctx, a.destroy, "DeleteDBInstance", afterDone)
		if err != nil {
			t.Fatal(err)
		}
		next := &wire{}
		if err := a.destroy(ctx, next); !errors.Is(err, provision.ErrWouldLoseData) || !strings.Contains(err.Error(), ": final snapshot book-final-") || slices.Contains(next.written(), "DeleteDBInstance") {
			t.Errorf("a destroy whose snapshot failed, which an earlier one asked for: %v, written %v", err, next.written())
		}
		a.SetFaults(localcloud.Faults{})
		if _, err := c.RDS.DeleteDBInstance(ctx, &rds.DeleteDBInstanceInput{DBInstanceIdentifier: aws.String("book-database"), SkipFinalSnapshot: aws.Bool(true)}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute)

		resource = again()
		if err := a.killedOf(ctx, a.destroy, "DeleteDBInstance", afterDone); err != nil {
			t.Fatal(err)
		}
		complete := func() bool {
			out, err := c.RDS.DescribeDBSnapshots(ctx, &rds.DescribeDBSnapshotsInput{})
			if err != nil {
				t.Fatal(err)
			}
			return slices.ContainsFunc(out.DBSnapshots, func(s types.DBSnapshot) bool {
				return *s.DbiResourceId == resource && *s.SnapshotType == "manual" && *s.Status == "available"
			})
		}
		for !complete() {
			time.Sleep(time.Second)
		}
		if status := *databaseOf(t, c).DBInstanceStatus; status != "deleting" {
			t.Errorf("the database is %s", status)
		}
		if err := a.destroy(ctx, &wire{}); err != nil {
			t.Errorf("a destroy with the failed snapshot of an earlier database: %v", err)
		}
	})
}
