#!/bin/sh
# A deploy that waits for a new database by the AWS SDK for Go ends minutes after the
# database was there: eight on average for one that takes a quarter of an hour.
#
# Package:   github.com/aws/aws-sdk-go-v2/service/rds v1.133.0, testing/synctest of Go 1.26
# Expected:  it looks each 30 s, as the waiter of boto3 and of the AWS CLI does, so that
#            it's late by 30 s at most.
# Behaviour: the pause doubles each time, up to MaxDelay, which for RDS is 1800 s where
#            most other services' waiters have 120 s, and is drawn at random between 30 s
#            and that. After ten minutes a pause is up to half an hour long. Who wants to
#            look each 30 s sets MaxDelay to it, besides MinDelay. Time is synctest's here:
#            an hour of waiting takes a millisecond.
# Source:    NewDBInstanceAvailableWaiter in service/rds/api_op_DescribeDBInstances.go and
#            ComputeDelay in waiter/waiter.go of smithy-go; botocore's
#            data/rds/2014-10-31/waiters-2.json ("delay": 30).
set -eu
dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
cd "$dir"
export GOPATH="$dir/go" GOFLAGS='-mod=mod -trimpath' GOWORK=off CGO_ENABLED=0
cat > go.mod <<'MOD'
module finding

go 1.26
MOD
cat > late_test.go <<'GO'
package finding

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/rds"
)

// instance answers as RDS does, and is available after a quarter of an hour.
type instance struct{ begun time.Time }

const takes = 15 * time.Minute

func (i instance) Do(*http.Request) (*http.Response, error) {
	status := "creating"
	if time.Since(i.begun) >= takes {
		status = "available"
	}
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(
		`<DescribeDBInstancesResponse xmlns="http://rds.amazonaws.com/doc/2014-10-31/"><DescribeDBInstancesResult><DBInstances><DBInstance>` +
			`<DBInstanceStatus>` + status + `</DBInstanceStatus></DBInstance></DBInstances></DescribeDBInstancesResult></DescribeDBInstancesResponse>`))}, nil
}

// late is by how much waits notice it too late, on average and at worst.
func late(t *testing.T, options ...func(*rds.DBInstanceAvailableWaiterOptions)) (mean, worst time.Duration) {
	const waits = 300
	for range waits {
		synctest.Test(t, func(t *testing.T) {
			begun := time.Now()
			client := rds.New(rds.Options{Region: "eu-west-1", HTTPClient: instance{begun}, Credentials: credentials.NewStaticCredentialsProvider("a", "b", "")})
			if err := rds.NewDBInstanceAvailableWaiter(client, options...).Wait(context.Background(), &rds.DescribeDBInstancesInput{}, time.Hour); err != nil {
				t.Fatal(err)
			}
			by := time.Since(begun) - takes
			mean += by / waits
			worst = max(worst, by)
		})
	}
	return mean.Round(time.Second), worst.Round(time.Second)
}

func TestLate(t *testing.T) {
	mean, worst := late(t)
	t.Logf("as it comes: %s late on average, %s at worst", mean, worst)
	even, most := late(t, func(o *rds.DBInstanceAvailableWaiterOptions) { o.MaxDelay = 30 * time.Second })
	t.Logf("with MaxDelay 30 s: %s late on average, %s at worst", even, most)
	if mean < 4*time.Minute || worst < 15*time.Minute || most > 30*time.Second {
		t.Fatal("the behaviour has changed: minutes as it comes, and 30 s at most with the option, were expected")
	}
}
GO
go get github.com/aws/aws-sdk-go-v2/service/rds@v1.133.0 github.com/aws/aws-sdk-go-v2/credentials@v1.21.0
go test -vet=off -v .
# Seen: as it comes: 8m17s late on average, 28m53s at worst
#       with MaxDelay 30 s: 0s late on average, 0s at worst
