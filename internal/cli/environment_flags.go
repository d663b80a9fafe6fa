package cli

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/bookctl/bookctl/internal/provision"
)

// environmentFlags are the flags that give the container variables.
type environmentFlags struct {
	pairs, files, origins, unset []string

	// The parsed flags: values, and origins of secrets, by name.
	values, secrets map[string]string
}

func (e *environmentFlags) add(f *pflag.FlagSet) {
	f.StringArrayVar(&e.pairs, "env", nil, "give the container this variable, NAME=VALUE (repeatable; readable in the task definition: see 'bookctl secret')")
	f.StringArrayVar(&e.files, "env-file", nil, "give the container the variables in this file, one NAME=VALUE per line (repeatable)")
	f.StringArrayVar(&e.origins, "secret", nil, "give the container a variable from a secret or parameter that exists: NAME=ARN, or NAME=ARN:KEY for one key of a JSON secret (repeatable)")
}

// read parses the flags. Its errors name variables and never values. --env overrides a
// file.
func (e *environmentFlags) read() error {
	e.values, e.secrets = map[string]string{}, map[string]string{}
	for _, file := range e.files {
		text, err := os.ReadFile(file)
		if err != nil {
			return fmt.Errorf("--env-file: %w", err)
		}
		for i, line := range strings.Split(withoutMark(string(text)), "\n") {
			line = strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), "export "))
			if line == "" || strings.HasPrefix(line, "#") {
				continue
			}
			name, value, found := strings.Cut(line, "=")
			if !found {
				return fmt.Errorf("--env-file %s, line %d: give NAME=VALUE", file, i+1)
			}
			e.values[strings.TrimSpace(name)] = unquoted(strings.TrimSpace(value))
		}
	}
	for _, pair := range e.pairs {
		name, value, found := strings.Cut(pair, "=")
		if !found || name == "" {
			return errors.New("--env takes NAME=VALUE")
		}
		e.values[name] = value
	}
	for _, pair := range e.origins {
		name, from, found := strings.Cut(pair, "=")
		if !found || name == "" {
			return errors.New("--secret takes NAME=ARN, or NAME=ARN:KEY")
		}
		origin, err := provision.ParseSecretOrigin(from)
		if err != nil {
			return fmt.Errorf("--secret %s: %w", name, err)
		}
		e.secrets[name] = origin
	}
	for _, name := range e.unset {
		if strings.Contains(name, "=") {
			return errors.New("--unset-env takes the name of a variable alone")
		}
	}
	return nil
}

// unquoted is a value without the quotes around it, as files of variables have them.
func unquoted(value string) string {
	if n := len(value); n >= 2 && (value[0] == '"' || value[0] == '\'') && value[n-1] == value[0] {
		return value[1 : n-1]
	}
	return value
}
