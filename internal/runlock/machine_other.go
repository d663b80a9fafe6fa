//go:build !darwin

package runlock

import (
	"bytes"
	"os"
)

// machine identifies where a process number is valid: this boot of the machine, and
// the container in it. It is "" if that is not known, and then no holder counts as
// dead.
func machine() string {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	space, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return ""
	}
	return string(bytes.TrimSpace(boot)) + " " + space
}
