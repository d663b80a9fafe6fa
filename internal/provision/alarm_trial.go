package provision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	eventtypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"

	"github.com/bookctl/bookctl/internal/hint"
)

// Alarm is an alarm of a stack.
type Alarm struct {
	Name string `json:"name"`
	// State is CloudWatch's word; "" for a rule, which has none.
	State string `json:"state,omitempty" doc:"CloudWatch's word: OK, ALARM or INSUFFICIENT_DATA; left out for failed-release, which is an event."`
	// Description is when it is raised.
	Description string `json:"description" doc:"When it is raised."`
	// Reason is why it is in that state, in CloudWatch's words.
	Reason string `json:"reason,omitempty" doc:"Why it is in that state, in CloudWatch's words."`
}

// AlarmList is what a stack has of alarms.
type AlarmList struct {
	To string `json:"to" doc:"Who is notified: an address, or the ARN of a topic."`
	AlarmAudience
	Alarms []Alarm `json:"alarms"`
}

// AlarmAudience is what keeps notifications from arriving; its zero value is nothing.
type AlarmAudience struct {
	// Pending reports whether the address has yet to confirm that it wants mails.
	Pending bool `json:"pending,omitempty" doc:"The address has yet to follow the link in the mail that SNS sent it, and is not notified before."`
	// Unsubscribed reports whether the address has ended its subscription, and can't be
	// subscribed yet.
	Unsubscribed bool `json:"unsubscribed,omitempty" doc:"The address has ended its subscription, and is not notified; SNS takes it again within three days, and the next up after that asks it."`
	// Problem is what an existing topic does not receive, and why.
	Problem string `json:"problem,omitempty" doc:"What the topic does not receive, and why."`
	// Silent reports whether the actions of alarms are disabled.
	Silent bool `json:"silent,omitempty" doc:"The actions of the alarms are disabled, as they are while the stack is paused and before it first serves."`
}

// errNoAlarms is the error of a stack without alarms, and errSilent that of alarms whose
// actions are disabled.
var (
	errNoAlarms = errors.New("the stack has no alarms")
	errSilent   = errors.New("its actions are disabled, as they are while the stack is paused and before it first serves")
)

// ReadAlarms lists the alarms of a stack.
func ReadAlarms(ctx context.Context, c Clients, stack string, s Settings) (AlarmList, error) {
	a := newAlarmAccess(identity{stack: stack, region: c.IAM.Options().Region}, c, s)
	if !a.wanted() {
		return AlarmList{}, hint.With(errNoAlarms, "%s makes them", hint.Command("up", "--alarm-email", "ADDRESS"))
	}
	out := AlarmList{To: a.email + a.topic}
	all, err := a.all(ctx)
	if err != nil {
		return out, err
	}
	for _, name := range alarmNames() {
		if x, ok := all[name]; ok {
			out.Silent = out.Silent || !aws.ToBool(x.ActionsEnabled)
			_, description, _ := strings.Cut(aws.ToString(x.AlarmDescription), ": ")
			out.Alarms = append(out.Alarms, Alarm{Name: name, State: string(x.StateValue), Description: description, Reason: aws.ToString(x.StateReason)})
		}
	}
	rule, err := a.bus.DescribeRule(ctx, &eventbridge.DescribeRuleInput{Name: aws.String(a.names().ReleaseRule())})
	switch {
	case err == nil && rule.State == eventtypes.RuleStateEnabled:
		out.Alarms = append(out.Alarms, Alarm{Name: alarmRelease, Description: "ECS ended the rollout of a release as failed"})
	case err != nil && !IsCode(err, "ResourceNotFoundException"):
		return out, fmt.Errorf("describe rule %s: %w", a.names().ReleaseRule(), err)
	}
	if a.email == "" {
		out.Problem, err = a.topicProblem(ctx)
		return out, err
	}
	live, _, err := newAlarmTopic(a).Read(ctx)
	out.Pending, out.Unsubscribed = live != nil && live.pending, live != nil && live.unsubscribed
	return out, err
}

// topicProblem is CheckTopic of the topic of a stack that is deployed.
func (a alarmAccess) topicProblem(ctx context.Context) (string, error) {
	account, err := a.caller.accountID(ctx)
	if err != nil {
		return "", err
	}
	warning, err := CheckTopic(ctx, a.topics, account, a.topic)
	if errors.Is(err, errNoTopic) {
		return err.Error(), nil
	}
	return warning, err
}

// TestAlarm raises an alarm of the stack as CloudWatch does, and takes that back; one of
// events is sent an event. Notifications of it are delivered as those of a real one.
//
// It is put back into the state that it had, as CloudWatch does when it next looks at the
// metric, so that it is over when this returns.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_SetAlarmState.html
func TestAlarm(ctx context.Context, c Clients, stack string, s Settings, name, by string) error {
	a := newAlarmAccess(identity{stack: stack, region: c.IAM.Options().Region}, c, s)
	if name == alarmRelease {
		return a.testRelease(ctx, c, by)
	}
	all, err := a.all(ctx)
	if err != nil {
		return err
	}
	x, ok := all[name]
	if !ok {
		return fmt.Errorf("the stack has no alarm %s", name)
	}
	set := func(state types.StateValue, reason string) error {
		_, err := a.watch.SetAlarmState(ctx, &cloudwatch.SetAlarmStateInput{AlarmName: x.AlarmName, StateValue: state, StateReason: &reason})
		if err != nil {
			return fmt.Errorf("set the state of alarm %s: %w", name, err)
		}
		return nil
	}
	if !aws.ToBool(x.ActionsEnabled) {
		return hint.With(fmt.Errorf("alarm %s: %w", name, errSilent), "%s has the stack serve, and enables the actions of its alarms", hint.Command("up"))
	}
	reason := "This is a test by " + by + ": nothing is wrong"
	if x.StateValue == types.StateValueAlarm { // without a change of state nobody is notified
		if err := set(types.StateValueOk, reason); err != nil {
			return err
		}
	}
	if err := set(types.StateValueAlarm, reason); err != nil {
		return err
	}
	if x.StateValue == types.StateValueAlarm {
		return nil
	}
	return set(x.StateValue, "The test is over. Before it: "+aws.ToString(x.StateReason))
}

func (a alarmAccess) testRelease(ctx context.Context, c Clients, by string) error {
	service, err := ecsAccess{identity: a.identity, ecs: c.ECS}.service().describe(ctx)
	if err != nil {
		return err
	}
	if service == nil {
		return errors.New("the stack has no service, of which a release could fail")
	}
	detail, _ := json.Marshal(map[string]string{"eventType": "ERROR", "eventName": deploymentFailed, "deploymentId": "none", "reason": "This is a test by " + by + ": nothing is wrong."}) // of texts
	out, err := a.bus.PutEvents(ctx, &eventbridge.PutEventsInput{Entries: []eventtypes.PutEventsRequestEntry{{
		Source: aws.String(a.testSource()), DetailType: aws.String(deploymentChange), Resources: []string{aws.ToString(service.ServiceArn)}, Detail: aws.String(string(detail)),
	}}})
	if err == nil && out.FailedEntryCount > 0 {
		i := slices.IndexFunc(out.Entries, func(e eventtypes.PutEventsResultEntry) bool { return e.ErrorCode != nil })
		err = fmt.Errorf("%s: %s", aws.ToString(out.Entries[i].ErrorCode), aws.ToString(out.Entries[i].ErrorMessage))
	}
	if err != nil {
		return fmt.Errorf("send an event: %w", err)
	}
	return nil
}
