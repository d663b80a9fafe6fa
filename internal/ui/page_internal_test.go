package ui

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/bookctl/bookctl/internal/diagnosis"
)

func TestTheTailKeepsTheLastLinesAndSaysWhatIsMissed(t *testing.T) {
	t.Parallel()
	lines := func(from, n int) (out []shownLine) {
		for i := range n {
			out = append(out, shownLine{Text: fmt.Sprint(from + i)})
		}
		return out
	}
	var x tail
	x.restart()
	x.add(lines(0, 10), 0)
	all, at, missed, anew := x.since(position{})
	if len(all) != 10 || missed != 0 || !anew || at != (position{1, 10}) {
		t.Errorf("at first: %d lines, %v, missed %d, anew %t", len(all), at, missed, anew)
	}
	x.add(lines(10, 5), 0)
	if got, next, missed, anew := x.since(at); len(got) != 5 || got[0].Text != "10" || missed != 0 || anew || next.next != 15 {
		t.Errorf("then: %v, %v, missed %d, anew %t", got, next, missed, anew)
	}
	x.add(lines(15, 2*keptLines), 0)
	if got, _, missed, _ := x.since(at); len(got) != keptLines || missed != keptLines+5 || got[len(got)-1].Text != fmt.Sprint(2*keptLines+14) {
		t.Errorf("behind: %d lines, missed %d", len(got), missed)
	}
	_, at, _, _ = x.since(at)
	x.add(lines(0, 3), 40)
	if got, _, missed, anew := x.since(at); len(got) != 3 || missed != 40 || anew {
		t.Errorf("of lines that nobody kept: %d lines, missed %d, anew %t", len(got), missed, anew)
	}
	x.restart()
	x.add(lines(0, 3), 0)
	if got, _, _, anew := x.since(at); len(got) != 3 || !anew {
		t.Errorf("read anew: %d lines, anew %t", len(got), anew)
	}
	if got, _, _, _ := x.since(position{2, 99}); len(got) != 0 {
		t.Errorf("a position that is not there yet has %v", got)
	}
}

func TestALineIsShownWithoutControlCharactersAndNoLongerThanIsRead(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]string{
		"\x1b[1;31mred\x1b[0m\tand \x1b]8;;http://evil\x07link\x1b]8;;\x07": "red\tand link",
		"a\x00b\rc\x7f": "abc",
		"plain é ✓":     "plain é ✓",
	} {
		if got := shown(Line{Text: said}).Text; got != want {
			t.Errorf("%q is shown as %q, want %q", said, got, want)
		}
	}
	if got := shown(Line{Text: strings.Repeat("é", longestLine)}).Text; len(got) > longestLine+3 || !strings.HasSuffix(got, "é…") {
		t.Errorf("a long line has %d bytes and ends in %q", len(got), got[len(got)-6:])
	}
}

