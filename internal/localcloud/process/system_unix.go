//go:build unix

package process

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// attributes start a program as the user, in a process group of its own.
func attributes(u User) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true}
	if u.Drop {
		attr.Credential = &syscall.Credential{Uid: u.UID, Gid: u.GID}
	}
	return attr
}

// Signal sends a signal to a process by its id, or to the group of that id if
// it is negative. The error is syscall.ESRCH if there is none.
func Signal(pid int, sig syscall.Signal) error { return syscall.Kill(pid, sig) }

// owner is the user and group of a file.
func owner(info fs.FileInfo) (uid, gid uint32, ok bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, false
	}
	return stat.Uid, stat.Gid, true
}

// Lock makes sure of being the only process that holds an open file, and says
// whether it could. The kernel gives the lock up with the process.
func Lock(f *os.File) (bool, error) {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}

// Unlock gives the lock up. Closing is not enough: a program that another
// goroutine is just starting has a copy of the file until it execs.
func Unlock(f *os.File) { _ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN) } // the close after it does, if late
