package provision_test

import (
	"strings"
	"testing"

	"github.com/bookctl/bookctl/internal/provision"
)

// TestTheDatabaseIsNotGivenInBookctlsOwnVariables names those that --db-env would overwrite.
func TestTheDatabaseIsNotGivenInBookctlsOwnVariables(t *testing.T) {
	t.Parallel()
	for name, why := range map[string]string{
		"PORT": "--container-port chooses it", "TASK_CPU": "--cpu and --memory choose it", "TASK_MEMORY": "--cpu and --memory choose it",
		"TASK_DRAIN": "--spot chooses it", "DB_SECRET_ARN": "it names the secret of the database", "DATABASE_HOST": "",
	} {
		s := provision.DefaultSettings()
		s.DBEnv = "user=username," + name + "=endpoint"
		switch err := s.Check(); {
		case why == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case why != "" && (err == nil || !strings.Contains(err.Error(), "variable "+name+" is set by bookctl: "+why)):
			t.Errorf("%s: %v, want %q", name, err, why)
		}
	}
}
