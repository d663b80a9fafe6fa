package kernel_test

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
)

// TestTheFaultsPageListsEachFault compares docs/faults.md with the fields of Faults.
func TestTheFaultsPageListsEachFault(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../../docs/faults.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		if cells := strings.Split(line, "|"); len(cells) > 2 {
			for name := range strings.SplitSeq(cells[1], ",") {
				listed[strings.Trim(name, " `")] = true
			}
		}
	}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[kernel.Faults]()) {
		if name := jsonName(f); name != "tasks" && !listed[name] {
			t.Errorf("docs/faults.md does not list %s", name)
		}
	}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[kernel.TaskFaults]()) {
		if name := "tasks." + jsonName(f); !listed[name] {
			t.Errorf("docs/faults.md does not list %s", name)
		}
	}
}

func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}
