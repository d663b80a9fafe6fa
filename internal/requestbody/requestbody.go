// Package requestbody keeps a call to AWS from closing the connection on which
// its answer comes.
package requestbody

import (
	"context"
	"fmt"
	"io"

	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Readable is SDK middleware, for aws.Config.APIOptions, that gives a request's
// body no other way out than Read.
//
// The SDK closes the body as soon as an answer begins, and net/http asks the body
// for more than its length after that was sent. If the answer is faster, the SDK's
// body says io.EOF in WriteTo, which may not, and net/http takes that for a failed
// request: it closes the connection, and whoever reads an answer that has not come
// whole gets "use of closed network connection". By Read, io.EOF is what it should be.
//
// This is smithy-go 1.28, transport/http/internal/io/safe.go, and net/http of Go
// 1.26, transferWriter.writeBody; users of the SDK meet it as
// https://github.com/aws/aws-sdk-go-v2/issues/1825 and
// https://github.com/aws/aws-sdk-go-v2/issues/2737.
func Readable(stack *middleware.Stack) error {
	return stack.Build.Add(middleware.BuildMiddlewareFunc("bookctl-readable-body", func(ctx context.Context, in middleware.BuildInput, next middleware.BuildHandler) (middleware.BuildOutput, middleware.Metadata, error) {
		if request, ok := in.Request.(*smithyhttp.Request); ok {
			if body, ok := request.GetStream().(io.ReadSeeker); ok {
				plain, err := request.SetStream(readable{body})
				if err != nil {
					return middleware.BuildOutput{}, middleware.Metadata{}, fmt.Errorf("rewind the request's body: %w", err)
				}
				in.Request = plain
			}
		}
		return next.HandleBuild(ctx, in)
	}), middleware.Before)
}

// readable hides WriteTo. Seek is how the SDK sends the body once more.
type readable struct{ io.ReadSeeker }
