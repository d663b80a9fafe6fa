package kill_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/route53"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/google/go-cmp/cmp"

	"github.com/bookctl/bookctl/internal/provision"
)

// workers are the clouds that the kill points of one side are spread over.
const workers = 2

// TestKilledAtEveryWrite stops a first up at each of its writes, or at some of them
// under the race detector, with which a run takes five times as long. Then up has to
// leave exactly one of each, and yet another up has to write nothing; the
// destroy after that is stopped at one of its writes, too, all of which get
// their turn, and the next destroy has to leave nothing. And without an up in
// between, destroy has to leave nothing either.
//
// It is one process and a time of its own, in which nothing is waited for:
// TestKilledWithRealParts does some of the same with what really runs.
func TestKilledAtEveryWrite(t *testing.T) {
	t.Parallel()
	for _, side := range []side{beforeSent, afterDone} {
		t.Run(side.String(), func(t *testing.T) {
			t.Parallel()
			var next atomic.Int64
			for i := range workers {
				t.Run(fmt.Sprintf("cloud %d", i), func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) {
						openInMemory(t).killAtEach(t, side, func() int { return int(next.Add(stride)) })
					})
				})
			}
			t.Cleanup(func() {
				// The last number is that of a run which had no such write.
				if n := int(next.Load()) - workers*stride; n < 50 {
					t.Errorf("an up was killed at writes up to %d only", n)
				}
			})
		})
	}
}

// TestKilledWithRealParts stops runs at some of their writes while PostgreSQL,
// processes and load balancers really run, over real connections.
func TestKilledWithRealParts(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	for _, side := range []side{beforeSent, afterDone} {
		t.Run(side.String(), func(t *testing.T) {
			t.Parallel()
			n := -5
			openReal(t).killAtEach(t, side, func() int { n += 15; return n })
		})
	}
}

// killAtEach kills ups at the writes that next says, until there is no such write.
func (a *account) killAtEach(t *testing.T, side side, next func() int) {
	for t.Context().Err() == nil {
		n := next()
		write, err := a.survives(t.Context(), n, side)
		if err != nil {
			t.Errorf("%s write %d of up, %s: %v", side, n, write, err)
			if err := a.vanish(t.Context()); err != nil {
				t.Errorf("and then: %v", err)
				return
			}
			continue
		}
		if write == "" {
			return
		}
		t.Logf("%s write %d: %s", side, n, write)
	}
}

// survives kills an up at its n-th write, and returns which that was.
func (a *account) survives(ctx context.Context, n int, side side) (write string, err error) {
	if write, err = a.killed(ctx, a.up, n, side); err != nil {
		return write, err
	}
	if err := a.heal(ctx); err != nil {
		return write, err
	}
	m := 1 + (n-1)%a.destroys
	second, err := a.killed(ctx, a.destroy, m, side)
	if err != nil {
		return write, err
	}
	if err := a.vanish(ctx); err != nil {
		return write, fmt.Errorf("a destroy %s write %d, %s: %w", side, m, second, err)
	}
	if write == "" {
		return "", nil
	}
	if _, err := a.killed(ctx, a.up, n, side); err != nil {
		return write, err
	}
	return write, a.vanish(ctx)
}

// killedAndRepeated stops an up at its write n. The same up then has to complete what that
// began, and a third one to find nothing to do. It returns the write; see killed.
func (a *account) killedAndRepeated(ctx context.Context, n int, side side) (write string, err error) {
	write, err = a.killed(ctx, a.up, n, side)
	if err == nil {
		err = a.up(ctx, &wire{})
	}
	if err == nil {
		err = a.quiet(ctx)
	}
	return write, err
}

