// Package preflight reads, in seconds, whether a run would fail after minutes, and
// chooses the zones and the database version of a stack.
package preflight

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/naming"
	"github.com/bookctl/bookctl/internal/partition"
	"github.com/bookctl/bookctl/internal/provision"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// Intent is what a run is about to do, as far as Check needs to know. Stack,
// Settings and Region are required.
type Intent struct {
	Stack    string
	Settings provision.Settings
	// Deployed is what exists; see provision.ReadDeployed.
	Deployed provision.Deployed
	// Region is the one that the clients are configured for.
	Region string
	// Account, if not "", is the only account that may be changed, and OnlyRegion the
	// only region.
	Account, OnlyRegion string
	// Caller, if not "", is the caller that Identify has returned. Account is then
	// the caller's account, and Check does not call Identify again.
	Caller string
	// Restore is provision.Spec.Restore. Snapshot is the snapshot that it names, or
	// nil if it was not read yet.
	Restore  string
	Snapshot *provision.Snapshot
	// ImageArchs are the architectures of a ready image. It is empty if bookctl builds
	// the image, or if they are not known.
	ImageArchs []string
}

// Environment is where a stack is, or will be.
type Environment struct {
	Account string `json:"account"`
	Region  string `json:"region"`
	// Caller is the ARN of the caller.
	Caller string `json:"caller"`
	// Zones are the zones of the stack's subnets, or two that offer the database class.
	Zones [2]string `json:"zones"`
	// Subnets and DBSubnets are the subnets to use of an existing VPC: those in the
	// settings, or those that were chosen.
	Subnets   string `json:"subnets,omitempty"`
	DBSubnets string `json:"dbSubnets,omitempty"`
	// DBVersion is the version of PostgreSQL to use: the version in the settings, the
	// deployed one, that of the snapshot, or one that the region offers.
	DBVersion string `json:"dbVersion"`
	// UpgradeFrom is the version of a database that is to get DBVersion, another major
	// version, and UpgradeTo the full one; "" where it keeps its own.
	UpgradeFrom string `json:"upgradeFrom,omitempty"`
	UpgradeTo   string `json:"upgradeTo,omitempty"`
	// Snapshot is the snapshot that Intent.Restore names, or nil.
	Snapshot *provision.Snapshot `json:"snapshot,omitempty"`
	// Warnings say what may fail later and can't be checked now.
	Warnings []string `json:"warnings,omitempty"`
}

// ErrNoRegion is the error of Identify if no region is set. ErrRegionName is wrapped
// by its error if the region can't be the name of a region.
var (
	ErrNoRegion   = errors.New("no AWS region is set")
	ErrRegionName = errors.New("AWS regions are called like eu-central-1")
)

// Identify returns the account and the ARN of the caller, in the region that the
// clients are configured for. It makes no call if that is not a valid region.
func Identify(ctx context.Context, c provision.Clients, region string) (account, caller string, err error) {
	if region == "" {
		return "", "", ErrNoRegion
	}
	if !partition.IsRegion(region) {
		return "", "", fmt.Errorf("region %q: %w", region, ErrRegionName)
	}
	if account, caller, err = c.Caller(ctx); err != nil {
		return "", "", fmt.Errorf("identify the AWS caller: %w", err)
	}
	return account, caller, nil
}

