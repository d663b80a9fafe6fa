package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/naming"
	"github.com/bookctl/bookctl/internal/pricing"
	"github.com/bookctl/bookctl/internal/provision"
)

// supportNote is the warning that the standard support of a PostgreSQL version ends soon or
// has ended, with what RDS charges then, or that it upgrades the database by itself. It is empty
// long before that, and if the date is unknown. Instance is the database's identifier, "" for none
// yet, and disabled reports whether somebody has taken it out of extended support.
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/extended-support-creating-db-instance.html
func supportNote(instance, version, class, region string, multiAZ, disabled bool, ends, now time.Time) hint.Message {
	if ends.IsZero() || ends.Sub(now) > pricing.SupportNotice {
		return hint.Message{}
	}
	if disabled {
		end := "ends"
		if now.After(ends) {
			end = "ended"
		}
		return hint.New("the standard support of PostgreSQL %d %s on %s: extended support is disabled, and RDS upgrades the database to a later major version by itself then; %s upgrades it at a time of your choice",
			majorOf(version), end, ends.UTC().Format(time.DateOnly), hint.Command("up", "--db-version", "N"))
	}
	without := hint.Message{}
	if instance != "" {
		without = hint.Optional(", and %s disables extended support, so that RDS upgrades it by itself then, with an outage and without the checks and the snapshot of up", hint.AWS("rds", "modify-db-instance", "--db-instance-identifier", instance, "--engine-lifecycle-support", "open-source-rds-extended-support-disabled"))
	}
	cost := "an hour and CPU of the database"
	if monthly, ok := pricing.ExtendedSupport(class, multiAZ, ends, now); ok {
		cost = fmt.Sprintf("about $%.2f a month for %s", monthly, class)
		if !pricing.CheapSupport(region) {
			cost += " in the US, and up to twice that in other regions"
		}
	}
	major := majorOf(version)
	day := ends.UTC().Format(time.DateOnly)
	if now.After(ends) {
		// Without extended support RDS could begin its upgrade at once.
		return hint.New("the standard support of PostgreSQL %d ended on %s: RDS charges extended support, %s; %s upgrades it", major, day, cost, hint.Command("up", "--db-version", "N"))
	}
	return hint.New("the standard support of PostgreSQL %d ends on %s: from then on RDS charges extended support, %s; %s upgrades it%s", major, day, cost, hint.Command("up", "--db-version", "N"), without)
}

// addSupport adds supportNote for a planned stack. It reads the end of support of the planned
// version and of the deployed one.
func (p *preparation) addSupport(ctx context.Context) error {
	s := p.spec.Settings
	if s.NoDatabase {
		return nil
	}
	ends, err := provision.StandardSupportEnds(ctx, p.target.clients.RDS, s.DBVersion)
	if err != nil {
		return err
	}
	p.supportThen, p.supportNow = ends, ends
	if version := p.have.EngineVersion(); version != "" && majorOf(version) != majorOf(s.DBVersion) {
		if p.supportNow, err = provision.StandardSupportEnds(ctx, p.target.clients.RDS, version); err != nil {
			return err
		}
	}
	instance := ""
	if p.have.EngineVersion() != "" {
		instance = naming.Names{Stack: p.spec.Stack}.Database()
	}
	p.warn(supportNote(instance, s.DBVersion, s.DBClass, p.target.region, s.DBMultiAZ, p.have.SupportDisabled(), ends, time.Now()))
	return nil
}

// supported is the usage of a stack, with the end of support of its database's version.
func supported(u pricing.Usage, version string, ends time.Time, disabled bool) pricing.Usage {
	u.DBMajor, u.DBSupportEnds, u.DBSupportDisabled, u.Now = majorOf(version), ends, disabled, time.Now()
	return u
}

// supportEnds remembers when the standard support of the versions of a list of stacks ends.
type supportEnds map[int]time.Time

// usage is what exists of a stack that costs, with the end of support of its database's
// version.
func (e supportEnds) usage(ctx context.Context, t *target, have provision.Deployed) (pricing.Usage, error) {
	u, version := have.Usage(), have.EngineVersion()
	if version == "" {
		return u, nil
	}
	major := majorOf(version)
	if _, known := e[major]; !known {
		ends, err := provision.StandardSupportEnds(ctx, t.clients.RDS, version)
		if err != nil {
			return u, err
		}
		e[major] = ends
	}
	return supported(u, version, e[major], have.SupportDisabled()), nil
}
