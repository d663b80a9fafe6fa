package ui

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bookctl/bookctl/internal/diagnosis"
	"github.com/bookctl/bookctl/internal/pattern"
	"github.com/bookctl/bookctl/internal/picture"
	"github.com/bookctl/bookctl/internal/pricing"
	"github.com/bookctl/bookctl/internal/sorted"
)

// view is what there is to show: how the stack was when it was last read, and why it
// could not be read since.
type view struct {
	// stack is nil before it was read once.
	stack *Stack
	read  time.Time
	// failure is nil when the last look went well; failing is since when they don't.
	failure *Failure
	failing time.Time
	// silent is the reason why the logs can't be read, or is empty.
	silent Failure
	// every is the time between looks.
	every time.Duration
}

// section is a part of the page that is put in again when it changes. One without
// contents is not shown.
type section struct {
	id       string
	contents markup
}

const (
	mostEvents  = 40
	mostStopped = 20
)

// sections are all of the page but its logs.
func (v view) sections() []section {
	s := cmp.Or(v.stack, &Stack{Summary: "not read yet", Mood: Quiet})
	a := axisOf(*s, v.read)
	out := []section{
		{"top", v.top(*s)},
		{"alert", v.alert()},
		{"news", v.news(*s)},
		{"problems", problems(*s)},
		{"overview", overview(*s)},
		{"cost", cost(*s)},
		{"resources", resources(*s)},
		{"deployments", deployments(*s, a)},
		{"tasks", tasks(*s, a)},
		{"balancer", balancer(*s)},
		{"events", events(*s)},
		{"silent", v.silence()},
	}
	return append(out, section{"index", index(out)})
}

// index leads to the sections that are shown.
func index(of []section) markup {
	var items markup
	for _, to := range []struct{ id, name markup }{
		{"overview", "Overview"}, {"cost", "Cost"}, {"resources", "Resources"}, {"deployments", "Deployments"}, {"tasks", "Tasks"}, {"balancer", "Load balancer"}, {"events", "Events"}, {"logs", "Logs"},
	} {
		i := slices.IndexFunc(of, func(s section) bool { return s.id == string(to.id) })
		if i < 0 || of[i].contents != "" {
			items += element("li", nil, element("a", with("href", "#"+string(to.id)), to.name))
		}
	}
	return element("ul", nil, items)
}

// title is the page's, as a tab shows it.
func (v view) title() string {
	switch {
	case v.stack == nil && v.failure == nil:
		return "bookctl"
	case v.stack == nil:
		return "can't be read · bookctl"
	case v.failure != nil:
		return v.stack.Name + ": can't be read · bookctl"
	}
	return v.stack.Name + ": " + v.stack.Summary + " · bookctl"
}

// summary is how the stack is, or how it was when it could be read.
func (v view) summary(s Stack) string {
	if v.stack != nil && v.failure != nil {
		return s.Summary + " when last read"
	}
	return s.Summary
}

func (v view) top(s Stack) markup {
	looks := moodLooks[s.Mood]
	if v.failure != nil {
		looks = "quiet"
	}
	out := element("h1", nil, "Stack ", element("span", class("stack"), text(s.Name)), " ", chip(v.summary(s), looks))
	out += element("p", class("place"), text(s.Place))
	if s.Lock != nil {
		out += element("p", nil, chip("at work", "busy"), " ", text(s.Lock.Holder), ", since ", moment(s.Lock.Since, v.read))
	}
	if !v.read.IsZero() {
		out += element("p", class("read"), "Read ", element("time", with("id", "read", "class", "age", "datetime", stamp(v.read), "data-every", fmt.Sprint(v.every.Seconds())), text(clock(v.read))))
	}
	return out
}

// alert shows that what is shown is old, and why.
func (v view) alert() markup {
	if v.failure == nil {
		return ""
	}
	out := element("h2", nil, "The stack can't be read") + element("p", nil, prose(v.failure.Text))
	if v.failure.Next != "" {
		out += element("p", nil, element("strong", nil, "next:"), " ", prose(v.failure.Next))
	}
	old := markup("Nothing was read yet.")
	if v.stack != nil {
		old = "What is below is how it was at " + element("time", with("datetime", stamp(v.read)), text(clock(v.read))) + "."
	}
	return out + element("p", class("muted"), "Since ", element("time", with("datetime", stamp(v.failing)), text(clock(v.failing))), ". ", old,
		text(fmt.Sprintf(" This page tries again every %s.", v.every)))
}

