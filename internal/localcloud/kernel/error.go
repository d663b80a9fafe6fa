package kernel

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/bookctl/bookctl/internal/localcloud/wire"
)

// Error is an error response of AWS.
type Error struct {
	Status  int    `json:"status,omitempty"` // HTTP status
	Code    string `json:"code"`
	Message string `json:"message"`
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Fail returns an error with HTTP status 400, which most errors of AWS have.
func Fail(code, format string, args ...any) error {
	return &Error{Status: http.StatusBadRequest, Code: code, Message: fmt.Sprintf(format, args...)}
}

// CodeOf returns AWS's code of an error, or "InternalFailure" if it has none.
func CodeOf(err error) string {
	var api *Error
	var bad *wire.Error
	switch {
	case errors.As(err, &api):
		return api.Code
	case errors.As(err, &bad):
		return bad.Code
	}
	return "InternalFailure"
}

func (p Protocol) throttled() error {
	switch p {
	case EC2:
		return &Error{http.StatusServiceUnavailable, "RequestLimitExceeded", "Request limit exceeded."}
	case JSON:
		return Fail("ThrottlingException", "Rate exceeded")
	}
	return Fail("Throttling", "Rate exceeded")
}

func (p Protocol) failed() error {
	if p == EC2 {
		return &Error{http.StatusInternalServerError, "InternalError", "An internal error has occurred"}
	}
	return &Error{http.StatusInternalServerError, "InternalFailure", "The request processing has failed because of an unknown error, exception or failure."}
}

func (p Protocol) expired() error {
	switch p {
	case EC2:
		return &Error{http.StatusBadRequest, "RequestExpired", "Request has expired."}
	case JSON:
		return Fail("ExpiredTokenException", "The security token included in the request is expired")
	}
	return &Error{http.StatusForbidden, "ExpiredToken", "The security token included in the request is expired"}
}

func (p Protocol) denied(caller, action string) error {
	return p.refused(fmt.Sprintf("User: %s is not authorized to perform: %s because no identity-based policy allows the %s action", caller, action, action))
}

// refused returns the error for a call that IAM does not allow.
func (p Protocol) refused(message string) error {
	switch p {
	case EC2:
		return &Error{http.StatusForbidden, "UnauthorizedOperation", "You are not authorized to perform this operation. " + message}
	case JSON:
		return Fail("AccessDeniedException", "%s", message)
	}
	return &Error{http.StatusForbidden, "AccessDenied", message}
}
