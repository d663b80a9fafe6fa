package wire

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"time"
)

// Encode returns the response of an operation, and sets its headers. Output is a
// pointer to the SDK's output struct. A field that is set and not in the table is an
// error.
func (m *Model) Encode(operation string, output any, requestID string, header http.Header) ([]byte, error) {
	o, ok := m.Operations[operation]
	if !ok {
		return nil, fmt.Errorf("the wire table of %s has no operation %s", m.Service, operation)
	}
	v := reflect.ValueOf(output)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return nil, fmt.Errorf("%s gave no output", operation)
	}
	v = v.Elem()
	e := encoder{Model: m}
	m.head(requestID, header)
	var err error
	switch m.Protocol {
	case JSON:
		err = e.json(Member{Of: o.Output}, v, operation, true)
	case CBOR:
		return e.cborBody(o.Output, v, operation)
	case EC2:
		e.open(operation+"Response", m.Namespace)
		e.element("requestId", requestID)
		err = e.xmlMembers(o.Output, v, operation, true)
		e.close(operation + "Response")
	case Query:
		e.open(operation+"Response", m.Namespace)
		if o.Wrapper != "" {
			e.open(o.Wrapper, "")
		}
		err = e.xmlMembers(o.Output, v, operation, true)
		if o.Wrapper != "" {
			e.close(o.Wrapper)
		}
		e.open("ResponseMetadata", "")
		e.element("RequestId", requestID)
		e.close("ResponseMetadata")
		e.close(operation + "Response")
	case RESTXML:
		e.headers(o.Output, v, header)
		e.open(or(o.Output, operation+"Response"), m.Namespace)
		err = e.xmlMembers(o.Output, v, operation, true)
		e.close(or(o.Output, operation+"Response"))
	default:
		err = fmt.Errorf("protocol %s is not spoken", m.Protocol)
	}
	if err != nil {
		return nil, fmt.Errorf("answer %s: %w", operation, err)
	}
	return e.Bytes(), nil
}

// EncodeError returns an error response in the format of the protocol, and sets its
// headers. The caller sends it with status.
func (m *Model) EncodeError(code, message string, status int, requestID string, header http.Header) []byte {
	m.head(requestID, header)
	e := encoder{Model: m}
	if m.Protocol == JSON {
		body, _ := json.Marshal(map[string]string{"__type": code, "message": message}) // strings always marshal
		return body
	}
	if m.Protocol == CBOR {
		return cborError(code, message)
	}
	if m.Protocol == EC2 {
		e.open("Response", "")
		e.open("Errors", "")
		e.open("Error", "")
		e.element("Code", code)
		e.element("Message", message)
		e.close("Error")
		e.close("Errors")
		e.element("RequestID", requestID)
		e.close("Response")
		return e.Bytes()
	}
	fault := "Sender"
	if status >= http.StatusInternalServerError {
		fault = "Receiver"
	}
	e.open("ErrorResponse", m.Namespace)
	e.open("Error", "")
	e.element("Type", fault)
	e.element("Code", code)
	e.element("Message", message)
	e.close("Error")
	e.element("RequestId", requestID)
	e.close("ErrorResponse")
	return e.Bytes()
}

// head sets the headers of every response.
func (m *Model) head(requestID string, header http.Header) {
	header.Set("X-Amzn-Requestid", requestID)
	if m.Protocol == JSON {
		header.Set("Content-Type", "application/x-amz-json-1.1")
		return
	}
	if m.Protocol == CBOR {
		header.Set("Content-Type", "application/cbor")
		header.Set("Smithy-Protocol", "rpc-v2-cbor")
		return
	}
	header.Set("Content-Type", "text/xml;charset=UTF-8")
}

type encoder struct {
	bytes.Buffer
	*Model
}

func (e *encoder) open(name, namespace string) {
	e.WriteString("<" + name)
	if namespace != "" {
		e.WriteString(` xmlns="` + namespace + `"`)
	}
	e.WriteString(">")
}

func (e *encoder) close(name string) { e.WriteString("</" + name + ">") }

func (e *encoder) element(name, text string) {
	e.open(name, "")
	_ = xml.EscapeText(e, []byte(text)) // writing to a buffer never fails
	e.close(name)
}

// known returns an error if a field is set that the table does not have.
func (e *encoder) known(b *binding, v reflect.Value, path string) error {
	for _, i := range b.missing {
		if !v.Field(i).IsZero() {
			return fmt.Errorf("%s.%s is set and not in the wire table", path, v.Type().Field(i).Name)
		}
	}
	return nil
}

// given returns the members of a structure that are written. At the top level of a
// response, empty lists are written too, as AWS does, because clients rely on them.
func (e *encoder) given(b *binding, v reflect.Value, top bool) []boundField {
	var fields []boundField
	for _, f := range b.fields {
		if f.index < 0 || f.member.At != "" {
			continue
		}
		if absent(v.Field(f.index)) && (!top || v.Field(f.index).Kind() != reflect.Slice || f.member.Of == Blob) {
			continue
		}
		fields = append(fields, f)
	}
	return fields
}

func (e *encoder) xmlMembers(of string, v reflect.Value, path string, top bool) error {
	b := e.bind(of, v.Type())
	if err := e.known(b, v, path); err != nil {
		return err
	}
	for _, f := range e.given(b, v, top) {
		if err := e.xml(f.out, f.member, v.Field(f.index), join(path, f.name)); err != nil {
			return err
		}
	}
	return nil
}

func (e *encoder) xml(name string, member Member, v reflect.Value, path string) error {
	s := e.Shapes[member.Of]
	if s == nil {
		e.element(name, text(v))
		return nil
	}
	v = reflect.Indirect(v)
	if s.Type == "structure" {
		e.open(name, "")
		err := e.xmlMembers(member.Of, v, path, false)
		e.close(name)
		return err
	}
	inner := name
	if !member.Flat {
		e.open(name, "")
		inner = "entry"
		if s.Type == "list" {
			inner = or(s.Element.Out, "member")
		}
	}
	if s.Type == "list" {
		for i := range v.Len() {
			if err := e.xml(inner, *s.Element, v.Index(i), fmt.Sprintf("%s.%d", path, i+1)); err != nil {
				return err
			}
		}
	} else {
		for _, key := range sortedKeys(v) {
			e.open(inner, "")
			e.element(or(s.Key.Out, "key"), key)
			if err := e.xml(or(s.Value.Out, "value"), *s.Value, entry(v, key), join(path, key)); err != nil {
				return err
			}
			e.close(inner)
		}
	}
	if !member.Flat {
		e.close(name)
	}
	return nil
}

// headers sets the headers for the members of rest-xml that are headers.
func (e *encoder) headers(of string, v reflect.Value, header http.Header) {
	for _, f := range e.bind(of, v.Type()).fields {
		if f.member.At == "header" && f.index >= 0 && !absent(v.Field(f.index)) {
			header.Set(f.out, text(v.Field(f.index)))
		}
	}
}

func (e *encoder) json(member Member, v reflect.Value, path string, top bool) error {
	s := e.Shapes[member.Of]
	if s == nil && member.Of != "" {
		return e.jsonScalar(member, reflect.Indirect(v), path)
	}
	v = reflect.Indirect(v)
	switch {
	case s == nil || s.Type == "structure":
		b := e.bind(member.Of, v.Type())
		if err := e.known(b, v, path); err != nil {
			return err
		}
		e.WriteByte('{')
		for i, f := range e.given(b, v, top) {
			e.comma(i)
			e.quoted(f.out)
			e.WriteByte(':')
			if err := e.json(f.member, v.Field(f.index), join(path, f.name), false); err != nil {
				return err
			}
		}
		e.WriteByte('}')
	case s.Type == "list":
		e.WriteByte('[')
		for i := range v.Len() {
			e.comma(i)
			if err := e.json(*s.Element, v.Index(i), fmt.Sprintf("%s.%d", path, i+1), false); err != nil {
				return err
			}
		}
		e.WriteByte(']')
	case s.Type == "map":
		e.WriteByte('{')
		for i, key := range sortedKeys(v) {
			e.comma(i)
			e.quoted(key)
			e.WriteByte(':')
			if err := e.json(*s.Value, entry(v, key), join(path, key), false); err != nil {
				return err
			}
		}
		e.WriteByte('}')
	}
	return nil
}

func (e *encoder) jsonScalar(member Member, v reflect.Value, path string) error {
	switch {
	case v.Type() == timeType:
		t := v.Interface().(time.Time).UTC()
		if member.Time == "iso8601" {
			e.quoted(text(v))
			return nil
		}
		e.WriteString(strconv.FormatFloat(float64(t.UnixMilli())/1000, 'f', -1, 64))
	case v.Kind() == reflect.String:
		e.quoted(v.String())
	case member.Of == Blob:
		e.quoted(base64.StdEncoding.EncodeToString(v.Bytes()))
	case v.Kind() == reflect.Bool, v.CanInt(), v.CanFloat():
		value, err := json.Marshal(v.Interface())
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		e.Write(value)
	default:
		return fmt.Errorf("%s: a %s is not written as a %s", path, v.Type(), member.Of)
	}
	return nil
}

func (e *encoder) comma(i int) {
	if i > 0 {
		e.WriteByte(',')
	}
}

func (e *encoder) quoted(s string) {
	text, _ := json.Marshal(s) // strings always marshal
	e.Write(text)
}

func sortedKeys(v reflect.Value) []string {
	keys := map[string]bool{}
	for _, k := range v.MapKeys() {
		keys[k.String()] = true
	}
	return slices.Sorted(maps.Keys(keys))
}

func entry(v reflect.Value, key string) reflect.Value {
	return v.MapIndex(reflect.ValueOf(key).Convert(v.Type().Key()))
}
