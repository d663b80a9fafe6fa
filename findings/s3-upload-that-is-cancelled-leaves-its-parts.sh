#!/bin/sh
# An upload to S3 that is cancelled, or whose deadline passes, leaves what it has sent as parts
# that no list of objects shows, and that are paid for every month.
#
# Package:   github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager v0.5.8, of 2026, with
#            service/s3 v1.114.10
# Expected:  it aborts the multipart upload when it gives up, as it does after an error of S3.
# Behaviour: it does so by the context of the upload, which is the one that has just ended,
#            so that the request is never sent. Ctrl-C, a closed browser
#            and each deadline leave the parts; only a rule of the bucket
#            (AbortIncompleteMultipartUpload) or somebody who knows of ListMultipartUploads
#            removes them. And the error, which is that of the abort, is not
#            context.Canceled for errors.Is, so that who asked for the cancel takes it for a
#            failure of S3. The option FailTimeout gives the abort a context of its own
#            and the error back; without it, which is the default, there is neither.
# Source:    fail and freshContext in api_op_UploadObject.go of that version;
#            https://github.com/aws/aws-sdk-go-v2/issues/3341, which is closed;
#            https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpu-abort-incomplete-mpu-lifecycle-config.html
set -eu
dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
cd "$dir"
export GOPATH="$dir/go" GOFLAGS='-mod=mod -trimpath' GOWORK=off CGO_ENABLED=0
cat > go.mod <<'MOD'
module finding

go 1.26
MOD
cat > main.go <<'GO'
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// upload is cancelled, or refused by S3, at its third part.
func upload(cancelled bool, options func(*transfermanager.Options)) (kept, canceled bool) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var parts, aborts atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		query := r.URL.Query()
		switch {
		case query.Has("uploads"):
			fmt.Fprint(w, "<InitiateMultipartUploadResult><UploadId>id</UploadId></InitiateMultipartUploadResult>")
		case r.Method == http.MethodDelete:
			aborts.Add(1)
			w.WriteHeader(http.StatusNoContent)
		case parts.Add(1) < 3:
			w.Header().Set("ETag", `"part"`)
		case cancelled:
			cancel()
			<-r.Context().Done()
		default:
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	defer server.Close()
	client := s3.New(s3.Options{Region: "eu-west-1", BaseEndpoint: &server.URL, UsePathStyle: true, Credentials: credentials.NewStaticCredentialsProvider("a", "b", "")})
	_, err := transfermanager.New(client, options).UploadObject(ctx, &transfermanager.UploadObjectInput{
		Bucket: aws.String("backups"), Key: aws.String("database"), Body: io.LimitReader(zeros{}, 64<<20),
	})
	if err == nil {
		panic("the upload was expected to fail")
	}
	return aborts.Load() == 0, errors.Is(err, context.Canceled)
}

func main() {
	nothing := func(*transfermanager.Options) {}
	refused, _ := upload(false, nothing)
	cancelled, known := upload(true, nothing)
	option, knownWithOption := upload(true, func(o *transfermanager.Options) { o.FailTimeout = 10 * time.Second })
	fmt.Printf("the parts stay: after a refusal %t, after a cancel %t, after one with FailTimeout %t\n", refused, cancelled, option)
	fmt.Printf("the error is context.Canceled: after a cancel %t, after one with FailTimeout %t\n", known, knownWithOption)
	if refused || !cancelled || option || known || !knownWithOption {
		fmt.Println("the behaviour has changed: false, true, false and false, true was expected")
		os.Exit(1)
	}
}
GO
go get github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager@v0.5.8 github.com/aws/aws-sdk-go-v2/service/s3@v1.114.10 github.com/aws/aws-sdk-go-v2/credentials@v1.21.1
go run .
# Seen: the parts stay: after a refusal false, after a cancel true, after one with FailTimeout false
#       the error is context.Canceled: after a cancel false, after one with FailTimeout true
