package ui

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/bookctl/bookctl/internal/diagnosis"
)

// axis is the time that bars are drawn over.
type axis struct {
	to   time.Time
	span time.Duration
	// began are when the deployments did, each a line through all bars.
	began []time.Time
}

// spans are what an axis may be long. ECS remembers stopped tasks for an hour.
var spans = []time.Duration{2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 15 * time.Minute, 30 * time.Minute, time.Hour}

// axisOf is long enough for all that began or ended within the last hour. What began
// before that has a bar from the axis's left end.
func axisOf(s Stack, now time.Time) axis {
	a := axis{to: now, span: spans[len(spans)-1]}
	var moments []time.Time
	for _, d := range s.Deployments {
		moments, a.began = append(moments, d.Created), append(a.began, d.Created)
	}
	for _, t := range slices.Concat(s.Tasks, s.Stopped) {
		moments = append(moments, t.Started, t.Stopped)
	}
	var longest time.Duration
	for _, t := range moments {
		if ago := now.Sub(t); ago <= a.span {
			longest = max(longest, ago)
		}
	}
	if longest == 0 {
		return a
	}
	for _, span := range slices.Backward(spans) {
		if longest <= span {
			a.span = span
		}
	}
	return a
}

// title names the axis.
func (a axis) title() string { return fmt.Sprintf("Last %d minutes", int(a.span.Minutes())) }

// at is where a time is, from 0 to 1.
func (a axis) at(t time.Time) float64 {
	return min(max(1-float64(a.to.Sub(t))/float64(a.span), 0), 1)
}

func percent(part float64) string { return strconv.FormatFloat(100*part, 'f', 2, 64) + "%" }

// bar is drawn from one time to another; a zero end is now, and a zero begin draws none.
// What it shows is said in words alongside it.
func (a axis) bar(looks string, begin, end time.Time, died bool) markup {
	out := empty("svg", with("class", "bar "+looks, "width", "100%", "height", "16", "aria-hidden", "true", "focusable", "false")...)
	for _, t := range a.began {
		if x := a.at(t); x > 0 {
			out += element("line", with("class", "began", "x1", percent(x), "x2", percent(x), "y1", "0", "y2", "16"))
		}
	}
	if end.IsZero() {
		end = a.to
	}
	if from, to := a.at(begin), a.at(end); !begin.IsZero() && to > 0 {
		out += element("rect", with("x", percent(from), "y", "4", "width", percent(max(to-from, 0.006)), "height", "8", "rx", "2"))
		if died {
			out += element("text", with("x", percent(to), "y", "13", "text-anchor", "middle"), "✕")
		}
	}
	return out + "</svg>"
}

// ofDeployment is from its begin until it was over.
func (a axis) ofDeployment(d diagnosis.Deployment) markup {
	end := d.Updated
	if d.Rollout == "IN_PROGRESS" {
		end = time.Time{}
	}
	looks := "new"
	switch {
	case d.Rollout == "FAILED":
		looks = "dead"
	case d.Status != "PRIMARY":
		looks = "old"
	}
	return a.bar(looks, d.Created, end, d.Rollout == "FAILED")
}

// ofTask is from its start until it stopped.
func (a axis) ofTask(t diagnosis.Task, newest string) markup {
	looks, died := "new", false
	if t.Revision != newest {
		looks = "old"
	}
	if !t.Stopped.IsZero() && !t.ScaledIn() {
		looks, died = "dead", true
	}
	return a.bar(looks, t.Started, t.Stopped, died)
}
