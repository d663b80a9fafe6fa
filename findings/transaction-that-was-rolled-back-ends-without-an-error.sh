#!/bin/sh
# A transaction books an order and takes it in its stride that the customer's line in a second table
# exists already. It ends without an error, and the order isn't there.
#
# Package:   drizzle-orm 0.45.4, typeorm 1.1.1 and knex 3.3.0 with pg 8.23.1, beside kysely 0.29.9 with
#            it and postgres 3.4.9 (npm), on the PostgreSQL of testdata/postgres.sh
# Expected:  what resolves has been committed; an error that was caught inside is over, as
#            in other databases, or makes the commit fail.
# Behaviour: after an error PostgreSQL refuses all but the end of the transaction, and takes COMMIT
#            for ROLLBACK. That is no error: only the tag of the answer says ROLLBACK. pg hands it on
#            as "command", and drizzle, TypeORM and knex don't look. Where no other statement
#            follows the caught error, nobody learns that all is lost: here an order for which
#            the customer gets a mail. Kysely looks, as Go's pgx does (ErrTxCommitRollback), and
#            postgres.js rejects after each error, be it caught or not. A statement
#            that may fail needs a transaction inside the transaction (a savepoint), or
#            ON CONFLICT.
# Source:    NodePgSession.transaction in node-postgres/session.js of drizzle; PostgresQueryRunner of
#            TypeORM; aborted-transaction-error.js of Kysely;
#            https://www.postgresql.org/docs/18/protocol-message-formats.html (CommandComplete)
set -eu
. "$(cd "$(dirname "$0")" && pwd)/testdata/postgres.sh"
npm install --silent --no-save --no-audit --no-fund --ignore-scripts drizzle-orm@0.45.4 typeorm@1.1.1 reflect-metadata@0.2.2 knex@3.3.0 kysely@0.29.9 pg@8.23.1 postgres@3.4.9
cat > try.mjs <<'JS'
import { drizzle } from 'drizzle-orm/node-postgres'
import knex from 'knex'
import { Kysely, PostgresDialect, sql } from 'kysely'
import pg from 'pg'
import postgres from 'postgres'
import { DataSource } from 'typeorm'

const address = { host: process.argv[2], user: 'app', database: 'postgres' }
const pool = new pg.Pool(address)
const order = 'insert into orders values (1)'
const customer = "insert into customers values ('ann')"
const typeorm = await new DataSource({ type: 'postgres', ...address, username: 'app' }).initialize()
const kysely = new Kysely({ dialect: new PostgresDialect({ pool: new pg.Pool(address) }) })
const other = postgres({ ...address, onnotice () {} })
const knexes = knex({ client: 'pg', connection: address })

async function book (query) {
  await query(order)
  await query(customer).catch(() => {}) // she may be there already
}

for (const [name, transaction] of Object.entries({
  drizzle: () => drizzle(pool).transaction(tx => book(text => tx.execute(text))),
  TypeORM: () => typeorm.transaction(tx => book(text => tx.query(text))),
  knex: () => knexes.transaction(tx => book(async text => tx.raw(text))),
  Kysely: () => kysely.transaction().execute(tx => book(text => sql.raw(text).execute(tx))),
  'postgres.js': () => other.begin(tx => book(text => tx.unsafe(text)))
})) {
  await pool.query('drop table if exists orders, customers')
  await pool.query("create table orders (id int); create table customers (name text unique); insert into customers values ('ann')")
  const ended = await transaction().then(() => 'no error', () => 'an error')
  const { rows } = await pool.query('select count(*)::int from orders')
  console.log(`${name}: ${ended}, ${rows[0].count} orders`)
}
await Promise.all([pool.end(), typeorm.destroy(), kysely.destroy(), other.end(), knexes.destroy()])
JS
node try.mjs "$dir/run" | tee seen
diff seen - <<'WANT'
drizzle: no error, 0 orders
TypeORM: no error, 0 orders
knex: no error, 0 orders
Kysely: an error, 0 orders
postgres.js: an error, 0 orders
WANT
# Seen: the five lines above
