package localcloud

import (
	"testing"

	"github.com/bookctl/bookctl/internal/localcloud/judge"
)

// TestEveryOperationHasItsPermissions makes sure that no call goes unjudged for
// want of a rule, and that each rule names fields that the call has.
func TestEveryOperationHasItsPermissions(t *testing.T) {
	t.Parallel()
	c := &Cloud{cfg: Config{Account: "000000000000", Region: "us-east-1"}}
	total := 0
	for _, s := range c.services() {
		for name, o := range s.operations {
			total++
			action := iamPrefix(s.signing) + ":" + name
			if _, known := judge.Requests(world{c}, action, o.newInput()); !known {
				t.Errorf("what AWS asks for %s is not in the judge's table", action)
			}
		}
	}
	if total < 150 {
		t.Errorf("there are only %d operations", total)
	}
}
