// Package appfile reads and writes bookctl.yaml, the file in an app's directory that
// holds the settings of its stacks.
package appfile

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/pattern"
)

// Name is the name of the file.
const Name = "bookctl.yaml"

// SchemaURL is where editors find the schema of the file.
const SchemaURL = "https://raw.githubusercontent.com/bookctl/bookctl/main/docs/bookctl.schema.json"

// Kind is the kind of a key's value.
type Kind string

// The kinds of keys.
const (
	Text   Kind = "text"
	Number Kind = "number"
	Switch Kind = "switch"
	// List is a list of texts. A mapping instead of it has a text NAME=VALUE for each
	// pair.
	List Kind = "list"
)

// Key is a key that the file may have.
type Key struct {
	Name, Help, Example string
	Kind                Kind
}

// Value is a key of a file with its value.
type Value struct {
	Key string
	// Texts is the value as the text of a flag: one text, or any number for a List.
	Texts []string
	// Line counts from 1.
	Line int
}

// File is the content of a file.
type File struct {
	Path string
	// Stack is the name at the top level, the default stack, or "".
	Stack  string
	values []Value
	stacks []stack
}

type stack struct {
	name   string
	values []Value
}

// reader reads one file.
type reader struct {
	path string
	keys []Key
	errs []error
}

