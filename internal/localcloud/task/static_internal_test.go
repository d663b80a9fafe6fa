package task

import "testing"

// TestOnlyWhatNeedsNothingElseRunsAsAPlainProcess has the beginnings of files that an image
// may have as its program. On macOS, a script would run with the interpreter of that machine.
func TestOnlyWhatNeedsNothingElseRunsAsAPlainProcess(t *testing.T) {
	t.Parallel()
	static := make([]byte, headSize)
	copy(static, "\x7fELF\x02\x01")
	static[32], static[54], static[56] = 64, 56, 1 // one program header, behind the file's
	static[64] = 1                                 // PT_LOAD
	for _, c := range []struct {
		name, system string
		head         []byte
		want         bool
	}{
		{"a script", "linux", []byte("#!/bin/sh\n"), false},
		{"a script", "darwin", []byte("#!/bin/sh\nrm -rf data\n"), false},
		{"a shell's commands without an interpreter", "darwin", []byte("rm -rf data\n"), false},
		{"an empty file", "darwin", nil, false},
		{"a static program of Linux", "linux", static, true},
		{"a program of Linux", "darwin", static, false},
		{"a program of macOS", "darwin", []byte("\xcf\xfa\xed\xfe\x0c\x00\x00\x01"), true},
		{"a program of macOS", "linux", []byte("\xcf\xfa\xed\xfe\x0c\x00\x00\x01"), false},
	} {
		if got := runsAlone(c.head, c.system); got != c.want {
			t.Errorf("%s on %s runs without another program: %v, want %v", c.name, c.system, got, c.want)
		}
	}
}