// TestKilledWhilePausing stops a pause at each of its writes, which another one then has
// to complete, and an up of the paused stack at each of its own, which another up has to.
func TestKilledWhilePausing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, ctx := openInMemory(t), t.Context()
		a.spec.AlarmEmail = "ops@example.com"
		err := a.up(ctx, &wire{})
		if err == nil {
			a.whole, err = a.inventory(ctx)
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, side := range []side{beforeSent, afterDone} {
			most := 0
			for n := 1; ; n += stride {
				paused, err := a.killed(ctx, a.pause, n, side)
				if err == nil {
					err = a.pause(ctx, &wire{})
				}
				if err != nil {
					t.Fatalf("%s write %d of a pause, %s: %v", side, n, paused, err)
				}
				resumed, err := a.killed(ctx, a.up, n, side)
				if err == nil {
					err = a.tidy(ctx)
				}
				if err == nil {
					err = a.heal(ctx)
				}
				if err != nil {
					t.Fatalf("%s write %d of an up of a paused stack, %s: %v", side, n, resumed, err)
				}
				t.Logf("%s write %d: %s, %s", side, n, paused, resumed)
				if paused != "" {
					most = n
				}
				if paused == "" && resumed == "" {
					break
				}
			}
			if most+stride <= 5 { // lock, tag, alarms, service, database, lock
				t.Errorf("a pause was killed at writes up to %d only", most)
			}
		}
	})
}

