package provision

import (
	"fmt"
	"strconv"

	"github.com/bookctl/bookctl/internal/pricing"
)

// Setting is a row of the table of settings (see Table): everything that there is
// to know of one thing that a user chooses of a stack. The flags of up and plan,
// their help, defaults, checks, tags, what is read back, JSON and
// docs/settings.md come from it.
type Setting struct {
	// Flag is the flag of up and plan, without its dashes. The tag and the
	// environment variable are called after it.
	Flag string
	// JSON is the name in JSON documents.
	JSON string
	// Value is where Settings have it, and its default: a Number, Text or Switch.
	Value Value
	// Help is the help text of the flag.
	Help string
	// Example is a value other than the default that a stack can have.
	Example string
	// Choices are values that a shell offers, where few stand for all.
	Choices []string
	// Drives are the fields that it sets, of which resources, as drift calls them.
	// Without a field, the resource is there or not.
	Drives []ResourceField
	// Costs are the items of the estimate that it changes; see pricing.Line.
	Costs []string
	// uses sets how much a stack has of what they are priced by; nil for nothing.
	uses func(Settings, *pricing.Usage)
	// Restored is how a message calls it that says what a restored database was. Where
	// it is set, a restore takes the value from the tag of the snapshot, or by restore;
	// with "", a restored database has what the user says, or the default.
	Restored string

	// Derived reports whether the image decides it where the user has not: see
	// Settings.Follow. The default is that of bookapi.
	Derived bool

	// check makes demands on it, in the order in which they are reported.
	check func(Settings, refusal)
	// given takes over what was said: it brings the value into its one form, and
	// changes what depends on it.
	given func(*Settings)
	// recorded is where the stack records it.
	recorded place
	// when reports whether it is recorded; nil means always.
	when func(Settings) bool
	// text is what is recorded, where that is not the value as it is.
	text func(Settings) string
	// fromText undoes text; nil is for nothing to undo.
	fromText func(string) string
	// live reads it from what exists, for where no tag has it. Nil means that only
	// the tag tells.
	live func(parts, *Settings)
	// taken reports whether a recorded value counts, in settings as live read them; nil
	// means that any does that can be read.
	taken func(recorded string, s Settings) bool
	// restore reads it from a snapshot and says whether that tells; nil reads the tag.
	restore func(Snapshot, *Settings) bool
}

// ResourceField is a field of a resource, as graph.Change calls it. Its zero Field
// stands for the whole resource.
type ResourceField struct{ Resource, Field string }

// refusal refuses settings when broken is true. About are the flags that the demand
// is about, separated by spaces.
type refusal func(about string, broken bool, format string, args ...any)

// Tag is the key of the tag that records the setting.
func (s Setting) Tag() string { return settingTag(s.Flag) }

// ofRelease reports whether each release has its own value, which going back to it brings back.
func (s Setting) ofRelease() bool { return s.recorded.on[0] == definitionPart }

// settingTag is the key of the tag of the setting with that flag.
func settingTag(flag string) string { return "bookctl:" + flag }

// Recorded says in words where the stack records the setting.
func (s Setting) Recorded() string {
	if s.recorded.untagged {
		return s.recorded.on[0]
	}
	out := "tag " + s.Tag() + " of "
	for i, resource := range s.recorded.on {
		if i > 0 {
			out += ", "
		}
		out += resource
	}
	if s.recorded.copy != "" {
		out += ", and of " + s.recorded.copy
	}
	return out
}

// record is the value of the setting's tag.
func (s Setting) record(in Settings) string {
	if s.text != nil {
		return s.text(in)
	}
	return s.Value.Format(in)
}

// parse sets the value from what its tag records.
func (s Setting) parse(to *Settings, recorded string) {
	if s.fromText != nil {
		recorded = s.fromText(recorded)
	}
	s.Value.Parse(to, recorded)
}

// Said is the value as the flag takes it: an empty one is "none" where that means it.
func (s Setting) Said(in Settings) string {
	is := s.Value.Format(in)
	if is == "" && s.given != nil && s.Value.Parse(&in, "none") {
		if s.given(&in); s.Value.Format(in) == "" {
			return "none"
		}
	}
	return is
}

// Value is the kind of a setting: where Settings have it, and its default.
type Value interface {
	// Format is the value as text, for flags, tags and messages.
	Format(Settings) string
	// Get is the value as JSON has it: an int32, a string or a bool.
	Get(Settings) any
	// Copy sets the value in one to that in the other.
	Copy(to *Settings, from Settings)
	// Parse sets the value from text. It returns false, and leaves what was there,
	// when the text is no such value.
	Parse(s *Settings, text string) bool
	// Reset sets the value to the default.
	Reset(*Settings)
}

type (
	// Number is a setting that is a number.
	Number = Field[int32]
	// Text is a setting that is a text; an empty one means none.
	Text = Field[string]
	// Switch is a setting that is on or off.
	Switch = Field[bool]
)

// Field is a Value that is a T.
type Field[T int32 | string | bool] struct {
	// Of is where Settings have it.
	Of func(*Settings) *T
	// Default is the value of a new stack.
	Default T
}

// Format implements Value.
func (f Field[T]) Format(s Settings) string { return fmt.Sprint(*f.Of(&s)) }

// Get implements Value.
func (f Field[T]) Get(s Settings) any { return *f.Of(&s) }

// Copy implements Value.
func (f Field[T]) Copy(to *Settings, from Settings) { *f.Of(to) = *f.Of(&from) }

