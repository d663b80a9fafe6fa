package localcloud

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

type stsAPI struct{ *Cloud }

func (c *Cloud) stsService() service {
	a := stsAPI{c}
	return service{
		model: "sts", signing: "sts", protocol: protocolQuery,
		operations: operations(op("GetCallerIdentity", a.GetCallerIdentity)),
	}
}

// callerARN is everybody: the local cloud has one user.
func (c *Cloud) callerARN() string { return c.arn("iam", "user/"+localUser) }

func (a stsAPI) GetCallerIdentity(context.Context, *sts.GetCallerIdentityInput) (*sts.GetCallerIdentityOutput, error) {
	return &sts.GetCallerIdentityOutput{
		Account: aws.String(a.cfg.Account),
		Arn:     aws.String(a.callerARN()),
		UserId:  aws.String(localUserID),
	}, nil
}
