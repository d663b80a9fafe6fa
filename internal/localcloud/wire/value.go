package wire

import (
	"encoding/base64"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

var timeType = reflect.TypeFor[time.Time]()

// indirect returns the value that a pointer points to, and allocates it if the pointer
// is nil. It returns any other value unchanged.
func indirect(v reflect.Value) reflect.Value {
	if v.Kind() != reflect.Pointer {
		return v
	}
	if v.IsNil() {
		v.Set(reflect.New(v.Type().Elem()))
	}
	return v.Elem()
}

// setText parses a scalar into v. It refuses a value that is not of the enumeration, as
// AWS does.
func (d decoder) setText(member Member, text string, v reflect.Value) error {
	v = indirect(v)
	if allowed := d.Enums[member.Enum]; allowed != nil && !slices.Contains(allowed, text) {
		return fmt.Errorf("%q must satisfy enum value set: [%s]", text, strings.Join(allowed, ", "))
	}
	switch {
	case v.Type() == timeType:
		t, err := parseTime(text)
		if err != nil {
			return err
		}
		v.Set(reflect.ValueOf(t))
	case v.Kind() == reflect.String:
		v.SetString(text)
	case v.Kind() == reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			return fmt.Errorf("%q is not a boolean", text)
		}
		v.SetBool(b)
	case v.CanInt():
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || v.OverflowInt(n) {
			return fmt.Errorf("%q is not an integer of its range", text)
		}
		v.SetInt(n)
	case v.CanFloat():
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || v.OverflowFloat(f) {
			return fmt.Errorf("%q is not a number of its range", text)
		}
		v.SetFloat(f)
	case member.Of == Blob && v.Kind() == reflect.Slice:
		b, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return fmt.Errorf("the value is not base64")
		}
		v.SetBytes(b)
	default:
		return fmt.Errorf("a %s does not fit", member.Of)
	}
	return nil
}

func parseTime(text string) (time.Time, error) {
	if seconds, err := strconv.ParseFloat(text, 64); err == nil {
		return epoch(seconds)
	}
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is not a timestamp", text)
	}
	return t.UTC(), nil
}

// epoch converts seconds, as in JSON, to a time, rounded to milliseconds as in the SDK.
func epoch(seconds float64) (time.Time, error) {
	const limit = 253402300800 // the year 10000, which no format can represent
	if !(math.Abs(seconds) < limit) {
		return time.Time{}, fmt.Errorf("%v is not a timestamp", seconds)
	}
	return time.UnixMilli(int64(math.Round(seconds * 1000))).UTC(), nil
}

// text returns a scalar as text for XML. V must not be a nil pointer.
func text(v reflect.Value) string {
	v = reflect.Indirect(v)
	switch {
	case v.Type() == timeType:
		return v.Interface().(time.Time).UTC().Format("2006-01-02T15:04:05.000Z")
	case v.Kind() == reflect.String:
		return v.String()
	case v.Kind() == reflect.Bool:
		return strconv.FormatBool(v.Bool())
	case v.CanInt():
		return strconv.FormatInt(v.Int(), 10)
	case v.CanFloat():
		return strconv.FormatFloat(v.Float(), 'g', -1, v.Type().Bits())
	default:
		return base64.StdEncoding.EncodeToString(v.Bytes())
	}
}

// absent reports whether a Go value means that a member is not present.
func absent(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Interface:
		return v.IsNil()
	case reflect.String: // the SDK has no pointers to enumerations
		return v.Len() == 0
	}
	return false
}
