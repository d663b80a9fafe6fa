// Command wiregen trims AWS's API models to the wire names of the operations
// that the local cloud serves; see package wire.
package main

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/bookctl/bookctl/internal/localcloud/wire"
)

func main() {
	dir := flag.String("models", "", "directory of the models, SERVICE/VERSION/service-2.json[.gz]")
	list := flag.String("operations", "operations.txt", "file of 'SERVICE OPERATION' lines")
	out := flag.String("out", "models", "directory to write SERVICE.json.gz to")
	flag.Parse()
	if err := run(*dir, *list, *out); err != nil {
		fmt.Fprintln(os.Stderr, "wiregen:", err)
		os.Exit(1)
	}
}

func run(dir, list, out string) error {
	if dir == "" {
		return errors.New("-models is required: the directory of AWS's API models, such as botocore's data directory")
	}
	wanted, err := readList(list)
	if err != nil {
		return err
	}
	for _, service := range slices.Sorted(maps.Keys(wanted)) {
		src, err := readModel(filepath.Join(dir, service))
		if err != nil {
			return fmt.Errorf("service %s: %w", service, err)
		}
		m, err := src.trim(service, wanted[service])
		if err != nil {
			return fmt.Errorf("service %s: %w", service, err)
		}
		if err := write(filepath.Join(out, service+".json.gz"), m); err != nil {
			return fmt.Errorf("service %s: %w", service, err)
		}
	}
	return nil
}

// readList returns the operations by service.
func readList(path string) (map[string][]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the list of operations: %w", err)
	}
	defer func() { _ = f.Close() }() // only read
	wanted := map[string][]string{}
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		words := strings.Fields(lines.Text())
		switch {
		case len(words) == 0 || strings.HasPrefix(words[0], "#"):
		case len(words) == 2:
			wanted[words[0]] = append(wanted[words[0]], words[1])
		default:
			return nil, fmt.Errorf("%s:%d: want 'SERVICE OPERATION', have %q", path, n, lines.Text())
		}
	}
	return wanted, lines.Err()
}

// source is a model as AWS publishes it, as far as it is used.
type source struct {
	Metadata struct {
		APIVersion   string `json:"apiVersion"`
		Protocol     string `json:"protocol"`
		TargetPrefix string `json:"targetPrefix"`
		XMLNamespace string `json:"xmlNamespace"`
	} `json:"metadata"`
	Operations map[string]struct {
		HTTP struct {
			Method     string `json:"method"`
			RequestURI string `json:"requestUri"`
		} `json:"http"`
		Input, Output *struct {
			Shape         string `json:"shape"`
			ResultWrapper string `json:"resultWrapper"`
		}
		Errors []struct {
			Shape string `json:"shape"`
		} `json:"errors"`
	} `json:"operations"`
	Shapes map[string]sourceShape `json:"shapes"`
}

type sourceShape struct {
	Type            string               `json:"type"`
	Members         map[string]reference `json:"members"`
	Required        []string             `json:"required"`
	Member          *reference           `json:"member"`
	Enum            []string             `json:"enum"`
	Key             *reference           `json:"key"`
	Value           *reference           `json:"value"`
	Flattened       bool                 `json:"flattened"`
	TimestampFormat string               `json:"timestampFormat"`
	Fault           bool                 `json:"fault"`
	Error           struct {
		Code           string `json:"code"`
		HTTPStatusCode int    `json:"httpStatusCode"`
	} `json:"error"`
}

type reference struct {
	Shape           string `json:"shape"`
	Location        string `json:"location"`
	LocationName    string `json:"locationName"`
	QueryName       string `json:"queryName"`
	Flattened       bool   `json:"flattened"`
	TimestampFormat string `json:"timestampFormat"`
}

// readModel reads the newest version below dir.
func readModel(dir string) (*source, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*", "service-2.json*"))
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no model in %s", dir)
	}
	newest := slices.Max(files) // versions are dates
	f, err := os.Open(newest)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	var r io.Reader = f
	if strings.HasSuffix(newest, ".gz") {
		if r, err = gzip.NewReader(f); err != nil {
			return nil, fmt.Errorf("unpack %s: %w", newest, err)
		}
	}
	src := new(source)
	if err := json.NewDecoder(r).Decode(src); err != nil {
		return nil, fmt.Errorf("read %s: %w", newest, err)
	}
	return src, nil
}

