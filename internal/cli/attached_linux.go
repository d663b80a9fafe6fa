package cli

import "syscall"

// attached is a child in the background that the kernel interrupts when the thread that
// started it ends: with this process, however that ends.
func attached() *syscall.SysProcAttr {
	child := background()
	child.Pdeathsig = syscall.SIGINT
	return child
}
