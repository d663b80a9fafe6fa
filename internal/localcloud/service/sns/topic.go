package sns

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sns/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
	"github.com/bookctl/bookctl/internal/pattern"
)

// state is what the service keeps.
type state struct {
	Topics map[string]*topic `json:"topics,omitempty"` // by ARN
	// Deleted is when a topic of that ARN was deleted last.
	Deleted map[string]time.Time `json:"deleted,omitempty"`
}

type topic struct {
	ARN           string            `json:"arn"`
	DisplayName   string            `json:"displayName,omitempty"`
	Policy        string            `json:"policy,omitempty"` // "" is the one that AWS gives a new topic
	Key           string            `json:"key,omitempty"`    // of KMS, with which it is encrypted
	Tags          map[string]string `json:"tags,omitempty"`
	Subscriptions []*subscription   `json:"subscriptions,omitempty"`
	// Deleted are those that somebody ended without being the owner, by the link of a mail.
	Deleted []deletedSubscription `json:"deleted,omitempty"`
}

type deletedSubscription struct {
	Endpoint string    `json:"endpoint"`
	At       time.Time `json:"at"`
}

// deletedFor is how long a list has a subscription that was not ended by its owner, with
// "Deleted" in place of its ARN. So long, the owner can't subscribe that endpoint again.
// https://repost.aws/knowledge-center/sns-cross-account-subscription
const deletedFor = 72 * time.Hour

type subscription struct {
	ARN      string    `json:"arn"`
	Endpoint string    `json:"endpoint"`
	Token    string    `json:"token,omitempty"` // while it is not confirmed
	Created  time.Time `json:"created"`
}

// pendingFor is how long a subscription waits for its confirmation.
// https://docs.aws.amazon.com/sns/latest/dg/sns-delete-subscription-topic.html
const pendingFor = 48 * time.Hour

var topicName = pattern.New(`^[A-Za-z0-9_-]{1,256}$`)

func (a tx) topic(arn *string) (*topic, error) {
	t := a.state().Topics[aws.ToString(arn)]
	if t == nil || !a.Visible(t.ARN) {
		return nil, a.unknown(aws.ToString(arn))
	}
	return t, nil
}

// unknown is the answer for a topic that is not here. Whether one of another account exists
// is not said: no policy of a topic lets this account read it.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic-cross-account.html
func (a tx) unknown(arn string) error {
	if of := strings.Split(arn, ":"); len(of) == 6 && of[4] != a.Account() {
		return &kernel.Error{Status: 403, Code: "AuthorizationError", Message: "User: " + a.CallerARN() + " is not authorized to perform this operation on resource: " + arn + " because no resource-based policy allows it"}
	}
	return &kernel.Error{Status: 404, Code: "NotFound", Message: "Topic does not exist"}
}

// written finds a topic for an operation that changes it. Such operations may not know a new
// topic when reads know it already:
// https://github.com/aws-cloudformation/aws-cloudformation-resource-providers-sns/pull/70
func (a tx) written(arn *string) (*topic, error) {
	t := a.state().Topics[aws.ToString(arn)]
	if t == nil || !a.Visible(forWrites(t.ARN)) {
		return nil, a.unknown(aws.ToString(arn))
	}
	return t, nil
}

// forWrites is by what the kernel knows whether operations that change a topic know it.
func forWrites(arn string) string { return arn + " for writes" }

// CreateTopic creates a topic, or finds one of that name. Other tags than it has are
// refused, as by AWS, and so are tags for a while after a topic of that name was deleted.
func (a tx) CreateTopic(in *sns.CreateTopicInput) (*sns.CreateTopicOutput, error) {
	if !topicName.MatchString(aws.ToString(in.Name)) {
		return nil, kernel.Fail("InvalidParameter", "Invalid parameter: Topic Name")
	}
	arn := a.ARN("sns", *in.Name)
	tags := kernel.TagMap(in.Tags, tagPair)
	if have := a.state().Topics[arn]; have != nil {
		if len(in.Tags) > 0 && !maps.Equal(tags, have.Tags) {
			return nil, kernel.Fail("InvalidParameter", "Invalid parameter: Tags Reason: Topic already exists with different tags")
		}
		return &sns.CreateTopicOutput{TopicArn: &arn}, nil
	}
	if at, ok := a.state().Deleted[arn]; ok && len(tags) > 0 && a.Now().Before(at.Add(kernel.Seconds(a.Faults().TopicSeconds))) {
		return nil, kernel.Fail("StaleTag", "A tag has been added to a resource with the same ARN as a deleted resource. Wait a short while and then retry the operation.")
	}
	t := &topic{ARN: arn, Tags: tags}
	for key, value := range in.Attributes {
		if err := t.set(key, value); err != nil {
			return nil, err
		}
	}
	if a.state().Topics == nil {
		a.state().Topics = map[string]*topic{}
	}
	a.state().Topics[arn] = t
	a.Created(arn)
	a.Created(forWrites(arn))
	return &sns.CreateTopicOutput{TopicArn: &arn}, nil
}

