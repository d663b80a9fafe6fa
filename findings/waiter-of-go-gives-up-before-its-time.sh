#!/bin/sh
# A program gives the AWS SDK's waiter 29 seconds, and it gives up in the first
# millisecond, with "exceeded max wait time".
#
# Package:   github.com/aws/aws-sdk-go-v2/service/rds v1.133.0
# Expected:  it looks until the time is over, and once more at its end.
# Behaviour: when less than MinDelay is left, which is 30 s for RDS and 15 s for ECS, it does not look
#            again, nor wait. A shorter wait is one look, and each wait ends without a
#            look in its last 30 seconds, in which what is waited for may have come. The
#            error is the same as after the whole time. Who waits briefly has to set
#            MinDelay, too, of which the parameter "maxWaitDur" says nothing.
# Source:    "remainingTime < options.MinDelay" in WaitForOutput of
#            service/rds/api_op_DescribeDBInstances.go of that version;
#            https://github.com/aws/aws-sdk-go-v2/issues/2551, which was closed
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
	"net/http"
	"net/http/httptest"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/rds"
)

// wait is for an instance that's available after two seconds.
func wait(options ...func(*rds.DBInstanceAvailableWaiterOptions)) (looks int, took time.Duration, err error) {
	begun := time.Now()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		looks++
		status := "creating"
		if time.Since(begun) > 2*time.Second {
			status = "available"
		}
		fmt.Fprintf(w, `<DescribeDBInstancesResponse xmlns="http://rds.amazonaws.com/doc/2014-10-31/"><DescribeDBInstancesResult><DBInstances><DBInstance>`+
			`<DBInstanceStatus>%s</DBInstanceStatus></DBInstance></DBInstances></DescribeDBInstancesResult></DescribeDBInstancesResponse>`, status)
	}))
	defer server.Close()
	client := rds.New(rds.Options{Region: "eu-west-1", BaseEndpoint: &server.URL, Credentials: credentials.NewStaticCredentialsProvider("a", "b", "")})
	err = rds.NewDBInstanceAvailableWaiter(client, options...).Wait(context.Background(), &rds.DescribeDBInstancesInput{}, 29*time.Second)
	return looks, time.Since(begun).Round(time.Second), err
}

func main() {
	looks, took, err := wait()
	fmt.Printf("as it comes: %d look in %s, %v\n", looks, took, err)
	more, _, none := wait(func(o *rds.DBInstanceAvailableWaiterOptions) { o.MinDelay = time.Second })
	fmt.Printf("with MinDelay 1 s: more than one look: %t, %v\n", more > 1, none)
	if looks != 1 || took > time.Second || err == nil || more < 2 || none != nil {
		fmt.Println("the behaviour has changed: one look and an error, and none with the option, were expected")
		os.Exit(1)
	}
}
GO
go get github.com/aws/aws-sdk-go-v2/service/rds@v1.133.0 github.com/aws/aws-sdk-go-v2/credentials@v1.21.0
go run .
# Seen: as it comes: 1 look in 0s, exceeded max wait time for DBInstanceAvailable waiter
#       with MinDelay 1 s: more than one look: true, <nil>
