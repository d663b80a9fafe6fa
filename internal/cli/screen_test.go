package cli_test

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/creack/pty"
)

// terminal is a pseudo-terminal with a program in it, and what a person sees
// there: the screen, and what scrolled off its top.
type terminal struct {
	t    *testing.T
	cmd  *exec.Cmd
	pty  *os.File
	done chan struct{}

	mu      sync.Mutex
	cols    int
	rows    int
	lines   [][]rune // all lines ever, the screen being the last rows of them
	top     int      // index of the screen's first line
	x, y    int      // of the cursor, y from the top of the screen
	pending []byte   // an escape sequence or rune that is not complete yet
	hidden  bool     // the cursor is
	wrapped bool     // a line was written beyond the right edge
	raw     strings.Builder
}

// openTerminal runs a command in a terminal of the size.
func openTerminal(t *testing.T, cmd *exec.Cmd, cols, rows int) *terminal {
	t.Helper()
	f, err := pty.StartWithSize(cmd, &pty.Winsize{Cols: uint16(cols), Rows: uint16(rows)})
	if err != nil {
		t.Fatal(err)
	}
	m := &terminal{t: t, cmd: cmd, pty: f, cols: cols, rows: rows, done: make(chan struct{})}
	go func() {
		defer close(m.done)
		buffer := make([]byte, 4096)
		for {
			n, err := f.Read(buffer)
			m.mu.Lock()
			m.raw.Write(buffer[:n])
			m.feed(buffer[:n])
			m.mu.Unlock()
			if err != nil {
				return // EIO: the program has ended
			}
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = f.Close()
		<-m.done
	})
	return m
}

// resize makes the terminal another size, of which its program is notified. What
// is on the screen stays where it is and is cut off at the edge.
func (m *terminal) resize(cols, rows int) {
	m.t.Helper()
	m.mu.Lock()
	m.cols, m.rows = cols, rows
	for i, l := range m.lines {
		if len(l) > cols {
			m.lines[i] = l[:cols]
		}
	}
	if m.y >= rows {
		m.top += m.y - rows + 1
		m.y = rows - 1
	}
	m.x = min(m.x, cols-1)
	m.mu.Unlock()
	if err := pty.Setsize(m.pty, &pty.Winsize{Cols: uint16(cols), Rows: uint16(rows)}); err != nil {
		m.t.Fatal(err)
	}
}

// press types keys.
func (m *terminal) press(keys string) {
	m.t.Helper()
	if _, err := io.WriteString(m.pty, keys); err != nil {
		m.t.Fatal(err)
	}
}

// wait returns the program's exit code.
func (m *terminal) wait() int {
	m.t.Helper()
	err := m.cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		m.t.Fatal(err)
	}
	select { // whatever it left running may hold the terminal open
	case <-m.done:
	case <-time.After(5 * time.Second):
	}
	if s, ok := m.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && s.Signaled() {
		return 128 + int(s.Signal())
	}
	return m.cmd.ProcessState.ExitCode()
}

// text is all that can be seen, scrolled back.
func (m *terminal) text() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.show(0)
}

// screen is what can be seen without scrolling.
func (m *terminal) screen() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.show(m.top)
}

func (m *terminal) show(from int) string {
	var out []string
	for _, l := range m.lines[min(from, len(m.lines)):] {
		out = append(out, strings.TrimRight(string(l), " "))
	}
	return strings.TrimRight(strings.Join(out, "\n"), "\n")
}

func (m *terminal) line() *[]rune {
	for len(m.lines) <= m.top+m.y {
		m.lines = append(m.lines, nil)
	}
	return &m.lines[m.top+m.y]
}

func (m *terminal) put(r rune) {
	if m.x >= m.cols {
		m.wrapped = true
		m.x = 0
		m.down()
	}
	l := m.line()
	for len(*l) <= m.x {
		*l = append(*l, ' ')
	}
	(*l)[m.x] = r
	m.x++
}

func (m *terminal) down() {
	if m.y++; m.y >= m.rows {
		m.y = m.rows - 1
		m.top++
	}
	m.line()
}

