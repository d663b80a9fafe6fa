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
dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
cd "$dir"
cat > plugin_test.go <<'GO'
package finding

import (
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/aws/session-manager-plugin/src/log"
	"github.com/aws/session-manager-plugin/src/message"
	"github.com/gorilla/websocket"
	"github.com/twinj/uuid"
)

// agent is the other end of the session: it asks for a kind of session and, once the plugin
// has agreed, does the rest.
func agent(t *testing.T, kind string, properties any, rest func(send func(kind string, payload message.PayloadType, body any))) *httptest.Server {
	logger := log.Logger(false, "agent")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		socket, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
		if err != nil {
			t.Error(err)
			return
		}
		defer socket.Close()
		sequence := int64(0)
		send := func(kind string, payload message.PayloadType, body any) {
			text, isText := body.([]byte)
			if !isText {
				text, _ = json.Marshal(body)
			}
			m := message.ClientMessage{MessageType: kind, SchemaVersion: 1, CreatedDate: uint64(time.Now().UnixMilli()),
				SequenceNumber: sequence, MessageId: uuid.NewV4(), PayloadType: uint32(payload), Payload: text}
			sequence++
			raw, err := m.SerializeClientMessage(logger)
			if err != nil {
				t.Error(err)
				return
			}
			_ = socket.WriteMessage(websocket.BinaryMessage, raw)
		}
		if _, _, err := socket.ReadMessage(); err != nil { // the token
			return
		}
		parameters, _ := json.Marshal(map[string]any{"SessionType": kind, "Properties": properties})
		send(message.OutputStreamMessage, message.HandshakeRequestPayloadType, message.HandshakeRequestPayload{AgentVersion: "3.1.1.0",
			RequestedClientActions: []message.RequestedClientAction{{ActionType: message.SessionType, ActionParameters: parameters}}})
		for {
			_, raw, err := socket.ReadMessage()
			if err != nil {
				return
			}
			var m message.ClientMessage
			if m.DeserializeClientMessage(logger, raw) == nil && m.PayloadType == uint32(message.HandshakeResponsePayloadType) {
				send(message.OutputStreamMessage, message.HandshakeCompletePayloadType, message.HandshakeCompletePayload{HandshakeTimeToComplete: time.Millisecond})
				rest(send)
			}
		}
	}))
	t.Cleanup(server.CloseClientConnections)
	return server
}

// plugin runs the plugin in the session.
func plugin(t *testing.T, server *httptest.Server, in *os.File) (output string, code int) {
	session, _ := json.Marshal(map[string]string{"SessionId": "someone-0123456789", "TokenValue": "token", "StreamUrl": "ws" + strings.TrimPrefix(server.URL, "http")})
	cmd := exec.Command("./plugin", string(session), "eu-west-1", "StartSession")
	cmd.Env = append(os.Environ(), "SSM_PLUGIN_SKIP_CLIENT_CONFIGURE=true", "TMPDIR="+t.TempDir())
	cmd.Stdin = in
	time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	out, _ := cmd.CombinedOutput()
	t.Logf("exit code %d: %q", cmd.ProcessState.ExitCode(), out)
	return string(out), cmd.ProcessState.ExitCode()
}

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
