package pricing

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// What RDS's extended support costs an hour for each vCPU in the US, in its first two years
// and then. In other regions it costs more: https://aws.amazon.com/rds/postgresql/pricing/
const (
	supportHour      = 0.100
	laterSupportHour = 0.200
)

// CheapSupport reports whether extended support costs as much in a region as this package
// knows. Elsewhere it costs up to twice that.
func CheapSupport(region string) bool {
	return strings.HasPrefix(region, "us-") && !strings.HasPrefix(region, "us-gov-")
}

// ExtendedSupport is what extended support of a version adds in the US to what a database
// costs a month, now or, before the standard support ends, from then on. It is not known of a
// class whose vCPUs are not. A standby costs the same again.
func ExtendedSupport(class string, multiAZ bool, ends, now time.Time) (monthly float64, known bool) {
	first, later, known := supportCost(class, multiAZ, supportHour, laterSupportHour)
	if !now.Before(ends.AddDate(2, 0, 1)) {
		return later, known
	}
	return first, known
}

// supportCost is what extended support adds a month, in its first two years and then.
func supportCost(class string, multiAZ bool, hour, laterHour float64) (first, later float64, known bool) {
	cpus := float64(vcpus(class))
	if multiAZ {
		cpus *= 2
	}
	return cpus * hour * month, cpus * laterHour * month, cpus > 0
}

// SupportNotice is how long before its end a notice says when a version's standard support ends.
const SupportNotice = 365 * 24 * time.Hour

// supported reports whether the extended support of the database has a line: within a year
// before it begins, and from then on.
func (u Usage) supported() bool {
	return u.Database && !u.DBSupportDisabled && !u.DBSupportEnds.IsZero() && u.DBSupportEnds.Sub(u.Now) <= SupportNotice
}

// extendedSupport is what extended support costs now, which is nothing before it begins.
// The charges begin the day after the standard support ends:
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/extended-support-charges.html
func (u Usage) extendedSupport(p regionPrices) (monthly float64, note string) {
	begins, rises := u.DBSupportEnds.AddDate(0, 0, 1), u.DBSupportEnds.AddDate(2, 0, 1)
	elsewhere := ""
	if p.supportHour == 0 {
		p.supportHour, p.laterSupportHour = supportHour, laterSupportHour
		if !CheapSupport(p.region) {
			elsewhere = "; as in the US, and other regions cost up to twice that"
		}
	}
	first, later, known := supportCost(u.DBClass, u.DBMultiAZ, p.supportHour, p.laterSupportHour)
	switch {
	case !known:
		return 0, "not known for " + u.DBClass + ", by the hour and CPU, from " + day(begins)
	case u.Now.Before(begins):
		return 0, fmt.Sprintf("%.2f from %s, unless the database is upgraded before; %.2f from %s", first, day(begins), later, day(rises)) + elsewhere
	case u.Now.Before(rises):
		return first, fmt.Sprintf("since %s, until the database is upgraded; %.2f from %s", day(begins), later, day(rises)) + elsewhere
	}
	return later, "since " + day(begins) + ", until the database is upgraded" + elsewhere
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// vcpus is how many a database class has, 0 where that is not known.
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/Concepts.DBInstanceClass.Summary.html
func vcpus(class string) int {
	size := class[strings.LastIndex(class, ".")+1:]
	switch size {
	case "micro", "small", "medium", "large":
		if strings.HasPrefix(class, "db.m") || strings.HasPrefix(class, "db.r") || strings.HasPrefix(class, "db.t") {
			if size == "medium" && !strings.HasPrefix(class, "db.t") {
				return 1
			}
			return 2
		}
		return 0
	case "xlarge":
		return 4
	}
	if n, err := strconv.Atoi(strings.TrimSuffix(size, "xlarge")); err == nil && strings.HasSuffix(size, "xlarge") {
		return 4 * n
	}
	return 0
}
