package cli_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/bookctl/bookctl/internal/image"
	"github.com/bookctl/bookctl/internal/moto"
)

const (
	growthStacks = 50
	growthAtOnce = 10
)

// BenchmarkGrowth makes 50 stacks in one account, 10 at once, and sets what up,
// an up with nothing to do, status and destroy take for one stack in an empty
// account next to what they take for one among 50. Each command has a wire of its
// own, so that its calls are its own.
//
// On the emulator it counts calls, what bookctl is sent in answer, and what it does
// with that by its processor time: what a run takes is that, and the time of AWS's
// answers. The emulator's own get longer as it fills, for it looks through all it has
// for each call, so the time of a run there says nothing. The local cloud answers alike however
// much there is, and takes as long as AWS, scaled: there the time is to stay flat.
// Stacks that serve are not free there, though: each is a PostgreSQL and a bookapi
// of this machine. So those that nothing is done with are left without tasks, and
// have all else. They are given an image that was built before, as
// compilers at work side by side are this machine's affair as well.
func BenchmarkGrowth(b *testing.B) {
	b.Run("emulator", func(b *testing.B) {
		// The emulator starts no task to wait for.
		growth{endpoint: moto.Start(b), up: []string{"up", "--wait=false", "--image", readyImage(b)}, again: []string{"up", "--wait=false"}, emulator: true}.run(b)
	})
	b.Run("local", func(b *testing.B) {
		cloud := openSlowCloud(b, growthStacks+4)
		// Without --local each has port 80, which this machine has but once.
		growth{
			endpoint: cloud.endpoint, up: []string{"up", "--arch", runtime.GOARCH, "--image", builtImage(b)}, again: []string{"up"}, rest: cloud.putToRest,
		}.run(b)
	})
}

// builtImage puts bookapi into a registry of its own and returns the reference.
func builtImage(b *testing.B) string {
	b.Helper()
	source, err := filepath.Abs("../..")
	if err != nil {
		b.Fatal(err)
	}
	i, err := image.Build(b.Context(), image.Source{Dir: source, Arch: runtime.GOARCH, Cache: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	repository := openRegistry(b) + "/bookapi"
	if _, err := (image.Upload{}).Push(b.Context(), i, repository); err != nil {
		b.Fatal(err)
	}
	return repository + "@" + i.Digest
}

// growth is one account to fill.
type growth struct {
	endpoint  string
	up, again []string // the first up of a stack, and one that has nothing to do
	// rest, which may be nil, takes the tasks from a stack and leaves all else.
	rest func(*testing.B, string)
	// emulator reports whether the account begins without service-linked roles, that status
	// finds no stack healthy, and that all load balancers can have the same port.
	emulator bool
}

// figure is what one command took.
type figure struct {
	calls           int
	seconds, answer float64 // of the run, and of the answer to one call
	cpu             float64 // of bookctl itself, in seconds
	bytes           int64   // of all answers
}

func (g growth) bookctl(b *testing.B, stack string, args ...string) (figure, error) {
	wire := watchWire(b, g.endpoint)
	args = append(slices.Clone(args), "--stack", stack)
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), "AWS_ENDPOINT_URL="+wire.url, "AWS_ACCESS_KEY_ID=bench", "AWS_SECRET_ACCESS_KEY=bench", "AWS_REGION=us-east-1")
	begun := time.Now()
	out, err := cmd.CombinedOutput()
	if err != nil && (!g.emulator || args[0] != "status" || cmd.ProcessState.ExitCode() != 3) {
		return figure{}, fmt.Errorf("bookctl %s of %s: %w\n%s", args, stack, err, out)
	}
	took := time.Since(begun).Seconds()
	reads, writes := wire.take()
	calls := len(reads) + len(writes)
	wire.mu.Lock()
	defer wire.mu.Unlock()
	cpu := (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
	return figure{calls, took, wire.waited.Seconds() / float64(calls), cpu, wire.bytes}, nil
}

// first is the first up of a stack.
func (g growth) first(b *testing.B) []string {
	if g.emulator {
		return g.up
	}
	for {
		port := strconv.Itoa(int(stackPorts().Add(1)))
		l, err := net.Listen("tcp", "127.0.0.1:"+port)
		if err != nil {
			continue
		}
		if err := l.Close(); err != nil {
			b.Fatal(err)
		}
		return append(slices.Clone(g.up), "--port", port)
	}
}

// stackPorts counts below the ports that the system gives to outgoing connections,
// one of which could have a stack's before its load balancer does.
var stackPorts = sync.OnceValue(func() *atomic.Int32 {
	var n atomic.Int32
	n.Store(20000 + rand.Int32N(8000))
	return &n
})

// life is every command on one stack, from nothing to nothing.
func (g growth) life(b *testing.B, stack string) []figure {
	var out []figure
	for _, args := range [][]string{g.first(b), g.again, {"status"}, {"destroy", "--purge-snapshots", "--yes"}} {
		f, err := g.bookctl(b, stack, args...)
		if err != nil {
			b.Fatal(err)
		}
		out = append(out, f)
	}
	return out
}

// wave makes some stacks at once.
func (g growth) wave(b *testing.B, first int) [growthAtOnce]figure {
	var (
		wg   sync.WaitGroup
		made [growthAtOnce]figure
		errs [growthAtOnce]error
	)
	for i := range growthAtOnce {
		up := g.first(b)
		wg.Go(func() { made[i], errs[i] = g.bookctl(b, fmt.Sprintf("s%d", first+i), up...) })
	}
	wg.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		b.Fatal(err)
	}
	return made
}

