package provision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sns/types"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/inventory"
	"github.com/bookctl/bookctl/internal/partition"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// alarmAccess is the client and the identity of the resources that notify somebody of a failure.
type alarmAccess struct {
	identity
	watch  *cloudwatch.Client
	topics *sns.Client
	bus    *eventbridge.Client
	caller *caller
	// email and topic are who is notified: an address, or an existing topic. Without
	// either, nobody is.
	email, topic string
}

// newAlarmAccess returns what the resources of a stack's alarms share. For a stack that is only deleted,
// settings may be zero.
func newAlarmAccess(ident identity, c Clients, s Settings) alarmAccess {
	return alarmAccess{identity: ident, watch: c.CloudWatch, topics: c.SNS, bus: c.Events, caller: c.caller, email: s.AlarmEmail, topic: s.AlarmTopic}
}

// wanted reports whether somebody is to be notified.
func (a alarmAccess) wanted() bool { return a.email != "" || a.topic != "" }

func (a alarmAccess) arn(account, service, resource string) string {
	return fmt.Sprintf("arn:%s:%s:%s:%s:%s", partition.Of(a.region).Name, service, a.region, account, resource)
}

// AlarmTopic is the stack's own topic, from which alarms go to an address by mail. With an
// existing topic the stack has none of its own.
type AlarmTopic struct {
	graph.NodeOf[*liveAlarmTopic]
	alarmAccess
	// asked reports whether this run has subscribed the wanted address, which SNS may list only
	// minutes later, and confirmed whether it had confirmed already.
	asked, confirmed bool
}

// liveAlarmTopic is the topic as far as it is compared and used.
type liveAlarmTopic struct {
	there      bool
	arn        string
	tags       map[string]string
	policy     string
	key        string // of KMS, with which it is encrypted; "" for none
	subscriber string // the wanted one, if it is among them, also as one that was ended
	// pending reports whether the wanted address has not confirmed yet, and former is the
	// ARN of the subscription of the previous address.
	pending bool
	former  string
	// unsubscribed reports whether the wanted address has ended its subscription, and can't
	// be subscribed yet.
	unsubscribed bool
}

// endedSubscription is in place of the ARN of a subscription that somebody else than its
// owner ended, as by the link in each mail. SNS lists it for 72 hours, and does not subscribe
// the address again before.
// https://repost.aws/knowledge-center/sns-cross-account-subscription
const endedSubscription = "Deleted"

// tagAlarmEmail is on the topic, and has the address that bookctl subscribed.
const tagAlarmEmail = "bookctl:alarm-email"

func newAlarmTopic(a alarmAccess) *AlarmTopic {
	t := &AlarmTopic{alarmAccess: a}
	t.NodeOf = graph.Of(t, "alarm-topic", 5*time.Minute)
	return t
}

func (t *AlarmTopic) topicName() string { return t.names().AlarmTopic() }

// Pending is the address that has not confirmed its subscription yet; "" for none.
func (t *AlarmTopic) Pending() string {
	if live := t.Last(); live != nil && live.pending {
		return t.email
	}
	return ""
}

// Unsubscribed reports whether the address has ended its subscription, and can't be
// subscribed yet.
func (t *AlarmTopic) Unsubscribed() bool {
	live := t.Last()
	return live != nil && live.unsubscribed
}

