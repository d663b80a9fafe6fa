package picture

import (
	"cmp"
	"fmt"
	"html"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/bookctl/bookctl/internal/sorted"
)

// Span is what a run did to a part, and when.
type Span struct {
	Name string
	// Action is a word such as "created".
	Action     string
	Start, End time.Time
	// Critical means that the span is on the critical path: the run gets shorter only
	// if one of these spans does.
	Critical bool
	Failed   bool
}

// The sizes in a timeline, in pixels.
const (
	nameWidth, barArea, resultWidth = 190, 720, 170
	rowHeight                       = 22
)

// Timeline writes a timeline as SVG: one row for each span, in the order of their
// starts, with the critical path marked.
func Timeline(w io.Writer, title string, spans []Span) error {
	spans = slices.DeleteFunc(slices.Clone(spans), func(s Span) bool { return s.Start.IsZero() || s.End.Before(s.Start) })
	sorted.By(spans, func(a, b Span) int { return cmp.Or(a.Start.Compare(b.Start), a.End.Compare(b.End)) })
	var first, last time.Time
	for i, s := range spans {
		if i == 0 || s.Start.Before(first) {
			first = s.Start
		}
		if s.End.After(last) {
			last = s.End
		}
	}
	total := max(last.Sub(first), time.Millisecond)
	at := func(t time.Time) float64 { return float64(t.Sub(first)) / float64(total) * barArea }
	top := titleHeight + margin
	height := top + len(spans)*rowHeight + margin
	var b strings.Builder
	open(&b, nameWidth+barArea+resultWidth+2*margin, height, title)
	fmt.Fprintf(&b, `<g fill="#5f6368" font-size="11"><rect x="%d" y="18" width="12" height="12" rx="2" fill="#d93025"/><text x="%d" y="28">critical path</text><rect x="%d" y="18" width="12" height="12" rx="2" fill="#202124"/><text x="%d" y="28">failed</text></g>`+"\n",
		nameWidth+barArea+margin, nameWidth+barArea+margin+18, nameWidth+barArea+margin+106, nameWidth+barArea+margin+124)
	for _, tick := range ticks(total) {
		x := margin + nameWidth + at(first.Add(tick))
		fmt.Fprintf(&b, `<path d="M%.1f %d V%d" stroke="#e8eaed"/><text x="%.1f" y="%d" fill="#5f6368" font-size="10" text-anchor="middle">%s</text>`+"\n",
			x, top-4, height-margin, x, top-8, short(tick))
	}
	for i, s := range spans {
		y := top + i*rowHeight
		fill, weight := "#8ab4f8", "400"
		if s.Action == "unchanged" {
			fill = "#dadce0"
		}
		if s.Critical {
			fill, weight = "#d93025", "600"
		}
		if s.Failed {
			fill = "#202124"
		}
		result := s.Action + ", " + short(s.End.Sub(s.Start))
		if s.Failed {
			result = "failed, " + short(s.End.Sub(s.Start))
		}
		fmt.Fprintf(&b, `<text x="%d" y="%d" font-weight="%s">%s</text>`, margin, y+15, weight, html.EscapeString(s.Name))
		fmt.Fprintf(&b, `<rect x="%.1f" y="%d" width="%.1f" height="%d" rx="2" fill="%s"><title>%s</title></rect>`,
			margin+nameWidth+at(s.Start), y+3, max(at(s.End)-at(s.Start), 2), rowHeight-7, fill, html.EscapeString(s.Name+": "+result))
		fmt.Fprintf(&b, `<text x="%d" y="%d" fill="#5f6368" font-size="11">%s</text>`+"\n", margin+nameWidth+barArea+10, y+15, html.EscapeString(result))
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// ticks returns round times that divide the total into at most ten parts.
func ticks(total time.Duration) []time.Duration {
	step := 10 * time.Millisecond
	for _, centiseconds := range []int64{1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 3000, 6000, 12000, 30000, 60000} {
		step = time.Duration(centiseconds * int64(10*time.Millisecond))
		if total/step < 10 {
			break
		}
	}
	var out []time.Duration
	for t := time.Duration(0); t <= total; t += step {
		out = append(out, t)
	}
	return out
}

func short(d time.Duration) string {
	switch {
	case d == 0:
		return "0"
	case d < time.Second:
		return d.Round(10 * time.Millisecond).String()
	case d < time.Minute:
		return d.Round(100 * time.Millisecond).String()
	}
	text := d.Round(time.Second).String()
	if strings.HasSuffix(text, "m0s") {
		return strings.TrimSuffix(text, "0s")
	}
	return text
}
