package provision

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/partition"
)

// tagTaskPolicies is on the service, which records the setting, and on each task definition,
// with the policies of its tasks: a release that still serves keeps them.
var tagTaskPolicies = settingTag("task-policies")

// taskPolicies are the ARNs in the setting.
func (s Settings) taskPolicies() []string { return IDList(s.TaskPolicies) }

// policiesText are policies as a tag holds them: separated by spaces, and of those whose
// ARNs begin alike only the first with all of it.
func policiesText(arns string) string {
	var out []string
	before := ""
	for _, arn := range IDList(arns) {
		begin, name, _ := strings.Cut(arn, ":policy/")
		if begin == before {
			arn = name
		}
		out, before = append(out, arn), begin
	}
	return strings.Join(out, " ")
}

// policiesFromText is the inverse of policiesText.
func policiesFromText(text string) string {
	var out []string
	before := ""
	for _, word := range strings.Fields(text) {
		if begin, _, whole := strings.Cut(word, ":policy/"); whole {
			before = begin
		} else {
			word = before + ":policy/" + word
		}
		out = append(out, word)
	}
	return strings.Join(out, ",")
}

// CheckTaskPolicies returns an error if a policy of the settings can't be attached to a role
// of the account: if it is of another one, or does not exist.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_AttachRolePolicy.html
func CheckTaskPolicies(ctx context.Context, c *iam.Client, s Settings, account string) error {
	own := partition.Of(c.Options().Region).Name
	for _, arn := range s.taskPolicies() {
		part := strings.SplitN(arn, ":", 6) // arn, partition, iam, "", account
		if part[1] != own {
			return hint.With(fmt.Errorf("task policy %s is of partition %s, and this is region %s, of partition %s", arn, part[1], c.Options().Region, own), "give the ARN of a policy of this account or of AWS")
		}
		if part[4] != "aws" && part[4] != account {
			return hint.With(fmt.Errorf("task policy %s is of account %s: IAM attaches policies of the role's own account, which is %s, and those of AWS", arn, part[4], account), "create a policy with the same statements in this account")
		}
		out, err := c.GetPolicy(ctx, &iam.GetPolicyInput{PolicyArn: &arn})
		switch {
		case IsCode(err, "NoSuchEntity"):
			return hint.With(fmt.Errorf("task policy %s does not exist", arn), "create it, or give the ARN of another one with --task-policies")
		case err != nil:
			return s.withAttachHint(fmt.Errorf("get task policy %s: %w", arn, err))
		case !out.Policy.IsAttachable:
			return hint.With(fmt.Errorf("task policy %s can't be attached to a role", arn), "give the ARN of another one with --task-policies")
		}
	}
	return nil
}

// withAttachHint adds to an error of IAM how the deployer can be allowed what it refuses.
func (s Settings) withAttachHint(err error) error {
	if !IsCode(err, "AccessDenied", "AccessDeniedException") {
		return err
	}
	return hint.With(err, "allow the action; %s prints the least policy that is needed", hint.Command("policy", "--task-policies", s.TaskPolicies))
}
