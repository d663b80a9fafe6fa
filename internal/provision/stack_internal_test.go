package provision

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTheExecutionRoleMayReadTheRegistrySecretAlone(t *testing.T) {
	t.Parallel()
	if got := registryLogin(""); got != nil {
		t.Errorf("without one it may %v", got)
	}
	for secret, want := range map[string]string{
		"arn:aws:secretsmanager:eu-west-1:111122223333:secret:team/registry-AbCdEf": `{"Version":"2012-10-17","Statement":[` +
			`{"Effect":"Allow","Action":["secretsmanager:GetSecretValue"],"Resource":["arn:aws:secretsmanager:eu-west-1:111122223333:secret:team/registry-AbCdEf"]},` +
			`{"Effect":"Allow","Action":["kms:Decrypt"],"Resource":["arn:aws:kms:eu-west-1:111122223333:key/*"],"Condition":{"StringEquals":{` +
			`"kms:EncryptionContext:SecretARN":["arn:aws:secretsmanager:eu-west-1:111122223333:secret:team/registry-AbCdEf"],"kms:ViaService":["secretsmanager.eu-west-1.amazonaws.com"]}}}]}`,
		"arn:aws-cn:secretsmanager:cn-north-1:111122223333:secret:r-AbCdEf": `{"Version":"2012-10-17","Statement":[` +
			`{"Effect":"Allow","Action":["secretsmanager:GetSecretValue"],"Resource":["arn:aws-cn:secretsmanager:cn-north-1:111122223333:secret:r-AbCdEf"]},` +
			`{"Effect":"Allow","Action":["kms:Decrypt"],"Resource":["arn:aws-cn:kms:cn-north-1:111122223333:key/*"],"Condition":{"StringEquals":{` +
			`"kms:EncryptionContext:SecretARN":["arn:aws-cn:secretsmanager:cn-north-1:111122223333:secret:r-AbCdEf"],"kms:ViaService":["secretsmanager.cn-north-1.amazonaws.com.cn"]}}}]}`,
	} {
		if got := policy(registryLogin(secret)...); !sameJSON(got, want) {
			t.Errorf("%s (-want +got)\n%s", secret, cmp.Diff(want, got))
		}
	}
}
