package api

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Migrations go forward only, and a release's must leave the release before it
// working, which serves on while they run and after a roll-back: add a column
// (with a default) or an index first; drop what nobody uses one release later.
//
//go:embed migrations/*.sql
var migrations embed.FS

// MigrationLock is the key of the advisory lock that tasks starting at the same
// time queue up for. Any number does, as long as all releases use the same.
const MigrationLock = 0x626f6f6b // "book"

// migration is one forward step of the schema.
type migration struct {
	version int
	name    string
	sql     string
}

func readMigrations(files fs.FS) ([]migration, error) {
	names, err := fs.Glob(files, "migrations/*.sql")
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	var all []migration
	for i, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		base := strings.TrimPrefix(name, "migrations/")
		number, _, _ := strings.Cut(base, "_")
		if version, err := strconv.Atoi(number); err != nil || version != i+1 {
			return nil, fmt.Errorf("migration %s: want number %04d", base, i+1)
		}
		all = append(all, migration{i + 1, base, string(text)})
	}
	return all, nil
}

// migrate brings the schema forward to this release's, one transaction per
// step, and reports the steps taken. Tasks that start at the same time take
// turns by an advisory lock. A schema that is newer than this release, as after
// a roll-back, is left alone.
func (d Database) migrate(ctx context.Context) (applied []string, err error) {
	config, err := d.located(ctx)
	if err != nil {
		return nil, err
	}
	login := config.ConnConfig
	login.RuntimeParams = map[string]string{"application_name": "bookapi migrations"}
	conn, err := pgx.ConnectConfig(ctx, login)
	if err != nil {
		return nil, fmt.Errorf("connect to the database: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }() // everything is committed or given up
	steps, err := readMigrations(migrations)
	if err != nil {
		return nil, err
	}
	for _, step := range steps {
		ran, err := step.apply(ctx, conn)
		if err != nil {
			return applied, fmt.Errorf("migrate the database (%s): %w", step.name, err)
		}
		if ran {
			applied = append(applied, step.name)
		}
	}
	return applied, nil
}

func (m migration) apply(ctx context.Context, conn *pgx.Conn) (ran bool, err error) {
	// Whoever waits for a table lock makes everybody behind it wait as well; so
	// a step gives up soon, and is tried again, while an old release serves.
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(MigrationLock)); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `SET LOCAL lock_timeout = '3s';
			CREATE TABLE IF NOT EXISTS schema_migrations (
				version int PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())`); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, `SELECT NOT EXISTS (SELECT FROM schema_migrations WHERE version >= $1)`, m.version).Scan(&ran); err != nil || !ran {
			return err
		}
		if _, err := tx.Exec(ctx, m.sql); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO schema_migrations (version, name) VALUES ($1, $2)`, m.version, m.name)
		return err
	})
	return ran, err
}
