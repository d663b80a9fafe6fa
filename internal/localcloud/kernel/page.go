package kernel

import (
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
)

// PageOf returns the page of a list that a token asks for, with at most limit items,
// and the token of the next page, or nil at the end. The error is bad if PageOf did
// not return that token.
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

// PageAfter returns a page of sorted names. The token is the last name of the page
// before. Without a limit, a page has otherwise names.
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
