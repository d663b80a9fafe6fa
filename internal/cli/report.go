package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/bookctl/bookctl/internal/provision"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// reporter reports what happens during a run.
type reporter interface {
	// note prints a line of its own, such as where the run works.
	note(format string, args ...any)
	// build reports the build of the image.
	build(build)
	// begin is called first, with the resources that the events that follow are of.
	begin(resources []provision.Resource)
	event(graph.Event)
	// close ends the report; nothing is shown afterwards. It may be called twice.
	close()
}

// stopping is printed by a run that is interrupted, since it does not end at once: if a
// call is cut off in flight, its result is unknown.
func stopping(ctx context.Context) string {
	if errors.Is(context.Cause(ctx), errInterrupted) {
		return "interrupted: the calls in flight are finished first; Ctrl-C again leaves at once"
	}
	return "out of time: calls that are in flight are finished first"
}

// newReporter chooses how a run is reported: as JSON, not at all, live on a terminal, or
// line by line. It reports the end of ctx too.
func newReporter(ctx context.Context, s streams, g *globals) reporter {
	s.interrupts.outliveReaders()
	w := hintReporter{chooseReporter(ctx, s, g), g}
	g.answerGuard.Slow = unanswered(w.note)
	if _, drawn := w.reporter.(*liveReporter); drawn {
		note := w.reporter.note
		g.printAboveView.Store(&note)
	}
	return w
}

// hintReporter is a report with the hints and ids of this run: commands act on the run's stack,
// and ids are shortened.
type hintReporter struct {
	reporter
	g *globals
}

func (w hintReporter) note(format string, args ...any) {
	w.reporter.note("%s", w.g.format(format, args...))
}

func (w hintReporter) close() {
	w.g.printAboveView.Store(nil)
	w.reporter.close()
}

func (w hintReporter) event(e graph.Event) {
	if e.Changes = w.g.withHints(e.Changes); w.g.output != "json" {
		e.Note = shortenIDs(e.Note)
	}
	w.reporter.event(e)
}

func chooseReporter(ctx context.Context, s streams, g *globals) reporter {
	p := progress{usual: !g.local} // here things take no time that AWS's figures could foretell
	switch {
	case g.output == "json":
		return &jsonReporter{out: json.NewEncoder(s.out)}
	case g.quiet:
		return silentReporter{}
	case isTerminal(s.err) && os.Getenv("TERM") != "dumb" && !g.verbose: // a trace would tear the live view apart
		return newLiveReporter(ctx, s.err.(*os.File), p, !g.noColor && os.Getenv("NO_COLOR") == "")
	}
	return newLineReporter(ctx, s.err, p)
}

type silentReporter struct{}

func (silentReporter) note(string, ...any)        {}
func (silentReporter) build(build)                {}
func (silentReporter) begin([]provision.Resource) {}
func (silentReporter) event(graph.Event)          {}
func (silentReporter) close()                     {}

// lineReporter is the report without a terminal: a line for each event, with the time of day and
// without control codes. While nothing happens it prints from time to time what is being
// waited for, so that a log never looks hung.
type lineReporter struct {
	w   io.Writer
	now func() time.Time
	// every is the longest time without a line.
	every time.Duration

	mu       sync.Mutex
	progress progress
	last     time.Time // when the last line was printed
	skipped  []string  // what never began, since what it needs failed
	closed   bool
	stop     []func()
}

func newLineReporter(ctx context.Context, w io.Writer, p progress) *lineReporter {
	l := &lineReporter{w: w, now: time.Now, every: 30 * time.Second, progress: p}
	unwatch := context.AfterFunc(ctx, func() { l.note("%s", stopping(ctx)) })
	l.stop = append(l.stop, func() { unwatch() })
	return l
}

func (l *lineReporter) print(at time.Time, text string) {
	if l.closed {
		return
	}
	l.last = at
	fmt.Fprintf(l.w, "%s %s\n", at.Format(time.TimeOnly), text)
}

func (l *lineReporter) note(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.print(l.now(), fmt.Sprintf(format, args...))
}

