package wire

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"time"

	"github.com/aws/smithy-go/encoding/cbor"
)

// cborBody reads a request of RPC v2. What is read differs from JSON in the scalars
// alone, so it goes the same way from there.
func (d decoder) cborBody(o Operation, body []byte, v reflect.Value) error {
	if len(body) == 0 {
		return nil
	}
	value, err := cbor.Decode(body)
	if err != nil {
		return &Error{"SerializationException", "The request is not CBOR: " + err.Error()}
	}
	tree, err := plain(value, 0)
	if err != nil {
		return err
	}
	if _, ok := tree.(map[string]any); !ok {
		return &Error{"SerializationException", "The request is not a CBOR map"}
	}
	return d.fromJSON(Member{Of: o.Input}, tree, v, "")
}

// plain is a value as encoding/json would have it.
func plain(value cbor.Value, depth int) (any, error) {
	if depth > maxDepth {
		return nil, &Error{"SerializationException", "The request nests too deeply"}
	}
	switch x := value.(type) {
	case cbor.Map:
		out := make(map[string]any, len(x))
		for key, item := range x {
			v, err := plain(item, depth+1)
			if err != nil {
				return nil, err
			}
			out[key] = v
		}
		return out, nil
	case cbor.List:
		out := make([]any, len(x))
		for i, item := range x {
			v, err := plain(item, depth+1)
			if err != nil {
				return nil, err
			}
			out[i] = v
		}
		return out, nil
	case *cbor.Tag: // 1 is a time, in seconds
		if x.ID != 1 {
			return nil, &Error{"SerializationException", fmt.Sprintf("CBOR tag %d is not read", x.ID)}
		}
		return plain(x.Value, depth+1)
	case cbor.String:
		return string(x), nil
	case cbor.Slice:
		return base64.StdEncoding.EncodeToString(x), nil
	case cbor.Bool:
		return bool(x), nil
	case cbor.Uint:
		return json.Number(strconv.FormatUint(uint64(x), 10)), nil
	case cbor.NegInt:
		return json.Number("-" + strconv.FormatUint(uint64(x), 10)), nil
	case cbor.Float32:
		return json.Number(strconv.FormatFloat(float64(x), 'g', -1, 32)), nil
	case cbor.Float64:
		return json.Number(strconv.FormatFloat(float64(x), 'g', -1, 64)), nil
	}
	return nil, nil
}

func (e *encoder) cborBody(of string, v reflect.Value, path string) ([]byte, error) {
	value, err := e.cbor(Member{Of: of}, v, path, true)
	if err != nil {
		return nil, fmt.Errorf("answer %s: %w", path, err)
	}
	return cbor.Encode(value), nil
}

func (e *encoder) cbor(member Member, v reflect.Value, path string, top bool) (cbor.Value, error) {
	s := e.Shapes[member.Of]
	v = reflect.Indirect(v)
	switch {
	case s == nil && member.Of != "":
		return cborScalar(v), nil
	case s == nil || s.Type == "structure":
		b := e.bind(member.Of, v.Type())
		if err := e.known(b, v, path); err != nil {
			return nil, err
		}
		out := cbor.Map{}
		for _, f := range e.given(b, v, top) {
			value, err := e.cbor(f.member, v.Field(f.index), join(path, f.name), false)
			if err != nil {
				return nil, err
			}
			out[f.name] = value
		}
		return out, nil
	case s.Type == "list":
		out := make(cbor.List, v.Len())
		for i := range out {
			var err error
			if out[i], err = e.cbor(*s.Element, v.Index(i), fmt.Sprintf("%s.%d", path, i+1), false); err != nil {
				return nil, err
			}
		}
		return out, nil
	default:
		out := cbor.Map{}
		for _, key := range sortedKeys(v) {
			value, err := e.cbor(*s.Value, entry(v, key), join(path, key), false)
			if err != nil {
				return nil, err
			}
			out[key] = value
		}
		return out, nil
	}
}

func cborScalar(v reflect.Value) cbor.Value {
	switch {
	case v.Type() == timeType:
		t := v.Interface().(time.Time)
		return &cbor.Tag{ID: 1, Value: cbor.Float64(float64(t.UnixMilli()) / 1000)}
	case v.Kind() == reflect.String:
		return cbor.String(v.String())
	case v.Kind() == reflect.Bool:
		return cbor.Bool(v.Bool())
	case v.CanInt() && v.Int() < 0:
		return cbor.NegInt(-v.Int())
	case v.CanInt():
		return cbor.Uint(v.Int())
	case v.CanFloat():
		return cbor.Float64(v.Float())
	}
	return cbor.Slice(v.Bytes())
}

func cborError(code, message string) []byte {
	return cbor.Encode(cbor.Map{"__type": cbor.String(code), "message": cbor.String(message)})
}
