package kernel

import (
	"encoding/base64"
	"strconv"
	"strings"
)

// PageOf cuts the page that a token asks for out of a whole list, limit things
// at most, and makes the token of the next one, nil at the end. A token that
// was not made here is answered by bad.
func PageOf[T any](all []T, token *string, limit int, bad error) (page []T, next *string, err error) {
	start := 0
	if token != nil && *token != "" {
		text, err := base64.URLEncoding.DecodeString(*token)
		number, ok := strings.CutPrefix(string(text), "page:")
		if err != nil || !ok {
			return nil, nil, bad
		}
		if start, err = strconv.Atoi(number); err != nil || start < 0 {
			return nil, nil, bad
		}
	}
	start = min(start, len(all))
	end := min(start+limit, len(all))
	if end < len(all) {
		t := base64.URLEncoding.EncodeToString([]byte("page:" + strconv.Itoa(end)))
		next = &t
	}
	return all[start:end], next, nil
}