// Read finds the topic by its name, which determines its ARN in the account.
func (t *AlarmTopic) Read(ctx context.Context) (*liveAlarmTopic, graph.State, error) {
	none := graph.State{Phase: graph.Absent, Unwanted: t.email == ""}
	account, err := t.caller.accountID(ctx)
	if err != nil {
		return nil, graph.State{}, err
	}
	arn := t.arn(account, "sns", t.topicName())
	out, err := t.topics.GetTopicAttributes(ctx, &sns.GetTopicAttributesInput{TopicArn: &arn})
	if IsCode(err, "NotFound", "NotFoundException") {
		return nil, none, nil
	}
	if err != nil {
		return nil, graph.State{}, fmt.Errorf("describe topic %s: %w", t.topicName(), err)
	}
	tags, err := t.topicTags(ctx, arn)
	if IsCode(err, "ResourceNotFound", "ResourceNotFoundException", "NotFound") {
		return nil, none, nil
	}
	if err != nil {
		return nil, graph.State{}, err
	}
	live := &liveAlarmTopic{there: true, arn: arn, tags: tags, policy: out.Attributes["Policy"], key: out.Attributes[topicKey]}
	serves := false
	pages := sns.NewListSubscriptionsByTopicPaginator(t.topics, &sns.ListSubscriptionsByTopicInput{TopicArn: &arn})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if IsCode(err, "NotFound", "NotFoundException") {
			return nil, none, nil
		}
		if err != nil {
			return nil, graph.State{}, fmt.Errorf("list the subscriptions of topic %s: %w", t.topicName(), err)
		}
		for _, s := range page.Subscriptions {
			if aws.ToString(s.Protocol) != "email" {
				continue
			}
			confirmed := strings.HasPrefix(aws.ToString(s.SubscriptionArn), "arn:")
			ended := aws.ToString(s.SubscriptionArn) == endedSubscription
			switch aws.ToString(s.Endpoint) {
			case t.email:
				switch {
				case ended:
					live.unsubscribed = true
				case confirmed:
					live.subscriber, live.pending, serves = t.email, false, true
				case !serves:
					live.subscriber, live.pending = t.email, true
				}
			case tags[tagAlarmEmail]:
				if confirmed { // else it has no ARN, and SNS forgets it by itself
					live.former = *s.SubscriptionArn
				}
			}
		}
	}
	live.unsubscribed = live.unsubscribed && live.subscriber == ""
	if t.asked && live.subscriber == "" && !live.unsubscribed {
		live.subscriber, live.pending = t.email, !t.confirmed
	}
	st := graph.State{Phase: graph.Ready, ID: arn, Owner: tags[TagStack]}
	switch {
	case live.pending:
		st.Note = t.email + " has yet to confirm"
	case live.unsubscribed:
		live.subscriber = t.email // nothing can be done about it, and what needs the topic is not to wait
		st.Note = t.email + " has ended its subscription"
	}
	return live, st, nil
}

func (a alarmAccess) topicTags(ctx context.Context, arn string) (map[string]string, error) {
	out, err := a.topics.ListTagsForResource(ctx, &sns.ListTagsForResourceInput{ResourceArn: &arn})
	if err != nil {
		return nil, fmt.Errorf("list the tags of %s: %w", arn, err)
	}
	return toMap(out.Tags, func(x types.Tag) (*string, *string) { return x.Key, x.Value }), nil
}

func (t *AlarmTopic) wantedTags() map[string]string {
	tags := t.tags(t.Name())
	tags[tagAlarmEmail] = t.email
	return tags
}

// wantedPolicy allows CloudWatch to publish for the stack's alarms, and EventBridge to
// publish for any rule: AWS evaluates no condition for it. Others can publish only with a
// permission of their own.
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html#eb-sns-permissions
// https://docs.aws.amazon.com/sns/latest/dg/sns-access-policy-use-cases.html
func (t *AlarmTopic) wantedPolicy(arn string) string {
	account := strings.Split(arn, ":")[4]
	publish := func(sid, service string) map[string]any {
		return map[string]any{"Sid": sid, "Effect": "Allow", "Principal": map[string]any{"Service": service}, "Action": "sns:Publish", "Resource": arn}
	}
	alarms := publish("Alarms", cloudWatch)
	alarms["Condition"] = map[string]any{"ArnLike": map[string]any{"aws:SourceArn": t.arn(account, "cloudwatch", "alarm:"+t.names().Alarm("*"))}}
	text, _ := json.Marshal(map[string]any{"Version": "2012-10-17", "Statement": []any{publish("Release", eventBridge), alarms}}) // of texts
	return string(text)
}

// Wanted implements graph.Shape.
func (t *AlarmTopic) Wanted(live *liveAlarmTopic) *liveAlarmTopic {
	return &liveAlarmTopic{there: t.email != "", tags: t.wantedTags(), policy: t.wantedPolicy(live.arn), subscriber: t.email}
}

