package provision

import (
	"context"
	"sync"
)

// survey answers the first look at each of several things of one kind from one
// call for all of them. Every later look at a thing reads anew, so that nothing
// is waited for in what was read before it happened.
type survey[T any] struct {
	read func(context.Context) ([]T, error)

	mu    sync.Mutex
	had   bool
	all   []T
	asked map[string]bool
}

func newSurvey[T any](read func(context.Context) ([]T, error)) *survey[T] {
	return &survey[T]{read: read, asked: map[string]bool{}}
}

// look returns all things of the kind, for the resource called who.
func (s *survey[T]) look(ctx context.Context, who string) ([]T, error) {
	s.mu.Lock()
	if s.asked[who] {
		s.mu.Unlock()
		return s.read(ctx)
	}
	defer s.mu.Unlock() // those who come meanwhile wait for the answer
	s.asked[who] = true
	if !s.had {
		all, err := s.read(ctx)
		if err != nil {
			return nil, err
		}
		s.all, s.had = all, true
	}
	return s.all, nil
}
