package sns

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
)

// MailFile is the file in the state directory that mails are written to, a line of
// JSON each.
const MailFile = "mails.log"

// maxMailFile is where the file of mails is set aside for a new one.
const maxMailFile = 1 << 20

// Publish sends a message of the caller's.
func (a tx) Publish(in *sns.PublishInput) (*sns.PublishOutput, error) {
	t, err := a.topic(in.TopicArn)
	if err != nil {
		return nil, err
	}
	a.send(t, aws.ToString(in.Subject), aws.ToString(in.Message))
	return &sns.PublishOutput{MessageId: aws.String(kernel.UUID())}, nil
}

// Deliver is a message of one of AWS's services to a topic, about the resource of that
// ARN. It says why the topic does not take it; "" is for taken. No key of KMS lets AWS's
// services use it by itself, and the policies of keys are not here:
// https://repost.aws/knowledge-center/cloudwatch-configure-alarm-sns
func (s *Service) Deliver(t *kernel.Tx, arn, service, about, subject, message string) (refused string) {
	a := s.in(t)
	topic := a.state().Topics[arn]
	if topic == nil {
		return "there is no topic " + arn
	}
	if !a.allows(topic, service, about) {
		return "the policy of topic " + arn + " does not let " + service + " publish"
	}
	if topic.Key != "" {
		return service + " does not have authorization to access the SNS topic encryption key"
	}
	a.send(topic, subject, message)
	return ""
}

func (a tx) send(t *topic, subject, message string) {
	for _, s := range t.Subscriptions {
		if s.Token == "" {
			a.mail(s, subject, message+"\n\nIf you wish to stop receiving notifications from this topic, please click or visit the link below to unsubscribe: "+a.Endpoint()+"/_bookctl/unsubscribe/"+s.ARN)
		}
	}
}

// mail writes down what AWS would send.
func (a tx) mail(to *subscription, subject, text string) {
	a.Log().Info("mail", "to", to.Endpoint, "subject", subject, "text", text)
	line, _ := json.Marshal(map[string]string{"time": a.Now().Format("2006-01-02T15:04:05.000Z"), "to": to.Endpoint, "subject": subject, "text": text}) // strings always marshal
	path := filepath.Join(a.StateDir(), MailFile)
	if info, err := os.Stat(path); err == nil && info.Size() > maxMailFile {
		_ = os.Rename(path, path+".1") // else it goes on growing
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = f.Write(append(line, '\n'))
		if closed := f.Close(); err == nil {
			err = closed
		}
	}
	if err != nil {
		a.Log().Error("a mail could not be written down", "error", err)
	}
}

// policy is a topic's, as far as it is asked.
type policy struct {
	Statement []statement
}

type statement struct {
	Effect    string
	Principal json.RawMessage
	Action    texts
	Condition map[string]map[string]texts
}

// texts is a text, or a list of them.
type texts []string

func (t *texts) UnmarshalJSON(text []byte) error {
	var one string
	if err := json.Unmarshal(text, &one); err == nil {
		*t = texts{one}
		return nil
	}
	return json.Unmarshal(text, (*[]string)(t))
}

// readPolicy is nil for what is no policy.
func readPolicy(text string) *policy {
	var p policy
	if err := json.Unmarshal([]byte(text), &p); err != nil || len(p.Statement) == 0 {
		return nil
	}
	return &p
}

// policyOf is the policy of a topic, or the one that AWS gives a new topic.
func (a tx) policyOf(t *topic) string {
	if t.Policy != "" {
		return t.Policy
	}
	return fmt.Sprintf(`{"Version":"2008-10-17","Id":"__default_policy_ID","Statement":[{"Sid":"__default_statement_ID","Effect":"Allow","Principal":{"AWS":"*"},`+
		`"Action":["SNS:GetTopicAttributes","SNS:SetTopicAttributes","SNS:AddPermission","SNS:RemovePermission","SNS:DeleteTopic","SNS:Subscribe","SNS:ListSubscriptionsByTopic","SNS:Publish"],`+
		`"Resource":"%s","Condition":{"StringEquals":{"AWS:SourceOwner":"%s"}}}]}`, t.ARN, a.Account())
}

// allows reports whether the policy of a topic lets a service publish. The default one
// lets CloudWatch, which names the alarm's owner, and not EventBridge, for which no
// statement with a condition counts:
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html#eb-sns-permissions
func (a tx) allows(t *topic, service, about string) bool {
	return slices.ContainsFunc(readPolicy(a.policyOf(t)).Statement, func(s statement) bool {
		publishes := slices.ContainsFunc(s.Action, func(x string) bool {
			return strings.EqualFold(x, "sns:Publish") || strings.EqualFold(x, "sns:*") || x == "*"
		})
		if s.Effect != "Allow" || !publishes {
			return false
		}
		var by struct{ Service, AWS texts }
		if json.Unmarshal(s.Principal, &by) != nil { // "*" alone is everybody
			by.AWS = texts{strings.Trim(string(s.Principal), `"`)}
		}
		if !slices.Contains(by.Service, service) && !slices.Contains(by.AWS, "*") {
			return false
		}
		if service == "events.amazonaws.com" && len(s.Condition) > 0 {
			return false
		}
		for _, keys := range s.Condition {
			for key, want := range keys {
				have := map[string]string{"aws:sourcearn": about, "aws:sourceaccount": a.Account()}
				if service == "cloudwatch.amazonaws.com" {
					have["aws:sourceowner"] = a.Account()
				}
				if !slices.ContainsFunc(want, func(w string) bool { return kernel.Wildcard(w, have[strings.ToLower(key)]) }) {
					return false
				}
			}
		}
		return true
	})
}
