// Package advice carries what to do next from where an error happens to where a
// person is told: what went wrong is one thing to say, and the next step another.
package advice

import "errors"

// With adds the next step to an error. A nil error stays nil, and without a step
// the error stays as it is.
//
// A command in it stands in single quotes, as it is typed for the default stack:
// 'bookctl up'. The command line adds the flags that make it act on the stack
// that the run was of.
func With(err error, next string) error {
	if err == nil || next == "" {
		return err
	}
	return advised{err, next}
}

// Of returns the next step that an error carries, the outermost one, or "".
func Of(err error) string {
	var a advised
	errors.As(err, &a)
	return a.next
}

type advised struct {
	error
	next string
}

func (a advised) Unwrap() error { return a.error }
