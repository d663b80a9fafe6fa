package ui

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/bookctl/bookctl/internal/provision/graph"
)

// The style and the script are plain files: no build step, nothing from elsewhere.
//
//go:embed page
var page embed.FS

const (
	// firstLook is how long a page waits for what it is to show.
	firstLook = 20 * time.Second
	// streamPause is the least time between two messages to a page, and heartbeat the most.
	streamPause = 250 * time.Millisecond
	heartbeat   = 15 * time.Second
	// writeLimit is how long a page may take to read a message.
	writeLimit = 10 * time.Second
)

// Server serves the page of one stack.
type Server struct {
	watcher *watcher
	// secret begins the path of all that is served. It is not a cookie: those of this
	// machine are sent to all its ports.
	secret  string
	version string
}

// New creates a server that has the stack from source, and looks at it every so often
// while the page is open.
func New(source Source, every time.Duration, version string) *Server {
	return &Server{newWatcher(source, every), rand.Text(), version}
}

// Path is the path of the page, which nobody can guess.
func (s *Server) Path() string { return "/" + s.secret + "/" }

// Serve serves the page until ctx ends, and then waits for the end of a look that is under way.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	server := &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 64 << 10}
	ctx, cancel := context.WithCancel(ctx)
	watched := make(chan struct{})
	watching := graph.Start(func() error { defer close(watched); return s.watcher.run(ctx) })
	defer func() { cancel(); <-watched }()
	serving := graph.Start(func() error { return server.Serve(l) })
	var err error
	select {
	case <-ctx.Done():
	case err = <-serving:
	case err = <-watching:
	}
	if closed := server.Close(); err == nil { // pages that are open would keep it for ever
		err = closed
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// ServeHTTP answers those who know the path, and may not be led here by another site.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	secure(w.Header())
	if !local(r.Host) { // a name of somebody else that leads here: DNS rebinding
		http.Error(w, "This page answers to 127.0.0.1 and localhost alone.", http.StatusForbidden)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "This page is to read only.", http.StatusMethodNotAllowed)
		return
	}
	secret, name, below := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if subtle.ConstantTimeCompare([]byte(secret), []byte(s.secret)) != 1 {
		http.Error(w, "Open the address that 'bookctl ui' printed: it has a part that can't be guessed.", http.StatusNotFound)
		return
	}
	switch {
	case !below:
		http.Redirect(w, r, s.Path(), http.StatusFound)
	case name == "":
		s.page(w, r)
	case name == "live":
		s.live(w, r)
	case name == "ui.css" || name == "ui.js":
		http.ServeFileFS(w, r, page, "page/"+name)
	default:
		http.NotFound(w, r)
	}
}

// local reports whether a request was sent to this machine by a name of this machine. The
// port may be another one, by which somebody forwards it.
func local(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return host == "127.0.0.1" || strings.EqualFold(host, "localhost")
}

// secure lets the page use nothing but its own script and style, in nobody's frame, and
// be read by no other page.
func secure(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; "+
		"form-action 'none'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types bookctl")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
}

// page is the whole page, as far as it is known.
func (s *Server) page(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		s.watcher.fresh(r.Context(), firstLook)
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write([]byte(s.document(s.watcher.since(position{})))) // the reader has gone
}

