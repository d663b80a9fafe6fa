package api

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/jackc/pgx/v5/pgconn"
)

// Code says what kind of failure an Error is.
type Code int

// The kinds of failure, each of which is one HTTP status.
const (
	// NotFound is a book that does not exist.
	NotFound Code = iota + 1
	// Changed is a book that is not in the state that If-Match names.
	Changed
	// KeyReused is an Idempotency-Key that came with another request before.
	KeyReused
	// Unavailable is a database that does not answer now.
	Unavailable
	// Refused is data that the database does not take.
	Refused
	// Unconditional is a change without If-Match.
	Unconditional
	// Overloaded is more work than the service takes on at once.
	Overloaded
)

// Error is a failure that a client is told about. Any other error is an
// internal one: it is logged, and the client learns only that it happened.
type Error struct {
	Code    Code
	Message string
	// Err is the cause, for the log only. It may be nil.
	Err error
}

func (e *Error) Error() string {
	if e.Err != nil {
		return e.Message + ": " + e.Err.Error()
	}
	return e.Message
}

func (e *Error) Unwrap() error { return e.Err }

// status is the one map from kinds of failure to HTTP.
func (c Code) status() int {
	switch c {
	case NotFound:
		return http.StatusNotFound
	case Changed:
		return http.StatusPreconditionFailed
	case KeyReused, Refused:
		return http.StatusUnprocessableEntity
	case Unconditional:
		return http.StatusPreconditionRequired
	case Unavailable, Overloaded:
		return http.StatusServiceUnavailable
	default:
		return http.StatusInternalServerError
	}
}

// problem is the problem document (RFC 9457) of a failure.
func problem(status int, detail string, fields ...*huma.ErrorDetail) *huma.ErrorModel {
	return &huma.ErrorModel{Status: status, Title: http.StatusText(status), Detail: detail, Errors: fields}
}

// problemOf is the problem document of err, which the client may see.
func problemOf(err error) *huma.ErrorModel {
	var known *Error
	if errors.As(err, &known) {
		return problem(known.Code.status(), known.Message)
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return problem(http.StatusServiceUnavailable, "the request took too long")
	}
	return problem(http.StatusInternalServerError, "internal error")
}

// The SQLSTATEs that mean something here
// (https://www.postgresql.org/docs/current/errcodes-appendix.html).
const (
	invalidPassword     = "28P01"
	readOnlyTransaction = "25006" // a connection to what was the primary before a failover
	tooManyConnections  = "53300"
	lockNotAvailable    = "55P03"
	queryCanceled       = "57014"
)

// sqlState is the SQLSTATE of err, empty when the database did not send one.
func sqlState(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}

// isData says whether the database refused the data itself, so that the same
// row would fail again and another might not.
func isData(err error) bool {
	switch state := sqlState(err); {
	case len(state) != 5:
		return false
	default:
		// Data exception, integrity violation, program limit (too large for an index).
		return state[:2] == "22" || state[:2] == "23" || state[:2] == "54"
	}
}

// failure turns an error of the database into what a client is told: that the
// service is unavailable, unless the database refused the statement itself.
func failure(err error) error {
	var known *Error
	if err == nil || errors.As(err, &known) {
		return err
	}
	state := sqlState(err)
	switch {
	case state == invalidPassword:
		return &Error{Code: Unavailable, Message: "the database can't serve this now", Err: errors.New(reason(err))}
	case isData(err):
		return &Error{Code: Refused, Message: "the database does not take this book", Err: err}
	case state == "":
		// No answer: the connection failed, was never made, or timed out.
		return &Error{Code: Unavailable, Message: "the database does not answer", Err: err}
	case state == readOnlyTransaction, state == lockNotAvailable, state == queryCanceled, state == tooManyConnections,
		state[:2] == "08", state[:2] == "57", state[:2] == "40":
		return &Error{Code: Unavailable, Message: "the database can't serve this now", Err: err}
	default:
		return err
	}
}
