// Package finding has an agent of Systems Manager and AWS's plugin meet, for the findings
// about that.
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
