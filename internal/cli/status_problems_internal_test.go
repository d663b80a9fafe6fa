package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/bookctl/bookctl/internal/diagnosis"
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

// TestTheStatusNamesTheHookThatHoldsARollout has a hook that waits for somebody, and one that
// waits for a function.
func TestTheStatusNamesTheHookThatHoldsARollout(t *testing.T) {
	t.Parallel()
	held := diagnosis.Hold{Hook: "h1", Stage: "POST_SCALE_UP", Until: time.Date(2026, 12, 1, 10, 0, 0, 0, time.UTC), Then: "ROLLBACK", Deployment: "arn:d"}
	function := diagnosis.Hold{Hook: "h2", Function: "arn:f", Stage: "PRE_SCALE_UP", Deployment: "arn:d"}
	for want, held := range map[string]*diagnosis.Hold{
		"  Held       by the lifecycle hook h1 in the stage POST_SCALE_UP until 2026-12-01 10:00 UTC, when ECS does ROLLBACK\n" +
			"             'aws ecs continue-service-deployment --service-deployment-arn arn:d --hook-id h1 --action CONTINUE' has it go on, and with ROLLBACK go back\n": &held,
		"  Held       by the lifecycle hook h2 (arn:f) in the stage PRE_SCALE_UP\n" +
			"             see why the function does not answer SUCCEEDED; 'aws ecs stop-service-deployment --service-deployment-arn arn:d' ends the deployment\n": &function,
	} {
		o := statusOutput{found: true}
		o.Service.Held = held
		if text := o.text(&globals{}); !strings.Contains(text, want) {
			t.Errorf("%s\nlacks %s", text, want)
		}
	}
}
