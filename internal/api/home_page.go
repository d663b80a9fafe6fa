package api

import (
	"bytes"
	"embed"
	"net/http"
	"strings"
)

// The pages are plain files: no build step, nothing from elsewhere.
//
//go:embed page
var page embed.FS

const (
	newestShown = 20 // books on the home page
	maxForm     = 64 << 10
)

// homePage is what page/home.html shows.
type homePage struct {
	// Books are the newest, unless the database does not answer.
	Books       []*Book
	Unavailable bool
	// Fields are what a browser has sent.
	Fields []formField
	// Failed is the reason why the book was not stored; empty otherwise.
	Failed string
}

type formField struct{ Name, Label, Value, Wrong string }

func form(name, author string) []formField {
	return []formField{{"name", "Name", name, ""}, {"author", "Author", author, ""}}
}

// home greets programs, and shows a page to browsers.
func (s *Server) home(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Vary", "Accept")
	if !strings.Contains(r.Header.Get("Accept"), "text/html") {
		plainText("Hello, World!", noCheck)(w, r)
		return
	}
	s.writeHome(w, r, http.StatusOK, homePage{Fields: form("", "")})
}

// addFromHome stores a book that the page's form sends, without any script.
func (s *Server) addFromHome(w http.ResponseWriter, r *http.Request) {
	// Other sites' pages must not use the browsers of those who can reach this.
	if err := http.NewCrossOriginProtection().Check(r); err != nil {
		writeError(w, r, &Error{Status: http.StatusForbidden, Message: "a form of another site can't add books"})
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		writeError(w, r, badRequest("the form can't be read"))
		return
	}
	book := NewBook{Name: r.PostForm.Get("name"), Author: r.PostForm.Get("author")}
	shown, status := homePage{Fields: form(book.Name, book.Author)}, http.StatusSeeOther
	for i, f := range shown.Fields {
		if !storable(f.Value) {
			shown.Fields[i].Wrong, status = "Give 1 to 1,000 characters.", http.StatusUnprocessableEntity
		}
	}
	if status == http.StatusSeeOther {
		err := s.checkStarted(r)
		if err == nil {
			_, err = s.store.Insert(r.Context(), book)
		}
		if err == nil {
			// So that loading the page again does not store the book again.
			http.Redirect(w, r, "/", status)
			return
		}
		p := problem(r.Context(), err)
		shown.Failed, status = p.Detail, p.Status
	}
	s.writeHome(w, r, status, shown)
}

func (s *Server) writeHome(w http.ResponseWriter, r *http.Request, status int, shown homePage) {
	var err error
	shown.Books, err = s.store.Newest(r.Context(), newestShown)
	shown.Unavailable = err != nil
	var out bytes.Buffer
	if err = s.page.Execute(&out, shown); err != nil {
		writeError(w, r, err)
		return
	}
	secure(w)
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = out.WriteTo(w) // the client has gone
}

// secure lets a page use nothing but its own script and style, in nobody's frame.
func secure(w http.ResponseWriter) {
	w.Header().Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.Header().Set("Cache-Control", "no-cache")
}

// asset serves a file of the pages.
func asset(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		secure(w)
		http.ServeFileFS(w, r, page, "page/"+name)
	}
}
