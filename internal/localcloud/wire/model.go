package wire

import (
	"embed"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
)

// The protocols, by AWS's own names.
const (
	EC2     = "ec2"      // query in, XML out
	Query   = "query"    // query in, wrapped XML out
	JSON    = "json"     // AWS JSON 1.1
	RESTXML = "rest-xml" // Route 53
)

// The scalar types; any other value of Member.Of names a shape.
const (
	String    = "string"
	Integer   = "integer"
	Long      = "long"
	Float     = "float"
	Double    = "double"
	Boolean   = "boolean"
	Blob      = "blob"
	Timestamp = "timestamp"
)

// Scalar says whether a type is one of the above.
func Scalar(of string) bool {
	switch of {
	case String, Integer, Long, Float, Double, Boolean, Blob, Timestamp:
		return true
	}
	return false
}

// Model is what goes over the wire for one service.
type Model struct {
	Service  string `json:"service"`
	Protocol string `json:"protocol"`
	// Version is the API's version: a query carries it, and rest-xml's paths
	// start with it.
	Version string `json:"version"`
	// Namespace is that of the XML answers.
	Namespace string `json:"namespace,omitempty"`
	// Target is the part of X-Amz-Target before the dot.
	Target string `json:"target,omitempty"`
	// Operations are by name.
	Operations map[string]Operation `json:"operations"`
	// Errors are the modelled error codes with their HTTP status.
	Errors map[string]int `json:"errors,omitempty"`
	// Shapes are by the model's own name.
	Shapes map[string]*Shape `json:"shapes"`

	bindings sync.Map // of bindingKey to *binding
}

// Operation is one call.
type Operation struct {
	Input  string `json:"input,omitempty"`  // a shape; "" is no member at all
	Output string `json:"output,omitempty"` // a shape
	// Wrapper is the element around a query's result.
	Wrapper string `json:"wrapper,omitempty"`
	// Method and Path are set where they are not POST and "/".
	Method string `json:"method,omitempty"`
	Path   string `json:"path,omitempty"`
}

// Shape is a structure, a list or a map.
type Shape struct {
	Type string `json:"type"`
	// Members are a structure's, by name.
	Members map[string]Member `json:"members,omitempty"`
	// Required are the members that a request must have.
	Required []string `json:"required,omitempty"`
	// Element is a list's, Key and Value are a map's.
	Element *Member `json:"element,omitempty"`
	Key     *Member `json:"key,omitempty"`
	Value   *Member `json:"value,omitempty"`
}

// Member is a place in a structure, list or map.
type Member struct {
	// Of is a scalar type or a shape's name.
	Of string `json:"of"`
	// In and Out are the names in requests and answers; "" is the member's own.
	In  string `json:"in,omitempty"`
	Out string `json:"out,omitempty"`
	// Flat lists and maps have no element around them.
	Flat bool `json:"flat,omitempty"`
	// Time is the format of a timestamp; "" is the protocol's.
	Time string `json:"time,omitempty"`
	// At is where rest-xml puts a member that is not in the body: uri,
	// querystring or header.
	At string `json:"at,omitempty"`
}

//go:generate go run ../wiregen -models $AWS_MODELS
//go:embed models/*.json
var models embed.FS

// Load reads the table of one service. Its cost is that of parsing it, so a
// caller keeps the result.
func Load(service string) (*Model, error) {
	text, err := models.ReadFile("models/" + service + ".json")
	if err != nil {
		return nil, fmt.Errorf("no wire names for service %s: %w", service, err)
	}
	m := new(Model)
	if err := json.Unmarshal(text, m); err != nil {
		return nil, fmt.Errorf("read the wire names of service %s: %w", service, err)
	}
	return m, nil
}

// binding joins a structure of the model to the Go type that holds it.
type binding struct {
	fields  []boundField // by name
	byIn    map[string]*boundField
	missing []int // Go fields without a member: newer than the model
}

type boundField struct {
	name    string
	member  Member
	in, out string
	index   int // of the Go field, -1 when the Go type has none
}

type bindingKey struct {
	shape string
	typ   reflect.Type
}

// bind looks up how the structure maps to t. The SDK capitalises the model's
// names and otherwise keeps them.
func (m *Model) bind(shape string, t reflect.Type) *binding {
	key := bindingKey{shape, t}
	if b, ok := m.bindings.Load(key); ok {
		return b.(*binding)
	}
	b := &binding{byIn: map[string]*boundField{}}
	var members map[string]Member
	if s := m.Shapes[shape]; s != nil {
		members = s.Members
	}
	bound := map[int]bool{}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		f := boundField{name: name, member: members[name], in: name, out: name, index: -1}
		if f.member.In != "" {
			f.in = f.member.In
		}
		if f.member.Out != "" {
			f.out = f.member.Out
		}
		goField, ok := t.FieldByName(strings.ToUpper(name[:1]) + name[1:])
		if !ok {
			goField, ok = t.FieldByNameFunc(func(s string) bool { return strings.EqualFold(s, name) })
		}
		if ok && len(goField.Index) == 1 {
			f.index = goField.Index[0]
			bound[f.index] = true
		}
		b.fields = append(b.fields, f)
	}
	for i := range b.fields {
		b.byIn[b.fields[i].in] = &b.fields[i]
	}
	for i := range t.NumField() {
		if f := t.Field(i); f.IsExported() && f.Name != "ResultMetadata" && !bound[i] {
			b.missing = append(b.missing, i)
		}
	}
	actual, _ := m.bindings.LoadOrStore(key, b)
	return actual.(*binding)
}
