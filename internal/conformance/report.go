package conformance

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/bookctl/bookctl/internal/pattern"
)

// Report has the steps of a run and the responses of the endpoint.
type Report struct {
	// Where names the endpoint and the region. Version is that of bookctl.
	Where, Version string
	Stack          string
	Began          time.Time
	Took           time.Duration
	Steps          []Step
	// Left is what the inventory found at the end, and Unlisted what it could not list.
	Left, Unlisted []string

	calls    map[string]*callStats
	errors   map[string]int      // by call, code and message
	statuses map[string][]string // by resource, in order, with the time of each
}

// callStats are the calls of one operation.
type callStats struct {
	count, failed int
	slowest       time.Duration
}

// Failed reports whether a step failed.
func (r Report) Failed() bool {
	return slices.ContainsFunc(r.Steps, func(s Step) bool { return s.Err != nil })
}

func (s Step) outcome() string {
	switch {
	case s.Skipped:
		return "skipped"
	case s.Err != nil:
		return "FAILED: " + s.Err.Error()
	}
	return "ok"
}

// callLine matches a call in the output of bookctl --verbose: the time, the service,
// the operation, the duration, and the error if it failed.
var callLine = pattern.New(`^\d\d:\d\d:\d\d aws (.+) ([A-Z][A-Za-z0-9]+) ([0-9.]+(?:µs|ms|s)|[0-9hm.]+s)(?:  (.*))?$`)

// addCalls adds the responses of the endpoint from the output of a run of bookctl.
func (r *Report) addCalls(out Output) {
	if r.calls == nil {
		r.calls, r.errors, r.statuses = map[string]*callStats{}, map[string]int{}, map[string][]string{}
	}
	for line := range strings.Lines(out.Stderr) {
		m := callLine.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			continue
		}
		name := m[1] + " " + m[2]
		c := r.calls[name]
		if c == nil {
			c = &callStats{}
			r.calls[name] = c
		}
		c.count++
		if took, err := time.ParseDuration(m[3]); err == nil {
			c.slowest = max(c.slowest, took)
		}
		if m[4] != "" {
			c.failed++
			r.errors[name+"\x00"+mask(m[4])]++
		}
	}
	for line := range strings.Lines(out.Stdout) {
		var e struct {
			Type, Resource, Kind, Note string
			ElapsedSeconds             float64
		}
		if json.Unmarshal([]byte(line), &e) != nil || e.Type != "event" || e.Note == "" {
			continue
		}
		said := r.statuses[e.Resource]
		text := mask(e.Note)
		if len(said) == 0 || !strings.HasSuffix(said[len(said)-1], " "+text) {
			r.statuses[e.Resource] = append(said, fmt.Sprintf("%.0f s %s", e.ElapsedSeconds, text))
		}
	}
}

// What the report must not contain: account numbers, access keys, and ids of AWS.
var (
	accountNumber = pattern.New(`\b\d{12}\b`)
	accessKey     = pattern.New(`\b(?:AKIA|ASIA)[A-Z0-9]{12,}\b`)
	requestID     = pattern.New(`\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b`)
	longID        = pattern.New(`\b([a-z]{2,8})-[0-9a-f]{8,17}\b`)
	address       = pattern.New(`\b\d{1,3}(?:\.\d{1,3}){3}\b`)
)

// mask replaces everything in a text that identifies the account.
func mask(text string) string {
	text = requestID.ReplaceAllString(text, "UUID") // first, because it may contain twelve digits
	text = accountNumber.ReplaceAllString(text, "ACCOUNT")
	text = accessKey.ReplaceAllString(text, "ACCESSKEY")
	text = longID.ReplaceAllString(text, "$1-ID")
	return address.ReplaceAllStringFunc(text, func(a string) string {
		if strings.HasPrefix(a, "127.") || strings.HasPrefix(a, "10.") || a == "0.0.0.0" {
			return a
		}
		return "ADDRESS"
	})
}

// cell formats a text for a Markdown table.
func cell(text string) string {
	text = strings.Join(strings.Fields(strings.ReplaceAll(mask(text), "|", `\|`)), " ")
	return cmp.Or(text, "–")
}

// Markdown writes the report so that it can be pasted into docs/aws.md.
func (r Report) Markdown() string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("### Conformance: %s, %s", cell(r.Where), r.Began.Format("2006-01-02"))
	line("")
	line("bookctl %s, stack `%s`, %s in all.", cmp.Or(r.Version, "of unknown version"), r.Stack, r.Took.Round(time.Second))
	line("")
	line("| Step | Result | Took | Note |\n|---|---|---|---|")
	for _, s := range r.Steps {
		line("| %s | %s | %s | %s |", s.Name, cell(s.outcome()), s.Took.Round(100*time.Millisecond), cell(s.Note))
	}
	if len(r.Left) > 0 {
		line("\nLeft behind: %s", cell(strings.Join(r.Left, ", ")))
	}
	if len(r.Unlisted) > 0 {
		line("\nCould not be listed: %s", cell(strings.Join(r.Unlisted, "; ")))
	}
	if len(r.errors) > 0 {
		line("\n| Call | Answered | Times |\n|---|---|---|")
		for _, k := range slices.Sorted(maps.Keys(r.errors)) {
			name, text, _ := strings.Cut(k, "\x00")
			line("| %s | %s | %d |", name, cell(text), r.errors[k])
		}
	}
	if len(r.statuses) > 0 {
		line("\n| Resource | Statuses, with the time since the step began |\n|---|---|")
		for _, k := range slices.Sorted(maps.Keys(r.statuses)) {
			line("| %s | %s |", k, cell(strings.Join(r.statuses[k], "; ")))
		}
	}
	if len(r.calls) > 0 {
		line("\n| Call | Times | Errors | Slowest |\n|---|---|---|---|")
		for _, k := range slices.Sorted(maps.Keys(r.calls)) {
			c := r.calls[k]
			line("| %s | %d | %d | %s |", k, c.count, c.failed, c.slowest.Round(time.Millisecond))
		}
	}
	return b.String()
}
