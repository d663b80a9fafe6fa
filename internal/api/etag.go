package api

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// versions are those of a book that a condition names.
type versions struct {
	any  bool
	list []int64
}

// ifMatch reads the value of If-Match for the book of that id. Tags of other
// books and weak ones match no version
// (https://www.rfc-editor.org/rfc/rfc9110.html#name-if-match).
func ifMatch(header string, id int64) (versions, error) {
	if header == "" {
		return versions{}, &Error{Status: http.StatusPreconditionRequired, Message: "send the book's ETag as If-Match, so that nobody's change is lost, or If-Match: * to overwrite whatever is there"}
	}
	return tags(header, id), nil
}

func tags(header string, id int64) versions {
	v := versions{list: []int64{}}
	prefix := `"` + strconv.FormatInt(id, 10) + "-"
	for tag := range strings.SplitSeq(header, ",") {
		tag = strings.TrimSpace(tag)
		if tag == "*" {
			v.any = true
		}
		number, ok := strings.CutPrefix(tag, prefix)
		if n, err := strconv.ParseInt(strings.TrimSuffix(number, `"`), 10, 64); ok && err == nil {
			v.list = append(v.list, n)
		}
	}
	return v
}

// unchanged reports whether If-None-Match names the book as it is, by the weak
// comparison that the header asks for.
func unchanged(header string, b *Book) bool {
	if header == "" {
		return false
	}
	v := tags(strings.ReplaceAll(header, "W/", ""), b.ID)
	return v.any || slices.Contains(v.list, b.version)
}
