//go:build unix

package container

import "syscall"

// openFiles is how many files a process of this machine may have open at most.
func openFiles() int64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fargateFiles
	}
	return int64(min(limit.Max, fargateFiles))
}
