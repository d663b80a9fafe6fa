package provision

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"
)

// TestTheBoundaryOnThePageAllowsAllThatTheRolesMay compares the actions of the permissions
// boundary in docs/security.md with those that stacks give to their roles. Their resources are
// compared by TestAStackRunsWithinTheBoundaryOnThePage.
func TestTheBoundaryOnThePageAllowsAllThatTheRolesMay(t *testing.T) {
	t.Parallel()
	actions := map[string]bool{}
	for _, change := range []func(*Settings){
		func(*Settings) {},
		func(s *Settings) {
			s.Image = "111122223333.dkr.ecr.us-east-1.amazonaws.com/docker-hub/library/shop@sha256:" + strings.Repeat("0", 64)
		},
		func(s *Settings) { s.Exec = true },
		func(s *Settings) { s.Deploy = "blue-green" },
		// As with a secret of a registry.
		func(s *Settings) {
			s.Secrets = NewPairs(map[string]string{"KEY": "arn:aws:secretsmanager:us-east-1:111122223333:secret:key-AbCdEf"})
		},
		func(s *Settings) {
			s.Secrets = NewPairs(map[string]string{"KEY": "arn:aws:ssm:us-east-1:111122223333:parameter/key"})
		},
	} {
		settings := DefaultSettings()
		change(&settings)
		stack, err := NewStack(NewClients(aws.Config{Region: "us-east-1"}), Spec{Stack: "book", Zones: [2]string{"a", "b"}, Settings: settings})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range stack.Resources() {
			if role, ok := r.(*Role); ok {
				for _, s := range role.permissions() {
					for _, a := range s.Action {
						actions[a] = true
					}
				}
			}
		}
	}
	page, err := os.ReadFile("../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(page), "\nThis boundary allows ")
	_, section, begins := strings.Cut(section, "\n```json\n")
	section, _, ends := strings.Cut(section, "\n```\n")
	if !found || !begins || !ends {
		t.Fatal("the page does not say what a boundary must allow")
	}
	onPage := map[string]bool{}
	for _, m := range regexp.MustCompile(`"([a-z]+:[A-Z][A-Za-z]+)"`).FindAllStringSubmatch(section, -1) {
		if m[1] != "kms:ViaService" { // of a condition
			onPage[m[1]] = true
		}
	}
	sorted := func(of map[string]bool) (out []string) {
		for a := range of {
			out = append(out, a)
		}
		slices.Sort(out)
		return out
	}
	if diff := cmp.Diff(sorted(actions), sorted(onPage)); diff != "" {
		t.Errorf("the page differs from the roles (-roles +page):\n%s", diff)
	}
	if len(actions) < 20 {
		t.Errorf("the roles may do %v alone", sorted(actions))
	}
}
