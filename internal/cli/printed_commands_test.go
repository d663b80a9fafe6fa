package cli_test

import (
	"regexp"
	"strings"
	"testing"
)

// printed is a command of bookctl in a message.
var printed = regexp.MustCompile(`'bookctl ([^'\n]+)'`)

// ofNoStack are the commands that act on no stack.
var ofNoStack = regexp.MustCompile(`^(local|man|version|help|completion|list)\b|--help`)

// checkPrintedCommands holds the commands that a run printed against its own: pasted into the
// shell they have to act on the same stack of the same cloud.
func (r result) checkPrintedCommands(t *testing.T, args []string) {
	t.Helper()
	var flags, deploys []string
	for i, a := range args {
		switch a {
		case "--":
			return
		case "--local":
			flags = append(flags, a)
		case "--stack", "-s":
			if args[0] == "init" { // the file that it writes has it
				continue
			}
			flags = append(flags, "--stack "+args[i+1])
		case "--source":
			deploys = append(deploys, "--source "+args[i+1])
		}
	}
	for _, m := range printed.FindAllStringSubmatch(r.out+r.err, -1) {
		for _, flag := range flags {
			if !ofNoStack.MatchString(m[1]) && !strings.Contains(m[1], flag) {
				t.Errorf("bookctl %s prints %s, which is not of the same stack and cloud", strings.Join(args, " "), m[0])
			}
		}
		for _, flag := range deploys {
			if strings.HasPrefix(m[1], "up ") && !strings.Contains(m[1], "--image REFERENCE") && !strings.Contains(m[1], "--dockerfile ") && !strings.Contains(m[1], flag) {
				t.Errorf("bookctl %s prints %s, which deploys another source", strings.Join(args, " "), m[0])
			}
		}
	}
}

// TestPrintedCommandsSayWhatTheEnvironmentSaid: it may have been said for one
// command alone.
func TestPrintedCommandsSayWhatTheEnvironmentSaid(t *testing.T) {
	t.Parallel()
	s := newShell(t, "BOOKCTL_LOCAL=true", "BOOKCTL_STACK=demo")
	s.must("local", "start")
	s.run("destroy").says(t, 64, "'bookctl destroy --local --stack demo --yes'")
	s.run("logs").says(t, 1, "'bookctl up --local --stack demo' creates it; if it is somewhere else, use --local=false")
	s.run("logs", "--stack", "other").says(t, 1, "'bookctl up --local --stack other' creates it")
}

// TestPrintedCommandsCanBePasted leads a stack from nothing to nothing by what
// each command says is next.
func TestPrintedCommandsCanBePasted(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	s.must("local", "start")
	target := []string{"--local", "--stack", "demo"}
	run := func(code int, args ...string) result {
		t.Helper()
		r := s.run(append(args, target...)...)
		r.says(t, code)
		return r
	}
	// paste runs the command that begins so in a message, with what the test adds.
	paste := func(code int, from result, begins string, add ...string) result {
		t.Helper()
		for _, m := range printed.FindAllStringSubmatch(from.out+from.err, -1) {
			if strings.HasPrefix(m[1], begins) {
				r := s.run(append(strings.Fields(m[1]), add...)...)
				r.says(t, code)
				return r
			}
		}
		t.Fatalf("no command that begins with %q is printed:\n%s%s", begins, from.out, from.err)
		return result{}
	}
	quick := imageless()

	paste(0, run(64, "upp"), "up", quick...) // a mistyped command
	run(3, "status")
	run(0, append([]string{"up", "--protect"}, quick...)...)
	paste(0, run(1, "destroy", "--yes"), "up", quick...) // turns the protection off
	kept := run(0, "destroy", "--yes")
	if !strings.Contains(kept.err, "a final snapshot taken") {
		t.Errorf("the final snapshot is not reported:\n%s", kept.err)
	}
	paste(0, run(1, "logs"), "up --local --stack demo --restore latest", quick...)
	kept = run(0, "destroy", "--yes")
	paste(0, kept, "destroy", "--yes")
	gone := run(0, "destroy", "--yes")
	gone.says(t, 0, "Nothing to delete: there is no stack demo in the local cloud")
	if list := s.run("list", "--local"); list.out != "" {
		t.Errorf("what was pasted went to another stack:\n%s", list.out)
	}
}