// TestKilledWhileAlarmsChange stops an up that gives a stack alarms, has them sent to
// somebody else or takes them off at each of its writes, which the same up then has to
// complete; and a first up and a destroy at the writes that are of alarms.
func TestKilledWhileAlarmsChange(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, ctx := openInMemory(t), t.Context()
		a.deployed = true
		emails := []string{"ops@example.com", "team@example.com", ""}
		whole := map[string][]string{}
		for _, email := range append([]string{""}, emails...) { // undisturbed
			a.spec.AlarmEmail = email
			err := a.up(ctx, &wire{})
			if err == nil {
				whole[email], err = a.inventory(ctx)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(a.whole, whole[""]); diff != "" {
			t.Fatalf("alarms that are taken off leave something (-want +got):\n%s", diff)
		}
		for _, side := range []side{beforeSent, afterDone} {
			most := 0
			for n, some := 1, true; some; n += stride {
				some = false
				for _, email := range emails {
					a.spec.AlarmEmail, a.whole = email, whole[email]
					write, err := a.killed(ctx, a.up, n, side)
					if err == nil {
						err = a.tidy(ctx)
					}
					if err == nil {
						err = a.heal(ctx)
					}
					if err != nil {
						t.Fatalf("%s write %d of an up with alarms sent to %q, %s: %v", side, n, email, write, err)
					}
					if write != "" {
						some, most = true, n
						t.Logf("%s write %d with alarms sent to %q: %s", side, n, email, write)
					}
				}
			}
			if most+stride <= 10 {
				t.Errorf("an up with alarms was killed at writes up to %d only", most)
			}
		}

		a.spec.AlarmEmail, a.whole = emails[0], whole[emails[0]]
		up, destroy := &wire{}, &wire{}
		err := a.vanish(ctx)
		if err == nil {
			err = errors.Join(a.up(ctx, up), a.destroy(ctx, destroy))
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, side := range []side{beforeSent, afterDone} {
			ups, destroys := ofAlarms(up.written()), ofAlarms(destroy.written())
			if len(ups) < 10 || len(destroys) < 5 {
				t.Fatalf("of alarms are only writes %v of a first up and %v of a destroy", ups, destroys)
			}
			for i := 0; i < len(ups); i += stride {
				n := ups[i]
				write, err := a.killed(ctx, a.up, n, side)
				if err == nil {
					err = a.heal(ctx)
				}
				if err != nil {
					t.Fatalf("%s write %d of a first up, %s: %v", side, n, write, err)
				}
				m := destroys[i%len(destroys)]
				second, err := a.killed(ctx, a.destroy, m, side)
				if err == nil {
					err = a.vanish(ctx)
				}
				if err != nil {
					t.Fatalf("%s write %d of a destroy, %s: %v", side, m, second, err)
				}
				t.Logf("%s writes %d and %d: %s, %s", side, n, m, write, second)
			}
		}
	})
}

// ofAlarms are the numbers of the writes that are of alarms.
func ofAlarms(writes []string) (numbers []int) {
	return numbersOf(writes, "Alarm", "Topic", "Subscri", "Rule", "Targets")
}

// numbersOf are the numbers of the writes whose names contain one of the words.
func numbersOf(writes []string, words ...string) (numbers []int) {
	for i, write := range writes {
		if slices.ContainsFunc(words, func(word string) bool { return strings.Contains(write, word) }) && !strings.Contains(write, "SecurityGroup") {
			numbers = append(numbers, i+1)
		}
	}
	return numbers
}

// TestKilledWithADomain stops a first up and a destroy at the writes around those that are of
// the domain. The next destroy learns the domain from what is there, and has to leave
// nothing, also in the zone.
func TestKilledWithADomain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, ctx := openInMemory(t), t.Context()
		a.deployed = true
		dns := route53.NewFromConfig(a.config(&wire{}))
		zone, err := dns.CreateHostedZone(ctx, &route53.CreateHostedZoneInput{Name: aws.String("example.com"), CallerReference: aws.String("1")})
		if err == nil {
			a.empty, err = a.inventory(ctx)
		}
		if err != nil {
			t.Fatal(err)
		}
		vanish := func() error {
			if err := a.vanish(ctx); err != nil {
				return err
			}
			out, err := dns.ListResourceRecordSets(ctx, &route53.ListResourceRecordSetsInput{HostedZoneId: zone.HostedZone.Id})
			if err == nil && len(out.ResourceRecordSets) != 2 { // of the zone itself
				err = fmt.Errorf("the zone has %d records", len(out.ResourceRecordSets))
			}
			return err
		}
		a.spec.Domain = "api.example.com"
		up, destroy := &wire{}, &wire{}
		if err := errors.Join(a.up(ctx, up), a.destroy(ctx, destroy), vanish()); err != nil {
			t.Fatal(err)
		}
		words := []string{"Certificate", "rrset", "LoadBalancer", "TargetGroup", "Listener"}
		ups, destroys := numbersOf(up.written(), words...), numbersOf(destroy.written(), words...)
		if len(ups) < 8 || len(destroys) < 7 {
			t.Fatalf("of the domain are only writes %v of a first up and %v of a destroy:\n%v\n%v", ups, destroys, up.written(), destroy.written())
		}
		for _, side := range []side{beforeSent, afterDone} {
			for i := 0; i < len(ups); i += stride {
				write, err := a.killed(ctx, a.up, ups[i], side)
				if err == nil {
					err = vanish()
				}
				if err == nil {
					err = a.up(ctx, &wire{})
				}
				if err != nil {
					t.Fatalf("%s write %d of a first up, %s: %v", side, ups[i], write, err)
				}
				m := destroys[i%len(destroys)]
				second, err := a.killed(ctx, a.destroy, m, side)
				if err == nil {
					err = vanish()
				}
				if err != nil {
					t.Fatalf("%s write %d of a destroy, %s: %v", side, m, second, err)
				}
				t.Logf("%s writes %d and %d: %s, %s", side, ups[i], m, write, second)
			}
		}
	})
}

