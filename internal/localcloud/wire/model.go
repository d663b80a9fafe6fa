package wire

import (
	"compress/gzip"
	"embed"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
)

// The protocols, by AWS's own names.
const (
	EC2     = "ec2"                // query in, XML out
	Query   = "query"              // query in, wrapped XML out
	JSON    = "json"               // AWS JSON 1.1
	RESTXML = "rest-xml"           // Route 53
	CBOR    = "smithy-rpc-v2-cbor" // https://smithy.io/2.0/additional-specs/protocols/smithy-rpc-v2.html
)

// The scalar types. Any other value of Member.Of is the name of a shape.
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

// Model describes the requests and responses of one service.
type Model struct {
	Service  string `json:"service"`
	Protocol string `json:"protocol"`
	// Version is the version of the API. A query contains it, and the paths of rest-xml
	// begin with it.
	Version string `json:"version"`
	// Namespace is the namespace of XML responses.
	Namespace string `json:"namespace,omitempty"`
	// Target is the part of X-Amz-Target before the dot.
	Target string `json:"target,omitempty"`
	// Operations are the operations by name.
	Operations map[string]Operation `json:"operations"`
	// Errors are the HTTP status of the error codes in the API model.
	Errors map[string]int `json:"errors,omitempty"`
	// Shapes are the shapes by their name in the API model.
	Shapes map[string]*Shape `json:"shapes"`
	// Enums are the values of enumerations. The SDK's types have them as well, as methods,
	// but whoever finds a method by name links those of all types: half a megabyte.
	Enums map[string][]string `json:"enums,omitempty"`

	bindings sync.Map // of bindingKey to *binding
	// query and json are the same in other protocols, of a service that takes those as
	// well; else nil.
	query, json *Model
}

// For is the model that a request is read with and answered: CloudWatch takes queries and
// JSON as well as RPC v2, which its newer clients send.
func (m *Model) For(r *http.Request) *Model {
	switch {
	case m.query == nil || r.Header.Get("Smithy-Protocol") != "":
		return m
	case r.Header.Get("X-Amz-Target") != "":
		return m.json
	}
	return m.query
}

// Operation is an operation of a service.
type Operation struct {
	Input  string `json:"input,omitempty"`  // a shape; "" means no members
	Output string `json:"output,omitempty"` // a shape
	// Wrapper is the XML element around the result of a query.
	Wrapper string `json:"wrapper,omitempty"`
	// Method and Path are set if they are not POST and "/".
	Method string `json:"method,omitempty"`
	Path   string `json:"path,omitempty"`
}

// Shape is a structure, a list or a map.
type Shape struct {
	Type string `json:"type"`
	// Members are the members of a structure, by name.
	Members map[string]Member `json:"members,omitempty"`
	// Required are the members that a request must have.
	Required []string `json:"required,omitempty"`
	// Element is the element of a list; Key and Value are those of a map.
	Element *Member `json:"element,omitempty"`
	Key     *Member `json:"key,omitempty"`
	Value   *Member `json:"value,omitempty"`
}

// Member is a member of a structure, or the element, key or value of a list or map.
type Member struct {
	// Of is a scalar type or the name of a shape.
	Of string `json:"of"`
	// Enum is the name of the enumeration that a string is of.
	Enum string `json:"enum,omitempty"`
	// In and Out are the names in requests and responses; "" means the member's own
	// name.
	In  string `json:"in,omitempty"`
	Out string `json:"out,omitempty"`
	// Flat means that a list or map has no element around its elements.
	Flat bool `json:"flat,omitempty"`
	// Time is the format of a timestamp; "" means that of the protocol.
	Time string `json:"time,omitempty"`
	// At is the place of a rest-xml member that is not in the body: uri, querystring or
	// header.
	At string `json:"at,omitempty"`
}

//go:generate go run ../wiregen -models $AWS_MODELS
//go:embed models/*.json.gz
var models embed.FS

// Load reads the table of a service. It parses the table each time, so callers should
// store the result.
func Load(service string) (*Model, error) {
	f, err := models.Open("models/" + service + ".json.gz")
	if err != nil {
		return nil, fmt.Errorf("no wire names for service %s: %w", service, err)
	}
	defer func() { _ = f.Close() }() // only read
	m := new(Model)
	text, err := gzip.NewReader(f)
	if err == nil {
		err = json.NewDecoder(text).Decode(m)
	}
	if err != nil {
		return nil, fmt.Errorf("read the wire names of service %s: %w", service, err)
	}
	if m.Protocol == CBOR {
		as := func(protocol string) *Model {
			return &Model{Service: m.Service, Protocol: protocol, Version: m.Version, Namespace: m.Namespace, Target: m.Target, Operations: m.Operations, Errors: m.Errors, Shapes: m.Shapes, Enums: m.Enums}
		}
		m.query, m.json = as(Query), as(JSON)
	}
	return m, nil
}

// binding maps a structure of the model to its Go type.
type binding struct {
	fields  []boundField // sorted by name
	byIn    map[string]*boundField
	missing []int // Go fields without a member, because the SDK is newer than the model
}

type boundField struct {
	name    string
	member  Member
	in, out string
	index   int // of the Go field, or -1 if there is none
}

type bindingKey struct {
	shape string
	typ   reflect.Type
}

// bind returns the binding of a structure to t. The names of Go fields are those of the
// model, with a capital first letter.
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
