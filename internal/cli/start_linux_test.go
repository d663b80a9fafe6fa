package cli_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/tabwriter"
	"time"
)

// BenchmarkStart measures what bookctl costs this machine before it does anything: the
// start of a command, and the memory and processor of an 'up' and of a local cloud with
// one stack that nobody uses. BASELINE may have the paths of other builds of bookctl, such
// as one of before a change, separated by colons: each is measured in turn with this one.
func BenchmarkStart(b *testing.B) {
	builds := append([]string{program}, filepath.SplitList(os.Getenv("BASELINE"))...)
	for b.Loop() {
		all := make([]footprint, len(builds))
		var starts [][]time.Duration
		for range builds {
			starts = append(starts, nil)
		}
		for range 20 {
			for i, build := range builds {
				cmd := exec.Command(build, "version")
				if out, err := cmd.CombinedOutput(); err != nil {
					b.Fatalf("%v\n%s", err, out)
				}
				starts[i] = append(starts[i], cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime())
			}
		}
		for i, build := range builds {
			all[i] = measureCloud(b, build)
			slices.Sort(starts[i])
			all[i].start = starts[i][len(starts[i])/2]
		}
		var text bytes.Buffer
		table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintln(table, "\tversion, CPU ms\tup --local, MiB\tlocal cloud, MiB\tlocal cloud, % of a processor\t")
		for i, f := range all {
			name := "this build"
			if i > 0 {
				name = filepath.Base(builds[i])
			}
			fmt.Fprintf(table, "%s\t%.1f\t%.1f\t%.1f\t%.2f\t\n", name, f.start.Seconds()*1000, f.up, f.cloud, f.busy*100)
		}
		for i, f := range all[1:] {
			fmt.Fprintf(table, "ratio to %s\t%.2f\t%.2f\t%.2f\t%.2f\t\n", filepath.Base(builds[i+1]),
				all[0].start.Seconds()/f.start.Seconds(), all[0].up/f.up, all[0].cloud/f.cloud, all[0].busy/f.busy)
		}
		if err := table.Flush(); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(all[0].start.Seconds()*1000, "version-cpu-ms")
		b.ReportMetric(all[0].up, "up-MiB")
		b.ReportMetric(all[0].cloud, "cloud-MiB")
		b.ReportMetric(all[0].busy*100, "cloud-cpu-%")
		b.Log("\n" + text.String())
	}
}

// footprint is what a build of bookctl takes: the CPU time of 'version', the memory of an
// 'up' at its most and of the local cloud when it is idle, in MiB, and the share of a
// processor that the latter uses.
type footprint struct {
	start           time.Duration
	up, cloud, busy float64
}

// measureCloud deploys a stack with a build, and leaves it alone.
func measureCloud(b *testing.B, build string) (f footprint) {
	s := &shell{dir: b.TempDir(), program: build}
	for _, d := range []string{s.dir, filepath.Dir(s.dir)} { // the users of databases must get through
		if err := os.Chmod(d, 0o755); err != nil {
			b.Fatal(err)
		}
	}
	s.env = slices.Concat([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir}, shared)
	run := func(args ...string) string {
		b.Helper()
		out, err := s.command(args...).Output()
		if err != nil {
			b.Fatalf("bookctl %s: %v", strings.Join(args, " "), err)
		}
		return string(out)
	}
	defer run("local", "stop", "--purge", "--yes")
	text := run("local", "start", "--output", "json")
	var info struct{ PID int }
	if err := json.Unmarshal([]byte(text), &info); err != nil {
		b.Fatal(err)
	}
	up := s.command("up", "--local")
	if err := up.Start(); err != nil {
		b.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- up.Wait() }()
	// What wait4(2) returns for the memory is the most of the process or of a compiler.
	for running := true; running; {
		select {
		case err := <-ended:
			if err != nil {
				b.Fatal(err)
			}
			running = false
		case <-time.After(2 * time.Millisecond):
			f.up = max(f.up, memoryOf(up.Process.Pid, "VmHWM"))
		}
	}
	time.Sleep(15 * time.Second) // the last events of the rollout are over
	const idle = 20 * time.Second
	before := processorTime(b, info.PID)
	time.Sleep(idle)
	f.busy = (processorTime(b, info.PID) - before).Seconds() / idle.Seconds()
	f.cloud = memoryOf(info.PID, "VmRSS")
	return f
}

// memoryOf is a figure of a process's status in MiB, 0 for one that has ended: proc(5).
func memoryOf(pid int, field string) float64 {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); len(fields) == 3 && fields[0] == field+":" {
			kib, _ := strconv.ParseFloat(fields[1], 64)
			return kib / 1024
		}
	}
	return 0
}

// processorTime is what a process has used, its user and system time: proc(5).
func processorTime(b *testing.B, pid int) time.Duration {
	b.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	var ticks int64
	for _, field := range fields[11:13] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond // USER_HZ is 100
}
