package ui_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/bookctl/bookctl/internal/browser"
	"github.com/bookctl/bookctl/internal/diagnosis"
	"github.com/bookctl/bookctl/internal/picture"
	"github.com/bookctl/bookctl/internal/pricing"
	"github.com/bookctl/bookctl/internal/ui"
)

// busy is a stack of which there is all to show, under the longest names.
func busy() ui.Stack {
	now := time.Now()
	before := func(d time.Duration) time.Time { return now.Add(-d) }
	exit := int32(1)
	name := "a-stack-with-the-longest-name-of-all"
	s := ui.Stack{
		Name: name, Place: "account 111122223333, region ap-southeast-2", Summary: "not healthy", Mood: ui.Bad, URL: "http://" + name + "-1234567890.ap-southeast-2.elb.amazonaws.com",
		Problems: []string{
			"1 of 2 tasks are running: (service " + name + "-service) was unable to place a task. Reason: Capacity is unavailable at this time. Please try again later or in a different availability zone.",
			"the load balancer finds 10.0.1.23:8080 unhealthy: Health checks failed with these codes: [503]",
		},
		Next:        "'bookctl logs --stack " + name + "' and 'bookctl events --stack " + name + "' show more; 'bookctl up --stack " + name + "' creates what is missing and repairs drift.",
		Lock:        &ui.Lock{Holder: "arn:aws:sts::111122223333:assumed-role/AWSReservedSSO_PowerUser_0123456789abcdef/somebody@example.com on a-laptop", Since: before(90 * time.Second)},
		Deployments: []diagnosis.Deployment{{ID: "ecs-svc/2", Revision: name + "-app:12", Status: "PRIMARY", Rollout: "IN_PROGRESS", Reason: "ECS deployment ecs-svc/2 in progress.", Desired: 2, Running: 1, Pending: 1, Failed: 2, Created: before(4 * time.Minute), Updated: before(time.Minute)}, {ID: "ecs-svc/1", Revision: name + "-app:11", Status: "ACTIVE", Rollout: "COMPLETED", Desired: 2, Running: 2, Created: before(3 * 24 * time.Hour), Updated: before(3 * 24 * time.Hour)}},
		Tasks: []diagnosis.Task{
			{ID: "3f2a1b9c0d4e4f5a9b8c7d6e5f4a3b2c", Revision: name + "-app:12", Status: "RUNNING", Health: "HEALTHY", Started: before(100 * time.Second)},
			{ID: "9b8c7d6e5f4a3b2c3f2a1b9c0d4e4f5a", Revision: name + "-app:12", Status: "PENDING", Health: "UNKNOWN"},
			{ID: "5f4a3b2c3f2a1b9c0d4e4f5a9b8c7d6e", Revision: name + "-app:11", Status: "RUNNING", Health: "UNHEALTHY", Started: before(50 * time.Hour)},
		},
		Stopped: []diagnosis.Task{
			{ID: "0d4e4f5a9b8c7d6e5f4a3b2c3f2a1b9c", Revision: name + "-app:12", Status: "STOPPED", Started: before(170 * time.Second), Stopped: before(2 * time.Minute), ExitCode: &exit, Reason: "Essential container in task exited"},
			{ID: "1d4e4f5a9b8c7d6e5f4a3b2c3f2a1b9c", Revision: name + "-app:12", Status: "STOPPED", Stopped: before(200 * time.Second), Reason: "CannotPullContainerError: pull image manifest has been retried 7 time(s): failed to resolve ref 111122223333.dkr.ecr.ap-southeast-2.amazonaws.com/" + name + "/app@sha256:0123456789abcdef: not found"},
			{ID: "2d4e4f5a9b8c7d6e5f4a3b2c3f2a1b9c", Revision: name + "-app:11", Status: "STOPPED", Started: before(10 * time.Minute), Stopped: before(150 * time.Second), Reason: "Scaling activity initiated by (deployment ecs-svc/2)"},
		},
		Targets:  []diagnosis.Target{{Address: "10.0.0.17:8080", Health: "healthy"}, {Address: "10.0.1.23:8080", Health: "unhealthy", Description: "Health checks failed with these codes: [503]"}, {Address: "10.0.1.99:8080", Health: "draining", Description: "Target deregistration is in progress"}},
		CostNote: "Prices of 2026-11-01, an estimate and no offer.",
		Costs:    []pricing.Line{{Item: "tasks", Monthly: 18.02, Note: "2 × 0.25 vCPU, 0.5 GB, amd64"}, {Item: "load balancer", Monthly: 16.43, Note: "by the hour"}, {Item: "database", Monthly: 1211.68, Note: "db.t4g.micro in two zones"}, {Item: "database backups", Monthly: 0, Note: "free"}},
	}
	for i, r := range []ui.Row{
		{Name: "URL", Texts: []string{s.URL + " answers 503 in 12 ms"}},
		{Name: "Service", Texts: []string{"1/2 running, " + name + "-app:12, rollout in progress, began 4 minutes ago"}},
		{Name: "Tasks", Texts: []string{"this one has a table"}},
		{Name: "Database", Texts: []string{"backing-up, PostgreSQL 17.4, db.t4g.micro, 20 GiB, two zones, protected"}},
		{Name: "Backups", Texts: []string{"kept 7 days, made at 03:00-03:30 UTC, restorable up to 4 minutes ago"}},
		{Name: "Image", Texts: []string{"sha256:01b840d13c6c528fc0b7c47f07e2af57e0e1f701a240aa546beda2eb3dd6ff83, pushed 5 minutes ago", "rolled back from revision 10; 'bookctl up --stack " + name + "' deploys what the source builds"}},
		{Name: "Cost", Texts: []string{"about $1246.13 a month"}},
		{Name: "Snapshots", Texts: []string{"rds:" + name + "-database-2026-11-29-17-30 (automated, available, 20 GiB, 7 hours ago)", name + "-final-v8va99qro4lzk4xyqjneg86gu8-20261129-173046 (final, available, 20 GiB, 2 days ago)"}},
		{Name: "Drift", Texts: []string{"service: count: 2 → 1", "'bookctl up --stack " + name + "' repairs it, and 'bookctl plan --stack " + name + "' says how"}},
	} {
		s.Rows = append(s.Rows, r)
		s.Events = append(s.Events, diagnosis.Event{Time: before(time.Duration(i*i*i) * 10 * time.Minute), Message: "(service " + name + "-service) has started 1 tasks: (task 3f2a1b9c)."})
	}
	part := func(name, state, note string, needs ...string) {
		s.Parts = append(s.Parts, picture.Part{Name: name, State: state, Note: note, Needs: needs})
	}
	part("vpc", "ready", "")
	part("service-linked-role-elb", "ready", "")
	part("subnet-public-a", "ready", "", "vpc")
	part("subnet-public-b", "ready", "", "vpc")
	part("sg-load-balancer", "drifted", "rules", "vpc")
	part("repository", "ready", "")
	part("image", "unknown", "AccessDeniedException: not authorized to perform: ecr:DescribeImages", "repository")
	part("database", "pending", "backing-up", "subnet-public-a", "subnet-public-b", "vpc")
	part("load-balancer", "ready", "", "subnet-public-a", "subnet-public-b", "sg-load-balancer", "service-linked-role-elb")
	part("listener", "absent", "", "load-balancer")
	part("task-definition", "ready", "", "image", "database")
	part("service", "failed", "rollout failed: tasks failed to start", "listener", "task-definition")
	part("old-thing", "deleting", "")
	part("others-thing", "unmanaged", "")
	return s
}

// tidy finds what can't be read, or can't be used, in the page as it is laid out.
const tidy = `
const wrong = [];
const say = (what, e) => wrong.push(what + ": <" + e.nodeName.toLowerCase() + " class=" + e.getAttribute("class") + "> " + e.textContent.slice(0, 60));
const root = document.scrollingElement;
if (root.scrollWidth > innerWidth) {
  wrong.push("the page is " + root.scrollWidth + " wide in a window of " + innerWidth);
  for (const e of document.querySelectorAll("body *")) if (!e.closest(".scroll") && e.getBoundingClientRect().right > innerWidth + 1) say("reaches out", e);
}
const parts = (c) => { const m = c.match(/[\d.]+/g); return m ? m.map(Number) : [0, 0, 0, 0]; };
const luminance = ([r, g, b]) => { const f = (v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; return 0.2126 * f(r) + 0.7152 * f(g) + 0.0722 * f(b); };
const solid = (c) => c.length === 3 || c[3] === 1;
const behind = (e) => {
  for (; e; e = e.parentElement) { const c = parts(getComputedStyle(e).backgroundColor); if (solid(c)) return c; }
  return parts(getComputedStyle(document.documentElement).backgroundColor);
};
let seen = 0;
for (const e of document.querySelectorAll("body *")) {
  if (![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()) || !e.checkVisibility() || e.closest(".unseen, .skip, caption, noscript, title")) continue;
  const style = getComputedStyle(e), svg = e instanceof SVGElement;
  const ink = parts(svg ? style.fill : style.color);
  const box = svg && e.parentElement.querySelector("rect.part");
  const paper = box ? parts(getComputedStyle(box).fill) : behind(e);
  const [a, b] = [luminance(ink), luminance(paper)];
  const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  seen++;
  if (ratio < 4.5) say("contrast " + ratio.toFixed(2), e);
  if (parseFloat(style.fontSize) < 10) say("small, " + style.fontSize, e);
}
if (seen < 100) wrong.push("only " + seen + " texts were looked at");
const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) wrong.push("the id " + id + " twice");
for (const e of document.querySelectorAll("[aria-labelledby]")) if (!e.hidden && !document.getElementById(e.getAttribute("aria-labelledby"))) say("not labelled", e);
for (const [what, count] of [["main", 1], ["header", 1], ["footer", 1], ["nav[aria-label]", 1], ["h1", 1]]) if (document.querySelectorAll(what).length !== count) wrong.push("not " + count + " " + what);
let level = 0;
for (const h of document.querySelectorAll("h1, h2, h3")) { const l = Number(h.nodeName[1]); if (l > level + 1) say("a heading too deep", h); level = l; }
for (const t of document.querySelectorAll("table")) {
  if (!t.caption) say("no caption", t);
  for (const th of t.querySelectorAll("th")) if (!th.scope) say("a header of what?", th);
  for (const tr of t.querySelectorAll("tbody tr")) if (!tr.querySelector("th[scope=row]")) say("no row header", tr);
}
for (const e of document.querySelectorAll("a, button, input, summary")) {
  const name = e.labels && e.labels.length ? e.labels[0].textContent : e.textContent;
  if (!name.trim()) say("no name", e);
}
for (const e of document.querySelectorAll(".scroll")) if (e.checkVisibility() && e.tabIndex !== 0) say("the keyboard can't scroll it", e);
for (const e of document.querySelectorAll("svg")) if (!e.getAttribute("aria-label") && e.getAttribute("aria-hidden") !== "true") say("a picture without words", e);
for (const e of document.querySelectorAll(".chip")) if (!/[a-z]/.test(e.textContent)) say("shown by colour alone", e);
return wrong;
`

// TestThePageReadsWellInEveryWindowAndScheme measures the page as a browser lays it out.
// 640 is a window of 1280 at 200 %.
func TestThePageReadsWellInEveryWindowAndScheme(t *testing.T) {
	t.Parallel()
	b := browser.Open(t)
	s := &source{stack: busy()}
	for i := range 30 {
		s.lines = append(s.lines, ui.Line{Time: time.Now(), Task: "3f2a1b9c0d", Text: fmt.Sprintf(`{"time":"2026-11-30T03:30:40.224237Z","level":"INFO","msg":"request","method":"GET","path":"/books/%d","status":200,"duration":1.5}`, i)})
	}
	at, path, _ := serve(t, s)
	for _, failing := range []bool{false, true} {
		if failing {
			s.set(func(s *source) {
				s.err = ui.Failure{Text: "The AWS credentials have expired: The security token included in the request is expired", Next: "sign in again with 'aws sso login --profile somebody-with-a-long-name'"}
			})
		}
		b.Go("http://" + at + path)
		if failing {
			b.Until("the failure is shown", func() bool { return b.Text("#alert") != "" })
		}
		b.Find("#lines p:nth-child(30)")
		b.Run(`document.querySelector("details").open = true`, nil)
		for _, scheme := range []string{"light", "dark"} {
			b.Prefer("prefers-color-scheme", scheme)
			for _, width := range []int{1280, 640, 380} {
				b.Resize(width, 900)
				var wrong []string
				b.Run(tidy, &wrong)
				if len(wrong) > 0 {
					t.Errorf("%d wide, %s, failing %t:\n%s", width, scheme, failing, strings.Join(wrong, "\n"))
				}
				var height int
				b.Run("return document.scrollingElement.scrollHeight", &height)
				b.Resize(width, height)
				b.Screenshot(fmt.Sprintf("busy-%d-%s-%t", width, scheme, failing))
			}
		}
	}
	if wrong := b.Errors(); len(wrong) > 0 {
		t.Errorf("the console says: %v", wrong)
	}
}

