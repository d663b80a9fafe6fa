package ui

import (
	"strings"
	"time"

	"github.com/bookctl/bookctl/internal/pattern"
)

const (
	// keptLines is how many lines a page begins with, and a slow one may be behind.
	keptLines = 1000
	// longestLine is how much of a line is shown, in bytes; CloudWatch takes 1 MB.
	longestLine = 4000
)

// shownLine is a line as the page has it.
type shownLine struct {
	Time  string `json:"time"`
	Clock string `json:"clock"`
	Task  string `json:"task"`
	Text  string `json:"text"`
}

// control are the characters that colour a terminal, and those that do nothing good
// elsewhere.
var control = pattern.New("\x1b\\[[0-9;:?]*[ -/]*[@-~]|\x1b\\][^\x07\x1b]*(?:\x07|\x1b\\\\)|[\x00-\x08\x0b-\x1f\x7f]")

func shown(l Line) shownLine {
	said := l.Text
	if len(said) > longestLine {
		said = strings.ToValidUTF8(said[:longestLine], "") + "…"
	}
	task := l.Task
	return shownLine{Time: stamp(l.Time), Clock: l.Time.UTC().Format("15:04:05.000"), Task: task[:min(8, len(task))], Text: control.ReplaceAllString(said, "")}
}

func (l shownLine) markup() markup {
	return element("p", nil, element("time", with("datetime", l.Time), text(l.Clock)), " ", element("b", nil, text(l.Task)), " ", element("span", nil, text(l.Text)))
}

// position is how far somebody has read. Its zero value is before the first line.
type position struct {
	// epoch is which reading of the logs the lines are of, from 1 on, and next the number
	// of the first line that was not read.
	epoch, next int
}

// tail are the last lines that were read.
type tail struct {
	epoch int
	first int // the number of lines[0]
	lines []shownLine
}

// restart forgets what was read: what follows does not go on from there.
func (t *tail) restart() { t.epoch, t.first, t.lines = t.epoch+1, 0, nil }

// add adds lines, before which so many came that nobody kept.
func (t *tail) add(lines []shownLine, dropped int) {
	if dropped > 0 {
		t.first, t.lines = t.first+len(t.lines)+dropped, nil
	}
	t.lines = append(t.lines, lines...)
	if extra := len(t.lines) - keptLines; extra > 0 {
		t.first += extra
		t.lines = append([]shownLine(nil), t.lines[extra:]...) // readers may hold what was
	}
}

// since are the lines behind a position, and the position behind them. Missed is how
// many came in between and are not kept; anew says that they don't go on from there.
func (t *tail) since(p position) (lines []shownLine, next position, missed int, anew bool) {
	next = position{t.epoch, t.first + len(t.lines)}
	if p.epoch != t.epoch {
		return t.lines, next, 0, true
	}
	from := min(max(p.next-t.first, 0), len(t.lines))
	return t.lines[from:], next, max(t.first-p.next, 0), false
}

// lookBack is how far back a reading of the logs begins, until there are some lines: a
// service that writes much has them within a minute, and one that writes little takes
// no time to be read.
var lookBack = []time.Duration{time.Minute, 10 * time.Minute, time.Hour}

// someLines are enough to begin with.
const someLines = 50
