package api_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// fuzzRequests is how many requests the schema-driven fuzz makes.
const fuzzRequests = 4000

// document is the part of an OpenAPI document that the fuzz reads.
type document struct {
	Paths      map[string]map[string]operation
	Components struct{ Schemas map[string]*schema }
}

type operation struct {
	OperationID string
	Parameters  []struct {
		Name, In string
		Required bool
		Schema   *schema
	}
	RequestBody *struct {
		Content map[string]struct{ Schema *schema }
	}
	Responses map[string]struct {
		Content map[string]struct{ Schema *schema }
		Headers map[string]any
	}
}

type schema struct {
	Ref                  string `json:"$ref"`
	Type                 any
	Properties           map[string]*schema
	Required             []string
	AdditionalProperties any
	Items                *schema
	Pattern, Format      string
	MinLength, MaxLength *int
	MinItems, MaxItems   *int
	Minimum, Maximum     *float64
}

func (d *document) resolve(s *schema) *schema {
	for s != nil && s.Ref != "" {
		s = d.Components.Schemas[strings.TrimPrefix(s.Ref, "#/components/schemas/")]
	}
	return s
}

func (s *schema) types() []string {
	switch t := s.Type.(type) {
	case string:
		return []string{t}
	case []any:
		var all []string
		for _, one := range t {
			all = append(all, fmt.Sprint(one))
		}
		return all
	}
	return nil
}

// check returns what of an answer's value does not match a schema.
func (d *document) check(s *schema, value any, at string) (wrong []string) {
	s = d.resolve(s)
	if s == nil || s.Type == nil {
		return nil
	}
	complain := func(format string, args ...any) { wrong = append(wrong, at+": "+fmt.Sprintf(format, args...)) }
	kind := "null"
	switch v := value.(type) {
	case string:
		kind = "string"
		n := utf8.RuneCountInString(v)
		if s.MinLength != nil && n < *s.MinLength || s.MaxLength != nil && n > *s.MaxLength {
			complain("length %d", n)
		}
		if s.Pattern != "" && !regexp.MustCompile(s.Pattern).MatchString(v) {
			complain("%q does not match %s", v, s.Pattern)
		}
		if s.Format == "date-time" {
			if _, err := time.Parse(time.RFC3339, v); err != nil {
				complain("%v", err)
			}
		}
	case float64:
		kind = "number"
		if v == float64(int64(v)) && slices.Contains(s.types(), "integer") {
			kind = "integer"
		}
		if s.Minimum != nil && v < *s.Minimum || s.Maximum != nil && v > *s.Maximum {
			complain("%v is out of bounds", v)
		}
	case bool:
		kind = "boolean"
	case []any:
		kind = "array"
		if s.MinItems != nil && len(v) < *s.MinItems || s.MaxItems != nil && len(v) > *s.MaxItems {
			complain("%d items", len(v))
		}
		for i, item := range v {
			wrong = append(wrong, d.check(s.Items, item, fmt.Sprintf("%s[%d]", at, i))...)
		}
	case map[string]any:
		kind = "object"
		if s.AdditionalProperties == false {
			complain("a later version may add no field") // clients of this document would refuse it
		}
		for _, name := range s.Required {
			if _, there := v[name]; !there {
				complain("lacks %s", name)
			}
		}
		for name, item := range v {
			property, known := s.Properties[name]
			if !known && s.Properties != nil {
				complain("has %s", name)
			}
			wrong = append(wrong, d.check(property, item, at+"."+name)...)
		}
	}
	if !slices.Contains(s.types(), kind) {
		complain("is %s, want %v", kind, s.types())
	}
	return wrong
}

var strange = []string{
	"", " ", "\x00", "a\x00b", "/", "..", "%", "%zz", "😀", "é", "\u2028", "null", "true", "-1", "0", "1e400", "NaN", "9223372036854775808",
	"'; SELECT pg_sleep(9) --", "<script>", "\"", "\\", "\ud7ff", "*", `"1-1"`, `W/"1-1"`, `"1-`, "=", "MSA", "\x7f", "\x01",
}

