package provision

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// existing is what ReadDeployed saw, whatever the tags record.
type existing struct {
	service bool
	tasks   int32
	// served says that a release of the stack was healthy once, so that all of the
	// stack was there.
	served   bool
	class    string
	gib      int32
	multiAZ  bool
	backedUp int32
}

// CostNow is what that costs which exists: a part that somebody deleted costs
// nothing, and one that somebody changed what it is now. Ask is Cost or LiveCost.
func (d Deployed) CostNow(ask func(Settings) ([]Line, error)) ([]Line, error) {
	s, here := d.Settings, d.exists
	s.Count = here.tasks
	if d.Database {
		s.DBClass, s.DBStorage, s.DBMultiAZ, s.BackupDays = here.class, here.gib, here.multiAZ, here.backedUp
	}
	lines, err := ask(s)
	if err != nil {
		return nil, err
	}
	lines = slices.DeleteFunc(lines, func(l Line) bool {
		return !d.Database && strings.HasPrefix(l.Item, "database") || !d.Balanced && strings.HasPrefix(l.Item, "load balancer")
	})
	for i := range lines {
		if l := &lines[i]; l.Item == "public addresses" && !d.Balanced {
			l.Monthly *= float64(s.Count) / float64(s.Count+2)
			l.Note = fmt.Sprintf("%d of tasks", s.Count)
		}
	}
	return lines, nil
}

// Lost says which settings went with a part that somebody deleted, where nothing
// else records them, and what the part is made with in their place. A stack that
// was never whole has lost nothing.
func (d Deployed) Lost(made Settings) []string {
	if !d.exists.served {
		return nil
	}
	var out []string
	lose := func(part string, settings ...string) {
		out = append(out, fmt.Sprintf("the %s is gone, and with it the settings that it recorded; it is made with %s", part, strings.Join(settings, ", ")))
	}
	or := func(flag, value string) string {
		if value == "" || value == "0" {
			return "no --" + flag
		}
		return "--" + flag + " " + value
	}
	number := func(n int32) string { return strconv.Itoa(int(n)) }
	if !d.Balanced {
		lose("load balancer", or("port", number(made.Port)), or("domain", made.Domain), or("certificate", made.Certificate))
	}
	if !d.exists.service {
		lose("service", or("count", number(made.Count)), or("max", number(made.Max)), fmt.Sprintf("--exec=%t", made.Exec), or("log-days", number(made.LogDays)))
	}
	if !d.Database {
		lose("database", or("db-class", made.DBClass), or("db-storage", number(made.DBStorage)), fmt.Sprintf("--db-multi-az=%t", made.DBMultiAZ),
			or("backup-days", number(made.BackupDays)), fmt.Sprintf("--protect=%t", made.Protect))
	}
	return out
}
