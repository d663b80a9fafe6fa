package architecture_test

import (
	"os/exec"
	"path"
	"strings"
	"testing"
)

// TestClientsHaveNoSchemas keeps to versions of the AWS SDK's clients that do not build
// the schemas of all their operations before main: those of 14 services took half of
// the time of 'bookctl version', and stayed in memory (docs/speed.md). CloudWatch's
// make its client send queries.
func TestClientsHaveNoSchemas(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("go", "list", "-deps", module+"cmd/bookctl").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	clients := 0
	for dep := range strings.FieldsSeq(string(out)) {
		rest, ok := strings.CutPrefix(dep, sdk+"service/")
		if !ok {
			continue
		}
		clients++
		if path.Base(rest) == "schemas" && path.Dir(rest) != "cloudwatch" {
			t.Errorf("the client of %s builds schemas: take the version before 'Enable schema-based (de)serialization' in its CHANGELOG, or measure again ('make bench-start') and say so here", path.Dir(rest))
		}
	}
	if clients < 20 {
		t.Errorf("found %d clients of services: the SDK and this test have parted", clients)
	}
}
