package provision

import (
	"fmt"
	"strconv"

	"github.com/bookctl/bookctl/internal/pricing"
)

// Setting is a row of the table of settings (see Table): everything about one setting of a
// stack. The flags of up and plan, their help, defaults, checks, tags, what is read back,
// JSON and docs/settings.md are derived from it.
type Setting struct {
	// Flag is the flag of up and plan, without its dashes. The tag and the environment
	// variable are named after it.
	Flag string
	// JSON is the name in JSON documents.
	JSON string
	// Value is the field of Settings and its default: a Number, Text or Switch.
	Value Value
	// Help is the help text of the flag.
	Help string
	// Example is a value other than the default that a stack can have.
	Example string
	// Choices are the values that a shell completes, or typical ones of them.
	Choices []string
	// Drives are the fields of resources that it sets, with their names in drift. An empty
	// field means that the setting decides whether the resource exists.
	Drives []ResourceField
	// Costs are the items of the estimate that it changes; see pricing.Line.
	Costs []string
	// uses sets the quantities that are billed; nil for none.
	uses func(Settings, *pricing.Usage)
	// Restored is its name in the message about a restored database; "" if a snapshot does
	// not restore it.
	Restored string

	// Derived reports whether the image decides it if the user has not: see
	// Settings.Follow. The default is that of bookapi.
	Derived bool

	// check checks it, in the order in which errors are reported.
	check func(Settings, refusal)
	// normalize brings a given value into its normal form, and changes what depends on it.
	normalize func(*Settings)
	// recorded is where the stack records it.
	recorded place
	// when reports whether it is recorded; nil means always.
	when func(Settings) bool
	// text is the recorded text, if it is not the formatted value.
	text func(Settings) string
	// fromText is the inverse of text; nil if text is nil or needs none.
	fromText func(string) string
	// live reads it from the resource, for resources without a tag. Nil means that only the
	// tag has it.
	live func(parts, *Settings)
	// moves reports whether AWS changes by itself what live reads.
	moves bool
	// taken reports whether a recorded value counts, given the settings that live read; nil
	// means that any valid value does.
	taken func(recorded string, s Settings) bool
	// restore reads it from a snapshot, and reports whether the snapshot has it; nil reads
	// the tag.
	restore func(Snapshot, *Settings) bool
}

// ResourceField is a field of a resource, named as in graph.Change. Without a Field it is
// the whole resource.
type ResourceField struct{ Resource, Field string }

// refusal reports an error in the settings if broken is true. About are the flags that the
// error is about, separated by spaces.
type refusal func(about string, broken bool, format string, args ...any)

// Tag is the key of the tag that records the setting.
func (s Setting) Tag() string { return settingTag(s.Flag) }

// ofRelease reports whether each release has its own value, which a rollback restores.
func (s Setting) ofRelease() bool { return s.recorded.on[0] == definitionPart }

// settingTag is the key of the tag of the setting with that flag.
func settingTag(flag string) string { return "bookctl:" + flag }

// Recorded describes where the stack records the setting.
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

// FlagText is the value as the flag takes it, with "none" for an empty one if the flag accepts
// that.
func (s Setting) FlagText(in Settings) string {
	is := s.Value.Format(in)
	if is == "" && s.normalize != nil && s.Value.Parse(&in, "none") {
		if s.normalize(&in); s.Value.Format(in) == "" {
			return "none"
		}
	}
	return is
}

// Value is the field of a setting in Settings, and its default.
type Value interface {
	// Format is the value as text, for flags, tags and messages.
	Format(Settings) string
	// Get is the value for JSON: an int32, a string or a bool.
	Get(Settings) any
	// Copy copies the value from one Settings to another.
	Copy(to *Settings, from Settings)
	// Parse sets the value from text. If the text is invalid, it returns false and changes
	// nothing.
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
	// Of returns the field in Settings.
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

// place is where settings are recorded. Because of the tags, a change by hand is detected
// as drift and not taken for the user's wish.
type place struct {
	// on are the resources that record it; it is read from the first.
	on []string
	// copy is another resource with the same tags, so that they outlive the first one; ""
	// for none. They are written together.
	copy string
	// by is the resource that applies the setting for the others, and then writes their
	// tags; "" if each writes its own.
	by string
	// untagged reports whether the resource itself is the record: a tagged task definition
	// can't be changed by hand.
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

// A setting counts as deployed when AWS has accepted it: its tag is written when the
// resource is created, and later after the change. If one resource applies a setting for
// another, it writes the tag.
const (
	byListener = balancerPart + " by listener"
	byScaling  = servicePart + " by scaling"

	// Resources that may be deleted by hand have a copy of their tags on one that stays.
	// The copy is never written before AWS has accepted what it records.
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
	if s.Drain != 0 {
		out[definitionPart][tagDrain] = decimal(&s.Drain)
	}
	return out
}

// tagChosen is on a task definition and holds Settings.Chosen.
const tagChosen = "bookctl:chosen"

// tagReadyPath is on a task definition and holds Settings.ReadyPath.
const tagReadyPath = "bookctl:ready-path"

// tagDrain is on a task definition and holds Settings.Drain.
const tagDrain = "bookctl:drain"

// withoutDefaults removes from wanted tags those that record a default and that the live
// resource lacks: a stack that is older than a setting has no tag for it.
func withoutDefaults(live, want map[string]string) {
	defaults := DefaultSettings()
	for _, row := range Table() {
		if _, recorded := live[row.Tag()]; !recorded && want[row.Tag()] == row.record(defaults) {
			delete(want, row.Tag())
		}
	}
}

// readCopy sets the settings of a deleted resource, from the tags of the resource that has
// the copy.
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

// read sets the settings that a resource records: from its tags, otherwise from the
// resource itself.
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

// FollowsImageAgain reports whether a text makes a derived setting follow the image again: 0 for a
// number, and "image" for a text.
func (s Setting) FollowsImageAgain(text string) bool {
	switch s.Value.(type) {
	case Number:
		return text == "0"
	case Text:
		return text == "image"
	}
	return false
}

// Overlay sets the settings that were given, by their flags.
func (s *Settings) Overlay(from Settings, given func(flag string) bool) {
	for _, row := range Table() {
		if !given(row.Flag) {
			continue
		}
		if row.Derived {
			s.choose(row.Flag, !row.FollowsImageAgain(row.Value.Format(from)))
			if !s.chose(row.Flag) {
				continue // it stays until the image is looked at
			}
		}
		row.Value.Copy(s, from)
		if row.normalize != nil {
			row.normalize(s)
		}
	}
}