// generate makes a value for a schema: mostly a valid one.
func (d *document) generate(r *rand.Rand, s *schema, depth int) any {
	s = d.resolve(s)
	if s == nil || r.IntN(12) == 0 || depth > 5 {
		return []any{nil, true, 1.5, -1, "x", strange[r.IntN(len(strange))], []any{}, []any{nil}, map[string]any{}, map[string]any{"x": 1}}[r.IntN(10)]
	}
	switch s.types()[0] {
	case "string":
		return text(r, s)
	case "integer", "number":
		return []int{0, 1, 2, 3, r.IntN(300), -r.IntN(10), r.IntN(1 << 40)}[r.IntN(7)]
	case "array":
		items := []any{}
		for range r.IntN(4) {
			items = append(items, d.generate(r, s.Items, depth+1))
		}
		return items
	default:
		object := map[string]any{}
		for name, property := range s.Properties {
			if r.IntN(15) > 0 {
				object[name] = d.generate(r, property, depth+1)
			}
		}
		if r.IntN(15) == 0 {
			object[strange[r.IntN(len(strange))]] = 1
		}
		return object
	}
}

func text(r *rand.Rand, s *schema) string {
	switch r.IntN(6) {
	case 0:
		return strange[r.IntN(len(strange))]
	case 1:
		return strings.Repeat(strange[r.IntN(len(strange))], r.IntN(12))
	case 2:
		if s.MaxLength != nil && *s.MaxLength <= 1000 {
			return strings.Repeat([]string{"x", "é", "😀"}[r.IntN(3)], *s.MaxLength-1+r.IntN(3))
		}
	}
	return fmt.Sprintf("fuzz %d", r.IntN(50))
}

