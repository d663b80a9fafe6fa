package access_test

import (
	"strings"
	"testing"

	"github.com/bookctl/bookctl/internal/localcloud/access"
)

func parse(t *testing.T, documents ...string) []access.Policy {
	t.Helper()
	var out []access.Policy
	for _, d := range documents {
		p, err := access.Parse([]byte(d))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, p)
	}
	return out
}

// TestPolicyDecisions has what AWS's documents say of each element of a policy.
func TestPolicyDecisions(t *testing.T) {
	t.Parallel()
	const vpc = "arn:aws:ec2:us-east-1:123456789012:vpc/vpc-1"
	ours := map[string][]string{"aws:ResourceTag/owner": {"me"}}
	for name, c := range map[string]struct {
		statements string
		request    access.Request
		want       access.Decision
	}{
		"nothing allows":          {`{"Effect":"Allow","Action":"ec2:DeleteSubnet","Resource":"*"}`, access.Request{Action: "ec2:DeleteVpc", Resource: vpc}, access.NotAllowed},
		"actions have no case":    {`{"Effect":"Allow","Action":"EC2:deletevpc","Resource":"*"}`, access.Request{Action: "ec2:DeleteVpc", Resource: vpc}, access.Allowed},
		"a list, a wildcard":      {`{"Effect":"Allow","Action":["s3:*","ec2:Del*Vpc"],"Resource":["arn:aws:s3:::x","arn:aws:ec2:*:123456789012:vpc/*"]}`, access.Request{Action: "ec2:DeleteVpc", Resource: vpc}, access.Allowed},
		"an ARN by its parts":     {`{"Effect":"Allow","Action":"*","Resource":"arn:aws:ec2:*:vpc/*:*:*"}`, access.Request{Action: "ec2:DeleteVpc", Resource: vpc}, access.NotAllowed},
		"a denial wins":           {`{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"ec2:DeleteVpc","Resource":"*"}`, access.Request{Action: "ec2:DeleteVpc", Resource: vpc}, access.Denied},
		"NotAction":               {`{"Effect":"Allow","NotAction":"iam:*","Resource":"*"}`, access.Request{Action: "iam:CreateUser", Resource: "*"}, access.NotAllowed},
		"NotResource":             {`{"Effect":"Allow","Action":"*","NotResource":"` + vpc + `"}`, access.Request{Action: "ec2:DeleteVpc", Resource: vpc}, access.NotAllowed},
		"a tag":                   {`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:resourcetag/owner":"me"}}}`, access.Request{Action: "ec2:DeleteVpc", Resource: vpc, Context: ours}, access.Allowed},
		"a tag is missing":        {`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/owner":"me"}}}`, access.Request{Action: "ec2:DeleteVpc", Resource: vpc}, access.NotAllowed},
		"values have a case":      {`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/owner":"ME"}}}`, access.Request{Action: "ec2:DeleteVpc", Resource: vpc, Context: ours}, access.NotAllowed},
		"not equal, and missing":  {`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringNotEquals":{"aws:ResourceTag/owner":"you"}}}`, access.Request{Action: "ec2:DeleteVpc", Resource: vpc}, access.Allowed},
		"if it exists":            {`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEqualsIfExists":{"aws:ResourceTag/owner":"you"}}}`, access.Request{Action: "ec2:DeleteVpc", Resource: vpc}, access.Allowed},
		"if it exists, and does":  {`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEqualsIfExists":{"aws:ResourceTag/owner":"you"}}}`, access.Request{Action: "ec2:DeleteVpc", Resource: vpc, Context: ours}, access.NotAllowed},
		"null":                    {`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Null":{"aws:ResourceTag/owner":"true"}}}`, access.Request{Action: "ec2:DeleteVpc", Resource: vpc}, access.Allowed},
		"null, and there":         {`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Null":{"aws:ResourceTag/owner":true}}}`, access.Request{Action: "ec2:DeleteVpc", Resource: vpc, Context: ours}, access.NotAllowed},
		"not null":                {`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Null":{"aws:ResourceTag/owner":"false"}}}`, access.Request{Action: "ec2:DeleteVpc", Resource: vpc, Context: ours}, access.Allowed},
		"like":                    {`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringLike":{"aws:ResourceTag/owner":"m?"}}}`, access.Request{Action: "ec2:DeleteVpc", Resource: vpc, Context: ours}, access.Allowed},
		"an ARN in a condition":   {`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"ArnLike":{"ecs:cluster":"arn:aws:ecs:*:*:cluster/a*"}}}`, access.Request{Action: "ecs:RunTask", Resource: "*", Context: map[string][]string{"ecs:cluster": {"arn:aws:ecs:us-east-1:1:cluster/ab"}}}, access.Allowed},
		"a boolean":               {`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"Bool":{"rds:PubliclyAccessible":"false"}}}`, access.Request{Action: "rds:CreateDBInstance", Resource: "*", Context: map[string][]string{"rds:PubliclyAccessible": {"true"}}}, access.NotAllowed},
		"for all values":          {`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"ForAllValues:StringEquals":{"aws:TagKeys":["a","b"]}}}`, access.Request{Action: "ec2:CreateTags", Resource: vpc, Context: map[string][]string{"aws:TagKeys": {"a", "c"}}}, access.NotAllowed},
		"for all values of none":  {`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"ForAllValues:StringEquals":{"aws:TagKeys":["a","b"]}}}`, access.Request{Action: "ec2:CreateTags", Resource: vpc}, access.Allowed},
		"for any value":           {`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"ForAnyValue:StringEquals":{"aws:TagKeys":["a","b"]}}}`, access.Request{Action: "ec2:CreateTags", Resource: vpc, Context: map[string][]string{"aws:TagKeys": {"a", "c"}}}, access.Allowed},
		"for any value of none":   {`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"ForAnyValue:StringNotEquals":{"aws:TagKeys":"a"}}}`, access.Request{Action: "ec2:CreateTags", Resource: vpc}, access.NotAllowed},
		"a number":                {`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"NumericLessThanEquals":{"rds:StorageSize":100}}}`, access.Request{Action: "rds:CreateDBInstance", Resource: "*", Context: map[string][]string{"rds:StorageSize": {"20"}}}, access.Allowed},
		"unknown does not allow":  {`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}}`, access.Request{Action: "ec2:DeleteVpc", Resource: vpc}, access.NotAllowed},
		"unknown denies":          {`{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"*","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}}`, access.Request{Action: "ec2:DeleteVpc", Resource: vpc}, access.Denied},
		"a variable":              {`{"Effect":"Allow","Action":"*","Resource":"arn:aws:ssm:*:*:session/${aws:userid}-*"}`, access.Request{Action: "ssm:ResumeSession", Resource: "arn:aws:ssm:us-east-1:1:session/me-1", Context: map[string][]string{"aws:userid": {"me"}}}, access.Allowed},
		"a variable of another":   {`{"Effect":"Allow","Action":"*","Resource":"arn:aws:ssm:*:*:session/${aws:userid}-*"}`, access.Request{Action: "ssm:ResumeSession", Resource: "arn:aws:ssm:us-east-1:1:session/you-1", Context: map[string][]string{"aws:userid": {"me"}}}, access.NotAllowed},
		"a variable without":      {`{"Effect":"Allow","Action":"*","Resource":"arn:aws:ssm:*:*:session/${aws:userid}*"}`, access.Request{Action: "ssm:ResumeSession", Resource: "arn:aws:ssm:us-east-1:1:session/"}, access.NotAllowed},
		"a variable's default":    {`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"a:b":"${a:c, 'x'}"}}}`, access.Request{Action: "a:b", Resource: "*", Context: map[string][]string{"a:b": {"x"}}}, access.Allowed},
		"all conditions together": {`{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringEquals":{"a:b":"1","a:c":"2"}}}`, access.Request{Action: "ec2:DeleteVpc", Resource: vpc, Context: map[string][]string{"a:b": {"1"}, "a:c": {"3"}}}, access.NotAllowed},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			policies := parse(t, `{"Version":"2012-10-17","Statement":[`+c.statements+`]}`)
			if got := access.Decide(policies, c.request); got != c.want {
				t.Errorf("decision %d, want %d", got, c.want)
			}
		})
	}
}

