package cli_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

var outputSchema = sync.OnceValues(func() (*jsonschema.Schema, error) {
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	return c.Compile("../../docs/output.schema.json")
})

// fitsSchema holds every line of a command's JSON output against the schema
// that users are given.
func fitsSchema(out string) error {
	schema, err := outputSchema()
	if err != nil {
		return err
	}
	if strings.TrimSpace(out) == "" {
		return errors.New("no JSON was printed")
	}
	for line := range strings.Lines(out) {
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(line))
		if err != nil {
			return fmt.Errorf("%w in %s", err, line)
		}
		if err := schema.Validate(v); err != nil {
			return fmt.Errorf("not as docs/output.schema.json says: %s%w", line, err)
		}
	}
	return nil
}
