package provision

import (
	"testing"
	"time"

	"github.com/bookctl/bookctl/internal/provision/graph"
)

// TestWhatIsComparedAloneIsReadAfterTheNotes has the notes on a release that serves set
// while something is due that is compared only when nothing else differs: they do not end
// the step.
func TestWhatIsComparedAloneIsReadAfterTheNotes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		live liveService
		want bool
	}{
		"nothing else":       {liveService{ready: true}, true},
		"not ready":          {liveService{}, false},
		"a former port":      {liveService{ready: true, formerTargets: true}, false},
		"a failing release":  {liveService{ready: true, takeBackBecause: "3 tasks failed"}, false},
		"a release to retry": {liveService{ready: true, failedRollout: "tasks failed to start"}, false},
	} {
		s := &Service{}
		s.NodeOf = graph.Of(s, "service", time.Minute)
		s.Learn(&c.live)
		if got := s.UpdatesSynchronously([]graph.Change{{Field: FieldKept}, {Field: fieldGrace}}); got != c.want {
			t.Errorf("%s: %t, want %t", name, got, c.want)
		}
	}
}
