package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/smithy-go"
	"github.com/spf13/cobra"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/provision"
	"github.com/bookctl/bookctl/internal/provision/graph"
	"github.com/bookctl/bookctl/internal/runlock"
)

// The exit codes, which exitCodes describes.
const (
	exitOK        = 0
	exitFailed    = 1
	exitChanges   = 2
	exitUnhealthy = 3
	exitAuth      = 4
	exitLocked    = 5
	exitLeft      = 6
	exitUsage     = 64
	exitCancelled = 130
)

const exitCodes = `Exit codes:
  0    done; for plan: nothing to do; for status: healthy
  1    failed
  2    plan: there are changes
  3    status: not healthy; local: the local cloud is not running
  4    no valid credentials, or access denied
  5    another run holds the stack's lock, or changed the stack meanwhile
  6    destroy: something could not be deleted
  64   usage error
  130  interrupted`

// schema names the version of the JSON output; see docs/output.schema.json.
const schema = "bookctl/v1"

// usageError is an error in the command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// exitError is an exit code whose error was reported already.
type exitError struct{ code int }

func (e exitError) Error() string { return fmt.Sprintf("exit code %d", e.code) }

// exitOf is the exit code that a program ended with: -1 if a signal ended it, and 0 if err is
// not the error of a program that ended.
func exitOf(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return 0
}

// outcome is the exit code of an error and its next step.
type outcome struct {
	code int
	next hint.Message
}

// outcomeOf finds the exit code and next step of an error.
func outcomeOf(err error) outcome {
	v := outcome{code: exitFailed, next: hint.Of(err)}
	var why explained
	cause := err // in its own words, which noCredentials reads
	if errors.As(err, &why) {
		v.next, cause = why.Hint, why.error
	}
	var (
		usage   usageError
		lock    *runlock.LockedError
		changed changedError
		apiErr  smithy.APIError
		profile config.SharedConfigProfileNotExistError
		auth    authError
	)
	switch {
	case errors.As(err, &usage):
		v.code = exitUsage
	case errors.Is(err, errInterrupted):
		v.code = exitCancelled
	case errors.Is(err, errNotRunning):
		v.code = exitUnhealthy
	case errors.As(err, &lock):
		v.code = exitLocked
		v.next = lock.Next()
	case errors.As(err, &changed):
		v.code = exitLocked
	case errors.As(err, &apiErr) && denied(apiErr.ErrorCode()), errors.As(err, &profile), errors.As(err, &auth), noCredentials(cause):
		v.code = exitAuth // explainError says what to do
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, graph.ErrTimeout):
		if v.next.Empty() {
			v.next = hint.New("run the same command again: it continues where this one stopped; %s says what is missing", hint.Command("status"))
		}
	case errors.Is(err, graph.ErrUnmanaged):
		if v.next.Empty() {
			v.next = hint.New("something else has this name: choose another with --stack, or delete that resource yourself")
		}
	case errors.Is(err, graph.ErrBlocked):
		if v.next.Empty() {
			v.next = hint.New("nothing was touched: leave out the flag that requires it, or undo the change by hand; otherwise the stack has to be created again with its data: %s, which keeps a snapshot, and then %s", hint.Command("destroy"), hint.Command("up", "--restore", "latest"))
		}
	}
	return v
}

// denied reports whether an AWS error code is about the caller's credentials or
// permissions.
func denied(code string) bool {
	switch code {
	case "AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthFailure",
		"ExpiredToken", "ExpiredTokenException", "RequestExpired", "InvalidClientTokenId",
		"UnrecognizedClientException", "SignatureDoesNotMatch", "InvalidSignatureException", "RequestTimeTooSkewed", "OptInRequired":
		return true
	}
	return false
}

// outOfTime adds to an error of --timeout what a read was for. For a run, the engine
// reports what it waited for.
func outOfTime(g *globals, err error) error {
	if g.timeout <= 0 || !errors.Is(err, context.DeadlineExceeded) || graph.Failures(err) != nil || strings.Contains(err.Error(), "--timeout") {
		return err
	}
	doing, _, _ := strings.Cut(err.Error(), ": operation error")
	doing, _ = strings.CutSuffix(doing, ": "+context.DeadlineExceeded.Error())
	var refused *provision.RefusedUntilError
	if errors.As(err, &refused) {
		doing += "; " + refused.Answer()
	}
	return hint.With(overtime{g.timeout, doing}, "give it more time with --timeout")
}

