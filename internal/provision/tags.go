package provision

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/bookctl/bookctl/internal/provision/graph"
)

// The tags that every resource of a stack carries.
const (
	// TagStack holds the stack's name. It is the mark of ownership.
	TagStack = "bookctl:stack"
	// TagResource holds the name of the resource in the stack.
	TagResource = "bookctl:resource"
	// TagVersion holds the version of bookctl that made or last mended it.
	TagVersion = "bookctl:version"
	// TagRegion holds the region of a stack's things that are the same in all of
	// them: roles. It is a part of the mark of ownership there.
	TagRegion = "bookctl:region"
	// tagName is what the AWS console shows as the name of EC2 things.
	tagName = "Name"
)

var stackName = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)

// CheckStackName says what is wrong with a stack's name. The length leaves room
// for the longest derived name: load balancers allow 32 characters. They also
// refuse names that begin with "internal-", and RDS those with a double hyphen.
func CheckStackName(name string) error {
	if !stackName.MatchString(name) || len(name) > 20 {
		return fmt.Errorf("stack name %q: use 1 to 20 of a-z, 0-9 and single '-' between them, starting with a letter", name)
	}
	if name == "internal" || strings.HasPrefix(name, "internal-") {
		return fmt.Errorf("stack name %q: load balancers can't be named internal-…, choose another name", name)
	}
	return nil
}

// identity is the stack that a resource belongs to.
type identity struct {
	stack   string
	version string
	// region is told by the names and tags of what AWS has once for all regions.
	region string
	// settings are further tags by resource: what the user chose for it.
	settings map[string]map[string]string
	// hints are tags that are known already, by ARN; see HintTags.
	hints map[string]map[string]string
}

// name returns the deterministic name of a thing of the stack.
func (i identity) name(thing string) string { return i.stack + "-" + thing }

// tags returns the tags of the resource called resource in the stack.
func (i identity) tags(resource string) map[string]string {
	tags := map[string]string{
		TagStack:    i.stack,
		TagResource: resource,
		TagVersion:  i.version,
		tagName:     i.name(resource),
	}
	maps.Copy(tags, i.settings[resource])
	return tags
}

// newTags are those that a thing is made with: its own, and the settings of it that
// another resource of the stack carries out and keeps from then on.
func (i identity) newTags(resource, by string) map[string]string {
	tags := i.tags(resource)
	maps.Copy(tags, i.settings[by])
	return tags
}

// fieldRecorded is what the field of a setting's tag begins with that another
// resource than the tagged one writes.
const fieldRecorded = "recorded "

// recordDrift compares the tags of the settings that a resource carries out for
// another one, which has the tags.
func (i identity) recordDrift(live map[string]string, by string) []graph.Change {
	out := tagDrift(live, i.settings[by])
	for n := range out {
		out[n].Field = fieldRecorded + strings.TrimPrefix(out[n].Field, fieldTag)
	}
	return out
}

// fieldTag is what the field of a tag begins with.
const fieldTag = "tag "

// hasRecordDrift says whether there is drift of the kind of recordDrift.
func hasRecordDrift(changes []graph.Change) bool {
	return slices.ContainsFunc(changes, func(c graph.Change) bool { return strings.HasPrefix(c.Field, fieldRecorded) })
}

// tagDrift compares tags. A tag that we do not set is its owner's business, and
// a version is written when the thing is made and not chased afterwards: an
// upgrade of bookctl alone must not change anything.
func tagDrift(live, want map[string]string) []graph.Change {
	var out []graph.Change
	for k, v := range want {
		if have, ok := live[k]; have != v && (k != TagVersion || !ok) {
			out = append(out, graph.Change{Field: fieldTag + k, Have: have, Want: v})
		}
	}
	sortChanges(out)
	return out
}

func sortChanges(changes []graph.Change) {
	slices.SortFunc(changes, func(a, b graph.Change) int { return strings.Compare(a.Field, b.Field) })
}

// readTags turns a service's own tag type into a map.
func readTags[T any](tags []T, pair func(T) (key, value *string)) map[string]string {
	out := make(map[string]string, len(tags))
	for _, t := range tags {
		k, v := pair(t)
		if k != nil && v != nil {
			out[*k] = *v
		}
	}
	return out
}

// writeTags turns a map into a service's own tag type, sorted by key.
func writeTags[T any](tags map[string]string, make func(key, value *string) T) []T {
	var out []T
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		v := tags[k]
		out = append(out, make(&k, &v))
	}
	return out
}
