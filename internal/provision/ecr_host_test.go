package provision

import "testing"

func TestImagesInECRAreKnownByTheirHost(t *testing.T) {
	t.Parallel()
	for ref, want := range map[string]string{
		"111122223333.dkr.ecr.eu-west-1.amazonaws.com/a/b:1":            "arn:aws:ecr:eu-west-1:111122223333:repository/a/b",
		"111122223333.dkr.ecr.eu-west-1.amazonaws.com/a@sha256:0":       "arn:aws:ecr:eu-west-1:111122223333:repository/a",
		"111122223333.dkr-ecr.eu-west-1.on.aws/a":                       "arn:aws:ecr:eu-west-1:111122223333:repository/a",
		"111122223333.dkr.ecr-fips.us-gov-west-1.amazonaws.com/a":       "arn:aws-us-gov:ecr:us-gov-west-1:111122223333:repository/a",
		"111122223333.dkr-ecr-fips.us-east-1.on.aws/a":                  "arn:aws:ecr:us-east-1:111122223333:repository/a",
		"111122223333.dkr.ecr.cn-north-1.amazonaws.com.cn/a":            "arn:aws-cn:ecr:cn-north-1:111122223333:repository/a",
		"111122223333.dkr-ecr.cn-north-1.on.amazonwebservices.com.cn/a": "arn:aws-cn:ecr:cn-north-1:111122223333:repository/a",
		"111122223333.dkr.ecr.eusc-de-east-1.amazonaws.eu/a":            "arn:aws-eusc:ecr:eusc-de-east-1:111122223333:repository/a",
		"111122223333.dkr.ecr.us-iso-east-1.c2s.ic.gov/a":               "arn:aws-iso:ecr:us-iso-east-1:111122223333:repository/a",
		"111122223333.dkr.ecr.eu-west-1.amazonaws.com.example.com/a":    "",
		"111122223333.dkr.ecr.eu-west-1.on.aws/a":                       "",
		"111122223333.dkr-ecr.eu-west-1.amazonaws.com/a":                "",
		"public.ecr.aws/a/b": "",
		"registry.example.com/111122223333.dkr.ecr.eu-west-1.amazonaws.com/a:1.0": "",
	} {
		if got := RepositoryARN(ref); got != want {
			t.Errorf("%s is taken for %q, want %q", ref, got, want)
		}
	}
}