// Attributes implements graph.Shape. A topic that is not wanted any more is deleted.
func (t *AlarmTopic) Attributes() graph.Attributes[*liveAlarmTopic] {
	kept := func(_, want *liveAlarmTopic) bool { return want.there }
	return graph.Attributes[*liveAlarmTopic]{
		graph.Compared("topic", func(live, want *liveAlarmTopic) (string, string, bool) { return "there", "none", !want.there },
			graph.SetBy(func(ctx context.Context, _ []graph.Change) error { return t.Delete(ctx) })),
		graph.Compared("policy", func(live, want *liveAlarmTopic) (string, string, bool) {
			return "not that of the stack's alarms", "publishing by the stack's alarms alone", !samePolicy(live.policy, want.policy)
		}, graph.SetBy(t.setPolicy)).When(kept),
		// Another key stays: its policy may let them.
		graph.Compared("encryption", func(live, _ *liveAlarmTopic) (string, string, bool) {
			return "with " + live.key + ", which keeps alarms out", "none", ownKey(live.key)
		}, graph.SetBy(t.decrypt)).When(kept),
		graph.Field("subscriber", func(l *liveAlarmTopic) string { return l.subscriber }, graph.SetBy(t.subscribe)).When(kept),
		graph.Compared("former-subscriber", func(live, _ *liveAlarmTopic) (string, string, bool) {
			return live.tags[tagAlarmEmail], "", live.former != ""
		}, graph.SetBy(t.unsubscribe)).When(kept),
		// After the other attributes: the previous address is found by this tag.
		tagAttribute(func(l *liveAlarmTopic) map[string]string { return l.tags }, graph.SetBy(t.retag)).When(kept),
	}
}

func (t *AlarmTopic) retag(ctx context.Context, changes []graph.Change) error {
	if drop := t.toDrop(t.Name(), changes); drop != nil {
		if _, err := t.topics.UntagResource(ctx, &sns.UntagResourceInput{ResourceArn: aws.String(t.ID()), TagKeys: drop}); err != nil {
			return fmt.Errorf("untag topic %s: %w", t.topicName(), err)
		}
	}
	if _, err := t.topics.TagResource(ctx, &sns.TagResourceInput{ResourceArn: aws.String(t.ID()), Tags: toSNSTags(t.wantedTags())}); err != nil {
		return fmt.Errorf("tag topic %s: %w", t.topicName(), err)
	}
	return nil
}

// Create creates the topic. The call returns an existing topic of that name, so a second
// one can't be created; SNS rejects it if the topic has other tags, which is then another
// owner's.
// https://docs.aws.amazon.com/sns/latest/api/API_CreateTopic.html
func (t *AlarmTopic) Create(ctx context.Context) (string, error) {
	out, err := t.topics.CreateTopic(ctx, &sns.CreateTopicInput{Name: aws.String(t.topicName()), Tags: toSNSTags(t.wantedTags())})
	if err != nil {
		return "", fmt.Errorf("create topic %s: %w", t.topicName(), err)
	}
	return aws.ToString(out.TopicArn), nil
}

func (t *AlarmTopic) setPolicy(ctx context.Context, _ []graph.Change) error {
	return t.set(ctx, "Policy", t.wantedPolicy(t.ID()))
}

func (t *AlarmTopic) decrypt(ctx context.Context, _ []graph.Change) error {
	return t.set(ctx, topicKey, "")
}

func (t *AlarmTopic) set(ctx context.Context, attribute, value string) error {
	_, err := t.topics.SetTopicAttributes(ctx, &sns.SetTopicAttributesInput{TopicArn: aws.String(t.ID()), AttributeName: &attribute, AttributeValue: &value})
	if err != nil {
		return fmt.Errorf("set the %s of topic %s: %w", attribute, t.topicName(), err)
	}
	return nil
}

// topicKey is the attribute with the key of an encrypted topic.
const topicKey = "KmsMasterKeyId"

