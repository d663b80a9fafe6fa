package cli

import "syscall"

// background takes a child out of this console's process group, so that
// Ctrl-C does not reach it.
func background() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{CreationFlags: syscall.CREATE_NEW_PROCESS_GROUP}
}