func TestThePageShowsAllWithoutItsScript(t *testing.T) {
	t.Parallel()
	b := browser.Open(t)
	s := &source{stack: busy(), lines: []ui.Line{{Time: time.Now(), Task: "3f2a1b9c", Text: "written by a task"}}}
	at, path, _ := serve(t, s)
	b.Scripts(false)
	b.Go("http://" + at + path)
	for selector, want := range map[string]string{
		"#top": "not healthy", "#problems": "next:", "#resources": "14 resources", "#tasks": "exited 1", "#lines": "written by a task", "noscript": "Load it again", "#cost": "$1246.13",
	} {
		if got := b.Text(selector); !strings.Contains(got, want) {
			t.Errorf("without a script %s reads %q", selector, got)
		}
	}
	if got := b.Text("#controls"); got != "" {
		t.Errorf("what does nothing is shown: %q", got)
	}
	s.set(func(s *source) { s.stack.Summary = "healthy"; s.stack.Mood = ui.Good })
	time.Sleep(3 * pace)
	b.Click("noscript a")
	b.Until("it is loaded again", func() bool { return strings.Contains(b.Text("#top"), "✓ healthy") })
}

// TestWhatSomebodyDoesWithThePageStaysAsItChanges unfolds, focuses, selects and scrolls.
func TestWhatSomebodyDoesWithThePageStaysAsItChanges(t *testing.T) {
	t.Parallel()
	b := browser.Open(t)
	s := &source{stack: busy()}
	at, path, _ := serve(t, s)
	b.Go("http://" + at + path)
	b.Resize(700, 900)
	b.Click("#resources summary")
	b.Run(`
		document.querySelector("#resources .graph").scrollLeft = 100;
		document.querySelector("#resources .graph").focus();
		getSelection().selectAllChildren(document.querySelector("#of-tasks"));`, nil)
	s.set(func(s *source) {
		s.stack.Parts = append(s.stack.Parts, picture.Part{Name: "alarm-5xx", State: "ready"})
		s.stack.Tasks = s.stack.Tasks[:1]
		s.stack.Summary = "healthy"
	})
	b.Until("the change is shown", func() bool {
		return strings.Contains(b.Text("#resources"), "alarm-5xx") && strings.Contains(b.Text("#news"), ": healthy")
	})
	var have struct {
		Open     bool
		Scrolled int
		Focus    string
		Selected string
		Title    string
	}
	b.Run(`return {open: document.querySelector("#resources details").open, scrolled: document.querySelector("#resources .graph").scrollLeft,
		focus: document.activeElement.className, selected: getSelection().toString(), title: document.title}`, &have)
	if !have.Open || have.Scrolled != 100 || have.Focus != "scroll graph" || have.Selected != "Tasks" || !strings.Contains(have.Title, ": healthy") {
		t.Errorf("after a change: %+v", have)
	}
	if wrong := b.Errors(); len(wrong) > 0 {
		t.Errorf("the console says: %v", wrong)
	}
}

// TestThePageKeepsUpWithManyLines has 500 lines written a second, with markup in each.
func TestThePageKeepsUpWithManyLines(t *testing.T) {
	t.Parallel()
	b := browser.Open(t)
	s := &source{stack: busy()}
	at, path, _ := serve(t, s)
	b.Go("http://" + at + path)
	var written int
	write := func(n int) {
		s.set(func(s *source) {
			for range n {
				written++
				s.lines = append(s.lines, ui.Line{Time: time.Now(), Task: "3f2a1b9c", Text: fmt.Sprintf("line %d of <b>many</b> %s", written, strings.Repeat("x", 100))})
			}
		})
	}
	for range 80 { // in 8 s
		write(50)
		time.Sleep(100 * time.Millisecond)
	}
	last := func() bool {
		return strings.Contains(b.Text("#lines p:last-child"), fmt.Sprintf("line %d of <b>many</b>", written))
	}
	b.Until("the last line is shown", last)
	var have struct{ Count, Gap, Markup int }
	b.Run(`return {count: document.querySelectorAll("#lines p").length, markup: document.querySelectorAll("#lines span *").length,
		gap: document.querySelector("#lines").scrollHeight - document.querySelector("#lines").scrollTop - document.querySelector("#lines").clientHeight}`, &have)
	if have.Count < 1000 || have.Count > 2000 || have.Gap > 2 || have.Markup != 0 {
		t.Errorf("after %d lines: %+v", written, have)
	}
	// Who scrolls up reads on there.
	b.Run(`document.querySelector("#lines").scrollTop = 500`, nil)
	b.Until("it does not follow", func() bool {
		var follows bool
		b.Run(`return document.querySelector("#follow").checked`, &follows)
		return !follows
	})
	write(10)
	b.Until("the new line is there", last)
	var top int
	b.Run(`return document.querySelector("#lines").scrollTop`, &top)
	if top != 500 {
		t.Errorf("somebody who reads at 500 is taken to %d", top)
	}
	b.Click("#follow")
	b.Fill("#filter", fmt.Sprintf("LINE %d ", written))
	var visible int
	b.Run(`return document.querySelectorAll("#lines p:not([hidden])").length`, &visible)
	if visible != 1 {
		t.Errorf("%d lines are left by the filter", visible)
	}
	// 5000 at once are more than is kept.
	b.Fill("#filter", "")
	write(5000)
	b.Until("the last of many is shown", last)
	if text := b.Text("#lines .gap"); !strings.Contains(text, "lines are left out") {
		t.Errorf("what is left out is reported as %q", text)
	}
	if wrong := b.Errors(); len(wrong) > 0 {
		t.Errorf("the console says: %v", wrong)
	}
}

