package cli

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// TestADumpThatIsNotOnTheDiskGetsNoName has the disk refuse the end of a file.
func TestADumpThatIsNotOnTheDiskGetsNoName(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "books.dump")
	file, err := os.Create(name + ".part")
	if err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil { // so that nothing more can be written
		t.Fatal(err)
	}
	if err := finishFile(file, name); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("it is completed with %v", err)
	}
	if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it has its name: %v", err)
	}
}
