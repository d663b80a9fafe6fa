package provision

import (
	"errors"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/bookctl/bookctl/internal/hint"
)

// TestAnEndpointThatIgnoresFiltersIsNamed has the default VPC listed to who asked for
// the stack's.
func TestAnEndpointThatIgnoresFiltersIsNamed(t *testing.T) {
	t.Parallel()
	ours := ec2types.Filter{Name: aws.String("tag:" + TagStack), Values: []string{"book"}}
	mine := ec2types.Vpc{VpcId: aws.String("vpc-mine"), Tags: []ec2types.Tag{{Key: aws.String(TagStack), Value: aws.String("book")}}}
	strange := ec2types.Vpc{VpcId: aws.String("vpc-default"), IsDefault: aws.Bool(true)}
	for name, c := range map[string]struct {
		filters []ec2types.Filter
		listed  []ec2types.Vpc
		err     bool
	}{
		"what was asked for": {[]ec2types.Filter{ours}, []ec2types.Vpc{mine}, false},
		"all there are":      {nil, []ec2types.Vpc{mine, strange}, false},
		"more":               {[]ec2types.Filter{ours}, []ec2types.Vpc{mine, strange}, true},
	} {
		err := unfiltered(&ec2.DescribeVpcsInput{Filters: c.filters}, &ec2.DescribeVpcsOutput{Vpcs: c.listed})
		if !c.err {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		var odd *incompleteError
		if !errors.As(err, &odd) || !strings.Contains(err.Error(), "ignores filters: it lists vpc-default") || !strings.Contains(hint.Of(err).String(), "use an endpoint that filters by tag") {
			t.Errorf("%s: %v, next: %s", name, err, hint.Of(err).String())
		}
	}
}