// Requests made from the OpenAPI document, valid and not, bring no failure, and
// every answer is one that the document describes.
func TestEveryAnswerToGeneratedRequestsMatchesTheDocument(t *testing.T) {
	t.Parallel()
	s := serve(t, newDatabase(t))
	var d document
	s.send(t, "GET", "/openapi.json", "").want(t, 200).decode(t, &d)
	type call struct {
		method, path string
		operation
	}
	var calls []call
	for path, methods := range d.Paths {
		for method, op := range methods {
			calls = append(calls, call{strings.ToUpper(method), path, op})
		}
	}
	slices.SortFunc(calls, func(a, b call) int { return strings.Compare(a.OperationID, b.OperationID) })
	if len(calls) < 8 {
		t.Fatalf("only %d operations", len(calls))
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	seen := map[string]int{}
	for range fuzzRequests {
		c := calls[random.IntN(len(calls))]
		path, query, headers := c.path, url.Values{}, []string(nil)
		elsewhere := false
		for _, p := range c.Parameters {
			if !p.Required && random.IntN(3) == 0 {
				continue
			}
			value := text(random, p.Schema)
			if d.resolve(p.Schema).types()[0] == "integer" || p.In == "path" && random.IntN(2) == 0 {
				value = fmt.Sprint(d.generate(random, p.Schema, 0))
			}
			switch p.In {
			case "path":
				// Without an id, "/books/id/" is the path of a book named "id/".
				elsewhere = elsewhere || value == ""
				path = strings.Replace(path, "{"+p.Name+"}", url.PathEscape(value), 1)
			case "query":
				query.Set(p.Name, value)
			case "header":
				switch value = strings.Map(visible, value); random.IntN(3) {
				case 0:
					value = "*"
				case 1:
					value = fmt.Sprintf(`"%d-%d"`, random.IntN(50), random.IntN(3))
				}
				headers = append(headers, p.Name+": "+value)
			}
		}
		if len(query) > 0 {
			path += "?" + query.Encode()
		}
		body := ""
		if c.RequestBody != nil {
			text, err := json.Marshal(d.generate(random, c.RequestBody.Content["application/json"].Schema, 0))
			if err != nil {
				t.Fatal(err)
			}
			if body = string(text); random.IntN(25) == 0 {
				body = body[:random.IntN(len(body)+1)] + strange[random.IntN(len(strange))]
			}
		}
		a, err := send(http.DefaultClient, c.method, s.url+path, body, headers...)
		if err != nil {
			t.Fatalf("%s %s: %v", c.method, path, err)
		}
		seen[fmt.Sprint(a.status)]++
		if elsewhere && a.status == http.StatusMethodNotAllowed {
			if allow := a.header.Get("Allow"); allow != "GET, HEAD" || c.method == http.MethodGet {
				t.Errorf("%s %q is not allowed, while these are: %q", c.method, path, allow)
			}
			continue
		}
		if wrong := d.matches(c.operation, a); wrong != nil {
			t.Errorf("%s %q %.200q %q\n  answered %d %.300s\n  %s", c.method, path, body, headers, a.status, a.body, strings.Join(wrong, "\n  "))
		}
	}
	t.Logf("answers by status: %v", seen)
	for _, status := range []string{"200", "201", "204", "400", "404", "412", "422", "428"} {
		if seen[status] == 0 {
			t.Errorf("no request was answered with %s: the fuzz is not wide enough", status)
		}
	}
}

func visible(r rune) rune {
	if r < ' ' || r == 0x7f {
		return -1
	}
	return r
}

// matches returns what of an answer the document does not describe.
func (d *document) matches(op operation, a answer) (wrong []string) {
	if a.status >= 500 {
		wrong = append(wrong, "it is a failure")
	}
	described, known := op.Responses[fmt.Sprint(a.status)]
	if !known {
		return append(wrong, "the document does not know this status")
	}
	if len(described.Content) == 0 {
		if a.body != "" {
			wrong = append(wrong, "a body where none is described")
		}
		return wrong
	}
	content, known := described.Content[a.header.Get("Content-Type")]
	if !known {
		return append(wrong, "the document does not know the type "+a.header.Get("Content-Type"))
	}
	var value any
	if err := json.Unmarshal([]byte(a.body), &value); err != nil {
		return append(wrong, err.Error())
	}
	for name := range described.Headers {
		if (name == "ETag" || name == "Location" || name == "Link") && a.header.Get(name) == "" {
			wrong = append(wrong, "lacks the header "+name)
		}
	}
	return append(wrong, d.check(content.Schema, value, "body")...)
}

// FuzzCreate sends any body: whatever it is, it is stored as it says, or refused.
func FuzzCreate(f *testing.F) {
	for _, body := range []string{
		`{"name":"a","author":"b"}`, ` { "author" : "b" , "name" : "😀" } `, `{"name":"a\u0000","author":"b"}`, `{"name":"\ud800","author":"b"}`,
		`{"name":"a","name":"b","author":"c"}`, `{"name":"a","author":"b","x":1}`, "{\"name\":\"\xff\",\"author\":\"b\"}", `[]`, `{`, `null`, "\x00",
		`{"name":"a","author":"b"} x`, `{"name":"` + strings.Repeat("x", 1001) + `","author":"b"}`,
	} {
		f.Add([]byte(body))
	}
	s := serve(f, newDatabase(f))
	f.Fuzz(func(t *testing.T, body []byte) {
		a := s.send(t, "POST", "/books", string(body))
		switch {
		case a.status == 201:
			var asked, stored map[string]any
			if err := json.Unmarshal(body, &asked); err != nil {
				t.Fatalf("stored what is not JSON: %q", body)
			}
			a.decode(t, &stored)
			if len(asked) != 2 || asked["name"] != stored["name"] || asked["author"] != stored["author"] {
				t.Errorf("%q was stored as %s", body, a.body)
			}
		case a.status < 400 || a.status >= 500:
			t.Errorf("%q: %d %s", body, a.status, a.body)
		}
	})
}
