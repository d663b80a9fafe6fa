package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Making a cluster takes PostgreSQL some seconds, and all of them begin the
// same. So one is made ahead and copied.

func (e *Engine) template() string { return filepath.Join(e.home, "template") }

// Prepare makes the files that every new server begins with, so that Create
// finds them. It may be called again.
func (e *Engine) Prepare(ctx context.Context) error {
	e.copying.Lock()
	defer e.copying.Unlock()
	if err := e.prepare(ctx); err != nil {
		return fmt.Errorf("prepare PostgreSQL's files: %w", err)
	}
	return nil
}

func (e *Engine) prepare(ctx context.Context) error {
	if _, err := os.Stat(e.template()); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	partial := e.template() + ".partial" // of a cloud that died at this point
	if err := os.RemoveAll(partial); err != nil {
		return err
	}
	if err := e.user.Mkdir(e.home, 0o700); err != nil {
		return err
	}
	// Nothing is in it yet that a power cut could take, hence no sync.
	if err := e.run(ctx, "initdb", "--pgdata="+partial, "--username="+admin, "--auth=reject",
		"--encoding=UTF8", "--no-locale", "--data-checksums", "--no-sync", "--no-instructions"); err != nil {
		return err
	}
	return os.Rename(partial, e.template())
}

// copyTemplate makes a new server's files.
func (e *Engine) copyTemplate(ctx context.Context, to string) error {
	e.copying.Lock()
	defer e.copying.Unlock()
	if err := e.prepare(ctx); err != nil {
		return err
	}
	return e.copyTree(ctx, e.template(), to)
}

// dropTemplate removes the template if there is no data, unless it is in use.
func (e *Engine) dropTemplate() error {
	for _, dir := range []string{"instances", "snapshots"} {
		if _, err := os.Stat(filepath.Join(e.home, dir)); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if !e.copying.TryLock() {
		return nil
	}
	defer e.copying.Unlock()
	return os.RemoveAll(e.template())
}
