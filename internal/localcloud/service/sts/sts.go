// Package sts is the Security Token Service: who the caller is, and credentials for a while.
package sts

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
)

// tx is the service within a transaction.
type tx struct{ *kernel.Tx }

// API is the service's operations.
func API() kernel.Service {
	return kernel.Service{
		Model: "sts", Signing: "sts", Protocol: kernel.Query,
		Operations: kernel.Operations(func(t *kernel.Tx) tx { return tx{t} },
			kernel.Op("GetCallerIdentity", tx.GetCallerIdentity),
			kernel.Op("GetSessionToken", tx.GetSessionToken),
		),
	}
}

// GetCallerIdentity answers with the local cloud's one user.
func (a tx) GetCallerIdentity(*sts.GetCallerIdentityInput) (*sts.GetCallerIdentityOutput, error) {
	return &sts.GetCallerIdentityOutput{
		Account: aws.String(a.Account()),
		Arn:     aws.String(a.CallerARN()),
		UserId:  aws.String(kernel.LocalUserID),
	}, nil
}
