// Package conformance takes a stack through its whole life on an emulator or in a real
// account, and reports the responses: plan, up, up again, drift by hand, scaling,
// destroy, restore, and an inventory of what is left. If a step fails, it is reported
// and the stack is deleted nevertheless. So somebody with an account can show how AWS
// behaves to those without one.
package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Output is the result of a run of bookctl.
type Output struct {
	Stdout, Stderr string
	Code           int
	Took           time.Duration
}

// Program runs bookctl and waits for it. If the context is cancelled, it interrupts
// bookctl, as Ctrl-C does.
type Program func(ctx context.Context, args ...string) (Output, error)

// Account changes a stack without bookctl, and lists what exists.
type Account interface {
	// ChangeByHand changes the stack without bookctl and returns the fields that a plan has to show.
	ChangeByHand(ctx context.Context, stack string) (fields []string, err error)
	// Inventory lists the stack's resources in the account, one line each, and the
	// kinds that could not be listed.
	Inventory(ctx context.Context, stack string) (owned, unknown []string)
}

// Options are the options of Run. Bookctl, Account and Stack are required.
type Options struct {
	Bookctl Program
	Account Account
	// Stack is the name of the stack that is created and deleted. It must be new.
	Stack string
	// Tasks means that the endpoint runs tasks and databases: Run waits for them and
	// uses them. Without it, Run waits for nothing and builds no image.
	Tasks bool
	// Restore creates the stack a second time, from the snapshot of the first.
	Restore bool
	// Use, which may be nil, uses the service at a URL. Again means that the data of
	// an earlier Use must exist.
	Use func(ctx context.Context, url string, again bool) error
	// Progress, which may be nil, gets a line for each step.
	Progress io.Writer
	// Timeout limits the deletion at the end; 0 means an hour.
	Timeout time.Duration
}

// Step is one step of a run.
type Step struct {
	Name    string
	Err     error
	Skipped bool
	Took    time.Duration
	// Note is a remark about a step that succeeded.
	Note string
}

// noImage refers to an image that nobody pulls, for endpoints that run no tasks.
var noImage = []string{"--arch", "amd64", "--image", "127.0.0.1:1/none@sha256:" + strings.Repeat("a", 64)}

// run is the state of Run.
type run struct {
	Options
	report Report
	exists bool // the stack may exist
	url    string
}

// Run takes a stack through its life. The report contains the errors of the steps; Run
// returns an error only if the stack may not be deleted.
func Run(ctx context.Context, o Options) (Report, error) {
	r := &run{Options: o, report: Report{Stack: o.Stack, Began: time.Now().UTC()}}
	r.steps(ctx)
	err := r.clean(ctx)
	r.report.Took = time.Since(r.report.Began)
	return r.report, err
}

// steps takes the steps. It skips those that need a stack if up has failed.
func (r *run) steps(ctx context.Context) {
	if r.step(ctx, "nothing of that name is there", r.untouched) != nil {
		r.exists = false
		return
	}
	_ = r.step(ctx, "plan of a new stack", func(ctx context.Context) (string, error) { return "", r.expectPlan(ctx, 2) })
	if r.step(ctx, "up", func(ctx context.Context) (string, error) { return r.up(ctx, false) }) == nil {
		_ = r.step(ctx, "up again changes nothing", r.upAgain)
		_ = r.step(ctx, "the service answers", func(ctx context.Context) (string, error) { return r.useService(ctx, false) })
		_ = r.step(ctx, "drift by hand is detected and repaired", r.drift)
		_ = r.step(ctx, "scaling on and off", r.scaling)
	} else {
		r.skip("up again changes nothing", "the service answers", "drift by hand is detected and repaired", "scaling on and off")
	}
	gone := r.step(ctx, "destroy keeps a snapshot", func(ctx context.Context) (string, error) { return r.destroy(ctx) })
	if !r.Restore {
		return
	}
	if gone != nil {
		r.skip("restore from the snapshot", "the data is there")
		return
	}
	if r.step(ctx, "restore from the snapshot", func(ctx context.Context) (string, error) { return r.up(ctx, false, "--restore", "latest") }) == nil {
		_ = r.step(ctx, "the data is there", func(ctx context.Context) (string, error) { return r.useService(ctx, true) })
	} else {
		r.skip("the data is there")
	}
}

