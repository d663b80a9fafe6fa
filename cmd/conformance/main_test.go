package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bookctl/bookctl/internal/moto"
)

// TestConformance runs the program as make does, on moto and on a local cloud.
func TestConformance(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	dir := t.TempDir()
	for _, name := range []string{"bookctl", "conformance"} {
		out, err := exec.Command("go", "build", "-o", filepath.Join(dir, name), "github.com/bookctl/bookctl/cmd/"+name).CombinedOutput()
		if err != nil {
			t.Fatalf("build %s: %v\n%s", name, err, out)
		}
	}
	for _, where := range []struct{ name, endpoint string }{{"moto", moto.Start(t)}, {"local cloud", "local"}} {
		t.Run(where.name, func(t *testing.T) {
			t.Parallel()
			report := filepath.Join(t.TempDir(), "report.md")
			// The restore has its own tests, and doubles the time.
			cmd := exec.Command(filepath.Join(dir, "conformance"), "-endpoint", where.endpoint, "-bookctl", filepath.Join(dir, "bookctl"), "-restore=false", "-report", report)
			var errs bytes.Buffer
			cmd.Stderr = &errs
			if err := cmd.Run(); err != nil {
				t.Fatalf("%v\n%s", err, errs.String())
			}
			text, err := os.ReadFile(report)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{"| up again changes nothing | ok |", "| drift by hand is detected and repaired | ok |", "| an inventory finds nothing | ok |", "| EC2 CreateVpc | 1 | 0 |"} {
				if !strings.Contains(string(text), want) {
					t.Errorf("the report lacks %q:\n%s", want, text)
				}
			}
		})
	}
}
