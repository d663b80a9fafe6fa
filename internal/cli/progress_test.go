package cli

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/bookctl/bookctl/internal/provision/graph"
)

func TestALogSaysNowAndThenWhatIsWaitedFor(t *testing.T) {
	t.Parallel()
	zero := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	now := zero
	var out bytes.Buffer
	l := newLineReporter(context.Background(), &out, progress{})
	l.now = func() time.Time { return now }
	l.every = time.Hour // beats are given by hand
	l.begin(nil)
	l.every = 30 * time.Second
	l.progress.total = 31
	at := func(after time.Duration, e graph.Event) {
		now = zero.Add(after)
		e.Time = now
		l.event(e)
	}
	beat := func(after time.Duration) {
		now = zero.Add(after)
		l.beat()
	}
	at(0, graph.Event{Node: "database", Kind: graph.Creating})
	at(time.Second, graph.Event{Node: "load-balancer", Kind: graph.Creating})
	at(2*time.Second, graph.Event{Node: "sg-task", Kind: graph.Creating})
	rules := []graph.Change{
		{Field: "rule missing: tcp 443 to 0.0.0.0/0"}, {Field: "rule missing: tcp 5432 to 10.0.10.0/24"}, {Field: "rule too many: sgr-1"},
	}
	at(3*time.Second, graph.Event{Node: "sg-task", Kind: graph.Updating, Changes: rules}) // it is new, and gets its rules
	at(3*time.Second, graph.Event{Node: "sg-database", Kind: graph.Updating, Changes: rules})
	at(3*time.Second, graph.Event{Node: "sg-database", Kind: graph.Done})
	at(4*time.Second, graph.Event{Node: "sg-task", Kind: graph.Done, Elapsed: 2 * time.Second})
	at(10*time.Second, graph.Event{Node: "database", Kind: graph.Waiting, Note: "backing-up"})
	beat(20 * time.Second) // too early
	beat(50 * time.Second)
	beat(60 * time.Second) // too early
	at(70*time.Second, graph.Event{Node: "load-balancer", Kind: graph.Failed, Err: errors.New("no quota")})
	at(71*time.Second, graph.Event{Node: "listener", Kind: graph.Skipped, Note: "load-balancer"})
	at(71*time.Second, graph.Event{Node: "service-alarm", Kind: graph.Skipped, Note: "listener"})
	at(72*time.Second, graph.Event{Node: "cluster", Kind: graph.Stopped, Elapsed: 3 * time.Second, Note: "PROVISIONING"})
	at(73*time.Second, graph.Event{Node: "service", Kind: graph.Skipped})
	beat(190 * time.Second)
	at(200*time.Second, graph.Event{Node: "database", Kind: graph.Done, Elapsed: 200 * time.Second})
	beat(300 * time.Second) // nothing is waited for
	l.close()
	l.note("too late")
	want := `12:00:00 database                 creating
12:00:01 load-balancer            creating
12:00:02 sg-task                  creating
12:00:03 sg-database              updating 2 rules missing, 1 rule too many
12:00:03 sg-database              done
12:00:04 sg-task                  done in 2s
12:00:10 database                 waiting: backing-up
12:00:50 Creating load-balancer, 49s; database in progress. 2 of 31, 50s.
12:01:10 load-balancer            failed: no quota
12:01:12 cluster                  stopped in progress after 3s: PROVISIONING
12:01:13 service                  not started
12:03:10 Creating database, 3m10s: backing-up. 7 of 31, 3m10s.
12:03:20 database                 done in 3m20s
12:05:00 not begun, since something that they need failed: listener, service-alarm
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

func TestChangesAreListedInFullOnlyIfTheyAreFew(t *testing.T) {
	t.Parallel()
	for want, changes := range map[string][]graph.Change{
		"cpu: 256 → 512":                   {{Field: "cpu", Have: "256", Want: "512"}},
		"a: (none) → 1; b: 2 → (none)":     {{Field: "a", Want: "1"}, {Field: "b", Have: "2"}},
		"a, b, c, d":                       {{Field: "a"}, {Field: "b"}, {Field: "c"}, {Field: "d"}},
		"policy":                           {{Field: "policy", Have: strings.Repeat("x", 100), Want: strings.Repeat("y", 100)}},
		"count, tag team, tag x, cpu":      {{Field: "count"}, {Field: "tag team"}, {Field: "tag x"}, {Field: "cpu"}},
		"1 rule missing, 2 rules too many": {{Field: "rule missing: x"}, {Field: "rule too many: y"}, {Field: "rule too many: z"}},
	} {
		if got := changesText(changes); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestWhatAWSSaysAtLengthIsShortened(t *testing.T) {
	t.Parallel()
	for long, want := range map[string]string{
		"(service book-service) has started 1 tasks: (task b79924d7c2f64a0f8c1c5b0c2d3e4f50).":                                                              "(service book-service) has started 1 tasks: (task b79924d7).",
		"registered 1 targets in (target-group arn:aws:elasticloadbalancing:us-east-1:000000000000:targetgroup/book-tasks/375684e29ea6b938)":                "registered 1 targets in (target-group book-tasks)",
		"(deployment ecs-svc/5722234241876887337) deployment completed.":                                                                                    "(deployment ecs-svc/57222342) deployment completed.",
		"task definition arn:aws:ecs:us-east-1:000000000000:task-definition/book-app:3.":                                                                    "task definition book-app:3.",
		"image 000000000000.dkr.ecr.us-east-1.amazonaws.com/book/app@sha256:3c5f5d077da2b48e9b0beffc8063c1b9efa299d6bdc7df07afb5a722d4705c87 can't be read": "image 000000000000.dkr.ecr.us-east-1.amazonaws.com/book/app@sha256:3c5f5d077da2 can't be read",
	} {
		if got := shortenIDs(long); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
