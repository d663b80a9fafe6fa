package kill_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bookctl/bookctl/internal/localcloud"
	"github.com/bookctl/bookctl/internal/localcloud/memory"
	"github.com/bookctl/bookctl/internal/preflight"
	"github.com/bookctl/bookctl/internal/provision"
	"github.com/bookctl/bookctl/internal/provision/graph"
	"github.com/bookctl/bookctl/internal/runlock"
	"github.com/bookctl/bookctl/internal/runlock/parameterstore"
)

// callsFile has how many calls each run may make; UPDATE_CALLS=1 writes it.
const callsFile = "testdata/calls.txt"

// TestCallsPerRun counts the calls of a stack's life on a cloud that takes as long as
// AWS does, by a clock of its own: so that it is polled as AWS would be. No run may make
// more of any operation than the file says.
func TestCallsPerRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var count calls
		a := &account{image: noImage}
		a.open(t, localcloud.Config{StateDir: t.TempDir(), Runtimes: memory.Runtimes, Latencies: localcloud.TypicalLatencies(), Journal: count.add}, 8080)
		time.Sleep(time.Minute) // the name of the lock is free again
		var out strings.Builder
		for _, run := range []struct {
			name string
			do   func(context.Context) error
		}{
			{"first up", a.wholeUp}, {"up with nothing to do", a.wholeUp}, {"status", a.wholeStatus}, {"destroy", a.wholeDestroy},
		} {
			count.take()
			begun := time.Now()
			if err := run.do(t.Context()); err != nil {
				t.Fatalf("%s: %v", run.name, err)
			}
			t.Logf("%s took %s", run.name, time.Since(begun))
			made := count.take()
			out.WriteString(table(run.name, made))
			time.Sleep(10 * time.Minute) // the first backup is over
		}
		if os.Getenv("UPDATE_CALLS") != "" {
			if err := os.WriteFile(callsFile, []byte(out.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(callsFile)
		if err != nil {
			t.Fatal(err)
		}
		// Fewer are fine: what is at the same moment has no order.
		for run, made := range counts(t, out.String()) {
			for operation, n := range made {
				if most := counts(t, string(want))[run][operation]; n > most {
					t.Errorf("%s: %d calls of %s, where %s allows %d; who adds one on purpose sets UPDATE_CALLS=1", run, n, operation, callsFile, most)
				}
			}
		}
	})
}

// counts are the calls of tables, by run and operation.
func counts(t *testing.T, tables string) map[string]map[string]int {
	out, run, service := map[string]map[string]int{}, "", ""
	for line := range strings.Lines(tables) {
		line = strings.TrimSuffix(line, "\n")
		name, total, title := strings.Cut(line, ": ")
		switch {
		case title && !strings.HasPrefix(name, " "):
			run, out[name] = name, map[string]int{}
			name = "all services"
		case title:
			service = strings.TrimSpace(name)
			name = service
		default:
			total, name, _ = strings.Cut(strings.TrimSpace(line), " ")
			name = service + " " + name
		}
		n, err := strconv.Atoi(total)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		out[run][name] = n
	}
	return out
}

// calls are counted by service and action.
type calls struct {
	mu   sync.Mutex
	made map[[2]string]int
}

func (c *calls) add(call localcloud.Call) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.made == nil {
		c.made = map[[2]string]int{}
	}
	c.made[[2]string{call.Service, call.Operation}]++
}

func (c *calls) take() map[[2]string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	made := c.made
	c.made = nil
	return made
}

func table(run string, made map[[2]string]int) string {
	var b strings.Builder
	total, of := 0, map[string]int{}
	for k, n := range made {
		total += n
		of[k[0]] += n
	}
	fmt.Fprintf(&b, "%s: %d\n", run, total)
	for _, service := range slices.Sorted(maps.Keys(of)) {
		fmt.Fprintf(&b, "  %s: %d\n", service, of[service])
		for _, k := range slices.SortedFunc(maps.Keys(made), func(x, y [2]string) int { return strings.Compare(x[1], y[1]) }) {
			if k[0] == service {
				fmt.Fprintf(&b, "    %3d %s\n", made[k], k[1])
			}
		}
	}
	return b.String()
}