// feed is what a terminal does with bytes.
func (m *terminal) feed(data []byte) {
	data = append(m.pending, data...)
	m.pending = nil
	for len(data) > 0 {
		switch c := data[0]; {
		case c == '\x1b':
			n := m.escape(data)
			if n == 0 {
				m.pending = append([]byte(nil), data...)
				return
			}
			data = data[n:]
			continue
		case c == '\n':
			m.down()
		case c == '\r':
			m.x = 0
		case c == '\b':
			m.x = max(m.x-1, 0)
		case c == '\t':
			m.x = min((m.x/8+1)*8, m.cols-1)
		case c < ' ':
		case c < 0x80:
			m.put(rune(c))
		default:
			if !utf8.FullRune(data) {
				m.pending = append([]byte(nil), data...)
				return
			}
			r, size := utf8.DecodeRune(data)
			m.put(r)
			data = data[size:]
			continue
		}
		data = data[1:]
	}
}

// escape handles one control sequence and returns its length, or 0 when it is
// not complete.
func (m *terminal) escape(data []byte) int {
	if len(data) < 2 {
		return 0
	}
	switch data[1] {
	case 'M': // reverse index
		m.y = max(m.y-1, 0)
		return 2
	case ']': // a title, ended by BEL or ST
		for i := 2; i < len(data); i++ {
			if data[i] == '\a' {
				return i + 1
			}
			if data[i] == '\\' && data[i-1] == '\x1b' {
				return i + 1
			}
		}
		return 0
	case '[':
	default:
		return 2
	}
	end := 2
	for end < len(data) && (data[end] < '@' || data[end] > '~') {
		end++
	}
	if end == len(data) {
		return 0
	}
	arguments, final := string(data[2:end]), data[end]
	n := func(otherwise int) int {
		first, _, _ := strings.Cut(arguments, ";")
		if v, err := strconv.Atoi(first); err == nil {
			return v
		}
		return otherwise
	}
	switch final {
	case 'A':
		m.y = max(m.y-n(1), 0)
	case 'B':
		m.y = min(m.y+n(1), m.rows-1)
	case 'C':
		m.x = min(m.x+n(1), m.cols-1)
	case 'D':
		m.x = max(m.x-n(1), 0)
	case 'E':
		m.x, m.y = 0, min(m.y+n(1), m.rows-1)
	case 'F':
		m.x, m.y = 0, max(m.y-n(1), 0)
	case 'G', '`':
		m.x = min(n(1), m.cols) - 1
	case 'd':
		m.y = min(n(1), m.rows) - 1
	case 'H':
		_, column, _ := strings.Cut(arguments, ";")
		x, err := strconv.Atoi(column)
		if err != nil {
			x = 1
		}
		m.x, m.y = min(x, m.cols)-1, min(n(1), m.rows)-1
	case 'J':
		m.eraseLine(n(0))
		switch n(0) {
		case 0:
			m.lines = m.lines[:min(m.top+m.y+1, len(m.lines))]
		case 2:
			m.lines = m.lines[:min(m.top, len(m.lines))]
		}
	case 'K':
		m.eraseLine(n(0))
	case 'X':
		l := m.line()
		for i := m.x; i < m.x+n(1) && i < len(*l); i++ {
			(*l)[i] = ' '
		}
	case 'P':
		if l := m.line(); m.x < len(*l) {
			*l = append((*l)[:m.x], (*l)[min(m.x+n(1), len(*l)):]...)
		}
	case 'L':
		m.line()
		at := m.top + m.y
		for range n(1) {
			m.lines = append(m.lines[:at], append([][]rune{nil}, m.lines[at:]...)...)
		}
		m.lines = m.lines[:min(len(m.lines), m.top+m.rows)]
	case 'M':
		m.line()
		at := m.top + m.y
		m.lines = append(m.lines[:at], m.lines[min(at+n(1), len(m.lines)):]...)
	case 'S':
		m.top += n(1)
	case 'h', 'l':
		if arguments == "?25" {
			m.hidden = final == 'l'
		}
	case 'm', 'p', 'q', 'u', 'r', 'n', 't', 'c': // colours, modes and questions show nothing
	default:
		m.t.Errorf("the program sends the control sequence %q, which this terminal does not know", data[:end+1])
	}
	return end + 1
}

func (m *terminal) eraseLine(how int) {
	l := m.line()
	switch how {
	case 0:
		*l = (*l)[:min(m.x, len(*l))]
	case 1:
		for i := 0; i <= m.x && i < len(*l); i++ {
			(*l)[i] = ' '
		}
	case 2:
		*l = nil
	}
}