func (l *lineReporter) build(b build) { l.note("%s", b) }

func (l *lineReporter) begin(resources []provision.Resource) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.progress.begin(resources, l.now())
	tick := time.NewTicker(l.every / 10)
	done := make(chan struct{})
	l.stop = append(l.stop, sync.OnceFunc(func() { tick.Stop(); close(done) }))
	graph.Start(func() error {
		for {
			select {
			case <-done:
				return nil
			case <-tick.C:
				l.beat()
			}
		}
	})
}

// beat prints what is being waited for, if nothing was printed for long enough.
func (l *lineReporter) beat() {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if text := l.progress.heartbeat(now); text != "" && now.Sub(l.last) >= l.every {
		l.print(now, text)
	}
}

func (l *lineReporter) event(e graph.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.progress.add(e)
	if e.Kind == graph.Skipped && e.Note != "" { // printed at the end, all in one
		l.skipped = append(l.skipped, e.Node)
		return
	}
	if text := l.progress.describe(e); text != "" {
		l.print(e.Time, fmt.Sprintf("%-24s %s", e.Node, text))
	}
}

func (l *lineReporter) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.skipped != nil {
		l.print(l.now(), "not begun, since something that they need failed: "+strings.Join(l.skipped, ", "))
		l.skipped = nil
	}
	l.closed = true
	for _, stop := range l.stop {
		stop()
	}
}

// jsonReporter is the report for programs: a JSON object per line on stdout.
type jsonReporter struct {
	out   *json.Encoder
	total int

	mu     sync.Mutex // the build is reported while the run goes on
	closed bool
}

func (j *jsonReporter) note(format string, args ...any) {
	j.encode(noteDocument{headOf("note"), time.Now().UTC(), fmt.Sprintf(format, args...)})
}

func (j *jsonReporter) build(b build) {
	v := buildDocument{head: headOf("build"), Time: time.Now().UTC(), State: b.state, Arch: b.arch, Digest: b.digest}
	if b.state != "begun" {
		took := b.took.Seconds()
		v.Seconds = &took
	}
	if b.err != nil {
		v.Error = b.err.Error()
	}
	j.encode(v)
}

func (j *jsonReporter) begin(resources []provision.Resource) { j.total = len(resources) }

func (j *jsonReporter) event(e graph.Event) {
	v := eventDocument{
		head: headOf("event"), Time: e.Time.UTC(), Resource: e.Node, Resources: j.total, Kind: e.Kind, ElapsedSeconds: e.Elapsed.Seconds(),
		ID: e.ID, Note: e.Note, Changes: e.Changes,
	}
	if e.Err != nil {
		v.Error = e.Err.Error()
	}
	j.encode(v)
}

func (j *jsonReporter) encode(document any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return
	}
	_ = j.out.Encode(document) // a closed pipe has no reader
}

func (j *jsonReporter) close() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.closed = true
}

// changesText describes changes: in full if that is short, otherwise by kind, because a
// group with a dozen rules would fill a screen.
func changesText(changes []graph.Change) string {
	var (
		full, kinds []string
		count       = map[string]int{}
		several     = map[string]bool{} // the kinds that are counted
		long        = len(changes) > 3
	)
	for _, c := range changes {
		full = append(full, c.String())
		// A field such as "rule missing: tcp 80 from …" is one of many.
		kind, _, many := strings.Cut(c.Field, ": ")
		long, several[kind] = long || many, many
		if count[kind]++; count[kind] == 1 {
			kinds = append(kinds, kind)
		}
	}
	if text := strings.Join(full, "; "); !long && len(text) <= 120 {
		return text
	}
	for i, kind := range kinds {
		if n := count[kind]; n > 1 {
			first, rest, _ := strings.Cut(kind, " ")
			kinds[i] = strings.TrimSpace(fmt.Sprintf("%d %ss %s", n, first, rest))
		} else if several[kind] {
			kinds[i] = "1 " + kind
		}
	}
	return strings.Join(kinds, ", ")
}