// TestKilledWhileTagsChange stops an up that gives a stack other tags at each of its
// writes, which the same up then has to complete.
func TestKilledWhileTagsChange(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, ctx := openInMemory(t), t.Context()
		if err := a.up(ctx, &wire{}); err != nil {
			t.Fatal(err)
		}
		give := func(set map[string]string, unset ...string) {
			a.spec.GiveTags(set, unset)
		}
		for _, side := range []side{beforeSent, afterDone} {
			give(map[string]string{"team": "payments", "stage": "test"})
			if err := a.up(ctx, &wire{}); err != nil {
				t.Fatal(err)
			}
			writes := 0
			for n := 1; ; n += stride + n/4 {
				if writes%2 == 1 {
					give(map[string]string{"team": "payments", "stage": "test"}, "owner")
				} else {
					give(map[string]string{"owner": "ada", "stage": "live"}, "team")
				}
				write, err := a.killed(ctx, a.up, n, side)
				if err == nil && (write == "PutParameter" || write == "DeleteParameters") { // of the lock, which may be free then
					err = a.tidy(ctx)
				}
				if err == nil {
					err = a.heal(ctx)
				}
				if err == nil {
					err = a.onlyTags(ctx)
				}
				if err != nil {
					t.Fatalf("%s write %d of an up with other tags, %s: %v", side, n, write, err)
				}
				if write == "" {
					break
				}
				t.Logf("%s write %d: %s", side, n, write)
				writes++
			}
			if writes*stride < 8 {
				t.Errorf("an up with other tags was killed at %d writes only", writes)
			}
			give(nil, "team", "stage", "owner")
			if err := errors.Join(a.up(ctx, &wire{}), a.onlyTags(ctx)); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestKilledWhileTasksGoToSpot stops an up that has tasks run on Fargate Spot, and one
// that has them run on demand again, at each of its writes, which the same up then has to
// complete.
func TestKilledWhileTasksGoToSpot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, ctx := openInMemory(t), t.Context()
		if err := a.up(ctx, &wire{}); err != nil {
			t.Fatal(err)
		}
		for _, side := range []side{beforeSent, afterDone} {
			most := 0
			for n := 1; ; n += stride {
				var last string
				for _, a.spec.Spot = range []bool{true, false} {
					write, err := a.killedAndRepeated(ctx, n, side)
					if err != nil {
						t.Fatalf("%s write %d of an up with spot %t, %s: %v", side, n, a.spec.Spot, write, err)
					}
					t.Logf("%s write %d with spot %t: %s", side, n, a.spec.Spot, write)
					last += write
				}
				if last == "" {
					break
				}
				most = n
			}
			if most+stride <= 5 { // lock, definition, cluster, service, its tags
				t.Errorf("an up was killed at writes up to %d only", most)
			}
		}
	})
}

// TestKilledWhileASnapshotIsCopied stops a first up that restores a snapshot of another
// region at its writes, up to the copy at each. The same up then has to complete it with one
// copy, and a destroy has to leave none.
func TestKilledWhileASnapshotIsCopied(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, ctx := openInMemory(t), t.Context()
		client := rds.NewFromConfig(a.config(&wire{}))
		err := a.up(ctx, &wire{})
		if err == nil {
			_, err = client.CreateDBSnapshot(ctx, &rds.CreateDBSnapshotInput{DBInstanceIdentifier: aws.String("book-database"), DBSnapshotIdentifier: aws.String("far")})
		}
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute) // it is taken
		req := httptest.NewRequestWithContext(ctx, http.MethodPost, a.Endpoint()+"/_bookctl/snapshot?id=far&region=eu-west-1", nil)
		moved := httptest.NewRecorder()
		if a.ServeHTTP(moved, req); moved.Code != http.StatusOK {
			t.Fatal(moved.Body)
		}
		from, err := provision.SnapshotToRestore(ctx, client, "000000000000", a.spec.Stack, "arn:aws:rds:eu-west-1:000000000000:snapshot:far")
		if err == nil {
			err = a.vanish(ctx)
		}
		first := &wire{}
		if a.spec.CopyFrom = &from; err == nil {
			err = a.up(ctx, first)
		}
		if err == nil {
			a.whole, err = a.inventory(ctx)
		}
		if err == nil {
			err = a.vanish(ctx)
		}
		if err != nil {
			t.Fatal(err)
		}
		copied := 1 + slices.Index(first.written(), "CopyDBSnapshot")
		if copied == 0 || slices.ContainsFunc(first.written()[:copied], func(write string) bool { return strings.HasPrefix(write, "Create") }) {
			t.Fatalf("an up made something before the copy: %v", first.written())
		}
		for _, side := range []side{beforeSent, afterDone} {
			kills := 0
			for n := 1; ; n += stride {
				if n > copied+1 {
					n += 19
				}
				write, err := a.killed(ctx, a.up, n, side)
				if err == nil {
					err = a.vanish(ctx)
				}
				if err == nil && write != "" {
					write, err = a.killed(ctx, a.up, n, side)
				}
				if err == nil {
					err = a.heal(ctx)
				}
				if err == nil {
					err = a.vanish(ctx)
				}
				if err != nil {
					t.Fatalf("%s write %d, %s: %v", side, n, write, err)
				}
				if write == "" {
					break
				}
				kills++
				t.Logf("%s write %d: %s", side, n, write)
			}
			if kills*stride < copied+1 {
				t.Errorf("an up that copies at its write %d was killed at %d writes only", copied, kills)
			}
		}
	})
}