// set changes an attribute.
func (t *topic) set(key, value string) error {
	switch key {
	case "Policy":
		if value != "" && readPolicy(value) == nil {
			return kernel.Fail("InvalidParameter", "Invalid parameter: Policy Error: null")
		}
		t.Policy = value
	case "DisplayName":
		t.DisplayName = value
	case "KmsMasterKeyId":
		t.Key = value
	default:
		return kernel.Fail("InvalidParameter", "Invalid parameter: the local cloud's topics have no attribute %s", key)
	}
	return nil
}

// SetTopicAttributes changes one attribute.
func (a tx) SetTopicAttributes(in *sns.SetTopicAttributesInput) (*sns.SetTopicAttributesOutput, error) {
	t, err := a.written(in.TopicArn)
	if err != nil {
		return nil, err
	}
	return &sns.SetTopicAttributesOutput{}, t.set(aws.ToString(in.AttributeName), aws.ToString(in.AttributeValue))
}

// GetTopicAttributes describes a topic.
func (a tx) GetTopicAttributes(in *sns.GetTopicAttributesInput) (*sns.GetTopicAttributesOutput, error) {
	t, err := a.topic(in.TopicArn)
	if err != nil {
		return nil, err
	}
	a.expire(t)
	pending := 0
	for _, s := range t.Subscriptions {
		if s.Token != "" {
			pending++
		}
	}
	out := map[string]string{
		"TopicArn": t.ARN, "Owner": a.Account(), "DisplayName": t.DisplayName, "Policy": a.policyOf(t),
		"SubscriptionsPending": strconv.Itoa(pending), "SubscriptionsConfirmed": strconv.Itoa(len(t.Subscriptions) - pending), "SubscriptionsDeleted": strconv.Itoa(len(t.Deleted)),
	}
	if t.Key != "" {
		out["KmsMasterKeyId"] = t.Key
	}
	return &sns.GetTopicAttributesOutput{Attributes: out}, nil
}

// ListTopics lists a hundred at a time.
func (a tx) ListTopics(in *sns.ListTopicsInput) (*sns.ListTopicsOutput, error) {
	all := []types.Topic{}
	for _, arn := range slices.Sorted(maps.Keys(a.state().Topics)) {
		if a.Visible(arn) {
			all = append(all, types.Topic{TopicArn: &arn})
		}
	}
	out := &sns.ListTopicsOutput{}
	var err error
	out.Topics, out.NextToken, err = kernel.PageOf(all, in.NextToken, 100, kernel.Fail("InvalidParameter", "Invalid parameter: NextToken"))
	return out, err
}

// DeleteTopic deletes a topic with its subscriptions, also those that are pending. One
// that is not there is no error.
// https://docs.aws.amazon.com/sns/latest/api/API_DeleteTopic.html
func (a tx) DeleteTopic(in *sns.DeleteTopicInput) (*sns.DeleteTopicOutput, error) {
	arn := aws.ToString(in.TopicArn)
	if a.state().Topics[arn] != nil {
		if a.state().Deleted == nil {
			a.state().Deleted = map[string]time.Time{}
		}
		a.state().Deleted[arn] = a.Now()
	}
	delete(a.state().Topics, arn)
	return &sns.DeleteTopicOutput{}, nil
}

// Subscribe has mails of a topic sent to somebody, once they have confirmed it. Asking
// again for what is pending sends another mail about it.
func (a tx) Subscribe(in *sns.SubscribeInput) (*sns.SubscribeOutput, error) {
	t, err := a.written(in.TopicArn)
	if err != nil {
		return nil, err
	}
	if aws.ToString(in.Protocol) != "email" {
		return nil, kernel.Fail("InvalidParameter", "Invalid parameter: the local cloud delivers by email alone, not by %s", aws.ToString(in.Protocol))
	}
	to := aws.ToString(in.Endpoint)
	if name, host, ok := strings.Cut(to, "@"); !ok || name == "" || host == "" {
		return nil, kernel.Fail("InvalidParameter", "Invalid parameter: Email address")
	}
	a.expire(t)
	if slices.ContainsFunc(t.Deleted, func(s deletedSubscription) bool { return s.Endpoint == to }) {
		// What AWS answers is on no page.
		return nil, kernel.Fail("InvalidParameter", "Invalid parameter: %s ended its subscription less than %g hours ago", to, deletedFor.Hours())
	}
	at := slices.IndexFunc(t.Subscriptions, func(s *subscription) bool { return s.Endpoint == to })
	if at < 0 {
		at = len(t.Subscriptions)
		t.Subscriptions = append(t.Subscriptions, &subscription{ARN: t.ARN + ":" + kernel.UUID(), Endpoint: to, Token: kernel.HexDigits(64), Created: a.Now()})
		a.Created(t.Subscriptions[at].ARN)
	}
	s := t.Subscriptions[at]
	if s.Token == "" {
		return &sns.SubscribeOutput{SubscriptionArn: &s.ARN}, nil
	}
	a.mail(s, "AWS Notification - Subscription Confirmation", "You have chosen to subscribe to the topic: "+t.ARN+
		" To confirm this subscription, click or visit the link below (If this was in error no action is necessary): "+a.Endpoint()+"/_bookctl/confirm/"+s.Token)
	if in.ReturnSubscriptionArn {
		return &sns.SubscribeOutput{SubscriptionArn: &s.ARN}, nil
	}
	return &sns.SubscribeOutput{SubscriptionArn: aws.String("pending confirmation")}, nil
}

// expire forgets what nobody has confirmed in time.
func (a tx) expire(t *topic) {
	t.Subscriptions = slices.DeleteFunc(t.Subscriptions, func(s *subscription) bool { return s.Token != "" && a.Now().Sub(s.Created) > pendingFor })
	t.Deleted = slices.DeleteFunc(t.Deleted, func(s deletedSubscription) bool { return a.Now().Sub(s.At) > deletedFor })
}

// confirm finds the subscription that a token is of, and confirms it.
func (a tx) confirm(token string) *subscription {
	for _, t := range a.state().Topics {
		for _, s := range t.Subscriptions {
			if s.Token != "" && s.Token == token {
				s.Token = ""
				return s
			}
		}
	}
	return nil
}

// Confirm is what the link in a mail does. It says false for a token of no
// subscription that is pending.
func (s *Service) Confirm(token string) (endpoint string, ok bool) {
	s.Update(func(t *kernel.Tx) {
		if x := s.in(t).confirm(token); x != nil {
			endpoint, ok = x.Endpoint, true
		}
	})
	return endpoint, ok
}

// ConfirmSubscription does the same by the API.
func (a tx) ConfirmSubscription(in *sns.ConfirmSubscriptionInput) (*sns.ConfirmSubscriptionOutput, error) {
	if _, err := a.topic(in.TopicArn); err != nil {
		return nil, err
	}
	s := a.confirm(aws.ToString(in.Token))
	if s == nil {
		return nil, kernel.Fail("InvalidParameter", "Invalid parameter: Token")
	}
	return &sns.ConfirmSubscriptionOutput{SubscriptionArn: &s.ARN}, nil
}

// Unsubscribe removes a subscription that is confirmed: one that is pending has no ARN
// that could be named. It is signed, so by the owner.
func (a tx) Unsubscribe(in *sns.UnsubscribeInput) (*sns.UnsubscribeOutput, error) {
	arn := aws.ToString(in.SubscriptionArn)
	if strings.Count(arn, ":") != 6 {
		return nil, kernel.Fail("InvalidParameter", "Invalid parameter: SubscriptionArn Reason: An ARN must have at least 6 elements, not %d", strings.Count(arn, ":")+1)
	}
	a.end(arn)
	return &sns.UnsubscribeOutput{}, nil
}

