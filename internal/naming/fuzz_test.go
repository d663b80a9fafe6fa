package naming_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/bookctl/bookctl/internal/naming"
)

// FuzzStackName holds every accepted name against the rules of those who have to
// take names made from it.
func FuzzStackName(f *testing.F) {
	for _, name := range []string{"book", "a-b", "internal", "internal-x", "a--b", "-a", "A", "", "book\n", strings.Repeat("a", 21), "é"} {
		f.Add(name)
	}
	// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateLoadBalancer.html
	balancer := regexp.MustCompile(`\A[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,30}[a-zA-Z0-9])?\z`)
	// https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBInstance.html
	database := regexp.MustCompile(`\A[a-z][a-z0-9-]{0,61}[a-z0-9]\z`)
	f.Fuzz(func(t *testing.T, name string) {
		if naming.CheckStack(name) != nil {
			return
		}
		names := naming.Names{Stack: name}
		if n := names.TargetGroup(); !balancer.MatchString(n) || strings.HasPrefix(n, "internal-") {
			t.Errorf("no load balancer can be named %q", n)
		}
		if n := names.Database(); !database.MatchString(n) || strings.Contains(n, "--") {
			t.Errorf("no database can be named %q", n)
		}
	})
}
