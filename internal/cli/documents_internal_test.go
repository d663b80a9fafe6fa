package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// outputSchemaFile is generated from the types of the documents:
// UPDATE_DOCS=1 go test -run TestTheSchemaIsThatOfTheDocuments ./internal/cli
const outputSchemaFile = "../../docs/output.schema.json"

// documents are the types of what is printed as JSON, in the order of the schema: by
// the name of their definition, what their field "type" says, and what they are.
var documents = []struct {
	name, kind, doc string
	of              []any
}{
	{"note", "note", "Where a run is, or what it found, in words for people.", []any{noteDocument{}}},
	{"build", "build", "The image, built from source while the run goes on.", []any{buildDocument{}}},
	{"event", "event", "Something that happened to one resource during 'up' or 'destroy'.", []any{eventDocument{}}},
	{"upResult", "result", "How an 'up' ended that did what it was to do.", []any{upDocument{}}},
	{"destroyResult", "result", "How a 'destroy' ended.", []any{destroyDocument{}}},
	{"rollbackResult", "result", "How a 'rollback' ended that did what it was to do.", []any{rollbackDocument{}}},
	{"restartResult", "result", "How a 'restart' ended that did what it was to do.", []any{restartDocument{}}},
	{"pauseResult", "result", "How a 'pause' ended that did what it was to do.", []any{pauseDocument{}}},
	{"resumeResult", "result", "How a 'resume' ended that did what it was to do.", []any{resumeDocument{}}},
	{"rotateResult", "result", "How a 'db rotate-password' ended that did what it was to do.", []any{rotateDocument{}}},
	{"dumpResult", "result", "How a 'db dump' ended that did what it was to do.", []any{dumpDocument{}}},
	{"loadResult", "result", "How a 'db load' ended that did what it was to do.", []any{loadDocument{}}},
	{"secretResult", "result", "How a 'secret set' or 'secret unset' ended that did what it was to do.", []any{secretDocument{}}},
	{"error", "error", "Why a command failed, what to do next, and its exit code.", []any{errorDocument{}}},
	{"plan", "plan", "What 'up' would do, and what the stack costs. The exit code is 0 when there is nothing to do, 2 when there are changes, and 1 when something is blocked.", []any{planOutput{}}},
	{"graph", "graph", "What a stack is made of, what needs what, and the state of each part.", []any{graphDocument{}}},
	{"status", "status", "How the stack is. What is not there is left out or empty.", []any{statusOutput{}}},
	{"log", "log", "A line that a task wrote.", []any{logDocument{}}},
	{"run", "run", "The end of a command that 'run' ran in a task of its own; with --detach its start.", []any{runDocument{}}},
	{"happening", "happening", "What ECS reports of the service or one of its tasks.", []any{happeningDocument{}}},
	{"list", "list", "The stacks of an account and region.", []any{listDocument{}}},
	{"database", "database", "How to reach the stack's database.", []any{databaseDocument{}}},
	{"snapshotList", "snapshots", "The snapshots and retained backups of the stack's database.", []any{snapshotsDocument{}}},
	{"secretList", "secrets", "The variables that the stack keeps in its own secret, without values.", []any{secretsDocument{}}},
	{"alarmList", "alarms", "The alarms of the stack and who is notified, from 'alarm list'.", []any{alarmsDocument{}}},
	{"alarmTest", "alarm-test", "The alarms that 'alarm test' raised and took back.", []any{alarmTestDocument{}}},
	{"version", "version", "The version of bookctl.", []any{versionDocument{}}},
	{"local", "local", "The cloud on this machine: 'local start' and 'local status' say where it is, 'local stop' whether it ran.", []any{localDocument{}, localStoppedDocument{}}},
	{"interruption", "interruption", "The task that 'local interrupt' takes back.", []any{interruptionDocument{}}},
	{"environment", "environment", "The variables that point AWS tools at the cloud on this machine.", []any{environmentDocument{}}},
	{"manual", "manual", "Where the manual pages were written.", []any{manualDocument{}}},
	{"init", "init", "The file of the app that was written.", []any{initDocument{}}},
	{"url", "url", "Where the stack answers, from 'open'.", []any{urlDocument{}}},
	{"ui", "ui", "Where the page of a stack is, from 'ui'.", []any{pageDocument{}}},
	{"policy", "policy", "The least IAM policy for a stack, from 'policy'.", []any{policyDocument{}}},
	{"tunnel", "tunnel", "Where the database is reached from this machine, from 'db tunnel'.", []any{tunnelDocument{}}},
	{"localLog", "localLog", "A line of the local cloud's own log, from 'local logs'.", []any{localLogDocument{}}},
}

