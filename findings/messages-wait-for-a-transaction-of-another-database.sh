#!/bin/sh
# Messages in PostgreSQL arrive within milliseconds, until somebody imports data into another
# database of the same server. None arrives before the import ends, and there is no error.
#
# Package:   github.com/ThreeDotsLabs/watermill-sql/v4 v4.1.2 with github.com/ThreeDotsLabs/watermill
#            v1.5.1 and github.com/jackc/pgx/v5 v5.13.0, on the PostgreSQL of testdata/postgres.sh
# Expected:  a subscriber waits for transactions that may still publish into its table; those
#            of another table can't, and those of another database can't even see it.
# Behaviour: a message is delivered when the transaction that published it is older than all that
#            run, so that none is passed over. For PostgreSQL "all that run" is the whole server:
#            each transaction that has written anything, in any table of any database, be it
#            an import, a migration or one that's idle since a debugger stopped, holds up
#            the messages of all topics that were published after its first write. One that
#            only reads holds up nothing. Numbers of transactions also start anew with a
#            restore into another server, where new messages then count as old ones. The
#            queue of the same package (PostgreSQLQueueSchema) asks for neither.
# Source:    SelectQuery in pkg/sql/schema_adapter_postgresql.go of that version;
#            https://www.postgresql.org/docs/18/functions-info.html (pg_current_snapshot);
#            https://github.com/ThreeDotsLabs/watermill/issues/576 (a restore)
set -eu
. "$(cd "$(dirname "$0")" && pwd)/testdata/postgres.sh"
export GOPATH="$dir/go" GOFLAGS='-mod=mod -trimpath' GOWORK=off CGO_ENABLED=0
cat > go.mod <<'MOD'
module finding

go 1.26
MOD
cat > main.go <<'GO'
package main

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	queue "github.com/ThreeDotsLabs/watermill-sql/v4/pkg/sql"
	"github.com/ThreeDotsLabs/watermill/message"
	_ "github.com/jackc/pgx/v5/stdlib"
)

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func open(database string) *sql.DB {
	return must(sql.Open("pgx", "host="+os.Args[1]+" user=app dbname="+database))
}

func main() {
	ctx := context.Background()
	shop := open("postgres")
	must(shop.Exec("create database reports"))
	reports := open("reports")
	must(reports.Exec("create table visits (id int)"))
	for _, kind := range []struct {
		topic   string
		schema  queue.SchemaAdapter
		offsets queue.OffsetsAdapter
	}{
		{"topic", queue.DefaultPostgreSQLSchema{}, queue.DefaultPostgreSQLOffsetsAdapter{}},
		{"queue", queue.PostgreSQLQueueSchema{}, queue.PostgreSQLQueueOffsetsAdapter{}},
	} {
		publisher := must(queue.NewPublisher(queue.BeginnerFromStdSQL(shop), queue.PublisherConfig{SchemaAdapter: kind.schema, AutoInitializeSchema: true}, watermill.NopLogger{}))
		subscriber := must(queue.NewSubscriber(queue.BeginnerFromStdSQL(shop), queue.SubscriberConfig{SchemaAdapter: kind.schema, OffsetsAdapter: kind.offsets, InitializeSchema: true, PollInterval: 50 * time.Millisecond}, watermill.NopLogger{}))
		messages := must(subscriber.Subscribe(ctx, kind.topic))
		publish := func() {
			if err := publisher.Publish(kind.topic, message.NewMessage(watermill.NewUUID(), message.Payload("{}"))); err != nil {
				panic(err)
			}
		}
		arrives := func(when string) {
			select {
			case got := <-messages:
				got.Ack()
				fmt.Printf("%s, %s: it arrives\n", kind.topic, when)
			case <-time.After(5 * time.Second):
				fmt.Printf("%s, %s: nothing for 5 s\n", kind.topic, when)
			}
		}
		publish()
		arrives("with no other transaction")
		reading := must(reports.Begin())
		must(reading.Exec("select * from visits"))
		publish()
		arrives("while another database is read")
		importing := must(reports.Begin())
		must(importing.Exec("insert into visits values (1)"))
		publish()
		arrives("while another database is written")
		if err := importing.Rollback(); err != nil {
			panic(err)
		}
		if kind.topic == "topic" {
			arrives("after that")
		}
		if err := reading.Rollback(); err != nil {
			panic(err)
		}
		if err := subscriber.Close(); err != nil {
			panic(err)
		}
	}
}
GO
go get github.com/ThreeDotsLabs/watermill-sql/v4@v4.1.2 github.com/ThreeDotsLabs/watermill@v1.5.1 github.com/jackc/pgx/v5@v5.13.0
go build -o try .
./try "$dir/run" | tee seen
diff seen - <<'WANT'
topic, with no other transaction: it arrives
topic, while another database is read: it arrives
topic, while another database is written: nothing for 5 s
topic, after that: it arrives
queue, with no other transaction: it arrives
queue, while another database is read: it arrives
queue, while another database is written: it arrives
WANT
# Seen: the seven lines above