// Check makes all checks, and chooses the zones and the database version. Each check
// that fails is a line of the error. Check does not look for resources of the same
// name that belong to others: the engine does, before it changes anything.
func Check(ctx context.Context, c provision.Clients, in Intent) (Environment, error) {
	if err := in.check(); err != nil {
		return Environment{}, err
	}
	env := Environment{Account: in.Account, Caller: in.Caller, Region: in.Region, Zones: in.Deployed.Zones}
	env.Subnets, env.DBSubnets = in.Settings.Subnets, in.Settings.DBSubnets
	if err := in.checkIdentity(ctx, c, &env); err != nil {
		return env, err
	}
	if err := checkHTTPS(ctx, c, in); err != nil {
		return env, err
	}
	if topic := in.Settings.AlarmTopic; topic != "" && topic != in.Deployed.AlarmTopic {
		warning, err := provision.CheckTopic(ctx, c.SNS, env.Account, topic)
		if err != nil {
			return env, err
		}
		if warning != "" {
			env.Warnings = append(env.Warnings, warning)
		}
	}
	if in.Settings.TaskPolicies != in.Deployed.TaskPolicies {
		if err := provision.CheckTaskPolicies(ctx, c.IAM, in.Settings, env.Account); err != nil {
			return env, err
		}
	}
	warnings, err := provision.CheckSecrets(ctx, c, env.Account, in.Settings, in.Deployed.Settings)
	if err != nil {
		return env, err
	}
	env.Warnings = append(env.Warnings, warnings...)
	r, err := in.readAll(ctx, c, env.Account)
	if err != nil {
		return env, err
	}
	env.Snapshot = r.snapshot
	if err := in.chooseVersion(&env, r); err != nil {
		return env, err
	}
	if r.blocked != "" {
		return env, hint.With(fmt.Errorf("VPC Block Public Access of this account and region (%s) would keep the internet out of the stack's VPC, which can't be excluded before it exists", r.blocked),
			"whoever manages the account can turn it off here, or create a VPC and exclude that; --vpc creates the stack in it")
	}
	if r.vpcs >= defaultVPCs {
		env.Warnings = append(env.Warnings, fmt.Sprintf("%s has %d VPCs already, and the quota is %d unless it was raised (Service Quotas, 'VPCs per Region', L-F678F1CE)", in.Region, r.vpcs, defaultVPCs))
	}
	if in.databaseUnchanged() {
		return env, nil
	}
	return env, in.choosePlace(&env, r)
}

// checkIdentity identifies the caller, if that was not done yet, and checks the account.
func (in Intent) checkIdentity(ctx context.Context, c provision.Clients, env *Environment) (err error) {
	if env.Caller == "" {
		if env.Account, env.Caller, err = Identify(ctx, c, in.Region); err != nil {
			return err
		}
	}
	if in.Account != "" && env.Account != in.Account {
		return hint.With(fmt.Errorf("this is account %s, and only %s may be changed", env.Account, in.Account), "choose its credentials with AWS_PROFILE")
	}
	return nil
}

// check makes the checks that need no call.
func (in Intent) check() error {
	if err := naming.CheckStack(in.Stack); err != nil {
		return err
	}
	if err := in.Settings.Check(); err != nil {
		return err
	}
	if err := in.checkArch(); err != nil {
		return err
	}
	if in.Settings.NoDatabase && in.Deployed.Database {
		return hint.With(errors.New("this stack has a database, which --no-database does not take away"),
			"keep it; or destroy the stack, which keeps a snapshot of its data, and create the stack again with --no-database")
	}
	if in.Settings.NoDatabase && in.Restore != "" {
		return errors.New("--restore needs a database, and --no-database excludes one: leave out one of the two flags")
	}
	if err := in.checkMove(); err != nil {
		return err
	}
	if err := in.checkDatabaseStays(); err != nil {
		return err
	}
	if in.OnlyRegion != "" && in.Region != in.OnlyRegion {
		return hint.With(fmt.Errorf("this is region %s, and only %s may be changed", in.Region, in.OnlyRegion), "choose it with --region or AWS_REGION")
	}
	if in.upgrades() && provision.CompareVersions(in.Settings.DBVersion, in.Deployed.EngineVersion()) < 0 {
		return hint.With(fmt.Errorf("the database is PostgreSQL %s, which can't be downgraded to %s", in.Deployed.EngineVersion(), in.Settings.DBVersion),
			"leave --db-version out; a snapshot of the older version, which %s lists, can be restored into another stack", hint.Command("db", "snapshots"))
	}
	return nil
}

// readings are what the choices are made from. What an intent does not need is not read.
type readings struct {
	zones    []string
	offered  offers
	snapshot *provision.Snapshot
	vpcs     int
	blocked  string   // how VPC Block Public Access keeps the internet out, "" for not at all
	standard string   // the version that RDS gives a new database
	targets  []string // the versions that the database can be upgraded to
	given    *provision.VPCInfo
}

