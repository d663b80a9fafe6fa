package access_test

import (
	"testing"

	"github.com/bookctl/bookctl/internal/localcloud/access"
)

func TestATrustPolicyAdmitsOnlyItsPrincipals(t *testing.T) {
	t.Parallel()
	document := func(principal, condition string) string {
		return `{"Statement":[{"Effect":"Allow","Action":["sts:AssumeRole"],"Principal":` + principal + condition + `}]}`
	}
	const tasks = `{"Service":"ecs-tasks.amazonaws.com"}`
	bound := func(account, source string) string {
		return `,"Condition":{"StringEquals":{"aws:SourceAccount":"` + account + `"},"ArnLike":{"aws:SourceArn":"` + source + `"}}`
	}
	context := map[string][]string{"aws:SourceAccount": {"111122223333"}, "aws:SourceArn": {"arn:aws:ecs:us-east-1:111122223333:task/c/1"}}
	for name, c := range map[string]struct {
		document string
		want     bool
	}{
		"the service":                        {document(tasks, ""), true},
		"another service":                    {document(`{"Service":["ec2.amazonaws.com"]}`, ""), false},
		"one of several":                     {document(`{"Service":["ec2.amazonaws.com","ecs-tasks.amazonaws.com"]}`, ""), true},
		"this account":                       {document(tasks, bound("111122223333", "arn:aws:ecs:us-east-1:111122223333:*")), true},
		"another account":                    {document(tasks, bound("444455556666", "arn:aws:ecs:us-east-1:111122223333:*")), false},
		"another region":                     {document(tasks, bound("111122223333", "arn:aws:ecs:eu-west-1:111122223333:*")), false},
		"a cluster, which ECS does not name": {document(tasks, bound("111122223333", "arn:aws:ecs:us-east-1:111122223333:cluster/c")), false},
	} {
		trust, err := access.Parse([]byte(c.document))
		if err != nil {
			t.Fatal(err)
		}
		if got := access.Trusts(trust, "ecs-tasks.amazonaws.com", context); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
