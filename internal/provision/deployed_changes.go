package provision

import (
	"context"
	"fmt"
	"maps"
	"slices"
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
		if err := now.GiveUnserved(ctx, c, &given); err != nil {
			return nil, err
		}
	}
	return now.Since(d), nil
}

// Since returns what is different from what was read before; nil for nothing. Settings are
// written as the flags of up, and variables, secrets and tags without their values.
func (d Deployed) Since(before Deployed) []string {
	switch {
	case before.Found && !d.Found:
		return []string{"it was destroyed"}
	case !before.Found && d.Found:
		return []string{"it was created"}
	}
	var out []string
	for _, part := range []struct {
		name    string
		was, is bool
	}{
		{"service", before.Service(), d.Service()},
		{"load balancer", before.Balanced, d.Balanced},
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
	for _, row := range Table() {
		if row.Value.Format(before.Settings) != row.Value.Format(d.Settings) {
			out = append(out, row.asFlag(d.Settings))
		}
	}
	for _, kind := range []struct {
		name    string
		was, is Pairs
	}{{"variable", before.Env, d.Env}, {"secret", before.Secrets, d.Secrets}, {"tag", before.Tags, d.Tags}} {
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
	if before.Running != d.Running && before.Image == d.Image { // else --image says so
		out = append(out, "its image")
	}
	if before.Zones != d.Zones {
		out = append(out, "its availability zones")
	}
	if out == nil && before.Settings != d.Settings {
		out = append(out, "what is recorded of its image")
	}
	return out
}

// asFlag is the setting as a flag of up, in words where it is none.
func (s Setting) asFlag(in Settings) string {
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
