package graph_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/bookctl/bookctl/internal/provision/graph"
)

// TestAGroupReturnsPanicsAndErrors lets one of three panic and one fail: the third
// does its work, and both are reported.
func TestAGroupReturnsPanicsAndErrors(t *testing.T) {
	t.Parallel()
	var (
		g      graph.Group
		done   bool
		failed = errors.New("failed")
		none   *struct{ field int }
	)
	g.Go(func() error { none.field++; return nil })
	g.Go(func() error { return failed })
	g.Go(func() error { done = true; return nil })
	err := g.Wait()
	var p *graph.Panic
	if !errors.As(err, &p) || !strings.Contains(string(p.Stack), "group_test.go") {
		t.Errorf("the panic is not reported, with where it was: %v", err)
	}
	if !errors.Is(err, failed) || !done {
		t.Errorf("a panic hid the others: %v, done %v", err, done)
	}
	var empty graph.Group
	if err := empty.Wait(); err != nil {
		t.Errorf("a group of none: %v", err)
	}
}
