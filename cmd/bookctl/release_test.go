package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// TestTheReleaseBinaryIsSmall holds how large the program is, compiled with the flags of
// a release. A dependency makes it larger, and so does a generic function that is given
// structs instead of pointers.
func TestTheReleaseBinaryIsSmall(t *testing.T) {
	t.Parallel()
	if platform := runtime.GOOS + "/" + runtime.GOARCH; platform != "linux/amd64" {
		t.Skipf("the sizes are those of linux/amd64, not %s", platform)
	}
	const most = 34.35
	flags := releaseFlags(t)
	path := filepath.Join(t.TempDir(), "bookctl")
	build := exec.Command("go", slices.Concat([]string{"build", "-o", path}, flags, []string{"."})...)
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build bookctl: %v\n%s", err, out)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if size := float64(info.Size()) / 1e6; size > most {
		t.Errorf("bookctl has %.2f MB with %q, more than %.1f", size, flags, most)
	}
}

// releaseFlags are the flags with which goreleaser compiles bookctl.
func releaseFlags(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("../../.goreleaser.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Builds []struct{ Flags, Gcflags, Ldflags []string }
	}
	if err := yaml.Unmarshal(text, &config); err != nil || len(config.Builds) != 1 {
		t.Fatalf("read the builds of .goreleaser.yaml: %v, %+v", err, config)
	}
	build := config.Builds[0]
	flags := build.Flags
	for _, f := range build.Gcflags {
		flags = append(flags, "-gcflags="+f)
	}
	return append(flags, "-ldflags="+strings.ReplaceAll(strings.Join(build.Ldflags, " "), "{{ .Version }}", "1.0.0"))
}
