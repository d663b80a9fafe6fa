package postgres

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/bookctl/bookctl/internal/localcloud/process"
)

// Making a cluster takes PostgreSQL some seconds, and all of them begin the same. So one is
// made, kept in the cache for all local clouds of the user, and copied. There is no password
// in it, and nobody can log in: each server is configured before it starts.

// initOptions are what a cluster is made with.
func initOptions() []string {
	return []string{
		"--username=" + admin, "--auth=reject", "--encoding=UTF8", "--no-locale", "--data-checksums", "--no-instructions",
		"--no-sync", // nothing is in it yet that a power cut could take
	}
}

// template is the directory of the cache for an installation: the cluster is in "data", and
// "digest" says what all of that must be.
func (e *Engine) template(i installation) string {
	sum := sha256.Sum256([]byte(strings.Join(append(initOptions(), i.bin), "\x00")))
	return filepath.Join(e.cache, i.version+"-"+hex.EncodeToString(sum[:6]))
}

func (e *Engine) cached(i installation) bool {
	_, err := os.Stat(e.template(i))
	return err == nil
}

// Prepare creates the files that new servers begin with, so that Create finds those of
// the first version. It may be called again.
func (e *Engine) Prepare(ctx context.Context) error {
	e.making.Lock()
	defer e.making.Unlock()
	i := e.installed[0]
	if e.cache == "" || e.cached(i) {
		return nil
	}
	made := filepath.Join(e.dir, "template")
	err := os.RemoveAll(made) // of a cloud that died at this point
	if err == nil {
		err = e.user.Mkdir(e.dir, 0o700)
	}
	if err == nil {
		err = e.initialize(ctx, i, made)
	}
	if err == nil {
		err = e.keep(ctx, i, made)
	}
	if err := errors.Join(err, os.RemoveAll(made)); err != nil {
		return fmt.Errorf("prepare PostgreSQL's files: %w", err)
	}
	return nil
}

// newCluster creates a new server's files.
func (e *Engine) newCluster(ctx context.Context, i installation, to string) error {
	e.making.Lock()
	defer e.making.Unlock()
	if e.cache != "" && e.cached(i) {
		if e.copyTemplate(ctx, i, to) == nil {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		// It is damaged, or another process found it to be so and has just removed it. That
		// process may do so now, or already put another one there, which is as good.
		_ = os.RemoveAll(e.template(i))
		if err := os.RemoveAll(to); err != nil {
			return err
		}
	}
	if err := e.initialize(ctx, i, to); err != nil {
		return err
	}
	_ = e.keep(ctx, i, to) // without it the next server only takes longer
	return nil
}

func (e *Engine) initialize(ctx context.Context, i installation, data string) error {
	return e.run(ctx, i, "initdb", append(initOptions(), "--pgdata="+data)...)
}

// copyTemplate copies the template, and fails if that is not what was kept.
func (e *Engine) copyTemplate(ctx context.Context, i installation, to string) error {
	want, err := os.ReadFile(filepath.Join(e.template(i), "digest"))
	if err != nil {
		return err
	}
	if err := e.copyTree(ctx, filepath.Join(e.template(i), "data"), to); err != nil {
		return err
	}
	got, err := digest(to)
	if err != nil {
		return err
	}
	if got != string(want) {
		return fmt.Errorf("%s is damaged", e.template(i))
	}
	return nil
}

// keep puts a copy of the files of a server that never ran into the cache, unless another
// process is doing that. It appears there whole or not at all; the digest is for a power
// cut soon after that.
func (e *Engine) keep(ctx context.Context, i installation, data string) error {
	if e.cache == "" {
		return nil
	}
	if err := os.MkdirAll(e.cache, 0o700); err != nil {
		return err
	}
	lock, err := os.OpenFile(filepath.Join(e.cache, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }() // nothing was written
	if locked, err := process.Lock(lock); err != nil || !locked {
		return err
	}
	defer process.Unlock(lock)
	if e.cached(i) {
		return nil
	}
	partial := e.template(i) + ".partial"
	if err := os.RemoveAll(partial); err != nil { // of a process that died at this point
		return err
	}
	if err := e.copyTree(ctx, data, filepath.Join(partial, "data")); err != nil {
		return err
	}
	sum, err := digest(data)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(partial, "digest"), []byte(sum), 0o600); err != nil {
		return err
	}
	return os.Rename(partial, e.template(i))
}

// digest is a hash of the names and contents of all that is in a directory.
func digest(dir string) (string, error) {
	sum := sha256.New()
	files := os.DirFS(dir)
	err := fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			fmt.Fprintf(sum, "%s/\n", name)
			return nil
		}
		file, err := files.Open(name)
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }() // only read from
		content := sha256.New()
		if _, err := io.Copy(content, file); err != nil {
			return err
		}
		fmt.Fprintf(sum, "%s %x\n", name, content.Sum(nil))
		return nil
	})
	return hex.EncodeToString(sum.Sum(nil)), err
}
