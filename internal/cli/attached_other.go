//go:build !linux

package cli

import "syscall"

// attached is a child in the background. Only Linux can tie its life to its parent's.
func attached() *syscall.SysProcAttr { return background() }
