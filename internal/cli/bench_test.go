package cli_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/bookctl/bookctl/internal/moto"
)

// BenchmarkDeploy deploys an equivalent stack with bookctl and with Terraform,
// in turn, against one emulator, and prints both. Terraform's part needs
// TF_PEER (a folder with main.tf and run.sh) and TF_PLUGIN_DIR (a filesystem
// mirror of its provider); without them only bookctl is measured. The image is
// a ready one in both: the emulator has no registry to push to. It is awake
// before either is measured: it loads a service's code, which takes seconds,
// when the service is first called.
func BenchmarkDeploy(b *testing.B) {
	wire := watchWire(b, moto.Start(b))
	image := readyImage(b)
	env := append(os.Environ(), "AWS_ENDPOINT_URL="+wire.url, "AWS_ACCESS_KEY_ID=bench", "AWS_SECRET_ACCESS_KEY=bench", "AWS_REGION=us-east-1")
	type figure struct {
		seconds float64
		calls   int
	}
	bookctl := func(args ...string) figure {
		cmd := exec.Command(program, args...)
		cmd.Env = env
		begun := time.Now()
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("bookctl %s: %v\n%s", args, err, out)
		}
		took := time.Since(begun).Seconds()
		reads, writes := wire.take()
		return figure{took, len(reads) + len(writes)}
	}
	wake := exec.Command(program, "plan", "--image", image) // reads of every service
	wake.Env = env
	if out, err := wake.CombinedOutput(); err != nil && wake.ProcessState.ExitCode() != 2 { // there is something to do
		b.Fatalf("%v\n%s", err, out)
	}
	wire.take()
	for b.Loop() {
		ours := map[string]figure{
			"up":       bookctl("up", "--wait=false", "--image", image),
			"no-op up": bookctl("up", "--wait=false"),
			"destroy":  bookctl("destroy", "--purge-snapshots", "--yes"),
		}
		theirs := map[string]figure{}
		peer := os.Getenv("TF_PEER")
		if peer != "" {
			cmd := exec.Command("bash", peer+"/run.sh", wire.url)
			cmd.Env = env
			var out, errs bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &errs
			if err := cmd.Run(); err != nil {
				b.Fatalf("terraform: %v\n%s%s", err, out.String(), errs.String())
			}
			reads, writes := wire.take()
			theirs["all"] = figure{calls: len(reads) + len(writes)}
			for line := range strings.Lines(out.String()) {
				var step string
				var took float64
				if _, err := fmt.Sscan(line, &step, &took); err == nil {
					theirs[map[string]string{"apply": "up", "reapply": "no-op up", "destroy": "destroy"}[step]] = figure{seconds: took}
				}
			}
		}
		var text bytes.Buffer
		table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintln(table, "\tbookctl s\tcalls\tTerraform s\tratio\t")
		calls := 0
		for _, step := range []string{"up", "no-op up", "destroy"} {
			o, th := ours[step], theirs[step]
			calls += o.calls
			ratio := "-"
			if th.seconds > 0 {
				ratio = fmt.Sprintf("1/%.0f", th.seconds/o.seconds)
				b.ReportMetric(th.seconds/o.seconds, strings.ReplaceAll(step, " ", "-")+"-times-faster")
			}
			fmt.Fprintf(table, "%s\t%.2f\t%d\t%.2f\t%s\t\n", step, o.seconds, o.calls, th.seconds, ratio)
		}
		fmt.Fprintf(table, "API calls\t\t%d\t%d\t\t\n", calls, theirs["all"].calls)
		if err := table.Flush(); err != nil {
			b.Fatal(err)
		}
		b.Log("\n" + text.String())
	}
}
