package localcloud

import (
	"log/slog"
	"testing"

	"github.com/bookctl/bookctl/internal/localcloud/iamcheck"
	"github.com/bookctl/bookctl/internal/localcloud/kernel"
)

// TestEveryOperationHasItsPermissions makes sure that no call is allowed because
// it has no rule, and that each rule names fields that the call has.
func TestEveryOperationHasItsPermissions(t *testing.T) {
	t.Parallel()
	k := kernel.New(t.Context(), kernel.Config{StateDir: t.TempDir(), Account: "000000000000", Region: "us-east-1", Log: slog.New(slog.DiscardHandler)})
	c := &Cloud{kernel: k}
	c.makeServices(k)
	total := 0
	k.View(func(tx *kernel.Tx) {
		for _, s := range c.apis() {
			for name, o := range s.Operations {
				total++
				if _, known := iamcheck.Requests(accountState{tx, c}, s.Action(name), o.NewInput()); !known {
					t.Errorf("what AWS checks for %s is not in the table of iamcheck", s.Action(name))
				}
			}
		}
	})
	if total < 150 {
		t.Errorf("there are only %d operations", total)
	}
}
