#!/bin/sh
# A browser loses its connection in a deployment and comes to a new replica with the id of the last
# event that it has seen. The replica holds the three after it, and sends none of them.
#
# Package:   github.com/tmaxmax/go-sse v0.12.0, of November 2026, ValidReplayer
# Expected:  Last-Event-ID gives what came after that event, or, where the server doesn't know it,
#            all that it holds: rather an event twice than none.
# Behaviour: the replayer looks for that event itself. A replica that was started after it, or one
#            where it has expired, does not find it, and replays nothing, though all that it
#            holds is newer. The next event brings an id of its own, so that the gap stays,
#            and nobody notices. Ids that the replayer gives (autoIDs) count from 0 in each
#            process: another replica takes them for those of other events, and
#            replays a part. A replica has to fill its replayer from where the events come from
#            before it takes connections, and to give ids that all replicas share.
# Source:    findIDInQueue in replay.go of that version (FiniteReplayer has it, too);
#            https://html.spec.whatwg.org/multipage/server-sent-events.html#the-last-event-id-header
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
	"bufio"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/tmaxmax/go-sse"
)

func check(err error) {
	if err != nil {
		panic(err)
	}
}

// seen is what a client sees, up to event 9, that has seen event 5 on a replica which was
// started with event 1, and comes back to one that was started with another.
func seen(started int, autoIDs bool) string {
	replayer, err := sse.NewValidReplayer(time.Hour, autoIDs)
	check(err)
	replica := &sse.Server{Provider: &sse.Joe{Replayer: replayer}}
	server := httptest.NewServer(replica)
	publish := func(from, to int) {
		for n := from; n <= to; n++ {
			message := &sse.Message{}
			message.AppendData(fmt.Sprint("event ", n))
			if !autoIDs {
				message.ID = sse.ID(fmt.Sprint(n))
			}
			check(replica.Publish(message))
		}
	}
	publish(started, 8)
	request, err := http.NewRequest(http.MethodGet, server.URL, nil)
	check(err)
	request.Header.Set("Last-Event-ID", "5")
	if autoIDs {
		request.Header.Set("Last-Event-ID", "4") // which they count from 0
	}
	time.AfterFunc(500*time.Millisecond, func() { publish(9, 9) })
	answer, err := server.Client().Do(request)
	check(err)
	defer answer.Body.Close()
	var events []string
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		if event, ok := strings.CutPrefix(lines.Text(), "data: event "); ok {
			if events = append(events, event); event == "9" {
				break
			}
		}
	}
	return strings.Join(events, " ")
}

func main() {
	for _, autoIDs := range []bool{false, true} {
		fmt.Printf("ids of the replayer: %t; the same replica: %s; one since event 6: %s; one since event 3: %s\n", autoIDs, seen(1, autoIDs), seen(6, autoIDs), seen(3, autoIDs))
	}
}
GO
go get github.com/tmaxmax/go-sse@v0.12.0
go run . | tee seen
diff seen - <<'WANT'
ids of the replayer: false; the same replica: 6 7 8 9; one since event 6: 9; one since event 3: 6 7 8 9
ids of the replayer: true; the same replica: 6 7 8 9; one since event 6: 9; one since event 3: 8 9
WANT
# Seen: the two lines above
