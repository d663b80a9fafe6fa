package api

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// The short ways must not differ from encoding/json where they act at all.

func FuzzParseNewBook(f *testing.F) {
	for _, text := range []string{
		`{"name":"a","author":"b"}`, ` { "author" : "b" ,` + "\n" + `"name":"😀"}` + "\t", `{"name":"a","name":"b"}`, `{"name":"a","author":"b"}x`,
		`{"name":"a","author":"b",}`, `{"name":"a\"","author":"b"}`, "{\"name\":\"\xff\",\"author\":\"b\"}", `{"name":"","author":"b"}`, `{`, ``,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		book, plain := parseNewBook(text)
		if !plain {
			return
		}
		var want map[string]string
		if err := json.Unmarshal(text, &want); err != nil || !utf8.Valid(text) {
			t.Fatalf("%q is taken as plain: %v", text, err)
		}
		if len(want) != 2 || want["name"] != book.Name || want["author"] != book.Author || !storable(book.Name) || !storable(book.Author) {
			t.Errorf("%q is read as %+v", text, book)
		}
	})
}

func FuzzAppendJSON(f *testing.F) {
	f.Add("a", "b", int64(1), int64(0))
	f.Add("\"\\\n\u2028\u2029 <&> \x7f é 😀", "\x00\x1f", int64(1<<62), int64(123456789))
	f.Fuzz(func(t *testing.T, name, author string, id, micros int64) {
		if !utf8.ValidString(name) || !utf8.ValidString(author) {
			t.Skip("PostgreSQL holds no such text")
		}
		when := time.UnixMicro(micros % (1 << 55)).UTC()
		b := &Book{ID: id, Name: name, Author: author, Created: when, Updated: when.Add(time.Microsecond)}
		var want bytes.Buffer
		encoder := json.NewEncoder(&want)
		encoder.SetEscapeHTML(false)
		if err := encoder.Encode(b); err != nil {
			t.Skip("a year that JSON has not")
		}
		if got := string(b.appendJSON(nil)); got != want.String() {
			t.Errorf("got %q\nwant %q", got, want.String())
		}
	})
}

func FuzzHalfSurrogate(f *testing.F) {
	for _, text := range []string{`"\ud83d\ude00"`, `"\ud83d"`, `"\ude00"`, `"\\ud83d"`, `"\ud83d\ud83d\ude00"`, `"\uD83D\uDE00\u0041"`, `"\ud83dx\ude00"`, `"\ufffd"`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var value string
		if !utf8.Valid(text) || json.Unmarshal(text, &value) != nil {
			return
		}
		// encoding/json puts U+FFFD for each half; there is no other way to it
		// here than to write it.
		written := strings.Count(string(text), "\uFFFD") + strings.Count(strings.ToLower(strings.ReplaceAll(string(text), `\\`, "")), `\ufffd`)
		if got, want := halfSurrogate(text), strings.Count(value, "\uFFFD") > written; got != want {
			t.Errorf("%q: %t, want %t", text, got, want)
		}
	})
}

func FuzzCursor(f *testing.F) {
	f.Add(position{id: 5, key: "a b"}.cursor())
	f.Add("")
	f.Add("MSA")
	f.Fuzz(func(t *testing.T, text string) {
		if p, ok := parseCursor(text); ok {
			if again, ok := parseCursor(p.cursor()); !ok || again != p {
				t.Errorf("%q is %+v, which comes back as %+v", text, p, again)
			}
		}
	})
}

func TestStoredBooksComeInTheOrderOfTheRequest(t *testing.T) {
	t.Parallel()
	asked := []NewBook{{"a", "1"}, {"b", "2"}, {"a", "1"}, {"c", "3"}}
	stored, err := matched(asked, []*Book{{ID: 1, Name: "c", Author: "3"}, {ID: 2, Name: "a", Author: "1"}, {ID: 3, Name: "b", Author: "2"}, {ID: 4, Name: "a", Author: "1"}})
	if err != nil {
		t.Fatal(err)
	}
	for i, b := range stored {
		if b.Name != asked[i].Name || b.Author != asked[i].Author {
			t.Errorf("book %d is %+v, want %+v", i, b, asked[i])
		}
	}
	if _, err := matched(asked[:1], []*Book{{Name: "other"}}); err == nil {
		t.Error("a row that nobody asked for was taken")
	}
}
