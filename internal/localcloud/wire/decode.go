package wire

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// maxDepth limits the nesting of a request's values. AWS's models need far less.
const maxDepth = 40

// Error reports that a request can't be decoded. Code is AWS's error code.
type Error struct{ Code, Message string }

func (e *Error) Error() string { return e.Code + ": " + e.Message }

// OperationName returns the name of a request's operation. For rest-xml it is the
// operation whose method and path match. For the other protocols it is the name in the
// request, and the operation may not exist.
func (m *Model) OperationName(r *http.Request, body []byte) (string, error) {
	switch m.Protocol {
	case JSON:
		target := r.Header.Get("X-Amz-Target")
		prefix, name, ok := strings.Cut(target, ".")
		if !ok || prefix != m.Target {
			return "", &Error{"UnknownOperationException", fmt.Sprintf("X-Amz-Target %q is not %s.<operation>", target, m.Target)}
		}
		return name, nil
	case CBOR:
		name, ok := strings.CutPrefix(r.URL.Path, "/service/"+m.Target+"/operation/")
		if !ok || r.Header.Get("Smithy-Protocol") != "rpc-v2-cbor" {
			return "", &Error{"UnknownOperationException", fmt.Sprintf("%s is not /service/%s/operation/<operation> with the header Smithy-Protocol: rpc-v2-cbor", r.URL.Path, m.Target)}
		}
		return name, nil
	case RESTXML:
		for _, name := range slices.Sorted(maps.Keys(m.Operations)) {
			o := m.Operations[name]
			if _, ok := matchPath(o.Path, r.URL.Path); ok && o.Method == r.Method {
				return name, nil
			}
		}
		return "", &Error{"InvalidAction", "no operation of this cloud has the path " + r.Method + " " + r.URL.Path}
	default:
		form, err := queryForm(r, body)
		if err != nil {
			return "", err
		}
		name := form.Get("Action")
		if name == "" {
			return "", &Error{"MissingAction", "The request is missing an action."}
		}
		return name, nil
	}
}

func queryForm(r *http.Request, body []byte) (url.Values, error) {
	form, err := url.ParseQuery(string(body))
	if err == nil && len(form) == 0 && r.URL.RawQuery != "" {
		form, err = url.ParseQuery(r.URL.RawQuery)
	}
	if err != nil {
		return nil, &Error{"MalformedQueryString", "The query string is malformed: " + err.Error()}
	}
	return form, nil
}

// Decode decodes a request of the operation into the SDK's input struct, to which input
// points. The error names a parameter that is unknown, that is missing, or that has a
// value of the wrong type.
func (m *Model) Decode(operation string, r *http.Request, body []byte, input any) error {
	o, ok := m.Operations[operation]
	if !ok {
		return &Error{"InvalidAction", "The action " + operation + " is not valid for this web service."}
	}
	v := reflect.ValueOf(input).Elem()
	d := decoder{m}
	var err error
	switch m.Protocol {
	case JSON:
		err = d.jsonBody(o, body, v)
	case CBOR:
		err = d.cborBody(o, body, v)
	case RESTXML:
		err = d.restBody(o, r, body, v)
	default:
		err = d.query(o, r, body, v)
	}
	if err != nil {
		return err
	}
	return d.required(o.Input, v, "")
}

type decoder struct{ *Model }

// bad returns the error for a parameter with a wrong value.
func (d decoder) bad(path string, err error) error {
	if d.Protocol == JSON {
		return &Error{"ValidationException", fmt.Sprintf("1 validation error detected: Value at '%s' failed to satisfy constraint: %v", path, err)}
	}
	if d.Protocol == EC2 {
		return &Error{"InvalidParameterValue", fmt.Sprintf("Value for parameter %s is invalid: %v", path, err)}
	}
	return &Error{"ValidationError", fmt.Sprintf("1 validation error detected: Value at '%s' failed to satisfy constraint: %v", path, err)}
}

func (d decoder) unknown(path string) error {
	code := "ValidationError"
	switch d.Protocol {
	case EC2:
		code = "UnknownParameter"
	case JSON:
		code = "ValidationException"
	}
	return &Error{code, "The parameter " + path + " is not recognized"}
}

