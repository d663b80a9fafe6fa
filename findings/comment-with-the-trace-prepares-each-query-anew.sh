#!/bin/sh
# A service writes the trace's id into a comment of each query, so that slow ones can be found. Each query
# takes twice as many round trips from then on, and each connection takes megabytes of the database's memory.
#
# Package:   github.com/XSAM/otelsql v0.44.0 (WithSQLCommenter) with github.com/jackc/pgx/v5 v5.13.0 and
#            go.opentelemetry.io/otel/sdk v1.47.0, on the PostgreSQL of testdata/postgres.sh
# Expected:  a comment costs its characters: PostgreSQL drops it before it plans, and pg_stat_statements
#            counts the query as one.
# Behaviour: pgx prepares each text once per connection and keeps 512 of them. With the comment no
#            text comes again, so that each query is prepared, run once, and thrown out by
#            one that follows: a round trip more for each query, and 512 statements, with their plans, that
#            will never be used, in each connection's process. With a hundred connections
#            to a small RDS instance it's most of its memory. The driver does what it
#            should and so does the comment; nothing reports it. With the comment belongs
#            default_query_exec_mode=exec in the address.
# Source:    WithSQLCommenter in option.go of otelsql; statementCacheCapacity in conn.go of pgx
#            (512); https://www.postgresql.org/docs/18/view-pg-prepared-statements.html
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
	"fmt"
	"os"

	"github.com/XSAM/otelsql"
	_ "github.com/jackc/pgx/v5/stdlib"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/trace"
)

func main() {
	provider := trace.NewTracerProvider()
	for _, try := range []struct {
		name    string
		comment bool
		mode    string
	}{{"without comments", false, ""}, {"with comments", true, ""}, {"with comments and exec", true, " default_query_exec_mode=exec"}} {
		db, err := otelsql.Open("pgx", "host="+os.Args[1]+" user=app dbname=postgres"+try.mode,
			otelsql.WithTracerProvider(provider), otelsql.WithSQLCommenter(try.comment), otelsql.WithTextMapPropagator(propagation.TraceContext{}))
		if err != nil {
			panic(err)
		}
		db.SetMaxOpenConns(1)
		for range 1000 {
			ctx, span := provider.Tracer("shop").Start(context.Background(), "GET /orders")
			var relations int
			if err := db.QueryRowContext(ctx, "select count(*) from pg_class join pg_attribute on attrelid = pg_class.oid where relname = $1", "orders").Scan(&relations); err != nil {
				panic(err)
			}
			span.End()
		}
		var prepared, size int
		if err := db.QueryRow("select (select count(*) from pg_prepared_statements where statement like '%pg_class%' and statement not like '%pg_backend%'), (select sum(total_bytes)::bigint >> 20 from pg_backend_memory_contexts)").Scan(&prepared, &size); err != nil {
			panic(err)
		}
		fmt.Printf("%s: %d statements are kept, the connection has 8 MiB or more: %t\n", try.name, prepared, size >= 8)
		if err := db.Close(); err != nil {
			panic(err)
		}
	}
}
GO
go get github.com/XSAM/otelsql@v0.44.0 github.com/jackc/pgx/v5@v5.13.0 go.opentelemetry.io/otel@v1.47.0 go.opentelemetry.io/otel/sdk@v1.47.0
go build -o try .
./try "$dir/run" | tee seen
diff seen - <<'WANT'
without comments: 1 statements are kept, the connection has 8 MiB or more: false
with comments: 512 statements are kept, the connection has 8 MiB or more: true
with comments and exec: 0 statements are kept, the connection has 8 MiB or more: false
WANT
# Seen: the three lines above (2, 13 and 2 MiB)
