package cli_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// TestTheTestsThatTheDocumentsNameExist holds the tests that the documents name
// against those of the module.
func TestTheTestsThatTheDocumentsNameExist(t *testing.T) {
	t.Parallel()
	documents, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, document := range documents {
		text, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		for _, named := range regexp.MustCompile("`(Test[A-Za-z0-9]+)`").FindAllSubmatch(text, -1) {
			total++
			find := exec.Command("grep", "-rqF", "--include=*_test.go", "func "+string(named[1])+"(", "../..")
			if err := find.Run(); err != nil {
				t.Errorf("%s names %s, which does not exist", filepath.Base(document), named[1])
			}
		}
	}
	if total < 10 {
		t.Fatalf("only %d tests are named", total)
	}
}
