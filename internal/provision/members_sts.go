package provision

import (
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// missingSTS is missing for answers of STS.
func missingSTS(answer any) string {
	switch a := answer.(type) {
	case *sts.GetCallerIdentityOutput:
		return require(has(a.Account) && has(a.Arn), "Account")
	}
	return ""
}
