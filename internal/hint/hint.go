// Package hint carries the next step for the user from the place where an error is
// found to the place where it is printed. The error says what went wrong; the hint
// says what to do.
//
// A hint is data: its commands are values (Command, AWS). The command line adds the
// current stack and cloud to them when it prints them.
package hint

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Invocation is a command line that a message suggests.
type Invocation struct {
	// Program is "bookctl" or "aws".
	Program string
	// Words are its arguments, quoted as in a shell.
	Words []string
}

// Command is a command of bookctl, for the default stack.
func Command(words ...string) Invocation { return Invocation{"bookctl", words} }

// AWS is a command of the AWS CLI.
func AWS(words ...string) Invocation { return Invocation{"aws", words} }

// String is the command line without changes, in single quotes.
func (i Invocation) String() string {
	return "'" + strings.Join(append([]string{i.Program}, i.Words...), " ") + "'"
}

// Show returns how to print an invocation, with its quotes. It returns false if the
// command is not available where the message is printed.
type Show func(Invocation) (string, bool)

// Plain is a Show that changes nothing.
func (i Invocation) Plain() (string, bool) { return i.String(), true }

// Message is text with commands in it. Its zero value is empty.
type Message struct {
	format   string
	args     []any
	optional bool
}

// New returns a message, formatted as by fmt.Sprintf. An argument that is an
// Invocation, a Message or an error is printed by Show.
func New(format string, args ...any) Message {
	if false {
		_ = fmt.Sprintf(format, args...) // so that vet checks the calls of New
	}
	return Message{format: format, args: args}
}

// Optional is like New. As an argument of another message, it is left out if one of its
// commands is not available.
func Optional(format string, args ...any) Message {
	m := New(format, args...)
	m.optional = true
	return m
}

// Join joins messages with a separator, and leaves out empty ones.
func Join(between string, messages ...Message) Message {
	var out Message
	for _, m := range messages {
		switch {
		case m.Empty():
		case out.Empty():
			out = m
		default:
			out = New("%s%s%s", out, between, m)
		}
	}
	return out
}

// Empty reports whether the message is empty.
func (m Message) Empty() bool { return m.format == "" }

// Or returns the message, or another one if it is empty.
func (m Message) Or(other Message) Message {
	if m.Empty() {
		return other
	}
	return m
}

// Equal reports whether two messages have the same text.
func (m Message) Equal(other Message) bool { return m.String() == other.String() }

// String is the text of the message, without changes to its commands.
func (m Message) String() string { return m.Show(Invocation.Plain) }

// Show is the text of the message, with its commands printed by show.
func (m Message) Show(show Show) string {
	text, _ := m.render(show)
	return text
}

func (m Message) render(show Show) (text string, whole bool) {
	args, whole := shown(m.args, show)
	return fmt.Sprintf(m.format, args...), whole
}

// shown returns the arguments printed by show. Whole is whether all commands are
// available.
func shown(args []any, show Show) (out []any, whole bool) {
	out, whole = slices.Clone(args), true
	for i, a := range args {
		switch a := a.(type) {
		case Invocation:
			text, ok := show(a)
			out[i], whole = text, whole && ok
		case Message:
			text, ok := a.render(show)
			if !ok && a.optional {
				text, ok = "", true
			}
			out[i], whole = text, whole && ok
		case error:
			out[i] = errors.New(Text(a, show))
		}
	}
	return out, whole
}

// With adds the next step to an error, formatted as by New. A nil error stays nil.
func With(err error, format string, args ...any) error { return Add(err, New(format, args...)) }

// Add adds the next step to an error. It returns err itself if err is nil or next is
// empty.
func Add(err error, next Message) error {
	if err == nil || next.Empty() {
		return err
	}
	return hinted{err, next}
}

// Of returns the outermost next step of an error, or an empty message.
func Of(err error) Message {
	var h hinted
	errors.As(err, &h)
	return h.next
}

type hinted struct {
	error
	next Message
}

func (h hinted) Unwrap() error { return h.error }

// Errorf is fmt.Errorf for a text that contains commands.
func Errorf(format string, args ...any) error {
	return formatted{fmt.Errorf(format, args...), format, args}
}

// formatted is an error whose text contains commands.
type formatted struct {
	error
	format string
	args   []any
}

func (t formatted) Unwrap() error { return t.error }

// ShowError is the text of the error, with its commands printed by show.
func (t formatted) ShowError(show Show) string {
	args, _ := shown(t.args, show)
	return fmt.Errorf(t.format, args...).Error()
}

// Text is the text of an error, with the commands in it printed by show. An error may
// have a method ShowError(Show) string for that. Without one, Text replaces the texts
// of the errors that it wraps.
func Text(err error, show Show) string {
	if e, ok := err.(interface{ ShowError(show Show) string }); ok {
		return e.ShowError(show)
	}
	var inner []error
	switch e := err.(type) { //nolint:errorlint // this error itself, not one that it wraps
	case interface{ Unwrap() error }:
		inner = []error{e.Unwrap()}
	case interface{ Unwrap() []error }:
		inner = e.Unwrap()
	}
	text := err.Error()
	for _, i := range inner {
		if i == nil {
			continue
		}
		if plain, shown := i.Error(), Text(i, show); shown != plain {
			text = strings.Replace(text, plain, shown, 1)
		}
	}
	return text
}
