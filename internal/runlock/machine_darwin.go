package runlock

import "golang.org/x/sys/unix"

// machine identifies where a process number is valid: this boot of the machine, by a random
// identifier that the kernel makes for it. It is "" if that is not known, and then no holder
// counts as dead.
func machine() string {
	boot, err := unix.Sysctl("kern.bootsessionuuid")
	if err != nil {
		return ""
	}
	return boot
}
