package api

import (
	"net/http"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humachi"
	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
)

func (s *Server) routes() http.Handler {
	router := chi.NewRouter()
	router.Use(s.observe, middleware.GetHead, slashesInNames)
	router.NotFound(func(w http.ResponseWriter, r *http.Request) {
		writeError(w, r, &Error{Status: http.StatusNotFound, Message: "there is nothing at this path"})
	})
	router.MethodNotAllowed(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Allow", strings.Join(allowed(router, r.URL.EscapedPath()), ", "))
		writeError(w, r, &Error{Status: http.StatusMethodNotAllowed, Message: "this path does not take " + r.Method})
	})
	strictCasing()
	config := huma.DefaultConfig("Books", s.options.Version)
	config.Info.Description = "Store books, and find them again."
	// No page and no schemas of huma's: its page needs the internet.
	config.DocsPath, config.SchemasPath, config.CreateHooks = "", "", nil
	api := humachi.New(router, config)
	api.UseMiddleware(s.checkRequest)
	s.register(api)
	allowFurtherFields(api.OpenAPI())
	router.Get("/healthz", withOperation("healthz", plainText("ok\n", noCheck)))
	router.Get("/readyz", withOperation("readyz", plainText("ready\n", s.checkReady)))
	router.Get("/startupz", withOperation("startupz", plainText("started\n", s.checkNotDraining)))
	router.Get("/metrics", withOperation("metrics", http.HandlerFunc(s.meter.show)))
	router.Get("/docs", withOperation("docs", asset("docs.html")))
	router.Get("/docs.js", withOperation("docs", asset("docs.js")))
	router.Get("/style.css", withOperation("docs", asset("style.css")))
	router.Get("/", withOperation("home", http.HandlerFunc(s.home)))
	router.Post("/", withOperation("home", http.HandlerFunc(s.addFromHome)))
	return router
}

// allowFurtherFields has the document allow fields in answers that a later version adds: huma writes
// for each struct that it has no others, by which clients would refuse them.
func allowFurtherFields(document *huma.OpenAPI) {
	seen := map[*huma.Schema]bool{}
	var allow func(*huma.Schema)
	allow = func(s *huma.Schema) {
		if s != nil && s.Ref != "" {
			s = document.Components.Schemas.SchemaFromRef(s.Ref)
		}
		if s == nil || seen[s] {
			return
		}
		seen[s] = true
		if s.AdditionalProperties == false {
			s.AdditionalProperties = nil
		}
		allow(s.Items)
		for _, property := range s.Properties {
			allow(property)
		}
	}
	for _, path := range document.Paths {
		for _, op := range []*huma.Operation{path.Get, path.Post, path.Put, path.Patch, path.Delete} {
			if op == nil {
				continue
			}
			for _, response := range op.Responses {
				for _, media := range response.Content {
					allow(media.Schema)
				}
			}
		}
	}
}

// strictCasing makes huma refuse fields that differ from the schema's in case.
var strictCasing = sync.OnceFunc(func() { huma.ValidateStrictCasing = true })

// slashesInNames lets the name in /books/{name} hold slashes that are not
// percent-encoded, other than that of /books/id/{id}.
func slashesInNames(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, below := strings.CutPrefix(r.URL.EscapedPath(), "/books/")
		id, isID := strings.CutPrefix(name, "id/")
		if below && strings.Contains(name, "/") && (!isID || id == "" || strings.Contains(id, "/")) {
			to := *r.URL
			to.RawPath = "/books/" + strings.ReplaceAll(name, "/", "%2F")
			r = r.WithContext(r.Context()) // a copy
			r.URL = &to
		}
		next.ServeHTTP(w, r)
	})
}

// allowed are the methods that a path takes, for the header Allow.
func allowed(routes chi.Routes, path string) (methods []string) {
	for _, method := range []string{http.MethodDelete, http.MethodGet, http.MethodPatch, http.MethodPost, http.MethodPut} {
		if routes.Match(chi.NewRouteContext(), method, path) {
			methods = append(methods, method)
			if method == http.MethodGet {
				methods = append(methods, http.MethodHead)
			}
		}
	}
	return methods
}

// plainText answers with a text, or with the error of check.
func plainText(body string, check func(*http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := check(r); err != nil {
			writeError(w, r, err)
			return
		}
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte(body)) // the client has gone
	}
}

func noCheck(*http.Request) error { return nil }

// checkStarted is the check of a new release: it fails until
// the database was there once, and never afterwards, so that a release that can't
// reach the database replaces nothing, and an outage of the database ends no task.
func (s *Server) checkStarted(*http.Request) error {
	if !s.migrated.Load() {
		return unavailable("waiting for the database", nil)
	}
	return nil
}

// checkNotDraining fails once the server drains, so that the load balancer stops sending
// requests. Before, it is checkStarted.
func (s *Server) checkNotDraining(r *http.Request) error {
	if s.draining.Load() {
		return unavailable("shutting down", nil)
	}
	return s.checkStarted(r)
}

// checkReady returns the reason why requests should not be sent here, nil when they should.
func (s *Server) checkReady(r *http.Request) error {
	if err := s.checkNotDraining(r); err != nil {
		return err
	}
	return s.store.Ping(r.Context())
}
