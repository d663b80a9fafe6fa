#!/bin/sh
# Two migrations pass in CI's empty database and passed in production, where they went out in
# two deploys. In an environment that is two releases behind they fail, at each start.
#
# Package:   drizzle-orm 0.45.4 and kysely 0.29.9 with pg 8.23.1 (npm), on the PostgreSQL of
#            testdata/postgres.sh
# Expected:  a migration does the same whether the one before it ran a minute or a month ago.
# Behaviour: both migrators run all that is missing in one transaction. A value that is added to an enum can't
#            be used in the transaction that adds it, so that the second migration, which makes
#            it the default, fails if the first is new as well. In an empty database it's allowed:
#            there the type itself is of that transaction. So the two places where
#            one looks both pass, and a restored backup, or the customer who skips a
#            release, fails. Kysely's disableTransactions (for the whole run) or
#            text instead of an enum avoids it; migrators such as goose and tern have a transaction
#            for each.
# Source:    migrate in pg-core/dialect.js of drizzle; the Migrator of Kysely;
#            https://www.postgresql.org/docs/18/sql-altertype.html (notes on ADD VALUE);
#            https://github.com/drizzle-team/drizzle-orm/issues/3249
set -eu
. "$(cd "$(dirname "$0")" && pwd)/testdata/postgres.sh"
npm install --silent --no-save --no-audit --no-fund --ignore-scripts drizzle-orm@0.45.4 kysely@0.29.9 pg@8.23.1
cat > try.mjs <<'JS'
import { mkdirSync, writeFileSync } from 'node:fs'
import { drizzle } from 'drizzle-orm/node-postgres'
import { migrate } from 'drizzle-orm/node-postgres/migrator'
import { Kysely, PostgresDialect, sql } from 'kysely'
import { Migrator } from 'kysely/migration'
import pg from 'pg'

const pool = new pg.Pool({ host: process.argv[2], user: 'app', database: 'postgres' })
const all = [
  "create type state as enum ('open'); create table orders (id int, state state default 'open')",
  "alter type state add value 'draft'",
  "alter table orders alter state set default 'draft'"
]

async function byDrizzle (texts) {
  mkdirSync('drizzle/meta', { recursive: true })
  texts.forEach((text, i) => writeFileSync(`drizzle/m${i}.sql`, text))
  const entries = texts.map((_, i) => ({ idx: i, version: '7', tag: `m${i}`, when: i + 1, breakpoints: true }))
  writeFileSync('drizzle/meta/_journal.json', JSON.stringify({ version: '7', dialect: 'postgresql', entries }))
  await migrate(drizzle(pool), { migrationsFolder: 'drizzle' })
}

async function byKysely (texts) {
  const migrations = Object.fromEntries(texts.map((text, i) => [`m${i}`, { up: db => sql.raw(text).execute(db) }]))
  const db = new Kysely({ dialect: new PostgresDialect({ pool }) })
  const { error } = await new Migrator({ db, provider: { getMigrations: async () => migrations } }).migrateToLatest()
  if (error) throw error
}

for (const [name, deploy] of [['drizzle', byDrizzle], ['Kysely', byKysely]]) {
  for (const [where, releases] of [['an empty database', [3]], ['production', [1, 2, 3]], ['two releases behind', [1, 3]]]) {
    await pool.query('drop table if exists orders, kysely_migration, kysely_migration_lock; drop type if exists state; drop schema if exists drizzle cascade')
    let said = 'ok'
    for (const release of releases) {
      await deploy(all.slice(0, release)).catch(error => { said = (error.cause ?? error).message })
    }
    console.log(`${name}, ${where}: ${said}`)
  }
}
await pool.end()
JS
node try.mjs "$dir/run" | tee seen
diff seen - <<'WANT'
drizzle, an empty database: ok
drizzle, production: ok
drizzle, two releases behind: unsafe use of new value "draft" of enum type state
Kysely, an empty database: ok
Kysely, production: ok
Kysely, two releases behind: unsafe use of new value "draft" of enum type state
WANT
# Seen: the six lines above
