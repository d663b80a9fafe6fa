package api_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// What users are promised of connections, which are net/http's own.

func TestAClientThatHangsUpCostsNoConnectionToTheDatabase(t *testing.T) {
	t.Parallel()
	s := serve(t, newDatabase(t))
	locker, admin := s.db.connect(t), s.db.connect(t)
	if _, err := locker.Exec(t.Context(), `BEGIN; LOCK TABLE books IN ACCESS EXCLUSIVE MODE`); err != nil {
		t.Fatal(err)
	}
	client := dialService(t, s)
	// The second one is read ahead of the first one's answer.
	client.send(t, "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\nGET /books?limit=1 HTTP/1.1\r\nHost: a\r\n\r\n")
	var waiting int
	eventually(t, "waiting", func() bool {
		return admin.QueryRow(t.Context(), `SELECT pid FROM pg_stat_activity
			WHERE datname = current_database() AND application_name = 'bookapi' AND wait_event_type = 'Lock'`).Scan(&waiting) == nil
	})
	if err := client.Close(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(500 * time.Millisecond) // for the server to do what it should not
	if _, err := locker.Exec(t.Context(), `ROLLBACK`); err != nil {
		t.Fatal(err)
	}
	eventually(t, "answered", func() bool { return strings.Contains(s.log.String(), `"operation":"list-books"`) })
	if !strings.Contains(s.log.String(), `"operation":"list-books","status":200`) {
		t.Errorf("log: %s", s.log)
	}
	eventually(t, "idle", func() bool {
		var state string
		if err := admin.QueryRow(t.Context(), `SELECT state FROM pg_stat_activity WHERE pid = $1`, waiting).Scan(&state); err != nil {
			t.Fatalf("the database has lost its client: %v", err)
		}
		return state == "idle"
	})
}

func TestRequestsMayComeInAnyPieces(t *testing.T) {
	t.Parallel()
	s := serve(t, newDatabase(t))
	const get = "GET /healthz HTTP/1.1\r\nHost: a\r\n"
	t.Run("two at once", func(t *testing.T) {
		t.Parallel()
		client := dialService(t, s)
		client.send(t, strings.Repeat(get+"\r\n", 2))
		client.wantOK(t)
		client.wantOK(t)
	})
	// net/http has room for 4,096 bytes of a line. With 4,095 of them there, its next
	// read is of one byte, as it is when it reads ahead.
	for _, first := range []int{1, len(get) + 4094, len(get) + 4095, len(get) + 4096} {
		client := dialService(t, s)
		text := get + "X: " + strings.Repeat("x", 5000) + "\r\n\r\n"
		client.send(t, text[:first])
		time.Sleep(50 * time.Millisecond) // so that it is read by itself
		client.send(t, text[first:])
		client.wantOK(t)
		client.send(t, get+"\r\n")
		client.wantOK(t)
	}
}

// The deadlines of a header (5 s), a request and an idle connection follow one
// another on a connection that is kept.
func TestAConnectionThatIsKeptHasItsDeadlines(t *testing.T) {
	t.Parallel()
	s := serve(t, newDatabase(t))
	const get = "GET /healthz HTTP/1.1\r\nHost: a\r\n"
	client := dialService(t, s)
	for range 2 {
		client.send(t, get+"\r\n")
		client.wantOK(t)
		time.Sleep(6 * time.Second) // longer than a header may take
	}
	client.send(t, get)
	began := time.Now()
	if err := client.SetReadDeadline(began.Add(14 * time.Second)); err != nil { // that of a request is after 15 s
		t.Fatal(err)
	}
	if text, err := io.ReadAll(client); err != nil {
		t.Errorf("half a header is waited for: %q, %v", text, err)
	}
	if waited := time.Since(began); waited < time.Second {
		t.Errorf("half a header was given %s", waited)
	}
}

// rawClient is a client that says what it sends.
type rawClient struct {
	net.Conn
	answers *bufio.Reader
}

func dialService(t *testing.T, s *service) *rawClient {
	t.Helper()
	var dialer net.Dialer
	c, err := dialer.DialContext(context.Background(), "tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() }) // the test may have closed it
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return &rawClient{c, bufio.NewReader(c)}
}

func (c *rawClient) send(t *testing.T, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

func (c *rawClient) wantOK(t *testing.T) {
	t.Helper()
	answer, err := http.ReadResponse(c.answers, nil)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close() // read to its end
	if err != nil || answer.StatusCode != http.StatusOK || string(text) != "ok\n" {
		t.Errorf("%s: %q, %v", answer.Status, text, err)
	}
}
