#!/bin/sh
# A pool has two connections, of which one makes a report for seconds and the other is done at once.
# A health check that is asked in between waits until the report is ready.
#
# Package:   postgres 3.4.9, beside pg 8.23.1 (npm), on the PostgreSQL of testdata/postgres.sh
# Expected:  a query that finds no free connection waits in the pool for the first that gets free.
# Behaviour: postgres.js waits for none: it sends the query on a connection that is busy, behind
#            what runs there, about a hundred deep (max_pipeline). Which one it is goes by
#            turns, not by what runs. What is sent can't change over to a connection that gets
#            free, so that ten connections with one slow report hold up a tenth of
#            what comes when all are busy, for as long as it takes. Nothing shows it: to PostgreSQL
#            the query has not begun, so that neither its statistics nor statement_timeout
#            count the time. With max_pipeline: 0 it waits in the pool, as with pg.
# Source:    handler and go in src/index.js, execute in src/connection.js of that version
set -eu
. "$(cd "$(dirname "$0")" && pwd)/testdata/postgres.sh"
npm install --silent --no-save --no-audit --no-fund --ignore-scripts postgres@3.4.9 pg@8.23.1
cat > try.mjs <<'JS'
import pg from 'pg'
import postgres from 'postgres'

const address = { host: process.argv[2], user: 'app', database: 'postgres', max: 2 }
const plain = postgres(address)
const single = postgres({ ...address, max_pipeline: 0 })
const pool = new pg.Pool(address)
for (const [name, query, end] of [
  ['postgres.js', text => plain.unsafe(text), () => plain.end()],
  ['postgres.js with max_pipeline: 0', text => single.unsafe(text), () => single.end()],
  ['pg', text => pool.query(text), () => pool.end()]
]) {
  await Promise.all([query('select pg_sleep(0.1)'), query('select pg_sleep(0.1)')]) // both connections are open
  const order = []
  const done = what => () => order.push(what)
  await Promise.all([
    query('select pg_sleep(3)').then(done('the report')),
    query('select pg_sleep(0.3)').then(done('another')),
    query('select 1').then(done('the check'))
  ])
  console.log(`${name}: ${order.join(', ')}`)
  await end()
}
JS
node try.mjs "$dir/run" | tee seen
diff seen - <<'WANT'
postgres.js: another, the report, the check
postgres.js with max_pipeline: 0: another, the check, the report
pg: another, the check, the report
WANT
# Seen: the three lines above
