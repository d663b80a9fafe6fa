package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"github.com/go-chi/chi/v5"
)

// adapter joins huma to chi. It differs from humachi in what it does before
// huma sees a request: names may hold slashes; what PostgreSQL can't store is
// refused; and a body is read whole, within its own limit and that of all
// bodies together.
type adapter struct {
	router chi.Router
	// shortCreate is a shorter way to store a book, see short.go.
	shortCreate func(next http.Handler) http.Handler
	// bodies is the size of all request bodies in memory.
	bodies atomic.Int64
	// working is how many requests are worked on.
	working atomic.Int64
}

const (
	// namePath is where the rest of the path, whatever it holds, is a name.
	namePath = "/books/{name}"
	// maxBodies bounds the memory of request bodies, of which JSON takes several
	// times as much while it is read.
	maxBodies = 8 << 20
	// maxWorking is how many requests are worked on at once. More than that wait
	// for a database that does not keep up, and are better served by another
	// task. Those whose body has not arrived don't count, or slow clients could
	// keep all others out.
	maxWorking = 2048
)

func (a *adapter) Handle(op *huma.Operation, handler func(huma.Context)) {
	pattern := op.Path
	if pattern == namePath {
		pattern = "/books/*"
	}
	var next http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if refused := checkQuery(r.URL); refused != nil {
			writeProblem(w, refused)
			return
		}
		if record, ok := w.(*record); ok {
			r = r.WithContext(context.WithValue(r.Context(), recordKey{}, record))
		}
		ctx := requestContext{base: humachi.NewContext(op, r, w), request: r}
		if body, ok := r.Body.(*bytesBody); ok {
			if refused := checkBody(r.Header.Get("Content-Type"), body.text); refused != nil {
				writeProblem(w, refused)
				return
			}
			ctx.body = body
		}
		handler(ctx)
	})
	if op.OperationID == createBook {
		next = a.shortCreate(next)
	}
	a.router.MethodFunc(op.Method, pattern, named(op.OperationID, func(w http.ResponseWriter, r *http.Request) {
		if op.RequestBody != nil {
			body := &budgeted{from: r.Body, used: &a.bodies}
			defer body.release()
			text, refused := readBody(body, r.ContentLength, op.MaxBodyBytes)
			if refused != nil {
				writeProblem(w, refused)
				return
			}
			r.Body = &bytesBody{bytes.NewReader(text), text}
		}
		a.work(w, r, next)
	}))
}

// work has a request served, unless there are too many.
func (a *adapter) work(w http.ResponseWriter, r *http.Request, next http.Handler) {
	defer a.working.Add(-1)
	if a.working.Add(1) > maxWorking {
		writeError(w, &Error{Code: Overloaded, Message: "too many requests at once"})
		return
	}
	next.ServeHTTP(w, r)
}

func (a *adapter) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.router.ServeHTTP(w, r) }

// base is embedded under a name that does not hide its method Context.
type base = huma.Context

// requestContext is humachi's with our own idea of names and bodies.
type requestContext struct {
	base
	request *http.Request
	body    io.Reader
}

func (c requestContext) Param(name string) string {
	if c.Operation().Path == namePath {
		return nameIn(c.request.URL)
	}
	return c.base.Param(name)
}

func (c requestContext) BodyReader() io.Reader { return c.body }

// nameIn is the name in a path below /books/.
func nameIn(u *url.URL) string {
	// Path is what RawPath says, unescaped.
	return strings.TrimPrefix(u.Path, "/books/")
}

// bytesBody is a request body that has been read.
type bytesBody struct {
	*bytes.Reader
	text []byte
}

func (*bytesBody) Close() error { return nil }

var errBudget = errors.New("too much is being read at once")

// budgeted counts what it reads, until release.
type budgeted struct {
	from io.Reader
	used *atomic.Int64
	own  int64
}

func (b *budgeted) Read(p []byte) (int, error) {
	n, err := b.from.Read(p)
	b.own += int64(n)
	if b.used.Add(int64(n)) > maxBodies {
		return n, errBudget
	}
	return n, err
}

func (b *budgeted) release() { b.used.Add(-b.own) }