// ownKey reports whether a key is the one that AWS has for SNS. Its policy lets neither
// CloudWatch nor EventBridge use it, and can't be changed:
// https://repost.aws/knowledge-center/cloudwatch-configure-alarm-sns
func ownKey(key string) bool { return strings.HasSuffix(key, "alias/aws/sns") }

// subscribe makes SNS send a confirmation mail to the address, and nothing else before it
// is answered. SNS deletes a subscription that is not confirmed within two days, and forgets
// one that its address ended after three; the next run then subscribes again.
// https://docs.aws.amazon.com/sns/latest/dg/SendMessageToHttp.confirm.html
// Each call sends a mail, so a call that SNS accepted is not repeated while its effect is not
// listed:
// https://github.com/aws-cloudformation/aws-cloudformation-resource-providers-sns/pull/70
func (t *AlarmTopic) subscribe(ctx context.Context, _ []graph.Change) error {
	out, err := t.topics.Subscribe(ctx, &sns.SubscribeInput{TopicArn: aws.String(t.ID()), Protocol: aws.String("email"), Endpoint: &t.email})
	if err != nil {
		return fmt.Errorf("subscribe %s to topic %s: %w", t.email, t.topicName(), err)
	}
	t.asked, t.confirmed = true, strings.HasPrefix(aws.ToString(out.SubscriptionArn), "arn:")
	return nil
}

func (t *AlarmTopic) unsubscribe(ctx context.Context, _ []graph.Change) error {
	live := t.Last()
	if live == nil || live.former == "" {
		return nil
	}
	if _, err := t.topics.Unsubscribe(ctx, &sns.UnsubscribeInput{SubscriptionArn: &live.former}); err != nil && !IsCode(err, "NotFound", "NotFoundException") {
		return fmt.Errorf("end the subscription of %s to topic %s: %w", live.tags[tagAlarmEmail], t.topicName(), err)
	}
	return nil
}

// Delete deletes the topic with its subscriptions, including pending ones, which can't be
// deleted by themselves.
// https://docs.aws.amazon.com/sns/latest/dg/sns-delete-subscription-topic.html
func (t *AlarmTopic) Delete(ctx context.Context) error {
	if _, err := t.topics.DeleteTopic(ctx, &sns.DeleteTopicInput{TopicArn: aws.String(t.ID())}); err != nil && !IsCode(err, "NotFound", "NotFoundException") {
		return fmt.Errorf("delete topic %s: %w", t.topicName(), err)
	}
	return nil
}

// topicKind lists the stack's topic.
func (a alarmAccess) topicKind() inventory.Kind {
	return inventory.Kind{Service: "sns", Type: "topic", List: func(ctx context.Context) ([]inventory.Item, error) {
		account, err := a.caller.accountID(ctx)
		if err != nil {
			return nil, err
		}
		arn := a.arn(account, "sns", a.names().AlarmTopic())
		tags, err := a.topicTags(ctx, arn)
		if IsCode(err, "ResourceNotFound", "ResourceNotFoundException", "NotFound", "NotFoundException") {
			return nil, nil
		}
		if err != nil || tags[TagStack] != a.stack {
			return nil, err
		}
		return []inventory.Item{{ID: arn}}, nil
	}}
}

// What EventBridge and CloudWatch are called in policies.
const (
	eventBridge = "events.amazonaws.com"
	cloudWatch  = "cloudwatch.amazonaws.com"
)

// CheckTopic fails if alarms of the account can't go to an existing topic. The warning is what
// the topic will not receive; "" for nothing that is known.
func CheckTopic(ctx context.Context, c *sns.Client, account, arn string) (warning string, err error) {
	// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-targets.html
	if part := strings.Split(arn, ":"); part[3] != c.Options().Region {
		return "", hint.With(fmt.Errorf("alarm topic %s is in region %s, and alarms go to topics of their own: %s", arn, part[3], c.Options().Region), "give the ARN of another topic")
	}
	var warnings []string
	elsewhere := accountOf(arn) != account
	if elsewhere {
		warnings = append(warnings, fmt.Sprintf("topic %s gets no notifications of failed releases: it is of another account, where EventBridge delivers only with a role, which bookctl does not create", arn))
	}
	out, err := c.GetTopicAttributes(ctx, &sns.GetTopicAttributesInput{TopicArn: &arn})
	switch {
	case IsCode(err, "NotFound", "NotFoundException"):
		return "", hint.With(fmt.Errorf("alarm topic %s: %w", arn, errNoTopic), "create it, or give the ARN of another one")
	case IsCode(err, "AuthorizationError", "AuthorizationErrorException", "AccessDenied", "AccessDeniedException"):
		return strings.Join(append(warnings, fmt.Sprintf("whether topic %s takes alarms can't be seen: its owner does not let its policy be read", arn)), "; "), nil
	case err != nil:
		return "", fmt.Errorf("describe topic %s: %w", arn, err)
	}
	switch key := out.Attributes[topicKey]; {
	case ownKey(key):
		return fmt.Sprintf("topic %s gets no notifications: it is encrypted with SNS's own key, which CloudWatch and EventBridge may not use; encrypt it with another one, or not at all", arn), nil
	case key != "":
		warnings = append(warnings, fmt.Sprintf("topic %s is encrypted with key %s: it gets notifications only if the policy of that key lets %s and %s do kms:Decrypt and kms:GenerateDataKey*, the latter service without a condition on aws:SourceAccount, aws:SourceArn or aws:SourceOrgID, which can't be seen from here", arn, key, cloudWatch, eventBridge))
	}
	policy := out.Attributes["Policy"]
	if always, sometimes := letsPublish(policy, cloudWatch); !always && !sometimes {
		warnings = append(warnings, fmt.Sprintf("topic %s gets no alarms: its policy does not let %s do sns:Publish", arn, cloudWatch))
	}
	if always, _ := letsPublish(policy, eventBridge); !always && !elsewhere {
		warnings = append(warnings, fmt.Sprintf("topic %s gets no notifications of failed releases: its policy does not let %s do sns:Publish, without a condition", arn, eventBridge))
	}
	return strings.Join(warnings, "; "), nil
}

var errNoTopic = errors.New("there is no such topic")

// letsPublish reports whether the policy of a topic lets a service publish in any case, and
// whether it may under conditions, or as one of the account.
func letsPublish(policy, service string) (always, sometimes bool) {
	var p struct {
		Statement []struct {
			Effect    string
			Principal json.RawMessage
			Action    oneOrMore
			Condition map[string]any
		}
	}
	if json.Unmarshal([]byte(policy), &p) != nil {
		return false, false
	}
	for _, s := range p.Statement {
		var by struct{ Service, AWS oneOrMore }
		if json.Unmarshal(s.Principal, &by) != nil { // "*"
			by.AWS = oneOrMore{"*"}
		}
		publishes := slices.ContainsFunc(s.Action, func(a string) bool {
			return a == "*" || strings.EqualFold(a, "sns:*") || strings.EqualFold(a, "sns:Publish")
		})
		if s.Effect != "Allow" || !publishes {
			continue
		}
		named := slices.Contains(by.Service, service) || slices.Contains(by.AWS, "*")
		always = always || named && len(s.Condition) == 0
		sometimes = sometimes || named || slices.ContainsFunc(by.AWS, func(p string) bool { return strings.HasSuffix(p, ":root") })
	}
	return always, sometimes
}

// oneOrMore is a list of texts. In policies, a list of one can be a plain text.
type oneOrMore []string

// UnmarshalJSON implements json.Unmarshaler.
func (o *oneOrMore) UnmarshalJSON(text []byte) error {
	var one string
	if json.Unmarshal(text, &one) == nil {
		*o = oneOrMore{one}
		return nil
	}
	return json.Unmarshal(text, (*[]string)(o))
}

// target is the topic that alarms go to; "" while it is not there.
func (a alarmAccess) target(own *AlarmTopic) string {
	if a.topic != "" {
		return a.topic
	}
	return own.ID()
}