func TestAPolicyCanBeSplit(t *testing.T) {
	t.Parallel()
	policies := parse(t,
		`{"Statement":{"Effect":"Allow","Action":"ec2:*","Resource":"*"}}`,
		`{"Statement":[{"Effect":"Allow","Action":"rds:*","Resource":"*"},{"Effect":"Deny","Action":"ec2:DeleteVpc","Resource":"*"}]}`)
	for action, want := range map[string]access.Decision{"ec2:CreateVpc": access.Allowed, "ec2:DeleteVpc": access.Denied, "rds:StopDBInstance": access.Allowed, "s3:GetObject": access.NotAllowed} {
		if got := access.Decide(policies, access.Request{Action: action, Resource: "*"}); got != want {
			t.Errorf("%s: decision %d, want %d", action, got, want)
		}
	}
}

func TestWhatIsNotEvaluatedIsNamed(t *testing.T) {
	t.Parallel()
	p := parse(t, `{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"DateLessThan":{"aws:CurrentTime":"2030-01-01T00:00:00Z"},"StringEquals":{"a:b":"c"}}}]}`)[0]
	if got := strings.Join(p.Unsupported(), " "); got != "DateLessThan" {
		t.Errorf("%s", got)
	}
	for _, bad := range []string{"", "{}", `{"Statement":[{"Action":{}}]}x`, "[]"} {
		if _, err := access.Parse([]byte(bad)); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}
