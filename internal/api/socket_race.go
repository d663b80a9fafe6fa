//go:build linux && race

package api

import (
	"runtime"
	"unsafe"
)

// What package syscall tells the race detector of a read and a write, which raw
// system calls don't: what they touch, and that one comes after the other.

func raceRead(p []byte) {
	if len(p) > 0 {
		runtime.RaceWriteRange(unsafe.Pointer(&p[0]), len(p)) //nolint:gosec // it takes no slice
	}
	runtime.RaceAcquire(unsafe.Pointer(&ioSync)) //nolint:gosec // only its address counts
}

func raceWrite(p []byte) {
	runtime.RaceReleaseMerge(unsafe.Pointer(&ioSync)) //nolint:gosec // only its address counts
	if len(p) > 0 {
		runtime.RaceReadRange(unsafe.Pointer(&p[0]), len(p)) //nolint:gosec // it takes no slice
	}
}

var ioSync int64
