package kernel

import (
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// Tagged is a resource with its tags.
type Tagged struct {
	ARN  string
	Tags map[string]string
}

// Kind is the resource's type in filters of the tagging API, such as "rds:db" or
// "ec2:vpc".
func (t Tagged) Kind() string {
	parts := strings.SplitN(t.ARN, ":", 6)
	if len(parts) < 6 {
		return ""
	}
	resource, _, _ := strings.Cut(strings.ReplaceAll(parts[5], ":", "/"), "/")
	return parts[2] + ":" + resource
}

// Tagger lists and tags one service's resources, for the tagging API and for
// policies with conditions on tags.
type Tagger struct {
	// List returns every resource that the tagging API covers.
	List func(*Tx) []Tagged
	// Add and Remove change the tags of a resource, with the errors of the service's
	// own calls.
	Add    func(tx *Tx, arn string, tags map[string]string) error
	Remove func(tx *Tx, arn string, keys []string) error
}

// TaggerMethods are a Tagger as methods of a service within a transaction.
type TaggerMethods[T any] struct {
	List   func(T) []Tagged
	Add    func(t T, arn string, tags map[string]string) error
	Remove func(t T, arn string, keys []string) error
}

// RegisterTagger sets the Tagger of the service with this name in ARNs. Begin returns
// the service within a transaction.
func RegisterTagger[T any](k *Kernel, service string, begin func(*Tx) T, methods TaggerMethods[T]) {
	k.taggers[service] = Tagger{
		List:   func(tx *Tx) []Tagged { return methods.List(begin(tx)) },
		Add:    func(tx *Tx, arn string, tags map[string]string) error { return methods.Add(begin(tx), arn, tags) },
		Remove: func(tx *Tx, arn string, keys []string) error { return methods.Remove(begin(tx), arn, keys) },
	}
}

// Tagger returns the Tagger of the service with this name in ARNs, if it has one.
func (tx *Tx) Tagger(service string) (Tagger, bool) {
	t, ok := tx.kernel.taggers[service]
	return t, ok
}

// Tagged returns all resources that have tags, sorted by ARN, with the faults of the
// tagging API.
func (tx *Tx) Tagged() []Tagged {
	f := tx.Faults()
	all := tx.tags()
	if f.StaleTags {
		for arn, tags := range tx.kernel.deleted {
			if _, alive := all[arn]; !alive {
				all[arn] = tags
			}
		}
	}
	var list []Tagged
	for i, arn := range slices.Sorted(maps.Keys(all)) {
		if f.TagGaps && i%2 == 1 {
			continue
		}
		list = append(list, Tagged{ARN: arn, Tags: all[arn]})
	}
	return list
}

// TagsOf returns the tags of a resource that a Tagger lists, or nil if it has none.
func (tx *Tx) TagsOf(arn string) map[string]string { return tx.tags()[arn] }

// tags returns the tags of every resource that has some, by ARN.
func (tx *Tx) tags() map[string]map[string]string {
	all := map[string]map[string]string{}
	for _, tagger := range tx.kernel.taggers {
		for _, t := range tagger.List(tx) {
			if len(t.Tags) > 0 {
				all[t.ARN] = maps.Clone(t.Tags)
			}
		}
	}
	return all
}

// rememberTags records the tags of all resources after every write, so that
// Faults.StaleTags can list resources after their deletion.
func (tx *Tx) rememberTags() {
	if !tx.Faults().StaleTags {
		return
	}
	if tx.kernel.deleted == nil {
		tx.kernel.deleted = map[string]map[string]string{}
	}
	maps.Copy(tx.kernel.deleted, tx.tags())
}

// TagList returns tags in a service's own type, sorted by key.
func TagList[T any](tags map[string]string, tag func(key, value *string) T) []T {
	list := make([]T, 0, len(tags))
	for _, key := range slices.Sorted(maps.Keys(tags)) {
		value := tags[key]
		list = append(list, tag(&key, &value))
	}
	return list
}

// TagMap returns tags of a service's own type as a map.
func TagMap[T any](tags []T, pair func(T) (key, value *string)) map[string]string {
	all := make(map[string]string, len(tags))
	for _, t := range tags {
		key, value := pair(t)
		all[aws.ToString(key)] = aws.ToString(value)
	}
	return all
}

// KeyList returns tags that have only keys, for calls that remove tags.
func KeyList[T any](keys []string, tag func(key *string) T) []T {
	list := make([]T, 0, len(keys))
	for _, key := range keys {
		list = append(list, tag(&key))
	}
	return list
}
