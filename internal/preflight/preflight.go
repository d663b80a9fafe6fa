// Package preflight reads, in seconds, whether a run would fail after minutes, and
// chooses the zones and the database version of a stack.
package preflight

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/acm"
	acmtypes "github.com/aws/aws-sdk-go-v2/service/acm/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	rdstypes "github.com/aws/aws-sdk-go-v2/service/rds/types"
	"github.com/aws/smithy-go"

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
	// Subnets and DBSubnets are the subnets to use of a VPC that was given: those in the
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
	var err error
	if env.Caller == "" {
		if env.Account, env.Caller, err = Identify(ctx, c, in.Region); err != nil {
			return env, err
		}
	}
	if in.Account != "" && env.Account != in.Account {
		return env, hint.With(fmt.Errorf("this is account %s, and only %s may be changed", env.Account, in.Account), "choose its credentials with AWS_PROFILE")
	}

	if err := checkHTTPS(ctx, c, in); err != nil {
		return env, err
	}
	if topic := in.Settings.AlarmTopic; topic != "" && topic != in.Deployed.AlarmTopic {
		warning, err := provision.CheckTopic(ctx, c.SNS, topic)
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
	f, err := in.find(ctx, c, env.Account)
	if err != nil {
		return env, err
	}
	env.Snapshot = f.snapshot
	if err := in.chooseVersion(&env, f); err != nil {
		return env, err
	}
	if f.blocked != "" {
		return env, hint.With(fmt.Errorf("VPC Block Public Access of this account and region (%s) would keep the internet out of the stack's VPC, which can't be excluded before it exists", f.blocked),
			"whoever manages the account can turn it off here, or create a VPC and exclude that; --vpc creates the stack in it")
	}
	if f.vpcs >= defaultVPCs {
		env.Warnings = append(env.Warnings, fmt.Sprintf("%s has %d VPCs already, and the quota is %d unless it was raised (Service Quotas, 'VPCs per Region', L-F678F1CE)", in.Region, f.vpcs, defaultVPCs))
	}
	if in.unchanged() {
		return env, nil
	}
	return env, in.choosePlace(&env, f)
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

// found is what the choices are made from. What an intent does not need is not read.
type found struct {
	zones    []string
	offered  offers
	snapshot *provision.Snapshot
	vpcs     int
	blocked  string   // how VPC Block Public Access keeps the internet out, "" for not at all
	standard string   // the version that RDS gives a new database
	targets  []string // the versions that the database can be upgraded to
	given    *provision.GivenNetwork
}

func (in Intent) find(ctx context.Context, c provision.Clients, account string) (found, error) {
	f := found{snapshot: in.Snapshot}
	var reads graph.Group
	if !in.unchanged() {
		reads.Go(func() (err error) {
			f.given, err = in.readGiven(ctx, c)
			return err
		})
		reads.Go(func() (err error) {
			f.zones, err = openZones(ctx, c.EC2, in.Region)
			return err
		})
		reads.Go(func() (err error) {
			if in.Settings.NoDatabase {
				return nil
			}
			f.offered, err = readOffers(ctx, c.RDS, in.Settings.DBClass)
			return err
		})
	}
	if in.Restore != "" && in.Snapshot == nil {
		reads.Go(func() error {
			s, err := provision.SnapshotToRestore(ctx, c.RDS, account, in.Stack, in.Restore)
			f.snapshot = &s
			return err
		})
	}
	if in.Deployed.Zones == [2]string{} && in.Settings.VPC == "" {
		reads.Go(func() error {
			all, err := readVPCs(ctx, c.EC2)
			if err != nil {
				return err
			}
			in.Deployed.NoteVPCs(all)
			f.vpcs = len(all)
			f.blocked, err = blockedMode(ctx, c.EC2, all, account, in.Stack)
			return err
		})
	}
	err := reads.Wait()
	if err != nil || f.offered.silent { // an endpoint that lists no offers does not know of versions either
		return f, err
	}
	if in.upgrades() {
		if f.targets, err = provision.UpgradeTargets(ctx, c.RDS, in.Deployed.EngineVersion()); err != nil {
			return f, err
		}
	}
	if !in.Settings.NoDatabase && in.Settings.DBVersion == "" && !in.Deployed.Database && in.Restore == "" {
		f.standard, err = provision.DefaultVersion(ctx, c.RDS)
	}
	return f, err
}

// chooseVersion chooses the version of the database, and compares it with the snapshot's.
func (in Intent) chooseVersion(env *Environment, f found) error {
	env.DBVersion = in.Settings.DBVersion
	switch {
	case env.DBVersion != "":
	case in.Deployed.Found && in.Deployed.DBVersion != "":
		env.DBVersion = in.Deployed.DBVersion
	case f.snapshot != nil:
		env.DBVersion = major(f.snapshot.Version)
	}
	if s := f.snapshot; s != nil && major(s.Version) != major(env.DBVersion) {
		return hint.With(fmt.Errorf("snapshot %s is of PostgreSQL %s, and the database is to be %s: it is restored into its own version", s.ID, s.Version, env.DBVersion),
			"leave --db-version out; once it serves, %s upgrades it", hint.Command("up", "--db-version", env.DBVersion))
	}
	if in.upgrades() {
		if err := in.chooseTarget(env, f.targets); err != nil {
			return err
		}
	}
	if s := f.snapshot; s != nil && !in.Deployed.HasData() && in.Settings.DBStorage < s.GiB {
		return hint.With(fmt.Errorf("database storage %d GiB: snapshot %s is of %d GiB, and RDS storage can't shrink", in.Settings.DBStorage, s.ID, s.GiB), "leave --db-storage out, or give at least as much")
	}
	return nil
}

// choosePlace chooses the zones, and in an existing VPC the subnets.
func (in Intent) choosePlace(env *Environment, f found) (err error) {
	var subnets subnetChoice
	zones := f.zones
	if f.given != nil {
		if err := in.checkOwner(*f.given, env.Account); err != nil {
			return err
		}
		if subnets, err = in.subnetsOf(*f.given, zones); err != nil {
			return err
		}
		zones = subnets.zones()
	}
	if in.Settings.NoDatabase {
		err = pickZones(env, zones, "", "")
	} else {
		err = f.offered.choose(env, in.Settings, zones, in.present(f), f.standard)
	}
	if err != nil || in.placed() || f.given == nil {
		return err
	}
	return subnets.settle(env, in.Settings)
}

// present is the full version that the data has already, "" for none.
func (in Intent) present(f found) string {
	switch {
	case in.Deployed.HasData():
		return in.Deployed.EngineVersion()
	case f.snapshot != nil:
		return f.snapshot.Version
	}
	return ""
}

// upgrades reports whether the database is to get another major version.
func (in Intent) upgrades() bool {
	return in.Deployed.HasData() && !in.Settings.NoDatabase && in.Settings.DBVersion != "" && in.Deployed.EngineVersion() != "" &&
		major(in.Settings.DBVersion) != major(in.Deployed.EngineVersion())
}

// chooseTarget settles what the database is upgraded to, of what RDS upgrades it to.
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
		if m := major(t); m != major(from) && !slices.Contains(majors, m) {
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

// checkArch rejects a ready image that tasks can't run.
func (in Intent) checkArch() error {
	if len(in.ImageArchs) == 0 || slices.Contains(in.ImageArchs, in.Settings.Arch) {
		return nil
	}
	next := "give an image for " + in.Settings.Arch
	for _, arch := range in.ImageArchs {
		if arch == "amd64" || arch == "arm64" { // the architectures of Fargate
			next = fmt.Sprintf("say --arch %s, or %s", arch, next)
		}
	}
	return hint.With(fmt.Errorf("the image is for %s and the tasks are %s", strings.Join(in.ImageArchs, ", "), in.Settings.Arch), "%s", next)
}

// checkHTTPS checks that the hosted zone or the certificate exists, if the stack does
// not have it yet, and that the two fit each other.
func checkHTTPS(ctx context.Context, c provision.Clients, in Intent) error {
	have, want := in.Deployed.Settings, in.Settings
	as := "as " + strconv.Quote(have.Domain)
	if have.Domain == "" {
		as = "with certificate " + have.Certificate
	}
	switch {
	case in.Deployed.ServedHTTPS && (have.Secure() && !want.Secure() || have.Domain != "" && want.Domain != have.Domain):
		return hint.With(fmt.Errorf("this stack serves HTTPS %s, which can't be changed or removed", as), "create another stack for the other name, with --stack")
	case have.Secure() && !want.Secure():
		return hint.With(fmt.Errorf("this stack is to serve HTTPS %s, which can't be removed", as), "give another --domain or --certificate, or destroy the stack and create it again without")
	}
	if want.Domain != "" && want.Domain != have.Domain {
		if _, err := provision.HostedZone(ctx, c, want.Domain); err != nil {
			return err
		}
	}
	if want.Certificate == "" || want.Certificate == have.Certificate && want.Domain == have.Domain {
		return nil
	}
	return checkCertificate(ctx, c.ACM, want)
}

// checkCertificate checks that a load balancer takes the certificate of the settings, and that
// it is for their domain.
func checkCertificate(ctx context.Context, client *acm.Client, want provision.Settings) error {
	out, err := client.DescribeCertificate(ctx, &acm.DescribeCertificateInput{CertificateArn: &want.Certificate})
	switch {
	case isCode(err, "ResourceNotFoundException"):
		return fmt.Errorf("certificate %s does not exist in this account and region", want.Certificate)
	case err != nil:
		return fmt.Errorf("describe certificate %s: %w", want.Certificate, err)
	case out.Certificate.Status != acmtypes.CertificateStatusIssued:
		return fmt.Errorf("certificate %s is %s: a load balancer takes it when it is ISSUED", want.Certificate, out.Certificate.Status)
	}
	names := out.Certificate.SubjectAlternativeNames
	if name := aws.ToString(out.Certificate.DomainName); !slices.Contains(names, name) {
		names = append([]string{name}, names...)
	}
	if want.Domain != "" && !slices.ContainsFunc(names, func(name string) bool { return covers(name, want.Domain) }) {
		return hint.With(fmt.Errorf("certificate %s is for %s, and not for %s", want.Certificate, strings.Join(names, ", "), want.Domain),
			"give one that is for the domain; with --domain and without a certificate of yours, bookctl requests one")
	}
	return nil
}

// covers reports whether a name of a certificate is the domain, or stands for it: a wildcard
// stands for one label.
// https://docs.aws.amazon.com/acm/latest/userguide/acm-certificate-characteristics.html
func covers(name, domain string) bool {
	if parent, wildcard := strings.CutPrefix(name, "*."); wildcard {
		_, under, _ := strings.Cut(domain, ".")
		return strings.EqualFold(parent, under)
	}
	return strings.EqualFold(name, domain)
}

// unchanged reports whether the database exists with the wanted settings. It then
// does not matter what the region offers today.
func (in Intent) unchanged() bool {
	have, want := in.Deployed, in.Settings
	if want.NoDatabase {
		return in.placed()
	}
	return have.DBVersion != "" && in.placed() &&
		have.DBVersion == want.DBVersion && have.DBClass == want.DBClass && have.DBMultiAZ == want.DBMultiAZ &&
		have.DBInsights == want.DBInsights && have.DBStorage == want.DBStorage && have.DBMaxStorage == want.DBMaxStorage
}

// defaultVPCs is the default quota of VPCs in a region. Reading the actual quota would
// need permissions for another service.
// https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html
const defaultVPCs = 5

// readVPCs returns all VPCs.
func readVPCs(ctx context.Context, client *ec2.Client) ([]ec2types.Vpc, error) {
	var all []ec2types.Vpc
	pages := ec2.NewDescribeVpcsPaginator(client, &ec2.DescribeVpcsInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("count the VPCs: %w", err)
		}
		all = append(all, page.Vpcs...)
	}
	return all, nil
}

// blockedMode returns the mode of VPC Block Public Access where it is on, of all VPCs. The
// account has one in each region, and each VPC of the account shows it, but
// perhaps not one that is excluded. A VPC of the stack, which a run that failed has left, may
// be excluded; so none is returned then, and the VPC itself is checked when it is read. Where
// the account has no VPC, it is asked for the mode itself; without an answer a run goes on.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_BlockPublicAccessStates.html
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeVpcBlockPublicAccessOptions.html
func blockedMode(ctx context.Context, client *ec2.Client, all []ec2types.Vpc, account, stack string) (blocked string, err error) {
	own := false
	ofStack := func(t ec2types.Tag) bool {
		return aws.ToString(t.Key) == provision.TagStack && aws.ToString(t.Value) == stack
	}
	for _, v := range all {
		if v.OwnerId != nil && *v.OwnerId != account {
			continue
		}
		if own = true; slices.ContainsFunc(v.Tags, ofStack) {
			return "", nil
		}
		if b := v.BlockPublicAccessStates; b != nil && b.InternetGatewayBlockMode != "" && b.InternetGatewayBlockMode != ec2types.BlockPublicAccessModeOff {
			blocked = string(b.InternetGatewayBlockMode)
		}
	}
	if own {
		return blocked, nil
	}
	out, err := client.DescribeVpcBlockPublicAccessOptions(ctx, &ec2.DescribeVpcBlockPublicAccessOptionsInput{})
	switch {
	case err != nil && (provision.Expired(err) || ctx.Err() != nil):
		return "", fmt.Errorf("ask for VPC Block Public Access: %w", err)
	case err != nil || out.VpcBlockPublicAccessOptions == nil || out.VpcBlockPublicAccessOptions.InternetGatewayBlockMode == ec2types.InternetGatewayBlockModeOff:
		return "", nil //nolint:nilerr // without it a run goes on
	}
	return string(out.VpcBlockPublicAccessOptions.InternetGatewayBlockMode), nil
}

// openZones returns the availability zones that a stack can use, without Local and
// Wavelength Zones, which are listed once an account has opted in to them, and
// without those that Fargate does not serve.
func openZones(ctx context.Context, client *ec2.Client, region string) ([]string, error) {
	out, err := client.DescribeAvailabilityZones(ctx, &ec2.DescribeAvailabilityZonesInput{Filters: []ec2types.Filter{
		{Name: aws.String("zone-type"), Values: []string{"availability-zone"}},
	}})
	if isCode(err, "OptInRequired", "AuthFailure") {
		return nil, hint.With(fmt.Errorf("region %s can't be used: %w", region, err), "enable it for the account (AWS console, Account, AWS Regions), or choose another with --region")
	}
	if err != nil {
		return nil, fmt.Errorf("list the zones of %s: %w", region, err)
	}
	var names, unserved []string
	for _, z := range out.AvailabilityZones {
		name, id := aws.ToString(z.ZoneName), aws.ToString(z.ZoneId)
		// An endpoint that does not support the filter lists all zones.
		ordinary := z.ZoneType == nil || *z.ZoneType == "availability-zone"
		switch {
		case z.State != ec2types.AvailabilityZoneStateAvailable || !ordinary:
		case !partition.FargateServes(region, id):
			unserved = append(unserved, name+" ("+id+")")
		default:
			names = append(names, name)
		}
	}
	slices.Sort(names)
	if len(names) < 2 && unserved != nil {
		return nil, hint.With(fmt.Errorf("region %s has %d open zones that Fargate serves, and a stack needs two; it does not serve %s", region, len(names), strings.Join(unserved, ", ")), "choose another with --region")
	}
	if len(names) < 2 {
		return nil, hint.With(fmt.Errorf("region %s has %d open zones, and a stack needs two", region, len(names)), "choose another with --region")
	}
	return names, nil
}

// offers are the options in which a region offers a database class.
type offers struct {
	class string
	// silent means that the endpoint lists no offers of any class, as emulators do.
	silent  bool
	others  []string // the classes that are offered, if this one is not
	options []rdstypes.OrderableDBInstanceOption
}

func readOffers(ctx context.Context, client *rds.Client, class string) (offers, error) {
	o := offers{class: class}
	pages := rds.NewDescribeOrderableDBInstanceOptionsPaginator(client, &rds.DescribeOrderableDBInstanceOptionsInput{
		Engine: aws.String("postgres"), DBInstanceClass: &class, Vpc: aws.Bool(true), MaxRecords: aws.Int32(1000),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if isCode(err, "InvalidParameterValue", "InvalidParameterCombination") {
			break // RDS does not know the class
		}
		if err != nil {
			return o, fmt.Errorf("read whether database class %s is offered: %w", class, err)
		}
		o.options = append(o.options, page.OrderableDBInstanceOptions...)
	}
	if len(o.options) > 0 {
		return o, nil
	}
	some, err := client.DescribeOrderableDBInstanceOptions(ctx, &rds.DescribeOrderableDBInstanceOptionsInput{
		Engine: aws.String("postgres"), Vpc: aws.Bool(true), MaxRecords: aws.Int32(1000),
	})
	if err != nil {
		return o, fmt.Errorf("read which database classes are offered: %w", err)
	}
	o.silent = len(some.OrderableDBInstanceOptions) == 0
	for _, x := range some.OrderableDBInstanceOptions {
		if c := aws.ToString(x.DBInstanceClass); !slices.Contains(o.others, c) {
			o.others = append(o.others, c)
		}
	}
	return o, nil
}

// alternatives returns some classes that are offered, cheap ones first.
func (o offers) alternatives() string {
	const enough = 8
	all := slices.Sorted(slices.Values(o.others))
	slices.SortStableFunc(all, func(a, b string) int {
		price := func(c string) int {
			if strings.HasPrefix(c, "db.t") {
				return 0
			}
			return 1
		}
		return price(a) - price(b)
	})
	if len(all) > enough {
		return strings.Join(all[:enough], ", ") + " …"
	}
	return strings.Join(all, ", ")
}

// choose chooses the version and the zones. Its error says why it can't. RDS withdraws minor
// versions and upgrades databases to newer ones: one that the data has outgrown need not be
// offered. Present is the version that the data has, "" for none.
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/PostgreSQL.Concepts.General.DBVersions.html
func (o offers) choose(env *Environment, s provision.Settings, open []string, present, standard string) error {
	if o.silent {
		if env.DBVersion == "" {
			env.DBVersion = cmp.Or(standard, provision.DefaultDBVersion)
		}
		env.Warnings = append(env.Warnings, "the endpoint does not say which databases it offers, so class, version and zones are not checked")
		return pickZones(env, open, "", "")
	}
	if len(o.options) == 0 {
		return hint.With(fmt.Errorf("database class %s is not offered for PostgreSQL in %s", o.class, env.Region), "choose one with --db-class that is: %s", o.alternatives())
	}
	if env.DBVersion == "" {
		env.DBVersion = o.preferred(standard)
	}
	version := env.DBVersion
	if major(present) == major(version) && provision.CompareVersions(present, version) >= 0 {
		version = major(version)
	}
	var (
		zones           []string
		multi, insights bool
		most            int32
		elsewhere       []string // zones that offer the class and that the stack can't use
		offered         bool
	)
	for _, x := range o.options {
		if !fits(aws.ToString(x.EngineVersion), version) || aws.ToString(x.StorageType) != "gp3" && o.has("gp3") {
			continue
		}
		offered = true
		multi = multi || aws.ToBool(x.MultiAZCapable)
		insights = insights || aws.ToBool(x.SupportsPerformanceInsights)
		most = max(most, aws.ToInt32(x.MaxStorageSize))
		for _, z := range x.AvailabilityZones {
			switch n := aws.ToString(z.Name); {
			case !slices.Contains(open, n):
				elsewhere = append(elsewhere, n)
			case !slices.Contains(zones, n):
				zones = append(zones, n)
			}
		}
	}
	slices.Sort(zones)
	switch {
	case zones == nil && offered:
		return hint.With(fmt.Errorf("PostgreSQL %s with class %s is offered in no zone of %s that a stack can use: it is offered in %s, and available are %s", env.DBVersion, o.class, env.Region,
			cmp.Or(strings.Join(slices.Compact(slices.Sorted(slices.Values(elsewhere))), ", "), "none"), strings.Join(open, ", ")), "choose another --db-class or --region")
	case zones == nil:
		return hint.With(fmt.Errorf("PostgreSQL %s is not offered with class %s in %s", env.DBVersion, o.class, env.Region), "choose a --db-version that is: %s", strings.Join(o.majors(), ", "))
	case s.DBMultiAZ && !multi:
		return hint.With(fmt.Errorf("database class %s can't have a standby in %s", o.class, env.Region), "leave --db-multi-az out, or choose another --db-class")
	case s.DBInsights && !insights:
		return hint.With(fmt.Errorf("database class %s has no Performance Insights in %s", o.class, env.Region), "leave --db-insights out, or choose another --db-class")
	case most != 0 && max(s.DBStorage, s.DBMaxStorage) > most:
		return fmt.Errorf("database class %s takes at most %d GiB of storage in %s", o.class, most, env.Region)
	}
	return pickZones(env, zones, o.class, env.DBVersion)
}

// pickZones chooses the zones that are not deployed yet. Deployed zones stay,
// whatever they offer today.
func pickZones(env *Environment, zones []string, class, version string) error {
	for i := range env.Zones {
		if env.Zones[i] != "" {
			continue
		}
		for _, z := range zones {
			if z != env.Zones[1-i] {
				env.Zones[i] = z
				break
			}
		}
		if env.Zones[i] == "" {
			return hint.With(fmt.Errorf("database class %s with PostgreSQL %s is offered in one zone of %s only (%s), and a stack needs two", class, version, env.Region, strings.Join(zones, ", ")), "choose another --db-class or --region")
		}
	}
	return nil
}

// fits reports whether an offered version is the wanted one.
func fits(offered, want string) bool {
	return offered == want || !strings.Contains(want, ".") && major(offered) == want
}

func (o offers) has(storage string) bool {
	return slices.ContainsFunc(o.options, func(x rdstypes.OrderableDBInstanceOption) bool { return aws.ToString(x.StorageType) == storage })
}

// majors returns the major versions that are offered, newest first.
func (o offers) majors() []string {
	var out []string
	for _, x := range o.options {
		if m := major(aws.ToString(x.EngineVersion)); !slices.Contains(out, m) {
			out = append(out, m)
		}
	}
	slices.SortFunc(out, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(b, a)) })
	return out
}

// preferred returns the version that RDS gives a new database if it is offered, and
// otherwise the newest one.
func (o offers) preferred(standard string) string {
	all := o.majors()
	if standard = cmp.Or(standard, provision.DefaultDBVersion); slices.Contains(all, standard) {
		return standard
	}
	return all[0]
}

func major(version string) string {
	m, _, _ := strings.Cut(version, ".")
	return m
}

// isCode reports whether an error is an API error with one of the codes.
func isCode(err error, codes ...string) bool {
	var api smithy.APIError
	return errors.As(err, &api) && slices.Contains(codes, api.ErrorCode())
}
