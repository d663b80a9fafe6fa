package api

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// The short ways of the two operations that are called most. One serves what is
// plainly valid and hands everything else to the next handler, which leads to
// huma's; so there is one validation, whichever way a request takes. See doc.go
// for what they save.

// shortLookup runs before the router, which copies each request.
func (s *Server) shortLookup(a *adapter, next http.Handler) http.Handler {
	lookup := http.Handler(named(bookByName, func(w http.ResponseWriter, r *http.Request) {
		book, err := s.store.Lookup(r.Context(), nameIn(r.URL))
		if err != nil {
			writeError(w, err)
			return
		}
		writeBook(w, http.StatusOK, book)
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.migrated.Load() || !plainLookup(r) {
			next.ServeHTTP(w, r)
			return
		}
		a.work(w, r, lookup)
	})
}

// plainLookup says whether a request can only be one for the book of a name.
func plainLookup(r *http.Request) bool {
	path := r.URL.RawPath // by which the router goes, if there is one
	if path == "" {
		path = r.URL.Path
	}
	return r.Method == http.MethodGet && strings.HasPrefix(path, "/books/") && !strings.HasPrefix(path, "/books/id/") &&
		r.URL.RawQuery == "" && r.Header["If-None-Match"] == nil && storable(nameIn(r.URL))
}

func (s *Server) shortCreate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, read := r.Body.(*bytesBody)
		kind := r.Header["Content-Type"]
		if !read || r.URL.RawQuery != "" || r.Header["Idempotency-Key"] != nil || len(kind) != 1 || kind[0] != "application/json" {
			next.ServeHTTP(w, r)
			return
		}
		asked, plain := parseNewBook(body.text)
		if !plain {
			next.ServeHTTP(w, r)
			return
		}
		book, err := s.store.Insert(r.Context(), asked)
		if err != nil {
			writeError(w, err)
			return
		}
		w.Header()["Location"] = []string{book.location()}
		writeBook(w, http.StatusCreated, book)
	})
}

// parseNewBook reads the plain form of a NewBook: an object of exactly its two
// fields, valid, without escapes. Anything else is not wrong but not plain.
func parseNewBook(text []byte) (book NewBook, plain bool) {
	p := parser{rest: text}
	p.expect('{')
	for i := range 2 {
		if i > 0 {
			p.expect(',')
		}
		key := p.text()
		p.expect(':')
		value := p.text()
		switch {
		case !storable(value): // it is NUL or too long, or the parser failed
			return NewBook{}, false
		case key == "name" && book.Name == "":
			book.Name = value
		case key == "author" && book.Author == "":
			book.Author = value
		default:
			return NewBook{}, false
		}
	}
	p.expect('}')
	p.space()
	return book, !p.failed && len(p.rest) == 0
}

// parser reads JSON that it understands and fails on all else.
type parser struct {
	rest   []byte
	failed bool
}

func (p *parser) space() {
	for len(p.rest) > 0 && (p.rest[0] == ' ' || p.rest[0] == '\n' || p.rest[0] == '\r' || p.rest[0] == '\t') {
		p.rest = p.rest[1:]
	}
}

func (p *parser) expect(c byte) {
	p.space()
	if len(p.rest) == 0 || p.rest[0] != c {
		p.failed, p.rest = true, nil
		return
	}
	p.rest = p.rest[1:]
}

// text is a string without escapes; empty after a failure.
func (p *parser) text() string {
	p.expect('"')
	end := bytes.IndexByte(p.rest, '"')
	if end < 0 {
		p.failed, p.rest = true, nil
		return ""
	}
	text := p.rest[:end]
	for _, c := range text {
		if c < ' ' || c == '\\' {
			p.failed, p.rest = true, nil
			return ""
		}
	}
	p.rest = p.rest[end+1:]
	return string(text)
}

var jsonType = []string{"application/json"}

// buffers are for answers on their way out.
var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 1024); return &b }}

// writeBook writes the same bytes as huma's encoding of a Book.
func writeBook(w http.ResponseWriter, status int, b *Book) {
	header := w.Header()
	header["Content-Type"] = jsonType
	header["Etag"] = []string{b.etag()}
	buffer := buffers.Get().(*[]byte)
	text := b.appendJSON((*buffer)[:0])
	w.WriteHeader(status)
	_, _ = w.Write(text) //nolint:gosec // JSON, as its type and nosniff say; an error is a client that has gone
	*buffer = text
	buffers.Put(buffer)
}

func (b *Book) appendJSON(text []byte) []byte {
	text = append(text, `{"id":`...)
	text = strconv.AppendInt(text, b.ID, 10)
	text = append(text, `,"name":`...)
	text = appendString(text, b.Name)
	text = append(text, `,"author":`...)
	text = appendString(text, b.Author)
	text = append(text, `,"created":"`...)
	text = b.Created.AppendFormat(text, time.RFC3339Nano)
	text = append(text, `","updated":"`...)
	text = b.Updated.AppendFormat(text, time.RFC3339Nano)
	return append(text, "\"}\n"...)
}

// appendString appends a JSON string.
func appendString(text []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		// U+2028 and U+2029, which encoding/json escapes as well, begin with 0xe2.
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c == 0xe2 {
			return appendEscaped(text, s)
		}
	}
	text = append(text, '"')
	text = append(text, s...)
	return append(text, '"')
}

func appendEscaped(text []byte, s string) []byte {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(s) // a string always can be
	return append(text, bytes.TrimSuffix(out.Bytes(), []byte("\n"))...)
}
