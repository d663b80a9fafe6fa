package localcloud_test

import (
	"bytes"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/schemas"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	eventtypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/smithy-go/transport/http/protocol/awsquery"

	"github.com/bookctl/bookctl/internal/localcloud"
)

// TestAnAlarmAndAnEventReachAnAddressThatConfirmed subscribes an address, which is sent
// nothing before it has followed its link, and nothing that the topic's policy refuses.
func TestAnAlarmAndAnEventReachAnAddressThatConfirmed(t *testing.T) {
	t.Parallel()
	dir, ctx := stateDir(t), t.Context()
	c := openCloud(t, localcloud.Config{StateDir: dir, ScalingMinute: time.Hour})
	cfg := once(c)
	topics, watch, bus := sns.NewFromConfig(cfg), cloudwatch.NewFromConfig(cfg), eventbridge.NewFromConfig(cfg)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	topic, err := topics.CreateTopic(ctx, &sns.CreateTopicInput{Name: aws.String("ops")})
	must(err)
	_, err = topics.Subscribe(ctx, &sns.SubscribeInput{TopicArn: topic.TopicArn, Protocol: aws.String("email"), Endpoint: aws.String("ops@example.com")})
	must(err)
	_, err = watch.PutMetricAlarm(ctx, &cloudwatch.PutMetricAlarmInput{
		AlarmName: aws.String("a/b"), AlarmDescription: aws.String("of a test"), Namespace: aws.String("AWS/RDS"), MetricName: aws.String("CPUUtilization"), Statistic: types.StatisticMaximum,
		Period: aws.Int32(60), EvaluationPeriods: aws.Int32(1), Threshold: aws.Float64(90), ComparisonOperator: types.ComparisonOperatorGreaterThanThreshold, AlarmActions: []string{*topic.TopicArn},
	})
	must(err)
	raise := func(state types.StateValue) {
		t.Helper()
		_, err := watch.SetAlarmState(ctx, &cloudwatch.SetAlarmStateInput{AlarmName: aws.String("a/b"), StateValue: state, StateReason: aws.String("it is tried")})
		must(err)
	}
	mails := func() []string {
		text, err := os.ReadFile(filepath.Join(dir, "mails.log"))
		must(err)
		var out []string
		for line := range bytes.Lines(text) {
			out = append(out, string(line))
		}
		return out
	}
	raise(types.StateValueAlarm)
	first := mails()
	if len(first) != 1 || !strings.Contains(first[0], "Subscription Confirmation") {
		t.Fatalf("before it is confirmed an address is sent %v", first)
	}
	link := regexp.MustCompile(`/_bookctl/confirm/\w+`).FindString(first[0])
	if code, body := request(t, c, http.MethodGet, link, "", func(*http.Request) {}); code != http.StatusOK {
		t.Fatalf("%s: %d %s", link, code, body)
	}
	if code, _ := request(t, c, http.MethodGet, link, "", func(*http.Request) {}); code != http.StatusNotFound {
		t.Errorf("the link is good a second time: %d", code)
	}
	raise(types.StateValueOk)
	raise(types.StateValueAlarm)
	if all := mails(); len(all) != 2 || !strings.Contains(all[1], `ALARM: \"a/b\" in us-east-1`) || !strings.Contains(all[1], "it is tried") {
		t.Errorf("of an alarm it is sent %v", all)
	}
	out, err := cloudwatch.NewFromConfig(cfg, func(o *cloudwatch.Options) { o.Protocol = awsquery.New(schemas.GraniteServiceVersion20100801) }).
		DescribeAlarms(ctx, &cloudwatch.DescribeAlarmsInput{AlarmNames: []string{"a/b"}})
	must(err)
	if len(out.MetricAlarms) != 1 || out.MetricAlarms[0].StateValue != types.StateValueAlarm {
		t.Errorf("a query finds %+v", out.MetricAlarms)
	}

	_, err = bus.PutRule(ctx, &eventbridge.PutRuleInput{Name: aws.String("r"), EventPattern: aws.String(`{"source":["mine"],"detail":{"name":["a","b"]}}`)})
	must(err)
	_, err = bus.PutTargets(ctx, &eventbridge.PutTargetsInput{Rule: aws.String("r"), Targets: []eventtypes.Target{{Id: aws.String("t"), Arn: topic.TopicArn, InputTransformer: &eventtypes.InputTransformer{
		InputPathsMap: map[string]string{"name": "$.detail.name"}, InputTemplate: aws.String(`"it is <name>"`),
	}}}})
	must(err)
	send := func(source, name string) *eventbridge.PutEventsOutput {
		t.Helper()
		out, err := bus.PutEvents(ctx, &eventbridge.PutEventsInput{Entries: []eventtypes.PutEventsRequestEntry{{Source: &source, DetailType: aws.String("x"), Detail: aws.String(`{"name":"` + name + `"}`)}}})
		must(err)
		return out
	}
	send("mine", "b") // which the default policy of a topic does not let through
	policy := func(condition string) {
		t.Helper()
		_, err := topics.SetTopicAttributes(ctx, &sns.SetTopicAttributesInput{TopicArn: topic.TopicArn, AttributeName: aws.String("Policy"), AttributeValue: aws.String(
			`{"Statement":[{"Effect":"Allow","Principal":{"Service":"events.amazonaws.com"},"Action":"sns:Publish","Resource":"` + *topic.TopicArn + `"` + condition + `}]}`)})
		must(err)
	}
	// EventBridge supports no condition in the policy of a topic.
	policy(`,"Condition":{"ArnLike":{"aws:SourceArn":"arn:aws:events:us-east-1:000000000000:rule/r"}}`)
	send("mine", "a")
	policy("")
	send("mine", "c")
	send("theirs", "b")
	send("mine", "b")
	if refused := send("aws.ecs", "b"); refused.FailedEntryCount != 1 || *refused.Entries[0].ErrorCode != "NotAuthorizedForSourceException" {
		t.Errorf("an event of AWS's own is taken from anybody: %+v", refused)
	}
	raise(types.StateValueOk)
	raise(types.StateValueAlarm) // which that policy does not let through
	if all := mails(); len(all) != 3 || !strings.Contains(all[2], `it is b`) {
		t.Errorf("with that policy it is sent %v", all)
	}
	encrypt := func(key string) {
		t.Helper()
		_, err := topics.SetTopicAttributes(ctx, &sns.SetTopicAttributesInput{TopicArn: topic.TopicArn, AttributeName: aws.String("KmsMasterKeyId"), AttributeValue: &key})
		must(err)
	}
	// AWS's services may not use the key.
	encrypt("alias/aws/sns")
	send("mine", "a")
	if all := mails(); len(all) != 3 {
		t.Errorf("with a topic that is encrypted it is sent %v", all[3:])
	}
	encrypt("")
	send("mine", "a")
	if all := mails(); len(all) != 4 || !strings.Contains(all[3], `it is a`) {
		t.Errorf("with one that is not any more it is sent %v", all[3:])
	}
	if _, err := bus.DeleteRule(ctx, &eventbridge.DeleteRuleInput{Name: aws.String("r")}); code(err) != "ValidationException" {
		t.Errorf("a rule with targets is deleted: %v", err)
	}
}
