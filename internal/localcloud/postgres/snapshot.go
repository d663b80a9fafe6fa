package postgres

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
)

// Snapshot copies the server's files consistently, while it goes on working if
// it runs. A snapshot appears whole or not at all; one of that name must not
// exist.
func (s *Server) Snapshot(ctx context.Context, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	dir, err := s.engine.snapshotDir(name)
	if err != nil {
		return err
	}
	if err := s.snapshot(ctx, dir); err != nil {
		return fmt.Errorf("snapshot %s of database %s: %w", name, s.name, err)
	}
	return nil
}

func (s *Server) snapshot(ctx context.Context, dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return errors.New("it exists already")
	}
	partial := dir + ".partial"
	if err := os.RemoveAll(partial); err != nil {
		return err
	}
	if err := s.engine.user.Mkdir(filepath.Dir(dir), 0o700); err != nil {
		return err
	}
	i, err := s.installation()
	switch {
	case err != nil:
	case s.running():
		// Two archives take the file system much less time than a thousand files, and most
		// snapshots are never restored.
		err = s.engine.run(ctx, i, "pg_basebackup", "--pgdata="+partial, "--host="+s.socketDir(),
			"--port="+strconv.Itoa(s.settings.Port), "--username="+admin, "--no-password",
			"--format=tar", "--wal-method=stream", "--checkpoint=fast")
	default:
		err = s.engine.copyTree(ctx, s.data(), partial)
	}
	if err != nil {
		_ = os.RemoveAll(partial) // the first error is the one to report
		return err
	}
	return os.Rename(partial, dir)
}

// Restore creates the files of a new server from a snapshot.
func (s *Server) Restore(ctx context.Context, snapshot string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	dir, err := s.engine.snapshotDir(snapshot)
	if err != nil {
		return err
	}
	if err := s.restore(ctx, dir); err != nil {
		return fmt.Errorf("restore database %s from snapshot %s: %w", s.name, snapshot, err)
	}
	return nil
}

func (s *Server) restore(ctx context.Context, dir string) error {
	if _, err := os.Stat(s.data()); err == nil {
		return errors.New("the database has files already")
	}
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return errors.New("there is no such snapshot")
	}
	partial := s.data() + ".partial"
	if err := os.RemoveAll(partial); err != nil {
		return err
	}
	if err := s.mkdir(); err != nil {
		return err
	}
	if err := s.engine.unpackSnapshot(ctx, dir, partial); err != nil {
		return err
	}
	return os.Rename(partial, s.data())
}

// unpackSnapshot writes a snapshot's data to a directory. That of a stopped server is files
// as they are.
func (e *Engine) unpackSnapshot(ctx context.Context, dir, to string) error {
	base := filepath.Join(dir, "base.tar")
	if _, err := os.Stat(base); errors.Is(err, fs.ErrNotExist) {
		return e.copyTree(ctx, dir, to)
	}
	if err := os.Mkdir(to, 0o700); err != nil {
		return err
	}
	if err := unpack(ctx, base, to); err != nil {
		return err
	}
	if err := unpack(ctx, filepath.Join(dir, "pg_wal.tar"), filepath.Join(to, "pg_wal")); err != nil {
		return err
	}
	return filepath.WalkDir(to, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return e.user.Own(path)
	})
}

// unpack writes what is in an archive of pg_basebackup to a directory.
func unpack(ctx context.Context, archive, to string) error {
	file, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // only read from
	root, err := os.OpenRoot(to)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }() // nothing is written to the directory itself
	for in := tar.NewReader(file); ; {
		entry, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = unpackEntry(entry, in, root)
		}
		if err != nil {
			return fmt.Errorf("unpack %s: %w", archive, err)
		}
	}
}

func unpackEntry(entry *tar.Header, content io.Reader, root *os.Root) error {
	switch entry.Typeflag {
	case tar.TypeDir:
		return root.MkdirAll(entry.Name, 0o700)
	case tar.TypeReg:
		out, err := root.OpenFile(entry.Name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		_, err = io.Copy(out, content)
		return errors.Join(err, out.Close())
	default:
		return fmt.Errorf("%q is neither a file nor a directory", entry.Name)
	}
}

// CopySnapshot makes another snapshot of the same data.
func (e *Engine) CopySnapshot(ctx context.Context, from, to string) error {
	source, err := e.snapshotDir(from)
	if err != nil {
		return err
	}
	target, err := e.snapshotDir(to)
	if err != nil {
		return err
	}
	partial := target + ".partial"
	err = os.RemoveAll(partial)
	if err == nil {
		err = e.copyTree(ctx, source, partial)
	}
	if err == nil {
		err = os.Rename(partial, target)
	}
	if err != nil {
		_ = os.RemoveAll(partial) // the first error is the one to report
		return fmt.Errorf("copy snapshot %s to %s: %w", from, to, err)
	}
	return nil
}

// HasSnapshot reports whether there is a complete snapshot of that name.
func (e *Engine) HasSnapshot(name string) bool {
	dir, err := e.snapshotDir(name)
	if err != nil {
		return false
	}
	_, err = os.Stat(dir)
	return err == nil
}
