package container

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
)

// consoleScheme begins the addresses of consoles.
const consoleScheme = "engine"

// Console is an address by which Enter finds the container and the command to run in it.
func (c *Container) Console(command string) string {
	query := url.Values{"command": {command}}
	if socket := c.engine.place.socket; socket != "" {
		query.Set("socket", socket)
	}
	u := url.URL{Scheme: consoleScheme, Host: c.engine.place.kind, Path: "/" + c.id, RawQuery: query.Encode()}
	return u.String()
}

// Enter is the engine's command that runs the command of a console in its container; with
// a terminal if there is one.
func Enter(console string, terminal bool) ([]string, error) {
	u, err := url.Parse(console)
	if err != nil || u.Scheme != consoleScheme {
		return nil, fmt.Errorf("%q is not the address of a container", console)
	}
	query := u.Query()
	words, err := splitCommand(query.Get("command"))
	if err != nil {
		return nil, fmt.Errorf("take the command %s apart: %w", query.Get("command"), err)
	}
	if len(words) == 0 {
		words = []string{"sh"} // as the agent does
	}
	command := []string{u.Host}
	if socket := query.Get("socket"); socket != "" {
		option := map[string]string{Docker: "--host", Podman: "--url"}[u.Host]
		command = append(command, option, "unix://"+socket)
	}
	command = append(command, "exec", "--interactive")
	if terminal {
		command = append(command, "--tty")
	}
	return append(append(command, strings.TrimPrefix(u.Path, "/")), words...), nil
}

// splitCommand takes a command apart as the agent of Systems Manager does in a container.
// Like a shell it knows quotes, backslashes and comments, but in double quotes a backslash
// stands for whatever follows it.
// https://github.com/aws/amazon-ssm-agent/blob/mainline/agent/session/shell/shell_unix.go (ContainerMode),
// https://github.com/google/shlex
func splitCommand(text string) (words []string, err error) {
	var (
		word  strings.Builder
		begun bool
		quote rune // the one that is open, or 0
		next  bool // that what follows a backslash comes next
	)
	end := func() {
		if begun {
			words = append(words, word.String())
		}
		word.Reset()
		begun = false
	}
	comment := false
	for _, r := range text {
		switch {
		case comment:
			comment = r != '\n'
		case next:
			word.WriteRune(r)
			next = false
		case r == '\\' && quote != '\'':
			next, begun = true, true
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			quote, begun = r, true
		case strings.ContainsRune(" \t\r\n", r):
			end()
		case r == '#' && !begun:
			comment = true
		default:
			word.WriteRune(r)
			begun = true
		}
	}
	switch {
	case next:
		return nil, errors.New("EOF found after escape character")
	case quote != 0:
		return nil, errors.New("EOF found when expecting closing quote")
	}
	end()
	return words, nil
}
