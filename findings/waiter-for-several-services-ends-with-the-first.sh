#!/bin/sh
# A program deletes two services, waits for both by the AWS SDK's waiter, and deletes
# what they used, while one of them still has tasks that answer requests.
#
# Package:   github.com/aws/aws-sdk-go-v2/service/ecs v1.106.0
# Expected:  a waiter that takes a list of names ends when all are in the state waited for,
#            as ServicesStable, TasksRunning and TasksStopped of the same client do.
# Behaviour: ServicesInactive ends with success when any one of them is inactive. It comes
#            from the model that all of AWS's SDKs are made of, so that "aws ecs wait
#            services-inactive" and boto3 do the same. With one service per call it is
#            right, which is how it is mostly tried; a tear-down of many goes on too early, and
#            fails at the cluster, or takes the target group from under tasks that drain.
#            Wait for each service by itself.
# Source:    servicesInactiveStateRetryable in api_op_DescribeServices.go of that version;
#            "anyStringEquals" for INACTIVE in the waiters of DescribeServices, in ECS's model
#            of https://github.com/aws/api-models-aws
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
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
)

func main() {
	looks := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		looks++
		io.WriteString(w, `{"failures": [], "services": [
			{"serviceName": "web", "status": "DRAINING", "desiredCount": 0, "runningCount": 8},
			{"serviceName": "cron", "status": "INACTIVE", "desiredCount": 0, "runningCount": 0}]}`)
	}))
	defer server.Close()
	client := ecs.New(ecs.Options{Region: "eu-west-1", BaseEndpoint: &server.URL, Credentials: credentials.NewStaticCredentialsProvider("a", "b", "")})
	out, err := ecs.NewServicesInactiveWaiter(client).WaitForOutput(context.Background(),
		&ecs.DescribeServicesInput{Services: []string{"web", "cron"}}, time.Minute)
	if err != nil || looks != 1 {
		fmt.Println("the behaviour has changed: success at the first look was expected, and it was:", looks, err)
		os.Exit(1)
	}
	for _, s := range out.Services {
		fmt.Printf("the waiter says inactive, and %s is %s with %d tasks\n", *s.ServiceName, *s.Status, s.RunningCount)
	}
}
GO
go get github.com/aws/aws-sdk-go-v2/service/ecs@v1.106.0 github.com/aws/aws-sdk-go-v2/credentials@v1.21.0
go run .
# Seen: the waiter says inactive, and web is DRAINING with 8 tasks
#       the waiter says inactive, and cron is INACTIVE with 0 tasks
