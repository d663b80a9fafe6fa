package process

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// EndsWithCloud reports whether the kernel ends programs when the cloud dies.
const EndsWithCloud = true

func setDeathSignal(attr *syscall.SysProcAttr, sig syscall.Signal) { attr.Pdeathsig = sig }

// executable is the file that a process runs.
func executable(pid int) (string, error) {
	return os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
}

// userHz is the unit of the times in /proc/PID/stat; it is 100 on every
// architecture that Go runs on.
const userHz = 100

// CPUTime is the processor time that the process has used so far.
func (p *Process) CPUTime() (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID()))
	if err != nil {
		return 0, err
	}
	// The second field, the name in brackets, may itself hold blanks.
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	if len(fields) < 13 {
		return 0, fmt.Errorf("read processor time of process %d: unexpected format", p.PID())
	}
	user, err := strconv.ParseInt(fields[11], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read processor time of process %d: %w", p.PID(), err)
	}
	system, err := strconv.ParseInt(fields[12], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read processor time of process %d: %w", p.PID(), err)
	}
	return time.Duration(user+system) * time.Second / userHz, nil
}
