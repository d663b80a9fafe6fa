package provision

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/bookctl/bookctl/internal/naming"
)

// Changes reads the stack again, and returns in words what has changed since of what a run is
// made from; nil for nothing. It makes reads only.
func (d Deployed) Changes(ctx context.Context, c Clients) ([]string, error) {
	now, err := ReadDeployed(ctx, c, d.stack)
	if err != nil {
		return nil, fmt.Errorf("read what is deployed: %w", err)
	}
	if d.unserved != nil {
		given := now.Settings
		if err := now.AddUnservedSecrets(ctx, c, &given); err != nil {
			return nil, err
		}
	}
	return now.Since(d), nil
}

// Since returns what is different from what was read before; nil for nothing. Settings are
// written as the flags of up, and variables, secrets and tags without their values. What AWS
// does by itself is no difference: it ends what was being deleted, and may change what no tag
// records.
func (d Deployed) Since(before Deployed) []string {
	switch {
	case before.Found && !d.Found && before.exists.remains:
		return []string{"it was destroyed"}
	case before.Found && !d.Found:
		return nil
	case !before.Found && d.Found:
		return []string{"it was created"}
	}
	var out []string
	for _, part := range []struct {
		name    string
		was, is bool
	}{
		{"service", before.hasService(), d.hasService()},
		{"load balancer", before.HasLoadBalancer, d.HasLoadBalancer},
		{"database", before.HasData(), d.HasData()},
	} {
		switch {
		case part.was && !part.is:
			out = append(out, "its "+part.name+" was deleted")
		case !part.was && part.is:
			out = append(out, "it got a "+part.name)
		}
	}
	if out != nil { // the settings that these parts record have changed with them
		return out
	}
	if before.Paused.IsZero() && !d.Paused.IsZero() {
		out = append(out, "it was paused")
	}
	ended := d.endedParts(before)
	was, is := before.ignoring(ended, d), d.Settings
	was.Tags, is.Tags = before.exists.userTags(ended), d.exists.userTags(ended)
	for _, row := range Table() {
		if row.Value.Format(was) != row.Value.Format(is) {
			out = append(out, row.flagForMessage(is))
		}
	}
	for _, kind := range []struct {
		name    string
		was, is Pairs
	}{{"variable", was.Env, is.Env}, {"secret", was.Secrets, is.Secrets}, {"tag", was.Tags, is.Tags}} {
		was, is := kind.was.Map(), kind.is.Map()
		all := maps.Clone(was)
		maps.Copy(all, is)
		for _, name := range slices.Sorted(maps.Keys(all)) {
			from, had := was[name]
			if to, has := is[name]; from != to || had != has {
				out = append(out, kind.name+" "+name)
			}
		}
	}
	if before.unserved != nil && d.unserved != nil && *before.unserved != *d.unserved {
		out = append(out, "a secret that was set or unset")
	}
	if before.Running != d.Running && was.Image == is.Image && !ended[definitionPart] { // else --image says so
		out = append(out, "its image")
	}
	if before.Zones != d.Zones && !ended[networkPart] {
		out = append(out, "its availability zones")
	}
	if out == nil && was != is {
		out = append(out, "what is recorded of its image")
	}
	return out
}

// endedParts returns the parts of before, by their names, that were on their way out then, or are gone
// and were not seen to go: AWS shows roles, revisions and subnets for a while after their
// deletion. What they recorded of the settings is not changed when it is gone with them.
func (d Deployed) endedParts(before Deployed) map[string]bool {
	out := map[string]bool{
		servicePart: before.serviceGoing(), databasePart: before.DatabaseDeleting,
		networkPart: before.Zones != [2]string{} && d.Zones == [2]string{},
	}
	for _, part := range []string{definitionPart, naming.ExecutionRole} {
		out[part] = before.exists.tags[part] != nil && d.exists.tags[part] == nil
	}
	return out
}

// ignoring returns the settings, but in the place of those that ended parts recorded, and of
// those that AWS has changed, what was read afterwards.
func (d Deployed) ignoring(ended map[string]bool, after Deployed) Settings {
	s, is := d.Settings, after.Settings
	for _, row := range Table() {
		part := row.recorded.on[0]
		if ended[part] || row.moves && d.exists.tags[part][row.Tag()] == "" && after.exists.tags[part][row.Tag()] == "" {
			row.Value.Copy(&s, is)
		}
	}
	if ended[servicePart] {
		s.TwoTargetGroups = is.TwoTargetGroups
	}
	if ended[databasePart] {
		s.NoDatabase, s.DBSubnets = is.NoDatabase, is.DBSubnets
	}
	if ended[definitionPart] {
		s.Chosen, s.ReadyPath, s.Drain, s.CheckTimes = is.Chosen, is.ReadyPath, is.Drain, is.CheckTimes
		s.LocatesDatabase, s.DatabaseAuthority = is.LocatesDatabase, is.DatabaseAuthority
		s.Env, s.Secrets = is.Env, is.Secrets
	}
	return s
}

// flagForMessage is the setting as a flag of up, in words where it is none.
func (s Setting) flagForMessage(in Settings) string {
	value := s.Value.Format(in)
	_, onOff := s.Value.(Switch)
	switch {
	case value == "" || value == "0":
		return "no --" + s.Flag
	case onOff:
		return "--" + s.Flag + "=" + value
	}
	return "--" + s.Flag + " " + value
}
