#!/bin/sh
# What a command line says for a moment with Bubble Tea, as "nothing to do", is followed by
# characters at the shell's prompt that nobody has typed.
#
# Package:   charm.land/bubbletea/v2 v2.1.1, with github.com/creack/pty v1.1.24 as terminal
# Expected:  a program that asks its terminal something waits for the answer, or does not ask
#            when it's about to end.
# Behaviour: each program asks at its start whether the terminal has the modes 2026 and
#            2027. The question is written with the output, and if the program ends
#            before its first frame, after everything else: the last bytes, with the
#            terminal already given back. The answer then is input of the program that
#            reads next: "^[[?2026;2$y^[[?2027;0$y" on the command line. That a
#            program has no use for keys does not change it, nor does TERM=dumb. In a session
#            of SSH it does not ask, so that a test there sees nothing; with tea.WithInput(nil)
#            it doesn't either.
# Source:    Run and shouldQuerySynchronizedOutput in tea.go of that version;
#            https://github.com/charmbracelet/bubbletea/issues/1627
set -eu
dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
cd "$dir"
export GOPATH="$dir/go" GOFLAGS='-mod=mod -trimpath' GOWORK=off CGO_ENABLED=0
cat > go.mod <<'MOD'
module finding

go 1.26
MOD
cat > main.go <<'GO'
package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/creack/pty"
)

// brief says a line and ends after a while.
type brief time.Duration

func (b brief) Init() tea.Cmd {
	return tea.Tick(time.Duration(b), func(time.Time) tea.Msg { return tea.Quit() })
}
func (b brief) Update(tea.Msg) (tea.Model, tea.Cmd) { return b, nil }
func (b brief) View() tea.View                      { return tea.NewView("nothing to do\n") }

// next is the line that the next program reads, of which the user typed "ls".
func next(after time.Duration, input string) string {
	user, program, err := pty.Open()
	if err != nil {
		panic(err)
	}
	answered := make(chan struct{}, 10)
	go func() { // the terminal
		shown, seen := make([]byte, 4096), ""
		for {
			n, err := user.Read(shown)
			if err != nil {
				return
			}
			seen += string(shown[:n])
			for mode, answer := range map[string]string{"\x1b[?2026$p": "\x1b[?2026;2$y", "\x1b[?2027$p": "\x1b[?2027;0$y"} {
				if strings.Contains(seen, mode) {
					seen = strings.Replace(seen, mode, "", 1)
					time.Sleep(50 * time.Millisecond) // it's not on this machine
					fmt.Fprint(user, answer)
					answered <- struct{}{}
				}
			}
		}
	}()
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	cmd := exec.Command(self, after.String(), input)
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Env = program, program, program, []string{"TERM=xterm-256color"}
	if err := cmd.Run(); err != nil {
		panic(err)
	}
	for range 2 {
		select {
		case <-answered:
		case <-time.After(time.Second):
		}
	}
	fmt.Fprint(user, "ls\n")
	line, err := bufio.NewReader(program).ReadString('\n')
	if err != nil {
		panic(err)
	}
	return strings.TrimSuffix(line, "\n")
}

func main() {
	if len(os.Args) > 1 {
		after, err := time.ParseDuration(os.Args[1])
		if err != nil {
			panic(err)
		}
		var options []tea.ProgramOption
		if os.Args[2] == "none" {
			options = append(options, tea.WithInput(nil))
		}
		if _, err := tea.NewProgram(brief(after), options...).Run(); err != nil {
			panic(err)
		}
		return
	}
	short, without, long := next(time.Millisecond, "keys"), next(time.Millisecond, "none"), next(time.Second, "keys")
	fmt.Printf("the user types \"ls\"; after a brief program the shell reads %q, after one without input %q, after a longer one %q\n", short, without, long)
	if short == "ls" || !strings.HasSuffix(short, "ls") || without != "ls" || long != "ls" {
		fmt.Println("the behaviour has changed: more than was typed, after the brief program alone, was expected")
		os.Exit(1)
	}
}
GO
go get charm.land/bubbletea/v2@v2.1.1 github.com/creack/pty@v1.1.24
go build -o brief .
./brief
