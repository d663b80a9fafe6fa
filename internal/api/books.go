package api

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
)

const (
	maxBook      = 64 << 10 // fits two texts of maxText characters, all escaped
	maxBatchBody = 1 << 20
)

type nameInput struct {
	Name string `path:"name" minLength:"1" maxLength:"1000" pattern:"^[^\\x00]*$" patternDescription:"text without NUL" doc:"Name of the book, percent-encoded"`
	UnlessMatch
}

// UnlessMatch is a header of all reads of one book.
type UnlessMatch struct {
	IfNoneMatch string `header:"If-None-Match" doc:"ETag that the client has already"`
}

// IDParam is the number in the path of a book.
type IDParam struct {
	ID int64 `path:"id" minimum:"1" doc:"Number of the book"`
}

type readInput struct {
	IDParam
	UnlessMatch
}

// ChangeInput is a change of a book, without its body.
type ChangeInput struct {
	IDParam
	IfMatch string `header:"If-Match" doc:"ETag of the book as the client knows it; * for whatever is there. Required: without it the answer is 428"`
}

type replaceInput struct {
	ChangeInput
	Body NewBook
}

type patchInput struct {
	ChangeInput
	Body Patch
}

// KeyHeader is a header of all requests that store books.
type KeyHeader struct {
	Key string `header:"Idempotency-Key" maxLength:"255" pattern:"^[\\x21-\\x7e]+$" patternDescription:"visible ASCII" doc:"Makes a retry safe: for 24 hours the same request with the same key is carried out once, and answered the same"`
}

type createInput struct {
	KeyHeader
	Body NewBook
}

type batchInput struct {
	KeyHeader
	Body struct {
		Books []NewBook `json:"books" minItems:"1" maxItems:"1000" nullable:"false" doc:"Books to store: all or, if anything is wrong, none"`
	}
}

