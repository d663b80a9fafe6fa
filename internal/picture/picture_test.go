package picture_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bookctl/bookctl/internal/picture"
)

var parts = []picture.Part{
	{Name: "vpc", State: "ready"},
	{Name: "subnet", Needs: []string{"vpc"}, State: "ready", Note: `1 < 2 & "so"`},
	{Name: "group", Needs: []string{"vpc", "elsewhere"}, State: "drifted"},
	{Name: "database", Needs: []string{"vpc", "subnet", "group"}, State: "pending", Note: "backing-up"},
}

// element is one element of a drawing.
type element struct {
	name  string
	attrs map[string]string
	text  string
}

func (e element) number(t *testing.T, attr string) float64 {
	t.Helper()
	n, err := strconv.ParseFloat(e.attrs[attr], 64)
	if err != nil {
		t.Fatalf("%s of %v: %v", attr, e, err)
	}
	return n
}

// parse reads a drawing as a browser does: it has to be well-formed.
func parse(t *testing.T, svg string) []element {
	t.Helper()
	var out []element
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatalf("%v in %s", err, svg)
		}
		switch x := token.(type) {
		case xml.StartElement:
			e := element{name: x.Name.Local, attrs: map[string]string{}}
			for _, a := range x.Attr {
				e.attrs[a.Name.Local] = a.Value
			}
			out = append(out, e)
		case xml.CharData:
			if len(out) > 0 {
				out[len(out)-1].text += string(x)
			}
		}
	}
}

func TestNeedsStandLeftOfWhatNeedsThemAndNothingOverlaps(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := picture.SVG(&b, "stack book", parts); err != nil {
		t.Fatal(err)
	}
	type rect struct{ x, y, w, h float64 }
	boxes := map[string]rect{}
	var last *rect
	for _, e := range parse(t, b.String()) {
		switch {
		case e.name == "rect" && e.attrs["rx"] == "6":
			last = &rect{e.number(t, "x"), e.number(t, "y"), e.number(t, "width"), e.number(t, "height")}
		case e.name == "text" && e.attrs["font-weight"] == "600" && last != nil:
			boxes[e.text] = *last
			last = nil
		}
	}
	if len(boxes) != len(parts) {
		t.Fatalf("boxes: %v", boxes)
	}
	for _, p := range parts {
		for _, n := range p.Needs {
			if of, ok := boxes[n]; ok && of.x+of.w >= boxes[p.Name].x {
				t.Errorf("%s is not left of %s", n, p.Name)
			}
		}
		for other, o := range boxes {
			b := boxes[p.Name]
			if other != p.Name && b.x < o.x+o.w && o.x < b.x+b.w && b.y < o.y+o.h && o.y < b.y+b.h {
				t.Errorf("%s overlaps %s", p.Name, other)
			}
		}
	}
}

func TestNoLineRunsBehindABox(t *testing.T) {
	t.Parallel()
	long := append(slices.Clone(parts), picture.Part{Name: "alone"},
		picture.Part{Name: "service", Needs: []string{"database", "balancer", "alone"}}, picture.Part{Name: "balancer", Needs: []string{"vpc"}},
		picture.Part{Name: "record", Needs: []string{"service", "group2"}}, picture.Part{Name: "group2", Needs: []string{"vpc"}},
		picture.Part{Name: "other", Needs: []string{"group2", "subnet"}})
	var b bytes.Buffer
	if err := picture.SVG(&b, "stack book", long); err != nil {
		t.Fatal(err)
	}
	all := parse(t, b.String())
	lines := 0
	for _, e := range all {
		if e.name != "path" {
			continue
		}
		lines++
		for _, at := range points(t, e.attrs["d"]) {
			for _, o := range all {
				if o.name != "rect" || o.attrs["rx"] != "6" {
					continue
				}
				x, y, w, h := o.number(t, "x"), o.number(t, "y"), o.number(t, "width"), o.number(t, "height")
				if at[0] > x+1 && at[0] < x+w-1 && at[1] > y && at[1] < y+h {
					t.Fatalf("the line %s runs behind the box at %g, %g", e.attrs["d"], x, y)
				}
			}
		}
	}
	if lines < 10 {
		t.Errorf("only %d lines", lines)
	}
}

