package cli_test

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
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

// TestADestroyGoesOnAfterOneThatWasCutOff cuts a destroy off while ECS and RDS delete what it has
// deleted, and has the next one wait for a person until they are done.
func TestADestroyGoesOnAfterOneThatWasCutOff(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t, "TERM=dumb")
	h := s.byHand(t, nil)
	s.up("--stop-timeout", "20", "--db-class", "db.t4g.small", "--log-days", "30", "--tag", "team=a")
	h.backedUp()
	// From here on a deletion takes some time.
	s.must("local", "stop")
	h = s.byHand(t, nil, "--latencies", "aws", "--scale", "0.1")
	var tasks map[int]string
	until(t, "the task runs again", func() bool {
		tasks = s.tasks(t)
		return len(tasks) == 1
	})
	for pid := range tasks { // one that doesn't end when it is asked to
		h.must(syscall.Kill(pid, syscall.SIGSTOP))
	}
	const longer = 11 * time.Second // than what was read counts as just read
	has := func(start string) bool {
		return slices.ContainsFunc(h.inventory(), func(line string) bool { return strings.HasPrefix(line, start) })
	}
	asked := func() *terminal {
		t.Helper()
		m := openTerminal(t, s.command("destroy", "--local"), 200, 24)
		until(t, "the question is asked", func() bool { return strings.Contains(m.screen(), "to continue:") })
		return m
	}

	first := s.begin(t, "destroy", "--local", "--yes")
	until(t, "the service is draining", func() bool {
		live, _ := h.serviceOf()
		return live != nil && aws.ToString(live.Status) == "DRAINING"
	})
	h.must(first.Process.Signal(os.Interrupt))
	first.end(t).says(t, 130)
	second := asked()
	if live, _ := h.serviceOf(); live == nil || aws.ToString(live.Status) != "DRAINING" {
		t.Fatal("the service was gone before the second destroy asked")
	}
	time.Sleep(longer)
	until(t, "the service is gone", func() bool { return !has("service ") })
	second.press("book\n")
	until(t, "the database is being deleted", func() bool {
		if text := second.text(); strings.Contains(text, "bookctl: ") {
			t.Fatalf("a destroy that another one has begun:\n%s", text)
		}
		return has("database book-database deleting ")
	})
	second.press("\x03")
	if code := second.wait(); code != 130 {
		t.Errorf("exit code %d after Ctrl-C:\n%s", code, second.text())
	}
	third := asked()
	if !has("database book-database deleting ") {
		t.Fatal("the database was gone before the third destroy asked")
	}
	time.Sleep(longer)
	until(t, "the database is gone", func() bool { return !has("database ") })
	third.press("book\n")
	if code := third.wait(); code != 0 || !strings.Contains(third.text(), " 0 left") {
		t.Errorf("exit code %d of a destroy that another one has begun:\n%s", code, third.text())
	}
}
