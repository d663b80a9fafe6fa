package cli

import "syscall"

// background moves a child out of the process group of this console, so that Ctrl-C does
// not reach it.
func background() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}