func TestBarsAreWhereTheirTimesAre(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	before := func(d time.Duration) time.Time { return now.Add(-d) }
	s := Stack{
		Deployments: []diagnosis.Deployment{{Revision: "book:2", Status: "PRIMARY", Rollout: "IN_PROGRESS", Created: before(5 * time.Minute)}},
		Tasks:       []diagnosis.Task{{Revision: "book:2", Started: before(4 * time.Minute)}},
		Stopped:     []diagnosis.Task{{Revision: "book:1", Started: before(8 * time.Minute), Stopped: before(2 * time.Minute), Reason: "Essential container in task exited"}},
	}
	a := axisOf(s, now)
	if a.title() != "Last 10 minutes" {
		t.Errorf("the axis is %s", a.title())
	}
	for _, c := range []struct {
		name, have string
		want       []string
	}{
		{"the deployment", string(a.ofDeployment(s.Deployments[0])), []string{`class="bar new"`, `x="50.00%"`, `width="50.00%"`, `x1="50.00%"`}},
		{"the task", string(a.ofTask(s.Tasks[0], "book:2")), []string{`class="bar new"`, `x="60.00%"`, `width="40.00%"`}},
		{"the one that died", string(a.ofTask(s.Stopped[0], "book:2")), []string{`class="bar dead"`, `x="20.00%"`, `width="60.00%"`, "✕"}},
	} {
		for _, want := range c.want {
			if !strings.Contains(c.have, want) {
				t.Errorf("%s lacks %s: %s", c.name, want, c.have)
			}
		}
	}
	s.Tasks = append(s.Tasks, diagnosis.Task{Revision: "book:1", Started: before(50 * time.Hour)})
	if got := axisOf(s, now).title(); got != "Last 10 minutes" {
		t.Errorf("with a task of the day before yesterday the axis is %s", got)
	}
	if got := axisOf(Stack{Tasks: s.Tasks[1:]}, now).title(); got != "Last 60 minutes" {
		t.Errorf("with that one alone it is %s", got)
	}
	old := a.ofTask(diagnosis.Task{Revision: "book:1", Started: before(30 * time.Hour), Stopped: before(time.Minute), Reason: "Scaling activity initiated by (deployment ecs-svc/1)"}, "book:2")
	if !strings.Contains(string(old), `class="bar old"`) || !strings.Contains(string(old), `x="0.00%"`) || strings.Contains(string(old), "✕") {
		t.Errorf("one that was replaced is %s", old)
	}
	if pending := string(a.ofTask(diagnosis.Task{Revision: "book:2"}, "book:2")); strings.Contains(pending, "<rect") {
		t.Errorf("one that has not started has a bar: %s", pending)
	}
}

func TestWordsThatNobodyKnewAreShownAllTheSame(t *testing.T) {
	t.Parallel()
	s := Stack{
		Name: "demo", Summary: "resting", Rows: []Row{{Name: "Moon", Texts: []string{"full", "see 'bookctl moon --stack demo'"}}},
		Deployments: []diagnosis.Deployment{{Revision: "book:2", Status: "PRIMARY", Rollout: "BAKING_TIME"}},
		Targets:     []diagnosis.Target{{Address: "10.0.0.5:80", Health: "unhealthy.draining"}},
	}
	var all strings.Builder
	for _, p := range (view{stack: &s, read: time.Now()}).sections() {
		all.WriteString(string(p.contents))
	}
	for _, want := range []string{"<dt>Moon</dt><dd>full</dd><dd>see <code>bookctl moon --stack demo</code></dd>", "baking time", "unhealthy.draining", "resting"} {
		if !strings.Contains(all.String(), want) {
			t.Errorf("%s is not in\n%s", want, &all)
		}
	}
}

// written is a source of which the logs may fail.
type written struct {
	Source

	err     error
	anew    bool // the last read started over
	limited bool
}

func (w *written) Lines(ctx context.Context, anew *time.Time, each func(Line)) error {
	_, w.limited = ctx.Deadline()
	if w.anew = anew != nil; w.err == nil {
		each(Line{Time: time.Now(), Text: "a line"})
	}
	return w.err
}

// TestAfterALongOutageTheLogsAreReadAnew has reads of the logs fail for an hour: there may be
// millions of lines in between. What the page shows stays meanwhile.
func TestAfterALongOutageTheLogsAreReadAnew(t *testing.T) {
	t.Parallel()
	s := &written{}
	w := newWatcher(s, 0)
	read := func(anew bool, shown int) {
		t.Helper()
		w.readLines(t.Context())
		if got := w.since(position{}); s.anew != anew || len(got.lines) != shown || !s.limited {
			t.Errorf("with %v: read anew %t, want %t; %d lines are shown, want %d; with a limit %t", s.err, s.anew, anew, len(got.lines), shown, s.limited)
		}
	}
	read(true, 1)
	read(false, 2)
	s.err = errors.New("no network")
	read(false, 2)
	w.read = w.read.Add(-time.Hour)
	read(true, 2)
	s.err = nil
	read(true, 1)
	read(false, 2)
	if w.read != w.read.Round(0) || w.tried != w.tried.Round(0) {
		t.Error("the times stand still while the machine sleeps")
	}
}
