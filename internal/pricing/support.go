package pricing

import (
	"strconv"
	"strings"
	"time"
)

// What RDS's extended support costs an hour for each vCPU, in its first two years and
// then, in most regions: https://aws.amazon.com/rds/postgresql/pricing/
const (
	supportHour      = 0.100
	laterSupportHour = 0.200
)

// ExtendedSupport is what extended support of a version adds to what a database costs a
// month, now or, before the standard support ends, from then on. It is not known of a
// class whose vCPUs are not. A standby costs the same again.
func ExtendedSupport(class string, multiAZ bool, ends, now time.Time) (monthly float64, known bool) {
	cpus := vcpus(class)
	hour := supportHour
	if now.After(ends.AddDate(2, 0, 0)) {
		hour = laterSupportHour
	}
	if multiAZ {
		cpus *= 2
	}
	return float64(cpus) * hour * month, cpus > 0
}

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
