package api

import (
	"embed"
	"html"
	"net/http"
	"strings"
)

// The pages are plain files: no build step, nothing from elsewhere.
//
//go:embed page
var page embed.FS

const (
	hello = "Hello, World!"
	// newestShown is how many books the home page lists.
	newestShown = 20
	maxForm     = 64 << 10
)

// home greets programs, and shows a page to browsers.
func (s *Server) home(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Vary", "Accept")
	if !strings.Contains(r.Header.Get("Accept"), "text/html") {
		writeText(w, hello)
		return
	}
	s.writeHome(w, r, http.StatusOK, form{})
}

// form is what a browser has sent, with what is wrong with it.
type form struct {
	name, author           string
	nameWrong, authorWrong string
	failed                 string
}

// addFromHome stores a book that the page's form sends, without any script.
func (s *Server) addFromHome(w http.ResponseWriter, r *http.Request) {
	// Other sites' pages must not use the browsers of those who can reach this.
	if err := http.NewCrossOriginProtection().Check(r); err != nil {
		writeProblem(w, problem(http.StatusForbidden, "a form of another site can't add books"))
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		writeProblem(w, problem(http.StatusBadRequest, "the form can't be read"))
		return
	}
	f := form{name: r.PostForm.Get("name"), author: r.PostForm.Get("author")}
	const wrong = "Give 1 to 1,000 characters."
	if !storable(f.name) {
		f.nameWrong = wrong
	}
	if !storable(f.author) {
		f.authorWrong = wrong
	}
	if f.nameWrong != "" || f.authorWrong != "" {
		s.writeHome(w, r, http.StatusUnprocessableEntity, f)
		return
	}
	if _, err := s.store.Insert(r.Context(), NewBook{Name: f.name, Author: f.author}); err != nil {
		if rec, ok := w.(*record); ok {
			rec.err = err
		}
		p := problemOf(err)
		f.failed = "The book was not stored: " + p.Detail + "."
		s.writeHome(w, r, p.Status, f)
		return
	}
	// So that loading the page again does not store the book again.
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

func (s *Server) writeHome(w http.ResponseWriter, r *http.Request, status int, f form) {
	var list strings.Builder
	switch books, err := s.store.Newest(r.Context(), newestShown); {
	case err != nil:
		list.WriteString("<p role=\"status\">The books can't be shown now: the database does not answer.</p>\n")
	case len(books) == 0:
		list.WriteString("<p>None yet.</p>\n")
	default:
		list.WriteString("<ol class=\"books\" reversed>\n")
		for _, b := range books {
			list.WriteString("<li><a href=\"" + html.EscapeString(b.location()) + "\"><cite>" + html.EscapeString(b.Name) + "</cite></a> by " + html.EscapeString(b.Author) + "</li>\n")
		}
		list.WriteString("</ol>\n")
	}
	text, err := page.ReadFile("page/home.html")
	if err != nil {
		writeError(w, err)
		return
	}
	failed := ""
	if f.failed != "" {
		failed = "<p role=\"alert\" class=\"wrong\">" + html.EscapeString(f.failed) + "</p>\n"
	}
	out := strings.NewReplacer(
		"{{books}}", list.String(),
		"{{failed}}", failed,
		"{{name}}", field("name", "Name", f.name, f.nameWrong),
		"{{author}}", field("author", "Author", f.author, f.authorWrong),
	).Replace(string(text))
	writePage(w, status, out)
}

// field is a labelled input with what is wrong with its value.
func field(name, label, value, wrong string) string {
	attributes, message := "", ""
	if wrong != "" {
		attributes = ` aria-invalid="true" aria-describedby="` + name + `-wrong"`
		message = `<span class="wrong" id="` + name + `-wrong">` + html.EscapeString(wrong) + `</span>`
	}
	return `<label for="` + name + `">` + label + `</label>` +
		`<input id="` + name + `" name="` + name + `" value="` + html.EscapeString(value) + `" required maxlength="1000" autocomplete="off"` + attributes + `>` + message
}

func docs(w http.ResponseWriter, _ *http.Request) {
	text, err := page.ReadFile("page/docs.html")
	if err != nil {
		writeError(w, err)
		return
	}
	writePage(w, http.StatusOK, string(text))
}

func writePage(w http.ResponseWriter, status int, text string) {
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	// Nothing but its own script and style, and nobody's frame.
	header.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text)) // the client has gone
}

// asset serves a file of the pages.
func asset(name, contentType string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		text, err := page.ReadFile("page/" + name)
		if err != nil {
			writeError(w, err)
			return
		}
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Cache-Control", "no-cache")
		_, _ = w.Write(text) // the client has gone
	}
}
