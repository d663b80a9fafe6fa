package diagnosis

import (
	"strings"

	"github.com/bookctl/bookctl/internal/hint"
)

// accountBlocked and noCapacity are how ECS reports, as an error or as an event, that an
// account may run no tasks, and that Fargate has no place for them.
const (
	accountBlocked = "account is currently blocked"
	noCapacity     = "Capacity is unavailable"
)

const (
	freePlan   = "The free plan of this account does not allow it"
	restricted = "AWS restricts this account"
	upgrade    = "upgrade the account's plan in the console, under Billing and Cost Management"
	toSupport  = "open a case with AWS Support (Account and billing), which is free, and run the same command again; what exists meanwhile is billed"
)

// unconnected is how sessions fail whose agent in the task can't reach Systems Manager, or is not there yet.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ExecuteCommand.html
const (
	unconnected = "The agent of ECS Exec in the task is not connected to Systems Manager"
	reconnect   = "try again in a minute; %s shows whether the tasks' role, routes or rules were changed by hand, and with --vpc the VPC's endpoints need one for ssmmessages if they have one for ECS; %s gives each task a new agent"
)

// answers are errors of AWS whose own words do not say what to do, by their code and a part
// of their message; "" is any. Next is formatted with the commands. The first row that fits
// explains an error. It is all data, which takes no code to initialize.
var answers = []struct {
	code, words, text, next string
	commands                []hint.Invocation
}{
	{"FreeTierRestrictionError", "backup retention period", freePlan, "%s keeps backups for the day that the free plan allows; or " + upgrade, []hint.Invocation{{Program: "bookctl", Words: []string{"up", "--backup-days", "1"}}}},
	{"FreeTierRestrictionError", "instance size", freePlan, "%s takes the default class, and some accounts have only db.t3.micro; or " + upgrade, []hint.Invocation{{Program: "bookctl", Words: []string{"up", "--db-class", "db.t4g.micro"}}}},
	{"FreeTierRestrictionError", "", freePlan, upgrade, nil},
	{"VpcEncryptionControlViolationException", "", "The VPC enforces encryption in transit, which this class of instances does not support", "choose a class on Nitro hardware that encrypts in transit: %s; or whoever manages the VPC can change its encryption control", []hint.Invocation{{Program: "bookctl", Words: []string{"up", "--db-class", "CLASS"}}}},
	{"", "does not support creating load balancers", restricted, toSupport, nil},
	{"", accountBlocked, restricted, toSupport, nil},
	{"BlockedException", "", restricted, toSupport, nil},
	{"", noCapacity, "AWS has no capacity for its tasks now", "try again later, or with another --arch or a smaller --cpu", nil},
	{"TargetNotConnectedException", "internal error", unconnected, reconnect, []hint.Invocation{{Program: "bookctl", Words: []string{"plan"}}, {Program: "bookctl", Words: []string{"restart"}}}},
	{"TargetNotConnected", "", unconnected, reconnect, []hint.Invocation{{Program: "bookctl", Words: []string{"plan"}}, {Program: "bookctl", Words: []string{"restart"}}}},
	{"", "new ARN and resource ID format must be enabled", "ECS gives the caller's resources names of the old form, which can't be tagged", "turn the new form on, as whom bookctl runs: %s and %s", []hint.Invocation{
		{Program: "aws", Words: []string{"ecs", "put-account-setting", "--name", "serviceLongArnFormat", "--value", "enabled"}},
		{Program: "aws", Words: []string{"ecs", "put-account-setting", "--name", "taskLongArnFormat", "--value", "enabled"}},
	}},
	{"", "certificates in the last year", `The account's quota "ACM certificates created in last 365 days" is reached`, "certificates that are deleted count too: use one that is there with %s, or ask for more in the console under Service Quotas",
		[]hint.Invocation{{Program: "bookctl", Words: []string{"up", "--certificate", "ARN"}}}},
}

// OfAnswer explains an error of AWS by its code and message; either may be "". It is the
// zero Explanation for an error that is not known.
func OfAnswer(code, message string) Explanation {
	for _, a := range answers {
		if (a.code == "" || a.code == code) && strings.Contains(message, a.words) {
			var commands []any
			for _, c := range a.commands {
				commands = append(commands, c)
			}
			return Explanation{Text: a.text + coded(code) + ": " + message, Hint: hint.New(a.next, commands...)}
		}
	}
	return Explanation{}
}

// coded is the code of an error behind a text.
func coded(code string) string {
	if code == "" {
		return ""
	}
	return " (" + code + ")"
}

// limits are the policies that forbid what others allow, by AWS's words, and whose they are.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
var limits = []struct{ said, whose string }{
	{"service control policy", "a service control policy of the organization"},
	{"resource control policy", "a resource control policy of the organization"},
	{"VPC endpoint policy", "the policy of the VPC's endpoint"},
	{"session policy", "the policy of the session"},
	{"permissions boundary", "the permissions boundary of "},
	{"explicit deny in an identity-based policy", "a policy of "},
	{"explicit deny in a resource-based policy", "the resource's own policy"},
}

// Limit is the policy that forbids what others allow, by the message of a denial; "" if
// nothing allows it. Who was denied.
func Limit(message, who string) string {
	for _, l := range limits {
		switch {
		case !strings.Contains(message, l.said):
		case strings.HasSuffix(l.whose, " "):
			return l.whose + who
		default:
			return l.whose
		}
	}
	return ""
}
