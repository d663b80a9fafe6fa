package api

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"github.com/go-chi/chi/v5"
)

// adapter joins huma to chi. It differs from humachi in what it does before
// huma sees a request: names may hold slashes, and a body is read whole, within
// its limit, and refused unless it is text that can be stored.
type adapter struct {
	router chi.Router
}

// namePath is where the rest of the path, whatever it holds, is a name.
const namePath = "/books/{name}"

func (a *adapter) Handle(op *huma.Operation, handler func(huma.Context)) {
	pattern := op.Path
	if pattern == namePath {
		pattern = "/books/*"
	}
	a.router.MethodFunc(op.Method, pattern, func(w http.ResponseWriter, r *http.Request) {
		ctx := requestContext{base: humachi.NewContext(op, r, w), request: r}
		if op.RequestBody != nil {
			body, refused := readBody(r, op.MaxBodyBytes)
			if refused != nil {
				writeProblem(w, refused)
				return
			}
			ctx.body = bytes.NewReader(body)
		}
		handler(ctx)
	})
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
	if u.RawPath == "" {
		return strings.TrimPrefix(u.Path, "/books/")
	}
	name, err := url.PathUnescape(strings.TrimPrefix(u.RawPath, "/books/"))
	if err != nil {
		return "" // net/http has refused it before
	}
	return name
}

// readBody reads the whole body or says why it is refused.
func readBody(r *http.Request, most int64) ([]byte, *huma.ErrorModel) {
	body, err := io.ReadAll(io.LimitReader(r.Body, most+1))
	var late net.Error
	switch {
	case errors.As(err, &late) && late.Timeout():
		return nil, problem(http.StatusRequestTimeout, "the request body did not arrive in time")
	case err != nil:
		return nil, problem(http.StatusBadRequest, "the request body can't be read")
	case int64(len(body)) > most:
		return nil, problem(http.StatusRequestEntityTooLarge, "the request body is too large")
	}
	return body, nil
}
