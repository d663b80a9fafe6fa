#!/bin/sh
# A long secret that somebody pastes at a prompt, as a key file of one line, arrives cut
# off, without an error.
#
# Package:   golang.org/x/term v0.48.0 on Linux, with github.com/creack/pty v1.1.24 as terminal
# Expected:  ReadPassword returns the line, or an error.
# Behaviour: it turns the echo off and leaves the terminal in the mode in which the kernel
#            collects a line. A line has 4095 characters there; what follows is thrown away, up to
#            the line's end, which arrives. What's returned can't be told from a secret of
#            that length. The same text from a pipe is whole. A program has to
#            refuse what is so long, or to read the terminal in raw mode.
# Source:    readPassword in term_unix.go of that version (ICANON stays on); "Canonical and
#            noncanonical mode" in https://man7.org/linux/man-pages/man3/termios.3.html.
set -eu
[ "$(uname)" = Linux ] || { echo "it is about Linux's terminals"; exit 0; }
dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
cd "$dir"
export GOPATH="$dir/go" GOFLAGS='-mod=mod -trimpath' GOWORK=off CGO_ENABLED=0
cat > go.mod <<'MOD'
module finding

go 1.26
MOD
cat > main.go <<'GO'
package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/creack/pty"
	"golang.org/x/term"
)

// typed is what a program reads of a secret that somebody pastes.
func typed(secret string) string {
	user, program, err := pty.Open()
	if err != nil {
		panic(err)
	}
	before, err := term.GetState(int(program.Fd()))
	if err != nil {
		panic(err)
	}
	go func() {
		for { // until it asks, the terminal echoes
			if now, err := term.GetState(int(program.Fd())); err != nil || *now != *before {
				break
			}
			time.Sleep(time.Millisecond)
		}
		fmt.Fprintln(user, secret)
	}()
	read, err := term.ReadPassword(int(program.Fd()))
	if err != nil {
		panic(err)
	}
	return string(read)
}

func main() {
	short, long := strings.Repeat("x", 4095), strings.Repeat("x", 6000)
	a, b := len(typed(short)), len(typed(long))
	fmt.Printf("of %d characters it reads %d, and of %d it reads %d without an error\n", len(short), a, len(long), b)
	if a != 4095 || b != 4095 {
		fmt.Println("the behaviour has changed: 4095 of both were expected")
		os.Exit(1)
	}
}
GO
go get golang.org/x/term@v0.48.0 github.com/creack/pty@v1.1.24
go run .
# Seen: of 4095 characters it reads 4095, and of 6000 it reads 4095 without an error
