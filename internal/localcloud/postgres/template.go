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

func (e *Engine) template(i installation) string {
	return filepath.Join(e.home, "template-"+i.major())
}

// Prepare makes the files that new servers begin with, so that Create finds those of
// the first version. It may be called again.
func (e *Engine) Prepare(ctx context.Context) error {
	e.copying.Lock()
	defer e.copying.Unlock()
	if err := e.prepare(ctx, e.installed[0]); err != nil {
		return fmt.Errorf("prepare PostgreSQL's files: %w", err)
	}
	return nil
}

func (e *Engine) prepare(ctx context.Context, i installation) error {
	if _, err := os.Stat(e.template(i)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	partial := e.template(i) + ".partial" // of a cloud that died at this point
	if err := os.RemoveAll(partial); err != nil {
		return err
	}
	if err := e.user.Mkdir(e.home, 0o700); err != nil {
		return err
	}
	// Nothing is in it yet that a power cut could take, hence no sync.
	if err := e.run(ctx, i, "initdb", "--pgdata="+partial, "--username="+admin, "--auth=reject",
		"--encoding=UTF8", "--no-locale", "--data-checksums", "--no-sync", "--no-instructions"); err != nil {
		return err
	}
	return os.Rename(partial, e.template(i))
}

// copyTemplate makes a new server's files.
func (e *Engine) copyTemplate(ctx context.Context, i installation, to string) error {
	e.copying.Lock()
	defer e.copying.Unlock()
	if err := e.prepare(ctx, i); err != nil {
		return err
	}
	return e.copyTree(ctx, e.template(i), to)
}

// dropTemplates removes the templates if there is no data, unless one is in use.
func (e *Engine) dropTemplates() error {
	for _, dir := range []string{"instances", "snapshots"} {
		if _, err := os.Stat(filepath.Join(e.home, dir)); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if !e.copying.TryLock() {
		return nil
	}
	defer e.copying.Unlock()
	var errs []error
	for _, i := range e.installed {
		errs = append(errs, os.RemoveAll(e.template(i)))
	}
	return errors.Join(errs...)
}
