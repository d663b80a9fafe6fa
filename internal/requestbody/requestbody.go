// Package requestbody keeps a call to AWS from closing the connection before its
// response is read.
package requestbody

import (
	"context"
	"fmt"
	"io"

	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Readable is SDK middleware, for aws.Config.APIOptions. It wraps a request's body, so
// that it can be read only with Read, and not with WriteTo.
//
// The SDK closes the body as soon as a response begins. net/http, after it has sent
// the whole body, tries to read more of it. If the response comes before that, the
// SDK's body returns io.EOF from WriteTo, which must not return it. net/http then
// treats the request as failed and closes the connection, and reading the rest of the
// response fails with "use of closed network connection". From Read, io.EOF is correct.
//
// See smithy-go 1.28, transport/http/internal/io/safe.go, and net/http of Go 1.26,
// transferWriter.writeBody. Users of the SDK have reported it:
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

// readable hides WriteTo. The SDK needs Seek to send the body again.
type readable struct{ io.ReadSeeker }
