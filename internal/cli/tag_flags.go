package cli

import (
	"errors"
	"strings"

	"github.com/spf13/pflag"
)

// tagFlags are the flags for the user's own tags on all resources of the stack.
type tagFlags struct {
	pairs, gone []string

	// values are the parsed tags.
	values map[string]string
}

func (t *tagFlags) add(f *pflag.FlagSet) {
	f.StringArrayVar(&t.pairs, "tag", nil, "put this tag on all resources of the stack, KEY=VALUE (repeatable)")
}

// read parses the flags.
func (t *tagFlags) read() error {
	t.values = map[string]string{}
	for _, pair := range t.pairs {
		key, value, found := strings.Cut(pair, "=")
		if !found || key == "" {
			return errors.New("--tag takes KEY=VALUE")
		}
		t.values[key] = value
	}
	for _, key := range t.gone {
		if strings.Contains(key, "=") {
			return errors.New("--untag takes the key of a tag alone")
		}
	}
	return nil
}