// wholeUp makes the calls of 'bookctl up', in its order.
func (a *account) wholeUp(ctx context.Context) error {
	c, who, have, err := a.begin(ctx)
	if err != nil {
		return err
	}
	settings := have.Settings
	if !have.Service() {
		settings = a.spec.Settings
		settings.LocatesDatabase = true // as the image that bookctl builds
		if _, err := provision.ReadOwnSecrets(ctx, c, a.spec.Stack); err != nil {
			return err
		}
	}
	env, err := preflight.Check(ctx, c, preflight.Intent{
		Stack: a.spec.Stack, Settings: settings, Deployed: have, Region: "us-east-1", Account: who.Account, Caller: who.Caller,
	})
	if err != nil {
		return err
	}
	settings.DBVersion = env.DBVersion
	if !have.Database {
		if _, err := have.Snapshots(ctx, c.RDS, a.spec.Stack); err != nil {
			return err
		}
	}
	image, err := a.image()
	if err != nil {
		return err
	}
	w := &wire{by: a.by}
	spec := provision.Spec{
		Stack: a.spec.Stack, Version: "test", Settings: settings, Running: have.Running, Zones: env.Zones, Deployed: &have, Wait: true, Source: source{image, w, a.by}, NewDatabase: !have.HasData(),
	}
	_, _, err = provision.Run{Clients: c, Spec: spec, Holder: "test", View: a.view}.Up(ctx)
	return err
}

// begin makes the calls with which 'bookctl up' and 'bookctl destroy' begin.
func (a *account) begin(ctx context.Context) (c provision.Clients, who preflight.Environment, have provision.Deployed, err error) {
	c = provision.NewClients(a.config(&wire{}))
	if who.Account, who.Caller, err = preflight.Identify(ctx, c, "us-east-1"); err != nil {
		return c, who, have, err
	}
	if a.view, err = runlock.Look(ctx, parameterstore.New(c.SSM, a.spec.Stack, ""), a.spec.Stack); err != nil {
		return c, who, have, err
	}
	have, err = provision.ReadDeployed(ctx, c, a.spec.Stack)
	return c, who, have, err
}

// wholeStatus makes the calls of 'bookctl status'.
func (a *account) wholeStatus(ctx context.Context) error {
	c, _, have, err := a.begin(ctx)
	if err != nil {
		return err
	}
	have.PreloadTags(ctx, c.Tagging, a.spec.Stack)
	stack, err := provision.NewStack(c, provision.Spec{
		Stack: a.spec.Stack, Version: "test", Settings: have.Settings, Running: have.Running, Zones: have.Zones, Deployed: &have, Wait: true,
	})
	if err != nil {
		return err
	}
	for _, f := range graph.Observe(ctx, stack.Resources(), stack.Options()) {
		if f.Err != nil || f.Phase != graph.Ready && !f.Unwanted {
			return fmt.Errorf("%s is %s: %w", f.Name, f.Phase, f.Err)
		}
	}
	if _, err := stack.Snapshots(ctx); err != nil {
		return err
	}
	_, err = stack.Status(ctx)
	return err
}

// wholeDestroy makes the calls of 'bookctl destroy', which has to find that nothing is left.
func (a *account) wholeDestroy(ctx context.Context) error {
	c, _, have, err := a.begin(ctx)
	if err != nil {
		return err
	}
	if err := provision.CheckDestroy(ctx, c, a.spec.Stack, have, false); err != nil {
		return err
	}
	if err := provision.CheckHolders(ctx, c, a.spec.Stack, have); err != nil {
		return err
	}
	if err := provision.CheckInventoryReads(ctx, c, a.spec.Stack, have); err != nil {
		return err
	}
	if _, err := have.Snapshots(ctx, c.RDS, a.spec.Stack); err != nil {
		return err
	}
	spec := provision.Spec{Stack: a.spec.Stack, Version: "test", Settings: have.Settings, Running: have.Running, Zones: have.Zones, Deployed: &have}
	done, err := provision.Run{Clients: c, Spec: spec, Holder: "test", View: a.view}.Destroy(ctx, false, 10*time.Minute)
	for _, left := range done.Left {
		if !left.Kept {
			err = errors.Join(err, fmt.Errorf("left: %s", left))
		}
	}
	return err
}
