package preflight

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/provision"
)

// chooseVersion chooses the version of the database, and compares it with the snapshot's.
func (in Intent) chooseVersion(env *Environment, r readings) error {
	env.DBVersion = in.Settings.DBVersion
	switch {
	case env.DBVersion != "":
	case in.Deployed.Found && in.Deployed.DBVersion != "":
		env.DBVersion = in.Deployed.DBVersion
	case r.snapshot != nil:
		env.DBVersion = provision.MajorVersion(r.snapshot.Version)
	}
	if s := r.snapshot; s != nil && provision.MajorVersion(s.Version) != provision.MajorVersion(env.DBVersion) {
		return hint.With(fmt.Errorf("snapshot %s is of PostgreSQL %s, and the database is to be %s: it is restored into its own version", s.ID, s.Version, env.DBVersion),
			"leave --db-version out; once it serves, %s upgrades it", hint.Command("up", "--db-version", env.DBVersion))
	}
	if in.upgrades() {
		if err := in.chooseTarget(env, r.targets); err != nil {
			return err
		}
	}
	if s := r.snapshot; s != nil && !in.Deployed.HasData() && in.Settings.DBStorage < s.GiB {
		return hint.With(fmt.Errorf("database storage %d GiB: snapshot %s is of %d GiB, and RDS storage can't shrink", in.Settings.DBStorage, s.ID, s.GiB), "leave --db-storage out, or give at least as much")
	}
	return nil
}

// present is the full version that the data has already, "" for none.
func (in Intent) present(r readings) string {
	switch {
	case in.Deployed.HasData():
		return in.Deployed.EngineVersion()
	case r.snapshot != nil:
		return r.snapshot.Version
	}
	return ""
}

// upgrades reports whether the database is to get another major version.
func (in Intent) upgrades() bool {
	return in.Deployed.HasData() && !in.Settings.NoDatabase && in.Settings.DBVersion != "" && in.Deployed.EngineVersion() != "" &&
		provision.MajorVersion(in.Settings.DBVersion) != provision.MajorVersion(in.Deployed.EngineVersion())
}

// chooseTarget chooses the version that the database is upgraded to, of those that RDS offers for it.
func (in Intent) chooseTarget(env *Environment, targets []string) error {
	from, want := in.Deployed.EngineVersion(), in.Settings.DBVersion
	env.UpgradeFrom, env.UpgradeTo = from, want
	if targets == nil {
		env.Warnings = append(env.Warnings, fmt.Sprintf("the endpoint does not say what PostgreSQL %s can be upgraded to, so that is not checked", from))
		return nil
	}
	if env.UpgradeTo = provision.TargetFor(targets, want); env.UpgradeTo != "" {
		return nil
	}
	next := "RDS upgrades it to no other version"
	var majors []string
	for _, t := range targets {
		if m := provision.MajorVersion(t); m != provision.MajorVersion(from) && !slices.Contains(majors, m) {
			majors = append(majors, m)
		}
	}
	if majors != nil {
		next = "choose one of --db-version " + strings.Join(majors, ", ")
		if !strings.Contains(want, ".") {
			next += "; from there it may go on"
		}
	}
	return hint.With(fmt.Errorf("RDS does not upgrade PostgreSQL %s to %s", from, want), "%s", next)
}
