package localcloud

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
)

// localUser is the one user of the local cloud.
const localUser, localUserID = "local", "AIDALOCALCLOUDUSER000"

// GetUser describes the caller, or the user of that name.
func (a iamAPI) GetUser(_ context.Context, in *iam.GetUserInput) (*iam.GetUserOutput, error) {
	if in.UserName != nil && *in.UserName != localUser {
		return nil, &apiError{404, "NoSuchEntity", "The user with name " + *in.UserName + " cannot be found."}
	}
	return &iam.GetUserOutput{User: &types.User{
		Arn: aws.String(a.callerARN()), CreateDate: aws.Time(a.started), Path: aws.String("/"), UserId: aws.String(localUserID), UserName: aws.String(localUser),
	}}, nil
}