func (s *Server) document(n news) markup {
	part := map[string]markup{}
	for _, p := range n.parts {
		part[p.id] = p.contents
	}
	section := func(id string) markup {
		a := with("id", id, "aria-labelledby", "of-"+id)
		if part[id] == "" {
			a = append(a, attribute{"hidden", ""})
		}
		return element("section", a, part[id])
	}
	var lines markup
	for _, l := range n.lines {
		lines += l.markup()
	}
	logs := element("section", with("id", "logs", "aria-labelledby", "of-logs"),
		element("div", class("bar"), heading("logs", "Logs"), element("div", with("id", "controls", "hidden", ""),
			element("label", nil, "Filter ", empty("input", with("id", "filter", "type", "search", "autocomplete", "off", "spellcheck", "false")...)),
			element("label", nil, empty("input", with("id", "follow", "type", "checkbox", "checked", "checked")...), " Follow"),
		)),
		element("p", with("id", "silent", "class", "bad-text"), part["silent"]),
		element("div", with("id", "lines", "class", "scroll", "role", "log", "aria-live", "off", "aria-label", "Logs of the tasks", "tabindex", "0", "data-after", n.next.String()), lines),
		element("p", with("id", "no-lines", "class", "muted"), "No task has written anything lately."),
	)
	head := element("head", nil, empty("meta", with("charset", "utf-8")...), empty("meta", with("name", "viewport", "content", "width=device-width, initial-scale=1")...),
		empty("meta", with("name", "color-scheme", "content", "light dark")...), element("title", nil, text(n.title)),
		empty("link", with("rel", "icon", "href", "data:,")...), empty("link", with("rel", "stylesheet", "href", "ui.css")...), element("script", with("src", "ui.js", "defer", "")))
	body := element("body", nil,
		element("a", with("class", "skip", "href", "#main"), "To the contents"),
		element("header", nil, element("div", with("id", "top"), part["top"]), element("nav", with("id", "index", "aria-label", "Sections"), part["index"])),
		element("p", with("id", "news", "class", "unseen", "role", "status"), part["news"]),
		element("div", with("id", "alert", "role", "alert"), part["alert"]),
		element("div", with("id", "lost", "role", "alert")),
		element("noscript", nil, element("p", class("muted"), "Without its script this page stays as it was when it was loaded. ", element("a", with("href", "."), "Load it again"))),
		element("main", with("id", "main", "tabindex", "-1"), section("problems"), section("overview"), section("cost"), section("resources"), section("deployments"), section("tasks"), section("balancer"), section("events"), logs),
		element("footer", class("muted"), element("p", nil, "To read only: nothing is changed from here. Times are UTC. bookctl ", text(s.version))),
	)
	return "<!doctype html>\n" + element("html", with("lang", "en"), head, body) + "\n"
}

// message is what the script receives: the contents of sections that changed.
type message struct {
	Title    string            `json:"title"`
	Sections map[string]markup `json:"sections"`
}

// lineMessage is what it receives of the logs.
type lineMessage struct {
	// Anew reports whether these lines don't go on from those before.
	Anew   bool        `json:"anew"`
	Missed int         `json:"missed"`
	Lines  []shownLine `json:"lines"`
}

// live sends what changes as server-sent events
// (https://html.spec.whatwg.org/multipage/server-sent-events.html).
func (s *Server) live(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	if r.Method == http.MethodHead {
		return
	}
	defer s.watcher.enter()()
	at := parsePosition(r.Header.Get("Last-Event-ID"), r.URL.Query().Get("after"))
	out := stream{w, http.NewResponseController(w)}
	has := map[string]markup{} // what the page shows
	for {
		n := s.watcher.since(at)
		m := message{Title: n.title, Sections: map[string]markup{}}
		for _, p := range n.parts {
			if old, known := has[p.id]; !known || old != p.contents {
				m.Sections[p.id], has[p.id] = p.contents, p.contents
			}
		}
		var err error
		if len(m.Sections) > 0 {
			err = out.send("state", "", m)
		}
		if err == nil && (len(n.lines) > 0 || n.anew && n.next.epoch > 0) {
			err = out.send("lines", n.next.String(), lineMessage{n.anew, n.missed, n.lines})
		}
		if err != nil {
			return // the page is closed
		}
		at = n.next
		select {
		case <-r.Context().Done():
			return
		case <-n.changed:
		case <-time.After(heartbeat):
			if out.write(":\n\n") != nil {
				return
			}
		}
		if graph.Sleep(r.Context(), streamPause) != nil {
			return
		}
	}
}

// stream writes server-sent events.
type stream struct {
	w http.ResponseWriter
	c *http.ResponseController
}

func (s stream) send(event, id string, data any) error {
	encoded, err := json.Marshal(data) // in one line
	if err != nil {
		return err
	}
	if id != "" {
		id = "id: " + id + "\n"
	}
	return s.write("event: " + event + "\n" + id + "data: " + string(encoded) + "\n\n")
}

func (s stream) write(said string) error {
	// Where a deadline can't be set there is none.
	_ = s.c.SetWriteDeadline(time.Now().Add(writeLimit))
	if _, err := s.w.Write([]byte(said)); err != nil {
		return err
	}
	return s.c.Flush()
}

func (p position) String() string { return fmt.Sprintf("%d.%d", p.epoch, p.next) }

// parsePosition is the first of some that is one.
func parsePosition(said ...string) position {
	for _, s := range said {
		a, b, _ := strings.Cut(s, ".")
		epoch, errA := strconv.Atoi(a)
		next, errB := strconv.Atoi(b)
		if errA == nil && errB == nil {
			return position{epoch, next}
		}
	}
	return position{}
}