// TestKilledWhileAStackLearnsToShift stops an up that changes to a strategy by which ECS
// shifts the traffic, one that releases by it, and one that goes back to rolling, at each
// of its writes, which the same up then has to complete. After each, destroy has to leave
// nothing.
func TestKilledWhileAStackLearnsToShift(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, ctx := openInMemory(t), t.Context()
		a.deployed = true
		steps := []struct {
			deploy string
			memory int32
		}{{"canary:10%/5m:5m", 512}, {"canary:10%/5m:5m", 1024}, {"linear:50%/1m:0m", 512}, {"rolling", 1024}}
		for _, side := range []side{beforeSent, afterDone} {
			most := 0
			for n, some := 1, true; some; n += stride {
				some = false
				a.spec.Deploy, a.spec.Memory = "rolling", 512
				if err := a.up(ctx, &wire{}); err != nil {
					t.Fatal(err)
				}
				for _, s := range steps {
					a.spec.Deploy, a.spec.Memory = s.deploy, s.memory
					write, err := a.killedAndRepeated(ctx, n, side)
					if err != nil {
						t.Fatalf("%s write %d of an up with %s and %d MiB, %s: %v", side, n, s.deploy, s.memory, write, err)
					}
					if write != "" {
						some, most = true, n
						t.Logf("%s write %d with %s: %s", side, n, s.deploy, write)
					}
				}
				if err := a.vanish(ctx); err != nil {
					t.Fatalf("after write %d, %s: %v", n, side, err)
				}
			}
			if most+stride <= 8 { // lock, group, listener, role, its policy, service, its strategy, tags
				t.Errorf("an up was killed at writes up to %d only", most)
			}
		}
	})
}

// TestKilledWhileTheHealthCheckChanges stops an up with another health check, one whose
// release has another one besides, and one whose release has a secret less, at each of
// their writes, which the same up then has to complete.
func TestKilledWhileTheHealthCheckChanges(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a, ctx := openInMemory(t), t.Context()
		a.deployed = true
		made, err := secretsmanager.NewFromConfig(a.config(&wire{})).CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: aws.String("key"), SecretString: aws.String("of the house")})
		if err != nil {
			t.Fatal(err)
		}
		key := provision.NewPairs(map[string]string{"KEY": *made.ARN})
		for _, side := range []side{beforeSent, afterDone} {
			most := 0
			for n, some := 1, true; some; n += stride {
				some = false
				a.spec.HealthPath, a.spec.Memory, a.spec.Secrets = "/startupz", 512, key
				if err := a.up(ctx, &wire{}); err != nil {
					t.Fatal(err)
				}
				for _, s := range []struct {
					path   string
					memory int32
					secret provision.Pairs
				}{{"/a", 512, key}, {"/b", 1024, key}, {"/b", 1024, ""}} {
					a.spec.HealthPath, a.spec.Memory, a.spec.Secrets = s.path, s.memory, s.secret
					write, err := a.killedAndRepeated(ctx, n, side)
					if err != nil {
						t.Fatalf("%s write %d of an up with %s, %d MiB and secret %q, %s: %v", side, n, s.path, s.memory, s.secret, write, err)
					}
					if write != "" {
						some, most = true, n
						t.Logf("%s write %d with %s: %s", side, n, s.path, write)
					}
				}
			}
			if most+stride <= 6 { // lock, check, definition, its record, service, permissions
				t.Errorf("an up was killed at writes up to %d only", most)
			}
		}
	})
}
