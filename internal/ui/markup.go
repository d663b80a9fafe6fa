package ui

import (
	"html"
	"strings"
)

// markup is HTML. Text becomes markup by text alone, which escapes it: a string that is
// not a constant does not pass for one. The standard library's html/template can't be
// used here: it calls methods by name, for which the linker would keep every operation
// of every AWS client.
type markup string

// attribute is one of an element; the value is escaped when the element is made.
type attribute struct{ name, value string }

// text is what people read, escaped.
func text(s string) markup { return markup(html.EscapeString(s)) }

// element is an element with its contents. Void elements are written by empty.
func element(name markup, attributes []attribute, contents ...markup) markup {
	return empty(name, attributes...) + join(contents...) + "</" + name + ">"
}

// empty is an element's start, or a void element.
func empty(name markup, attributes ...attribute) markup {
	var b strings.Builder
	b.WriteString("<" + string(name))
	for _, a := range attributes {
		b.WriteString(" " + a.name)
		if a.value != "" {
			b.WriteString(`="` + html.EscapeString(a.value) + `"`)
		}
	}
	b.WriteString(">")
	return markup(b.String())
}

func join(parts ...markup) markup {
	var b strings.Builder
	for _, p := range parts {
		b.WriteString(string(p))
	}
	return markup(b.String())
}

// with are attributes, given as names and values in turn. A value that is empty makes a
// name alone.
func with(pairs ...string) []attribute {
	var out []attribute
	for i := 0; i+1 < len(pairs); i += 2 {
		out = append(out, attribute{pairs[i], pairs[i+1]})
	}
	return out
}

// class is an element's class.
func class(names string) []attribute { return with("class", names) }
