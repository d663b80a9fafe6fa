package balancer

import (
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// Rule is what is done with the requests that it matches, before the listener's
// own action.
type Rule struct {
	Match  Match
	Action Action
}

// Match says whether a request meets a condition
// (https://docs.aws.amazon.com/elasticloadbalancing/latest/application/rule-condition-types.html).
type Match func(*http.Request) bool

// All is met when each of the conditions is.
func All(matches ...Match) Match {
	return func(r *http.Request) bool {
		return !slices.ContainsFunc(matches, func(m Match) bool { return !m(r) })
	}
}

// Host is met by a Host header that fits one of the patterns, in any case. The
// port is no part of it.
func Host(patterns []string) Match {
	fits := wildcards(patterns, false)
	return func(r *http.Request) bool {
		host := r.Host
		if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
			host = host[:i]
		}
		return fits(host)
	}
}

// Path is met by a path, without its query, that fits one of the patterns.
func Path(patterns []string) Match {
	fits := wildcards(patterns, true)
	return func(r *http.Request) bool { return fits(r.URL.EscapedPath()) }
}

// Header is met when a value of the header fits one of the patterns, in any case.
func Header(name string, patterns []string) Match {
	fits := wildcards(patterns, false)
	return func(r *http.Request) bool { return slices.ContainsFunc(r.Header.Values(name), fits) }
}

// Method is met by one of the methods, in their case.
func Method(methods []string) Match {
	return func(r *http.Request) bool { return slices.Contains(methods, r.Method) }
}

// Pair is a parameter of a query string. Without a key its value may be that of
// any.
type Pair struct{ Key, Value string }

// Query is met when one of the pairs fits a parameter, in any case.
func Query(pairs []Pair) Match {
	type fit struct{ key, value func(string) bool }
	var fits []fit
	for _, p := range pairs {
		key := p.Key
		if key == "" {
			key = "*"
		}
		fits = append(fits, fit{wildcards([]string{key}, false), wildcards([]string{p.Value}, false)})
	}
	return func(r *http.Request) bool {
		for key, values := range r.URL.Query() {
			for _, f := range fits {
				if f.key(key) && slices.ContainsFunc(values, f.value) {
					return true
				}
			}
		}
		return false
	}
}

// Source is met by a client in one of the networks. What X-Forwarded-For says
// does not count.
func Source(networks []netip.Prefix) Match {
	return func(r *http.Request) bool {
		from, err := netip.ParseAddrPort(r.RemoteAddr)
		return err == nil && slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Contains(from.Addr().Unmap()) })
	}
}

// wildcards fits texts of which one pattern is true: * stands for any
// characters, ? for exactly one.
func wildcards(patterns []string, exact bool) func(string) bool {
	var all []*regexp.Regexp
	for _, p := range patterns {
		text := strings.NewReplacer(`\*`, `.*`, `\?`, `.`).Replace(regexp.QuoteMeta(p))
		flags := "(?s)"
		if !exact {
			flags = "(?si)"
		}
		all = append(all, regexp.MustCompile(flags+"^"+text+"$"))
	}
	return func(text string) bool {
		return slices.ContainsFunc(all, func(p *regexp.Regexp) bool { return p.MatchString(text) })
	}
}
