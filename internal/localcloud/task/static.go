package task

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

// headSize is how much of a program is read to see what it needs: linkers put the
// table that says so at its beginning.
const headSize = 4096

// listensLabel is by which an image says that its program listens where PORT says,
// whatever that is, and needs no other file.
const listensLabel = "io.github.bookctl.listens-on-port"

// ListensOnPORT reports whether an image says of itself that it can run as a plain
// process, and its program is one that can.
func (r *Remote) ListensOnPORT() (bool, error) {
	entry := slices.Concat(r.Config.Entrypoint, r.Config.Cmd)
	if r.Config.Labels[listensLabel] != "true" || len(entry) == 0 {
		return false, nil
	}
	files := mutate.Extract(r.Image)
	defer func() { _ = files.Close() }() // only read
	for each := tar.NewReader(files); ; {
		header, err := each.Next()
		if errors.Is(err, io.EOF) {
			return false, readToEnd(files)
		}
		if err != nil {
			return false, err
		}
		if inside(header.Name) == inside(entry[0]) {
			head, err := io.ReadAll(io.LimitReader(each, headSize))
			return isStatic(head), err
		}
	}
}

// CheckStatic returns the reason why a container can't be a plain process here: its program
// needs files that this machine does not have in their places, or a script's interpreter of
// this machine would run it, uncontained.
func (s Spec) CheckStatic() error {
	args, err := arguments(s, environment(s, 0))
	if err != nil {
		return nil //nolint:nilerr // Start says that in its own words
	}
	file, err := os.Open(args[0])
	if err != nil {
		return nil //nolint:nilerr // likewise
	}
	defer func() { _ = file.Close() }() // only read
	head, err := io.ReadAll(io.LimitReader(file, headSize))
	if err == nil && !runsAlone(head, runtime.GOOS) {
		name, _ := strings.CutPrefix(args[0], s.Image.Root)
		return fmt.Errorf("%s is not a static program", name)
	}
	return err
}

// runsAlone reports whether a system runs a program, of which the beginning is given,
// without another one. No program of macOS is static, and bookctl builds those that it
// runs there from Go.
func runsAlone(head []byte, system string) bool {
	if system != "darwin" {
		return isStatic(head)
	}
	// https://github.com/apple-oss-distributions/xnu/blob/main/EXTERNAL_HEADERS/mach-o/loader.h:
	// MH_MAGIC_64; what Go builds is for one architecture.
	return bytes.HasPrefix(head, []byte("\xcf\xfa\xed\xfe"))
}

// isStatic reports whether a program, of which the beginning is given, is one that
// Linux runs without another: ELF, and no interpreter named
// (https://refspecs.linuxfoundation.org/elf/gabi4+/ch5.pheader.html).
func isStatic(head []byte) bool {
	const (
		fileHeader  = 64
		interpreter = 3
	)
	if len(head) < fileHeader || !bytes.HasPrefix(head, []byte("\x7fELF\x02\x01")) { // 64 bits, little-endian
		return false
	}
	offset, size, n := binary.LittleEndian.Uint64(head[32:]), uint64(binary.LittleEndian.Uint16(head[54:])), uint64(binary.LittleEndian.Uint16(head[56:]))
	for i := range n {
		at := offset + i*size
		if at+4 > uint64(len(head)) {
			return false
		}
		if binary.LittleEndian.Uint32(head[at:]) == interpreter {
			return false
		}
	}
	return n > 0
}
