package api

import (
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// maxText is the greatest length of a name or an author, in characters (Unicode
// code points), as PostgreSQL and JSON Schema count them.
const maxText = 1000

// NewBook is what a client says about a book.
type NewBook struct {
	Name   string `json:"name" minLength:"1" maxLength:"1000" pattern:"^[^\\x00]*$" patternDescription:"text without NUL" doc:"Name of the book" example:"Dune"`
	Author string `json:"author" minLength:"1" maxLength:"1000" pattern:"^[^\\x00]*$" patternDescription:"text without NUL" doc:"Who wrote it" example:"Frank Herbert"`
}

// Patch changes the fields of a book that are given and not null.
type Patch struct {
	Name   *string `json:"name,omitempty" nullable:"true" minLength:"1" maxLength:"1000" pattern:"^[^\\x00]*$" patternDescription:"text without NUL" doc:"New name"`
	Author *string `json:"author,omitempty" nullable:"true" minLength:"1" maxLength:"1000" pattern:"^[^\\x00]*$" patternDescription:"text without NUL" doc:"New author"`
}

// Book is a stored book.
type Book struct {
	ID      int64     `json:"id" minimum:"1" doc:"Number given by the database"`
	Name    string    `json:"name" minLength:"1" maxLength:"1000" doc:"Name of the book"`
	Author  string    `json:"author" minLength:"1" maxLength:"1000" doc:"Who wrote it"`
	Created time.Time `json:"created" doc:"When it was stored"`
	Updated time.Time `json:"updated" doc:"When it was last changed"`

	version int64 // grows by one with each change; it is the ETag
}

// etag is the book's entity tag. Both numbers are in it, so that the tag of one
// book can't pass for that of another.
func (b *Book) etag() string {
	return `"` + strconv.FormatInt(b.ID, 10) + "-" + strconv.FormatInt(b.version, 10) + `"`
}

// location is the path of the book's own resource.
func (b *Book) location() string { return "/books/id/" + strconv.FormatInt(b.ID, 10) }

// storable reports whether text can be a name or an author: what the schema of
// NewBook says, and what PostgreSQL's text can hold.
func storable(text string) bool {
	n := utf8.RuneCountInString(text)
	return 1 <= n && n <= maxText && utf8.ValidString(text) && !strings.Contains(text, "\x00")
}
