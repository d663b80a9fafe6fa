#!/bin/sh
# A job sends each order but those in a list that a service for fraud gives it. On a day with an
# empty list it sends none, and ends without an error.
#
# Package:   gorm.io/gorm v1.31.2 with gorm.io/driver/postgres v1.6.3, and github.com/uptrace/bun
#            v1.3.0 with github.com/jackc/pgx/v5 v5.13.0, beside
#            github.com/Masterminds/squirrel v1.5.4, on the PostgreSQL of testdata/postgres.sh
# Expected:  "not in" an empty list is true for all rows. As SQL has no empty list, a library refuses it
#            or writes something that is true.
# Behaviour: both write NULL into the list. "id IN (NULL)" finds nothing, as it should; "id NOT IN (NULL)" is
#            neither true nor false, and finds nothing, too. Within gorm it depends on the way: a
#            condition in a map by Not is left out when its list is empty, and finds all, where a text
#            with "NOT IN ?" finds none. squirrel writes (1=1). A test has something to exclude. PostgreSQL's
#            "id <> ALL (?)" with an array is true for an empty one.
# Source:    AddVar in statement.go of gorm ("(NULL)"); appendValues in bun.go of bun;
#            https://www.postgresql.org/docs/18/functions-comparisons.html#FUNCTIONS-COMPARISONS-NOT-IN
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

	"github.com/Masterminds/squirrel"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"gorm.io/driver/postgres"
	"gorm.io/gorm"
)

type Order struct{ ID int64 }

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	address := "host=" + os.Args[1] + " user=app dbname=postgres"
	db, err := gorm.Open(postgres.Open(address))
	check(err)
	check(db.Exec("create table orders (id bigint); insert into orders values (1), (2), (3)").Error)
	pool, err := sql.Open("pgx", address)
	check(err)
	for _, excluded := range [][]int64{{2}, {}} {
		show := func(name string, find func(*[]Order) error) {
			var orders []Order
			check(find(&orders))
			fmt.Printf("excluding %d, %s: %d orders\n", len(excluded), name, len(orders))
		}
		show("gorm, by text", func(o *[]Order) error { return db.Where("id NOT IN ?", excluded).Find(o).Error })
		show("gorm, by a map", func(o *[]Order) error { return db.Not(map[string]any{"id": excluded}).Find(o).Error })
		show("bun", func(o *[]Order) error {
			return bun.NewDB(pool, pgdialect.New()).NewSelect().Model(o).Where("id NOT IN (?)", bun.List(excluded)).Scan(context.Background())
		})
		show("squirrel", func(o *[]Order) error {
			text, values, err := squirrel.Select("id").From("orders").Where(squirrel.NotEq{"id": excluded}).PlaceholderFormat(squirrel.Dollar).ToSql()
			check(err)
			return db.Raw(text, values...).Scan(o).Error
		})
	}
}
GO
go get gorm.io/gorm@v1.31.2 gorm.io/driver/postgres@v1.6.3 github.com/uptrace/bun@v1.3.0 github.com/uptrace/bun/dialect/pgdialect@v1.3.0 github.com/jackc/pgx/v5@v5.13.0 github.com/Masterminds/squirrel@v1.5.4
go build -o try .
./try "$dir/run" | tee seen
diff seen - <<'WANT'
excluding 1, gorm, by text: 2 orders
excluding 1, gorm, by a map: 2 orders
excluding 1, bun: 2 orders
excluding 1, squirrel: 2 orders
excluding 0, gorm, by text: 0 orders
excluding 0, gorm, by a map: 3 orders
excluding 0, bun: 0 orders
excluding 0, squirrel: 3 orders
WANT
# Seen: the eight lines above