// required checks that all required members are present, at any depth.
func (d decoder) required(of string, v reflect.Value, path string) error {
	s := d.Shapes[of]
	if s == nil {
		return nil
	}
	v = reflect.Indirect(v)
	switch s.Type {
	case "structure":
		b := d.bind(of, v.Type())
		for _, f := range b.fields {
			if f.index < 0 {
				continue
			}
			value := v.Field(f.index)
			if absent(value) {
				if slices.Contains(s.Required, f.name) {
					return d.missing(join(path, f.name))
				}
				continue
			}
			if err := d.required(f.member.Of, value, join(path, f.name)); err != nil {
				return err
			}
		}
	case "list":
		for i := range v.Len() {
			if err := d.required(s.Element.Of, v.Index(i), fmt.Sprintf("%s.%d", path, i+1)); err != nil {
				return err
			}
		}
	case "map":
		for _, key := range v.MapKeys() {
			if err := d.required(s.Value.Of, v.MapIndex(key), join(path, key.String())); err != nil {
				return err
			}
		}
	}
	return nil
}

func (d decoder) missing(path string) error {
	if d.Protocol == EC2 {
		return &Error{"MissingParameter", "The request must contain the parameter " + path}
	}
	code := "ValidationError"
	if d.Protocol == JSON {
		code = "ValidationException"
	}
	return &Error{code, fmt.Sprintf("1 validation error detected: Value null at '%s' failed to satisfy constraint: Member must not be null", path)}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// node is a node in the tree of a query's parameters: in a.b.1=x, b is a child of a.
type node struct {
	value *string
	kids  map[string]*node
}

func (d decoder) query(o Operation, r *http.Request, body []byte, v reflect.Value) error {
	form, err := queryForm(r, body)
	if err != nil {
		return err
	}
	root := &node{}
	for key, values := range form {
		if key == "Action" || key == "Version" {
			continue
		}
		if len(values) > 1 {
			return d.bad(key, fmt.Errorf("it is given %d times", len(values)))
		}
		if strings.Count(key, ".") > maxDepth {
			return d.unknown(key)
		}
		n := root
		for part := range strings.SplitSeq(key, ".") {
			if n.kids == nil {
				n.kids = map[string]*node{}
			}
			if n.kids[part] == nil {
				n.kids[part] = &node{}
			}
			n = n.kids[part]
		}
		n.value = &values[0]
	}
	return d.fromNode(Member{Of: o.Input}, root, v, "")
}

func (d decoder) fromNode(member Member, n *node, v reflect.Value, path string) error {
	s := d.Shapes[member.Of]
	if s == nil {
		for name := range n.kids {
			return d.unknown(join(path, name))
		}
		if n.value == nil {
			return nil
		}
		if err := d.setText(member, *n.value, v); err != nil {
			return d.bad(path, err)
		}
		return nil
	}
	if n.value != nil && (*n.value != "" || len(n.kids) > 0) {
		return d.bad(path, fmt.Errorf("it is a %s", s.Type))
	}
	v = indirect(v)
	switch s.Type {
	case "structure":
		b := d.bind(member.Of, v.Type())
		for _, name := range slices.Sorted(maps.Keys(n.kids)) {
			f := b.byIn[name]
			if f == nil || f.index < 0 {
				return d.unknown(join(path, name))
			}
			if err := d.fromNode(f.member, n.kids[name], v.Field(f.index), join(path, name)); err != nil {
				return err
			}
		}
	case "list":
		items, err := d.items(member, s.Element.In, "member", n, path)
		if err != nil {
			return err
		}
		list := reflect.MakeSlice(v.Type(), len(items), len(items))
		for i, item := range items {
			if err := d.fromNode(*s.Element, item.node, list.Index(i), item.path); err != nil {
				return err
			}
		}
		v.Set(list)
	case "map":
		items, err := d.items(member, "entry", "entry", n, path)
		if err != nil {
			return err
		}
		entries := reflect.MakeMapWithSize(v.Type(), len(items))
		for _, item := range items {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			for name, kid := range item.node.kids {
				part, into := s.Key, key
				switch name {
				case or(s.Key.In, "key"):
				case or(s.Value.In, "value"):
					part, into = s.Value, value
				default:
					return d.unknown(join(item.path, name))
				}
				if err := d.fromNode(*part, kid, into, join(item.path, name)); err != nil {
					return err
				}
			}
			entries.SetMapIndex(key, value)
		}
		v.Set(entries)
	}
	return nil
}

type item struct {
	node *node
	path string
}

// items returns the elements of a list or map in the order of their numbers. Unless it
// is flat, they are below one more name: the shape's own name or the usual one.
func (d decoder) items(member Member, own, usual string, n *node, path string) ([]item, error) {
	if !member.Flat && d.Protocol != EC2 && n.value == nil {
		for name, kid := range n.kids {
			if name != own && name != usual {
				return nil, d.unknown(join(path, name))
			}
			if len(n.kids) > 1 {
				return nil, d.bad(path, fmt.Errorf("its elements have two names"))
			}
			n, path = kid, join(path, name)
		}
	}
	numbers := map[int]item{}
	for name, kid := range n.kids {
		i, err := strconv.Atoi(name)
		if err != nil || i < 0 || strconv.Itoa(i) != name {
			return nil, d.unknown(join(path, name))
		}
		numbers[i] = item{kid, join(path, name)}
	}
	var items []item
	for _, i := range slices.Sorted(maps.Keys(numbers)) {
		items = append(items, numbers[i])
	}
	return items, nil
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func (d decoder) jsonBody(o Operation, body []byte, v reflect.Value) error {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	// The encoding/json package limits the nesting itself.
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var value any
	if err := dec.Decode(&value); err != nil {
		return &Error{"SerializationException", "The request is not JSON: " + err.Error()}
	}
	if _, ok := value.(map[string]any); !ok {
		return &Error{"SerializationException", "The request is not a JSON object"}
	}
	if _, err := dec.Token(); err != io.EOF {
		return &Error{"SerializationException", "The request continues after its JSON object"}
	}
	return d.fromJSON(Member{Of: o.Input}, value, v, "")
}

func (d decoder) fromJSON(member Member, value any, v reflect.Value, path string) error {
	wrong := func(want string) error {
		return &Error{"SerializationException", fmt.Sprintf("%s must be %s", path, want)}
	}
	if value == nil {
		return nil
	}
	s := d.Shapes[member.Of]
	if s == nil {
		var text string
		switch x := value.(type) {
		case string:
			switch member.Of {
			case Integer, Long, Float, Double, Boolean:
				return wrong("a " + member.Of)
			}
			text = x
		case json.Number:
			switch member.Of {
			case Integer, Long, Float, Double, Timestamp:
			default:
				return wrong("a " + member.Of)
			}
			text = x.String()
		case bool:
			if member.Of != Boolean {
				return wrong("a " + member.Of)
			}
			text = strconv.FormatBool(x)
		default:
			if member.Of == "" { // an operation without input
				return d.noMembers(x)
			}
			return wrong("a " + member.Of)
		}
		if err := d.setText(member, text, v); err != nil {
			return d.bad(path, err)
		}
		return nil
	}
	v = indirect(v)
	switch s.Type {
	case "structure":
		object, ok := value.(map[string]any)
		if !ok {
			return wrong("an object")
		}
		b := d.bind(member.Of, v.Type())
		for _, name := range slices.Sorted(maps.Keys(object)) {
			f := b.byIn[name]
			if f == nil || f.index < 0 {
				return d.unknown(join(path, name))
			}
			if err := d.fromJSON(f.member, object[name], v.Field(f.index), join(path, name)); err != nil {
				return err
			}
		}
	case "list":
		array, ok := value.([]any)
		if !ok {
			return wrong("an array")
		}
		list := reflect.MakeSlice(v.Type(), len(array), len(array))
		for i := range array {
			if err := d.fromJSON(*s.Element, array[i], list.Index(i), fmt.Sprintf("%s.%d", path, i+1)); err != nil {
				return err
			}
		}
		v.Set(list)
	case "map":
		object, ok := value.(map[string]any)
		if !ok {
			return wrong("an object")
		}
		entries := reflect.MakeMapWithSize(v.Type(), len(object))
		for name, x := range object {
			key, into := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			key.SetString(name)
			if err := d.fromJSON(*s.Value, x, into, join(path, name)); err != nil {
				return err
			}
			entries.SetMapIndex(key, into)
		}
		v.Set(entries)
	}
	return nil
}

func (d decoder) noMembers(value any) error {
	object, _ := value.(map[string]any)
	for name := range object {
		return d.unknown(name)
	}
	return nil
}

// element is an XML element.
type element struct {
	name string
	text strings.Builder
	kids []*element
}

func parseXML(body []byte) (*element, error) {
	dec := xml.NewDecoder(bytes.NewReader(body))
	root := &element{}
	open := []*element{root}
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, &Error{"InvalidInput", "The request is not XML: " + err.Error()}
		}
		top := open[len(open)-1]
		switch t := token.(type) {
		case xml.StartElement:
			if len(open) > maxDepth {
				return nil, &Error{"InvalidInput", "The request nests too deeply"}
			}
			e := &element{name: t.Name.Local}
			top.kids = append(top.kids, e)
			open = append(open, e)
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			top.text.Write(t)
		}
	}
	if len(root.kids) != 1 {
		return nil, &Error{"InvalidInput", "The request is not one XML element"}
	}
	return root.kids[0], nil
}

// restBody reads the members from the path, the query string, the headers and the body.
// Route 53 has no operation whose body is a single member.
func (d decoder) restBody(o Operation, r *http.Request, body []byte, v reflect.Value) error {
	uri, _ := matchPath(o.Path, r.URL.Path)
	form := r.URL.Query()
	s := d.Shapes[o.Input]
	if s == nil {
		return nil
	}
	b := d.bind(o.Input, v.Type())
	for _, f := range b.fields {
		var text string
		var given bool
		switch f.member.At {
		case "uri":
			text, given = uri[f.in]
		case "querystring":
			text, given = form.Get(f.in), form.Has(f.in)
			form.Del(f.in)
		case "header":
			text = r.Header.Get(f.in)
			given = text != ""
		default:
			continue
		}
		if !given || f.index < 0 {
			continue
		}
		if err := d.setText(f.member, text, v.Field(f.index)); err != nil {
			return d.bad(f.name, err)
		}
	}
	for name := range form {
		return d.unknown(name)
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	root, err := parseXML(body)
	if err != nil {
		return err
	}
	return d.fromXML(Member{Of: o.Input}, []*element{root}, v, "")
}

// fromXML reads a member from its element. A flat list has several elements.
func (d decoder) fromXML(member Member, from []*element, v reflect.Value, path string) error {
	s := d.Shapes[member.Of]
	if len(from) > 1 && !member.Flat {
		return d.bad(path, fmt.Errorf("it is given %d times", len(from)))
	}
	e := from[0]
	if s == nil {
		if len(e.kids) > 0 {
			return d.unknown(join(path, e.kids[0].name))
		}
		if err := d.setText(member, e.text.String(), v); err != nil {
			return d.bad(path, err)
		}
		return nil
	}
	v = indirect(v)
	switch s.Type {
	case "structure":
		b := d.bind(member.Of, v.Type())
		byName := map[string][]*element{}
		for _, kid := range e.kids {
			byName[kid.name] = append(byName[kid.name], kid)
		}
		for _, name := range slices.Sorted(maps.Keys(byName)) {
			f := b.byIn[name]
			if f == nil || f.index < 0 || f.member.At != "" {
				return d.unknown(join(path, name))
			}
			if err := d.fromXML(f.member, byName[name], v.Field(f.index), join(path, name)); err != nil {
				return err
			}
		}
	case "list":
		items := from
		if !member.Flat {
			items = e.kids
			for _, kid := range items {
				if kid.name != or(s.Element.In, "member") {
					return d.unknown(join(path, kid.name))
				}
			}
		}
		list := reflect.MakeSlice(v.Type(), len(items), len(items))
		for i, kid := range items {
			if err := d.fromXML(*s.Element, []*element{kid}, list.Index(i), fmt.Sprintf("%s.%d", path, i+1)); err != nil {
				return err
			}
		}
		v.Set(list)
	default:
		return d.bad(path, fmt.Errorf("a %s is not read from XML", s.Type))
	}
	return nil
}

// matchPath matches a path with a template such as /2013-04-01/change/{Id}, and returns
// the values of the names in braces. {Id+} matches the rest of the path.
func matchPath(template, path string) (map[string]string, bool) {
	template, _, _ = strings.Cut(template, "?")
	want := strings.Split(strings.Trim(template, "/"), "/")
	have := strings.Split(strings.Trim(path, "/"), "/")
	values := map[string]string{}
	for i, w := range want {
		if i >= len(have) {
			return nil, false
		}
		if !strings.HasPrefix(w, "{") {
			if w != have[i] {
				return nil, false
			}
			continue
		}
		name := strings.Trim(w, "{}")
		if greedy, ok := strings.CutSuffix(name, "+"); ok {
			values[greedy] = strings.Join(have[i:], "/")
			return values, true
		}
		if have[i] == "" {
			return nil, false
		}
		values[name] = have[i]
	}
	return values, len(want) == len(have)
}
