package picture

import (
	"cmp"
	"fmt"
	"html"
	"io"
	"slices"
	"strings"
)

// Part is a node of a picture.
type Part struct {
	Name string `json:"name"`
	// Needs are the names of other parts; unknown ones are not drawn.
	Needs []string `json:"needs"`
	// State is a word such as "ready"; it chooses the colour.
	State string `json:"state" enum:"absent|pending|ready|deleting|failed|drifted|unmanaged|unknown"`
	// Note is a second line, such as the status that AWS reports.
	Note string `json:"note,omitempty"`
}

// colours returns the fill and line colours of a state. The state is also printed, for
// people who can't distinguish the colours.
func colours(state string) (fill, line string) {
	switch state {
	case "ready":
		return "#e6f4ea", "#188038"
	case "drifted":
		return "#fef7e0", "#b06000"
	case "pending", "deleting":
		return "#e8f0fe", "#1967d2"
	case "failed", "unmanaged", "unknown":
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
		fmt.Fprintf(&b, "  %q [label=%q, fillcolor=%q, color=%q];\n", p.Name, strings.Join(labels(p, inFile.most), "\n"), fill, line)
	}
	for _, e := range edges(parts) {
		fmt.Fprintf(&b, "  %q -> %q;\n", e.from, e.to)
	}
	b.WriteString("}\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// Mermaid writes the parts as a flow chart, which GitHub shows in Markdown.
func Mermaid(w io.Writer, parts []Part) error {
	var b strings.Builder
	b.WriteString("flowchart LR\n")
	id := map[string]string{}
	classes := map[string]bool{}
	for i, p := range parts {
		id[p.Name] = fmt.Sprintf("n%d", i)
		class := strings.ReplaceAll(p.State, " ", "-")
		classes[p.State] = true
		fmt.Fprintf(&b, "  n%d[\"%s\"]:::%s\n", i, strings.ReplaceAll(html.EscapeString(strings.Join(labels(p, inFile.most), "\n")), "\n", "<br/>"), class)
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

func labels(p Part, most int) []string {
	second := p.State
	if p.Note != "" && p.Note != p.State {
		second += ": " + p.Note
	}
	return []string{p.Name, shorten(second, most)}
}

func shorten(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}

type edge struct{ from, to string }

// edges returns the dependencies, each from the part that is needed. Dependencies that
// follow from others are left out, so that the picture stays readable.
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

// reaches reports whether from needs to, directly or indirectly.
func reaches(needs map[string][]string, from, to string) bool {
	for _, n := range needs[from] {
		if n == to || reaches(needs, n, to) {
			return true
		}
	}
	return false
}

const (
	margin      = 24 // around a picture in a file of its own, in pixels
	titleHeight = 40
)

// sizes are those in a graph, in pixels.
type sizes struct {
	boxWidth, boxHeight int
	gapX, gapY          int
	lineHeight          int // of a line that passes through a column
	left, top           int
	// first and second are the baselines of the two lines of text in a box, and most is
	// the number of characters that fit into the second line.
	first, second, most int
}

var (
	inFile = sizes{boxWidth: 232, boxHeight: 44, gapX: 64, gapY: 16, lineHeight: 10, left: margin, top: titleHeight + margin, first: 18, second: 34, most: 32}
	inPage = sizes{boxWidth: 166, boxHeight: 38, gapX: 30, gapY: 8, lineHeight: 8, left: 2, top: 2, first: 16, second: 30, most: 27}
)

// place is a row of a column. It has a part, or a line from a part to a column further
// right.
type place struct {
	*Part  // nil for a line
	column int
	y      int // of its middle
	from   []*place
	to     []*place
}

func (p *place) height(m sizes) int {
	if p.Part == nil {
		return m.lineHeight
	}
	return m.boxHeight
}

func (p *place) x(m sizes) int { return m.left + p.column*(m.boxWidth+m.gapX) }

// SVG writes the parts as a picture. A part is left of the parts that need it.
func SVG(w io.Writer, title string, parts []Part) error {
	m := inFile
	columns := layout(parts, m)
	width, height := size(columns, m)
	var b strings.Builder
	open(&b, max(width+margin, 480), max(height+margin, titleHeight+2*margin), title)
	lines(&b, columns, m, ` fill="none" stroke="#9aa0a6" stroke-width="1.2"`)
	boxes(&b, columns, m, func(p Part) (box, first, second string) {
		fill, line := colours(p.State)
		return fmt.Sprintf(` fill="%s" stroke="%s"`, fill, line), ` font-weight="600"`, fmt.Sprintf(` font-size="11" fill="%s"`, line)
	})
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// Inline writes the same picture for an HTML page, smaller and without a title or
// colours. The page styles the classes "line", "part" and "state", each of the last two
// together with the part's state, and "name". The label is for screen readers.
func Inline(w io.Writer, label string, parts []Part) error {
	m := inPage
	columns := layout(parts, m)
	width, height := size(columns, m)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="%s">`+"\n",
		width+m.left, height+m.top, width+m.left, height+m.top, html.EscapeString(label))
	lines(&b, columns, m, ` class="line"`)
	boxes(&b, columns, m, func(p Part) (box, first, second string) {
		return fmt.Sprintf(` class="part %s"`, html.EscapeString(p.State)), ` class="name"`, fmt.Sprintf(` class="state %s"`, html.EscapeString(p.State))
	})
	b.WriteString("</svg>\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// size returns how far right and down the parts reach.
func size(columns [][]*place, m sizes) (width, height int) {
	for _, c := range columns {
		if len(c) > 0 {
			last := c[len(c)-1]
			width, height = max(width, last.x(m)+m.boxWidth), max(height, last.y+last.height(m)/2)
		}
	}
	return width, height
}

// lines draws the dependencies. Looks are the attributes of each line.
func lines(b *strings.Builder, columns [][]*place, m sizes, looks string) {
	for _, c := range columns {
		for _, p := range c {
			right := p.x(m) + m.boxWidth
			if p.Part == nil {
				fmt.Fprintf(b, `<path d="M%d %d H%d"%s/>`+"\n", p.x(m), p.y, right, looks)
			}
			for _, q := range p.to {
				mid := right + m.gapX/2
				fmt.Fprintf(b, `<path d="M%d %d C%d %d %d %d %d %d"%s/>`+"\n", right, p.y, mid, p.y, mid, q.y, q.x(m), q.y, looks)
			}
		}
	}
}

// boxes draws the parts. Looks returns the attributes of a part's box and of its two
// lines of text.
func boxes(b *strings.Builder, columns [][]*place, m sizes, looks func(Part) (box, first, second string)) {
	for _, c := range columns {
		for _, p := range c {
			if p.Part == nil {
				continue
			}
			box, first, second := looks(*p.Part)
			text, top := labels(*p.Part, m.most), p.y-m.boxHeight/2
			fmt.Fprintf(b, `<g><title>%s</title><rect x="%d" y="%d" width="%d" height="%d" rx="6"%s/>`,
				html.EscapeString(strings.TrimSpace(p.Name+", "+p.State+" "+p.Note)), p.x(m), top, m.boxWidth, m.boxHeight, box)
			fmt.Fprintf(b, `<text x="%d" y="%d"%s>%s</text><text x="%d" y="%d"%s>%s</text></g>`+"\n",
				p.x(m)+10, top+m.first, first, html.EscapeString(text[0]), p.x(m)+10, top+m.second, second, html.EscapeString(text[1]))
		}
	}
}

func open(b *strings.Builder, width, height int, title string) {
	fmt.Fprintf(b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" font-family="system-ui, sans-serif" font-size="12" fill="#202124" role="img" aria-label="%s">`+"\n",
		width, height, width, height, html.EscapeString(title))
	fmt.Fprintf(b, `<rect width="100%%" height="100%%" fill="#ffffff"/><text x="%d" y="34" font-size="16" font-weight="600">%s</text>`+"\n", margin, html.EscapeString(title))
}

// layout puts the parts into columns by the longest chain of dependencies, each part
// as far right as possible. Every line gets a row in the columns that it passes, so
// that no line runs behind a box. Each column is sorted so that few lines cross.
func layout(parts []Part, m sizes) [][]*place {
	by := map[string]*place{}
	for i := range parts {
		by[parts[i].Name] = &place{Part: &parts[i]}
	}
	lines := edges(parts)
	// As many passes over all lines as there are parts are enough for the longest chain.
	for range parts {
		for _, e := range lines {
			by[e.to].column = max(by[e.to].column, by[e.from].column+1)
		}
	}
	for range parts {
		next := map[string]int{}
		for _, e := range lines {
			if c, ok := next[e.from]; !ok || by[e.to].column-1 < c {
				next[e.from] = by[e.to].column - 1
			}
		}
		for name, c := range next {
			by[name].column = c
		}
	}
	var columns [][]*place
	put := func(p *place) {
		for len(columns) <= p.column {
			columns = append(columns, nil)
		}
		columns[p.column] = append(columns[p.column], p)
	}
	for i := range parts {
		put(by[parts[i].Name])
	}
	rows := map[string]*place{}
	for _, e := range lines {
		at, to := by[e.from], by[e.to]
		for at.column+1 < to.column {
			key := fmt.Sprint(e.from, " ", at.column+1)
			row := rows[key]
			if row == nil {
				row = &place{column: at.column + 1}
				rows[key] = row
				put(row)
				join(at, row)
			}
			at = row
		}
		join(at, to)
	}
	arrange(columns, m)
	for range 6 {
		for _, c := range columns {
			order(c, func(p *place) []*place { return p.from })
			arrange(columns, m)
		}
		for _, c := range slices.Backward(columns) {
			order(c, func(p *place) []*place { return p.to })
			arrange(columns, m)
		}
	}
	return columns
}

func join(from, to *place) {
	from.to, to.from = append(from.to, to), append(to.from, from)
}

// order sorts a column by the mean position of each place's neighbours on one side. A
// place without neighbours stays about where it is.
func order(column []*place, neighboursOf func(*place) []*place) {
	wish := map[*place]float64{}
	for _, p := range column {
		wish[p] = float64(p.y)
		if neighbours := neighboursOf(p); len(neighbours) > 0 {
			sum := 0
			for _, n := range neighbours {
				sum += n.y
			}
			wish[p] = float64(sum) / float64(len(neighbours))
		}
	}
	slices.SortStableFunc(column, func(a, b *place) int { return cmp.Compare(wish[a], wish[b]) })
}

// arrange sets the vertical position of every place, and centres each column.
func arrange(columns [][]*place, m sizes) {
	tallest := 0
	for _, c := range columns {
		tallest = max(tallest, extent(c, m))
	}
	for _, c := range columns {
		y := m.top + (tallest-extent(c, m))/2
		for _, p := range c {
			p.y = y + p.height(m)/2
			y += p.height(m) + m.gapY
		}
	}
}

func extent(column []*place, m sizes) int {
	sum := 0
	for _, p := range column {
		sum += p.height(m) + m.gapY
	}
	return sum - m.gapY
}
