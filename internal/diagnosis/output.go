package diagnosis

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/bookctl/bookctl/internal/pattern"
)

// A program that the Go runtime ends says why in one line, and then at length
// where each of its goroutines was.
var (
	ending    = pattern.New(`^(panic: |fatal error: |SIG[A-Z]+: )`)
	goroutine = pattern.New(`^goroutine \d+.*\[`)
	codeLine  = pattern.New(`^\s+(\S+\.go:\d+)`)
	erring    = pattern.New(`(?i)^(error|fatal|critical)\b|\blevel=(error|fatal)\b`)
)

// causes picks from what a program wrote the lines that say why it ended, each in
// quotes: that of a panic, with its place, and the last error. Where there is
// neither, it returns the last lines.
func causes(lines []string) []string {
	var out []string
	before := lines
	if at := slices.IndexFunc(lines, ending.MatchString); at >= 0 {
		out, before = []string{quoted(lines[at]) + place(lines[at+1:])}, lines[:at]
	}
	for _, line := range slices.Backward(before) {
		if text, is := message(line); is || erring.MatchString(text) {
			return append(out, quoted(text))
		}
	}
	if out != nil {
		return out
	}
	for _, line := range slices.Backward(lines) {
		if text, _ := message(line); text != "" && len(out) < 3 {
			out = append(out, quoted(text))
		}
	}
	slices.Reverse(out)
	return out
}

// message is a line's words, also of a structured one, of which the level may say
// that it is an error.
func message(line string) (text string, isError bool) {
	var l struct{ Level, Msg, Reason, Error string }
	if json.Unmarshal([]byte(line), &l) == nil && l.Msg != "" {
		return l.Msg + after(": ", cmp.Or(l.Error, l.Reason)), l.Level == "ERROR"
	}
	return strings.TrimSpace(line), false
}

// place is where a panic happened: the first frame of its trace that is not the
// runtime's own, or "".
func place(after []string) string {
	inTrace := false
	for _, line := range after {
		inTrace = inTrace || goroutine.MatchString(line)
		if m := codeLine.FindStringSubmatch(line); inTrace && m != nil && !strings.Contains(m[1], "runtime/") {
			return " at " + m[1]
		}
	}
	return ""
}

// longestQuote is how much of one line is quoted.
const longestQuote = 200

func quoted(line string) string { return fmt.Sprintf("%q", cut(line, longestQuote)) }

// sentence is text that a full stop can follow.
func sentence(text string) string { return strings.TrimRight(strings.TrimSpace(text), ". ") }

// after is text behind a separator, or "" where there is no text.
func after(separator, text string) string {
	if text == "" {
		return ""
	}
	return separator + text
}

// cut shortens a text to so many characters.
func cut(text string, most int) string {
	if r := []rune(text); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return text
}
