package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/bookctl/bookctl/internal/provision/graph"
)

// reporter tells what happens while a run goes on. Its methods are never called
// at once.
type reporter interface {
	// note is a line of its own: where the run is, what it found.
	note(format string, args ...any)
	event(graph.Event)
	// close ends the report; nothing is shown afterwards.
	close()
}

func newReporter(s streams, g *globals) reporter {
	switch {
	case g.output == "json":
		return &jsonLines{out: json.NewEncoder(s.out)}
	case g.quiet:
		return silent{}
	}
	return &lines{w: s.err, now: time.Now}
}

type silent struct{}

func (silent) note(string, ...any) {}
func (silent) event(graph.Event)   {}
func (silent) close()              {}

// lines is the report where there is no terminal: a line per event, with the
// time of day and without control codes.
type lines struct {
	w   io.Writer
	now func() time.Time
}

func (l *lines) print(at time.Time, text string) {
	fmt.Fprintf(l.w, "%s %s\n", at.Format(time.TimeOnly), text)
}

func (l *lines) note(format string, args ...any) { l.print(l.now(), fmt.Sprintf(format, args...)) }

func (l *lines) event(e graph.Event) {
	if text := describeEvent(e); text != "" {
		l.print(e.Time, fmt.Sprintf("%-24s %s", e.Node, text))
	}
}

func (l *lines) close() {}

// describeEvent is an event in words, or "" for one that says nothing new.
func describeEvent(e graph.Event) string {
	took := ""
	if e.Elapsed >= 100*time.Millisecond {
		took = " in " + rounded(e.Elapsed)
	}
	switch e.Kind {
	case graph.Unchanged:
		return ""
	case graph.Updating:
		return "updating " + changesText(e.Changes)
	case graph.Waiting:
		if e.Note == "" {
			return ""
		}
		return "waiting: " + e.Note
	case graph.Done:
		return "done" + took
	case graph.Failed:
		return "failed: " + e.Err.Error()
	case graph.Skipped:
		return "skipped, since " + e.Note + " failed"
	}
	return string(e.Kind)
}

func changesText(changes []graph.Change) string {
	parts := make([]string, len(changes))
	for i, c := range changes {
		parts[i] = c.String()
	}
	return strings.Join(parts, "; ")
}

// rounded is a duration as people say it: 340ms, 4.2s, 3m10s.
func rounded(d time.Duration) string {
	switch {
	case d < time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

// jsonLines is the report for programs: a JSON object per line on stdout.
type jsonLines struct{ out *json.Encoder }

func (j *jsonLines) note(format string, args ...any) {
	j.encode(map[string]any{"type": "note", "time": time.Now().UTC(), "text": fmt.Sprintf(format, args...)})
}

func (j *jsonLines) event(e graph.Event) {
	v := map[string]any{"type": "event", "time": e.Time.UTC(), "resource": e.Node, "kind": e.Kind, "elapsedSeconds": e.Elapsed.Seconds()}
	if e.ID != "" {
		v["id"] = e.ID
	}
	if e.Note != "" {
		v["note"] = e.Note
	}
	if len(e.Changes) > 0 {
		v["changes"] = e.Changes
	}
	if e.Err != nil {
		v["error"] = e.Err.Error()
	}
	j.encode(v)
}

func (j *jsonLines) encode(v map[string]any) {
	v["schema"] = schema
	_ = j.out.Encode(v) // a closed pipe has nobody to tell
}

func (j *jsonLines) close() {}
