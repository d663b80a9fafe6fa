package picture

import (
	"cmp"
	"fmt"
	"html"
	"io"
	"slices"
	"strings"
)

// Part is one node of a picture.
type Part struct {
	Name string
	// Needs are the names of other parts; unknown ones are not drawn.
	Needs []string
	// State is a word such as "ready"; it chooses the colour.
	State string
	// Note is a second line, such as what AWS says of it.
	Note string
}

// colours of a state: fill, and the line around it. Each is told by words too,
// for those who can't tell them apart.
func colours(state string) (fill, line string) {
	switch state {
	case "ready":
		return "#e6f4ea", "#188038"
	case "drifted":
		return "#fef7e0", "#b06000"
	case "pending", "leaving":
		return "#e8f0fe", "#1967d2"
	case "broken", "not ours", "unknown":
		return "#fce8e6", "#c5221f"
	}
	return "#f1f3f4", "#5f6368" // absent
}

// DOT writes the parts for Graphviz.
func DOT(w io.Writer, title string, parts []Part) error {
	var b strings.Builder
	fmt.Fprintf(&b, "digraph %q {\n  rankdir=LR;\n  node [shape=box, style=\"rounded,filled\", fontname=\"sans-serif\", fontsize=11];\n", title)
	for _, p := range parts {
		fill, line := colours(p.State)
		fmt.Fprintf(&b, "  %q [label=%q, fillcolor=%q, color=%q];\n", p.Name, strings.Join(labels(p), "\n"), fill, line)
	}
	for _, e := range edges(parts) {
		fmt.Fprintf(&b, "  %q -> %q;\n", e.from, e.to)
	}
	b.WriteString("}\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// Mermaid writes the parts as a flow chart, as Markdown on GitHub shows it.
func Mermaid(w io.Writer, parts []Part) error {
	var b strings.Builder
	b.WriteString("flowchart LR\n")
	id := map[string]string{}
	classes := map[string]bool{}
	for i, p := range parts {
		id[p.Name] = fmt.Sprintf("n%d", i)
		class := strings.ReplaceAll(p.State, " ", "-")
		classes[p.State] = true
		fmt.Fprintf(&b, "  n%d[\"%s\"]:::%s\n", i, strings.ReplaceAll(html.EscapeString(strings.Join(labels(p), "\n")), "\n", "<br/>"), class)
	}
	for _, e := range edges(parts) {
		fmt.Fprintf(&b, "  %s --> %s\n", id[e.from], id[e.to])
	}
	for _, state := range slices.Sorted(mapKeys(classes)) {
		fill, line := colours(state)
		fmt.Fprintf(&b, "  classDef %s fill:%s,stroke:%s,color:#202124\n", strings.ReplaceAll(state, " ", "-"), fill, line)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func mapKeys(m map[string]bool) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

func labels(p Part) []string {
	second := p.State
	if p.Note != "" && p.Note != p.State {
		second += ": " + p.Note
	}
	return []string{p.Name, shorten(second, 34)}
}

func shorten(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}

type edge struct{ from, to string }

// edges are the needs, from what is needed, without those that follow from
// others: a picture of them all is a ball of wool.
func edges(parts []Part) []edge {
	needs := map[string][]string{}
	for _, p := range parts {
		needs[p.Name] = p.Needs
	}
	var out []edge
	for _, p := range parts {
		for _, n := range p.Needs {
			if _, known := needs[n]; known && !slices.ContainsFunc(p.Needs, func(o string) bool { return o != n && reaches(needs, o, n) }) {
				out = append(out, edge{n, p.Name})
			}
		}
	}
	return out
}

// reaches says whether from needs to, directly or not.
func reaches(needs map[string][]string, from, to string) bool {
	for _, n := range needs[from] {
		if n == to || reaches(needs, n, to) {
			return true
		}
	}
	return false
}

// The measures of a drawn graph, in pixels.
const (
	boxWidth, boxHeight = 220, 44
	gapX, gapY          = 70, 16
	margin              = 24
	titleHeight         = 40
)

type box struct {
	Part
	x, y int
}

// SVG writes the parts as a picture: what is needed stands left of what needs it.
func SVG(w io.Writer, title string, parts []Part) error {
	columns := layers(parts)
	boxes := map[string]box{}
	width, height := 0, 0
	tallest := 0
	for _, c := range columns {
		tallest = max(tallest, len(c))
	}
	for x, c := range columns {
		top := (tallest - len(c)) * (boxHeight + gapY) / 2
		for y, p := range c {
			b := box{p, margin + x*(boxWidth+gapX), titleHeight + margin + top + y*(boxHeight+gapY)}
			boxes[p.Name] = b
			width, height = max(width, b.x+boxWidth+margin), max(height, b.y+boxHeight+margin)
		}
	}
	width = max(width, 480)
	var b strings.Builder
	open(&b, width, height, title)
	for _, e := range edges(parts) {
		from, to := boxes[e.from], boxes[e.to]
		x1, y1, x2, y2 := from.x+boxWidth, from.y+boxHeight/2, to.x, to.y+boxHeight/2
		mid := max((x2-x1)/2, 24)
		fmt.Fprintf(&b, `<path d="M%d %d C%d %d %d %d %d %d" fill="none" stroke="#9aa0a6" stroke-width="1.2"/>`+"\n", x1, y1, x1+mid, y1, x2-mid, y2, x2, y2)
	}
	for _, c := range columns {
		for _, p := range c {
			bx := boxes[p.Name]
			fill, line := colours(p.State)
			text := labels(p)
			fmt.Fprintf(&b, `<g><title>%s</title><rect x="%d" y="%d" width="%d" height="%d" rx="6" fill="%s" stroke="%s"/>`,
				html.EscapeString(p.Name+", "+p.State+" "+p.Note), bx.x, bx.y, boxWidth, boxHeight, fill, line)
			fmt.Fprintf(&b, `<text x="%d" y="%d" font-weight="600">%s</text><text x="%d" y="%d" fill="%s">%s</text></g>`+"\n",
				bx.x+10, bx.y+18, html.EscapeString(text[0]), bx.x+10, bx.y+34, line, html.EscapeString(text[1]))
		}
	}
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func open(b *strings.Builder, width, height int, title string) {
	fmt.Fprintf(b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="system-ui, sans-serif" font-size="12" fill="#202124" role="img" aria-label="%s">`+"\n",
		width, height, width, height, html.EscapeString(title))
	fmt.Fprintf(b, `<rect width="100%%" height="100%%" fill="#ffffff"/><text x="%d" y="34" font-size="16" font-weight="600">%s</text>`+"\n", margin, html.EscapeString(title))
}

// layers sorts the parts into columns by the longest chain of needs, and each
// column so that lines cross little: by the mean row of what a part needs.
func layers(parts []Part) [][]Part {
	by := map[string]Part{}
	for _, p := range parts {
		by[p.Name] = p
	}
	depth := map[string]int{}
	var deep func(string) int
	deep = func(name string) int {
		if d, ok := depth[name]; ok {
			return d
		}
		d := 0
		for _, n := range by[name].Needs {
			if _, known := by[n]; known {
				d = max(d, deep(n)+1)
			}
		}
		depth[name] = d
		return d
	}
	var columns [][]Part
	for _, p := range parts {
		d := deep(p.Name)
		for len(columns) <= d {
			columns = append(columns, nil)
		}
		columns[d] = append(columns[d], p)
	}
	row := map[string]float64{}
	for _, c := range columns {
		slices.SortStableFunc(c, func(a, b Part) int { return cmp.Compare(mean(row, a.Needs), mean(row, b.Needs)) })
		for i, p := range c {
			row[p.Name] = (float64(i) + 0.5) / float64(len(c))
		}
	}
	return columns
}

func mean(row map[string]float64, names []string) float64 {
	sum, n := 0.0, 0
	for _, name := range names {
		if r, ok := row[name]; ok {
			sum, n = sum+r, n+1
		}
	}
	if n == 0 {
		return 0.5
	}
	return sum / float64(n)
}
