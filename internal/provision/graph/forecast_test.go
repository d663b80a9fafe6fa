package graph_test

import (
	"testing"
	"time"

	"github.com/bookctl/bookctl/internal/provision/graph"
)

// slow is a thing that usually takes a while.
type slow struct {
	*thing
	usual time.Duration
}

func (s slow) Expect() time.Duration { return s.usual }

func TestTheForecastFollowsTheLongestChainAndWhatHasHappened(t *testing.T) {
	t.Parallel()
	w := newWorld()
	net := w.thing("net")
	db := slow{w.thing("db", net), 5 * time.Minute}
	lb := slow{w.thing("lb", net), 3 * time.Minute}
	listener := w.thing("listener", graph.OnceCreated(lb))
	service := slow{w.thing("service", db, listener), time.Minute}
	zero := time.Unix(0, 0)
	f := graph.NewForecast([]graph.Finder{net, db, lb, listener, service}, zero)
	at := func(s int) time.Time { return zero.Add(time.Duration(s) * time.Second) }
	for _, step := range []struct {
		what  string
		event graph.Event
		now   int
		want  time.Duration
	}{
		{"nothing is known yet", graph.Event{}, 1, 0},
		{"what stands on the network will change too", graph.Event{Node: "net", Kind: graph.Creating, Time: at(1)}, 1, 6*time.Minute + time.Second},
		{"the network took ten seconds", graph.Event{Node: "net", Kind: graph.Done, Time: at(10), Elapsed: 10 * time.Second}, 10, 6*time.Minute + 10*time.Second},
		{"the database is under way", graph.Event{Node: "db", Kind: graph.Creating, Time: at(10)}, 20, 6*time.Minute + 10*time.Second},
		{"it takes longer than usual", graph.Event{}, 400, 460 * time.Second},
		{"it is done", graph.Event{Node: "db", Kind: graph.Done, Time: at(410)}, 410, 470 * time.Second},
		{"the service failed at once; the load balancer is still due", graph.Event{Node: "service", Kind: graph.Failed, Time: at(411)}, 411, 411 * time.Second},
	} {
		f.Add(step.event)
		if got := f.Total(at(step.now)); got != step.want {
			t.Errorf("%s: %s, want %s", step.what, got, step.want)
		}
	}
	if f.Usual("db") != 5*time.Minute || f.Usual("net") != 0 {
		t.Errorf("usual: db %s, net %s", f.Usual("db"), f.Usual("net"))
	}
}
