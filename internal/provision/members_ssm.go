package provision

import (
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
)

// missingSSM is missing for answers of SSM.
func missingSSM(answer any) string {
	switch a := answer.(type) {
	case *ssm.DescribeParametersOutput:
		return requireEach("Parameters", a.Parameters, func(x ssmtypes.ParameterMetadata) bool { return has(x.Name) }, "Name")
	case *ssm.GetParametersOutput:
		return require(len(a.Parameters)+len(a.InvalidParameters) > 0, "Parameters")
	case *ssm.GetParametersByPathOutput:
		return requireEach("Parameters", a.Parameters, func(x ssmtypes.Parameter) bool { return has(x.Name) }, "Name")
	}
	return ""
}
