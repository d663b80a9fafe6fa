package kernel

import (
	"regexp"
	"slices"
	"strings"
)

// Selected reports whether a list contains name. An empty list contains every name.
func Selected(list []string, name string) bool { return len(list) == 0 || slices.Contains(list, name) }

// Wildcard reports whether text matches the value of a filter: * matches any
// characters, ? matches one, and a backslash escapes them.
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
