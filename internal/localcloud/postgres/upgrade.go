package postgres

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/bookctl/bookctl/internal/localcloud/process"
)

// IncompatibleError reports that pg_upgrade refused a server before it changed anything.
type IncompatibleError struct {
	// Report is what pg_upgrade wrote, with its lists of what is in the way.
	Report string
}

// Error implements error.
func (e *IncompatibleError) Error() string {
	return "pg_upgrade refuses: " + e.Report
}

// upgradePort is what pg_upgrade calls its sockets by; it opens no port.
const upgradePort = 50432

// upgradeOutput is how much is kept of what pg_upgrade writes.
const upgradeOutput = 64 << 10

// next is where the files of an upgrade are made, and before are those that they
// replace, for a moment.
func (s *Server) next() string   { return s.data() + ".next" }
func (s *Server) before() string { return s.data() + ".before" }

// Upgrade moves the stopped server to another major version with pg_upgrade, which
// first checks whether it can: an *IncompatibleError says that it can't. The files of
// the old version stay as they are until those of the new one are complete, so that the
// server is of one or the other version, whenever this is cut off. One that has the
// version already is left as it is.
func (s *Server) Upgrade(ctx context.Context, version string, settings Settings) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.upgrade(ctx, version, settings); err != nil {
		return fmt.Errorf("upgrade database %s to PostgreSQL %s: %w", s.name, version, err)
	}
	return nil
}

func (s *Server) upgrade(ctx context.Context, version string, settings Settings) error {
	to, err := s.engine.installation(version)
	if err != nil {
		return err
	}
	from, err := s.installation()
	if err != nil || from.major() == to.major() {
		return err
	}
	if s.running() {
		return errors.New("it runs")
	}
	for _, data := range []string{s.data(), s.next()} {
		if err := s.stopStray(ctx, data); err != nil {
			return err
		}
	}
	work := filepath.Join(s.dir, "upgrade") // pg_upgrade writes to where it is started
	for _, dir := range []string{s.next(), work} {
		if err := os.RemoveAll(dir); err != nil {
			return err
		}
	}
	defer func() { _ = os.RemoveAll(work) }() // what is left goes with the next one
	if err := s.engine.user.Mkdir(work, 0o700); err != nil {
		return err
	}
	if err := s.engine.newCluster(ctx, to, s.next()); err != nil {
		return err
	}
	for _, data := range []string{s.data(), s.next()} {
		if err := s.configure(data, Settings{Port: upgradePort, Cert: settings.Cert, Key: settings.Key}); err != nil {
			return err
		}
	}
	run := func(more ...string) (string, error) {
		cmd := s.engine.command(to, "pg_upgrade", append([]string{
			"--old-bindir=" + from.bin, "--new-bindir=" + to.bin, "--old-datadir=" + s.data(), "--new-datadir=" + s.next(),
			"--username=" + admin, "--socketdir=" + s.socketDir(),
		}, more...)...)
		cmd.Dir = work
		output := &tail{size: upgradeOutput}
		err := s.engine.runIn(ctx, cmd, output)
		return output.String(), err
	}
	if report, err := run("--check"); err != nil {
		if ctx.Err() != nil {
			return err
		}
		return &IncompatibleError{Report: report + lists(s.next(), work)}
	}
	if report, err := run(); err != nil {
		return fmt.Errorf("pg_upgrade: %w: %s", err, report)
	}
	if err := os.RemoveAll(s.before()); err != nil {
		return err
	}
	if err := os.Rename(s.data(), s.before()); err != nil {
		return err
	}
	if err := os.Rename(s.next(), s.data()); err != nil {
		return err
	}
	return os.RemoveAll(s.before())
}

// lists are the files in which pg_upgrade names what is in the way: below the new data
// since version 15, and where it was started before.
func lists(dirs ...string) string {
	var all strings.Builder
	for _, dir := range dirs {
		files := os.DirFS(dir)
		from := "pg_upgrade_output.d"
		if _, err := fs.Stat(files, from); err != nil {
			from = "."
		}
		_ = fs.WalkDir(files, from, func(path string, entry fs.DirEntry, err error) error { // without them there is the report
			if err != nil || entry.IsDir() || filepath.Ext(path) != ".txt" {
				return nil //nolint:nilerr // as said
			}
			if text, err := fs.ReadFile(files, path); err == nil {
				fmt.Fprintf(&all, "\n\n%s:\n%s", filepath.Base(path), strings.TrimSpace(string(text)))
			}
			return nil
		})
	}
	return all.String()
}

// mendUpgrade puts right what an upgrade left that was cut off while it changed the
// files of the versions over.
func (s *Server) mendUpgrade() error {
	if _, err := os.Stat(s.before()); err != nil {
		return nil //nolint:nilerr // there was none
	}
	if s.Exists() {
		return os.RemoveAll(s.before())
	}
	return os.Rename(s.before(), s.data())
}

// runs reports whether a process is one of the engine's programs.
func (e *Engine) runs(pid int) bool {
	for _, i := range e.installed {
		if process.Runs(pid, i.bin) {
			return true
		}
	}
	return false
}
