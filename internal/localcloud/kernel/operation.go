package kernel

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/bookctl/bookctl/internal/localcloud/wire"
)

// Protocol is how a service's requests and answers look on the wire.
type Protocol string

// The protocols of the services here.
const (
	EC2     Protocol = wire.EC2
	Query   Protocol = wire.Query
	JSON    Protocol = wire.JSON
	RESTXML Protocol = wire.RESTXML
)

// Service is the operations of one AWS service.
type Service struct {
	// Model is the service's name in the table of wire names.
	Model string
	// Signing is the name in the credential scope of a signed request.
	Signing string
	// Protocol is that of its requests and answers.
	Protocol Protocol
	// Operations are those that are served, by name.
	Operations map[string]Operation

	table *wire.Model // loaded by Serve
}

// Action is what a policy must allow for an operation, such as "ec2:CreateVpc".
func (s Service) Action(operation string) string { return iamPrefix(s.Signing) + ":" + operation }

// iamPrefix is how policies call the service that signs by that name.
func iamPrefix(signing string) string {
	if signing == "tagging" {
		return "tag"
	}
	return signing
}

// Operation is one API call with its types erased; see Op.
type Operation struct {
	name     string
	newInput func() any
	call     func(tx *Tx, input any) (output any, err error)
}

// NewInput makes the SDK's input struct of the operation.
func (o Operation) NewInput() any { return o.newInput() }

// Method is an operation that is not bound to its service yet: T is the service
// within a transaction, the only thing that an operation can work on.
type Method[T any] struct {
	name     string
	newInput func() any
	call     func(t T, input any) (output any, err error)
}

// Op wraps a typed method: Op("CreateVpc", tx.CreateVpc).
func Op[T, I, O any](name string, f func(T, *I) (*O, error)) Method[T] {
	return Method[T]{
		name:     name,
		newInput: func() any { return new(I) },
		call: func(t T, input any) (any, error) {
			out, err := f(t, input.(*I))
			if err != nil {
				return nil, err
			}
			return out, nil
		},
	}
}

// Operations binds methods to their service: begin makes the service within a
// transaction.
func Operations[T any](begin func(*Tx) T, methods ...Method[T]) map[string]Operation {
	all := make(map[string]Operation, len(methods))
	for _, m := range methods {
		all[m.name] = Operation{name: m.name, newInput: m.newInput, call: func(tx *Tx, input any) (any, error) {
			return m.call(begin(tx), input)
		}}
	}
	return all
}

// writes says whether an operation changes anything, by AWS's own naming.
func (o Operation) writes() bool {
	for _, p := range []string{"Describe", "Get", "List", "BatchGet", "Filter", "Lookup", "BatchCheck"} {
		if strings.HasPrefix(o.name, p) {
			return false
		}
	}
	return true
}

// Error is an error as AWS answers it.
type Error struct {
	Status        int // of HTTP
	Code, Message string
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Fail makes the error of a bad request (HTTP 400), which most AWS errors are.
func Fail(code, format string, args ...any) error {
	return &Error{Status: http.StatusBadRequest, Code: code, Message: fmt.Sprintf(format, args...)}
}

// CodeOf is AWS's code of an error, "InternalFailure" for one that is not AWS's.
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
