package provision

import (
	"maps"

	"github.com/bookctl/bookctl/internal/naming"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// The tags that every resource of a stack carries; package naming says what each
// means.
const (
	TagStack    = naming.TagStack
	TagResource = naming.TagResource
	tagVersion  = naming.TagVersion
	tagRegion   = naming.TagRegion
	tagName     = naming.TagName
)

// identity is the stack that a resource belongs to.
type identity struct {
	stack   string
	version string
	// region is part of the names and tags of what AWS has once for all regions.
	region string
	// destroying reports whether the stack is only to be removed: what only shows how a resource
	// differs need not be read.
	destroying bool
	// userTags are the tags that the user gave to everything of the stack.
	userTags Pairs
	// settings are further tags by resource: what the user chose for it.
	settings map[string]map[string]string
	// hints are tags that are known already; see PreloadTags. Nil is for none.
	hints *tagHints
	// observation is that of the run; nil outside of one. See observed.
	observation *observation
}

// names are what the stack's resources are called in AWS.
func (i identity) names() naming.Names { return naming.Names{Stack: i.stack, Region: i.region} }

// tags returns the tags of the resource called resource in the stack.
func (i identity) tags(resource string) map[string]string {
	tags := tagsOfUser(i.userTags)
	maps.Copy(tags, i.names().Tags(resource, i.version))
	maps.Copy(tags, i.settings[resource])
	return tags
}

// newTags are those that a resource is made with: its own, and the settings of it that
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
// another one, which has the tags. The fields are the keys.
func (i identity) recordDrift(live map[string]string, by string) []graph.Change {
	return keyDrift(live, i.settings[by])
}

// fieldTag is what the field of a tag begins with.
const fieldTag = "tag "

// tagDrift compares tags. A tag that we did not set is its owner's business, and
// a version is written when the resource is made and not chased afterwards: an
// upgrade of bookctl alone must not change anything.
func tagDrift(live, want map[string]string) []graph.Change {
	out := append(keyDrift(live, want), droppedDrift(live, want)...)
	sortChanges(out)
	for i := range out {
		out[i].Field = fieldTag + out[i].Field
	}
	return out
}

// keyDrift is tagDrift of what there is to be, with the tags' keys for fields.
func keyDrift(live, want map[string]string) []graph.Change {
	var out []graph.Change
	for k, v := range want {
		if have, ok := live[k]; have != v && (k != tagVersion || !ok) {
			out = append(out, graph.Change{Field: k, Have: have, Want: v})
		}
	}
	sortChanges(out)
	return out
}
