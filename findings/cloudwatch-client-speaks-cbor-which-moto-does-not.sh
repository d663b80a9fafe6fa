#!/bin/sh
# A CloudWatch client of the AWS SDK for Go creates no alarm on moto, and the error does
# not say why; two lines make the same client do it.
#
# Package:   github.com/aws/aws-sdk-go-v2/service/cloudwatch v1.76.0 with
#            github.com/aws/smithy-go v1.28.9, and moto 5.2.1 (PyPI, moto[server])
# Expected:  PutMetricAlarm works on moto as it does with the AWS CLI and boto3.
# Behaviour: this client speaks RPC v2 CBOR, as the only one of those that bookctl uses:
#            it posts to /service/GraniteServiceVersion20100801/operation/PutMetricAlarm.
#            moto knows no such path and answers 404 with a page of HTML. The client
#            reads that as CBOR, and the error is about a "minor value". The protocol of
#            a client is an option by now: with awsquery.New, which smithy-go has, and
#            the schema that the package of the service has, moto creates the alarm.
# Source:    Options.Protocol in service/cloudwatch/options.go of that version; moto's
#            cloudwatch/urls.py has the path "/" alone.
set -eu
dir=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
cd "$dir"
python3 -c 'import moto.server; assert moto.__version__ == "5.2.1"' 2>/dev/null ||
  python3 -m pip install --quiet --target site 'moto[server]==5.2.1'
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
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/schemas"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/smithy-go/transport/http/protocol/awsquery"
)

func put(endpoint string, options ...func(*cloudwatch.Options)) (int, error) {
	client := cloudwatch.New(cloudwatch.Options{
		Region: "us-east-1", BaseEndpoint: &endpoint, Credentials: credentials.NewStaticCredentialsProvider("a", "b", ""),
	}, options...)
	ctx := context.Background()
	_, err := client.PutMetricAlarm(ctx, &cloudwatch.PutMetricAlarmInput{
		AlarmName: aws.String("full"), MetricName: aws.String("FreeStorageSpace"), Namespace: aws.String("AWS/RDS"), Statistic: types.StatisticMinimum,
		Period: aws.Int32(60), EvaluationPeriods: aws.Int32(1), Threshold: aws.Float64(1), ComparisonOperator: types.ComparisonOperatorLessThanThreshold,
	})
	if err != nil {
		return 0, err
	}
	out, err := client.DescribeAlarms(ctx, &cloudwatch.DescribeAlarmsInput{AlarmNames: []string{"full"}})
	if err != nil {
		return 0, err
	}
	return len(out.MetricAlarms), nil
}

func main() {
	_, refused := put(os.Args[1])
	fmt.Printf("as it comes: %v\n", refused)
	alarms, err := put(os.Args[1], func(o *cloudwatch.Options) { o.Protocol = awsquery.New(schemas.GraniteServiceVersion20100801) })
	fmt.Printf("with the query protocol: %d alarm, %v\n", alarms, err)
	if refused == nil || !strings.Contains(refused.Error(), "404") || alarms != 1 || err != nil {
		fmt.Println("the behaviour has changed: a 404, and then an alarm, were expected")
		os.Exit(1)
	}
}
GO
go get github.com/aws/aws-sdk-go-v2@v1.48.0 github.com/aws/aws-sdk-go-v2/service/cloudwatch@v1.76.0 github.com/aws/aws-sdk-go-v2/credentials@v1.21.0 github.com/aws/smithy-go@v1.28.9
go build -o put .
PYTHONPATH=site python3 -m moto.server -H 127.0.0.1 -p 0 > log 2>&1 &
server=$!
until grep -q 'http://127.0.0.1:' log; do kill -0 "$server"; sleep 0.2; done
./put "$(grep -o 'http://127.0.0.1:[0-9]*' log | head -1)"
# Seen: as it comes: operation error CloudWatch: PutMetricAlarm, https response error StatusCode: 404, …
#       deserialization failed, failed to decode response body, decode argument: unexpected minor value 28
#       with the query protocol: 1 alarm, <nil>
