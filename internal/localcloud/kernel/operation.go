package kernel

import (
	"reflect"
	"strings"

	"github.com/bookctl/bookctl/internal/localcloud/wire"
)

// Protocol is the format of a service's requests and responses.
type Protocol string

// The protocols of the services here.
const (
	EC2     Protocol = wire.EC2
	Query   Protocol = wire.Query
	JSON    Protocol = wire.JSON
	RESTXML Protocol = wire.RESTXML
	CBOR    Protocol = wire.CBOR
)

// Service is the operations of one AWS service.
type Service struct {
	// Model is the name of the service in the table of package wire.
	Model string
	// Signing is the name in the credential scope of a signed request.
	Signing string
	// Protocol is the protocol of its requests and responses.
	Protocol Protocol
	// Operations are its operations, by name.
	Operations map[string]Operation
	// Limits are its limits of requests. They apply with Config.Throttle.
	Limits Limits
	// CrossRegion are the operations that it serves for other regions too.
	CrossRegion []string

	table *wire.Model // loaded by Serve
}

// Action returns the action of an operation in policies, such as "ec2:CreateVpc".
func (s Service) Action(operation string) string { return iamPrefix(s.Signing) + ":" + operation }

// iamPrefix is the name in policies of the service with that signing name.
func iamPrefix(signing string) string {
	switch signing {
	case "tagging":
		return "tag"
	case "monitoring":
		return "cloudwatch"
	}
	return signing
}

// Operation is an API operation without its types; see Op.
type Operation struct {
	name     string
	newInput func() any
	call     func(tx *Tx, input any) (output any, err error)
}

// NewInput returns a new input struct of the SDK for the operation.
func (o Operation) NewInput() any { return o.newInput() }

// Method is an operation that is not bound to its service yet. T is the service within
// a transaction: an operation can use nothing else.
type Method[T any] struct {
	name     string
	newInput func() any
	call     func(t T, input any) (output any, err error)
}

// Op returns the operation that calls a typed method: Op("CreateVpc", tx.CreateVpc). In and
// Out are pointers to structs of the SDK: all pointers share one copy of the code, of which
// each struct, and each call that is inlined, would have its own.
//
//go:noinline
func Op[T, In, Out any](name string, f func(T, In) (Out, error)) Method[T] {
	return Method[T]{
		name:     name,
		newInput: func() any { return reflect.New(reflect.TypeFor[In]().Elem()).Interface() },
		call: func(t T, input any) (any, error) {
			out, err := f(t, input.(In))
			if err != nil {
				return nil, err
			}
			return out, nil
		},
	}
}

// Operations binds methods to their service. Begin returns the service within a
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

// writes reports whether an operation can change anything, by its name.
func (o Operation) writes() bool {
	for _, p := range []string{"Describe", "Get", "List", "BatchGet", "Filter", "Lookup", "BatchCheck"} {
		if strings.HasPrefix(o.name, p) {
			return false
		}
	}
	return true
}