// readBody reads the whole body, of size bytes if that is known (not negative),
// or says why it is refused.
func readBody(from io.Reader, size, most int64) ([]byte, *huma.ErrorModel) {
	if size > most {
		return nil, tooLarge(most)
	}
	text, err := io.ReadAll(io.LimitReader(from, most+1))
	var late net.Error
	switch {
	case errors.As(err, &late) && late.Timeout():
		return nil, problem(http.StatusRequestTimeout, "the request body did not arrive in time")
	case errors.Is(err, errBudget):
		return nil, problem(http.StatusServiceUnavailable, "too many large requests at once")
	case err != nil:
		return nil, problem(http.StatusBadRequest, "the request body can't be read")
	case int64(len(text)) > most:
		return nil, tooLarge(most)
	}
	return text, nil
}

func tooLarge(most int64) *huma.ErrorModel {
	return problem(http.StatusRequestEntityTooLarge, "the request body is longer than "+byteCount(most))
}

// checkQuery refuses a query that is not valid, or not text.
func checkQuery(u *url.URL) *huma.ErrorModel {
	if !utf8.ValidString(u.Path) {
		return problem(http.StatusUnprocessableEntity, "validation failed",
			&huma.ErrorDetail{Location: "path", Message: "is not valid UTF-8"})
	}
	if u.RawQuery == "" {
		return nil
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return problem(http.StatusBadRequest, "the query of the address is not valid")
	}
	var wrong []*huma.ErrorDetail
	for name, values := range query {
		if !utf8.ValidString(name) {
			wrong = append(wrong, &huma.ErrorDetail{Location: "query", Message: "holds a name that is not valid UTF-8"})
		}
		for _, value := range values {
			if !utf8.ValidString(value) {
				wrong = append(wrong, &huma.ErrorDetail{Location: "query." + strings.ToValidUTF8(name, "\uFFFD"), Message: "is not valid UTF-8"})
			}
		}
	}
	if wrong != nil {
		return problem(http.StatusUnprocessableEntity, "validation failed", wrong...)
	}
	return nil
}

// checkBody refuses what is not JSON, or whose strings encoding/json would repair
// in silence: bytes that are not UTF-8, and halves of surrogate pairs.
func checkBody(contentType string, text []byte) *huma.ErrorModel {
	if contentType != "" { // without one it is taken for JSON
		media, _, err := mime.ParseMediaType(contentType)
		if err != nil || media != "application/json" && media != "application/merge-patch+json" {
			return problem(http.StatusUnsupportedMediaType, "the request body must be application/json")
		}
	}
	switch {
	case len(text) == 0:
		return problem(http.StatusBadRequest, "the request needs a body")
	case !utf8.Valid(text):
		return problem(http.StatusBadRequest, "the request body is not valid UTF-8")
	case !json.Valid(text):
		return problem(http.StatusBadRequest, "the request body is not valid JSON: "+json.Unmarshal(text, new(json.RawMessage)).Error())
	case halfSurrogate(text):
		return problem(http.StatusBadRequest, `the request body holds half of a surrogate pair (\ud800 to \udfff) alone`)
	}
	return nil
}

// halfSurrogate says whether valid JSON escapes a surrogate without its other
// half.
func halfSurrogate(text []byte) bool {
	for {
		at := bytes.IndexByte(text, '\\')
		if at < 0 {
			return false
		}
		text = text[at:]
		switch {
		case text[1] != 'u':
			text = text[2:]
		case !surrogate(text[2:4], "89abAB", "cdefCDEF"):
			text = text[6:]
		case surrogate(text[2:4], "89abAB") && len(text) >= 12 && text[6] == '\\' && text[7] == 'u' && surrogate(text[8:10], "cdefCDEF"):
			text = text[12:]
		default:
			return true
		}
	}
}

// surrogate says whether the first two digits of an escape are those of a
// surrogate, the second being among the given.
func surrogate(digits []byte, second ...string) bool {
	return (digits[0] == 'd' || digits[0] == 'D') && strings.IndexByte(strings.Join(second, ""), digits[1]) >= 0
}
