#!/bin/sh
# A task of a quarter of a processor that streams a large object of S3 by the AWS SDK's new
# transfer manager is busy all the time that it waits for S3.
#
# Package:   github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager v0.5.8, of 2026, with
#            service/s3 v1.114.10
# Expected:  waiting for the network costs nothing, as with the reader of s3.GetObject, or with
#            DownloadObject of the same package.
# Behaviour: GetObject of the package gives a reader. Each Read that has asked for as many
#            parts as its buffer may hold (50 MiB) and has others left to ask for goes
#            round in a loop without a pause until the parts are there. Objects of up to
#            50 MiB, as those of tests, don't show it. On Fargate, what the loop takes is
#            missing in requests that the task serves meanwhile, and a rule that scales by
#            the processor's load starts more tasks.
# Source:    "r.index == atomic.LoadInt32(&r.capacity)" with "continue", in Read of
#            concurrent_reader.go of that version
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
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

const (
	part  = 8 << 20
	parts = 8
	delay = 2 * time.Second
)

// used is the processor time of this process until now.
func used() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func main() {
	content := make([]byte, part)
	// The server has an object of eight parts, and takes its time before each answer.
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"object"`)
		asked, first, status := parts, 0, http.StatusOK
		if number := r.URL.Query().Get("partNumber"); number != "" {
			_, _ = fmt.Sscan(number, &first)
			first, asked, status = first-1, 1, http.StatusPartialContent
			w.Header().Set("X-Amz-Mp-Parts-Count", fmt.Sprint(parts))
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first*part, (first+1)*part-1, parts*part))
		}
		w.Header().Set("Content-Length", fmt.Sprint(asked*part))
		if r.Method == http.MethodHead {
			w.WriteHeader(status)
			return
		}
		time.Sleep(delay)
		w.WriteHeader(status)
		for range asked {
			_, _ = w.Write(content)
		}
	}))
	client := s3.New(s3.Options{Region: "eu-west-1", BaseEndpoint: &server.URL, UsePathStyle: true, Credentials: credentials.NewStaticCredentialsProvider("a", "b", "")})
	ctx, bucket, key := context.Background(), aws.String("backups"), aws.String("database")
	read := func(open func() (io.Reader, error)) time.Duration {
		before := used()
		body, err := open()
		if err != nil {
			panic(err)
		}
		if n, err := io.Copy(io.Discard, body); err != nil || n != parts*part {
			panic(fmt.Sprint(n, err))
		}
		return used() - before
	}
	plain := read(func() (io.Reader, error) {
		out, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: key})
		if err != nil {
			return nil, err
		}
		return out.Body, nil
	})
	managed := read(func() (io.Reader, error) {
		out, err := transfermanager.New(client).GetObject(ctx, &transfermanager.GetObjectInput{Bucket: bucket, Key: key})
		if err != nil {
			return nil, err
		}
		return out.Body, nil
	})
	fmt.Printf("processor time for the same object: s3 %s, transfermanager %s\n", plain.Round(time.Millisecond), managed.Round(time.Millisecond))
	if managed < 8*plain {
		fmt.Println("the behaviour has changed: eight times as much or more was expected")
		os.Exit(1)
	}
}
GO
go get github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager@v0.5.8 github.com/aws/aws-sdk-go-v2/service/s3@v1.114.10 github.com/aws/aws-sdk-go-v2/credentials@v1.21.1
go run .
# Seen: processor time for the same object: s3 39ms, transfermanager 2.755s
