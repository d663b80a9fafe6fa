package main_test

import (
	"os"
	"os/exec"
	"regexp"
	"testing"
)

// TestTheTestsThatReliabilityNamesExist holds docs/reliability.md against the
// tests of the module.
func TestTheTestsThatReliabilityNamesExist(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/reliability.md")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`(Test[A-Za-z0-9]+)`").FindAllSubmatch(text, -1)
	if len(named) < 10 {
		t.Fatalf("only %d tests are named", len(named))
	}
	for _, n := range named {
		find := exec.Command("grep", "-rqF", "--include=*_test.go", "func "+string(n[1])+"(", "../..")
		if err := find.Run(); err != nil {
			t.Errorf("docs/reliability.md names %s, which does not exist", n[1])
		}
	}
}
