package api

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

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