type listInput struct {
	Name   string `query:"name" maxLength:"1000" pattern:"^[^\\x00]*$" patternDescription:"text without NUL" doc:"Only books of exactly this name"`
	Author string `query:"author" maxLength:"1000" pattern:"^[^\\x00]*$" patternDescription:"text without NUL" doc:"Only books of exactly this author"`
	Prefix string `query:"q" maxLength:"200" pattern:"^[^\\x00]*$" patternDescription:"text without NUL" doc:"Only books whose name begins with this, in any case, in the order of their names; not with name or author"`
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"Most books on a page"`
	Cursor string `query:"cursor" maxLength:"6000" doc:"Where the page begins: next of the page before, with the same filter"`
}

type bookOutput struct {
	ETag string `header:"ETag" doc:"Version of the book, for If-Match"`
	Body *Book
}

type createOutput struct {
	Location string `header:"Location" doc:"Path of the book"`
	Replayed string `header:"Idempotency-Replayed" doc:"true when an earlier request with this key had stored it"`
	ETag     string `header:"ETag" doc:"Version of the book, for If-Match"`
	Body     *Book
}

type batchOutput struct {
	Replayed string `header:"Idempotency-Replayed" doc:"true when an earlier request with this key had stored them"`
	Body     struct {
		Books []*Book `json:"books" nullable:"false" doc:"The stored books, in the order of the request"`
	}
}

type listOutput struct {
	Link []string `header:"Link" doc:"The first page and, unless this is the last, the next one (RFC 8288)"`
	Body struct {
		Books []*Book `json:"books" nullable:"false"`
		Next  string  `json:"next,omitempty" doc:"Cursor of the next page; none on the last"`
	}
}

// register adds the operations, in the order of the document.
func (s *Server) register(api huma.API) {
	huma.Register(api, withDefaults(huma.Operation{
		OperationID: "create-book", Method: http.MethodPost, Path: "/books", DefaultStatus: http.StatusCreated,
		Summary: "Store a book",
	}, 400, 408, 413, 415, 503), withProblems(s.create))
	huma.Register(api, withDefaults(huma.Operation{
		OperationID: "list-books", Method: http.MethodGet, Path: "/books", DefaultStatus: http.StatusOK,
		Summary:     "List books",
		Description: "In the order in which they were stored, or of their names with q. There are no totals: every page costs the same, however many books there are.",
	}, 400, 503), withProblems(s.list))
	huma.Register(api, withDefaults(huma.Operation{
		OperationID: "create-books", Method: http.MethodPost, Path: "/books/batch", DefaultStatus: http.StatusCreated,
		Summary:      "Store many books, all or none",
		MaxBodyBytes: maxBatchBody,
	}, 400, 408, 413, 415, 503), withProblems(s.createAll))
	huma.Register(api, withDefaults(huma.Operation{
		OperationID: "get-book-by-name", Method: http.MethodGet, Path: "/books/{name}", DefaultStatus: http.StatusOK,
		Summary:     "The first book of a name",
		Description: "Names are percent-encoded; one may hold slashes, which need not be, unless it begins with id/.",
	}, 304, 400, 404, 503), withProblems(s.byName))
	huma.Register(api, withDefaults(huma.Operation{
		OperationID: "get-book", Method: http.MethodGet, Path: "/books/id/{id}", DefaultStatus: http.StatusOK,
		Summary: "A book by its number",
	}, 304, 400, 404, 503), withProblems(s.byID))
	huma.Register(api, withDefaults(huma.Operation{
		OperationID: "replace-book", Method: http.MethodPut, Path: "/books/id/{id}", DefaultStatus: http.StatusOK,
		Summary: "Replace a book",
	}, 400, 404, 408, 412, 413, 415, 428, 503), withProblems(s.replace))
	huma.Register(api, withDefaults(huma.Operation{
		OperationID: "change-book", Method: http.MethodPatch, Path: "/books/id/{id}", DefaultStatus: http.StatusOK,
		Summary: "Change some fields of a book",
	}, 400, 404, 408, 412, 413, 415, 428, 503), withProblems(s.patch))
	huma.Register(api, withDefaults(huma.Operation{
		OperationID: "delete-book", Method: http.MethodDelete, Path: "/books/id/{id}", DefaultStatus: http.StatusNoContent,
		Summary: "Remove a book",
	}, 400, 404, 412, 428, 503), withProblems(s.remove))
}

// withDefaults adds what all operations have, and the statuses of errors, to an operation. 304
// is not an error.
func withDefaults(op huma.Operation, errors ...int) huma.Operation {
	op.MaxBodyBytes = cmp.Or(op.MaxBodyBytes, maxBook)
	op.Tags, op.Errors, op.Responses = []string{"books"}, errors, map[string]*huma.Response{}
	if errors[0] == http.StatusNotModified {
		op.Errors = errors[1:]
		op.Responses["304"] = &huma.Response{Description: "The client has the book as it is"}
	}
	return op
}

func (s *Server) create(ctx context.Context, in *createInput) (*createOutput, error) {
	out := &createOutput{}
	var err error
	if in.Key == "" {
		out.Body, err = s.store.Insert(ctx, in.Body)
	} else {
		var stored []*Book
		var replayed bool
		if stored, replayed, err = s.store.InsertIdempotent(ctx, in.Key, []NewBook{in.Body}); err == nil {
			out.Body, out.Replayed = stored[0], replayedHeader(replayed)
		}
	}
	if err != nil {
		return nil, err
	}
	out.Location, out.ETag = out.Body.location(), out.Body.etag()
	return out, nil
}

// replayedHeader is the value of Idempotency-Replayed, or none.
func replayedHeader(replayed bool) string {
	if replayed {
		return "true"
	}
	return ""
}

func (s *Server) createAll(ctx context.Context, in *batchInput) (*batchOutput, error) {
	out := &batchOutput{}
	var err error
	if in.Key == "" {
		out.Body.Books, err = s.store.InsertAll(ctx, in.Body.Books)
	} else {
		var replayed bool
		out.Body.Books, replayed, err = s.store.InsertIdempotent(ctx, "batch:"+in.Key, in.Body.Books)
		out.Replayed = replayedHeader(replayed)
	}
	return out, err
}

func (s *Server) byName(ctx context.Context, in *nameInput) (*bookOutput, error) {
	book, err := s.store.Lookup(ctx, in.Name)
	return found(book, err, in.IfNoneMatch)
}

func (s *Server) byID(ctx context.Context, in *readInput) (*bookOutput, error) {
	book, err := s.store.Book(ctx, in.ID)
	return found(book, err, in.IfNoneMatch)
}

func found(book *Book, err error, ifNoneMatch string) (*bookOutput, error) {
	if err != nil {
		return nil, err
	}
	if unchanged(ifNoneMatch, book) {
		return nil, huma.ErrorWithHeaders(huma.Status304NotModified(), http.Header{"ETag": {book.etag()}})
	}
	return &bookOutput{ETag: book.etag(), Body: book}, nil
}

func (s *Server) replace(ctx context.Context, in *replaceInput) (*bookOutput, error) {
	return s.update(ctx, in.ChangeInput, Patch{Name: &in.Body.Name, Author: &in.Body.Author})
}

func (s *Server) patch(ctx context.Context, in *patchInput) (*bookOutput, error) {
	return s.update(ctx, in.ChangeInput, in.Body)
}

func (s *Server) update(ctx context.Context, in ChangeInput, patch Patch) (*bookOutput, error) {
	only, err := ifMatch(in.IfMatch, in.ID)
	if err != nil {
		return nil, err
	}
	book, err := s.store.Update(ctx, in.ID, only, patch)
	return found(book, err, "")
}

func (s *Server) remove(ctx context.Context, in *ChangeInput) (*struct{}, error) {
	only, err := ifMatch(in.IfMatch, in.ID)
	if err != nil {
		return nil, err
	}
	return nil, s.store.Delete(ctx, in.ID, only)
}

func (s *Server) list(ctx context.Context, in *listInput) (*listOutput, error) {
	if in.Prefix != "" && (in.Name != "" || in.Author != "") {
		return nil, invalid(&huma.ErrorDetail{Location: "query.q", Message: "can't be combined with name or author"})
	}
	var after position
	if in.Cursor != "" {
		var ok bool
		if after, ok = parseCursor(in.Cursor); !ok {
			return nil, invalid(&huma.ErrorDetail{Location: "query.cursor", Message: "is not one that a page gave"})
		}
	}
	out := &listOutput{Link: []string{in.link("first", "")}}
	var err error
	out.Body.Books, out.Body.Next, err = s.store.List(ctx, Filter{Name: in.Name, Author: in.Author, Prefix: in.Prefix}, after, in.Limit)
	if out.Body.Next != "" {
		out.Link = append(out.Link, in.link("next", out.Body.Next))
	}
	return out, err
}

func (in *listInput) link(rel, cursor string) string {
	query := url.Values{"limit": {strconv.Itoa(in.Limit)}}
	for name, value := range map[string]string{"name": in.Name, "author": in.Author, "q": in.Prefix, "cursor": cursor} {
		if value != "" {
			query.Set(name, value)
		}
	}
	return `</books?` + query.Encode() + `>; rel="` + rel + `"`
}