// points are some places on a line: a horizontal one, or a curve.
func points(t *testing.T, d string) [][2]float64 {
	t.Helper()
	var x, y, x1, y1, x2, y2, x3, y3 float64
	var out [][2]float64
	if _, err := fmt.Sscanf(d, "M%g %g H%g", &x, &y, &x3); err == nil {
		for i := range 21 {
			out = append(out, [2]float64{x + (x3-x)*float64(i)/20, y})
		}
		return out
	}
	if _, err := fmt.Sscanf(d, "M%g %g C%g %g %g %g %g %g", &x, &y, &x1, &y1, &x2, &y2, &x3, &y3); err != nil {
		t.Fatalf("path %q: %v", d, err)
	}
	for i := range 21 {
		u := float64(i) / 20
		v := 1 - u
		at := func(a, b, c, d float64) float64 { return v*v*v*a + 3*v*v*u*b + 3*v*u*u*c + u*u*u*d }
		out = append(out, [2]float64{at(x, x1, x2, x3), at(y, y1, y2, y3)})
	}
	return out
}

func TestNeedsThatFollowFromOthersAreNotDrawn(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := picture.DOT(&b, "book", parts); err != nil {
		t.Fatal(err)
	}
	var arrows []string
	for line := range strings.Lines(b.String()) {
		if strings.Contains(line, "->") {
			arrows = append(arrows, strings.TrimSpace(line))
		}
	}
	want := []string{`"vpc" -> "subnet";`, `"vpc" -> "group";`, `"subnet" -> "database";`, `"group" -> "database";`}
	if diff := cmp.Diff(want, arrows); diff != "" {
		t.Errorf("arrows (-want +got):\n%s", diff)
	}
}

func TestMermaidNamesEveryPartAndState(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := picture.Mermaid(&b, parts); err != nil {
		t.Fatal(err)
	}
	want := `flowchart LR
  n0["vpc<br/>ready"]:::ready
  n1["subnet<br/>ready: 1 &lt; 2 &amp; &#34;so&#34;"]:::ready
  n2["group<br/>drifted"]:::drifted
  n3["database<br/>pending: backing-up"]:::pending
  n0 --> n1
  n0 --> n2
  n1 --> n3
  n2 --> n3
  classDef drifted fill:#fef7e0,stroke:#b06000,color:#202124
  classDef pending fill:#e8f0fe,stroke:#1967d2,color:#202124
  classDef ready fill:#e6f4ea,stroke:#188038,color:#202124
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestTimelineBarsAreAsLongAsWhatTheyStandFor(t *testing.T) {
	t.Parallel()
	zero := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var b bytes.Buffer
	err := picture.Timeline(&b, "up", []picture.Span{
		{Name: "database", Action: "created", Start: zero.Add(time.Minute), End: zero.Add(4 * time.Minute), Critical: true},
		{Name: "vpc", Action: "created", Start: zero, End: zero.Add(time.Minute)},
		{Name: "skipped"},
	})
	if err != nil {
		t.Fatal(err)
	}
	var bars, names []string
	for _, e := range parse(t, b.String()) {
		switch {
		case e.name == "rect" && e.attrs["rx"] == "2" && e.number(t, "y") > 40:
			bars = append(bars, e.attrs["x"]+"+"+e.attrs["width"]+" "+e.attrs["fill"])
		case e.name == "text" && e.attrs["x"] == "24" && e.attrs["font-size"] == "":
			names = append(names, e.text)
		}
	}
	if diff := cmp.Diff([]string{"vpc", "database"}, names); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"214.0+180.0 #8ab4f8", "394.0+540.0 #d93025"}, bars); diff != "" {
		t.Errorf("bars (-want +got):\n%s", diff)
	}
}

// TestTheGraphOfAPageLeavesLooksToThePage draws the same parts with classes in place of
// colours, which a page could not change for a dark scheme.
func TestTheGraphOfAPageLeavesLooksToThePage(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	if err := picture.Inline(&b, `4 resources: "all" of them`, parts); err != nil {
		t.Fatal(err)
	}
	var names []string
	states := map[string]string{}
	class := ""
	for i, e := range parse(t, b.String()) {
		if i == 0 && (e.name != "svg" || e.attrs["role"] != "img" || e.attrs["aria-label"] != `4 resources: "all" of them`) {
			t.Errorf("it begins with %v", e)
		}
		for _, looks := range []string{"fill", "stroke", "style", "font-size", "font-weight"} {
			if e.attrs[looks] != "" {
				t.Errorf("%v has looks of its own", e)
			}
		}
		switch {
		case e.name == "rect":
			class = e.attrs["class"]
		case e.name == "text" && e.attrs["class"] == "name":
			names = append(names, e.text)
			states[e.text] = class
		}
	}
	slices.Sort(names)
	if diff := cmp.Diff([]string{"database", "group", "subnet", "vpc"}, names); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	for _, p := range parts {
		if states[p.Name] != "part "+p.State {
			t.Errorf("%s, which is %s, looks like %q", p.Name, p.State, states[p.Name])
		}
	}
}