// end removes a subscription, and returns it and its topic; nil for none of that ARN.
func (a tx) end(arn string) (*topic, *subscription) {
	for _, t := range a.state().Topics {
		if at := slices.IndexFunc(t.Subscriptions, func(s *subscription) bool { return s.ARN == arn && s.Token == "" }); at >= 0 {
			ended := t.Subscriptions[at]
			t.Subscriptions = slices.Delete(t.Subscriptions, at, at+1)
			return t, ended
		}
	}
	return nil, nil
}

// Unsubscribe ends a subscription for the link at the end of each mail, whoever opens it. It returns false for
// the ARN of no subscription.
func (s *Service) Unsubscribe(arn string) (endpoint string, ok bool) {
	s.Update(func(t *kernel.Tx) {
		a := s.in(t)
		if from, ended := a.end(arn); ended != nil {
			from.Deleted = append(from.Deleted, deletedSubscription{ended.Endpoint, a.Now()})
			endpoint, ok = ended.Endpoint, true
		}
	})
	return endpoint, ok
}

// ListSubscriptionsByTopic lists a hundred at a time.
func (a tx) ListSubscriptionsByTopic(in *sns.ListSubscriptionsByTopicInput) (*sns.ListSubscriptionsByTopicOutput, error) {
	t, err := a.topic(in.TopicArn)
	if err != nil {
		return nil, err
	}
	a.expire(t)
	all := []types.Subscription{}
	for _, s := range t.Subscriptions {
		if !a.Visible(s.ARN) || a.Now().Before(s.Created.Add(kernel.Seconds(a.Faults().SubscriptionSeconds))) {
			continue
		}
		arn := s.ARN
		if s.Token != "" {
			arn = "PendingConfirmation"
		}
		all = append(all, types.Subscription{SubscriptionArn: &arn, TopicArn: &t.ARN, Protocol: aws.String("email"), Endpoint: &s.Endpoint, Owner: aws.String(a.Account())})
	}
	for _, s := range t.Deleted {
		all = append(all, types.Subscription{SubscriptionArn: aws.String("Deleted"), TopicArn: &t.ARN, Protocol: aws.String("email"), Endpoint: &s.Endpoint, Owner: aws.String(a.Account())})
	}
	out := &sns.ListSubscriptionsByTopicOutput{}
	out.Subscriptions, out.NextToken, err = kernel.PageOf(all, in.NextToken, 100, kernel.Fail("InvalidParameter", "Invalid parameter: NextToken"))
	return out, err
}

// tagPair returns the key and the value of a tag.
func tagPair(t types.Tag) (key, value *string) { return t.Key, t.Value }

// newTag returns a tag of that key and value.
func newTag(key, value *string) types.Tag { return types.Tag{Key: key, Value: value} }

func (a tx) tagged(arn *string) (*topic, error) {
	t := a.state().Topics[aws.ToString(arn)]
	if t == nil {
		return nil, &kernel.Error{Status: 404, Code: "ResourceNotFound", Message: "Resource does not exist"}
	}
	return t, nil
}

// TagResource tags a topic.
func (a tx) TagResource(in *sns.TagResourceInput) (*sns.TagResourceOutput, error) {
	t, err := a.tagged(in.ResourceArn)
	if err != nil {
		return nil, err
	}
	maps.Copy(t.Tags, kernel.TagMap(in.Tags, tagPair))
	return &sns.TagResourceOutput{}, nil
}

// UntagResource is the opposite of TagResource.
func (a tx) UntagResource(in *sns.UntagResourceInput) (*sns.UntagResourceOutput, error) {
	t, err := a.tagged(in.ResourceArn)
	if err != nil {
		return nil, err
	}
	for _, key := range in.TagKeys {
		delete(t.Tags, key)
	}
	return &sns.UntagResourceOutput{}, nil
}

// ListTagsForResource lists a topic's tags.
func (a tx) ListTagsForResource(in *sns.ListTagsForResourceInput) (*sns.ListTagsForResourceOutput, error) {
	t, err := a.tagged(in.ResourceArn)
	if err != nil {
		return nil, err
	}
	return &sns.ListTagsForResourceOutput{Tags: kernel.TagList(t.Tags, newTag)}, nil
}
