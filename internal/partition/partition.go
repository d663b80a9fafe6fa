// Package partition knows the partitions of AWS and their regions.
package partition

import (
	"slices"
	"strings"

	"github.com/bookctl/bookctl/internal/pattern"
)

// Partition is a part of AWS that shares neither accounts nor names with the others.
type Partition struct {
	// Name is the second field of every ARN, such as "aws-cn".
	Name string
	// Suffix is the end of the host names of services, such as "amazonaws.com".
	Suffix  string
	regions *pattern.Pattern
}

// partitions are all partitions, the common one first. The SDK does not export its
// own list; a test compares this one with it. The dual-stack suffix is left out,
// because that of ECR differs.
var partitions = []Partition{
	{"aws", "amazonaws.com", pattern.New(`^(us|eu|ap|sa|ca|me|af|il|mx)\-\w+\-\d+$`)},
	{"aws-cn", "amazonaws.com.cn", pattern.New(`^cn\-\w+\-\d+$`)},
	{"aws-eusc", "amazonaws.eu", pattern.New(`^eusc\-(de)\-\w+\-\d+$`)},
	{"aws-iso", "c2s.ic.gov", pattern.New(`^us\-iso\-\w+\-\d+$`)},
	{"aws-iso-b", "sc2s.sgov.gov", pattern.New(`^us\-isob\-\w+\-\d+$`)},
	{"aws-iso-e", "cloud.adc-e.uk", pattern.New(`^eu\-isoe\-\w+\-\d+$`)},
	{"aws-iso-f", "csp.hci.ic.gov", pattern.New(`^us\-isof\-\w+\-\d+$`)},
	{"aws-us-gov", "amazonaws.com", pattern.New(`^us\-gov\-\w+\-\d+$`)},
}

// Of returns the partition of a region. As in the SDK, a region that is newer than
// the list counts as one of the common partition.
func Of(region string) Partition {
	for _, p := range partitions {
		if p.regions.MatchString(region) {
			return p
		}
	}
	return partitions[0]
}

// IsServiceHost reports whether a host name is that of an AWS service.
func IsServiceHost(name string) bool {
	return slices.ContainsFunc(partitions, func(p Partition) bool { return strings.HasSuffix(name, "."+p.Suffix) })
}

// regionName accepts regions that AWS may add.
var regionName = pattern.New(`^[a-z]{2,8}(-[a-z]+)+-[0-9]{1,2}$`)

// longestRegion limits the length of a region, so that the names of IAM roles, which
// contain it, are not too long.
const longestRegion = 28

// IsRegion reports whether a name has the form of a region, such as eu-central-1.
func IsRegion(region string) bool {
	return len(region) <= longestRegion && regionName.MatchString(region)
}
