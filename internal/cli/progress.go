package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bookctl/bookctl/internal/provision"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// progress is the state of a run: what is in progress, what has ended, and how long the
// rest usually takes.
type progress struct {
	// usual reports whether AWS's typical durations apply here.
	usual    bool
	forecast *graph.Forecast
	total    int
	begun    time.Time
	active   []*activity // in the order in which they began
	created  map[string]bool
	over     map[string]bool
	counts   map[string]int // how the others ended, by outcome
}

// activity is a step in progress on a resource.
type activity struct {
	name  string
	doing string // "creating", "updating", "deleting" or "waiting for"
	note  string // AWS's own words
	begun time.Time
	usual time.Duration // zero where it is not known
}

func (p *progress) begin(resources []provision.Resource, now time.Time) {
	p.total, p.begun, p.active = len(resources), now, nil
	p.created, p.over, p.counts = map[string]bool{}, map[string]bool{}, map[string]int{}
	p.forecast = nil
	if p.usual {
		p.forecast = graph.NewForecast(resources, now)
	}
}

func (p *progress) add(e graph.Event) {
	if p.counts == nil {
		p.begin(nil, e.Time)
	}
	if p.forecast != nil {
		p.forecast.Add(e)
	}
	switch e.Kind {
	case graph.Creating:
		p.created[e.Node] = true
		p.at(e).doing, p.at(e).note = "creating", ""
	case graph.Updating:
		if a := p.at(e); a.doing != "creating" {
			a.doing, a.note = "updating", ""
		}
	case graph.Deleting:
		p.at(e).doing, p.at(e).note = "deleting", ""
	case graph.Waiting:
		p.at(e).note = e.Note
	case graph.Done, graph.Unchanged, graph.Failed, graph.Skipped, graph.Stopped:
		p.counts[p.endOf(e)]++
		p.over[e.Node] = true
		p.active = slices.DeleteFunc(p.active, func(a *activity) bool { return a.name == e.Node })
	}
}

// endOf is how a step ended, in one word.
func (p *progress) endOf(e graph.Event) string {
	switch a := p.find(e.Node); {
	case e.Kind == graph.Failed:
		return "failed"
	case e.Kind == graph.Skipped && e.Note == "":
		return "not started"
	case e.Kind == graph.Skipped:
		return "skipped"
	case e.Kind == graph.Stopped:
		return "under way"
	case e.Kind == graph.Unchanged:
		return "unchanged"
	case p.created[e.Node]:
		return "created"
	case a != nil && a.doing == "deleting":
		return "deleted"
	}
	return "updated"
}

func (p *progress) find(name string) *activity {
	for _, a := range p.active {
		if a.name == name {
			return a
		}
	}
	return nil
}

// at returns the activity of an event, and begins it with the first one.
func (p *progress) at(e graph.Event) *activity {
	if a := p.find(e.Node); a != nil {
		return a
	}
	a := &activity{name: e.Node, doing: "waiting for", begun: e.Time.Add(-e.Elapsed)}
	if p.forecast != nil && e.Kind != graph.Deleting {
		a.usual = p.forecast.Usual(e.Node)
	}
	p.active = append(p.active, a)
	return a
}

// outcomes counts the ended steps, in words: "19 created, 2 unchanged".
func (p *progress) outcomes() string {
	var parts []string
	for _, outcome := range []string{"created", "updated", "deleted", "unchanged", "failed", "skipped", "under way", "not started"} {
		if n := p.counts[outcome]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, outcome))
		}
	}
	return strings.Join(parts, ", ")
}

// whole formats the progress of the run: "24 of 31, 3m10s of about 6m".
func (p *progress) whole(now time.Time) string {
	if len(p.over)+len(p.active) == 0 {
		return "looking at what is there, " + minutes(now.Sub(p.begun))
	}
	text := fmt.Sprintf("%d of %d, %s", len(p.over), max(p.total, len(p.over)), minutes(now.Sub(p.begun)))
	if p.forecast == nil {
		return text
	}
	if total := p.forecast.Total(now); total > 0 {
		// A forecast to the second would be more exact than what is known.
		text += " of about " + minutes((total + 29*time.Second).Truncate(30*time.Second))
	}
	return text
}

// longest is the resources in progress, the one that is likely to end last first.
func (p *progress) longest() []*activity {
	out := slices.Clone(p.active)
	slices.SortStableFunc(out, func(a, b *activity) int { return b.begun.Add(b.usual).Compare(a.begun.Add(a.usual)) })
	return out
}

// heartbeat returns what a run is waiting for, or "" when it is for nothing.
func (p *progress) heartbeat(now time.Time) string {
	active := p.longest()
	if len(active) == 0 {
		return ""
	}
	first := active[0]
	text := capital(first.doing) + " " + first.name + ", " + minutes(now.Sub(first.begun)) + usually(first.usual)
	if first.note != "" {
		text += ": " + first.note
	}
	if others := active[1:]; len(others) > 0 {
		names := make([]string, len(others))
		for i, a := range others {
			names[i] = a.name
		}
		text += fmt.Sprintf("; %s in progress", listed(names))
	}
	return fmt.Sprintf("%s. %s.", text, p.whole(now))
}

// longestNews is the longest text of AWS in a line of the report. Failures are printed in
// full at the end.
const longestNews = 160

// failure is an error without the resource's name, for a line that names it already.
func failure(err error) string {
	var of *graph.Error
	if errors.As(err, &of) {
		err = of.Err
	}
	return shorten(shortenIDs(strings.TrimPrefix(firstLine(err.Error()), graph.ErrUnrecoverable.Error()+": ")), longestNews)
}

// describe is an event in words, or "" for one without news.
func (p *progress) describe(e graph.Event) string {
	took := ""
	if e.Elapsed >= 100*time.Millisecond {
		took = rounded(e.Elapsed)
	}
	switch e.Kind {
	case graph.Creating:
		if a := p.find(e.Node); a != nil {
			return "creating" + usually(a.usual)
		}
		return "creating"
	case graph.Updating:
		if p.created[e.Node] { // all that a new thing lacks, which is no drift
			return ""
		}
		return "updating " + changesText(e.Changes)
	case graph.Deleting:
		return "deleting"
	case graph.Waiting:
		if e.Note == "" || e.Progress { // which the heartbeat shows
			return ""
		}
		return "waiting: " + shorten(e.Note, longestNews)
	case graph.Done:
		return "done" + wrapIfAny(" in ", took, "")
	case graph.Failed:
		return "failed: " + failure(e.Err)
	case graph.Skipped: // by the end of the run; lines reports the others in one
		return "not started"
	case graph.Stopped:
		return "stopped in progress" + wrapIfAny(" after ", took, "") + wrapIfAny(": ", e.Note, "")
	}
	return ""
}
