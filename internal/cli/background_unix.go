//go:build unix

package cli

import "syscall"

// background takes a child out of this terminal's session, so that neither
// Ctrl-C nor the end of the terminal reaches it.
func background() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }
