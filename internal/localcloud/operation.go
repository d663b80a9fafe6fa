package localcloud

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/bookctl/bookctl/internal/localcloud/wire"
)

// protocol is how a service's requests and answers look on the wire.
type protocol string

const (
	protocolEC2     protocol = wire.EC2
	protocolQuery   protocol = wire.Query
	protocolJSON    protocol = wire.JSON
	protocolRESTXML protocol = wire.RESTXML
)

// service is the operations of one AWS service.
type service struct {
	// model is the service's name in the table of wire names.
	model string
	// signing is the name in the credential scope of a signed request.
	signing    string
	protocol   protocol
	operations map[string]operation

	table *wire.Model // loaded by Open
}

// operation is one API call with its types erased; see op.
type operation struct {
	name string
	// newInput makes the SDK's input struct for the codec to fill.
	newInput func() any
	// call takes that input and returns the SDK's output struct. Cloud.mu is held.
	call func(ctx context.Context, input any) (output any, err error)
}

// op wraps a typed method: op("CreateVpc", a.CreateVpc).
func op[I, O any](name string, f func(context.Context, *I) (*O, error)) operation {
	return operation{
		name:     name,
		newInput: func() any { return new(I) },
		call: func(ctx context.Context, input any) (any, error) {
			out, err := f(ctx, input.(*I))
			if err != nil {
				return nil, err
			}
			return out, nil
		},
	}
}

func operations(ops ...operation) map[string]operation {
	m := make(map[string]operation, len(ops))
	for _, o := range ops {
		m[o.name] = o
	}
	return m
}

// writes says whether an operation changes anything, by AWS's own naming.
func (o operation) writes() bool {
	for _, p := range []string{"Describe", "Get", "List", "BatchGet", "Filter", "Lookup", "BatchCheck"} {
		if strings.HasPrefix(o.name, p) {
			return false
		}
	}
	return true
}

// apiError is an error as AWS answers it.
type apiError struct {
	status        int // of HTTP
	code, message string
}

func (e *apiError) Error() string { return e.code + ": " + e.message }

// fail makes the error of a bad request (HTTP 400), which most AWS errors are.
func fail(code, format string, args ...any) error {
	return &apiError{status: http.StatusBadRequest, code: code, message: fmt.Sprintf(format, args...)}
}
