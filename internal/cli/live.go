package cli

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/bookctl/bookctl/internal/provision"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// liveReporter is the report on a terminal: a line for each resource in progress, a line for the
// whole run, and above them, permanently, what changed or failed.
// It is drawn by bubbletea and not by mpb, because a run has lines of text that appear,
// disappear and change their order, and no bar with a length. Here a frame is a function of
// the progress and the size of the terminal, and bubbletea draws it, also after a resize.
// It reads no input, so the terminal keeps its mode: Ctrl-C is a signal, which main
// handles, and nothing has to be restored if the program is killed.
type liveReporter struct {
	program *tea.Program
	out     *os.File
	colour  bool
	unwatch func() bool

	mu       sync.Mutex
	progress progress
	stopping string // why the run is on its way to an end, if it is
	closed   bool
	ended    <-chan error // nil before the first frame
}

func newLiveReporter(ctx context.Context, out *os.File, p progress, colour bool) *liveReporter {
	l := &liveReporter{out: out, progress: p, colour: colour}
	l.unwatch = context.AfterFunc(ctx, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.stopping = stopping(ctx)
	})
	return l
}

// begin starts to draw. Before that, lines are printed as they come, and questions can be
// asked.
func (l *liveReporter) begin(resources []provision.Resource) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.progress.begin(resources, time.Now())
	if l.ended != nil || l.closed {
		return
	}
	l.program = tea.NewProgram(frame{live: l}, tea.WithInput(nil), tea.WithOutput(l.out), tea.WithoutSignalHandler(), tea.WithFPS(20))
	l.ended = graph.Start(func() error {
		_, err := l.program.Run()
		return err
	})
}

func (l *liveReporter) note(format string, args ...any) { l.above(fmt.Sprintf(format, args...)) }

func (l *liveReporter) build(b build) { l.note("%s", b) }

// above prints a line that stays above the live rows.
func (l *liveReporter) above(text string) {
	l.mu.Lock()
	drawing, closed := l.ended != nil, l.closed
	l.mu.Unlock()
	switch {
	case closed: // a build that goes on alongside a run which has failed
	case drawing:
		l.program.Send(tea.Println(text)()) // which, unlike Println, does not wait for a program that has ended
	default:
		fmt.Fprintln(l.out, text)
	}
}

func (l *liveReporter) event(e graph.Event) {
	l.mu.Lock()
	l.progress.add(e)
	text := ""
	switch e.Kind {
	case graph.Done:
		if !l.progress.created[e.Node] && len(e.Changes) > 0 {
			text = l.paint(yellow, "updated") + "  " + e.Node + ": " + changesText(e.Changes)
		}
	case graph.Failed:
		text = l.paint(red, "failed") + "  " + e.Node + ": " + failure(e.Err)
	}
	l.mu.Unlock()
	if text != "" {
		l.above(text)
	}
}

func (l *liveReporter) close() {
	l.mu.Lock()
	ended, first := l.ended, !l.closed
	l.closed = true
	l.mu.Unlock()
	if !first {
		return
	}
	l.unwatch()
	if ended != nil {
		l.program.Quit()
		if err := <-ended; err != nil {
			fmt.Fprintln(l.out, "the live view ended early:", err)
		}
	}
}

// Colours of the terminal's palette, which its user chose.
const (
	red    = "31"
	green  = "32"
	yellow = "33"
	faint  = "2"
)

func (l *liveReporter) paint(colour, text string) string {
	if !l.colour {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

// frame is the live display at one moment, as bubbletea asks for it.
type frame struct {
	live          *liveReporter
	width, height int
}

// redrawInterval is how often elapsed times are drawn again.
const redrawInterval = 250 * time.Millisecond

type tick time.Time

func again() tea.Cmd { return tea.Tick(redrawInterval, func(t time.Time) tea.Msg { return tick(t) }) }

func (f frame) Init() tea.Cmd { return again() }

func (f frame) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch m := msg.(type) {
	case tea.WindowSizeMsg:
		f.width, f.height = m.Width, m.Height
	case tick:
		return f, again()
	}
	return f, nil
}

func (f frame) View() tea.View {
	f.live.mu.Lock()
	defer f.live.mu.Unlock()
	if f.live.closed || f.width == 0 {
		return tea.NewView("")
	}
	rows := f.live.rows(time.Now(), f.width, f.height)
	v := tea.NewView(strings.Join(rows, "\n"))
	// The cursor is not hidden, so a run that is killed need not restore it.
	v.Cursor = tea.NewCursor(0, len(rows)-1)
	return v
}

// rows draws the display for a terminal of that size. No row is wider than the terminal,
// and there are fewer rows than it has.
func (l *liveReporter) rows(now time.Time, width, height int) []string {
	var rows []string
	if text := l.progress.outcomes(); text != "" {
		rows = append(rows, l.paint(green, "✓")+" "+text)
	}
	active := l.progress.longest()
	room := max(height-4, 1)
	hidden := 0
	if len(active) > room {
		hidden = len(active) - (room - 1)
		active = active[:room-1]
	}
	names := 0
	for _, a := range active {
		names = min(max(names, len(a.name)), 28)
	}
	for _, a := range active {
		rows = append(rows, l.row(a, names, now, width))
	}
	if hidden > 0 {
		rows = append(rows, fmt.Sprintf("  … and %d more", hidden))
	}
	whole := l.progress.whole(now)
	if l.stopping != "" {
		whole += "; " + l.paint(yellow, l.stopping)
	}
	rows = append(rows, whole)
	for i, row := range rows {
		rows[i] = ansi.Truncate(row, width, "…")
	}
	return rows
}

// row is one resource in progress: its name, AWS's status, the elapsed time and the usual
// one. On a narrow terminal the note is shortened.
func (l *liveReporter) row(a *activity, names int, now time.Time, width int) string {
	time := minutes(now.Sub(a.begun))
	if a.usual > 0 {
		time += l.paint(faint, " of about "+minutes(a.usual))
	}
	note := a.doing
	if a.note != "" {
		note = a.note
	}
	room := max(min(width, 120)-2-names-2-1-ansi.StringWidth(time), 0)
	note = ansi.Truncate(note, room, "…")
	pad := strings.Repeat(" ", max(room-ansi.StringWidth(note), 0))
	return fmt.Sprintf("  %-*s  %s%s %s", names, ansi.Truncate(a.name, names, "…"), note, pad, time)
}
