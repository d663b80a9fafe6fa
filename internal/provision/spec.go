package provision

import (
	"context"
	"errors"

	"github.com/bookctl/bookctl/internal/naming"
)

// Spec describes which stack is wanted.
type Spec struct {
	// Stack is the stack's name; see naming.CheckStack.
	Stack string
	// Version is the version of bookctl, written to the tag bookctl:version.
	Version string
	// Zones are two availability zones, for example us-east-1a and us-east-1b. For a
	// deployed stack they are in Deployed. In an existing VPC its subnets have them.
	Zones [2]string
	// Settings are the settings that the user chose.
	Settings
	// Source builds the image, unless Settings.Image names a ready one. Nil
	// keeps Running.
	Source ImageSource
	// Running is the image that is deployed; see Deployed.
	Running string
	// RolledBackFrom is the revision that a rollback leaves, and Repeats the one that it
	// returns to, to be recorded; both are 0 for other runs.
	RolledBackFrom, Repeats int32
	// Released reports whether the release that a rollback returns to has served, so that
	// its release command does not run again.
	Released bool
	// Deployed, if it was just read, answers the first reads, so that nothing is read
	// twice. It may be nil.
	Deployed *Deployed
	// Release hears of the release command.
	Release ReleaseWatch
	// Wait makes the service ready only when its rollout is over and its tasks
	// are healthy.
	Wait bool
	// Restore is the snapshot that a new database is created from: its id, or "latest" for
	// the stack's newest.
	Restore string
	// NewDatabase allows a run to create the database. Only an up does that, and only one that
	// has seen none: to other runs, a database that is gone is one that somebody deleted, and
	// none of them may put an empty one in its place.
	NewDatabase bool
	// CopyFrom is a snapshot of another region or account. It is copied, and the database
	// is restored from the copy instead of from Restore; nil for none.
	CopyFrom *Snapshot
	// Paused makes the paused state the wanted one, so that it is no drift. It is only for
	// observing a stack: runs create stacks that serve.
	Paused bool
	// startEarly starts tasks while the database is created; Run.Up sets it. It decides how
	// resources are created, not what they should be: existing resources are right either
	// way.
	startEarly bool
	// afterCutOff reports whether the previous run was interrupted; Run sets it.
	afterCutOff bool
	// alarmed reports whether the deployed stack was to have alarms, which may still exist;
	// Run.Up sets it.
	alarmed bool
	// destroying reports whether the stack is being deleted; Run.Destroy sets it.
	destroying bool
	// GivenFlags are the settings that this run was given, by their flags. Protection that was
	// raised by hand above the recorded one stays, unless its flag was given.
	GivenFlags map[string]bool
	// UpgradeFrom is the version of a database that the run upgrades to another major
	// version; "" for none. See preflight.Environment.
	UpgradeFrom string
	// SkipFinalSnapshot makes destroy delete the database without a final snapshot.
	SkipFinalSnapshot bool
	// beforeDatabaseGoes deletes what is only known to be the stack's while its database is
	// there; Run.Destroy sets it. While it fails, the database stays. Nil for nothing.
	beforeDatabaseGoes func(context.Context) error
}

func (s Spec) check() error {
	if err := naming.CheckStack(s.Stack); err != nil {
		return err
	}
	if s.VPC == "" && (s.Zones[0] == "" || s.Zones[0] == s.Zones[1]) {
		return errors.New("a stack needs two different availability zones")
	}
	return s.Check()
}

// postgresPort is the port of the database.
const postgresPort = 5432