// news is what a screen reader says when it changes.
func (v view) news(s Stack) markup {
	if v.stack == nil {
		return ""
	}
	out := fmt.Sprintf("Stack %s: %s", s.Name, v.summary(s))
	if n := len(s.Problems); n > 0 {
		out += ", " + counted(n, "problem")
	}
	if s.Lock != nil {
		out += ", a run is at work"
	}
	for _, d := range s.Deployments {
		if d.Status == "PRIMARY" {
			out += ", release " + d.Revision + " " + words(d.Rollout)
		}
	}
	return text(out)
}

func problems(s Stack) markup {
	if len(s.Problems) == 0 && s.Next == "" {
		return ""
	}
	out := heading("problems", cmp.Or(map[bool]string{true: "What is wrong"}[len(s.Problems) > 0], "What to do"))
	if len(s.Problems) > 0 {
		var items markup
		for _, p := range s.Problems {
			items += element("li", nil, prose(p))
		}
		out += element("ul", nil, items)
	}
	if s.Next != "" {
		out += element("p", nil, element("strong", nil, "next:"), " ", prose(s.Next))
	}
	return out
}

// tabled are the rows that have a table of their own.
var tabled = []string{"Tasks", "Targets", "Events", "Locked"}

func overview(s Stack) markup {
	var rows markup
	for _, r := range s.Rows {
		if slices.Contains(tabled, r.Name) {
			continue
		}
		rows += element("dt", nil, text(r.Name))
		for _, t := range r.Texts {
			rows += element("dd", nil, linked(t, s.URL))
		}
	}
	if rows == "" {
		return ""
	}
	return heading("overview", "Overview") + element("dl", nil, rows)
}

// linked is a text in which the stack's URL, with which it begins, can be followed.
func linked(t, url string) markup {
	rest, is := strings.CutPrefix(t, url)
	if !is || !strings.HasPrefix(url, "http://") && !strings.HasPrefix(url, "https://") {
		return prose(t)
	}
	return element("a", with("href", url, "rel", "noreferrer"), text(url)) + prose(rest)
}

func cost(s Stack) markup {
	if len(s.Costs) == 0 && s.CostNote == "" {
		return ""
	}
	out := heading("cost", "Cost")
	if s.CostNote != "" {
		out += element("p", class("muted"), prose(s.CostNote))
	}
	if len(s.Costs) == 0 {
		return out
	}
	var rows markup
	for _, l := range s.Costs {
		if l.Monthly > 0 {
			rows += element("tr", nil, element("th", with("scope", "row"), text(l.Item)), element("td", class("muted extra"), text(l.Note)), dollars(l.Monthly))
		}
	}
	head := element("tr", nil, column("Item"), element("th", with("scope", "col", "class", "extra"), "For"), element("th", with("scope", "col", "class", "number"), "A month"))
	foot := element("tr", nil, element("th", with("scope", "row"), "All"), element("td", class("extra")), dollars(pricing.Total(s.Costs)))
	return out + table("Cost by item", head, rows, element("tfoot", nil, foot))
}

func dollars(sum float64) markup {
	return element("td", class("number"), text(fmt.Sprintf("$%.2f", sum)))
}

// resources are drawn, and listed in a table for those who can't see the drawing.
func resources(s Stack) markup {
	if len(s.Parts) == 0 {
		return ""
	}
	count := map[string]int{}
	for _, p := range s.Parts {
		count[p.State]++
	}
	rank := func(state string) int { // what asks for attention comes first
		return slices.Index([]string{"ready", "absent", "deleting", "pending", "drifted"}, state)
	}
	states := make([]string, 0, len(count))
	for state := range count {
		states = append(states, state)
	}
	slices.SortFunc(states, func(a, b string) int { return cmp.Or(urgency(rank, a)-urgency(rank, b), strings.Compare(a, b)) })
	var chips markup
	var said []string
	for _, state := range states {
		chips += element("li", nil, chip(fmt.Sprintf("%d %s", count[state], state), partLooks(state)))
		said = append(said, fmt.Sprintf("%d %s", count[state], state))
	}
	var drawn bytes.Buffer
	label := fmt.Sprintf("Graph of the %d resources: %s. The table below has them all.", len(s.Parts), strings.Join(said, ", "))
	if err := picture.Inline(&drawn, label, s.Parts); err != nil {
		return "" // a buffer takes all
	}
	parts := slices.Clone(s.Parts)
	sorted.By(parts, func(a, b picture.Part) int { return urgency(rank, a.State) - urgency(rank, b.State) })
	var rows markup
	for _, p := range parts {
		note := p.Note
		if note == p.State {
			note = ""
		}
		rows += element("tr", nil, element("th", with("scope", "row"), text(p.Name)), element("td", nil, chip(p.State, partLooks(p.State))),
			element("td", nil, text(note)), element("td", class("muted extra"), text(strings.Join(p.Needs, ", "))))
	}
	head := element("tr", nil, column("Resource"), column("State"), column("Note"), element("th", with("scope", "col", "class", "extra"), "Needs"))
	return heading("resources", "Resources") + element("ul", class("chips"), chips) +
		scrolling("Graph of the resources", "graph", markup(drawn.String())) + // package picture escapes what it draws
		element("details", nil, element("summary", nil, text(fmt.Sprintf("All %d resources in a table", len(s.Parts)))), table("Resources", head, rows, ""))
}