// Parse reads the text of the file at path. Its error names each line that is wrong.
func Parse(path string, text []byte, keys []Key) (*File, error) {
	r := &reader{path: path, keys: keys}
	from := yaml.NewDecoder(bytes.NewReader(text))
	var document, another yaml.Node
	switch err := from.Decode(&document); {
	case errors.Is(err, io.EOF):
		return &File{Path: path}, nil
	case err != nil:
		return nil, fmt.Errorf("%s: %s", path, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if err := from.Decode(&another); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s:%d: the file has more than one document", path, another.Line)
	}
	f := &File{Path: path}
	for _, p := range r.pairs(document.Content[0], 0) {
		switch p.key.Value {
		case "stack":
			if v, ok := r.scalar(p.key.Value, p.value); ok {
				f.Stack = v
			}
		case "stacks":
			for _, s := range r.pairs(p.value, 0) {
				named := stack{name: s.key.Value}
				if slices.ContainsFunc(f.stacks, func(other stack) bool { return other.name == named.name }) {
					r.reject(s.key, "stack %s appears twice", named.name)
				}
				if s.value.Tag != "!!null" { // otherwise the stack has only the settings of all stacks
					for _, v := range r.pairs(s.value, 0) {
						r.add(&named.values, v)
					}
				}
				f.stacks = append(f.stacks, named)
			}
		default:
			r.add(&f.values, p)
		}
	}
	if f.Stack != "" && f.stacks != nil && !slices.Contains(f.Stacks(), f.Stack) {
		r.errs = append(r.errs, fmt.Errorf("%s: stack %s is not among its stacks: %s", path, f.Stack, strings.Join(f.Stacks(), ", ")))
	}
	return f, errors.Join(r.errs...)
}

// Stacks are the names of the stacks that the file has settings for.
func (f *File) Stacks() []string {
	var out []string
	for _, s := range f.stacks {
		out = append(out, s.name)
	}
	return out
}

// Default is the stack that a command uses without --stack, or "" if the file does not
// decide it.
func (f *File) Default() string {
	if f.Stack == "" && len(f.stacks) == 1 {
		return f.stacks[0].name
	}
	return f.Stack
}

// For returns the values of a stack: those at the top level, overridden by those of the
// stack. If the file names its stacks, any other name is an error.
func (f *File) For(name string) ([]Value, error) {
	out := slices.Clone(f.values)
	if f.stacks == nil {
		return out, nil
	}
	i := slices.IndexFunc(f.stacks, func(s stack) bool { return s.name == name })
	if i < 0 {
		return nil, hint.With(fmt.Errorf("%s has no stack %s, but %s", f.Path, name, strings.Join(f.Stacks(), ", ")), "choose one with --stack, or add it to the file")
	}
	for _, v := range f.stacks[i].values {
		out = slices.DeleteFunc(out, func(all Value) bool { return all.Key == v.Key || replaces(v.Key, all.Key) })
		out = append(out, v)
	}
	return out, nil
}

// Origins are the keys that choose the image: one stack may have a source, and another
// one an image.
var Origins = []string{"image", "source", "package", "dockerfile"}

// replaces reports whether a key of a stack removes another key at the top level.
func replaces(key, other string) bool {
	return key != other && (key == "image" && slices.Contains(Origins, other) || other == "image" && slices.Contains(Origins, key))
}

// pair is a key with its value.
type pair struct{ key, value *yaml.Node }

// pairs returns the pairs of a mapping, and of the mappings that are merged into it.
func (r *reader) pairs(n *yaml.Node, depth int) []pair {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind != yaml.MappingNode {
		if n.Tag != "!!null" || depth > 0 {
			r.reject(n, "keys with values are expected here")
		}
		return nil
	}
	if depth > 10 {
		r.reject(n, "merge keys are nested too deeply")
		return nil
	}
	var own, merged []pair
	for i := 0; i+1 < len(n.Content); i += 2 {
		p := pair{n.Content[i], n.Content[i+1]}
		if p.value.Kind == yaml.AliasNode && p.key.Tag != "!!merge" {
			p.value = p.value.Alias
		}
		if p.key.Tag == "!!merge" {
			from := []*yaml.Node{p.value}
			if p.value.Kind == yaml.SequenceNode {
				from = p.value.Content
			}
			for _, f := range from {
				merged = append(merged, r.pairs(f, depth+1)...)
			}
			continue
		}
		own = append(own, p)
	}
	for _, m := range merged {
		if !slices.ContainsFunc(own, func(p pair) bool { return p.key.Value == m.key.Value }) {
			own = append(own, m)
		}
	}
	return own
}

func (r *reader) reject(at *yaml.Node, format string, args ...any) {
	r.errs = append(r.errs, hint.Errorf("%s:%d: %s", r.path, at.Line, hint.New(format, args...)))
}

// Names that suggest a secret, and texts that are a secret whatever their name is.
var (
	secretName = pattern.New(`(?i)pass(word|wd|phrase)|secret|token|api[-_]?key|access[-_]?key|private[-_]?key|credential`)
	// noSecretValue is what no secret is, whatever its name is: a number, a switch, or nothing.
	noSecretValue = pattern.New(`(?i)^([+-]?[0-9]*\.?[0-9]+|true|false|yes|no|on|off|)$`)
	secretValue   = pattern.New(`://[^/\s:@]*:[^/\s@]+@|\bA(KIA|SIA)[0-9A-Z]{16}\b|-----BEGIN [A-Z ]*PRIVATE KEY|\bgh[pousr]_[A-Za-z0-9]{30,}|\bsk_live_`)
)

// suggestsSecret reports whether a variable is called like a secret, and its value can be one.
func suggestsSecret(name, value string) bool {
	return secretName.MatchString(name) && !noSecretValue.MatchString(value)
}

// variable is the name of a variable that a command line takes as it is.
var variable = pattern.New(`^[A-Za-z_][A-Za-z0-9_]*$`)

// noSecret is what to do about a secret in a file, which the container gets as the given
// variable, or as one that is still to be named.
func noSecret(name string) hint.Message {
	if !variable.MatchString(name) {
		name = "NAME"
	}
	return hint.New("a file that is committed holds no secrets; %s stores one in Secrets Manager, and secret: {%s: ARN} names an existing one; a value that is none can be in a file that env-file names", hint.Command("secret", "set", name), name)
}

// add adds a value to a list, or reports what is wrong with it.
func (r *reader) add(to *[]Value, p pair) {
	name := p.key.Value
	i := slices.IndexFunc(r.keys, func(k Key) bool { return k.Name == name })
	switch {
	case slices.ContainsFunc(*to, func(v Value) bool { return v.Key == name }):
		r.reject(p.key, "%s appears twice", name)
		return
	case i < 0 && secretName.MatchString(name):
		r.reject(p.key, "%s: %s", name, noSecret(""))
		return
	case i < 0 && (name == "stack" || name == "stacks"):
		r.reject(p.key, "%s is allowed only at the top level", name)
		return
	case i < 0:
		near := ""
		if n := r.nearest(name); n != "" {
			near = ": did you mean " + n + "?"
		}
		r.reject(p.key, "there is no setting %s%s", name, near)
		return
	}
	key := r.keys[i]
	v := Value{Key: name, Line: p.key.Line}
	switch {
	case p.value.Kind == yaml.ScalarNode:
		text, ok := r.scalar(name, p.value)
		if !ok {
			return
		}
		v.Texts = []string{text}
	case key.Kind == List && p.value.Kind == yaml.MappingNode:
		for _, inner := range r.pairs(p.value, 0) {
			text, ok := r.scalar(name+": "+inner.key.Value, inner.value)
			switch {
			case !ok:
				return
			case name == "secret" && !strings.HasPrefix(text, "arn:"), name != "secret" && suggestsSecret(inner.key.Value, text):
				r.reject(inner.key, "%s: %s: %s", name, inner.key.Value, noSecret(inner.key.Value))
				return
			}
			v.Texts = append(v.Texts, inner.key.Value+"="+text)
		}
	case p.value.Kind == yaml.SequenceNode && (key.Kind == List || key.Kind == Text):
		for _, inner := range p.value.Content {
			text, ok := r.scalar(name, inner)
			if !ok {
				return
			}
			before, after, paired := strings.Cut(text, "=")
			if key.Kind == List && (name == "secret" && !strings.HasPrefix(after, "arn:") || name != "secret" && paired && suggestsSecret(before, after)) {
				r.reject(inner, "%s: %s: %s", name, before, noSecret(before))
				return
			}
			v.Texts = append(v.Texts, text)
		}
		if key.Kind == Text { // a command as a list of words
			v.Texts = []string{jsonList(v.Texts)}
		}
	default:
		r.reject(p.value, "%s: give %s", name, wanted[key.Kind])
		return
	}
	if p.value.Kind == yaml.ScalarNode && (key.Kind == Number && p.value.Tag != "!!int" || key.Kind == Switch && p.value.Tag != "!!bool") {
		r.reject(p.value, "%s: %q is not %s", name, p.value.Value, wanted[key.Kind])
		return
	}
	*to = append(*to, v)
}

// wanted describes the values of each kind.
var wanted = map[Kind]string{Text: "a text", Number: "a whole number", Switch: "true or false", List: "a list, or names with values"}

// scalar returns a value that is one text.
func (r *reader) scalar(name string, n *yaml.Node) (string, bool) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	switch {
	case n.Kind != yaml.ScalarNode:
		r.reject(n, "%s: give one value", name)
	case n.Tag == "!!null":
		r.reject(n, "%s has no value: leave it out, or give it one", name)
	case secretValue.MatchString(n.Value):
		_, of, _ := strings.Cut(name, ": ")
		r.reject(n, "%s contains a password or key: %s", name, noSecret(of))
	default:
		return n.Value, true
	}
	return "", false
}

