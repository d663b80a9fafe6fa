package cli_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

const outputSchemaFile = "../../docs/output.schema.json"

// outputSchema is the schema that users are given, which allows the types and fields that a later
// version adds. This version has no others than those in it.
var outputSchema = sync.OnceValues(func() (*jsonschema.Schema, error) {
	text, err := os.ReadFile(outputSchemaFile)
	if err != nil {
		return nil, err
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	root := document.(map[string]any)
	kind := root["properties"].(map[string]any)["type"].(map[string]any)
	kind["enum"] = kind["examples"]
	closeObjects(root["$defs"])
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource(outputSchemaFile, document); err != nil {
		return nil, err
	}
	return c.Compile(outputSchemaFile)
})

// closeObjects allows no other fields than those that a schema lists.
func closeObjects(schema any) {
	switch s := schema.(type) {
	case []any:
		for _, one := range s {
			closeObjects(one)
		}
	case map[string]any:
		if _, fields := s["properties"].(map[string]any); fields && s["type"] == "object" {
			s["additionalProperties"] = false
		}
		for _, one := range s {
			closeObjects(one)
		}
	}
}

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
