package provision_test

import (
	"errors"
	"testing"

	"github.com/bookctl/bookctl/internal/provision"
)

func TestARollbackGoesToTheLastReleaseThatHasServedAnotherImage(t *testing.T) {
	t.Parallel()
	r := func(revision int32, image string, served, serving bool) provision.Release {
		return provision.Release{Revision: revision, Image: image, Served: served, Serving: serving}
	}
	for name, tc := range map[string]struct {
		releases []provision.Release
		to       int32
		want     int32
		never    bool
		fails    bool
	}{
		"the one before":                        {releases: []provision.Release{r(2, "b", true, true), r(1, "a", true, false)}, want: 1},
		"one that failed is passed over":        {releases: []provision.Release{r(3, "c", true, true), r(2, "b", false, false), r(1, "a", true, false)}, want: 1},
		"a change of settings is no release":    {releases: []provision.Release{r(3, "b", true, true), r(2, "b", true, false), r(1, "a", true, false)}, want: 1},
		"in the middle of a bad rollout":        {releases: []provision.Release{r(2, "b", false, true), r(1, "a", true, false)}, want: 1},
		"what failed was rolled back by ECS":    {releases: []provision.Release{r(2, "b", false, false), r(1, "a", true, true)}, want: 1, never: true},
		"further back":                          {releases: []provision.Release{r(2, "b", false, false), r(1, "a", true, true)}, to: 2, want: 2},
		"there is none":                         {releases: []provision.Release{r(1, "a", true, true)}, fails: true},
		"nothing is deployed":                   {fails: true},
		"a revision that is not there any more": {releases: []provision.Release{r(2, "b", true, true), r(1, "a", true, false)}, to: 9, fails: true},
	} {
		got, err := provision.RollbackTarget(tc.releases, tc.to)
		if errors.Is(err, provision.ErrNeverServed) != tc.never || (err != nil && !tc.never) != tc.fails || got.Revision != tc.want {
			t.Errorf("%s: revision %d, %v", name, got.Revision, err)
		}
	}
}
