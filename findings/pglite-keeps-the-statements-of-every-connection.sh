#!/bin/sh
# A Go service runs on the PostgreSQL that npm installs until it opens a second connection;
# then its queries fail for good, also after a restart of the service.
#
# Package:   @electric-sql/pglite 0.5.14 with @electric-sql/pglite-socket 0.2.17 (npm), which
#            is PostgreSQL 18 as WebAssembly, and github.com/jackc/pgx/v5 v5.12.0
# Expected:  with --max-connections a connection is a session, as the server
#            speaks PostgreSQL's protocol to each.
# Behaviour: all connections are one session. pgx names a prepared statement by a
#            hash of its text and prepares it for each connection, so that a
#            query which any connection has run before is refused on all others with
#            "already exists" (42P05), and stays refused when the first one is closed. Nor
#            is anything else of a session one's own: SET on one connection is seen on
#            the others, and an advisory lock that one holds is given to another, so
#            that a test of a lock by two connections finds it free. For the queries
#            pgx has QueryExecModeExec, which uses the unnamed statement; for the rest
#            there's nothing.
# Source:    "Limitations and Tips" of the README of pglite-socket ("a multiplexer over the
#            single conn"); StatementName in internal/stmtcache/stmtcache.go of pgx.
set -eu
dir=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund @electric-sql/pglite@0.5.14 @electric-sql/pglite-socket@0.2.17
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
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

var ctx, _ = context.WithTimeout(context.Background(), time.Minute)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func connect(mode pgx.QueryExecMode) *pgx.Conn {
	config := must(pgx.ParseConfig("host=" + os.Args[1] + " user=postgres dbname=postgres sslmode=disable"))
	config.DefaultQueryExecMode = mode
	return must(pgx.ConnectConfig(ctx, config))
}

// said is a query's answer, or the code of the error.
func said(c *pgx.Conn, query string) string {
	var answer string
	err := c.QueryRow(ctx, query).Scan(&answer)
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		return refused.Code
	} else if err != nil {
		panic(err)
	}
	return answer
}

func main() {
	const query = "select 'well'"
	first := connect(pgx.QueryExecModeCacheStatement)
	fmt.Println("the first connection: ", said(first, query))
	second := connect(pgx.QueryExecModeCacheStatement)
	fmt.Println("the second:           ", said(second, query))
	for _, c := range []*pgx.Conn{first, second} {
		if err := c.Close(ctx); err != nil {
			panic(err)
		}
	}
	third := connect(pgx.QueryExecModeCacheStatement)
	fmt.Println("one after both closed:", said(third, query))
	a, b := connect(pgx.QueryExecModeExec), connect(pgx.QueryExecModeExec)
	fmt.Println("without names:        ", said(a, query), said(b, query))
	fmt.Println("a lock, for two:      ", said(a, "select pg_try_advisory_lock(1)::text"), said(b, "select pg_try_advisory_lock(1)::text"))
}
GO
go get github.com/jackc/pgx/v5@v5.12.0
go build -o try .
# A socket's name is short: the kernel takes no longer ones.
node_modules/.bin/pglite-server --path="$dir/.s.PGSQL.5432" --max-connections=10 > log 2>&1 &
server=$!
until grep -q listening log; do kill -0 "$server"; sleep 0.2; done
./try "$dir" | tee seen
diff seen - <<'WANT'
the first connection:  well
the second:            42P05
one after both closed: 42P05
without names:         well well
a lock, for two:       true true
WANT
# Seen: the five lines above