// urgency orders states, of which those that nobody ranked come first.
func urgency(rank func(string) int, state string) int {
	if r := rank(state); r >= 0 {
		return 10 - r
	}
	return 0
}

func deployments(s Stack, a axis) markup {
	if len(s.Deployments) == 0 {
		return ""
	}
	var rows markup
	for _, d := range s.Deployments {
		state := chip(words(d.Rollout), looksOf(d.Rollout))
		if d.Rollout == "" {
			state = chip(words(d.Status), "plain")
		}
		if d.Reason != "" && d.Rollout != "COMPLETED" {
			state += element("p", class("muted"), text(d.Reason))
		}
		count := fmt.Sprintf("%d of %d running", d.Running, d.Desired)
		if d.Pending > 0 {
			count += fmt.Sprintf(", %d pending", d.Pending)
		}
		if d.Failed > 0 {
			count += fmt.Sprintf(", %d failed", d.Failed)
		}
		rows += element("tr", nil, element("th", with("scope", "row"), text(d.Revision)), element("td", nil, state), element("td", class("count"), text(count)),
			element("td", nil, moment(d.Created, a.to)), element("td", nil, moment(d.Updated, a.to)), element("td", class("time"), a.ofDeployment(d)))
	}
	head := element("tr", nil, column("Release"), column("State"), column("Tasks"), column("Began"), column("Changed"), element("th", with("scope", "col", "class", "time"), text(a.title())))
	return heading("deployments", "Deployments") + table("Deployments", head, rows, "")
}

func tasks(s Stack, a axis) markup {
	if len(s.Tasks)+len(s.Stopped) == 0 {
		return ""
	}
	newest := ""
	if len(s.Deployments) > 0 {
		newest = s.Deployments[0].Revision
	}
	var rows markup
	row := func(t diagnosis.Task) {
		state := chip(words(t.Status), looksOf(t.Status))
		if t.Stopped.IsZero() && t.Health != "" && t.Health != "UNKNOWN" {
			state += " " + chip(words(t.Health), looksOf(t.Health))
		}
		why := t.String()
		if t.Stopped.IsZero() && t.Reason == "" && t.ContainerReason == "" {
			why = ""
		}
		why = strings.TrimLeft(strings.TrimPrefix(why, "task "+t.ShortID()), ", ")
		if why != "" {
			state += element("p", class("muted"), text(why))
		}
		rows += element("tr", nil, element("th", with("scope", "row", "title", t.ID), text(t.ShortID())), element("td", class("release"), text(t.Revision)),
			element("td", nil, state), element("td", nil, moment(t.Started, a.to)), element("td", nil, moment(t.Stopped, a.to)), element("td", class("time"), a.ofTask(t, newest)))
	}
	for _, t := range s.Tasks {
		row(t)
	}
	for _, t := range s.Stopped[:min(mostStopped, len(s.Stopped))] {
		row(t)
	}
	head := element("tr", nil, column("Task"), column("Release"), column("State"), column("Started"), column("Stopped"), element("th", with("scope", "col", "class", "time"), text(a.title())))
	out := heading("tasks", "Tasks") + table("Tasks that run, and those that stopped within the last hour", head, rows, "")
	if more := len(s.Stopped) - mostStopped; more > 0 {
		out += element("p", class("muted"), text(counted(more, "more task")+" stopped within the last hour."))
	}
	return out
}

