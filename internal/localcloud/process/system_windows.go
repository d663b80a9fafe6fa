package process

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// errWindows is all that the local cloud does on Windows, which has neither
// process groups nor users to drop to. What talks to AWS works there.
var errWindows = errors.New("the local cloud needs Linux or macOS: on Windows run bookctl in WSL, or against AWS without --local")

func attributes(User) *syscall.SysProcAttr { return &syscall.SysProcAttr{} }

// Signal does not exist on Windows.
func Signal(int, syscall.Signal) error { return errWindows }

func owner(fs.FileInfo) (uid, gid uint32, ok bool) { return 0, 0, false }

// Lock refuses the local cloud before anything is started.
func Lock(*os.File) (bool, error) { return false, errWindows }

// Unlock has nothing to give up.
func Unlock(*os.File) {}
