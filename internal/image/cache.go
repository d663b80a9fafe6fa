package image

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// cacheFile is the file of the cache for this source's program, or empty.
func (s Source) cacheFile() string {
	dir, err := filepath.Abs(s.Dir)
	if s.Cache == "" || err != nil {
		return ""
	}
	sum := sha256.Sum256([]byte(strings.Join([]string{dir, s.system(), s.Arch, s.Version, s.Package}, "\x00")))
	return filepath.Join(s.Cache, "program-"+hex.EncodeToString(sum[:8]))
}

// restoreProgram writes the program of the last build to path, where the go tool sees by its
// build id whether it is still current, and returns its checksum. An incomplete file is not
// restored, because the go tool would not notice.
func (s Source) restoreProgram(path string) (sum [sha256.Size]byte) {
	from, err := os.Open(s.cacheFile())
	if err != nil {
		return sum
	}
	defer func() { _ = from.Close() }() // only read
	if _, err := io.ReadFull(from, sum[:]); err != nil {
		return [sha256.Size]byte{}
	}
	to, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o755)
	if err != nil {
		return [sha256.Size]byte{}
	}
	hash := sha256.New()
	_, err = io.Copy(io.MultiWriter(to, hash), from)
	if err = errors.Join(err, to.Close()); err != nil || [sha256.Size]byte(hash.Sum(nil)) != sum {
		_ = os.Remove(path) // the go tool writes it
		return [sha256.Size]byte{}
	}
	return sum
}

// cacheProgram caches a program, unless its checksum is that of the cached one.
func (s Source) cacheProgram(path string, cached [sha256.Size]byte) error {
	program, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = program.Close() }() // only read
	hash := sha256.New()
	if _, err := io.Copy(hash, program); err != nil {
		return err
	}
	if [sha256.Size]byte(hash.Sum(nil)) == cached {
		return nil
	}
	if _, err := program.Seek(0, io.SeekStart); err != nil {
		return err
	}
	writeCached(s.cacheFile(), "program-*", func(to io.Writer) error {
		_, err := io.Copy(to, program)
		return err
	})
	return nil
}

// openCached opens what writeCached wrote, and returns its checksum. It is not ok if it is not
// there, or incomplete.
func openCached(path string) (content *io.SectionReader, sum [sha256.Size]byte, ok bool) {
	file, err := os.Open(path)
	if err != nil {
		return nil, sum, false
	}
	info, err := file.Stat()
	if err == nil {
		_, err = io.ReadFull(file, sum[:])
	}
	hash := sha256.New()
	if err == nil {
		_, err = io.Copy(hash, file)
	}
	if err != nil || [sha256.Size]byte(hash.Sum(nil)) != sum {
		_ = file.Close() // only read
		return nil, sum, false
	}
	return io.NewSectionReader(file, sha256.Size, info.Size()-sha256.Size), sum, true
}

// writeCached has the content of a file written, puts its checksum before it, and removes all but
// the newest files that match the pattern. An error is not reported: it only makes the next build
// slower.
func writeCached(path, pattern string, write func(to io.Writer) error) {
	if path == "" || os.MkdirAll(filepath.Dir(path), 0o755) != nil {
		return
	}
	partial, err := os.CreateTemp(filepath.Dir(path), "partial-")
	if err != nil {
		return
	}
	hash := sha256.New()
	_, err = partial.Seek(sha256.Size, io.SeekStart)
	if err == nil {
		err = write(io.MultiWriter(partial, hash))
	}
	if err == nil {
		_, err = partial.WriteAt(hash.Sum(nil), 0)
	}
	if errors.Join(err, partial.Close()) != nil || os.Rename(partial.Name(), path) != nil {
		_ = os.Remove(partial.Name()) // a rest is no harm
	}
	pruneCache(filepath.Dir(path), pattern, maxCached)
}

// maxCached is how many programs, and how many of their layers, a cache holds.
const maxCached = 8

// pruneCache removes all but the newest files that match the pattern. A run that reads one has
// it open, or makes it again.
func pruneCache(dir, pattern string, most int) {
	names, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		return
	}
	age := func(name string) time.Duration {
		info, err := os.Stat(name)
		if err != nil {
			return 0 // another run was first
		}
		return time.Since(info.ModTime())
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Compare(age(a), age(b)) })
	for _, name := range names[min(most, len(names)):] {
		_ = os.Remove(name) // it stays then
	}
}
