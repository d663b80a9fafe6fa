package batch_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/bookctl/bookctl/internal/api/batch"
)

var errBad, errOverloaded = errors.New("bad"), errors.New("overloaded")

// double serves a second after it began; "bad" fails it, and "panic" panics.
func double(sizes *[]int) *batch.Batcher[string, string] {
	return &batch.Batcher[string, string]{
		Workers: 1, MaxBatch: 8, MaxWaiting: 16, MaxWait: time.Minute,
		Overloaded:      errOverloaded,
		OneInputMayFail: func(err error) bool { return errors.Is(err, errBad) },
		Serve: func(_ context.Context, in []string) (out []string, err error) {
			*sizes = append(*sizes, len(in))
			time.Sleep(time.Second)
			for _, text := range in {
				switch text {
				case "bad":
					return nil, errBad
				case "panic":
					panic("at the disco")
				}
				out = append(out, text+text)
			}
			return out, nil
		},
	}
}

func TestCallsThatComeTogetherShareABatchAndABadOneFailsAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var sizes []int
		b := double(&sizes)
		var wait sync.WaitGroup
		call := func(in string) {
			wait.Go(func() {
				out, err := b.Do(t.Context(), in)
				if in == "bad" {
					if !errors.Is(err, errBad) {
						t.Errorf("bad: %q, %v", out, err)
					}
				} else if out != in+in || err != nil {
					t.Errorf("%s: %q, %v", in, out, err)
				}
			})
		}
		call("first")
		synctest.Wait() // it is served alone, at once
		for _, in := range []string{"a", "b", "bad", "c"} {
			call(in)
		}
		wait.Wait()
		if len(sizes) != 6 || sizes[0] != 1 || sizes[1] != 4 || sizes[2] != 1 {
			t.Errorf("batches of %v, want one alone, four together, and each of them again", sizes)
		}
	})
}

func TestAPanicIsAnErrorAndTheNextCallIsServed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := double(new([]int))
		if _, err := b.Do(t.Context(), "panic"); err == nil || !strings.Contains(err.Error(), "at the disco") {
			t.Errorf("a panic: %v", err)
		}
		if out, err := b.Do(t.Context(), "a"); out != "aa" || err != nil {
			t.Errorf("after a panic: %q, %v", out, err)
		}
	})
}

func TestWhoComesTooLateOrWaitsForTooLongIsRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := double(new([]int))
		b.MaxBatch, b.MaxWaiting, b.MaxWait = 1, 2, 1500*time.Millisecond
		var mu sync.Mutex
		ends := map[error]int{}
		var wait sync.WaitGroup
		for range 4 { // one is served, two wait, and one is too many
			wait.Go(func() {
				_, err := b.Do(t.Context(), "a")
				mu.Lock()
				defer mu.Unlock()
				ends[err]++
			})
			synctest.Wait()
		}
		wait.Wait()
		// The second one that waits does so for two seconds.
		if ends[nil] != 2 || ends[errOverloaded] != 2 {
			t.Errorf("calls ended with %v", ends)
		}
	})
}

func TestABatchIsPartOfOneTraceAndLinksTheOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		spans := tracetest.NewInMemoryExporter()
		provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
		b := double(new([]int))
		var wait sync.WaitGroup
		for range 3 { // the first alone, then two
			wait.Go(func() {
				ctx, span := provider.Tracer("test").Start(t.Context(), "request")
				defer span.End()
				if _, err := b.Do(ctx, "a"); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		wait.Wait()
		var links []int
		for _, s := range spans.GetSpans() {
			if s.Name == "batch" {
				links = append(links, len(s.Links))
				if !s.Parent.IsValid() {
					t.Error("a batch is part of no trace")
				}
			}
		}
		if len(links) != 2 || links[0] != 1 || links[1] != 2 {
			t.Errorf("batches with links %v, want 1 and 2", links)
		}
	})
}
