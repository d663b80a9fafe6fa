package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/bookctl/bookctl/internal/api/database"
)

// Error is a failure that a client gets to see. Any other error is an
// internal one: it is logged, and the client learns only that it happened.
type Error struct {
	Status  int                 // of HTTP, 400 to 599
	Message string              // for the client
	Fields  []*huma.ErrorDetail // what is wrong with a request; may be empty
	Err     error               // the cause, for the log only; may be nil
}

func (e *Error) Error() string {
	if e.Err != nil {
		return e.Message + ": " + e.Err.Error()
	}
	return e.Message
}

func (e *Error) Unwrap() error { return e.Err }

func badRequest(message string) error {
	return &Error{Status: http.StatusBadRequest, Message: message}
}

func invalid(fields ...*huma.ErrorDetail) error {
	return &Error{Status: http.StatusUnprocessableEntity, Message: "validation failed", Fields: fields}
}

func unavailable(message string, cause error) error {
	return &Error{Status: http.StatusServiceUnavailable, Message: message, Err: cause}
}

// problem is the problem document (RFC 9457) of an error, which is kept for the
// log when it is not the client's fault.
func problem(ctx context.Context, err error) *huma.ErrorModel {
	p := &huma.ErrorModel{Status: http.StatusInternalServerError, Detail: "internal error"}
	if known, ok := errors.AsType[*Error](err); ok {
		p.Status, p.Detail, p.Errors = known.Status, known.Message, known.Fields
	}
	if p.Status >= http.StatusInternalServerError {
		recordOf(ctx).err = err
	}
	p.Title = http.StatusText(p.Status)
	return p
}

// retryAfter is how long, in seconds, a client is asked to wait when there is
// no answer now.
const retryAfter = "1"

// writeError answers with the problem document of err.
func writeError(w http.ResponseWriter, r *http.Request, err error) {
	p := problem(r.Context(), err)
	w.Header().Set("Content-Type", "application/problem+json")
	if p.Status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", retryAfter)
	}
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the client has gone
}

// withProblems has an operation of huma answer errors with problem documents.
func withProblems[In, Out any](do func(context.Context, *In) (*Out, error)) func(context.Context, *In) (*Out, error) {
	return func(ctx context.Context, in *In) (*Out, error) {
		out, err := do(ctx, in)
		if _, ok := errors.AsType[huma.HeadersError](err); ok || err == nil {
			return out, err
		}
		p := problem(ctx, err)
		if p.Status == http.StatusServiceUnavailable {
			return nil, huma.ErrorWithHeaders(p, http.Header{"Retry-After": {retryAfter}})
		}
		return nil, p
	}
}

// clientError turns an error of the store into the one that a client gets.
func clientError(err error) error {
	_, known := errors.AsType[*Error](err)
	switch {
	case known, err == nil:
		return err
	case database.NoAnswer(err):
		return unavailable("the database does not answer", err)
	case database.RefusesData(err):
		return &Error{Status: http.StatusUnprocessableEntity, Message: "the database does not take this book", Err: err}
	case database.Temporary(err):
		return unavailable("the database can't serve this now", errors.New(database.Reason(err)))
	}
	return err
}
