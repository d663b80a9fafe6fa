#!/bin/sh
# A call of the AWS SDK is answered, and reading the answer fails with "use of closed
# network connection", since the answer was fast.
#
# Package:   github.com/aws/aws-sdk-go-v2 v1.48.0 with github.com/aws/smithy-go v1.28.9, Go 1.26
# Expected:  a request that was sent whole and is answered whole succeeds.
# Behaviour: the SDK closes the request's body when the answer begins. net/http has by
#            then sent it, but may not yet have asked it for more than its length. The
#            closed body's WriteTo returns io.EOF, which an io.WriterTo may not; net/http
#            takes that for a failed request and closes the connection under the answer.
#            Short answers are read by then, long ones are not. It is a race that a near
#            and fast endpoint wins; here the writing is slowed down. Without WriteTo, as
#            by a stream that has only Read and Seek, it does not happen.
# Source:    transport/http/internal/io/safe.go of smithy-go; transferWriter.writeBody of
#            net/http; https://github.com/aws/aws-sdk-go-v2/issues/1825 and 2737, whose
#            users see it.
set -eu
dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
cd "$dir"
export GOPATH="$dir/go" GOFLAGS=-mod=mod GOWORK=off
cat > go.mod <<'MOD'
module finding

go 1.26
MOD
cat > main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// slow returns from writing a body when somebody reads on in the answer.
type slow struct {
	net.Conn
	reads int
	on    chan struct{}
	once  sync.Once
}

func (s *slow) Read(p []byte) (int, error) {
	if s.reads++; s.reads > 1 {
		s.once.Do(func() { close(s.on) })
	}
	return s.Conn.Read(p)
}

func (s *slow) Write(p []byte) (int, error) {
	n, err := s.Conn.Write(p)
	if strings.Contains(string(p), "Action=") {
		<-s.on
	}
	return n, err
}

type plain struct{ io.ReadSeeker }

func withoutWriteTo(stack *middleware.Stack) error {
	return stack.Build.Add(middleware.BuildMiddlewareFunc("plain", func(ctx context.Context, in middleware.BuildInput, next middleware.BuildHandler) (middleware.BuildOutput, middleware.Metadata, error) {
		r := in.Request.(*smithyhttp.Request)
		in.Request, _ = r.SetStream(plain{r.GetStream().(io.ReadSeeker)})
		return next.HandleBuild(ctx, in)
	}), middleware.Before)
}

func call(options ...func(*middleware.Stack) error) error {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadAll(r.Body)
		fmt.Fprint(w, "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>", strings.Repeat("a", 8192))
		_ = http.NewResponseController(w).Flush()
		time.Sleep(200 * time.Millisecond)
		fmt.Fprint(w, "</Arn></GetCallerIdentityResult></GetCallerIdentityResponse>")
	}))
	defer server.Close()
	client := sts.NewFromConfig(aws.Config{
		Region: "us-east-1", BaseEndpoint: &server.URL, Credentials: credentials.NewStaticCredentialsProvider("a", "b", ""),
		Retryer: func() aws.Retryer { return aws.NopRetryer{} }, APIOptions: options,
		HTTPClient: &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := (&net.Dialer{}).DialContext(ctx, network, address)
			return &slow{Conn: c, on: make(chan struct{})}, err
		}}},
	})
	_, err := client.GetCallerIdentity(context.Background(), &sts.GetCallerIdentityInput{})
	return err
}

func main() {
	as, without := call(), call(withoutWriteTo)
	fmt.Println("as it is:       ", as)
	fmt.Println("without WriteTo:", without)
	if as == nil || !strings.Contains(as.Error(), "use of closed network connection") || without != nil {
		os.Exit(1)
	}
}
GO
go get github.com/aws/aws-sdk-go-v2@v1.48.0 github.com/aws/smithy-go@v1.28.9 github.com/aws/aws-sdk-go-v2/service/sts@v1.52.0 github.com/aws/aws-sdk-go-v2/credentials@v1.21.0
go run .
# Seen: as it is: … deserialization failed, read tcp 127.0.0.1:…: use of closed network connection
#       without WriteTo: <nil>