func (g growth) run(b *testing.B) {
	names := []string{"up", "no-op up", "status", "destroy"}
	for b.Loop() {
		if g.emulator {
			g.life(b, "warm") // which makes the service-linked roles
		}
		alone := g.life(b, "first")
		var waves []string
		for first := 1; first <= growthStacks; first += growthAtOnce {
			made := g.wave(b, first)
			for i := range growthAtOnce {
				if g.rest != nil {
					g.rest(b, fmt.Sprintf("s%d", first+i))
				}
			}
			calls, seconds := make([]int, growthAtOnce), make([]float64, growthAtOnce)
			for i, f := range made {
				calls[i], seconds[i] = f.calls, f.seconds
			}
			waves = append(waves, fmt.Sprintf("%d–%d in %.1f to %.1f s", slices.Min(calls), slices.Max(calls), slices.Min(seconds), slices.Max(seconds)))
		}
		among := g.life(b, "last")
		var text bytes.Buffer
		table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintf(table, "\tcalls alone\tamong %[1]d\tKB answered alone\tamong %[1]d\tCPU seconds alone\tamong %[1]d\tseconds alone\tamong %[1]d\tms an answer alone\tamong %[1]d\t\n", growthStacks)
		for i, name := range names {
			x, y := alone[i], among[i]
			fmt.Fprintf(table, "%s\t%d\t%d\t%.1f\t%.1f\t%.2f\t%.2f\t%.2f\t%.2f\t%.0f\t%.0f\t\n", name, x.calls, y.calls,
				float64(x.bytes)/1e3, float64(y.bytes)/1e3, x.cpu, y.cpu, x.seconds, y.seconds, 1000*x.answer, 1000*y.answer)
			metric := strings.ReplaceAll(name, " ", "-")
			b.ReportMetric(float64(y.calls)/float64(x.calls), metric+"-calls-ratio")
			b.ReportMetric(float64(y.bytes)/float64(x.bytes), metric+"-bytes-ratio")
			b.ReportMetric(y.cpu/x.cpu, metric+"-cpu-ratio")
			if !g.emulator {
				b.ReportMetric(y.seconds/x.seconds, metric+"-time-ratio")
			}
		}
		if err := table.Flush(); err != nil {
			b.Fatal(err)
		}
		b.Logf("calls of each up, %d at once: %s\n%s", growthAtOnce, strings.Join(waves, ", "), text.String())
	}
}
