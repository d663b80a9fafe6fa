package database

import (
	"context"
	"embed"
	"fmt"
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

// Migrate brings the schema forward to this release's, one transaction per
// step, and reports the steps taken. Tasks that start at the same time take
// turns by an advisory lock. A schema that is newer than this release, as after
// a roll-back, is left alone.
func (d Config) Migrate(ctx context.Context) (applied []string, err error) {
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
	defer func() { _ = conn.Close(ctx) }()         // everything is committed or given up
	files, err := migrations.ReadDir("migrations") // in the order of their names
	if err != nil {
		return nil, err
	}
	for i, file := range files {
		ran, err := apply(ctx, conn, i+1, file.Name())
		if err != nil {
			return applied, fmt.Errorf("migrate the database (%s): %w", file.Name(), err)
		}
		if ran {
			applied = append(applied, file.Name())
		}
	}
	return applied, nil
}

// apply takes a step, unless it or a later one was taken before.
func apply(ctx context.Context, conn *pgx.Conn, version int, name string) (ran bool, err error) {
	if !strings.HasPrefix(name, fmt.Sprintf("%04d_", version)) {
		return false, fmt.Errorf("want number %04d", version)
	}
	sql, err := migrations.ReadFile("migrations/" + name)
	if err != nil {
		return false, err
	}
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1)`, int64(MigrationLock)); err != nil {
			return err
		}
		// Whoever waits for a table lock makes everybody behind it wait as well; so
		// a step gives up soon, and is tried again, while an old release serves.
		if _, err := tx.Exec(ctx, `SET LOCAL lock_timeout = '3s';
			CREATE TABLE IF NOT EXISTS schema_migrations (
				version int PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())`); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, `SELECT NOT EXISTS (SELECT FROM schema_migrations WHERE version >= $1)`, version).Scan(&ran); err != nil || !ran {
			return err
		}
		if _, err := tx.Exec(ctx, string(sql)); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO schema_migrations (version, name) VALUES ($1, $2)`, version, name)
		return err
	})
	return ran, err
}
