package provision

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/naming"
	"github.com/bookctl/bookctl/internal/pattern"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// tagGiven is on everything of a stack with tags of its user, and names them with their
// values: so a tag of the user's that is to go is distinguished from one that somebody else put
// there. What does not fit into one goes on in tags that end in -2, -3 and so on.
const tagGiven = "bookctl:tags"

const (
	// mostTagged is how many tags a resource of AWS can have, without those of AWS's own.
	// https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html
	mostTagged = 50
	// bookctlsTags is how many bookctl may put on one resource, without those of tagGiven.
	bookctlsTags = 23
	// mostTagValue is how long the value of a tag can be, and mostTagKey its key.
	mostTagValue = 256
	mostTagKey   = 128
)

// tagCharacters are those that each of the services takes in keys and values:
// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_Tag.html,
// https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_Tag.html
var tagCharacters = pattern.New(`^[\p{L}\p{N} _.:/=+@-]*$`)

// GiveTags sets and removes tags of everything in the stack.
func (s *Settings) GiveTags(set map[string]string, unset []string) {
	all := s.Tags.Map()
	for _, key := range unset {
		delete(all, key)
	}
	maps.Copy(all, set)
	s.Tags = NewPairs(all)
}

// checkTags returns what is wrong with the tags, or nil.
func (s Settings) checkTags() error {
	all, seen := s.Tags.Map(), map[string]string{}
	for _, key := range s.Tags.Names() {
		if why := wrongTag(key, all[key]); why != "" {
			return hint.With(fmt.Errorf("tag %q: %s", key, why), "choose with --tag, or remove it with --untag")
		}
		lower := strings.ToLower(key)
		if other, twice := seen[lower]; twice {
			// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_tags.html#id_tags_rules_creating
			return hint.With(fmt.Errorf("tags %q and %q: IAM takes keys that differ in case only for the same", other, key), "remove one with --untag")
		}
		seen[lower] = key
	}
	if most := mostTagged - bookctlsTags; len(tagsOfUser(s.Tags)) > most {
		return hint.With(fmt.Errorf("%d tags: AWS allows %d for each resource, of which %d are left in addition to those that bookctl needs", len(all), mostTagged, most), "remove some with --untag")
	}
	return nil
}

// wrongTag returns what AWS or bookctl has against a tag, or "".
func wrongTag(key, value string) string {
	lower := strings.ToLower(key)
	switch {
	case key == "":
		return "it has no key"
	case utf8.RuneCountInString(key) > mostTagKey:
		return fmt.Sprintf("AWS takes keys of at most %d characters", mostTagKey)
	case utf8.RuneCountInString(value) > mostTagValue:
		return fmt.Sprintf("AWS takes values of at most %d characters", mostTagValue)
	case !tagCharacters.MatchString(key), !tagCharacters.MatchString(value):
		return "AWS takes letters, digits, spaces and _ . : / = + - @ in keys and values"
	case strings.TrimSpace(key) != key, strings.TrimSpace(value) != value:
		return "load balancers take no space at the begin or end of a key or value"
	case strings.HasPrefix(lower, "bookctl:"), strings.EqualFold(key, naming.TagName):
		return "bookctl sets it itself"
	}
	for _, reserved := range []string{"aws:", "rds:"} {
		if strings.HasPrefix(lower, reserved) || strings.HasPrefix(strings.ToLower(value), reserved) {
			return "AWS reserves what begins with " + reserved
		}
	}
	return ""
}

// tagsEquals is between a key and its value, and tagsEnd after the value; tagText never writes them.
const (
	tagsEquals = "=:"
	tagsEnd    = "=/"
)

// tagsOfUser are the tags that the user gave, and those that name them.
func tagsOfUser(p Pairs) map[string]string {
	out := p.Map()
	var all strings.Builder
	for _, key := range p.Names() {
		all.WriteString(tagText(key) + tagsEquals + tagText(out[key]) + tagsEnd)
	}
	text := all.String()
	for n := 1; text != ""; n++ {
		part := text[:min(mostTagValue, len(text))]
		out[userTagsKey(n)], text = part, text[len(part):]
	}
	return out
}

// userTagsKey is the key of the n-th tag that names what the user gave.
func userTagsKey(n int) string {
	if n == 1 {
		return tagGiven
	}
	return tagGiven + "-" + strconv.Itoa(n)
}

// readUserTags reads from a resource's tags what the user gave it when they were written.
func readUserTags(tags map[string]string) Pairs {
	var text string
	for n := 1; tags[userTagsKey(n)] != ""; n++ {
		text += tags[userTagsKey(n)]
	}
	out := map[string]string{}
	for pair := range strings.SplitSeq(text, tagsEnd) {
		if key, value, ok := strings.Cut(pair, tagsEquals); ok {
			out[fromTagText(key)] = fromTagText(value)
		}
	}
	return NewPairs(out)
}

// isUserTagsKey reports whether a key is one that names what the user gave.
func isUserTagsKey(key string) bool {
	n, numbered := strings.CutPrefix(key, tagGiven+"-")
	return key == tagGiven || numbered && positive(n)
}

// dropped are the keys of live tags that the stack was given once and is not any more.
func dropped(live, want map[string]string) []string {
	var out []string
	for key := range live {
		if isUserTagsKey(key) {
			out = append(out, key)
		}
	}
	out = append(out, readUserTags(live).Names()...)
	out = slices.DeleteFunc(out, func(key string) bool {
		_, there := live[key]
		_, wanted := want[key]
		return !there || wanted
	})
	slices.Sort(out)
	return out
}

// droppedDrift compares the live tags with those that are not to be there any more.
func droppedDrift(live, want map[string]string) []graph.Change {
	return mapped(dropped(live, want), func(key string) graph.Change { return graph.Change{Field: key, Have: live[key]} })
}

// toDrop are the keys of the tags among changes that are to go. They go before the rest
// is written, and with it the note of them: a run that is cut off between leaves that.
func (i identity) toDrop(resource string, changes []graph.Change) []string {
	var out []string
	want := i.tags(resource)
	for _, c := range changes {
		if key, is := strings.CutPrefix(c.Field, fieldTag); is && c.Want == "" {
			if _, wanted := want[key]; !wanted {
				out = append(out, key)
			}
		}
	}
	return out
}
