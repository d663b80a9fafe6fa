package kernel

import (
	"regexp"
	"slices"
	"strings"
)

// Selected says whether a list, of which an empty one means everything, names it.
func Selected(list []string, name string) bool { return len(list) == 0 || slices.Contains(list, name) }

// Wildcard matches a filter's value: * stands for any characters and ? for one,
// and a backslash takes their meaning away.
func Wildcard(pattern, text string) bool {
	if !strings.ContainsAny(pattern, `*?\`) {
		return pattern == text
	}
	var b strings.Builder
	b.WriteString("(?s)^")
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case c == '*':
			b.WriteString(".*")
		case c == '?':
			b.WriteString(".")
		case c == '\\' && i+1 < len(pattern):
			i++
			b.WriteString(regexp.QuoteMeta(pattern[i : i+1]))
		default:
			b.WriteString(regexp.QuoteMeta(string(c)))
		}
	}
	return regexp.MustCompile(b.String() + "$").MatchString(text)
}

// NonEmpty is a pointer to the text, nil if it is empty.
func NonEmpty(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}
