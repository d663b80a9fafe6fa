package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Reap ends the process that a pid file names, and its group, if it still runs
// a program below dir; a process of another program has merely inherited the
// number. No file is no error. The file is removed.
func Reap(pidFile, dir string) error {
	text, err := os.ReadFile(pidFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read pid file: %w", err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err == nil && pid > 1 && Runs(pid, dir) {
		_ = Signal(-pid, syscall.SIGKILL) // ESRCH: it has just ended
		for range 500 {
			if !Alive(pid) || !Runs(pid, dir) {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	if err := os.Remove(pidFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove pid file: %w", err)
	}
	return nil
}

// Runs reports whether the process runs a program below dir.
func Runs(pid int, dir string) bool {
	program, err := executable(pid)
	if err != nil {
		return false
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	rel, err := filepath.Rel(dir, strings.TrimSuffix(program, " (deleted)"))
	return err == nil && filepath.IsLocal(rel)
}
