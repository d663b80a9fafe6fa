package api

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-chi/chi/v5"
)

func (s *Server) routes() http.Handler {
	router := chi.NewRouter()
	router.NotFound(func(w http.ResponseWriter, r *http.Request) {
		writeProblem(w, problem(http.StatusNotFound, "there is nothing at this path"))
	})
	router.MethodNotAllowed(func(w http.ResponseWriter, r *http.Request) {
		writeProblem(w, problem(http.StatusMethodNotAllowed, "this path does not take "+r.Method))
	})
	config := huma.DefaultConfig("Books", s.options.Version)
	config.DocsPath, config.SchemasPath, config.CreateHooks = "", "", nil
	api := huma.NewAPI(config, &adapter{router: router})
	s.register(api)
	router.Get("/healthz", s.healthz)
	router.Get("/readyz", s.readyz)
	router.Get("/", func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write([]byte(hello)) })
	return router
}

const hello = "Hello, World!"

func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte("ok\n")) // the client has gone
}

func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	switch err := s.ready(r.Context()); {
	case err != nil:
		writeProblem(w, problemOf(err))
	default:
		s.healthz(w, r)
	}
}

func (s *Server) ready(ctx context.Context) error {
	if s.draining.Load() {
		return &Error{Code: Unavailable, Message: "shutting down"}
	}
	if !s.migrated.Load() {
		return &Error{Code: Unavailable, Message: "waiting for the database"}
	}
	return s.store.Ping(ctx)
}

func writeProblem(w http.ResponseWriter, p *huma.ErrorModel) {
	w.Header().Set("Content-Type", "application/problem+json")
	if p.Status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the client has gone
}
