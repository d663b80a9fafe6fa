package kill_test

import (
	"os"
	"runtime/debug"
	"testing"
)

// TestMain lets some more garbage gather than a program would: thousands of runs make it,
// and collecting it took a quarter of their time.
func TestMain(m *testing.M) {
	debug.SetGCPercent(400)
	os.Exit(m.Run())
}
