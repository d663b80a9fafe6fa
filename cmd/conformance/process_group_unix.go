//go:build !windows

package main

import "syscall"

// ownProcessGroup puts a program into a process group of its own.
func ownProcessGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