// Reset implements Value.
func (f Field[T]) Reset(s *Settings) { *f.Of(s) = f.Default }

// Parse implements Value.
func (f Field[T]) Parse(s *Settings, text string) bool {
	switch at := any(f.Of(s)).(type) {
	case *int32:
		v := number(text)
		if v == nil {
			return false
		}
		*at = *v
	case *bool:
		v, err := strconv.ParseBool(text)
		if err != nil {
			return false
		}
		*at = v
	case *string:
		*at = text
	}
	return true
}

// place is where settings are recorded. Tags reveal a change by hand, which is drift,
// from the user's new wish.
type place struct {
	// on are the resources that record it; it is read from the first.
	on []string
	// copy is another resource that has the same tags, so that they outlive the one
	// that is read; "" for none. They are written with those of the first.
	copy string
	// by is the resource that carries the setting out for the others, and so writes
	// their tags once that is done; "" where each writes its own.
	by string
	// untagged reports whether the resource itself is the record: a task definition that is
	// tagged as the stack's can't be changed by hand.
	untagged bool
}

// copyKey names the tags of the resource that has the copy.
func (p place) copyKey() string {
	if p.by == "" {
		return p.copy + " by " + p.on[0]
	}
	return p.key(p.copy)
}

// key names the tags of a resource that it, or another one for it, writes.
func (p place) key(resource string) string {
	if p.by == "" {
		return resource
	}
	return resource + " by " + p.by
}

// The names of the resources that record settings for others.
const (
	servicePart    = "service"
	networkPart    = "vpc"
	balancerPart   = "load-balancer"
	databasePart   = "database"
	definitionPart = "task-definition"
)

// A setting counts as deployed when AWS has taken it: its tag is written with the
// resource when that is made, and after the change from then on. What one resource
// carries out for another is written by the one that does it.
const (
	byListener = balancerPart + " by listener"
	byScaling  = servicePart + " by scaling"

	// Of what may be deleted by hand there is a copy at what stays then. It is never
	// written before AWS has taken what it records.
	copyByListener = "target-group by listener"
	copyByService  = "cluster by service"
	copyByScaling  = "cluster by scaling"
)

// record returns the tags that hold the settings, by place.key.
func (s Settings) record() map[string]map[string]string {
	out := map[string]map[string]string{}
	for _, row := range Table() {
		if row.recorded.untagged || row.when != nil && !row.when(s) {
			continue
		}
		var keys []string
		for _, resource := range row.recorded.on {
			keys = append(keys, row.recorded.key(resource))
		}
		if row.recorded.copy != "" {
			keys = append(keys, row.recorded.copyKey())
		}
		for _, key := range keys {
			if out[key] == nil {
				out[key] = map[string]string{}
			}
			out[key][row.Tag()] = row.record(s)
		}
	}
	if s.Chosen != "" {
		out[definitionPart][tagChosen] = s.Chosen
	}
	if s.ReadyPath != "" {
		out[definitionPart][tagReadyPath] = tagText(s.ReadyPath)
	}
	return out
}

// tagChosen is on a task definition and holds Settings.Chosen.
const tagChosen = "bookctl:chosen"

// tagReadyPath is on a task definition and holds Settings.ReadyPath.
const tagReadyPath = "bookctl:ready-path"

// withoutDefaults takes those records of settings from wanted tags that the live ones
// lack and that record the default: a stack of before a setting has it.
func withoutDefaults(live, want map[string]string) {
	for _, row := range Table() {
		if _, recorded := live[row.Tag()]; !recorded && want[row.Tag()] == row.record(DefaultSettings()) {
			delete(want, row.Tag())
		}
	}
}

// readCopy sets the settings that a resource recorded which is gone, from the tags of
// the resource that has a copy of them.
func (s *Settings) readCopy(resource string, tags map[string]string) {
	for _, row := range Table() {
		if row.recorded.on[0] != resource || row.recorded.copy == "" {
			continue
		}
		if recorded, ok := tags[row.Tag()]; ok && (row.taken == nil || row.taken(recorded, *s)) {
			row.parse(s, recorded)
		}
	}
}

// read sets the settings that a resource records: as its tags say, or else as the
// resource is.
func (s *Settings) read(resource string, tags map[string]string, live parts) {
	for _, row := range Table() {
		if row.recorded.on[0] != resource {
			continue
		}
		if row.live != nil {
			row.live(live, s)
		}
		if recorded, ok := tags[row.Tag()]; ok && !row.recorded.untagged && (row.taken == nil || row.taken(recorded, *s)) {
			row.parse(s, recorded)
		}
	}
}

// Returns reports whether a text is what a derived setting is given as to follow the image
// again: 0 for a number, and "image" for a text.
func (s Setting) Returns(text string) bool {
	switch s.Value.(type) {
	case Number:
		return text == "0"
	case Text:
		return text == "image"
	}
	return false
}

// Overlay sets those settings to what was given that are said, by their flags.
func (s *Settings) Overlay(given Settings, said func(flag string) bool) {
	for _, row := range Table() {
		if !said(row.Flag) {
			continue
		}
		if row.Derived {
			s.choose(row.Flag, !row.Returns(row.Value.Format(given)))
			if !s.chose(row.Flag) {
				continue // it stays until the image is looked at
			}
		}
		row.Value.Copy(s, given)
		if row.given != nil {
			row.given(s)
		}
	}
}
