package architecture_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// TestBenchmarksOfTheMakefileExist keeps a target from measuring nothing: go test succeeds
// where no benchmark has the name.
func TestBenchmarksOfTheMakefileExist(t *testing.T) {
	t.Parallel()
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	targets := regexp.MustCompile(`go test \./(\S+) -run '\^\$\$' -bench (\w+)`).FindAllStringSubmatch(string(makefile), -1)
	if len(targets) < 5 {
		t.Fatalf("the Makefile has %d targets that measure: it and this test have parted", len(targets))
	}
	for _, target := range targets {
		files, err := filepath.Glob(filepath.Join("../..", target[1], "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			found = found || regexp.MustCompile(`\nfunc Benchmark\w*`+target[2]).Match(text)
		}
		if !found {
			t.Errorf("%s has no benchmark called %s", target[1], target[2])
		}
	}
}
