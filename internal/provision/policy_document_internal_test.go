package provision

import (
	"encoding/json"
	"testing"
)

// TestTheTrustOfARoleHasItsActionAsAString reads a trust policy as strictly as
// ecspresso's verify does, which takes no list for the action and the principal.
func TestTheTrustOfARoleHasItsActionAsAString(t *testing.T) {
	t.Parallel()
	text := policy(statement{
		Effect: "Allow", Action: []string{"sts:AssumeRole"}, Principal: map[string]string{"Service": "ecs-tasks.amazonaws.com"},
	})
	var trust struct {
		Version   string
		Statement []struct {
			Effect, Action string
			Principal      struct{ Service string }
		}
	}
	if err := json.Unmarshal([]byte(text), &trust); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	if s := trust.Statement; len(s) != 1 || s[0].Effect != "Allow" || s[0].Action != "sts:AssumeRole" || s[0].Principal.Service != "ecs-tasks.amazonaws.com" {
		t.Errorf("the trust is %s", text)
	}
	// What a role may do keeps its lists.
	var may struct {
		Statement []struct{ Action, Resource []string }
	}
	if err := json.Unmarshal([]byte(policy(statement{Effect: "Allow", Action: []string{"a:B"}, Resource: []string{"*"}})), &may); err != nil {
		t.Error(err)
	}
}
