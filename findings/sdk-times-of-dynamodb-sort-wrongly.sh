#!/bin/sh
# Orders with a time as sort key are stored by Go without an error, and a query for those
# since ten o'clock leaves out the ones of its first second.
#
# Package:   github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue v1.21.22 with
#            service/dynamodb v1.74.0; dynalite 4.0.0 (npm) is the table
# Expected:  time.Time becomes text that sorts as the times do, as JavaScript's toISOString
#            makes it, since a sort key is what queries are about.
# Behaviour: it becomes RFC 3339 with as many digits after the second as are not zero.
#            "10:00:00.5Z" sorts before "10:00:00Z", since a dot comes before a Z, and
#            "10:00:00.52Z" before "10:00:00.5Z". A range whose end has a whole second, as
#            those of people and schedules do, takes in and leaves out the wrong
#            items, and the newest item is not always the last. The keys of a table
#            can't be changed in place: its items have to be written anew. EncoderOptions
#            has EncodeTime for a layout of fixed width.
# Source:    defaultEncodeTime in encode.go of that version; the comment that says so is
#            that of another type, UnixTime. DynamoDB compares text by its bytes:
#            https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html
set -eu
dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund dynalite@4.0.0
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
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

type order struct {
	Shop string
	At   time.Time
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	ctx := context.Background()
	client := dynamodb.New(dynamodb.Options{Region: "eu-west-1", BaseEndpoint: &os.Args[1], Credentials: credentials.NewStaticCredentialsProvider("a", "b", "")})
	for _, fixed := range []bool{false, true} {
		table := fmt.Sprintf("orders-%t", fixed)
		text := func(o *attributevalue.EncoderOptions) {
			if fixed {
				o.EncodeTime = func(t time.Time) (types.AttributeValue, error) {
					return &types.AttributeValueMemberS{Value: t.UTC().Format("2006-01-02T15:04:05.000000000Z")}, nil
				}
			}
		}
		_, err := client.CreateTable(ctx, &dynamodb.CreateTableInput{
			TableName: &table, BillingMode: types.BillingModePayPerRequest,
			AttributeDefinitions: []types.AttributeDefinition{{AttributeName: aws.String("Shop"), AttributeType: "S"}, {AttributeName: aws.String("At"), AttributeType: "S"}},
			KeySchema:            []types.KeySchemaElement{{AttributeName: aws.String("Shop"), KeyType: "HASH"}, {AttributeName: aws.String("At"), KeyType: "RANGE"}},
		})
		check(err)
		check(dynamodb.NewTableExistsWaiter(client, func(o *dynamodb.TableExistsWaiterOptions) { o.MinDelay = 100 * time.Millisecond }).
			Wait(ctx, &dynamodb.DescribeTableInput{TableName: &table}, time.Minute))
		ten := time.Date(2026, 11, 1, 10, 0, 0, 0, time.UTC)
		for _, after := range []time.Duration{0, 500 * time.Millisecond, 520 * time.Millisecond, time.Second} {
			item, err := attributevalue.MarshalMapWithOptions(order{"north", ten.Add(after)}, text)
			check(err)
			_, err = client.PutItem(ctx, &dynamodb.PutItemInput{TableName: &table, Item: item})
			check(err)
		}
		since, err := attributevalue.MarshalMapWithOptions(order{"north", ten}, text)
		check(err)
		out, err := client.Query(ctx, &dynamodb.QueryInput{
			TableName: &table, KeyConditionExpression: aws.String("Shop = :shop AND #at >= :since"), ExpressionAttributeNames: map[string]string{"#at": "At"},
			ExpressionAttributeValues: map[string]types.AttributeValue{":shop": since["Shop"], ":since": since["At"]},
		})
		check(err)
		var found []order
		check(attributevalue.UnmarshalListOfMaps(out.Items, &found))
		fmt.Printf("of fixed width %t: of four orders since ten", fixed)
		for _, o := range found {
			fmt.Print(" ", o.At.Format("05.00"))
		}
		fmt.Println()
	}
}
GO
go get github.com/aws/aws-sdk-go-v2/feature/dynamodb/attributevalue@v1.21.22 github.com/aws/aws-sdk-go-v2/service/dynamodb@v1.74.0 github.com/aws/aws-sdk-go-v2/credentials@v1.21.1
go build -o try .
cat > serve.cjs <<'JS'
const server = require("dynalite")({ createTableMs: 0 });
server.listen(0, "127.0.0.1", () => {
  require("node:child_process").execFile("./try", [`http://127.0.0.1:${server.address().port}`], (error, out, problems) => {
    process.stdout.write(out + problems);
    process.exit(error ? 1 : 0);
  });
});
JS
node serve.cjs > seen || { cat seen; exit 1; }
cat seen
diff seen - <<'WANT'
of fixed width false: of four orders since ten 00.00 01.00
of fixed width true: of four orders since ten 00.00 00.50 00.52 01.00
WANT
# Seen: the two lines above
