package process

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/bookctl/bookctl/internal/localcloud/atomicfile"
)

// systemDataRoot holds the data of clouds whose own state directory other users
// can't enter.
const systemDataRoot = "/var/lib/bookctl"

// originFile says in a directory of systemDataRoot which state directory it is of.
const originFile = "origin"

// DataDir is where files for the user's programs go: below stateDir if the user
// can enter it, and otherwise (a root whose home is closed to others)
// SystemDataDir. It is made if missing.
func DataDir(stateDir string, u User) (string, error) {
	abs, err := filepath.Abs(stateDir)
	if err != nil {
		return "", fmt.Errorf("resolve state directory: %w", err)
	}
	if u.canEnter(abs) {
		if err := os.MkdirAll(abs, 0o755); err != nil {
			return "", fmt.Errorf("make data directory: %w", err)
		}
		return abs, nil
	}
	dir, err := SystemDataDir(abs)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("make data directory: %w", err)
	}
	if err := noteOrigin(filepath.Join(dir, originFile), abs); err != nil {
		return "", fmt.Errorf("note what the data directory is of: %w", err)
	}
	return dir, nil
}

// noteOrigin writes the file once, and whole: another cloud that reads it meanwhile would take
// a part of the path for a directory that is gone, and delete the data.
func noteOrigin(file, stateDir string) error {
	if of, err := os.ReadFile(file); err == nil && string(of) == stateDir {
		return nil
	}
	return atomicfile.Write(file, []byte(stateDir), 0o600)
}

// SystemDataDir is the directory of the system that is used in place of a state directory
// which other users can't enter: it is named by a hash of that. It need not exist.
func SystemDataDir(stateDir string) (string, error) {
	abs, err := filepath.Abs(stateDir)
	if err != nil {
		return "", fmt.Errorf("resolve state directory: %w", err)
	}
	sum := sha256.Sum256([]byte(abs))
	return filepath.Join(systemDataRoot, hex.EncodeToString(sum[:6])), nil
}

// OrphanedDataDirs are the directories that DataDir made apart from state directories which
// somebody has removed. One of which the directory above is gone as well may only
// be on a disk that is not mounted now.
func OrphanedDataDirs() ([]string, error) {
	origins, err := filepath.Glob(filepath.Join(systemDataRoot, "*", originFile))
	if err != nil {
		return nil, err
	}
	var out []string
	for _, file := range origins {
		of, err := os.ReadFile(file)
		if err != nil || !filepath.IsAbs(string(of)) {
			continue // gone meanwhile, another user's, or empty
		}
		_, gone := os.Stat(string(of))
		_, above := os.Stat(filepath.Dir(string(of)))
		if errors.Is(gone, fs.ErrNotExist) && above == nil {
			out = append(out, filepath.Dir(file))
		}
	}
	return out, nil
}
