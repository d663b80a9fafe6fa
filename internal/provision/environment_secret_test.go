package provision_test

import (
	"testing"

	"github.com/bookctl/bookctl/internal/provision"
)

// TestTheOwnSecretCostsOnce counts the secret that holds all own values once, and those
// of others not at all.
func TestTheOwnSecretCostsOnce(t *testing.T) {
	t.Parallel()
	const arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:"
	s := provision.DefaultSettings()
	s.Secrets = provision.NewPairs(map[string]string{"A": arn + "team/key-AbCdEf:key::"})
	if n := s.Usage().Secrets; n != 1 {
		t.Errorf("%d secrets cost without an own one, want the database's", n)
	}
	s.Secrets = provision.NewPairs(map[string]string{"A": arn + "book/environment-AbCdEf:A::1", "B": arn + "book/environment-AbCdEf:B::1"})
	if n := s.Usage().Secrets; n != 2 {
		t.Errorf("%d secrets cost with an own one, want 2", n)
	}
}
