package cli

import (
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/pattern"
)

// targetFlags are the flags that say which stack in which cloud, in the order in
// which a message gives them.
var targetFlags = []string{"local", "stack", "region", "account", "file"}

// deployFlags are the flags of up that choose what to deploy, and that are not recorded if
// the run fails: a next run without them would deploy something else, or an empty database.
var deployFlags = []string{"source", "package", "dockerfile", "restore"}

// showCommand completes a command in a message for the stack and the cloud of this run. Messages
// contain commands for the default stack, such as 'bookctl up'; pasted by somebody who uses
// --local --stack demo, that would create another stack in another place. Values from the
// environment are added too, since they may have been set for this one command.
func (g *globals) showCommand(i hint.Invocation) (string, bool) {
	if i.Program == "aws" {
		// The local cloud implements a part of AWS, and has no quotas that can be raised.
		return "'" + strings.Join(g.forAWS(i.Words), " ") + "'", !g.local || i.Words[0] != "service-quotas"
	}
	return "'bookctl " + strings.Join(g.forTarget(i.Words), " ") + "'", true
}

// format is a message with its commands completed for this run.
func (g *globals) format(format string, args ...any) string {
	return hint.New(format, args...).Show(g.showCommand)
}

// forTarget inserts the target's flags into a command line, behind the command's name: an
// option at the end may expect a value.
func (g *globals) forTarget(words []string) []string {
	verb := words[0]
	if strings.HasPrefix(verb, "-") || slices.Contains(words, "--help") || slices.Contains([]string{"local", "man", "version", "help", "completion"}, verb) {
		return words // of no stack
	}
	inCommand := func(flag string) bool {
		return slices.ContainsFunc(words, func(w string) bool {
			return w == "--"+flag || strings.HasPrefix(w, "--"+flag+"=") || flag == "stack" && strings.HasPrefix(w, "-s")
		})
	}
	elsewhere := inCommand("local") && !g.local
	var add []string
	for _, flag := range targetFlags {
		value, given := g.givenValues[flag]
		switch {
		case !given || inCommand(flag):
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
			if value, given := g.givenValues[flag]; given && !inCommand(flag) && (flag == "restore" || !ready) {
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
	region, given := g.givenValues["region"]
	switch {
	case words[0] == "sso" || words[0] == "configure": // of the user, and not of a cloud
	case g.local:
		return append([]string{"bookctl", "local", "aws"}, words...)
	case given && !slices.Contains(words, "--region"):
		return append([]string{"aws"}, append(slices.Clone(words), "--region", shellWord(region))...)
	}
	return append([]string{"aws"}, words...)
}

var plainWord = pattern.New(`^[A-Za-z0-9_@%+=:,./…!-]+$`)

// shellWord quotes a word, if necessary, for the shell of this system that somebody types into.
func shellWord(word string) string {
	if runtime.GOOS == "windows" {
		return windowsWord(word)
	}
	return posixWord(word)
}

// windowsWord quotes a word for PowerShell and cmd. Only PowerShell replaces what begins with $
// or a backtick, and knows single quotes:
// https://learn.microsoft.com/en-us/powershell/module/microsoft.powershell.core/about/about_quoting_rules
func windowsWord(word string) string {
	switch {
	case plainWord.MatchString(strings.ReplaceAll(word, `\`, "/")) && !strings.ContainsAny(word, "@,%"):
		return word
	case strings.ContainsAny(word, "$`\""):
		return "'" + strings.ReplaceAll(word, "'", "''") + "'"
	}
	return `"` + word + `"`
}

// posixWord quotes a word for sh. A "!" can't be in double quotes: a shell that somebody types
// into puts an earlier command in its place.
func posixWord(word string) string {
	if plainWord.MatchString(word) {
		return strings.ReplaceAll(word, "!", `\!`)
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`, "`", "\\`", "!", `"\!"`).Replace(word) + `"`
}

// note prints a line for people, unless --quiet is set.
func (g *globals) note(s streams, format string, args ...any) {
	if !g.quiet {
		fmt.Fprintln(s.err, g.format(format, args...))
	}
}

// lineReplacing is the command line with another word in place of a mistyped one.
func (g *globals) lineReplacing(typed, meant string) []string {
	words := slices.Clone(g.args)
	for i, w := range words {
		if w == typed {
			words[i] = meant
			break
		}
		if value, is := strings.CutPrefix(w, typed+"="); is {
			words[i] = meant + "=" + value
			break
		}
	}
	return shellWords(words)
}

// lineWith is the command line with one word more.
func (g *globals) lineWith(word string) []string {
	return shellWords(append(slices.Clone(g.args), word))
}

// shellWords are the words of a command line as they are typed, but for the values of
// variables.
func shellWords(words []string) []string {
	quoted := make([]string, len(words))
	for i, w := range words {
		if i > 0 && words[i-1] == "--env" {
			w = "--env=" + w
		}
		if name, value, found := strings.Cut(strings.TrimPrefix(w, "--env="), "="); strings.HasPrefix(w, "--env=") && found && value != "" {
			w = "--env=" + name + "=…"
		}
		if i > 0 && words[i-1] == "--env" {
			w = strings.TrimPrefix(w, "--env=")
		}
		quoted[i] = shellWord(w)
	}
	return quoted
}