// object is a JSON object, which is encoded in the order of its keys.
type object = map[string]any

// TestTheSchemaIsThatOfTheDocuments generates docs/output.schema.json, and fails where
// the file is another one.
func TestTheSchemaIsThatOfTheDocuments(t *testing.T) {
	t.Parallel()
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(schemaOfOutput()); err != nil {
		t.Fatal(err)
	}
	if os.Getenv("UPDATE_DOCS") != "" {
		if err := os.WriteFile(outputSchemaFile, text.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(outputSchemaFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(have), text.String()); diff != "" {
		t.Errorf("docs/output.schema.json is stale; UPDATE_DOCS=1 writes it (-file +types):\n%s", diff)
	}
}

func schemaOfOutput() object {
	var kinds []string
	var which []object
	defs := object{}
	for _, d := range documents {
		var all []object
		for _, of := range d.of {
			s := schemaOf(reflect.TypeOf(of))
			properties := s["properties"].(object)
			properties["schema"], properties["type"] = object{"const": schema}, object{"const": d.kind}
			all = append(all, s)
		}
		def := all[0]
		if len(all) > 1 {
			def = object{"anyOf": all}
		}
		def["description"] = d.doc
		defs[d.name] = def
		if !slices.Contains(kinds, d.kind) {
			kinds = append(kinds, d.kind)
		}
		is := object{"type": object{"const": d.kind}}
		if properties, ok := all[0]["properties"].(object); ok && d.kind == "result" {
			is["command"] = properties["command"]
		}
		which = append(which, object{"if": object{"properties": is}, "then": object{"$ref": "#/$defs/" + d.name}})
	}
	return object{
		"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "https://github.com/bookctl/bookctl/docs/output.schema.json",
		"title":       "What bookctl prints with --output json",
		"description": "Every line on standard output is one object. 'schema' is the version: within it, fields and types are added and never removed or changed. 'type' says which of the definitions an object is of; ignore one that you do not know, and fields that you do not know. A run prints notes, builds and events while it goes on, and ends with a result, or with an error when it failed.",
		"type":        "object", "required": []string{"schema", "type"},
		"properties": object{"schema": object{"const": schema}, "type": object{"type": "string", "examples": kinds}},
		"allOf":      which, "$defs": defs,
	}
}

// schemaOf is the schema of a Go type as encoding/json writes it. A field's tag doc
// describes it, and enum lists its values, separated by bars. No number of a document is
// negative.
func schemaOf(of reflect.Type) object {
	switch of.Kind() {
	case reflect.Pointer:
		return schemaOf(of.Elem())
	case reflect.String:
		return object{"type": "string"}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Int, reflect.Int32, reflect.Int64:
		return object{"type": "integer", "minimum": 0}
	case reflect.Float64:
		return object{"type": "number", "minimum": 0}
	case reflect.Slice:
		return object{"type": "array", "items": schemaOf(of.Elem())}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": schemaOf(of.Elem())}
	case reflect.Interface: // a setting's value
		return object{"type": []string{"integer", "string", "boolean"}}
	case reflect.Struct:
		if of == reflect.TypeFor[time.Time]() {
			return object{"type": "string", "format": "date-time"}
		}
		properties, required := object{}, []string{}
		addFields(of, properties, &required)
		return object{"type": "object", "properties": properties, "required": required}
	default:
		panic(of.String() + " has no schema")
	}
}

// addFields adds the fields of a struct, those of embedded ones among them.
func addFields(of reflect.Type, properties object, required *[]string) {
	for f := range of.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "":
			addFields(f.Type, properties, required)
			continue
		case !f.IsExported() || name == "-":
			continue
		}
		s := schemaOf(f.Type)
		if doc := f.Tag.Get("doc"); doc != "" {
			s["description"] = doc
		}
		if values := f.Tag.Get("enum"); values != "" {
			s["enum"] = strings.Split(values, "|")
		}
		properties[name] = s
		if !strings.Contains(options, "omit") {
			*required = append(*required, name)
		}
	}
}
