package cli

import (
	"bytes"
	"encoding/json"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/rds"

	"github.com/bookctl/bookctl/internal/moto"
	"github.com/bookctl/bookctl/internal/pricing"
	"github.com/bookctl/bookctl/internal/provision"
)

// TestASnapshotIsCopiedBetweenRegions restores in one region of moto what a stack left in
// another: the plan prices the copy, and everything is gone with the stack and its snapshots.
func TestASnapshotIsCopiedBetweenRegions(t *testing.T) {
	t.Parallel()
	cfg := oddConfig(moto.Start(t))
	run := func(region string, args ...string) (int, string, string) {
		var stdout, stderr bytes.Buffer
		c := cfg.Copy()
		c.Region = region
		args = append(args, "--region", region)
		g := &globals{args: args, answerGuard: provision.AnswerGuard{Limit: 30 * time.Second}, config: &c}
		code := runWith(t.Context(), g, streams{in: strings.NewReader(""), out: &stdout, err: &stderr})
		return code, stdout.String(), stderr.String()
	}
	const from, to = "eu-west-1", "us-east-1"
	image := []string{"--arch", runtime.GOARCH, "--image", "127.0.0.1:1/none@sha256:" + strings.Repeat("a", 64)}
	type list struct{ Snapshots []struct{ ID, Kind string } }
	snapshots := func(region string) (out list) {
		t.Helper()
		_, text, errs := run(region, "db", "snapshots", "--output", "json")
		if err := json.Unmarshal([]byte(text), &out); err != nil {
			t.Fatalf("%v\n%s%s", err, text, errs)
		}
		return out
	}
	for _, args := range [][]string{append([]string{"up", "--wait=false"}, image...), {"destroy", "--yes"}} {
		if code, _, errs := run(from, args...); code != exitOK {
			t.Fatalf("%v: %s", args, errs)
		}
	}
	left := snapshots(from).Snapshots
	if len(left) != 1 {
		t.Fatalf("%s has snapshots %+v; want one", from, left)
	}
	restore := append([]string{"--restore", "arn:aws:rds:" + from + ":123456789012:snapshot:" + left[0].ID}, image...)
	_, text, errs := run(to, append([]string{"plan", "--output", "json"}, restore...)...)
	var plan struct{ Cost struct{ Then []pricing.Line } }
	if err := json.Unmarshal([]byte(text), &plan); err != nil {
		t.Fatalf("%v\n%s%s", err, text, errs)
	}
	want, err := pricing.SnapshotCost(to, 20)
	if err != nil {
		t.Fatal(err)
	}
	priced := 0.0
	for _, l := range plan.Cost.Then {
		if l.Item == "snapshot copy" {
			priced = l.Monthly
		}
	}
	if want <= 0 || math.Abs(priced-want) > 0.005 {
		t.Errorf("the plan prices the copy at $%.2f a month, want $%.2f", priced, want)
	}
	if code, _, errs := run(to, append([]string{"up", "--wait=false"}, restore...)...); code != exitOK {
		t.Fatal(errs)
	}
	copies := 0
	for _, s := range snapshots(to).Snapshots {
		if s.Kind == "copy" {
			copies++
		}
	}
	if copies != 1 {
		t.Errorf("%s shows %d copies, want one", to, copies)
	}
	if code, text, errs := run(to, append([]string{"plan"}, image...)...); code != exitOK {
		t.Errorf("a plan of what was restored exits with %d:\n%s%s", code, text, errs)
	}
	if code, _, errs := run(to, "destroy", "--yes", "--purge-snapshots"); code != exitOK {
		t.Fatal(errs)
	}
	cfg.Region = to
	out, err := rds.NewFromConfig(cfg).DescribeDBSnapshots(t.Context(), &rds.DescribeDBSnapshotsInput{})
	if err != nil {
		t.Fatal(err)
	}
	if len(out.DBSnapshots) != 0 {
		t.Errorf("%d snapshots are left in %s", len(out.DBSnapshots), to)
	}
}
