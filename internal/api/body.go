package api

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
)

const (
	// maxBodies bounds the memory of request bodies, of which JSON takes several
	// times as much while it is read.
	maxBodies = 8 << 20
	// maxWorking is how many requests are worked on at once. Those whose body has
	// not arrived don't count, or slow clients could keep all others out.
	maxWorking = 2048
)

// checkRequest is the middleware of all operations. It reads the body, and refuses a request
// that is too large, is not text, or is one too many.
func (s *Server) checkRequest(ctx huma.Context, next func(huma.Context)) {
	r, w := humachi.Unwrap(ctx)
	op := ctx.Operation()
	recordOf(r.Context()).operation = op.OperationID
	err := s.checkStarted(r)
	if err == nil && op.RequestBody != nil {
		body := &countingReader{from: r.Body, used: &s.bodies}
		defer func() { s.bodies.Add(-body.own) }()
		var text []byte
		if text, err = readBody(body, r.ContentLength, op.MaxBodyBytes); err == nil {
			err = checkJSON(r.Header.Get("Content-Type"), text)
		}
		r.Body = io.NopCloser(bytes.NewReader(text))
	}
	defer s.working.Add(-1)
	if s.working.Add(1) > maxWorking && err == nil {
		err = unavailable("too many requests at once", nil)
	}
	if err = cmp.Or(err, checkAddress(r.URL)); err != nil {
		writeError(w, r, err)
		return
	}
	next(ctx)
}

// countingReader adds what it reads to used.
type countingReader struct {
	from io.Reader
	used *atomic.Int64
	own  int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	c.own += int64(n)
	if c.used.Add(int64(n)) > maxBodies {
		return n, unavailable("too many large requests at once", nil)
	}
	return n, err
}

// readBody reads the whole body, of size bytes if that is known (not negative).
func readBody(from io.Reader, size, limit int64) ([]byte, error) {
	var text []byte
	var err error
	if size <= limit {
		text, err = io.ReadAll(io.LimitReader(from, limit+1))
	}
	var known *Error
	var late net.Error
	switch {
	case errors.As(err, &known):
		return nil, err
	case errors.As(err, &late) && late.Timeout():
		return nil, &Error{Status: http.StatusRequestTimeout, Message: "the request body did not arrive in time"}
	case err != nil:
		return nil, badRequest("the request body can't be read")
	case max(size, int64(len(text))) > limit:
		return nil, &Error{Status: http.StatusRequestEntityTooLarge, Message: fmt.Sprintf("the request body is longer than %d bytes", limit)}
	}
	return text, nil
}

// checkJSON refuses what is not JSON, or whose strings encoding/json would change
// without an error: bytes that are not UTF-8, and halves of surrogate pairs.
func checkJSON(contentType string, text []byte) error {
	media, _, err := mime.ParseMediaType(contentType)
	switch {
	case contentType != "" && (err != nil || media != "application/json" && media != "application/merge-patch+json"):
		return &Error{Status: http.StatusUnsupportedMediaType, Message: "the request body must be application/json"}
	case len(text) == 0:
		return badRequest("the request needs a body")
	case !utf8.Valid(text):
		return badRequest("the request body is not valid UTF-8")
	case !json.Valid(text):
		return badRequest("the request body is not valid JSON: " + json.Unmarshal(text, new(json.RawMessage)).Error())
	case halfSurrogate(text):
		return badRequest(`the request body holds half of a surrogate pair (\ud800 to \udfff) alone`)
	}
	return nil
}

var (
	// wholeEscape is any escape of JSON but that of half a surrogate pair alone.
	wholeEscape = regexp.MustCompile(`\\[^u]|\\u[dD][89abAB]..\\u[dD][c-fC-F]..`)
	halfEscape  = regexp.MustCompile(`\\u[dD][89a-fA-F]`)
)

// halfSurrogate reports whether valid JSON escapes a surrogate without its other
// half.
func halfSurrogate(text []byte) bool {
	return bytes.Contains(text, []byte(`\u`)) && halfEscape.Match(wholeEscape.ReplaceAll(text, []byte(" ")))
}

// checkAddress refuses a path or a query that is not valid, or not UTF-8.
func checkAddress(u *url.URL) error {
	var fields []*huma.ErrorDetail
	if !utf8.ValidString(u.Path) {
		fields = append(fields, &huma.ErrorDetail{Location: "path", Message: "is not valid UTF-8"})
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return badRequest("the query of the address is not valid")
	}
	for name, values := range query {
		for _, text := range append(values, name) {
			if !utf8.ValidString(text) {
				fields = append(fields, &huma.ErrorDetail{Location: "query." + strings.ToValidUTF8(name, "\uFFFD"), Message: "is not valid UTF-8"})
			}
		}
	}
	if fields != nil {
		return invalid(fields...)
	}
	return nil
}
