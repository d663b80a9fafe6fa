#!/bin/sh
# Two branches have a migration each. The one that was begun later is deployed first; the other's
# is left out by each deploy from then on, without an error, and only in that database.
#
# Package:   drizzle-orm 0.45.4 with pg 8.23.1, beside kysely 0.29.9 (npm), on the PostgreSQL of
#            testdata/postgres.sh
# Expected:  the migrator runs what is not in its table, which has a hash for each, or refuses.
# Behaviour: it reads one row of its table, the newest, and runs what has a later time in the journal. That
#            time is when "drizzle-kit generate" wrote the file, on the branch. What is older
#            counts as done: migrate() resolves, and the service starts with queries for a
#            column that isn't there. An empty database, as in CI and on the next
#            developer's machine, gets all of them. Nothing compares the hashes. Kysely's
#            migrator, in the same situation, refuses. Who merges has to generate the
#            migration anew, or to check that the times rise with what is deployed.
# Source:    migrate in pg-core/dialect.js of that version ("created_at" desc limit 1);
#            https://github.com/drizzle-team/drizzle-orm/issues/5769, which is open
set -eu
. "$(cd "$(dirname "$0")" && pwd)/testdata/postgres.sh"
npm install --silent --no-save --no-audit --no-fund --ignore-scripts drizzle-orm@0.45.4 pg@8.23.1 kysely@0.29.9
cat > try.mjs <<'JS'
import { mkdirSync, writeFileSync } from 'node:fs'
import { drizzle } from 'drizzle-orm/node-postgres'
import { migrate } from 'drizzle-orm/node-postgres/migrator'
import { Kysely, PostgresDialect, sql } from 'kysely'
import { Migrator } from 'kysely/migration'
import pg from 'pg'

const pool = new pg.Pool({ host: process.argv[2], user: 'app', database: 'postgres' })
const all = {
  first: { when: 100, text: 'create table orders (id int)' },
  older: { when: 200, text: 'alter table orders add paid_at timestamptz' },
  newer: { when: 300, text: 'alter table orders add note text' }
}

async function byDrizzle (tags) {
  mkdirSync('drizzle/meta', { recursive: true })
  tags.forEach(tag => writeFileSync(`drizzle/${tag}.sql`, all[tag].text))
  const entries = tags.map((tag, idx) => ({ idx, version: '7', tag, when: all[tag].when, breakpoints: true }))
  writeFileSync('drizzle/meta/_journal.json', JSON.stringify({ version: '7', dialect: 'postgresql', entries }))
  await migrate(drizzle(pool), { migrationsFolder: 'drizzle' })
}

async function byKysely (tags) {
  const migrations = Object.fromEntries(tags.map(tag => [`${all[tag].when}_${tag}`, { up: db => sql.raw(all[tag].text).execute(db) }]))
  const db = new Kysely({ dialect: new PostgresDialect({ pool }) })
  const { error } = await new Migrator({ db, provider: { getMigrations: async () => migrations } }).migrateToLatest()
  if (error) throw error
}

for (const [name, deploy] of [['drizzle', byDrizzle], ['Kysely', byKysely]]) {
  for (const deploys of [[['first'], ['first', 'newer'], ['first', 'older', 'newer']], [['first', 'older', 'newer']]]) {
    await pool.query('drop table if exists orders, kysely_migration, kysely_migration_lock; drop schema if exists drizzle cascade')
    const said = []
    for (const tags of deploys) said.push(await deploy(tags).then(() => 'ok', () => 'refused'))
    const { rows } = await pool.query("select attname from pg_attribute where attrelid = 'orders'::regclass and attnum > 0 order by 1")
    console.log(`${name}: ${said.join(', ')}; the table has ${rows.map(row => row.attname).join(', ')}`)
  }
}
await pool.end()
JS
node try.mjs "$dir/run" | tee seen
diff seen - <<'WANT'
drizzle: ok, ok, ok; the table has id, note
drizzle: ok; the table has id, note, paid_at
Kysely: ok, ok, refused; the table has id, note
Kysely: ok; the table has id, note, paid_at
WANT
# Seen: the four lines above
