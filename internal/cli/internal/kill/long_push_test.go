package kill_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/random"

	"github.com/bookctl/bookctl/internal/image"
	"github.com/bookctl/bookctl/internal/provision"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// large is an image of two layers, pushed over a link as the command line does.
type large struct {
	*image.Image
	link *link
}

func newLarge(t *testing.T, layer int64, link *link) large {
	t.Helper()
	oci, err := random.Image(layer, 2)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := oci.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return large{&image.Image{OCI: oci, Digest: digest.String()}, link}
}

func (l large) Digest(context.Context) (string, error) { return l.Image.Digest, nil }

func (l large) Push(ctx context.Context, repository string, login provision.RegistryLogin, progress func(done, total int64)) error {
	upload := image.Upload{Auth: &authn.Basic{Username: login.Username, Password: login.Password}, Progress: progress, Transport: l.link}
	_, err := upload.Push(ctx, l.Image, repository)
	return err
}

// link is a way to the registry that takes so many bytes a second of each request, and none
// of some.
type link struct {
	to   http.RoundTripper
	rate int

	mu     sync.Mutex
	stalls int // how many of the next bodies come to a halt
	bodies int // how many layers and configurations were begun to be sent
}

func (l *link) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodPatch {
		l.mu.Lock()
		stall := l.stalls > 0
		if l.bodies++; stall {
			l.stalls--
		}
		l.mu.Unlock()
		r = r.Clone(r.Context())
		r.Body = &slowly{ReadCloser: r.Body, ctx: r.Context(), rate: l.rate, stall: stall}
	}
	return l.to.RoundTrip(r)
}

func (l *link) sent() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bodies
}

// slowly is a body that is read at most ten seconds' worth at a time.
type slowly struct {
	io.ReadCloser
	ctx   context.Context
	rate  int
	stall bool
}

func (s *slowly) Read(b []byte) (int, error) {
	if s.stall {
		<-s.ctx.Done()
		return 0, s.ctx.Err()
	}
	n, err := s.ReadCloser.Read(b[:min(len(b), 10*s.rate)])
	if ended := graph.Sleep(s.ctx, time.Duration(n)*time.Second/time.Duration(s.rate)); ended != nil {
		return 0, ended
	}
	return n, err
}

// push ups a stack with the image, and returns what was said of the image.
func (a *account) push(ctx context.Context, source large) (events []graph.Event, err error) {
	spec := a.spec
	spec.Source = source
	err = a.run(&wire{}, spec, func(r provision.Run) error {
		r.Observe = func(e graph.Event) {
			if e.Node == "image" {
				events = append(events, e)
			}
		}
		_, _, err := r.Up(ctx)
		return err
	})
	return events, err
}

// TestALongPushIsSentOnce pushes an image of 4 MB at 4 kbit/s.
func TestALongPushIsSentOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := openInMemory(t)
		slow := &link{to: a.by, rate: 500}
		begun := time.Now()
		events, err := a.push(t.Context(), newLarge(t, 1_900_000, slow))
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took < time.Hour {
			t.Errorf("the push took %s, which is no long one", took)
		}
		if n := slow.sent(); n != 3 {
			t.Errorf("%d bodies were sent of two layers and a configuration", n)
		}
		said := map[string]bool{}
		for _, e := range events {
			if e.Kind == graph.Waiting && e.Progress {
				said[e.Note] = true
			}
		}
		for _, note := range []string{"pushed 1 of 4 MB", "pushed 2 of 4 MB", "pushed 3 of 4 MB", "pushed 4 of 4 MB"} {
			if !said[note] {
				t.Errorf("no event says %q: %v", note, said)
			}
		}
	})
}

// TestAnInterruptEndsAPush interrupts a long push, and goes on with it after that.
func TestAnInterruptEndsAPush(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := openInMemory(t)
		slow := &link{to: a.by, rate: 500}
		source := newLarge(t, 1_900_000, slow)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(10*time.Minute, cancel)
		begun := time.Now()
		events, err := a.push(ctx, source)
		if took := time.Since(begun); took > 10*time.Minute+5*time.Second {
			t.Errorf("a run that was interrupted after 10 minutes ended after %s", took)
		}
		if last := events[len(events)-1]; !errors.Is(err, context.Canceled) || last.Kind != graph.Stopped || last.Note != "pushed 1 of 4 MB" {
			t.Errorf("error %v, and the last event is %+v", err, last)
		}
		slow.rate = 1 << 20
		if _, err := a.push(t.Context(), source); err != nil {
			t.Error(err)
		}
	})
}

// TestAPushThatStallsIsTriedAgain has a layer stop going out, once and always.
func TestAPushThatStallsIsTriedAgain(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		stalls, bodies int
		least, most    time.Duration
		fails          string
	}{
		// The other layer is there by then.
		"once":   {stalls: 1, bodies: 4, least: 5 * time.Minute, most: 10 * time.Minute},
		"always": {stalls: 1 << 30, bodies: 12, least: 20 * time.Minute, most: 30 * time.Minute, fails: "nothing went out, and no answer came, for 5m0s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				a := openInMemory(t)
				slow := &link{to: a.by, rate: 1 << 20, stalls: c.stalls}
				begun := time.Now()
				_, err := a.push(t.Context(), newLarge(t, 1_900_000, slow))
				if took := time.Since(begun); took < c.least || took > c.most {
					t.Errorf("it took %s, want %s to %s", took, c.least, c.most)
				}
				if (err == nil) != (c.fails == "") || err != nil && (!errors.Is(err, graph.ErrTimeout) || !strings.Contains(err.Error(), c.fails)) {
					t.Errorf("error %v, want %q", err, c.fails)
				}
				if n := slow.sent(); n != c.bodies {
					t.Errorf("%d bodies were sent, want %d", n, c.bodies)
				}
			})
		})
	}
}
