package diagnosis_test

import (
	"strings"
	"testing"

	"github.com/bookctl/bookctl/internal/diagnosis"
)

// TestIAMsLimitsAreToldApart has IAM's errors, which have one code.
func TestIAMsLimitsAreToldApart(t *testing.T) {
	t.Parallel()
	for message, want := range map[string]struct{ text, hint, not string }{
		"Cannot exceed quota for RolesPerAccount: 1000":                          {"Roles per account", "L-FE177D64", "--secret"},
		"Maximum policy size of 10240 bytes exceeded for role book-execution":    {"A role's inline policies may not be longer", "--secret NAME=ARN:KEY", "Roles per account"},
		"Cannot exceed quota for PoliciesPerRole: 10":                            {"A quota of the account is reached", "Service Quotas", "Roles per account"},
		"Cannot exceed quota for PoliciesPerRole: 20":                            {"A quota of the account is reached", "--task-policies", "Roles per account"},
		"Cannot exceed quota for RolesPerAccount: 5000 (of a larger allowance).": {"Roles per account", "request-service-quota-increase", "--secret"},
	} {
		x := diagnosis.OfQuota("LimitExceeded", message)
		said := x.Text + "; " + x.Hint.String()
		if !strings.Contains(x.Text, want.text) || !strings.Contains(x.Text, message) || !strings.Contains(x.Hint.String(), want.hint) || strings.Contains(said, want.not) {
			t.Errorf("%s: %s", message, said)
		}
	}
}
