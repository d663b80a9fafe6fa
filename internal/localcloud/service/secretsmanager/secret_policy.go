package secretsmanager

import (
	"encoding/json"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
)

func (a tx) GetResourcePolicy(in *secretsmanager.GetResourcePolicyInput) (*secretsmanager.GetResourcePolicyOutput, error) {
	s, err := a.usable(in.SecretId)
	if err != nil {
		return nil, err
	}
	return &secretsmanager.GetResourcePolicyOutput{ARN: aws.String(s.ARN), Name: aws.String(s.Name), ResourcePolicy: kernel.NonEmpty(s.Policy)}, nil
}

func (a tx) PutResourcePolicy(in *secretsmanager.PutResourcePolicyInput) (*secretsmanager.PutResourcePolicyOutput, error) {
	s, err := a.primary(in.SecretId)
	if err != nil {
		return nil, err
	}
	if !json.Valid([]byte(aws.ToString(in.ResourcePolicy))) {
		return nil, kernel.Fail("MalformedPolicyDocumentException", "This resource policy contains invalid Json")
	}
	s.Policy = *in.ResourcePolicy
	return &secretsmanager.PutResourcePolicyOutput{ARN: aws.String(s.ARN), Name: aws.String(s.Name)}, nil
}

func (a tx) DeleteResourcePolicy(in *secretsmanager.DeleteResourcePolicyInput) (*secretsmanager.DeleteResourcePolicyOutput, error) {
	s, err := a.primary(in.SecretId)
	if err != nil {
		return nil, err
	}
	s.Policy = ""
	return &secretsmanager.DeleteResourcePolicyOutput{ARN: aws.String(s.ARN), Name: aws.String(s.Name)}, nil
}