func (in Intent) readAll(ctx context.Context, c provision.Clients, account string) (readings, error) {
	r := readings{snapshot: in.Snapshot}
	var reads graph.Group
	if !in.databaseUnchanged() {
		reads.Go(func() (err error) {
			r.given, err = in.readGiven(ctx, c)
			return err
		})
		reads.Go(func() (err error) {
			r.zones, err = openZones(ctx, c.EC2, in.Region)
			return err
		})
		reads.Go(func() (err error) {
			if in.Settings.NoDatabase {
				return nil
			}
			r.offered, err = readOffers(ctx, c.RDS, in.Settings.DBClass)
			return err
		})
	}
	if in.Restore != "" && in.Snapshot == nil {
		reads.Go(func() error {
			s, err := provision.SnapshotToRestore(ctx, c.RDS, account, in.Stack, in.Restore)
			r.snapshot = &s
			return err
		})
	}
	if in.Deployed.Zones == [2]string{} && in.Settings.VPC == "" {
		reads.Go(func() error {
			all, err := readVPCs(ctx, c.EC2)
			if err != nil {
				return err
			}
			r.vpcs = len(all) // EC2 may count those that are being deleted, too
			all = provision.WithoutDeleting(all)
			in.Deployed.NoteVPCs(all)
			r.blocked, err = blockedMode(ctx, c.EC2, all, account, in.Stack)
			return err
		})
	}
	err := reads.Wait()
	if err != nil || r.offered.noneListed { // an endpoint that lists no offers does not know of versions either
		return r, err
	}
	if in.upgrades() {
		if r.targets, err = provision.UpgradeTargets(ctx, c.RDS, in.Deployed.EngineVersion()); err != nil {
			return r, err
		}
	}
	if !in.Settings.NoDatabase && in.Settings.DBVersion == "" && !in.Deployed.Database && in.Restore == "" {
		r.standard, err = provision.DefaultVersion(ctx, c.RDS)
	}
	return r, err
}

// choosePlace chooses the zones, and in an existing VPC the subnets.
func (in Intent) choosePlace(env *Environment, r readings) (err error) {
	var subnets subnetChoice
	zones := r.zones
	if r.given != nil {
		if err := in.checkOwner(*r.given, env.Account); err != nil {
			return err
		}
		if subnets, err = in.subnetsOf(*r.given, zones); err != nil {
			return err
		}
		env.Warnings = append(env.Warnings, in.classWarnings(*r.given)...)
		zones = subnets.zones()
	}
	if in.Settings.NoDatabase {
		err = pickZones(env, zones, "", "")
	} else {
		err = r.offered.choose(env, in.Settings, zones, in.present(r), r.standard)
	}
	if err != nil || in.hasPlace() || r.given == nil {
		return err
	}
	return subnets.chooseSubnets(env, in.Deployed.Settings, in.Settings)
}

// checkArch rejects a ready image that tasks can't run.
func (in Intent) checkArch() error {
	if len(in.ImageArchs) == 0 || slices.Contains(in.ImageArchs, in.Settings.Arch) {
		return nil
	}
	next := "give an image for " + in.Settings.Arch
	for _, arch := range in.ImageArchs {
		if arch == "amd64" || arch == "arm64" { // the architectures of Fargate
			next = fmt.Sprintf("use --arch %s, or %s", arch, next)
		}
	}
	return hint.With(fmt.Errorf("the image is for %s and the tasks are %s", strings.Join(in.ImageArchs, ", "), in.Settings.Arch), "%s", next)
}

// databaseUnchanged reports whether the database exists with the wanted settings. It then
// does not matter what the region offers today.
func (in Intent) databaseUnchanged() bool {
	have, want := in.Deployed, in.Settings
	if want.NoDatabase {
		return in.hasPlace()
	}
	return have.DBVersion != "" && in.hasPlace() &&
		have.DBVersion == want.DBVersion && have.DBClass == want.DBClass && have.DBMultiAZ == want.DBMultiAZ &&
		have.DBInsights == want.DBInsights && have.DBStorage == want.DBStorage && have.DBMaxStorage == want.DBMaxStorage
}
