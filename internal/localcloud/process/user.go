package process

import (
	"fmt"
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

// UserOf is the user with these ids when the cloud runs as root, and the cloud's
// own user otherwise.
func UserOf(uid, gid uint32) User {
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
