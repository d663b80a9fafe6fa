package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/pattern"
)

// ErrNotInstalled is wrapped by the error of Open on a machine without
// PostgreSQL's server programs.
var ErrNotInstalled = errors.New("PostgreSQL is not installed")

// installation is where the server programs of one version are.
type installation struct {
	bin     string
	version string // such as "17.6"
}

func (i installation) major() string { return majorOf(i.version) }

func (i installation) has(programs ...string) bool {
	for _, name := range programs {
		if info, err := os.Stat(filepath.Join(i.bin, name)); err != nil || info.Mode()&0o111 == 0 {
			return false
		}
	}
	return true
}

// upgrades reports whether pg_upgrade of this version can move a server of the other
// one to it.
func (i installation) upgrades(from installation) bool {
	return newer(i.major(), from.major()) && i.has("pg_upgrade", "pg_ctl", "pg_dump", "pg_dumpall", "pg_restore", "psql", "vacuumdb", "pg_controldata", "pg_resetwal") &&
		from.has("pg_ctl", "pg_controldata", "pg_resetwal")
}

// newer reports whether a major version is above another.
func newer(x, y string) bool {
	return len(x) > len(y) || len(x) == len(y) && x > y
}

// majorOf is the major version of a version.
func majorOf(version string) string {
	major, _, _ := strings.Cut(version, ".")
	return major
}

var versionPattern = pattern.New(`\d+(\.\d+)*`)

// findInstallations are PostgreSQL's server programs, one installation for each major
// version. The first is the one that pg_config names, PATH's, or the newest below a
// distribution's usual places. Distributions keep them off PATH, and pg_config may
// belong to a client package only. More are further directories of programs.
func findInstallations(ctx context.Context, more []string) ([]installation, error) {
	dirs, err := usualPlaces(ctx)
	if err != nil {
		return nil, err
	}
	var found []installation
	for at, dir := range append(dirs, more...) {
		i := installation{bin: dir}
		if !i.has("postgres", "initdb", "pg_basebackup") {
			if at >= len(dirs) {
				return nil, fmt.Errorf("%s does not have postgres, initdb and pg_basebackup", dir)
			}
			continue
		}
		out, err := exec.CommandContext(ctx, filepath.Join(dir, "postgres"), "--version").Output()
		if err != nil {
			return nil, fmt.Errorf("ask PostgreSQL in %s for its version: %w", dir, err)
		}
		i.version = versionPattern.FindString(string(out))
		if !slices.ContainsFunc(found, func(other installation) bool { return other.major() == i.major() }) {
			found = append(found, i)
		}
	}
	if found != nil {
		return found, nil
	}
	how := "apt-get install postgresql"
	if runtime.GOOS == "darwin" {
		how = "brew install postgresql"
	}
	return nil, hint.With(ErrNotInstalled, "install it with '%s', or put its programs on PATH", how)
}

// usualPlaces are the directories where PostgreSQL's programs may be, best first.
func usualPlaces(ctx context.Context) ([]string, error) {
	var candidates []string
	if out, err := exec.CommandContext(ctx, "pg_config", "--bindir").Output(); err == nil {
		candidates = append(candidates, strings.TrimSpace(string(out)))
	}
	if path, err := exec.LookPath("postgres"); err == nil {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			path = real
		}
		candidates = append(candidates, filepath.Dir(path))
	}
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/local/pgsql*/bin",
		"/opt/homebrew/opt/postgresql*/bin", "/usr/local/opt/postgresql*/bin",
	} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return nil, fmt.Errorf("search %s: %w", pattern, err)
		}
		slices.SortFunc(found, func(a, b string) int { return numberIn(b) - numberIn(a) })
		candidates = append(candidates, found...)
	}
	return candidates, nil
}

// numberIn is the number in a versioned directory name, 0 without one.
func numberIn(dir string) int {
	digits := strings.FieldsFunc(dir, func(r rune) bool { return r < '0' || r > '9' })
	if len(digits) == 0 {
		return 0
	}
	n, err := strconv.Atoi(digits[0])
	if err != nil {
		return 0
	}
	return n
}
