package cli

import (
	"testing"

	"github.com/bookctl/bookctl/internal/provision"
)

// TestADatabaseThatServesIsNoProblem has a database in states in which it takes connections.
func TestADatabaseThatServesIsNoProblem(t *testing.T) {
	t.Parallel()
	for state, serves := range map[string]bool{"available": true, "configuring-iam-database-auth": true, "configuring-log-exports": true, "rebooting": false, "stopped": false} {
		var o statusOutput
		o.Database = &provision.DatabaseStatus{State: state}
		if o.findProblems(nil, &globals{}); o.Healthy != serves {
			t.Errorf("%s: %v", state, o.Problems)
		}
	}
}
