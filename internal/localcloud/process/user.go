package process

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
)

// User is who a program runs as. The zero value is the user of the cloud.
type User struct {
	// Name is for messages and for PostgreSQL's ident map.
	Name string
	// UID and GID are used only when Drop is set.
	UID, GID uint32
	// Drop reports whether the cloud is root and the program must not be.
	Drop bool
}

// Unprivileged is the first of the named users that exists, when the cloud runs
// as root, and the cloud's own user otherwise. It fails when it runs as root
// and none of them exists.
func Unprivileged(names ...string) (User, error) {
	if os.Geteuid() != 0 {
		self, err := user.Current()
		if err != nil {
			return User{}, fmt.Errorf("find the current user: %w", err)
		}
		return User{Name: self.Username}, nil
	}
	for _, name := range names {
		found, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(found.Uid, 10, 32)
		if err != nil {
			continue
		}
		gid, err := strconv.ParseUint(found.Gid, 10, 32)
		if err != nil || uid == 0 {
			continue
		}
		return User{Name: name, UID: uint32(uid), GID: uint32(gid), Drop: true}, nil
	}
	return User{}, fmt.Errorf("running as root, and none of the users %v exists to drop to", names)
}

// Numeric is the user of these ids when the cloud runs as root, and the cloud's
// own user otherwise.
func Numeric(uid, gid uint32) User {
	return User{Name: strconv.FormatUint(uint64(uid), 10), UID: uid, GID: gid, Drop: os.Geteuid() == 0}
}

// Own gives path to the user. It does nothing unless Drop is set.
func (u User) Own(path string) error {
	if !u.Drop {
		return nil
	}
	return os.Lchown(path, int(u.UID), int(u.GID))
}

// Mkdir makes a directory, and the missing ones above it, that belongs to the
// user.
func (u User) Mkdir(path string, perm os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.Mkdir(path, perm); err != nil && !os.IsExist(err) {
		return err
	}
	return u.Own(path)
}

// systemHome holds the data of clouds whose own state directory other users
// can't enter.
const systemHome = "/var/lib/bookctl"

// originFile says in a directory of systemHome which state directory it is of.
const originFile = "origin"

// Home is where files for the user's programs go: below stateDir if the user
// can enter it, and otherwise (a root whose home is closed to others) Apart. It
// is made if missing.
func Home(stateDir string, u User) (string, error) {
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
	dir, err := Apart(abs)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("make data directory: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, originFile), []byte(abs), 0o600); err != nil {
		return "", fmt.Errorf("note what the data directory is of: %w", err)
	}
	return dir, nil
}

// Apart is the directory of the system's that stands in for a state directory
// which other users can't enter: it is named by a hash of that. It need not exist.
func Apart(stateDir string) (string, error) {
	abs, err := filepath.Abs(stateDir)
	if err != nil {
		return "", fmt.Errorf("resolve state directory: %w", err)
	}
	sum := sha256.Sum256([]byte(abs))
	return filepath.Join(systemHome, hex.EncodeToString(sum[:6])), nil
}

// Orphans are the directories that Home made apart from state directories which
// somebody has removed. One of which the directory above is gone as well may only
// be on a disk that is not mounted now.
func Orphans() ([]string, error) {
	origins, err := filepath.Glob(filepath.Join(systemHome, "*", originFile))
	if err != nil {
		return nil, err
	}
	var out []string
	for _, file := range origins {
		of, err := os.ReadFile(file)
		if err != nil {
			continue // gone meanwhile, or another user's
		}
		_, gone := os.Stat(string(of))
		_, above := os.Stat(filepath.Dir(string(of)))
		if errors.Is(gone, fs.ErrNotExist) && above == nil {
			out = append(out, filepath.Dir(file))
		}
	}
	return out, nil
}

// canEnter reports whether the user may pass through every directory of path.
func (u User) canEnter(path string) bool {
	if !u.Drop {
		return true
	}
	for dir := path; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			return false
		}
		uid, gid, ok := owner(info)
		if !ok {
			return false
		}
		switch mode := info.Mode().Perm(); {
		case uid == u.UID:
			if mode&0o100 == 0 {
				return false
			}
		case gid == u.GID:
			if mode&0o010 == 0 {
				return false
			}
		case mode&0o001 == 0:
			return false
		}
		if dir == filepath.Dir(dir) {
			return true
		}
	}
}
