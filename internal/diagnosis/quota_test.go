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

// TestTheQuotasOfBackupsAreToldApart has RDS's errors, one code of which is also that of a limit
// that passes by itself.
func TestTheQuotasOfBackupsAreToldApart(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ code, message, text, hint, not string }{
		{"SnapshotQuotaExceeded", "Cannot create more than 100 manual snapshots", "Manual DB instance snapshots", "L-272F1212", "at a time"},
		{"SnapshotQuotaExceeded", "Cannot create more than 100 manual snapshots", "is reached", "'aws rds delete-db-snapshot --db-snapshot-identifier ID' deletes one", "bookctl list"},
		{"SnapshotQuotaExceeded", "Cannot copy more than 5 snapshots across regions", "at a time", "the same command", "L-272F1212"},
		{"DBInstanceAutomatedBackupQuotaExceeded", "Can't retain automated backup because the quota for retained automated backups was exceeded.", "DB instances", "aws rds delete-db-instance-automated-backup", "bookctl list"},
	} {
		x := diagnosis.OfQuota(test.code, test.message)
		said := x.Text + "; " + x.Hint.String()
		if !strings.Contains(x.Text, test.text) || !strings.Contains(x.Text, test.message) || !strings.Contains(x.Hint.String(), test.hint) || strings.Contains(said, test.not) {
			t.Errorf("%s: %s: %s", test.code, test.message, said)
		}
	}
}
