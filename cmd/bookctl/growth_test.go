package main_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/bookctl/bookctl/internal/moto"
)

const (
	growthStacks = 50
	growthAtOnce = 10
)

// BenchmarkGrowth makes 50 stacks in one account, 10 at once, and sets what up,
// an up with nothing to do, status and destroy take for one stack in an empty
// account beside what they take for one among 50. Each command has a wire of its
// own, so that its calls are its own.
//
// The account is an emulator's, which looks through all it has for each call and
// so gets slower as it fills, as AWS does not: beside the time is how long it
// took for an answer.
func BenchmarkGrowth(b *testing.B) {
	endpoint, image := moto.Start(b), readyImage(b)
	type figure struct {
		calls           int
		seconds, answer float64
	}
	bookctl := func(args ...string) (figure, error) {
		wire := watchWire(b, endpoint)
		cmd := exec.Command(program, args...)
		cmd.Env = append(os.Environ(), "AWS_ENDPOINT_URL="+wire.url, "AWS_ACCESS_KEY_ID=bench", "AWS_SECRET_ACCESS_KEY=bench", "AWS_REGION=us-east-1")
		begun := time.Now()
		out, err := cmd.CombinedOutput()
		// The emulator starts no task: 3 is status's "not healthy".
		if err != nil && (args[0] != "status" || cmd.ProcessState.ExitCode() != 3) {
			return figure{}, fmt.Errorf("bookctl %s: %w\n%s", args, err, out)
		}
		took := time.Since(begun).Seconds()
		reads, writes := wire.take()
		calls := len(reads) + len(writes)
		return figure{calls, took, wire.waited.Seconds() / float64(calls)}, nil
	}
	names := []string{"up", "no-op up", "status", "destroy"}
	// life is every command on one stack, from nothing to nothing.
	life := func(stack string) []figure {
		var out []figure
		for _, c := range [][]string{
			{"up", "--wait=false", "--image", image}, {"up", "--wait=false"}, {"status"}, {"destroy", "--purge-snapshots", "--yes"},
		} {
			f, err := bookctl(append(c, "--stack", stack)...)
			if err != nil {
				b.Fatal(err)
			}
			out = append(out, f)
		}
		return out
	}
	for b.Loop() {
		life("warm") // service-linked roles are made once in an account
		alone := life("first")
		var waves []string
		for first := 1; first <= growthStacks; first += growthAtOnce {
			var (
				wg   sync.WaitGroup
				made [growthAtOnce]figure
				errs [growthAtOnce]error
			)
			begun := time.Now()
			for i := range growthAtOnce {
				wg.Go(func() {
					made[i], errs[i] = bookctl("up", "--wait=false", "--image", image, "--stack", fmt.Sprintf("s%d", first+i))
				})
			}
			wg.Wait()
			if err := errors.Join(errs[:]...); err != nil {
				b.Fatal(err)
			}
			least := slices.MinFunc(made[:], func(x, y figure) int { return x.calls - y.calls }).calls
			most := slices.MaxFunc(made[:], func(x, y figure) int { return x.calls - y.calls }).calls
			waves = append(waves, fmt.Sprintf("%d–%d in %.1f s", least, most, time.Since(begun).Seconds()))
		}
		among := life("last")
		var text bytes.Buffer
		table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintf(table, "\tcalls alone\tamong %[1]d\tseconds alone\tamong %[1]d\tms an answer alone\tamong %[1]d\t\n", growthStacks)
		for i, name := range names {
			x, y := alone[i], among[i]
			fmt.Fprintf(table, "%s\t%d\t%d\t%.2f\t%.2f\t%.0f\t%.0f\t\n", name, x.calls, y.calls, x.seconds, y.seconds, 1000*x.answer, 1000*y.answer)
			b.ReportMetric(float64(y.calls)/float64(x.calls), strings.ReplaceAll(name, " ", "-")+"-calls-ratio")
		}
		if err := table.Flush(); err != nil {
			b.Fatal(err)
		}
		b.Logf("calls of each up, %d at once: %s\n%s", growthAtOnce, strings.Join(waves, ", "), text.String())
	}
}
