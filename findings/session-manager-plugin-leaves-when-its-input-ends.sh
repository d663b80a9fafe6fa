#!/bin/sh
# AWS's Session Manager plugin leaves a session when its standard input ends, before the
# command has said anything.
#
# Package:   github.com/aws/session-manager-plugin, commit b79d06c1d3a2 of April 2026
# Expected:  at the end of input it goes on printing, until the session is closed, as ssh
#            does: a command started by cron or CI has /dev/null there, or an empty pipe.
# Behaviour: with /dev/null the plugin prints "Cannot perform start session: EOF" as soon as
#            the session is up, and exits with 0. What the command prints a second later is
#            lost, and nothing ends the command. With a pipe that nobody writes to, and that
#            stays open, the same session is printed to its end.
# Source:    handleKeyboardInput in shellsession_unix.go of that commit: an error of the
#            read ends StartSession.
# Seen:      with /dev/null: "…Cannot perform start session: EOF"
#            with a pipe that stays open: "…a late line …"
set -eu
here=$(cd "$(dirname "$0")" && pwd)
dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
cd "$dir"
cp "$here/testdata/session_manager_test.go" .
cat > plugin_test.go <<'GO'
package finding

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/session-manager-plugin/src/message"
)

func TestInput(t *testing.T) {
	late := func(send func(string, message.PayloadType, any)) {
		time.Sleep(time.Second)
		send(message.OutputStreamMessage, message.Output, []byte("a late line\n"))
		send(message.ChannelClosedMessage, 0, message.ChannelClosed{MessageType: message.ChannelClosedMessage, SessionId: "someone-0123456789"})
	}
	none, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer none.Close()
	held, hold, _ := os.Pipe()
	defer hold.Close()
	lost, _ := plugin(t, agent(t, "Standard_Stream", nil, late), none)
	whole, _ := plugin(t, agent(t, "Standard_Stream", nil, late), held)
	if !strings.Contains(lost, "EOF") || strings.Contains(lost, "a late line") || !strings.Contains(whole, "a late line") {
		t.Fatal("the behaviour has changed: the line was expected with the open pipe only")
	}
}
GO
export GOPATH="$dir/go" GOFLAGS='-mod=mod -trimpath' GOWORK=off CGO_ENABLED=0
cat > go.mod <<'MOD'
module finding

go 1.26
MOD
version=v0.0.0-20260401221635-b79d06c1d3a2
go get github.com/aws/session-manager-plugin/src/sessionmanagerplugin-main@$version github.com/twinj/uuid@v0.0.0-20151029044442-89173bcdda19 \
  github.com/gorilla/websocket@v1.5.3 github.com/xtaci/smux@v1.5.58 github.com/aws/aws-sdk-go-v2/service/ssm@v1.83.0
go build -o plugin github.com/aws/session-manager-plugin/src/sessionmanagerplugin-main
go test -vet=off -v .
