package appfile

import (
	"encoding/json"
	"strconv"
)

// property describes a key in the schema.
type property struct {
	Description string `json:"description,omitempty"`
	Examples    []any  `json:"examples,omitempty"`
	Type        any    `json:"type,omitempty"`
	Items       any    `json:"items,omitempty"`
	Additional  any    `json:"additionalProperties,omitempty"`
	Properties  any    `json:"properties,omitempty"`
}

// Schema returns the JSON Schema of the file, for editors.
func Schema(keys []Key) ([]byte, error) {
	scalar := []string{"string", "number", "boolean"}
	one := map[string]property{}
	for _, k := range keys {
		p := property{Description: k.Help}
		var example any = k.Example
		switch k.Kind {
		case Number:
			p.Type = "integer"
			if n, err := strconv.Atoi(k.Example); err == nil {
				example = n
			}
		case Switch:
			p.Type = "boolean"
			example = k.Example == "true"
		case List:
			p.Type = []string{"object", "array"}
			p.Additional, p.Items = map[string]any{"type": scalar}, map[string]any{"type": scalar}
		default:
			p.Type, p.Items = []string{"string", "number", "array"}, map[string]any{"type": scalar}
		}
		if k.Example != "" {
			p.Examples = []any{example}
		}
		one[k.Name] = p
	}
	all := map[string]property{}
	for name, p := range one {
		all[name] = p
	}
	all["stack"] = property{Description: "name of the stack that commands use without --stack", Type: "string", Examples: []any{"book"}}
	all["stacks"] = property{
		Description: "settings of each stack, by its name; they override those at the top level", Type: "object",
		Additional: property{Type: []string{"object", "null"}, Properties: one, Additional: false},
	}
	text, err := json.MarshalIndent(map[string]any{
		"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": SchemaURL, "title": Name,
		"description": "The settings of an app's stacks, which are the flags of 'bookctl up', and the names of the stacks.",
		"type":        "object", "additionalProperties": false, "properties": all,
	}, "", "  ")
	return append(text, '\n'), err
}

// jsonList returns a command as a JSON list.
func jsonList(words []string) string {
	text, err := json.Marshal(words)
	if err != nil {
		panic(err) // texts always encode
	}
	return string(text)
}
