#!/bin/sh
# A test in synctest's bubble of what goes by the time in an id, as "rows older than a day", passes
# alone, and fails after another test, or the second time.
#
# Package:   github.com/google/uuid v1.6.0 (NewV7), testing/synctest of Go 1.26
# Expected:  in a bubble the time begins at the start of the year 2000 and moves by Sleep, and
#            so does what is made of it.
# Behaviour: the package remembers the last time that it used, for the whole program, and does not go back:
#            if the clock is earlier, the next id has that time and a four-thousandth of a
#            millisecond more. A bubble's clock is 26 years behind the one outside, and the
#            second bubble begins where the first one began. So an id that any test made
#            before stops the time of those inside: two that are made a day apart are a
#            quarter of a microsecond apart. Nothing resets it. So it is with a clock
#            that's set back. A test can put the milliseconds of time.Now, the first six
#            bytes, into its ids itself.
# Source:    getV7Time in version7.go of that version; https://pkg.go.dev/testing/synctest#Test
set -eu
dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
cd "$dir"
export GOPATH="$dir/go" GOFLAGS='-mod=mod -trimpath' GOWORK=off CGO_ENABLED=0
cat > go.mod <<'MOD'
module finding

go 1.26
MOD
cat > finding_test.go <<'GO'
package finding

import (
	"encoding/binary"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
)

// made is the time in an id.
func made(id uuid.UUID) time.Time {
	return time.UnixMilli(int64(binary.BigEndian.Uint64(id[:8]) >> 16)).UTC()
}

func newID(t *testing.T) uuid.UUID {
	id, err := uuid.NewV7()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// inBubble says how far apart the ids of two days are, and whether the first is of the year 2000.
func inBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := newID(t)
		time.Sleep(24 * time.Hour)
		second := newID(t)
		fmt.Printf("%s: %s apart, begins with the bubble: %t\n", t.Name(), made(second).Sub(made(first)), made(first).Equal(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)))
	})
}

func TestAlone(t *testing.T) { inBubble(t) }

func TestAgain(t *testing.T) { inBubble(t) }

func TestOutside(t *testing.T) { newID(t) }

func TestLast(t *testing.T) { inBubble(t) }
GO
go get github.com/google/uuid@v1.6.0
go test -vet=off -c -o try .
{
  ./try -test.run 'Alone|Again'
  echo "and after a test outside:"
  ./try -test.run 'Outside|Last'
} | grep -v PASS | tee seen
diff seen - <<'WANT'
TestAlone: 24h0m0s apart, begins with the bubble: true
TestAgain: 0s apart, begins with the bubble: false
and after a test outside:
TestLast: 0s apart, begins with the bubble: false
WANT
# Seen: the four lines above