func balancer(s Stack) markup {
	if len(s.Targets) == 0 {
		return ""
	}
	var rows markup
	for _, t := range s.Targets {
		why := cmp.Or(t.Description, t.Reason)
		rows += element("tr", nil, element("th", with("scope", "row"), text(t.Address)), element("td", nil, chip(words(t.Health), looksOf(t.Health))), element("td", class("muted"), text(why)))
	}
	return heading("balancer", "Load balancer") + table("What the load balancer thinks of the tasks", element("tr", nil, column("Target"), column("Health"), column("Why")), rows, "")
}

func events(s Stack) markup {
	if len(s.Events) == 0 {
		return ""
	}
	var items markup
	for _, e := range s.Events[:min(mostEvents, len(s.Events))] {
		items += element("li", nil, element("time", with("datetime", stamp(e.Time)), text(clockOn(e.Time, time.Now()))), " ", text(e.Message))
	}
	return heading("events", "Events") + scrolling("Events of the service", "events", element("ol", nil, items))
}

func (v view) silence() markup {
	if v.silent == (Failure{}) {
		return ""
	}
	out := "The logs can't be read: " + prose(v.silent.Text)
	if v.silent.Next != "" {
		out += " " + element("strong", nil, "next:") + " " + prose(v.silent.Next)
	}
	return out
}

// heading is a section's; its id is what the section is labelled by.
func heading(id, title string) markup { return element("h2", with("id", "of-"+id), text(title)) }

func column(name markup) markup { return element("th", with("scope", "col"), name) }

// table has a caption for those who go from table to table. It can be scrolled where it
// is wider than the page.
func table(caption markup, head, rows, foot markup) markup {
	return scrolling(string(caption), "table", element("table", nil, element("caption", nil, caption), element("thead", nil, head), element("tbody", nil, rows), foot))
}

// scrolling is a region that the keyboard can scroll.
func scrolling(label, looks string, contents markup) markup {
	return element("div", with("class", "scroll "+looks, "role", "group", "aria-label", label, "tabindex", "0"), contents)
}

// chip is a word that stands out. Its sign says the same as its colour.
func chip(word, looks string) markup {
	sign := map[string]markup{"good": "✓", "busy": "…", "warn": "≠", "bad": "✕", "quiet": "○"}[looks]
	if sign != "" {
		sign = element("span", with("aria-hidden", "true"), sign) + " "
	}
	return element("span", class("chip "+looks), sign, text(word))
}

var moodLooks = map[Mood]string{Good: "good", Bad: "bad", Quiet: "quiet"}

// partLooks is what a resource's state looks like.
func partLooks(state string) string {
	switch state {
	case "ready":
		return "good"
	case "drifted":
		return "warn"
	case "pending", "deleting":
		return "busy"
	case "absent":
		return "quiet"
	}
	return "bad"
}

// looksOf is what a word of AWS looks like. One that is not known has no colour.
func looksOf(word string) string {
	switch strings.ToUpper(word) {
	case "HEALTHY", "RUNNING", "COMPLETED":
		return "good"
	case "UNHEALTHY", "FAILED", "UNAVAILABLE":
		return "bad"
	case "IN_PROGRESS", "PROVISIONING", "PENDING", "ACTIVATING", "DEACTIVATING", "STOPPING", "DEPROVISIONING", "INITIAL", "DRAINING":
		return "busy"
	case "STOPPED", "UNUSED":
		return "quiet"
	}
	return "plain"
}

// words is a word of AWS as people read it.
func words(state string) string { return strings.ToLower(strings.ReplaceAll(state, "_", " ")) }

func counted(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

var command = pattern.New(`'(?:bookctl|aws) [^']+'`)

// prose is text whose commands are set apart.
func prose(s string) markup {
	var out markup
	for {
		at := command.FindStringIndex(s)
		if at == nil {
			return out + text(s)
		}
		out += text(s[:at[0]]) + element("code", nil, text(s[at[0]+1:at[1]-1]))
		s = s[at[1]:]
	}
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

func clock(t time.Time) string { return t.UTC().Format("15:04:05Z") }

// clockOn has the date too, unless that is the same.
func clockOn(t, today time.Time) string {
	if t.UTC().Format(time.DateOnly) == today.UTC().Format(time.DateOnly) {
		return clock(t)
	}
	return t.UTC().Format("2006-01-02 15:04Z")
}

// moment is a time that the script turns into how long ago it is.
func moment(t, now time.Time) markup {
	if t.IsZero() {
		return element("span", class("muted"), "–")
	}
	return element("time", with("class", "age", "datetime", stamp(t)), text(clockOn(t, now)))
}
