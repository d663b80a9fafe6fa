package provision

import (
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// missingSecretsManager is missing for answers of Secrets Manager.
func missingSecretsManager(answer any) string {
	switch a := answer.(type) {
	case *secretsmanager.CreateSecretOutput:
		return require(has(a.ARN), "ARN")
	case *secretsmanager.DescribeSecretOutput:
		return require(has(a.ARN), "ARN")
	case *secretsmanager.GetRandomPasswordOutput:
		return require(has(a.RandomPassword), "RandomPassword")
	case *secretsmanager.GetSecretValueOutput:
		return require(has(a.VersionId), "VersionId")
	case *secretsmanager.PutSecretValueOutput:
		return require(has(a.VersionId), "VersionId")
	}
	return ""
}
