package cli

import (
	"encoding/json"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// documents are the types of what is printed as JSON, by their definition in the
// schema.
var documents = map[string][]any{
	"note": {noteDocument{}}, "build": {buildDocument{}}, "event": {eventDocument{}}, "error": {errorDocument{}},
	"upResult": {upDocument{}}, "destroyResult": {destroyDocument{}}, "rollbackResult": {rollbackDocument{}}, "rotateResult": {rotateDocument{}}, "secretResult": {secretDocument{}}, "secretList": {secretsDocument{}},
	"plan": {planOutput{}}, "graph": {graphDocument{}}, "status": {statusOutput{}}, "log": {logDocument{}}, "run": {runDocument{}}, "happening": {happeningDocument{}},
	"list": {listDocument{}}, "database": {databaseDocument{}}, "snapshotList": {snapshotsDocument{}}, "version": {versionDocument{}},
	"local": {localDocument{}, localStoppedDocument{}}, "environment": {environmentDocument{}}, "manual": {manualDocument{}}, "init": {initDocument{}}, "url": {urlDocument{}},
	"policy": {policyDocument{}}, "tunnel": {tunnelDocument{}}, "localLog": {localLogDocument{}},
}

// TestTheSchemaHasTheFieldsOfEachDocument holds docs/output.schema.json against the
// types: the same fields, as deep as the schema closes them, of the same kinds, and
// required where a type always has them.
func TestTheSchemaHasTheFieldsOfEachDocument(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/output.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var schema struct {
		Properties struct {
			Type struct{ Enum []string }
		}
		Defs definitions `json:"$defs"`
	}
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	for name, types := range documents {
		d, ok := schema.Defs[name]
		if !ok {
			t.Errorf("%s is not in the schema", name)
			continue
		}
		var all []reflect.Type
		for _, of := range types {
			all = append(all, reflect.TypeOf(of))
		}
		schema.Defs.holds(t, name, d, all)
	}
	kinds := map[string]bool{}
	for name, d := range schema.Defs {
		if kind := d.Properties["type"].Const; kind != nil {
			kinds[kind.(string)] = true
			if documents[name] == nil {
				t.Errorf("%s of the schema is no document", name)
			}
		}
	}
	if diff := cmp.Diff(slices.Sorted(slices.Values(schema.Properties.Type.Enum)), slices.Sorted(maps.Keys(kinds))); diff != "" {
		t.Errorf("types of documents (-listed +defined):\n%s", diff)
	}
}

// definition is what of a schema's definition a Go type can be held against.
type definition struct {
	Ref                  string `json:"$ref"`
	Const                any
	Type                 any
	Required             []string
	Properties           map[string]definition
	AdditionalProperties any
	Items                *definition
}

type definitions map[string]definition

// holds compares a definition with the types that it is of.
func (all definitions) holds(t *testing.T, path string, d definition, types []reflect.Type) {
	t.Helper()
	if d.Ref != "" {
		d = all[strings.TrimPrefix(d.Ref, "#/$defs/")]
	}
	for i, of := range types {
		if of.Kind() == reflect.Pointer {
			types[i] = of.Elem()
		}
	}
	if of := types[0]; of.Kind() == reflect.Slice && d.Items != nil {
		all.holds(t, path+"[]", *d.Items, []reflect.Type{of.Elem()})
		return
	}
	if want := jsonType(types[0]); d.Type != nil && want != "" && d.Type != want {
		t.Errorf("%s is of type %v in the schema, and %s is a %s", path, d.Type, types[0], want)
	}
	if d.AdditionalProperties != false || types[0].Kind() != reflect.Struct {
		return
	}
	fields, always := map[string]reflect.Type{}, map[string]int{}
	for _, of := range types {
		for name, f := range fieldsOf(of) {
			fields[name] = f.of
			if !f.optional {
				always[name]++
			}
		}
	}
	maps.DeleteFunc(always, func(_ string, in int) bool { return in < len(types) })
	if diff := cmp.Diff(slices.Sorted(maps.Keys(d.Properties)), slices.Sorted(maps.Keys(fields))); diff != "" {
		t.Errorf("fields of %s (-schema +type):\n%s", path, diff)
	}
	if diff := cmp.Diff(slices.Sorted(slices.Values(d.Required)), slices.Sorted(maps.Keys(always))); diff != "" {
		t.Errorf("required fields of %s (-schema +type):\n%s", path, diff)
	}
	for name, of := range fields {
		all.holds(t, path+"."+name, d.Properties[name], []reflect.Type{of})
	}
}

// jsonType is the type of a Go type in JSON, "" where it may be several.
func jsonType(of reflect.Type) string {
	switch of.Kind() {
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "boolean"
	case reflect.Int, reflect.Int32, reflect.Int64:
		return "integer"
	case reflect.Float64:
		return "number"
	case reflect.Slice:
		return "array"
	case reflect.Map:
		return "object"
	case reflect.Struct:
		if of == reflect.TypeFor[time.Time]() {
			return "string"
		}
		return "object"
	}
	return ""
}

type field struct {
	of       reflect.Type
	optional bool
}

// fieldsOf are the fields of a struct as JSON has them.
func fieldsOf(of reflect.Type) map[string]field {
	out := map[string]field{}
	for f := range of.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "":
			maps.Copy(out, fieldsOf(f.Type))
		case f.IsExported() && name != "-":
			out[name] = field{f.Type, strings.Contains(options, "omit")}
		}
	}
	return out
}
