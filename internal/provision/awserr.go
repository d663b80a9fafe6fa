package provision

import (
	"errors"
	"strings"

	"github.com/aws/smithy-go"
)

// code returns the AWS error code in err, or "".
func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

func isCode(err error, codes ...string) bool {
	c := code(err)
	for _, want := range codes {
		if c == want {
			return true
		}
	}
	return false
}

// notFound says that the thing asked for does not exist. EC2 has a code per
// type: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
func notFound(err error) bool {
	c := code(err)
	return strings.HasPrefix(c, "Invalid") && strings.HasSuffix(c, ".NotFound")
}

// Transient says whether an AWS error passes by itself, and how to call it in
// the meantime. It lists exact codes: an error that is not known to pass is a
// failure. Throttling is not here, since the SDK retries it.
func Transient(err error) (reason string, ok bool) {
	switch {
	case isCode(err, "DependencyViolation"):
		return "something still uses it", true
	case notFound(err):
		// EC2 is eventually consistent: an id that was just returned may be
		// unknown to the next call.
		// https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html
		return "not visible yet", true
	case isCode(err, "InvalidDBInstanceState"):
		// A database takes no change, and no final snapshot, while it is busy
		// with another: hashicorp/terraform-provider-aws PR 46687.
		return "the database is busy with something else", true
	case isCode(err, "InvalidDBParameterGroupState", "InvalidDBSubnetGroupStateFault"):
		return "a database still uses it", true
	}
	return "", false
}
