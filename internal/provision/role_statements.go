package provision

import (
	"fmt"
	"strings"

	"github.com/bookctl/bookctl/internal/partition"
)

// registryLogin allows the execution role to read the secret of a registry, and to use any
// key that encrypts it for that alone
// (https://docs.aws.amazon.com/secretsmanager/latest/userguide/security-encryption.html).
func registryLogin(secret string) []statement {
	if secret == "" {
		return nil
	}
	part := strings.SplitN(secret, ":", 6) // arn, partition, service, region, account
	return []statement{
		{Effect: "Allow", Action: []string{"secretsmanager:GetSecretValue"}, Resource: []string{secret}},
		{Effect: "Allow", Action: []string{"kms:Decrypt"}, Resource: []string{fmt.Sprintf("arn:%s:kms:%s:%s:key/*", part[1], part[3], part[4])},
			Condition: condition{"StringEquals": {
				"kms:ViaService":                  {"secretsmanager." + part[3] + "." + partition.Of(part[3]).Suffix},
				"kms:EncryptionContext:SecretARN": {secret},
			}}},
	}
}

// parameterRead allows the execution role to read a parameter of Parameter Store.
func parameterRead(arn string) []statement {
	part := strings.SplitN(arn, ":", 6)
	return []statement{
		{Effect: "Allow", Action: []string{"ssm:GetParameters"}, Resource: []string{arn}},
		{Effect: "Allow", Action: []string{"kms:Decrypt"}, Resource: []string{fmt.Sprintf("arn:%s:kms:%s:%s:key/*", part[1], part[3], part[4])},
			Condition: condition{"StringEquals": {
				"kms:ViaService":                      {"ssm." + part[3] + "." + partition.Of(part[3]).Suffix},
				"kms:EncryptionContext:PARAMETER_ARN": {arn},
			}}},
	}
}

// shiftStatements are the permission for ECS to shift the traffic: the statements of AWS's own
// policy, limited to the stack's resources:
// https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AmazonECSInfrastructureRolePolicyForLoadBalancers.html
func shiftStatements(listener string, groups ...string) []statement {
	of := func(service string) string { return "elasticloadbalancing:" + service }
	return []statement{
		// These actions support no resources.
		{Effect: "Allow", Action: []string{of("DescribeListeners"), of("DescribeRules"), of("DescribeTargetGroups"), of("DescribeTargetHealth")}, Resource: []string{"*"}},
		{Effect: "Allow", Action: []string{of("RegisterTargets"), of("DeregisterTargets")}, Resource: groups},
		{Effect: "Allow", Action: []string{of("ModifyListener")}, Resource: []string{listener}},
		{Effect: "Allow", Action: []string{of("ModifyRule")}, Resource: []string{strings.Replace(listener, ":listener/", ":listener-rule/", 1) + "/*"}},
	}
}
