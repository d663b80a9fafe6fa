package provision

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// TestTagsAreReadAsTheyWereGiven writes tags onto a thing and reads from it which of its
// tags they are.
func TestTagsAreReadAsTheyWereGiven(t *testing.T) {
	t.Parallel()
	for name, given := range map[string]map[string]string{
		"none": {}, "one": {"team": "payments"}, "an empty value": {"team": ""},
		"every character": {"a b_.:/=+-@é": "=:/=/ =", "==": "=", "/": ":"},
		"long":            {strings.Repeat("k", mostTagKey): strings.Repeat("=", mostTagValue), "other": strings.Repeat("é", 200)},
	} {
		tags := identity{stack: "book", userTags: NewPairs(given)}.tags("vpc")
		tags["by-hand"] = "theirs"
		if got := readUserTags(tags).Map(); !maps.Equal(got, given) {
			t.Errorf("%s: given are %v, read are %v", name, given, got)
		}
		for key, value := range tags {
			if len(key) > mostTagKey || len(value) > mostTagValue && isUserTagsKey(key) || !tagCharacters.MatchString(key+value) {
				t.Errorf("%s: AWS takes no tag %s=%s", name, key, value)
			}
		}
		without := identity{stack: "book"}.tags("vpc")
		gone := dropped(tags, without)
		for _, key := range slices.Concat(slices.Collect(maps.Keys(given)), []string{"by-hand", TagStack}) {
			if _, was := given[key]; slices.Contains(gone, key) != was {
				t.Errorf("%s: of %q is dropped: %v", name, key, gone)
			}
		}
		for _, key := range gone {
			delete(tags, key)
		}
		if drift := tagDrift(tags, without); len(drift) > 0 || tags["by-hand"] == "" {
			t.Errorf("%s: without what is dropped there is left %v, which differs by %v", name, tags, drift)
		}
	}
}

// TestTagsThatAWSRefusesAreRefused holds tags against the documented limits of all services.
func TestTagsThatAWSRefusesAreRefused(t *testing.T) {
	t.Parallel()
	many := map[string]string{}
	for i := range mostTagged {
		many["key-"+strconv.Itoa(i)] = ""
	}
	for why, tags := range map[string]map[string]string{
		"":                                         {"team": "payments", "Cost Center": "42 / é", strings.Repeat("k", mostTagKey): strings.Repeat("é", mostTagValue)},
		"it has no key":                            {"": "x"},
		"keys of at most 128":                      {strings.Repeat("é", mostTagKey+1): ""},
		"values of at most 256":                    {"team": strings.Repeat("v", mostTagValue+1)},
		"AWS takes letters, digits":                {"team": "a,b"},
		"no space at the begin":                    {"team": "x "},
		"bookctl sets it itself":                   {"Bookctl:Stack": "other"},
		"sets it itself":                           {"name": "other"},
		"AWS reserves what begins with aws:":       {"AWS:team": "x"},
		"AWS reserves what begins with rds:":       {"team": "rds:x"},
		"differ in case only":                      {"Team": "x", "team": "x"},
		"50 tags: AWS allows 50 for each resource": many,
	} {
		s := DefaultSettings()
		s.GiveTags(tags, nil)
		err := s.Check()
		if (err == nil) != (why == "") || err != nil && !strings.Contains(err.Error(), why) {
			t.Errorf("of tags that are refused with %q it says %v", why, err)
		}
	}
}

// TestBookctlsOwnTagsLeaveRoom counts the tags that bookctl itself puts on each resource
// of a stack in which every setting is chosen.
func TestBookctlsOwnTagsLeaveRoom(t *testing.T) {
	t.Parallel()
	settings := DefaultSettings()
	var chosen []string
	for _, row := range Table() {
		if !row.Value.Parse(&settings, row.Example) {
			t.Fatalf("the example of --%s is no value of it", row.Flag)
		}
		if row.Derived {
			chosen = append(chosen, row.Flag)
		}
	}
	settings.NoDatabase, settings.Chosen = false, strings.Join(chosen, " ")
	settings.AlarmTopic = "" // which excludes the address, and is not more to note
	settings.Sticky = false  // which excludes the strategy, and is noted all the same
	own, given := settings, settings
	own.VPC, own.Subnets, own.DBSubnets = "", "", ""
	given.CIDR = defaultCIDR
	// What a run adds where that applies.
	added := map[string]int{
		servicePart: 2, databasePart: 1, // secret version, paused
		definitionPart: 6, // spec, served, released, rolled back from, release, task policies
		"alarm-topic":  1, // whom it notifies
	}
	most := 0
	for _, settings := range []Settings{own, given} {
		record := settings.record()
		s, err := NewStack(NewClients(aws.Config{Region: "us-east-1"}), Spec{Stack: "book", Zones: [2]string{"a", "b"}, Settings: settings})
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range s.Resources() {
			name := r.(interface{ Name() string }).Name()
			n := len(identity{stack: "book", region: "us-east-1"}.tags(name)) + added[name]
			for key, tags := range record {
				if key == name || strings.HasPrefix(key, name+" by ") {
					n += len(tags)
				}
			}
			if most = max(most, n); n > bookctlsTags {
				t.Errorf("%s has %d tags of bookctl's, and %d are counted with", name, n, bookctlsTags)
			}
		}
	}
	if most < bookctlsTags-4 {
		t.Errorf("there are %d at most, and %d are taken from the user", most, bookctlsTags)
	}
}
