//go:build unix

package cli

import "syscall"

// background moves a child out of the session of this terminal, so that neither Ctrl-C nor
// the end of the terminal reaches it.
func background() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }
