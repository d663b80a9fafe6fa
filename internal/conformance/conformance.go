// Package conformance takes a stack through its whole life on whatever speaks AWS's
// APIs, an emulator or a real account, and writes down what that answered: plan, up,
// up again, drift by hand, scaling, destroy, restore, and an inventory of what is
// left. A step that fails is reported and the stack is removed all the same. It is how
// somebody with an account tells those who have none what AWS does.
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

// Output is what a run of bookctl left.
type Output struct {
	Stdout, Stderr string
	Code           int
	Took           time.Duration
}

// Program runs bookctl. A cancelled context interrupts it, as Ctrl-C does, and it is
// waited for.
type Program func(ctx context.Context, args ...string) (Output, error)

// Hands change a stack behind bookctl's back, and look at what is there without it.
type Hands interface {
	// Drift changes the stack by hand and returns the fields that a plan has to show.
	Drift(ctx context.Context, stack string) (fields []string, err error)
	// Inventory lists what the account has of the stack, a line each, and what could
	// not be listed.
	Inventory(ctx context.Context, stack string) (owned, unknown []string)
}

// Options say what is tried, and where.
type Options struct {
	Bookctl Program
	Hands   Hands
	// Stack is the name of the stack that is made and removed. It must be new.
	Stack string
	// Tasks says that the endpoint runs tasks and databases, so that they are waited
	// for and used. Without it, nothing is waited for, and no image is built.
	Tasks bool
	// Restore has the stack made a second time, from the snapshot of the first.
	Restore bool
	// Use, which may be nil, uses the service at a URL; again says that its data is
	// from before.
	Use func(ctx context.Context, url string, again bool) error
	// Progress, which may be nil, is told each step in a line.
	Progress io.Writer
	// Timeout bounds the removal at the end; 0 means an hour.
	Timeout time.Duration
}

// Step is one thing that was tried.
type Step struct {
	Name    string
	Err     error
	Skipped bool
	Took    time.Duration
	// Note is what there is to say of a step that went well.
	Note string
}

// noImage is the reference of an image that nobody pulls, for endpoints that run no tasks.
var noImage = []string{"--arch", "amd64", "--image", "127.0.0.1:1/none@sha256:" + strings.Repeat("a", 64)}

// run is one run of the program.
type run struct {
	Options
	report Report
	exists bool // there may be a stack
	url    string
}

// Run takes a stack through its life. The report tells what went wrong; an error is
// returned only for a stack that may be left behind.
func Run(ctx context.Context, o Options) (Report, error) {
	r := &run{Options: o, report: Report{Stack: o.Stack, Began: time.Now().UTC()}}
	r.life(ctx)
	err := r.clean(ctx)
	r.report.Took = time.Since(r.report.Began)
	return r.report, err
}

// life does the steps. One whose stack did not come up is skipped.
func (r *run) life(ctx context.Context) {
	if r.step(ctx, "nothing of that name is there", r.untouched) != nil {
		r.exists = false
		return
	}
	_ = r.step(ctx, "plan of a new stack", func(ctx context.Context) (string, error) { return "", r.plans(ctx, 2) })
	if r.step(ctx, "up", func(ctx context.Context) (string, error) { return r.up(ctx, false) }) == nil {
		_ = r.step(ctx, "up again changes nothing", r.upAgain)
		_ = r.step(ctx, "the service answers", func(ctx context.Context) (string, error) { return r.use(ctx, false) })
		_ = r.step(ctx, "drift by hand is seen and repaired", r.drift)
		_ = r.step(ctx, "scaling on and off", r.scaling)
	} else {
		r.skip("up again changes nothing", "the service answers", "drift by hand is seen and repaired", "scaling on and off")
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
		_ = r.step(ctx, "the data is there", func(ctx context.Context) (string, error) { return r.use(ctx, true) })
	} else {
		r.skip("the data is there")
	}
}

// clean removes whatever there may be of the stack, also of a run that was
// interrupted, and looks whether anything is left.
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
		owned, unknown := r.Hands.Inventory(ctx, r.Stack)
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

// step does one thing, unless the run was interrupted.
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

// call runs bookctl on the stack and adds what the endpoint answered to the report.
func (r *run) call(ctx context.Context, args ...string) (Output, error) {
	out, err := r.Bookctl(ctx, append(args, "--stack", r.Stack, "--output", "json", "--verbose")...)
	r.report.learn(out)
	if err != nil {
		return out, fmt.Errorf("run bookctl %s: %w", args[0], err)
	}
	return out, nil
}

// expect runs bookctl and wants an exit code.
func (r *run) expect(ctx context.Context, code int, args ...string) (Output, error) {
	out, err := r.call(ctx, args...)
	if err != nil || out.Code == code {
		return out, err
	}
	return out, fmt.Errorf("bookctl %s ended with exit code %d and not %d%s", args[0], out.Code, code, out.why())
}

// why is the error that bookctl told.
func (o Output) why() string {
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

// untouched makes sure that a stack of somebody's own is not taken for the run's.
func (r *run) untouched(ctx context.Context) (string, error) {
	owned, _ := r.Hands.Inventory(ctx, r.Stack)
	if len(owned) > 0 {
		return "", fmt.Errorf("there is something of stack %s already: %s", r.Stack, strings.Join(owned, ", "))
	}
	return "", nil
}

func (r *run) plans(ctx context.Context, code int, args ...string) error {
	out, err := r.expect(ctx, code, slices.Concat([]string{"plan"}, r.image(), args)...)
	if err != nil && out.Code == 2 && code == 0 {
		return fmt.Errorf("%w: %s", err, strings.Join(changesOf(out), "; "))
	}
	return err
}

// up brings the stack up and returns what it changed.
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
		return note, fmt.Errorf("%d writes where there was nothing to do: %s", result.APIWrites, strings.Join(changesOf(out), "; "))
	}
	return note, nil
}

func (r *run) upAgain(ctx context.Context) (string, error) {
	note, err := r.up(ctx, true)
	return note, errors.Join(err, r.plans(ctx, 0))
}

func (r *run) use(ctx context.Context, again bool) (string, error) {
	if !r.Tasks || r.Use == nil {
		return "not tried: the endpoint runs no tasks", nil
	}
	if _, err := r.expect(ctx, 0, "status"); err != nil {
		return "", err
	}
	return "", r.Use(ctx, r.url, again)
}

func (r *run) drift(ctx context.Context) (string, error) {
	fields, err := r.Hands.Drift(ctx, r.Stack)
	if err != nil {
		return "", fmt.Errorf("change the stack by hand: %w", err)
	}
	out, err := r.expect(ctx, 2, append([]string{"plan"}, r.image()...)...)
	if err != nil {
		return "", err
	}
	seen := strings.Join(changesOf(out), "\n")
	for _, f := range fields {
		if !strings.Contains(seen, f) {
			err = errors.Join(err, fmt.Errorf("plan does not show the change of %q", f))
		}
	}
	if _, upErr := r.up(ctx, false); upErr != nil {
		return "", errors.Join(err, upErr)
	}
	return strings.Join(fields, ", "), errors.Join(err, r.plans(ctx, 0))
}

func (r *run) scaling(ctx context.Context) (string, error) {
	if _, err := r.up(ctx, false, "--min", "1", "--max", "2"); err != nil {
		return "", err
	}
	if err := r.plans(ctx, 0); err != nil {
		return "", err
	}
	if _, err := r.up(ctx, false, "--max", "0"); err != nil {
		return "", err
	}
	return "", r.plans(ctx, 0)
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
	_ = lastOf(out.Stdout, "result", &result) // of a stack that is gone there is none
	return fmt.Sprintf("%d deleted, %d snapshots kept", result.Deleted, len(result.SnapshotsKept)), nil
}

// lastOf decodes the last line of a type.
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

// changesOf are the fields that a plan or a run says differ, a line each.
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
