package provision

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bookctl/bookctl/internal/partition"
	"github.com/bookctl/bookctl/internal/pattern"
)

// registryHost is the host of a private registry in ECR: by IPv4 alone, or by both
// protocols under a suffix of its own, each also with FIPS.
// https://docs.aws.amazon.com/general/latest/gr/ecr.html
var registryHost = pattern.New(`^(\d{12})\.(dkr\.ecr|dkr\.ecr-fips|dkr-ecr|dkr-ecr-fips)\.([a-z0-9-]+)\.([a-z0-9.-]+)/([^:@]+)`)

// bothProtocols are the suffixes of the registry's hosts that IPv6 reaches too.
var bothProtocols = []string{"on.aws", "on.amazonwebservices.com.cn", "on.amazonwebservices.eu"}

// RepositoryARN returns the ARN of the ECR repository that the reference of an
// image points into, or "" for another registry.
func RepositoryARN(ref string) string {
	m := registryHost.FindStringSubmatch(ref)
	if m == nil {
		return ""
	}
	account, kind, region, suffix, repository := m[1], m[2], m[3], m[4], m[5]
	p := partition.Of(region)
	if strings.HasPrefix(kind, "dkr-") && !slices.Contains(bothProtocols, suffix) || strings.HasPrefix(kind, "dkr.") && suffix != p.Suffix {
		return ""
	}
	return fmt.Sprintf("arn:%s:ecr:%s:%s:repository/%s", p.Name, region, account, repository)
}
