package kernel

import (
	"encoding/base64"
	"slices"
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

// PageAfter cuts a list by a token that is the last name of the page before.
func PageAfter(names []string, token *string, limit *int32, otherwise int) ([]string, *string) {
	if token != nil {
		names = names[sortedAfter(names, *token):]
	}
	n := otherwise
	if limit != nil && *limit > 0 {
		n = int(*limit)
	}
	if len(names) <= n {
		return names, nil
	}
	return names[:n], &names[n-1]
}

func sortedAfter(names []string, token string) int {
	i, found := slices.BinarySearch(names, token)
	if found {
		i++
	}
	return i
}
