#!/bin/sh
# A job answers two questions of a program by a pipe, with a name and "n". The second answer is not
# read, and what the question was about is done.
#
# Package:   charm.land/huh/v2 v2.0.3 in its accessible mode, which TERM=dumb turns on, as in CI
# Expected:  each question reads a line; at the end of the input Run returns an error.
# Behaviour: each field has a bufio.Scanner of its own on the same input. In a terminal a read
#            gives a line; from a pipe the first scanner takes all there is, and what it
#            hasn't used is gone with it. The next fields find the end, which is no error: they
#            keep their values, as the true of a question that is "yes unless you say no",
#            without their Validate. The last line is taken even if Validate
#            refuses it. Run returns nil in each case. Who takes answers so has to check
#            the values himself, and to give the form an input with one line per Read.
# Source:    PromptString in internal/accessibility/accessibility.go and runAccessible in form.go
#            of that version
set -eu
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
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing/iotest"

	"charm.land/huh/v2"
)

// asked is what a program knows after its two questions.
func asked(input io.Reader) string {
	name, remove := "", true
	err := huh.NewForm(huh.NewGroup(
		huh.NewInput().Title("Name of the copy?").Value(&name).Validate(func(s string) error {
			if len(s) < 3 {
				return errors.New("three letters, please")
			}
			return nil
		}),
		huh.NewConfirm().Title("Delete the original?").Value(&remove),
	)).WithInput(input).WithOutput(io.Discard).Run()
	return fmt.Sprintf("name %q, delete %t, error %v", name, remove, err)
}

func main() {
	os.Setenv("TERM", "dumb")
	fmt.Println("a pipe:         ", asked(strings.NewReader("books\nn\n")))
	fmt.Println("a byte per read:", asked(iotest.OneByteReader(strings.NewReader("books\nn\n"))))
	fmt.Println("nothing:        ", asked(strings.NewReader("")))
	fmt.Println("not valid:      ", asked(strings.NewReader("b\n")))
}
GO
go get charm.land/huh/v2@v2.0.3
go run . | tee seen
diff seen - <<'WANT'
a pipe:          name "books", delete true, error <nil>
a byte per read: name "books", delete false, error <nil>
nothing:         name "", delete true, error <nil>
not valid:       name "b", delete true, error <nil>
WANT
# Seen: the four lines above
