package provision

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// partition is a part of AWS that shares nothing with the others: neither
// accounts nor names. It is the second field of every ARN.
type partition struct {
	name    string
	regions *regexp.Regexp
	// suffix ends the names of the services' hosts.
	suffix string
}

// partitions are AWS's, the common one first. The SDK has the same list and shows
// it to nobody; a test holds this one against it. Its dual-stack suffix is not
// among what is here, because the image registry has another (see registryHost).
var partitions = []partition{
	{"aws", regexp.MustCompile(`^(us|eu|ap|sa|ca|me|af|il|mx)\-\w+\-\d+$`), "amazonaws.com"},
	{"aws-cn", regexp.MustCompile(`^cn\-\w+\-\d+$`), "amazonaws.com.cn"},
	{"aws-eusc", regexp.MustCompile(`^eusc\-(de)\-\w+\-\d+$`), "amazonaws.eu"},
	{"aws-iso", regexp.MustCompile(`^us\-iso\-\w+\-\d+$`), "c2s.ic.gov"},
	{"aws-iso-b", regexp.MustCompile(`^us\-isob\-\w+\-\d+$`), "sc2s.sgov.gov"},
	{"aws-iso-e", regexp.MustCompile(`^eu\-isoe\-\w+\-\d+$`), "cloud.adc-e.uk"},
	{"aws-iso-f", regexp.MustCompile(`^us\-isof\-\w+\-\d+$`), "csp.hci.ic.gov"},
	{"aws-us-gov", regexp.MustCompile(`^us\-gov\-\w+\-\d+$`), "amazonaws.com"},
}

// partitionOf returns the partition of a region, the common one for a region that
// is newer than the list, as the SDK does.
func partitionOf(region string) partition {
	for _, p := range partitions {
		if p.regions.MatchString(region) {
			return p
		}
	}
	return partitions[0]
}

// IsServiceHost says whether a host's name is that of an AWS service.
func IsServiceHost(name string) bool {
	return slices.ContainsFunc(partitions, func(p partition) bool { return strings.HasSuffix(name, "."+p.suffix) })
}

// regionName is loose: what AWS adds is not to be refused. The length leaves room
// for the names of roles, which hold it.
var regionName = regexp.MustCompile(`^[a-z]{2,8}(-[a-z]+)+-[0-9]{1,2}$`)

const longestRegion = 28

func isRegionName(region string) bool {
	return len(region) <= longestRegion && regionName.MatchString(region)
}

// registryHost is the host of a private registry in ECR: by IPv4 alone, or by both
// protocols under a suffix of its own, each also with FIPS.
// https://docs.aws.amazon.com/general/latest/gr/ecr.html
var registryHost = regexp.MustCompile(`^(\d{12})\.(dkr\.ecr|dkr\.ecr-fips|dkr-ecr|dkr-ecr-fips)\.([a-z0-9-]+)\.([a-z0-9.-]+)/([^:@]+)`)

// bothProtocols are the suffixes of the registry's hosts that IPv6 reaches too.
var bothProtocols = []string{"on.aws", "on.amazonwebservices.com.cn", "on.amazonwebservices.eu"}

// repositoryARN returns the ARN of the ECR repository that the reference of an
// image points into, or "" for another registry.
func repositoryARN(ref string) string {
	m := registryHost.FindStringSubmatch(ref)
	if m == nil {
		return ""
	}
	account, kind, region, suffix, repository := m[1], m[2], m[3], m[4], m[5]
	p := partitionOf(region)
	if strings.HasPrefix(kind, "dkr-") && !slices.Contains(bothProtocols, suffix) || strings.HasPrefix(kind, "dkr.") && suffix != p.suffix {
		return ""
	}
	return fmt.Sprintf("arn:%s:ecr:%s:%s:repository/%s", p.name, region, account, repository)
}
