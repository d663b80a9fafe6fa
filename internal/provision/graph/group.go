package graph

import (
	"errors"
	"runtime/debug"
	"sync"
)

// Group runs functions side by side. A panic in one is its error: Go would end the
// program with exit code 2, which a plan means changes by, while the others are at
// work. The zero value works.
type Group struct {
	wg   sync.WaitGroup
	mu   sync.Mutex
	errs []error // in the order of the functions
}

// Go runs a function alongside the others.
func (g *Group) Go(do func() error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := len(g.errs)
	g.errs = append(g.errs, nil)
	g.wg.Go(func() {
		err := Guarded(do)
		g.mu.Lock()
		defer g.mu.Unlock()
		g.errs[i] = err
	})
}

// Wait returns what went wrong when all functions have returned.
func (g *Group) Wait() error {
	g.wg.Wait()
	return errors.Join(g.errs...)
}

// Start runs one function alongside the caller, and sends what went wrong, or nil, when
// it has returned. Nobody has to receive it.
func Start(do func() error) <-chan error {
	ended := make(chan error, 1)
	go func() { ended <- Guarded(do) }()
	return ended
}

// Guarded turns a panic in what is done into its error.
func Guarded(do func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &Panic{Value: p, Stack: debug.Stack()}
		}
	}()
	return do()
}
