#!/bin/sh
# Server-sent events work in each test, which has an event every second. In use a stream that is
# quiet for a while is cut off: at its end, and over HTTP/2 at once.
#
# Package:   github.com/danielgtaylor/huma/v2 v2.37.2, package sse, on Go 1.26
# Expected:  its WriteTimeout of 5 s limits a write; a stream with nothing to write stays, and
#            ends when its function returns.
# Behaviour: each send sets a deadline, and nothing takes it back. If the function returns more than
#            5 s after its last event, as when the service stops, the chunk that ends
#            the answer can't be written: to the client, or the load balancer, it's broken
#            off. Over HTTP/2, as a load balancer speaks it to a target group of that
#            version, the deadline is a timer that resets the stream by itself: no event
#            after a pause of 5 s arrives. There is no way to send a comment, with which
#            streams are kept alive. sse.WriteTimeout is a variable: a day helps.
# Source:    Register in sse/sse.go of that version; onWriteTimeout in Go's HTTP/2 server;
#            https://pkg.go.dev/net/http#ResponseController.SetWriteDeadline
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
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/danielgtaylor/huma/v2/sse"
)

type pauses struct {
	Before time.Duration `query:"before"` // the second event, in nanoseconds
	End    time.Duration `query:"end"`
}

type event struct{ N int }

// stream is what a client gets of two events with these pauses.
func stream(p pauses, http2 bool) string {
	mux := http.NewServeMux()
	api := humago.New(mux, huma.DefaultConfig("events", "1"))
	operation := huma.Operation{OperationID: "events", Method: http.MethodGet, Path: "/events"}
	sse.Register(api, operation, map[string]any{"message": event{}}, func(_ context.Context, in *pauses, send sse.Sender) {
		send.Data(event{1})
		time.Sleep(in.Before)
		send.Data(event{2})
		time.Sleep(in.End)
	})
	server := httptest.NewUnstartedServer(mux)
	if server.EnableHTTP2 = http2; http2 {
		server.StartTLS()
	} else {
		server.Start()
	}
	defer server.Close()
	answer, err := server.Client().Get(fmt.Sprintf("%s/events?before=%d&end=%d", server.URL, p.Before, p.End))
	if err != nil {
		panic(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	end := "whole"
	if err != nil {
		end = strings.ReplaceAll(err.Error(), "stream ID 1; ", "")
	}
	return fmt.Sprintf("%s: %d events, %s", answer.Proto, strings.Count(string(body), "data:"), end)
}

func main() {
	cases := []struct {
		name   string
		pauses pauses
	}{
		{"1 s, 1 s", pauses{time.Second, time.Second}},
		{"1 s, 6 s", pauses{time.Second, 6 * time.Second}},
		{"6 s, 1 s", pauses{6 * time.Second, time.Second}},
	}
	said := make([]string, 2*len(cases))
	var all sync.WaitGroup
	for i := range said {
		all.Go(func() { said[i] = cases[i/2].name + ", " + stream(cases[i/2].pauses, i%2 == 1) })
	}
	all.Wait()
	fmt.Println(strings.Join(said, "\n"))
}
GO
go get github.com/danielgtaylor/huma/v2@v2.37.2
go run . 2>log | tee seen
diff seen - <<'WANT'
1 s, 1 s, HTTP/1.1: 2 events, whole
1 s, 1 s, HTTP/2.0: 2 events, whole
1 s, 6 s, HTTP/1.1: 2 events, unexpected EOF
1 s, 6 s, HTTP/2.0: 2 events, stream error: INTERNAL_ERROR; received from peer
6 s, 1 s, HTTP/1.1: 2 events, whole
6 s, 1 s, HTTP/2.0: 1 events, stream error: INTERNAL_ERROR; received from peer
WANT
# Seen: the six lines above
