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
)

// ErrNotInstalled is wrapped by the error of Open on a machine without
// PostgreSQL's server programs.
var ErrNotInstalled = errors.New("PostgreSQL is not installed")

// findBinaries is the directory of PostgreSQL's server programs: the one that
// pg_config names, PATH's, or the newest below a distribution's usual places.
// Distributions keep them off PATH, and pg_config may belong to a client
// package only.
func findBinaries(ctx context.Context) (string, error) {
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
			return "", fmt.Errorf("search %s: %w", pattern, err)
		}
		slices.SortFunc(found, func(a, b string) int { return majorOf(b) - majorOf(a) })
		candidates = append(candidates, found...)
	}
	for _, dir := range candidates {
		if complete(dir) {
			return dir, nil
		}
	}
	how := "apt-get install postgresql"
	if runtime.GOOS == "darwin" {
		how = "brew install postgresql"
	}
	return "", hint.With(ErrNotInstalled, "install it with '%s', or put its programs on PATH", how)
}

func complete(dir string) bool {
	for _, name := range []string{"postgres", "initdb", "pg_basebackup"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode()&0o111 == 0 {
			return false
		}
	}
	return true
}

// majorOf is the number in a versioned directory name, 0 without one.
func majorOf(dir string) int {
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
