#!/bin/sh
# AWS's Session Manager plugin exits with 0 when it could not do what it was started for.
#
# Package:   github.com/aws/session-manager-plugin, commit b79d06c1d3a2 of April 2026
# Expected:  a program that opens a tunnel exits with an error if it can't, and a shell
#            session ends with the code of its command, as ssh does both.
# Behaviour: the port to listen on is taken, the plugin says "Cannot perform start session"
#            on standard output, among its other lines, and exits with 0. A session that the
#            agent closes, whatever it says of the command, ends with 0 too. So a script
#            can't tell by the code that a command in a container (aws ecs execute-command)
#            or a tunnel to a database failed, and must read the text or try the port.
# Source:    ValidateInputAndStartSession (returns after it has printed the error) and the
#            Stop functions (os.Exit(0)) in src/sessionmanagerplugin/session of that commit.
# Seen:      exit code 0: "…Cannot perform start session: listen tcp 127.0.0.1:39899: bind:
#            address already in use" and exit code 0: "…the command ended with 3"
set -eu
here=$(cd "$(dirname "$0")" && pwd)
dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
cd "$dir"
cp "$here/testdata/session_manager_test.go" .
cat > plugin_test.go <<'GO'
package finding

import (
	"net"
	"os"
	"strings"
	"testing"

	"github.com/aws/session-manager-plugin/src/message"
)

func TestPortThatIsTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	server := agent(t, "Port", map[string]string{"portNumber": "5432", "localPortNumber": port, "type": "LocalPortForwarding"}, func(func(string, message.PayloadType, any)) {})
	held, hold, _ := os.Pipe()
	defer hold.Close()
	out, code := plugin(t, server, held)
	if !strings.Contains(out, "address already in use") || code != 0 {
		t.Fatal("the behaviour has changed: exit code 0 was expected of a port that is taken")
	}
}

func TestClosed(t *testing.T) {
	closed := func(send func(string, message.PayloadType, any)) {
		send(message.ChannelClosedMessage, 0, message.ChannelClosed{MessageType: message.ChannelClosedMessage, SessionId: "someone-0123456789", Output: "the command ended with 3"})
	}
	held, hold, _ := os.Pipe()
	defer hold.Close()
	out, code := plugin(t, agent(t, "Standard_Stream", nil, closed), held)
	if !strings.Contains(out, "the command ended with 3") || code != 0 {
		t.Fatal("the behaviour has changed: exit code 0 was expected of a command that failed")
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
