package architecture_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestInventoriesKnowEachService keeps a resource from being left behind unseen: what
// lists an account without bookctl's code asks each service in which bookctl creates
// something.
func TestInventoriesKnowEachService(t *testing.T) {
	t.Parallel()
	// bookctl only reads of these, but for records in the zones of users.
	read := []string{"pricing", "resourcegroupstaggingapi", "route53", "sts"}
	services := func(pkg string) []string {
		t.Helper()
		out, err := exec.Command("go", "list", "-f", `{{join .Imports " "}}`, module+"internal/"+pkg).Output()
		if err != nil {
			t.Fatalf("go list: %v", err)
		}
		var all []string
		for path := range strings.FieldsSeq(string(out)) {
			if service, ok := strings.CutPrefix(path, sdk+"service/"); ok && !strings.Contains(service, "/") && !slices.Contains(read, service) {
				all = append(all, service)
			}
		}
		return all
	}
	created := services("provision")
	if len(created) < 10 {
		t.Fatalf("bookctl creates something in %v: the SDK and this test have parted", created)
	}
	for _, pkg := range []string{"awsaccount", "conformance"} {
		listed := services(pkg)
		for _, service := range created {
			if !slices.Contains(listed, service) {
				t.Errorf("internal/%s lists nothing of %s", pkg, service)
			}
		}
	}
}
