// Package atomicfile writes files of the local cloud, which a crash must not leave half written.
package atomicfile

import "os"

// Write replaces the content of the file at path, whole or not at all. Its directory must exist.
// Only one writer may be at work on a path, while any number may read it.
func Write(path string, data []byte, perm os.FileMode) error {
	partial := path + ".new"
	if err := os.WriteFile(partial, data, perm); err != nil {
		return err
	}
	return os.Rename(partial, path)
}
