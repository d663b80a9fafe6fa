package provision

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

func TestAStrategyIsReadInEachOfItsForms(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct {
		form            string
		shifting, takes time.Duration
	}{
		"rolling":                {"rolling", 0, 0},
		"blue-green":             {"blue-green:5m", 0, 5 * time.Minute},
		"blue-green:1h":          {"blue-green:60m", 0, time.Hour},
		"canary:10%/5m":          {"canary:10%/5m:5m", 5 * time.Minute, 10 * time.Minute},
		"canary:0.1%/24h:0s":     {"canary:0.1%/1440m:0m", 24 * time.Hour, 24 * time.Hour},
		"linear:20%/3m":          {"linear:20%/3m:5m", 12 * time.Minute, 17 * time.Minute},
		"linear:30%/1m:2m":       {"linear:30%/1m:2m", 3 * time.Minute, 5 * time.Minute},
		"linear:33.4%/1m:0m":     {"linear:33.4%/1m:0m", 2 * time.Minute, 2 * time.Minute},
		"canary:25%/1440m:1h30m": {"canary:25%/1440m:90m", 24 * time.Hour, 25*time.Hour + 30*time.Minute},
		"canary:10%/5m:60s":      {"canary:10%/5m:1m", 5 * time.Minute, 6 * time.Minute},
	} {
		s, err := ParseStrategy(text)
		if err != nil || s.String() != want.form || s.Shifting() != want.shifting || s.Takes() != want.takes {
			t.Errorf("%s is %s, which shifts for %s and takes %s: %v", text, s, s.Shifting(), s.Takes(), err)
		}
		c := &types.DeploymentConfiguration{}
		s.configuration(c)
		if back := strategyOf(c); back != s {
			t.Errorf("%s is read back from ECS as %s", s, back)
		}
		if again, err := ParseStrategy(s.String()); again != s || err != nil {
			t.Errorf("%s is read again as %s, %v", s, again, err)
		}
	}
	for _, text := range []string{
		"", "rolling:5m", "canary", "canary:", "canary:10%", "canary:10/5m", "canary:0.05%/5m", "canary:10.05%/5m", "canary:101%/5m", "canary:NaN%/5m", "canary:10%/5",
		"canary:10%/30s", "canary:10%/25h", "canary:10%/-1m", "canary:10%/5m:", "linear:2%/1m", "linear:0%/1m", "blue-green:", "blue-green:soon", "all-at-once",
	} {
		if s, err := ParseStrategy(text); err == nil {
			t.Errorf("%q is %s", text, s)
		}
	}
}