// trim keeps the operations and the shapes that they reach.
func (src *source) trim(service string, operations []string) (*wire.Model, error) {
	m := &wire.Model{
		Service:    service,
		Protocol:   src.Metadata.Protocol,
		Version:    src.Metadata.APIVersion,
		Namespace:  src.Metadata.XMLNamespace,
		Target:     src.Metadata.TargetPrefix,
		Operations: map[string]wire.Operation{},
		Errors:     map[string]int{},
		Shapes:     map[string]*wire.Shape{},
		Enums:      map[string][]string{},
	}
	for _, name := range operations {
		from, ok := src.Operations[name]
		if !ok {
			return nil, fmt.Errorf("the model has no operation %s", name)
		}
		var to wire.Operation
		if from.HTTP.Method != "POST" || from.HTTP.RequestURI != "/" {
			to.Method, to.Path = from.HTTP.Method, from.HTTP.RequestURI
		}
		if from.Input != nil {
			to.Input = from.Input.Shape
			src.keep(m, to.Input)
		}
		if from.Output != nil {
			to.Output, to.Wrapper = from.Output.Shape, from.Output.ResultWrapper
			src.keep(m, to.Output)
		}
		for _, e := range from.Errors {
			s := src.Shapes[e.Shape]
			status := s.Error.HTTPStatusCode
			if s.Fault {
				status = cmp.Or(status, 500)
			}
			m.Errors[cmp.Or(s.Error.Code, e.Shape)] = cmp.Or(status, 400)
		}
		m.Operations[name] = to
	}
	return m, nil
}

// keep adds a shape and what it refers to; scalars become their type.
func (src *source) keep(m *wire.Model, name string) {
	if m.Shapes[name] != nil {
		return
	}
	from := src.Shapes[name]
	to := &wire.Shape{Type: from.Type, Required: from.Required}
	m.Shapes[name] = to // before its members: shapes may refer to themselves
	if from.Type == "structure" {
		to.Members = map[string]wire.Member{}
	}
	for member, ref := range from.Members {
		to.Members[member] = src.member(m, ref, member)
	}
	part := func(ref *reference, own string) *wire.Member {
		if ref == nil {
			return nil
		}
		member := src.member(m, *ref, own)
		return &member
	}
	to.Element, to.Key, to.Value = part(from.Member, "member"), part(from.Key, "key"), part(from.Value, "value")
}

// member translates a reference whose name, if it gives none, is own.
func (src *source) member(m *wire.Model, ref reference, own string) wire.Member {
	target := src.Shapes[ref.Shape]
	in, out := cmp.Or(ref.LocationName, own), cmp.Or(ref.LocationName, own)
	if m.Protocol == wire.EC2 { // https://smithy.io/2.0/aws/protocols/aws-ec2-query-protocol.html#query-key-resolution
		switch {
		case ref.QueryName != "":
			in = ref.QueryName
		case ref.LocationName != "":
			in = strings.ToUpper(in[:1]) + in[1:]
		}
	}
	to := wire.Member{
		Of:   ref.Shape,
		Flat: ref.Flattened || target.Flattened,
		Time: cmp.Or(ref.TimestampFormat, target.TimestampFormat),
		At:   ref.Location,
	}
	if in != own {
		to.In = in
	}
	if out != own {
		to.Out = out
	}
	switch target.Type {
	case "structure", "list", "map":
		src.keep(m, ref.Shape)
	case "character":
		to.Of = wire.String
	default:
		to.Of = target.Type
	}
	if target.Enum != nil {
		to.Enum, m.Enums[ref.Shape] = ref.Shape, target.Enum
	}
	return to
}

// write compresses the table, which takes a third of a megabyte off the program. Compare two
// with zdiff.
func write(path string, m *wire.Model) error {
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		return err
	}
	text := json.NewEncoder(z)
	text.SetIndent("", " ")
	if err := text.Encode(m); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	return os.WriteFile(path, b.Bytes(), 0o644)
}