// overtime is the error of --timeout; it is a context.DeadlineExceeded.
type overtime struct {
	after time.Duration
	doing string // what was cut off, where that is known
}

func (o overtime) Error() string {
	return fmt.Sprintf("--timeout %s is over%s", o.after, wrapIfAny(": ", o.doing, ""))
}

func (o overtime) Unwrap() error { return context.DeadlineExceeded }

// interrupted returns how to continue after a command was interrupted; empty for commands
// that only read.
func interrupted(cmd *cobra.Command, g *globals) hint.Message {
	switch cmd.Name() {
	case "up":
		if g.hadService {
			return hint.New("what was created or changed is kept: run the same command again to continue")
		}
		return hint.New("what was created is kept: run the same command again to continue, or %s to remove it", hint.Command("destroy"))
	case "destroy":
		return hint.New("what was deleted stays deleted, and the rest is unchanged: run the same command again to continue")
	case "restart":
		return hint.New("ECS continues the restart by itself; %s shows its progress", hint.Command("status"))
	case "pause":
		return hint.New("run the same command again to continue, or %s to have the stack serve", hint.Command("resume"))
	case "resume", "rollback", "rotate-password", "set", "unset":
		return hint.New("run the same command again to continue")
	}
	return hint.Message{}
}

// explain prints what went wrong, once, and returns the exit code.
func explain(s streams, g *globals, cmd *cobra.Command, err error) int {
	var done exitError
	if errors.As(err, &done) {
		return done.code
	}
	if strings.HasPrefix(err.Error(), "unknown command") || strings.HasPrefix(err.Error(), "accepts ") || strings.HasPrefix(err.Error(), "requires at least ") {
		err = mistyped(g, cmd, err)
	}
	err = explainError(outOfTime(g, err))
	v := outcomeOf(err)
	if errors.Is(err, errInterrupted) && !errors.Is(err, errUntouched) && v.next.Empty() {
		v.next = interrupted(cmd, g)
	}
	if v.code == exitUsage && v.next.Empty() {
		v.next = hint.New("%s shows the flags and arguments", hint.Command(append(strings.Fields(cmd.CommandPath())[1:], "--help")...))
	}
	text, next := hint.Text(err, g.showCommand), v.next.Show(g.showCommand)
	if g.wantsJSONError() {
		document := errorDocument{head: headOf("error"), Error: text, Next: next, Exit: v.code}
		inFull(err, &document)
		_ = encode(s.out, document) // a closed pipe has no reader
		return v.code
	}
	for i, line := range messages(text) {
		if i == 0 {
			line = "bookctl: " + line
		} else {
			line = "         " + line
		}
		fmt.Fprintln(s.err, line)
	}
	if next != "" {
		fmt.Fprintln(s.err, "next: "+next)
	}
	var fault *graph.Panic
	if g.verbose {
		printInFull(s.err, err)
		if errors.As(err, &fault) {
			fmt.Fprintf(s.err, "%s", fault.Stack)
		}
	}
	return v.code
}

// faultNext is the next step after a bug of bookctl.
const faultNext = "run the same command again with --verbose, and report what it prints, which ends with where the fault is; what was created is kept"

// wantsJSONError reports whether errors are printed as JSON, even if the command line could not
// be parsed completely.
func (g *globals) wantsJSONError() bool {
	format := os.Getenv("BOOKCTL_OUTPUT")
	for i, w := range g.args {
		value, is := strings.CutPrefix(w, "--output=")
		switch {
		case is:
			format = value
		case w == "--output" && i+1 < len(g.args):
			format = g.args[i+1]
		case w == "--":
			return format == "json"
		}
		// Short flags without a value may come before it, as in -qo json.
		if value, is := strings.CutPrefix(strings.TrimLeft(w, "dfqvwy-"), "o"); is && strings.HasPrefix(w, "-") && !strings.HasPrefix(w, "--") {
			format = strings.TrimPrefix(value, "=")
			if value == "" && i+1 < len(g.args) {
				format = g.args[i+1]
			}
		}
	}
	return format == "json"
}

// messages splits joined errors into a line each.
func messages(text string) []string {
	return strings.Split(strings.TrimSpace(text), "\n")
}
