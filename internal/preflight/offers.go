package preflight

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	rdstypes "github.com/aws/aws-sdk-go-v2/service/rds/types"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/provision"
)

// offers are the options in which a region offers a database class.
type offers struct {
	class string
	// noneListed means that the endpoint lists no offers of any class, as emulators do.
	noneListed bool
	others     []string // the classes that are offered, if this one is not
	options    []rdstypes.OrderableDBInstanceOption
}

func readOffers(ctx context.Context, client *rds.Client, class string) (offers, error) {
	o := offers{class: class}
	pages := rds.NewDescribeOrderableDBInstanceOptionsPaginator(client, &rds.DescribeOrderableDBInstanceOptionsInput{
		Engine: aws.String("postgres"), DBInstanceClass: &class, Vpc: aws.Bool(true), MaxRecords: aws.Int32(1000),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if provision.IsCode(err, "InvalidParameterValue", "InvalidParameterCombination") {
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
	o.noneListed = len(some.OrderableDBInstanceOptions) == 0
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

// choose chooses the version and the zones. Its error says why it can't. Present is the version
// that the data has, "" for none.
func (o offers) choose(env *Environment, s provision.Settings, open []string, present, standard string) error {
	if o.noneListed {
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
	has := o.support(env.DBVersion, present, open)
	if err := o.checkOffered(*env, s, open, has); err != nil {
		return err
	}
	return pickZones(env, has.zones, o.class, env.DBVersion)
}

// support is what the options of a version have together.
type support struct {
	offered           bool
	zones             []string // those that the stack can use
	elsewhere         []string // those that it can't
	multiAZ, insights bool
	maxStorage        int32 // GiB, 0 if it is not known
}

// support returns what the class has with a version, in the open zones. RDS withdraws minor
// versions and upgrades databases to newer ones: one that the data has outgrown need not be
// offered. What counts then is the version of the data, or its major version if RDS has
// withdrawn that, too.
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/PostgreSQL.Concepts.General.DBVersions.html
func (o offers) support(version, present string, open []string) (has support) {
	if provision.MajorVersion(present) == provision.MajorVersion(version) && provision.CompareVersions(present, version) >= 0 {
		version = present
		if !slices.ContainsFunc(o.options, func(x rdstypes.OrderableDBInstanceOption) bool {
			return isVersion(aws.ToString(x.EngineVersion), version)
		}) {
			version = provision.MajorVersion(present)
		}
	}
	for _, x := range o.options {
		if !isVersion(aws.ToString(x.EngineVersion), version) || aws.ToString(x.StorageType) != "gp3" && o.has("gp3") {
			continue
		}
		has.offered = true
		has.multiAZ = has.multiAZ || aws.ToBool(x.MultiAZCapable)
		has.insights = has.insights || aws.ToBool(x.SupportsPerformanceInsights)
		has.maxStorage = max(has.maxStorage, aws.ToInt32(x.MaxStorageSize))
		for _, z := range x.AvailabilityZones {
			switch n := aws.ToString(z.Name); {
			case !slices.Contains(open, n):
				has.elsewhere = append(has.elsewhere, n)
			case !slices.Contains(has.zones, n):
				has.zones = append(has.zones, n)
			}
		}
	}
	slices.Sort(has.zones)
	return has
}

// checkOffered returns the reason why the class does not have what the settings need.
func (o offers) checkOffered(env Environment, s provision.Settings, open []string, has support) error {
	switch {
	case has.zones == nil && has.offered:
		return hint.With(fmt.Errorf("PostgreSQL %s with class %s is offered in no zone of %s that a stack can use: it is offered in %s, and available are %s", env.DBVersion, o.class, env.Region,
			cmp.Or(strings.Join(slices.Compact(slices.Sorted(slices.Values(has.elsewhere))), ", "), "none"), strings.Join(open, ", ")), "choose another --db-class or --region")
	case has.zones == nil:
		return hint.With(fmt.Errorf("PostgreSQL %s is not offered with class %s in %s", env.DBVersion, o.class, env.Region), "choose a --db-version that is: %s", strings.Join(o.majors(), ", "))
	case s.DBMultiAZ && !has.multiAZ:
		return hint.With(fmt.Errorf("database class %s can't have a standby in %s", o.class, env.Region), "leave --db-multi-az out, or choose another --db-class")
	case s.DBInsights && !has.insights:
		return hint.With(fmt.Errorf("database class %s has no Performance Insights in %s", o.class, env.Region), "leave --db-insights out, or choose another --db-class")
	case has.maxStorage != 0 && max(s.DBStorage, s.DBMaxStorage) > has.maxStorage:
		return fmt.Errorf("database class %s takes at most %d GiB of storage in %s", o.class, has.maxStorage, env.Region)
	}
	return nil
}

// isVersion reports whether an offered version is the wanted one.
func isVersion(offered, want string) bool {
	return offered == want || !strings.Contains(want, ".") && provision.MajorVersion(offered) == want
}

func (o offers) has(storage string) bool {
	return slices.ContainsFunc(o.options, func(x rdstypes.OrderableDBInstanceOption) bool { return aws.ToString(x.StorageType) == storage })
}

// majors returns the major versions that are offered, newest first.
func (o offers) majors() []string {
	var out []string
	for _, x := range o.options {
		if m := provision.MajorVersion(aws.ToString(x.EngineVersion)); !slices.Contains(out, m) {
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
