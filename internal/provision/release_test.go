package provision_test

import (
	"errors"
	"testing"

	"github.com/bookctl/bookctl/internal/provision"
)

func TestARollbackGoesToWhatServedBeforeAndNeverForward(t *testing.T) {
	t.Parallel()
	r := func(revision int32, image string, served, serving bool) provision.Release {
		return provision.Release{Revision: revision, Image: image, Served: served, Serving: serving}
	}
	repeats := func(of int32, r provision.Release) provision.Release { r.Repeats = of; return r }
	for name, tc := range map[string]struct {
		releases []provision.Release
		to       int32
		want     int32
		is       error // instead of success
		fails    bool
	}{
		"the one before":                        {releases: []provision.Release{r(2, "b", true, true), r(1, "a", true, false)}, want: 1},
		"one that failed is passed over":        {releases: []provision.Release{r(3, "c", true, true), r(2, "b", false, false), r(1, "a", true, false)}, want: 1},
		"what differs in nothing is no release": {releases: []provision.Release{r(3, "b", true, true), r(2, "b", true, false), r(1, "a", true, false)}, want: 1},
		"in the middle of a bad rollout":        {releases: []provision.Release{r(2, "b", false, true), r(1, "a", true, false)}, want: 1},
		"what failed was rolled back by ECS":    {releases: []provision.Release{r(2, "b", false, false), r(1, "a", true, true)}, want: 1, is: provision.ErrNeverServed},
		"further back":                          {releases: []provision.Release{r(2, "b", false, false), r(1, "a", true, true)}, to: 2, want: 2},
		"there is none":                         {releases: []provision.Release{r(1, "a", true, true)}, want: 1, is: provision.ErrOldest},
		"nothing is deployed":                   {fails: true},
		"a revision that is not there any more": {releases: []provision.Release{r(2, "b", true, true), r(1, "a", true, false)}, to: 9, fails: true},
		"a second one goes further back": {releases: []provision.Release{
			repeats(2, r(4, "b", true, true)), r(3, "c", true, false), r(2, "b", true, false), r(1, "a", true, false),
		}, want: 1},
		"a third one ends at the oldest": {releases: []provision.Release{
			repeats(1, r(5, "a", true, true)), repeats(2, r(4, "b", true, false)), r(3, "c", true, false), r(2, "b", true, false), r(1, "a", true, false),
		}, want: 5, is: provision.ErrOldest},
		"the same again after a rollback": {releases: []provision.Release{
			r(4, "a", true, true), repeats(1, r(3, "a", true, false)), r(2, "b", true, false), r(1, "a", true, false),
		}, want: 4, is: provision.ErrOldest},
		"the same again after a rollback and a failed release": {releases: []provision.Release{
			r(5, "a", true, true), r(4, "c", false, false), repeats(1, r(3, "a", true, false)), r(2, "b", true, false), r(1, "a", true, false),
		}, want: 5, is: provision.ErrOldest},
		"a new release after a rollback goes back to what that went to": {releases: []provision.Release{
			r(5, "d", true, true), repeats(2, r(4, "b", true, false)), r(3, "c", true, false), r(2, "b", true, false), r(1, "a", true, false),
		}, want: 2},
		"forward by --to, and back": {releases: []provision.Release{
			repeats(3, r(5, "c", true, true)), repeats(2, r(4, "b", true, false)), r(3, "c", true, false), r(2, "b", true, false), r(1, "a", true, false),
		}, want: 2},
		"a revision chosen by hand": {releases: []provision.Release{
			r(3, "c", true, false), r(2, "b", true, true), r(1, "a", true, false),
		}, want: 1},
		"an old image that was deployed anew is a new release": {releases: []provision.Release{
			r(3, "a", true, true), r(2, "b", true, false), r(1, "a", true, false),
		}, want: 2},
	} {
		got, err := provision.RollbackTarget(tc.releases, tc.to)
		switch {
		case got.Revision != tc.want:
			t.Errorf("%s: revision %d, %v", name, got.Revision, err)
		case tc.is != nil && !errors.Is(err, tc.is), tc.is == nil && (err != nil) != tc.fails:
			t.Errorf("%s: %v", name, err)
		}
	}
}
