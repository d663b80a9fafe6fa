package cli_test

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestTheStatusOfAHalfDestroyedStackIsShort destroys a stack but for its VPC, which keeps what
// is in it.
func TestTheStatusOfAHalfDestroyedStackIsShort(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	h := s.byHand(t, nil)
	s.must(append([]string{"up", "--local", "--no-database"}, imageless()...)...)
	h.faults(map[string]any{"deny": []string{"ec2:DeleteVpc"}})
	if r := s.run("destroy", "--local", "--yes"); r.code == 0 {
		t.Fatalf("a VPC that may not be deleted is:\n%s", r.err)
	}
	r := s.run("status", "--local")
	r.shows(t, 3, " resources are missing: ", "load-balancer, ")
	if strings.Count(r.out, " resources are missing: ") != 1 || strings.Contains(r.out, " is missing\n") {
		t.Errorf("what is missing has more than a line:\n%s", r.out)
	}
	var status struct{ Problems []string }
	if err := json.Unmarshal([]byte(s.run("status", "--local", "--output", "json").out), &status); err != nil {
		t.Fatal(err)
	}
	each := 0
	for _, p := range status.Problems {
		if strings.HasSuffix(p, " is missing") {
			each++
		}
	}
	if each < 10 {
		t.Errorf("the JSON output has %d missing resources: %v", each, status.Problems)
	}
}

// TestTheLocalCloudIsStillStartingWhenTheTimeIsOver has no local cloud yet.
func TestTheLocalCloudIsStillStartingWhenTheTimeIsOver(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	s.run("plan", "--local", "--timeout", "1ms").says(t, 1, "--timeout 1ms is over: a local cloud for the plan was still starting")
	s.run("up", "--local", "--timeout", "1ms").says(t, 1, "--timeout 1ms is over: the local cloud was still starting")
	until(t, "the local cloud goes on starting", func() bool { return s.run("local", "status").code == 0 })
}

// TestTheAWSCLIOfTheLocalCloudHasAHelp needs neither of them.
func TestTheAWSCLIOfTheLocalCloudHasAHelp(t *testing.T) {
	t.Parallel()
	for _, flag := range []string{"--help", "-h"} {
		newShell(t).run("local", "aws", flag).shows(t, 0, "Run the AWS CLI with the address and the credentials of the local cloud", "bookctl local aws ecs list-clusters")
	}
}
