package cli

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bookctl/bookctl/internal/provision"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// TestAPlanOfAReleaseShowsTheChosenSettings: that each release marks its image is no news, and
// that a run was cut off before it could is.
func TestAPlanOfAReleaseShowsTheChosenSettings(t *testing.T) {
	t.Parallel()
	kept := graph.Change{Field: provision.FieldKept, Have: "false", Want: "true"}
	rolled := graph.Change{Field: "task-definition", Have: "book-app:1", Want: "book-app:2"}
	for name, c := range map[string]struct {
		definition string
		service    []graph.Change
		want       planned
	}{
		"a release":         {planUpdate, []graph.Change{rolled, kept}, planned{Action: planUpdate, Changes: []graph.Change{{Field: "task-definition", Have: "book-app:1", Want: "the new revision"}}}},
		"its image alone":   {planUpdate, []graph.Change{kept}, planned{Action: planUpdate, Note: "rolls the new release out", Changes: []graph.Change{}}},
		"a run was cut off": {planUnchanged, []graph.Change{kept}, planned{Action: planUpdate, Changes: []graph.Change{kept}}},
	} {
		resources := []planned{
			{Resource: "task-definition", Action: c.definition, Changes: []graph.Change{{Field: "image", Have: "a", Want: "b"}}},
			{Resource: "service", Action: planUpdate, Changes: slices.Clone(c.service)},
		}
		showReleaseAsServing(resources, provision.ReleaseStatus{})
		c.want.Resource = "service"
		if diff := cmp.Diff(c.want, resources[1], cmp.AllowUnexported(planned{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestAPlanSaysAnArchiveAsItWasGiven: settings hold it as what the image is made of.
func TestAPlanSaysAnArchiveAsItWasGiven(t *testing.T) {
	t.Parallel()
	const archive = "oci-archive:ping.tar"
	before := provision.Deployed{Found: true, Settings: provision.Settings{Image: "ghcr.io/example/ping:1"}}
	said := map[string]planSetting{}
	for _, s := range planSettings(before, provision.Settings{From: archive}, nil) {
		said[s.Flag] = s
	}
	if image, source := said["--image"], said["--source"]; image.Then != archive || image.Now != "ghcr.io/example/ping:1" || source.Then != "" {
		t.Errorf("image %+v, source %+v; want %s as the image", image, source, archive)
	}
}

// TestEachChoiceIsTaken: what a shell offers for a setting is not refused.
func TestEachChoiceIsTaken(t *testing.T) {
	t.Parallel()
	offered := 0
	for _, row := range provision.Table() {
		for _, choice := range row.Choices {
			offered++
			var given provision.Settings
			only := func(flag string) bool { return flag == row.Flag }
			if !row.Value.Parse(&given, choice) {
				t.Errorf("--%s %s is no such value", row.Flag, choice)
			}
			s := provision.DefaultSettings()
			s.Overlay(given, only)
			if err := s.CheckOf(only); err != nil {
				t.Errorf("--%s %s: %v", row.Flag, choice, err)
			}
		}
	}
	if offered < 30 {
		t.Errorf("the table offers %d values alone", offered)
	}
}