// TestWhoReadsTheLogsKeepsThePlace filters while it reads, and has more lines come than are
// kept.
func TestWhoReadsTheLogsKeepsThePlace(t *testing.T) {
	t.Parallel()
	b := browser.Open(t)
	s := &source{stack: busy()}
	at, path, _ := serve(t, s)
	b.Go("http://" + at + path)
	b.Resize(1280, 900)
	written := 0
	write := func(n int) {
		t.Helper()
		s.set(func(s *source) {
			for range n {
				written++
				s.lines = append(s.lines, ui.Line{Time: time.Now(), Task: "3f2a1b9c", Text: fmt.Sprintf("line %d is %s", written, []string{"even", "odd"}[written%2])})
			}
		})
		b.Until("the last line is there", func() bool {
			var last string
			b.Run(`return document.querySelector("#lines").lastChild?.textContent || ""`, &last)
			return strings.Contains(last, fmt.Sprintf("line %d is", written))
		})
	}
	type state struct {
		Line    string
		Below   int
		Follows bool
	}
	// reads is what is at the top, when the browser has sent all events of what was done.
	reads := func() (have state) {
		t.Helper()
		b.Run(`return new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => {
			const lines = document.querySelector("#lines"), top = lines.getBoundingClientRect().top + lines.clientTop;
			const p = [...lines.children].find((p) => !p.hidden && p.getBoundingClientRect().bottom > top);
			done({line: p ? p.querySelector("span").textContent : "", below: p ? Math.round(p.getBoundingClientRect().top - top) : 0, follows: document.querySelector("#follow").checked});
		})))`, &have)
		return have
	}
	write(900)
	b.Run(`const lines = document.querySelector("#lines"); lines.scrollTop += lines.children[499].getBoundingClientRect().top - lines.getBoundingClientRect().top - lines.clientTop`, nil)
	begin := reads()
	if begin != (state{"line 500 is even", 0, false}) {
		t.Fatalf("it begins with %+v", begin)
	}
	for _, f := range []struct{ filter, line string }{{"odd", "line 501 is odd"}, {"line 500", "line 500 is even"}, {"no such line", ""}, {"", "line 500 is even"}} {
		b.Fill("#filter", f.filter)
		b.Run(`document.querySelector("#filter").dispatchEvent(new Event("input"))`, nil) // the driver sends none of what it clears
		if got := reads(); got.Line != f.line || got.Follows {
			t.Errorf("with the filter %q: %+v, want %s", f.filter, got, f.line)
		}
	}
	for range 3 {
		write(800)
	}
	b.Run(`const lines = document.querySelector("#lines"); lines.scrollTop += lines.children[2999].getBoundingClientRect().top - lines.getBoundingClientRect().top - lines.clientTop`, nil)
	begin = reads()
	write(800) // of these 4,100 lines the page drops the first
	var kept int
	b.Run(`return document.querySelectorAll("#lines p").length`, &kept)
	if got := reads(); kept != 2000 || got != begin || got.Line != "line 3000 is even" {
		t.Errorf("%d lines are kept; it reads %+v, and read %+v", kept, got, begin)
	}
	if wrong := b.Errors(); len(wrong) > 0 {
		t.Errorf("the console says: %v", wrong)
	}
}