// nearest returns the key that a mistyped name probably means, or "".
func (r *reader) nearest(name string) string {
	typed := strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(name))
	best, most := "", max(2, len(typed)/3)+1
	for _, k := range slices.Concat(r.keys, []Key{{Name: "stack"}, {Name: "stacks"}}) {
		if d := distance(typed, strings.ReplaceAll(k.Name, "-", "")); d < most {
			best, most = k.Name, d
		}
	}
	return best
}

// distance is the Levenshtein distance of two texts.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := before
			if a[i] != b[j] {
				change++
			}
			before = row[j+1]
			row[j+1] = min(change, min(row[j], row[j+1])+1)
		}
	}
	return row[len(b)]
}

// Write returns the text of a file with these values, in this order.
func Write(name string, values []Value, keys []Key) ([]byte, error) {
	root := &yaml.Node{Kind: yaml.MappingNode}
	text := func(s string) *yaml.Node {
		n := &yaml.Node{}
		n.SetString(s)
		return n
	}
	root.Content = append(root.Content, text("stack"), text(name))
	for _, v := range values {
		i := slices.IndexFunc(keys, func(k Key) bool { return k.Name == v.Key })
		value := text(cmp.Or(strings.Join(v.Texts, ","), ""))
		switch {
		case i >= 0 && keys[i].Kind == Number:
			value = &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: v.Texts[0]}
		case i >= 0 && keys[i].Kind == Switch:
			value = &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: v.Texts[0]}
		case i >= 0 && keys[i].Kind == List && slices.ContainsFunc(v.Texts, func(t string) bool { return !strings.Contains(t, "=") }):
			value = &yaml.Node{Kind: yaml.SequenceNode}
			for _, t := range v.Texts {
				value.Content = append(value.Content, text(t))
			}
		case i >= 0 && keys[i].Kind == List:
			value = &yaml.Node{Kind: yaml.MappingNode}
			for _, t := range v.Texts {
				k, val, _ := strings.Cut(t, "=")
				value.Content = append(value.Content, text(k), text(val))
			}
		}
		root.Content = append(root.Content, text(v.Key), value)
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "# yaml-language-server: $schema=%s\n", SchemaURL)
	to := yaml.NewEncoder(&out)
	to.SetIndent(2)
	err := errors.Join(to.Encode(root), to.Close())
	return out.Bytes(), err
}
