package api

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/go-chi/chi/v5"
)

func (s *Server) routes() http.Handler {
	router := chi.NewRouter()
	router.Use(headAsGet, s.opened)
	router.NotFound(func(w http.ResponseWriter, r *http.Request) {
		writeProblem(w, problem(http.StatusNotFound, "there is nothing at this path"))
	})
	router.MethodNotAllowed(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Allow", strings.Join(allowed(router, r.URL.Path), ", "))
		writeProblem(w, problem(http.StatusMethodNotAllowed, "this path does not take "+r.Method))
	})
	strictCasing()
	config := huma.DefaultConfig("Books", s.options.Version)
	config.Info.Description = "Store books, and find them again."
	// No page and no schemas of huma's: its page needs the internet.
	config.DocsPath, config.SchemasPath, config.CreateHooks = "", "", nil
	adapter := &adapter{router: router, shortCreate: s.shortCreate}
	s.register(huma.NewAPI(config, adapter))
	router.Get("/healthz", named("healthz", s.healthz))
	router.Get("/readyz", named("readyz", s.readyz))
	router.Get("/startupz", named("startupz", s.startupz))
	router.Get("/metrics", named("metrics", s.meter.show))
	router.Get("/docs", named("docs", docs))
	router.Get("/docs.js", named("docs", asset("docs.js", "text/javascript; charset=utf-8")))
	router.Get("/style.css", named("docs", asset("style.css", "text/css; charset=utf-8")))
	router.Get("/", named("home", s.home))
	router.Post("/", named("home", s.addFromHome))
	return s.observe(s.shortLookup(adapter, router))
}

// opened answers requests for books only when there is a schema to keep them
// in: until then the database's own answer would read as a fault of ours.
func (s *Server) opened(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		needs := strings.HasPrefix(r.URL.Path, "/books") || r.URL.Path == "/" && r.Method == http.MethodPost
		if needs && !s.migrated.Load() {
			writeError(w, &Error{Code: Unavailable, Message: "waiting for the database"})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// headAsGet answers HEAD as GET; net/http leaves out the body. It is chi's
// middleware.GetHead in small: that package links profilers.
func headAsGet(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			chi.RouteContext(r.Context()).RouteMethod = http.MethodGet
		}
		next.ServeHTTP(w, r)
	})
}

// strictCasing makes huma refuse fields that differ from the schema's in case,
// for which it has a variable of the package only.
var strictCasing = sync.OnceFunc(func() { huma.ValidateStrictCasing = true })

func (s *Server) healthz(w http.ResponseWriter, _ *http.Request) { writeText(w, "ok\n") }

func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	if err := s.ready(r.Context()); err != nil {
		writeError(w, err)
		return
	}
	writeText(w, "ready\n")
}

// startupz is for whoever decides whether a new release comes up: it fails
// until the database was there once, and never afterwards, so that a release
// that can't reach the database replaces nothing, and an outage of the database
// ends no task.
func (s *Server) startupz(w http.ResponseWriter, _ *http.Request) {
	if !s.migrated.Load() {
		writeError(w, &Error{Code: Unavailable, Message: "waiting for the database"})
		return
	}
	writeText(w, "started\n")
}

// ready says why requests should not be sent here, nil when they should.
func (s *Server) ready(ctx context.Context) error {
	if s.draining.Load() {
		return &Error{Code: Unavailable, Message: "shutting down"}
	}
	if !s.migrated.Load() {
		return &Error{Code: Unavailable, Message: "waiting for the database"}
	}
	return s.store.Ping(ctx)
}

func writeText(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte(text)) // the client has gone
}

// fail turns an error into huma's answer, and keeps it for the log.
func fail(ctx context.Context, err error) error {
	p := problemOf(err)
	if rec, ok := ctx.Value(recordKey{}).(*record); ok && p.Status >= 500 {
		rec.err = err
	}
	if p.Status == http.StatusServiceUnavailable {
		return huma.ErrorWithHeaders(p, http.Header{"Retry-After": {retryAfter}})
	}
	return p
}

// writeError answers with an error, and keeps it for the log.
func writeError(w http.ResponseWriter, err error) {
	p := problemOf(err)
	if rec, ok := w.(*record); ok && p.Status >= 500 {
		rec.err = err
	}
	writeProblem(w, p)
}

// retryAfter is how long, in seconds, a client is asked to wait when there is
// no answer now.
const retryAfter = "1"

func writeProblem(w http.ResponseWriter, p *huma.ErrorModel) {
	header := w.Header()
	header.Set("Content-Type", "application/problem+json")
	if p.Status == http.StatusServiceUnavailable {
		header.Set("Retry-After", retryAfter)
	}
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // the client has gone
}
