package image

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"path"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

const (
	// stallTimeout is how long a push waits for a byte to go out or an answer to come. It
	// is also what a registry has for the end of a layer, which it may check as a whole.
	stallTimeout = 5 * time.Minute
	// progressEvery is how often a push reports how far it has come.
	progressEvery = 2 * time.Second
)

// push is an image that is being pushed, whose layers count what is read of them, and the
// transport of the requests, which sees which layers are there already.
//
// The library's own progress (remote.WithProgress) is not used: it closes its channel when a
// push is cut off, while the body of a request may still be read, and that sends on it.
// https://pkg.go.dev/net/http#RoundTripper
type push struct {
	v1.Image
	layers []v1.Layer
	inner  http.RoundTripper
	sizes  map[v1.Hash]int64

	mu    sync.Mutex
	there map[v1.Hash]int64 // how much of each layer is there, or on its way
	moved time.Time         // when a byte went out or an answer came
}

func newPush(image v1.Image, inner http.RoundTripper) (*push, error) {
	layers, err := image.Layers()
	if err != nil {
		return nil, err
	}
	if inner == nil {
		inner = remote.DefaultTransport
	}
	p := &push{Image: image, inner: inner, sizes: map[v1.Hash]int64{}, there: map[v1.Hash]int64{}, moved: time.Now()}
	for _, l := range layers {
		digest, err := l.Digest()
		if err != nil {
			return nil, err
		}
		if p.sizes[digest], err = l.Size(); err != nil {
			return nil, err
		}
		p.layers = append(p.layers, pushedLayer{l, p, digest})
	}
	return p, nil
}

// Layers implements v1.Image.
func (p *push) Layers() ([]v1.Layer, error) { return p.layers, nil }

// RoundTrip implements http.RoundTripper.
func (p *push) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := p.inner.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.moved = time.Now()
	// A registry may answer with the place of a layer instead.
	if digest, err := v1.NewHash(path.Base(req.URL.Path)); err == nil && req.Method == http.MethodHead && resp.StatusCode < http.StatusBadRequest {
		if size, ok := p.sizes[digest]; ok {
			p.there[digest] = size
		}
	}
	return resp, nil
}

// sent notes that so much of a layer has gone out.
func (p *push) sent(layer v1.Hash, n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.there[layer], p.moved = n, time.Now()
}

// done is how many bytes are there, of how many, and since when nothing has moved.
func (p *push) done() (done, total int64, moved time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for n := range maps.Values(p.there) {
		done += n
	}
	for n := range maps.Values(p.sizes) {
		total += n
	}
	return done, total, p.moved
}

// watch reports how far the push has come, until end is called, and ends the context that
// it returns when nothing moves.
func (p *push) watch(ctx context.Context, progress func(done, total int64)) (watched context.Context, end func()) {
	watched, stop := context.WithCancelCause(ctx)
	over := make(chan struct{})
	go func() {
		defer close(over)
		tick := time.NewTicker(progressEvery)
		defer tick.Stop()
		for {
			select {
			case <-watched.Done():
				return
			case <-tick.C:
			}
			done, total, moved := p.done()
			if time.Since(moved) > stallTimeout {
				stop(stalledError{})
				return
			}
			if progress != nil {
				progress(done, total)
			}
		}
	}()
	return watched, func() {
		stop(nil)
		<-over
	}
}

// stalled is the error of a push, in words if it was ended because nothing moved.
func stalled(ctx context.Context, err error) error {
	if cause, ok := context.Cause(ctx).(stalledError); ok { //nolint:errorlint // what watch ends it with
		return cause
	}
	return err
}

// stalledError is that of a push of which nothing moves any more. It can be tried again.
type stalledError struct{}

func (stalledError) Error() string {
	return fmt.Sprintf("nothing went out, and no answer came, for %s", stallTimeout)
}

// Reason is how the engine reports it while it tries again.
func (e stalledError) Reason() string { return "the push stalled: " + e.Error() }

func (stalledError) Unwrap() error { return context.DeadlineExceeded }

// pushedLayer is a layer that counts what is read of it.
type pushedLayer struct {
	v1.Layer
	push   *push
	digest v1.Hash
}

// Compressed implements v1.Layer.
func (l pushedLayer) Compressed() (io.ReadCloser, error) {
	content, err := l.Layer.Compressed()
	if err != nil {
		return nil, err
	}
	return &pushedContent{ReadCloser: content, layer: l}, nil
}

// pushedContent is one attempt at a layer.
type pushedContent struct {
	io.ReadCloser
	layer pushedLayer
	n     int64
}

func (c *pushedContent) Read(b []byte) (int, error) {
	n, err := c.ReadCloser.Read(b)
	if c.n += int64(n); n > 0 {
		c.layer.push.sent(c.layer.digest, c.n)
	}
	return n, err
}
