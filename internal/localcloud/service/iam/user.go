package iam

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
)

// GetUser describes the caller, or the user of that name.
func (a tx) GetUser(in *iam.GetUserInput) (*iam.GetUserOutput, error) {
	if in.UserName != nil && *in.UserName != kernel.LocalUser {
		return nil, &kernel.Error{Status: 404, Code: "NoSuchEntity", Message: "The user with name " + *in.UserName + " cannot be found."}
	}
	return &iam.GetUserOutput{User: &types.User{
		Arn: aws.String(a.CallerARN()), CreateDate: aws.Time(a.Started()), Path: aws.String("/"), UserId: aws.String(kernel.LocalUserID), UserName: aws.String(kernel.LocalUser),
	}}, nil
}
