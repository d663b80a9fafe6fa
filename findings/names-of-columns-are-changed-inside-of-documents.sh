#!/bin/sh
# A service turns the names of its columns into those of JavaScript, and adds a field to a JSON document
# of a partner that it keeps. Afterwards the partner's other fields have other names, and two are one.
#
# Package:   kysely 0.29.9 (CamelCasePlugin) with pg 8.23.1, and postgres 3.4.9 (postgres.camel)
#            (npm), on the PostgreSQL of testdata/postgres.sh
# Expected:  the option is about columns; what a jsonb column has inside is data.
# Behaviour: both change each key of the documents that they read, at any depth, and do not change it
#            back in what is written. Whoever reads a document, changes it and writes
#            it has renamed its fields, for all who read it otherwise. user_id
#            and userId are two fields before and one after; of a map from ids to values
#            the ids are changed. Kysely has maintainNestedObjectKeys: true against that, and
#            postgres.js the choice of { column: { from: postgres.toCamel } }.
# Source:    mapRow in plugin/camel-case/camel-case-plugin.js of Kysely; camel and createJsonTransform
#            in src/types.js of postgres.js
set -eu
. "$(cd "$(dirname "$0")" && pwd)/testdata/postgres.sh"
npm install --silent --no-save --no-audit --no-fund --ignore-scripts kysely@0.29.9 pg@8.23.1 postgres@3.4.9
cat > try.mjs <<'JS'
import { CamelCasePlugin, Kysely, PostgresDialect } from 'kysely'
import pg from 'pg'
import postgres from 'postgres'

const address = { host: process.argv[2], user: 'app', database: 'postgres' }
const pool = new pg.Pool(address)
const kysely = plugin => new Kysely({ dialect: new PostgresDialect({ pool }), plugins: [plugin] })
const byKysely = db => ({
  read: async () => (await db.selectFrom('orders').select('rawBody').executeTakeFirst()).rawBody,
  write: body => db.updateTable('orders').set({ rawBody: JSON.stringify(body) }).execute()
})
const byPostgres = sql => ({
  read: async () => (await sql`select raw_body from orders`)[0].rawBody,
  write: body => sql`update orders set raw_body = ${sql.json(body)}`
})
const clients = [postgres({ ...address, transform: postgres.camel }), postgres({ ...address, transform: { column: { from: postgres.toCamel } } })]
for (const [name, orders] of Object.entries({
  Kysely: byKysely(kysely(new CamelCasePlugin())),
  'Kysely with maintainNestedObjectKeys': byKysely(kysely(new CamelCasePlugin({ maintainNestedObjectKeys: true }))),
  'postgres.js': byPostgres(clients[0]),
  'postgres.js for columns': byPostgres(clients[1])
})) {
  await pool.query('drop table if exists orders; create table orders (raw_body jsonb)')
  await pool.query('insert into orders values ($1)', [{ items: [{ unit_price: 5 }], user_id: 7, userId: 'u7' }])
  await orders.write({ ...await orders.read(), seen: true })
  const { rows } = await pool.query('select raw_body::text from orders')
  console.log(`${name}: ${rows[0].raw_body}`)
}
await Promise.all([pool.end(), ...clients.map(client => client.end())])
JS
node try.mjs "$dir/run" | tee seen
diff seen - <<'WANT'
Kysely: {"seen": true, "items": [{"unitPrice": 5}], "userId": 7}
Kysely with maintainNestedObjectKeys: {"seen": true, "items": [{"unit_price": 5}], "userId": "u7", "user_id": 7}
postgres.js: {"seen": true, "items": [{"unitPrice": 5}], "userId": 7}
postgres.js for columns: {"seen": true, "items": [{"unit_price": 5}], "userId": "u7", "user_id": 7}
WANT
# Seen: the four lines above
