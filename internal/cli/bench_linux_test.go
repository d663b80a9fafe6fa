package cli_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/bookctl/bookctl/internal/localcloud"
	"github.com/bookctl/bookctl/internal/localcloud/memory"
	"github.com/bookctl/bookctl/internal/moto"
)

// BenchmarkDeploy deploys an equivalent stack with bookctl and with Terraform, in turn,
// against one endpoint, and prints both: on an emulator that nobody here wrote, and on
// the local cloud without and with AWS's limits of requests. Terraform's part needs
// TF_PEER (a folder with main.tf and run.sh) and TF_PLUGIN_DIR (a filesystem mirror of
// its provider); without them only bookctl is measured.
func BenchmarkDeploy(b *testing.B) {
	b.Run("moto", func(b *testing.B) {
		m := &measured{wire: watchWire(b, moto.Start(b)), image: readyImage(b)}
		// It loads a service's code, which takes seconds, when the service is first called.
		if _, err := m.run(b, program, "plan", "--image", m.image); err != nil && exitCode(err) != 2 {
			b.Fatal(err)
		}
		m.compare(b)
	})
	for _, throttle := range []bool{false, true} {
		name := "local-cloud"
		if throttle {
			name += "-with-limits"
		}
		b.Run(name, func(b *testing.B) {
			m := &measured{image: readyImage(b)}
			cloud, err := localcloud.Open(b.Context(), localcloud.Config{StateDir: b.TempDir(), Runtimes: memory.Runtimes, Throttle: throttle, Journal: m.count})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() {
				if err := cloud.Close(context.Background()); err != nil {
					b.Error(err)
				}
			})
			server := httptest.NewServer(cloud)
			b.Cleanup(server.Close)
			m.wire = watchWire(b, server.URL)
			m.compare(b)
		})
	}
}

// measured is an endpoint on which tools are compared.
type measured struct {
	wire  *onWire
	image string // that bookctl deploys

	mu       sync.Mutex
	rejected int
}

// count counts the calls that the local cloud rejects because they come too fast.
func (m *measured) count(call localcloud.Call) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if call.Throttled() {
		m.rejected++
	}
}

// cost is what a tool took.
type cost struct {
	seconds         map[string]float64 // by step
	calls, rejected int                // of all steps
	memory          float64            // the most of all its processes together, in MiB
}

var deploySteps = []string{"up", "no-op up", "destroy"}

func (m *measured) compare(b *testing.B) {
	for b.Loop() {
		m.take()
		tools := []string{"bookctl"}
		all := map[string]cost{"bookctl": m.bookctl(b)}
		if peer := os.Getenv("TF_PEER"); peer != "" {
			tools = append(tools, "Terraform")
			all["Terraform"] = m.terraform(b, peer)
		}
		var text bytes.Buffer
		table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintln(table, "\tup s\tno-op up s\tdestroy s\tcalls\trejected\tMiB\t")
		for _, tool := range tools {
			c := all[tool]
			fmt.Fprintf(table, "%s\t%.2f\t%.2f\t%.2f\t%d\t%d\t%.0f\t\n", tool, c.seconds["up"], c.seconds["no-op up"], c.seconds["destroy"], c.calls, c.rejected, c.memory)
		}
		if err := table.Flush(); err != nil {
			b.Fatal(err)
		}
		for _, step := range deploySteps {
			if theirs := all["Terraform"].seconds[step]; theirs > 0 {
				b.ReportMetric(theirs/all["bookctl"].seconds[step], strings.ReplaceAll(step, " ", "-")+"-times-faster")
			}
		}
		b.Log("\n" + text.String())
	}
}

// bookctl takes a stack through its life. It does not wait for tasks, which neither
// Terraform does.
func (m *measured) bookctl(b *testing.B) cost {
	c := cost{seconds: map[string]float64{}}
	for i, args := range [][]string{{"up", "--wait=false", "--image", m.image}, {"up", "--wait=false"}, {"destroy", "--purge-snapshots", "--yes"}} {
		begun := time.Now()
		r, err := m.run(b, program, args...)
		if err != nil {
			b.Fatal(err)
		}
		c.seconds[deploySteps[i]] = time.Since(begun).Seconds()
		c.memory = max(c.memory, r.memory)
	}
	c.calls, c.rejected = m.take()
	return c
}

func (m *measured) terraform(b *testing.B, peer string) cost {
	c := cost{seconds: map[string]float64{}}
	r, err := m.run(b, "bash", filepath.Join(peer, "run.sh"), m.wire.url)
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(r.output) {
		var step string
		var took float64
		if _, err := fmt.Sscan(line, &step, &took); err == nil {
			c.seconds[map[string]string{"apply": "up", "reapply": "no-op up", "destroy": "destroy"}[step]] = took
		}
	}
	c.memory = r.memory
	c.calls, c.rejected = m.take()
	return c
}

// take returns the calls since the last take, and how many of them were rejected.
func (m *measured) take() (calls, rejected int) {
	reads, writes := m.wire.take()
	m.mu.Lock()
	defer m.mu.Unlock()
	rejected, m.rejected = m.rejected, 0
	return len(reads) + len(writes), rejected
}

// ran is what a program printed, and the most memory that it and its children had.
type ran struct {
	output string
	memory float64 // in MiB
}

func (m *measured) run(b *testing.B, program string, args ...string) (ran, error) {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), program, args...)
	cmd.Env = append(os.Environ(), "AWS_ENDPOINT_URL="+m.wire.url, "AWS_ACCESS_KEY_ID=bench", "AWS_SECRET_ACCESS_KEY=bench", "AWS_REGION=us-east-1")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		return ran{}, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	var most float64
	for {
		select {
		case err := <-ended:
			if err != nil {
				err = fmt.Errorf("%s %s: %w\n%s%s", program, strings.Join(args, " "), err, out.String(), errs.String())
			}
			return ran{out.String(), most}, err
		case <-time.After(20 * time.Millisecond):
			most = max(most, memoryOfTree(cmd.Process.Pid))
		}
	}
}

// memoryOfTree is the resident memory of a process and its children in MiB, without the
// pages of files, which processes share: proc(5).
func memoryOfTree(pid int) float64 {
	sum := memoryOf(pid, "RssAnon")
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, task := range tasks {
		children, _ := os.ReadFile(task) // one that has ended has none
		for child := range strings.FieldsSeq(string(children)) {
			if id, err := strconv.Atoi(child); err == nil {
				sum += memoryOfTree(id)
			}
		}
	}
	return sum
}

// exitCode is that of a program that failed, or -1.
func exitCode(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return -1
}
