// Package pattern has regular expressions that are compiled when they are first
// used: a command uses few of those that the program has, and would otherwise wait
// for all of them.
package pattern

import (
	"regexp"
	"sync"
)

// Pattern is a regular expression that is part of the program. It may be used by
// several goroutines.
type Pattern struct {
	text string
	once sync.Once
	made *regexp.Regexp
}

// New returns the pattern of a regular expression, in the syntax of package regexp.
// A wrong one panics when it is first used, so a test compiles each that the program
// has (internal/architecture).
func New(text string) *Pattern { return &Pattern{text: text} }

func (p *Pattern) compiled() *regexp.Regexp {
	p.once.Do(func() { p.made = regexp.MustCompile(p.text) })
	return p.made
}

// String returns the regular expression.
func (p *Pattern) String() string { return p.text }

// MatchString reports whether s contains a match. It and the methods below do what those
// of regexp.Regexp do.
func (p *Pattern) MatchString(s string) bool { return p.compiled().MatchString(s) }

// Match reports whether b contains a match.
func (p *Pattern) Match(b []byte) bool { return p.compiled().Match(b) }

// FindString returns the first match, or "".
func (p *Pattern) FindString(s string) string { return p.compiled().FindString(s) }

// FindStringIndex returns where the first match begins and ends, or nil.
func (p *Pattern) FindStringIndex(s string) []int { return p.compiled().FindStringIndex(s) }

// FindStringSubmatch returns the first match and its groups, or nil.
func (p *Pattern) FindStringSubmatch(s string) []string { return p.compiled().FindStringSubmatch(s) }

// FindSubmatch returns the first match and its groups, or nil.
func (p *Pattern) FindSubmatch(b []byte) [][]byte { return p.compiled().FindSubmatch(b) }

// FindAllStringSubmatch returns the first n matches, or all if n is negative, and
// their groups.
func (p *Pattern) FindAllStringSubmatch(s string, n int) [][]string {
	return p.compiled().FindAllStringSubmatch(s, n)
}

// ReplaceAllString returns s with each match replaced; $1 is its first group.
func (p *Pattern) ReplaceAllString(s, by string) string { return p.compiled().ReplaceAllString(s, by) }

// ReplaceAllStringFunc returns s with each match replaced by what by returns for it.
func (p *Pattern) ReplaceAllStringFunc(s string, by func(string) string) string {
	return p.compiled().ReplaceAllStringFunc(s, by)
}
