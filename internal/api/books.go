package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

type nameInput struct {
	Name string `path:"name" minLength:"1" maxLength:"1000" pattern:"^[^\\x00]*$" patternDescription:"text without NUL" doc:"Name of the book, percent-encoded"`
}

type bookOutput struct {
	ETag string `header:"ETag" doc:"Version of the book, for If-Match"`
	Body *Book
}

type createInput struct {
	Body NewBook
}

type createOutput struct {
	Location string `header:"Location" doc:"Path of the book"`
	ETag     string `header:"ETag" doc:"Version of the book, for If-Match"`
	Body     *Book
}

func (s *Server) register(api huma.API) {
	huma.Register(api, huma.Operation{
		OperationID: "create-book", Method: http.MethodPost, Path: "/books", DefaultStatus: http.StatusCreated,
		Summary: "Store a book",
	}, func(ctx context.Context, in *createInput) (*createOutput, error) {
		book, err := s.store.Insert(ctx, in.Body)
		if err != nil {
			return nil, s.fail(err)
		}
		return &createOutput{Location: book.location(), ETag: book.etag(), Body: book}, nil
	})
	huma.Register(api, huma.Operation{
		OperationID: "get-book-by-name", Method: http.MethodGet, Path: "/books/{name}",
		Summary: "The first book of a name",
	}, func(ctx context.Context, in *nameInput) (*bookOutput, error) {
		book, err := s.store.Lookup(ctx, in.Name)
		if err != nil {
			return nil, s.fail(err)
		}
		return &bookOutput{ETag: book.etag(), Body: book}, nil
	})
}

// fail turns an error into the answer.
func (s *Server) fail(err error) error {
	p := problemOf(err)
	if p.Status == http.StatusInternalServerError {
		s.log.Error("internal error", "error", err.Error())
	}
	if p.Status == http.StatusServiceUnavailable {
		return huma.ErrorWithHeaders(p, http.Header{"Retry-After": {"1"}})
	}
	return p
}
