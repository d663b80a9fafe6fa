package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/pattern"
)

// targetFlags are the flags that say which stack in which cloud, in the order in
// which a message gives them.
var targetFlags = []string{"local", "stack", "region", "account", "file"}

// deployFlags are those of up that say what to deploy, and that are not kept where the
// run was refused: left out of the next one, it would deploy something else, or an empty
// database.
var deployFlags = []string{"source", "package", "dockerfile", "restore"}

// show makes a command in a message act on the stack and the cloud of this run. A
// message gives it as it is typed for the default stack, 'bookctl up'; pasted by
// somebody who said --local --stack demo, that would make another stack, elsewhere.
// What the environment says is added too: it may have been said for this one command.
func (g *globals) show(i hint.Invocation) (string, bool) {
	if i.Program == "aws" {
		// The local cloud has more of AWS than nothing, and no quotas to be raised.
		return "'" + strings.Join(g.forAWS(i.Words), " ") + "'", !g.local || i.Words[0] != "service-quotas"
	}
	return "'bookctl " + strings.Join(g.forTarget(i.Words), " ") + "'", true
}

// text is a message as this run shows it.
func (g *globals) text(format string, args ...any) string {
	return hint.New(format, args...).Show(g.show)
}

// forTarget adds the target's flags to a command line, behind the command's name: an
// option that stands last may want a value.
func (g *globals) forTarget(words []string) []string {
	verb := words[0]
	if strings.HasPrefix(verb, "-") || slices.Contains(words, "--help") || slices.Contains([]string{"local", "man", "version", "help", "completion"}, verb) {
		return words // of no stack
	}
	said := func(flag string) bool {
		return slices.ContainsFunc(words, func(w string) bool {
			return w == "--"+flag || strings.HasPrefix(w, "--"+flag+"=") || flag == "stack" && strings.HasPrefix(w, "-s")
		})
	}
	elsewhere := said("local") && !g.local
	var add []string
	for _, flag := range targetFlags {
		value, given := g.given[flag]
		switch {
		case !given || said(flag):
		case flag == "stack" && verb == "list":
		case elsewhere && flag != "stack":
		case flag == "local" && value == "true":
			add = append(add, "--local")
		case flag == "local":
			add = append(add, "--local="+value)
		default:
			add = append(add, "--"+flag, shellWord(value))
		}
	}
	if verb == "up" || verb == "plan" {
		ready := slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(w, "--image") || w == "--dockerfile" }) && !slices.Contains(words, "build")
		for _, flag := range deployFlags {
			if value, given := g.given[flag]; given && !said(flag) && (flag == "restore" || !ready) {
				add = append(add, "--"+flag, shellWord(value))
			}
		}
	}
	end := slices.IndexFunc(words, func(w string) bool { return strings.HasPrefix(w, "-") })
	if end < 0 {
		end = len(words)
	}
	return slices.Insert(slices.Clone(words), end, add...)
}

// forAWS does the same to a command line of the AWS CLI.
func (g *globals) forAWS(words []string) []string {
	region, given := g.given["region"]
	switch {
	case words[0] == "sso" || words[0] == "configure": // of the user, and not of a cloud
	case g.local:
		return append([]string{"bookctl", "local", "aws"}, words...)
	case given:
		return append([]string{"aws"}, append(slices.Clone(words), "--region", shellWord(region))...)
	}
	return append([]string{"aws"}, words...)
}

var plainWord = pattern.New(`^[A-Za-z0-9_@%+=:,./…-]+$`)

// shellWord quotes a word as a shell wants it where it has to be.
func shellWord(word string) string {
	if plainWord.MatchString(word) {
		return word
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`, "`", "\\`").Replace(word) + `"`
}

// note prints a line for people, unless they want none.
func (g *globals) note(s streams, format string, args ...any) {
	if !g.quiet {
		fmt.Fprintln(s.err, g.text(format, args...))
	}
}
