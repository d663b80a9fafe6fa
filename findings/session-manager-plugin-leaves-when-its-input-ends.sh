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
dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
cd "$dir"
cat > plugin_test.go <<'GO'
package finding

import (
	"encoding/json"
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
