package cli_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestARefusedChangeLeavesNoTrace has AWS refuse a change of each thing that settings
// are recorded on. A plain up goes on with what was deployed: it is neither refused
// for what was never taken, nor does it try it again.
func TestARefusedChangeLeavesNoTrace(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	h := s.byHand(t, nil)
	s.up(imageless()...)
	h.backedUp()
	for _, c := range []struct {
		deny  string
		flags []string
		after string // what a plain up says, where more was done than what was refused
	}{
		{deny: "rds:ModifyDBInstance", flags: []string{"--db-class", "db.t4g.small", "--backup-days", "30", "--db-storage", "40"}},
		{deny: "ecs:UpdateService", flags: []string{"--count", "2"}},
		{deny: "application-autoscaling:RegisterScalableTarget", flags: []string{"--min", "1", "--max", "3"}},
		// The port is opened before something listens there.
		{deny: "elasticloadbalancing:ModifyListener", flags: []string{"--port", strconv.Itoa(int(openPort(t)))}, after: "1 updated"},
	} {
		before := h.inventory()
		h.faults(map[string]any{"deny": []string{c.deny}})
		s.run(append([]string{"up", "--local", "--wait=false"}, c.flags...)...).says(t, 4, c.deny)
		r := s.run("up", "--local", "--wait=false")
		if c.after == "" {
			r.says(t, 0, "Up to date", "0 changed")
		} else {
			r.says(t, 0, c.after)
		}
		s.run("up", "--local", "--wait=false").says(t, 0, "Up to date", "0 changed")
		h.same("after a refused up "+strings.Join(c.flags, " "), before)
	}
	h.faults(map[string]any{})
	s.run("up", "--local", "--wait=false", "--min", "1", "--max", "3").says(t, 0)
	s.run("up", "--local", "--wait=false").says(t, 0, "Up to date", "0 changed")
	s.run("up", "--local", "--wait=false", "--max", "0").says(t, 0)
	s.run("up", "--local", "--wait=false").says(t, 0, "Up to date", "0 changed")
}

// TestARefusedFirstUpLeavesWhatADestroyRemoves has AWS refuse everything that a first
// up makes. Of the lock, which it took and gave back, a released claim stays: without
// it, the next up would have to wait until its name is free again.
func TestARefusedFirstUpLeavesWhatADestroyRemoves(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	h := s.byHand(t, nil)
	before := h.inventory()
	h.faults(map[string]any{"deny": []string{
		"ec2:CreateVpc", "ecr:CreateRepository", "ecs:CreateCluster", "iam:CreateRole", "logs:CreateLogGroup", "rds:CreateDBParameterGroup", "secretsmanager:CreateSecret",
	}})
	s.run(append([]string{"up", "--local"}, imageless()...)...).says(t, 4, "ec2:CreateVpc")
	h.faults(map[string]any{})
	left := h.inventory()
	if len(left) != len(before)+1 || !strings.Contains(strings.Join(left, "\n"), "/bookctl/book/lock/first") {
		t.Errorf("a refused first up left more than its lock:\n%s", cmp.Diff(before, left))
	}
	s.run("destroy", "--local", "--yes").says(t, 0)
	h.same("a destroy behind a refused first up left something", before)
}
