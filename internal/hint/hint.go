// Package hint carries what to do next from where something is found out to where a
// person is told. What went wrong is one thing to say, and the next step another.
//
// A hint is data: its commands are named as such (Command, AWS), and the command
// line has them act on the stack and the cloud that a run was of when it shows them.
package hint

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Invocation is a command line that a message tells somebody to type.
type Invocation struct {
	// Program is "bookctl" or "aws".
	Program string
	// Words are its arguments, each as it is typed in a shell.
	Words []string
}

// Command is a command of bookctl, as it is typed for the default stack.
func Command(words ...string) Invocation { return Invocation{"bookctl", words} }

// AWS is a command of the AWS CLI.
func AWS(words ...string) Invocation { return Invocation{"aws", words} }

// String is the command line as it stands, in single quotes.
func (i Invocation) String() string {
	return "'" + strings.Join(append([]string{i.Program}, i.Words...), " ") + "'"
}

// Show is how an invocation is shown, with its quotes. It returns false for one that
// can't be had where the message is shown.
type Show func(Invocation) (string, bool)

// Plain is a Show that has each invocation as it stands.
func (i Invocation) Plain() (string, bool) { return i.String(), true }

// Message is text with commands in it. Its zero value is empty.
type Message struct {
	format   string
	args     []any
	optional bool
}

// New makes a message as fmt.Sprintf does. An argument that is an Invocation, a
// Message or an error is shown as such.
func New(format string, args ...any) Message {
	if false {
		_ = fmt.Sprintf(format, args...) // so that vet checks the calls of New
	}
	return Message{format: format, args: args}
}

// Optional is like New. As an argument of another message it is left out where one of
// its commands can't be had.
func Optional(format string, args ...any) Message {
	m := New(format, args...)
	m.optional = true
	return m
}

// Join makes one message of several, with a separator between them; empty ones are
// left out.
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

// Empty says whether there is nothing to say.
func (m Message) Empty() bool { return m.format == "" }

// Or is the message, or another one when it is empty.
func (m Message) Or(other Message) Message {
	if m.Empty() {
		return other
	}
	return m
}

// Equal says whether two messages read the same.
func (m Message) Equal(other Message) bool { return m.String() == other.String() }

// String is the message with its commands as they stand.
func (m Message) String() string { return m.Show(Invocation.Plain) }

// Show is the message with its commands as show has them.
func (m Message) Show(show Show) string {
	text, _ := m.render(show)
	return text
}

func (m Message) render(show Show) (text string, whole bool) {
	args, whole := shown(m.args, show)
	return fmt.Sprintf(m.format, args...), whole
}

// shown are arguments as show has them. Whole says that all commands can be had.
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

// With adds the next step to an error, made as New makes a message. A nil error stays
// nil.
func With(err error, format string, args ...any) error { return Add(err, New(format, args...)) }

// Add adds the next step to an error. A nil error stays nil, and without a step the
// error stays as it is.
func Add(err error, next Message) error {
	if err == nil || next.Empty() {
		return err
	}
	return hinted{err, next}
}

// Of returns the next step that an error carries, the outermost one, or an empty one.
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

// Errorf is fmt.Errorf for a text that has commands in it.
func Errorf(format string, args ...any) error {
	return formatted{fmt.Errorf(format, args...), format, args}
}

// formatted is an error whose text has commands in it.
type formatted struct {
	error
	format string
	args   []any
}

func (t formatted) Unwrap() error { return t.error }

// ShowError is the text with its commands as show has them.
func (t formatted) ShowError(show Show) string {
	args, _ := shown(t.args, show)
	return fmt.Errorf(t.format, args...).Error()
}

// Text is the text of an error with the commands in it as show has them. An error
// shows its text by a method ShowError(Show) string; one without is taken to hold the
// texts of those that it wraps.
func Text(err error, show Show) string {
	if e, ok := err.(interface{ ShowError(show Show) string }); ok {
		return e.ShowError(show)
	}
	var inner []error
	switch e := err.(type) { //nolint:errorlint // of this very error, not of one that it wraps
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
