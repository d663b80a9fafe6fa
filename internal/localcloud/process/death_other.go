//go:build !linux

package process

import (
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// EndsWithCloud reports whether the kernel ends programs when the cloud dies.
const EndsWithCloud = false

// Only Linux can tie a child's life to its parent's; elsewhere Reap does it at
// the next start.
func setDeathSignal(*syscall.SysProcAttr, syscall.Signal) {}

// executable is the file that a process runs.
func executable(pid int) (string, error) {
	out, err := exec.Command("ps", "-o", "comm=", "-p", strconv.Itoa(pid)).Output()
	if err != nil {
		return "", fmt.Errorf("find the program of process %d: %w", pid, err)
	}
	return strings.TrimSpace(string(out)), nil
}

// CPUTime is the processor time that the process has used so far.
func (p *Process) CPUTime() (time.Duration, error) {
	out, err := exec.Command("ps", "-o", "time=", "-p", strconv.Itoa(p.PID())).Output()
	if err != nil {
		return 0, fmt.Errorf("read processor time of process %d: %w", p.PID(), err)
	}
	var total float64 // [hours:]minutes:seconds
	for part := range strings.SplitSeq(strings.TrimSpace(string(out)), ":") {
		n, err := strconv.ParseFloat(part, 64)
		if err != nil {
			return 0, fmt.Errorf("read processor time of process %d: %w", p.PID(), err)
		}
		total = total*60 + n
	}
	return time.Duration(total * float64(time.Second)), nil
}
