package cli

import (
	"strings"
	"testing"
)

// TestEachSystemsTerminalIsUsedAsItCan asks on that of macOS with its limit, and clears none of
// Windows.
func TestEachSystemsTerminalIsUsedAsItCan(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		system, terminal string
		limit, clears    bool
	}{
		{"linux", "xterm", false, true},
		{"linux", "dumb", false, false},
		{"darwin", "xterm-256color", true, true},
		{"windows", "", false, false},
	} {
		if asked := asking("KEY", c.system); strings.Contains(asked, "--from-file") != c.limit {
			t.Errorf("%s is asked %q", c.system, asked)
		}
		if got := clearable(c.terminal, c.system); got != c.clears {
			t.Errorf("the terminal %q of %s is cleared: %t", c.terminal, c.system, got)
		}
	}
}
