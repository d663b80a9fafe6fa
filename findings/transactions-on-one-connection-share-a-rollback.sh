#!/bin/sh
# A function handles two messages at a time on one connection, as one has it in Lambda, each in a
# transaction. The first fails, and of the second, which ends without an error, half is stored.
#
# Package:   drizzle-orm 0.45.4 with pg 8.23.1, beside postgres 3.4.9 with one connection (npm), on
#            the PostgreSQL of testdata/postgres.sh
# Expected:  db.transaction waits for the connection, or refuses a second one meanwhile.
# Behaviour: with a pg.Client, which it takes as well as a pool, drizzle sends "begin" on it at
#            once. For PostgreSQL a second BEGIN is a warning, and what follows belongs to the
#            first transaction. Its rollback takes the statements of both until then; those after
#            it are stored one by one, and the second's COMMIT, outside of a transaction,
#            is a warning, too. So half a message is stored, and the queue is told that
#            it's done. If the first commits, the second's half is stored even if it fails. What
#            waits in between, as for another service, decides, so that a
#            fast test is right. A pg.Pool with max: 1 makes them wait, as postgres.js does.
# Source:    NodePgSession.transaction in node-postgres/session.js of that version;
#            https://www.postgresql.org/docs/18/sql-begin.html (notes)
set -eu
. "$(cd "$(dirname "$0")" && pwd)/testdata/postgres.sh"
npm install --silent --no-save --no-audit --no-fund --ignore-scripts drizzle-orm@0.45.4 pg@8.23.1 postgres@3.4.9
cat > try.mjs <<'JS'
import { setTimeout } from 'node:timers/promises'
import { drizzle } from 'drizzle-orm/node-postgres'
import { drizzle as drizzlePostgres } from 'drizzle-orm/postgres-js'
import pg from 'pg'
import postgres from 'postgres'

const address = { host: process.argv[2], user: 'app', database: 'postgres' }
const client = new pg.Client(address)
await client.connect()
const pool = new pg.Pool({ ...address, max: 1 })
const one = postgres({ ...address, max: 1, onnotice () {} })
const show = new pg.Pool(address)
await show.query('create table lines (text text)')
for (const [name, db] of Object.entries({ 'a client': drizzle(client), 'a pool of one': drizzle(pool), 'postgres.js': drizzlePostgres(one) })) {
  await show.query('truncate lines')
  const ended = await Promise.allSettled([
    db.transaction(async tx => {
      await tx.execute("insert into lines values ('a1')")
      await setTimeout(200)
      throw new Error('the first fails')
    }),
    db.transaction(async tx => {
      await tx.execute("insert into lines values ('b1')")
      await setTimeout(400)
      await tx.execute("insert into lines values ('b2')")
    })
  ])
  const { rows } = await show.query('select text from lines order by text')
  console.log(`${name}: ${ended.map(e => e.status).join(', ')}; stored: ${rows.map(row => row.text).join(' ')}`)
}
await Promise.all([client.end(), pool.end(), one.end(), show.end()])
JS
node try.mjs "$dir/run" | tee seen
diff seen - <<'WANT'
a client: rejected, fulfilled; stored: b2
a pool of one: rejected, fulfilled; stored: b1 b2
postgres.js: rejected, fulfilled; stored: b1 b2
WANT
# Seen: the three lines above