// clean deletes everything of the stack, also after an interrupt, and checks that
// nothing is left.
func (r *run) clean(ctx context.Context) error {
	if !r.exists {
		return nil
	}
	timeout := r.Timeout
	if timeout == 0 {
		timeout = time.Hour
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	removed := r.step(ctx, "destroy with all snapshots", func(ctx context.Context) (string, error) { return r.destroy(ctx, "--purge-snapshots") })
	left := r.step(ctx, "an inventory finds nothing", func(ctx context.Context) (string, error) {
		owned, unknown := r.Account.Inventory(ctx, r.Stack)
		r.report.Left, r.report.Unlisted = owned, unknown
		if len(owned) > 0 {
			return "", fmt.Errorf("left: %s", strings.Join(owned, ", "))
		}
		if len(unknown) > 0 {
			return fmt.Sprintf("%d kinds could not be listed", len(unknown)), nil
		}
		return "", nil
	})
	return errors.Join(removed, left)
}

// step makes a step, unless the run was interrupted.
func (r *run) step(ctx context.Context, name string, do func(context.Context) (string, error)) error {
	if ctx.Err() != nil {
		r.skip(name)
		return context.Cause(ctx)
	}
	r.note("%s …", name)
	begun := time.Now()
	note, err := do(ctx)
	s := Step{Name: name, Err: err, Took: time.Since(begun), Note: note}
	r.report.Steps = append(r.report.Steps, s)
	r.note("%s: %s (%s)", name, s.outcome(), s.Took.Round(100*time.Millisecond))
	return err
}

func (r *run) skip(names ...string) {
	for _, name := range names {
		r.report.Steps = append(r.report.Steps, Step{Name: name, Skipped: true})
		r.note("%s: skipped", name)
	}
}

func (r *run) note(format string, args ...any) {
	if r.Progress != nil {
		fmt.Fprintf(r.Progress, format+"\n", args...)
	}
}

// call runs bookctl on the stack and adds the responses of the endpoint to the report.
func (r *run) call(ctx context.Context, args ...string) (Output, error) {
	out, err := r.Bookctl(ctx, append(args, "--stack", r.Stack, "--output", "json", "--verbose")...)
	r.report.addCalls(out)
	if err != nil {
		return out, fmt.Errorf("run bookctl %s: %w", args[0], err)
	}
	return out, nil
}

// expect runs bookctl and returns an error for any other exit code.
func (r *run) expect(ctx context.Context, code int, args ...string) (Output, error) {
	out, err := r.call(ctx, args...)
	if err != nil || out.Code == code {
		return out, err
	}
	return out, fmt.Errorf("bookctl %s ended with exit code %d and not %d%s", args[0], out.Code, code, out.failure())
}

// failure returns the error that bookctl printed.
func (o Output) failure() string {
	for line := range strings.Lines(o.Stdout) {
		var e struct{ Type, Error string }
		if json.Unmarshal([]byte(line), &e) == nil && e.Type == "error" {
			return ": " + e.Error
		}
	}
	return ""
}

func (r *run) image() []string {
	if r.Tasks {
		return nil
	}
	return noImage
}

// untouched checks that no such stack exists, so that Run does not delete somebody
// else's.
func (r *run) untouched(ctx context.Context) (string, error) {
	owned, _ := r.Account.Inventory(ctx, r.Stack)
	if len(owned) > 0 {
		return "", fmt.Errorf("there is something of stack %s already: %s", r.Stack, strings.Join(owned, ", "))
	}
	return "", nil
}

func (r *run) expectPlan(ctx context.Context, code int, args ...string) error {
	out, err := r.expect(ctx, code, slices.Concat([]string{"plan"}, r.image(), args)...)
	if err != nil && out.Code == 2 && code == 0 {
		return fmt.Errorf("%w: %s", err, strings.Join(changesOf(out), "; "))
	}
	return err
}

// up runs bookctl up and returns what it changed.
func (r *run) up(ctx context.Context, unchanged bool, args ...string) (string, error) {
	r.exists = true
	if !r.Tasks {
		args = append(args, "--wait=false")
	}
	out, err := r.expect(ctx, 0, slices.Concat([]string{"up", "--yes"}, r.image(), args)...)
	if err != nil {
		return "", err
	}
	var result struct {
		Created, Updated, APIReads, APIWrites int
		URL                                   string
	}
	if err := lastOf(out.Stdout, "result", &result); err != nil {
		return "", err
	}
	r.url = result.URL
	note := fmt.Sprintf("%d created, %d updated, %d reads, %d writes", result.Created, result.Updated, result.APIReads, result.APIWrites)
	if unchanged && result.APIWrites > 0 {
		return note, fmt.Errorf("%d writes although there was nothing to do: %s", result.APIWrites, strings.Join(changesOf(out), "; "))
	}
	return note, nil
}

func (r *run) upAgain(ctx context.Context) (string, error) {
	note, err := r.up(ctx, true)
	return note, errors.Join(err, r.expectPlan(ctx, 0))
}

func (r *run) useService(ctx context.Context, again bool) (string, error) {
	if !r.Tasks || r.Use == nil {
		return "not tried: the endpoint runs no tasks", nil
	}
	if _, err := r.expect(ctx, 0, "status"); err != nil {
		return "", err
	}
	return "", r.Use(ctx, r.url, again)
}

func (r *run) drift(ctx context.Context) (string, error) {
	fields, err := r.Account.ChangeByHand(ctx, r.Stack)
	if err != nil {
		return "", fmt.Errorf("change the stack by hand: %w", err)
	}
	out, err := r.expect(ctx, 2, append([]string{"plan"}, r.image()...)...)
	if err != nil {
		return "", err
	}
	changes := strings.Join(changesOf(out), "\n")
	for _, f := range fields {
		if !strings.Contains(changes, f) {
			err = errors.Join(err, fmt.Errorf("plan does not show the change of %q", f))
		}
	}
	if _, upErr := r.up(ctx, false); upErr != nil {
		return "", errors.Join(err, upErr)
	}
	return strings.Join(fields, ", "), errors.Join(err, r.expectPlan(ctx, 0))
}

func (r *run) scaling(ctx context.Context) (string, error) {
	if _, err := r.up(ctx, false, "--min", "1", "--max", "2"); err != nil {
		return "", err
	}
	if err := r.expectPlan(ctx, 0); err != nil {
		return "", err
	}
	if _, err := r.up(ctx, false, "--max", "0"); err != nil {
		return "", err
	}
	return "", r.expectPlan(ctx, 0)
}

func (r *run) destroy(ctx context.Context, args ...string) (string, error) {
	out, err := r.expect(ctx, 0, append([]string{"destroy", "--yes"}, args...)...)
	if err != nil {
		return "", err
	}
	var result struct {
		Deleted       int
		SnapshotsKept []json.RawMessage
	}
	_ = lastOf(out.Stdout, "result", &result) // there is none if the stack does not exist
	return fmt.Sprintf("%d deleted, %d snapshots kept", result.Deleted, len(result.SnapshotsKept)), nil
}

// lastOf decodes the last line of that type.
func lastOf(stdout, kind string, v any) error {
	found := ""
	for line := range strings.Lines(stdout) {
		var l struct{ Type string }
		if json.Unmarshal([]byte(line), &l) == nil && l.Type == kind {
			found = line
		}
	}
	if found == "" {
		return fmt.Errorf("bookctl wrote no line of type %s", kind)
	}
	if err := json.Unmarshal([]byte(found), v); err != nil {
		return fmt.Errorf("read the %s of bookctl: %w", kind, err)
	}
	return nil
}

// changesOf returns the fields that differ according to a plan or a run, one line each.
func changesOf(out Output) []string {
	type change struct{ Field, Have, Want, Blocked string }
	var all []string
	add := func(resource string, changes []change) {
		for _, c := range changes {
			all = append(all, strings.TrimSpace(fmt.Sprintf("%s: %s: %s → %s %s", resource, c.Field, c.Have, c.Want, c.Blocked)))
		}
	}
	for line := range strings.Lines(out.Stdout) {
		var l struct {
			Resource  string
			Changes   []change
			Resources json.RawMessage // a list in plans, and a number in events
		}
		if json.Unmarshal([]byte(line), &l) != nil {
			continue
		}
		add(l.Resource, l.Changes)
		var parts []struct {
			Resource string
			Changes  []change
		}
		if json.Unmarshal(l.Resources, &parts) == nil {
			for _, p := range parts {
				add(p.Resource, p.Changes)
			}
		}
	}
	return all
}
