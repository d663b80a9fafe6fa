package cli_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	dropped = regexp.MustCompile("[^a-z0-9_ -]")
)

// TestTheLinksBetweenTheDocumentsLeadSomewhere follows each link from one file of the repository
// to another, and to its headings.
func TestTheLinksBetweenTheDocumentsLeadSomewhere(t *testing.T) {
	t.Parallel()
	documents, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	read := func(path string) string {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	// https://docs.github.com/en/get-started/writing-on-github/getting-started-with-writing-and-formatting-on-github/basic-writing-and-formatting-syntax#section-links
	anchors := func(path string) map[string]bool {
		out := map[string]bool{}
		for _, h := range heading.FindAllStringSubmatch(read(path), -1) {
			out[strings.ReplaceAll(dropped.ReplaceAllString(strings.ToLower(h[1]), ""), " ", "-")] = true
		}
		return out
	}
	total := 0
	for _, document := range append(documents, "../../README.md", "../../CHANGELOG.md", "../../CONTRIBUTING.md") {
		for _, found := range link.FindAllStringSubmatch(read(document), -1) {
			if strings.Contains(found[1], "://") {
				continue
			}
			total++
			file, anchor, _ := strings.Cut(found[1], "#")
			to := document
			if file != "" {
				to = filepath.Join(filepath.Dir(document), file)
			}
			if _, err := os.Stat(to); err != nil {
				t.Errorf("%s links to %s, which does not exist", filepath.Base(document), found[1])
			} else if anchor != "" && strings.HasSuffix(to, ".md") && !anchors(to)[anchor] {
				t.Errorf("%s links to %s, which has no such heading", filepath.Base(document), found[1])
			}
		}
	}
	if total < 60 {
		t.Fatalf("only %d links were found", total)
	}
}

// TestTheReadmeNamesTheGoOfTheModule compares the version of Go that the README asks for with go.mod.
func TestTheReadmeNamesTheGoOfTheModule(t *testing.T) {
	t.Parallel()
	module, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`(?m)^go (\S+)$`).FindSubmatch(module)
	if version == nil || !strings.Contains(string(readme), "- Go "+string(version[1])+" or newer") {
		t.Errorf("go.mod says %q, and the README another version", version)
	}
}
