package provision_test

import (
	"errors"
	"math"
	"testing"

	"github.com/bookctl/bookctl/internal/provision"
)

func TestCostOfTheDefaultStack(t *testing.T) {
	t.Parallel()
	s := provision.DefaultSettings()
	lines, err := provision.Cost(s, "us-east-1")
	if err != nil {
		t.Fatal(err)
	}
	// Worked out by hand from the published prices: 730 hours of a quarter CPU
	// (0.04048) and half a GB (0.004445), the balancer (0.0225) and one unit
	// (0.008), the smallest database (0.016) with 20 GB (0.115), three
	// addresses (0.005), and the small change.
	want := 730*(0.25*0.04048+0.5*0.004445) + 730*(0.0225+0.008) + 730*0.016 + 20*0.115 + 3*730*0.005 + 0.40 + 0.005 + 0.50
	if got := provision.Total(lines); math.Abs(got-want) > 0.01 {
		t.Errorf("a month costs %.2f, by hand %.2f: %v", got, want, lines)
	}
	for _, l := range lines {
		if l.Item == "" || l.Note == "" || l.Monthly < 0 {
			t.Errorf("line %+v", l)
		}
	}
}

func TestCostFollowsTheSettings(t *testing.T) {
	t.Parallel()
	total := func(change func(*provision.Settings)) float64 {
		s := provision.DefaultSettings()
		change(&s)
		lines, err := provision.Cost(s, "eu-central-1")
		if err != nil {
			t.Fatal(err)
		}
		return provision.Total(lines)
	}
	base := total(func(*provision.Settings) {})
	for name, c := range map[string]struct {
		change func(*provision.Settings)
		more   float64
	}{
		"second task":   {func(s *provision.Settings) { s.Count = 2 }, 730 * (0.25*0.04656 + 0.5*0.00511 + 0.005)},
		"arm is less":   {func(s *provision.Settings) { s.Arch = "arm64" }, 730 * (0.25*(0.03725-0.04656) + 0.5*(0.00409-0.00511))},
		"standby":       {func(s *provision.Settings) { s.DBMultiAZ = true }, 730*0.019 + 20*0.137},
		"twice storage": {func(s *provision.Settings) { s.DBStorage = 40 }, 20 * 0.137},
	} {
		if got := total(c.change) - base; math.Abs(got-c.more) > 0.01 {
			t.Errorf("%s: %+.2f a month, want %+.2f", name, got, c.more)
		}
	}
}

func TestWhatHasNoPriceIsUnknown(t *testing.T) {
	t.Parallel()
	if _, err := provision.Cost(provision.DefaultSettings(), "mars-north-1"); !errors.Is(err, provision.ErrNoPrice) {
		t.Errorf("an unknown region: %v", err)
	}
	s := provision.DefaultSettings()
	s.DBClass = "db.x2iedn.32xlarge"
	if _, err := provision.Cost(s, "us-east-1"); !errors.Is(err, provision.ErrNoPrice) {
		t.Errorf("an unknown class: %v", err)
	}
	if _, err := provision.SnapshotCost("mars-north-1", 20); !errors.Is(err, provision.ErrNoPrice) {
		t.Errorf("a snapshot in an unknown region: %v", err)
	}
	if got, err := provision.SnapshotCost("us-east-1", 20); err != nil || math.Abs(got-1.90) > 0.001 {
		t.Errorf("20 GiB cost %.2f, %v", got, err)
	}
}
