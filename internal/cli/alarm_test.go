package cli_test

import (
	"bufio"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/google/go-cmp/cmp"
)

// sentMail is a mail that the local cloud has written down.
type sentMail struct{ To, Subject, Text string }

// mails are those that the local cloud has written down.
func (s *shell) mails() (out []sentMail) {
	s.t.Helper()
	var info struct{ Dir string }
	decode(s.t, s.must("local", "status", "--output", "json"), &info)
	f, err := os.Open(filepath.Join(info.Dir, "mails.log"))
	if err != nil {
		return nil // none yet
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var m sentMail
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			s.t.Fatal(err)
		}
		out = append(out, m)
	}
	return out
}

// mailed waits for a mail with these words.
func (s *shell) mailed(what string, words ...string) sentMail {
	s.t.Helper()
	var found sentMail
	until(s.t, what, func() bool {
		all := s.mails()
		slices.Reverse(all)
		for _, m := range all {
			if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(m.Subject+"\n"+m.Text, w) }) {
				found = m
				return true
			}
		}
		return false
	})
	return found
}

// TestAlarmsNotifyWhenAStackFails has an address notified of what really fails on the local
// cloud, tries each alarm, changes them by hand, and takes them off again.
func TestAlarmsNotifyWhenAStackFails(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s, ctx := newShell(t), t.Context()
	s.must("local", "start")
	s.run("alarm", "list", "--local").says(t, 1, "there is no stack book")
	s.run("up", "--local", "--alarm-email", "nobody").says(t, 64, `alarm email "nobody"`, "--alarm-email")
	before := s.inventory()
	const to = "ops@example.com"
	settings := []string{"up", "--local", "--image", ownService(t), "--no-database"}
	s.must(settings...)
	s.run("alarm", "list", "--local").says(t, 1, "the stack has no alarms", "--alarm-email ADDRESS")
	without := s.inventory()
	s.must(append(settings, "--alarm-email", to)...)
	if r := s.run("up", "--local", "--output", "json"); !strings.Contains(r.out, `"apiWrites":0`) {
		t.Errorf("another up writes:\n%s%s", r.out, r.err)
	}

	// Nothing is sent before the address is confirmed, and status says what to do.
	if out := s.run("status", "--local").out; !strings.Contains(out, "sent to "+to) || !strings.Contains(out, "follow the link in the mail") {
		t.Errorf("the status of an address that is not confirmed:\n%s", out)
	}
	if out := s.must("alarm", "test", "--local", "no-healthy-target"); !strings.Contains(out, to+" is not notified yet") {
		t.Errorf("a test before the address is confirmed says:\n%s", out)
	}
	if got := s.mails(); len(got) != 1 {
		t.Errorf("before the address is confirmed it got %v", got)
	}
	link := regexp.MustCompile(`http://\S+`).FindString(s.mailed("the mail that asks", "Subscription Confirmation").Text)
	if code, body := call(t, http.MethodGet, link, ""); code != http.StatusOK || !strings.Contains(body, to) {
		t.Fatalf("%s: %d %s", link, code, body)
	}
	if out := s.run("status", "--local").out; strings.Contains(out, "follow the link") || !strings.Contains(out, "none raised, sent to "+to) {
		t.Errorf("the status of an address that is confirmed:\n%s", out)
	}
	var status struct {
		Alarms struct {
			To      string
			Pending bool
		}
	}
	decode(t, s.must("status", "--local", "--output", "json"), &status)
	if status.Alarms.To != to || status.Alarms.Pending {
		t.Errorf("the status as JSON has %+v", status.Alarms)
	}

	t.Run("each alarm can be tried", func(t *testing.T) {
		s.t = t
		out := s.must("alarm", "test", "--local")
		for _, name := range []string{"no-healthy-target", "server-errors", "failed-release"} {
			if !strings.Contains(out, name) {
				t.Errorf("%s was not tried:\n%s", name, out)
			}
		}
		s.mailed("an alarm that is tried", `ALARM: "bookctl/book/no-healthy-target"`, "This is a test by ", "no task has been healthy")
		s.mailed("its end", `OK: "bookctl/book/no-healthy-target"`)
		s.mailed("another", `ALARM: "bookctl/book/server-errors"`, "This is a test by ")
		s.mailed("a release that did not fail", "Stack book in us-east-1: a release failed at ", "This is a test by ")
		alarms := done[*cloudwatch.DescribeAlarmsOutput](t)(cloudwatch.NewFromConfig(s.config()).DescribeAlarms(t.Context(), &cloudwatch.DescribeAlarmsInput{})).MetricAlarms
		if !slices.ContainsFunc(alarms, func(a types.MetricAlarm) bool { return *a.AlarmName == "bookctl/book/server-errors" }) {
			t.Errorf("CloudWatch has the alarms %+v", alarms)
		}
		s.run("alarm", "test", "--local", "fire").says(t, 64, `no alarm "fire"`, "no-healthy-target, server-errors, failed-release")
		list := s.must("alarm", "list", "--local", "--output", "json")
		if err := fitsSchema(list); err != nil {
			t.Error(err)
		}
		if err := fitsSchema(s.must("alarm", "test", "--local", "failed-release", "--output", "json")); err != nil {
			t.Error(err)
		}
	})

	t.Run("what fails is reported, and that it is over", func(t *testing.T) {
		s.t = t
		failed := s.run(append(settings, "--command", "exit 3")...)
		if failed.code != 1 {
			t.Errorf("a release that fails: exit code %d\n%s%s", failed.code, failed.out, failed.err)
		}
		s.mailed("a release that failed", "a release failed at ", "ECS deployment circuit breaker: tasks failed to start.")
		s.must(append(settings, "--command", "none")...)
		containers := ecs.NewFromConfig(s.config())
		done[*ecs.UpdateServiceOutput](t)(containers.UpdateService(ctx, &ecs.UpdateServiceInput{Cluster: aws.String("book-cluster"), Service: aws.String("book-service"), DesiredCount: aws.Int32(0)}))
		s.mailed("a stack without a task", `ALARM: "bookctl/book/no-healthy-target"`, "Threshold Crossed")
		if out := s.run("status", "--local").out; !strings.Contains(out, "no-healthy-target raised") {
			t.Errorf("the status of a stack without a task:\n%s", out)
		}
		s.must(settings...)
		s.mailed("a stack that has one again", `OK: "bookctl/book/no-healthy-target"`, "did not breach")
	})

	t.Run("what is changed by hand is put right", func(t *testing.T) {
		s.t = t
		account, cfg := s.inventory(), s.config()
		watch, bus, topics := cloudwatch.NewFromConfig(cfg), eventbridge.NewFromConfig(cfg), sns.NewFromConfig(cfg)
		topic := aws.String("arn:aws:sns:us-east-1:000000000000:book-alarms")
		done[*cloudwatch.DeleteAlarmsOutput](t)(watch.DeleteAlarms(ctx, &cloudwatch.DeleteAlarmsInput{AlarmNames: []string{"bookctl/book/server-errors"}}))
		done[*eventbridge.RemoveTargetsOutput](t)(bus.RemoveTargets(ctx, &eventbridge.RemoveTargetsInput{Rule: aws.String("book-failed-release"), Ids: []string{"release-alarm"}}))
		done[*sns.SetTopicAttributesOutput](t)(topics.SetTopicAttributes(ctx, &sns.SetTopicAttributesInput{TopicArn: topic, AttributeName: aws.String("Policy"), AttributeValue: aws.String("")}))
		done[*sns.SetTopicAttributesOutput](t)(topics.SetTopicAttributes(ctx, &sns.SetTopicAttributesInput{TopicArn: topic, AttributeName: aws.String("KmsMasterKeyId"), AttributeValue: aws.String("alias/aws/sns")}))
		done[*sns.UntagResourceOutput](t)(topics.UntagResource(ctx, &sns.UntagResourceInput{ResourceArn: topic, TagKeys: []string{"bookctl:resource"}}))
		r := s.run("plan", "--local")
		for _, want := range []string{"alarm server-errors: (none) → ", "targets: ", "policy: not that of the stack's alarms", "encryption: with alias/aws/sns, which keeps alarms out → none", "tag bookctl:resource: (none) → alarm-topic"} {
			if r.code != 2 || !strings.Contains(r.out, want) {
				t.Errorf("%q is not in the plan, exit code %d:\n%s%s", want, r.code, r.out, r.err)
			}
		}
		s.must("up", "--local")
		if r := s.run("plan", "--local"); r.code != 0 {
			t.Errorf("plan after up: %d\n%s%s", r.code, r.out, r.err)
		}
		if diff := cmp.Diff(account, s.inventory()); diff != "" {
			t.Errorf("the account differs after the repair (-before +after):\n%s", diff)
		}
	})

	t.Run("they go to another address or topic, and go", func(t *testing.T) {
		s.t = t
		topics := sns.NewFromConfig(s.config())
		s.must("up", "--local", "--alarm-email", "team@example.com")
		if got := strings.Join(s.inventory(), "\n"); strings.Contains(got, to) || !strings.Contains(got, "topic book-alarms [email team@example.com]") {
			t.Errorf("with another address there is:\n%s", got)
		}
		own := done[*sns.CreateTopicOutput](t)(topics.CreateTopic(ctx, &sns.CreateTopicInput{Name: aws.String("ops")})).TopicArn
		s.must("up", "--local", "--alarm-topic", *own)
		got := strings.Join(s.inventory(), "\n")
		if strings.Contains(got, "book-alarms") || !strings.Contains(got, "alarm bookctl/book/server-errors notifies ["+*own+"]") || !strings.Contains(got, "event rule book-failed-release ENABLED notifies ["+*own+"]") {
			t.Errorf("with a topic that is brought along there is:\n%s", got)
		}
		s.must("up", "--local", "--alarm-topic", "none")
		done[*sns.DeleteTopicOutput](t)(topics.DeleteTopic(ctx, &sns.DeleteTopicInput{TopicArn: own}))
		now := slices.DeleteFunc(s.inventory(), func(line string) bool { return strings.Contains(line, " INACTIVE ") }) // of the release that failed
		if diff := cmp.Diff(without, now); diff != "" {
			t.Errorf("without alarms the account differs from before (-before +after):\n%s", diff)
		}
		s.must("up", "--local", "--alarm-email", to)
		s.must("destroy", "--local", "--yes")
		if diff := cmp.Diff(before, s.inventory()); diff != "" {
			t.Errorf("after destroy the account differs (-before +after):\n%s", diff)
		}
	})
}

// TestAlarmsAreSilentWhileAStackDoesNotServe has a topic notified of what it is for,
// and of nothing while a first up has no healthy task yet, the stack is paused or removed.
func TestAlarmsAreSilentWhileAStackDoesNotServe(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s, ctx := newShell(t), t.Context()
	s.must("local", "start")
	topics, watch := sns.NewFromConfig(s.config()), cloudwatch.NewFromConfig(s.config())
	topic := *done[*sns.CreateTopicOutput](t)(topics.CreateTopic(ctx, &sns.CreateTopicInput{Name: aws.String("ops")})).TopicArn
	before := s.inventory()
	for wrong, says := range map[string]string{
		"ops": "alarm topic \"ops\"",
		strings.Replace(topic, "us-east-1", "eu-west-1", 1): "is in region eu-west-1, and alarms go to topics of their own: us-east-1",
		topic + "s": "there is no such topic",
	} {
		if r := s.run("up", "--local", "--alarm-topic", wrong); r.code == 0 || !strings.Contains(r.err, says) {
			t.Errorf("alarms to %s: exit code %d, and not %q\n%s%s", wrong, r.code, says, r.out, r.err)
		}
	}
	if diff := cmp.Diff(before, s.inventory()); diff != "" {
		t.Errorf("a topic that is refused leaves (-before +after):\n%s", diff)
	}
	done[*sns.SubscribeOutput](t)(topics.Subscribe(ctx, &sns.SubscribeInput{TopicArn: &topic, Protocol: aws.String("email"), Endpoint: aws.String("ops@example.com")}))
	call(t, http.MethodGet, regexp.MustCompile(`http://\S+`).FindString(s.mailed("the mail that asks", "Subscription Confirmation").Text), "")
	asked := len(s.mails())
	const unhealthy = "bookctl/book/no-healthy-target"
	raised := func(what string) {
		t.Helper()
		until(t, what, func() bool {
			out := done[*cloudwatch.DescribeAlarmsOutput](t)(watch.DescribeAlarms(ctx, &cloudwatch.DescribeAlarmsInput{AlarmNames: []string{unhealthy}, StateValue: "ALARM"}))
			return len(out.MetricAlarms) == 1
		})
	}
	untold := func(when string, known int) {
		t.Helper()
		if all := s.mails(); len(all) != known {
			t.Errorf("%s it got %v", when, all[known:])
		}
	}

	// The topic's policy is the one of a new topic, which does not let EventBridge publish.
	const unpublished = "gets no notifications of failed releases: its policy does not let events.amazonaws.com do sns:Publish"
	settings := []string{"up", "--local", "--image", ownService(t), "--no-database", "--alarm-topic", topic}
	failed := s.run(append(settings, "--command", "exit 3")...)
	if failed.code != 1 || !strings.Contains(failed.err, unpublished) {
		t.Errorf("a first up whose release fails: exit code %d\n%s%s", failed.code, failed.out, failed.err)
	}
	raised("a first up without a task")
	untold("of a first up without a task", asked)
	if out := s.run("status", "--local").out; !strings.Contains(out, "nobody is notified of alarms now") || !strings.Contains(out, unpublished) {
		t.Errorf("the status of a stack whose first release failed:\n%s", out)
	}

	done[*sns.SetTopicAttributesOutput](t)(topics.SetTopicAttributes(ctx, &sns.SetTopicAttributesInput{TopicArn: &topic, AttributeName: aws.String("Policy"), AttributeValue: aws.String(
		`{"Statement":[{"Effect":"Allow","Principal":{"Service":["cloudwatch.amazonaws.com","events.amazonaws.com"]},"Action":"sns:Publish","Resource":"` + topic + `"}]}`)}))
	s.must(append(settings, "--command", "none")...)
	if out := s.must("alarm", "list", "--local"); strings.Contains(out, "nobody is notified of alarms now") || strings.Contains(out, unpublished) {
		t.Errorf("the alarms of a stack that serves:\n%s", out)
	}
	until(t, "a stack that serves", func() bool {
		out := done[*cloudwatch.DescribeAlarmsOutput](t)(watch.DescribeAlarms(ctx, &cloudwatch.DescribeAlarmsInput{AlarmNames: []string{unhealthy}, StateValue: "OK"}))
		return len(out.MetricAlarms) == 1
	})

	known := len(s.mails())
	s.must("pause", "--local")
	raised("a paused stack")
	untold("of a paused stack", known)
	s.run("alarm", "test", "--local", "no-healthy-target").says(t, 1, "its actions are disabled", "'bookctl up --local' has the stack serve")
	if out := s.must("alarm", "list", "--local"); !strings.Contains(out, "nobody is notified of alarms now") {
		t.Errorf("the alarms of a paused stack:\n%s", out)
	}
	s.must("resume", "--local")
	if r := s.run("plan", "--local"); r.code != 0 {
		t.Errorf("plan after resume: %d\n%s%s", r.code, r.out, r.err)
	}
	s.must("alarm", "test", "--local")
	s.mailed("an alarm that is tried", `ALARM: "`+unhealthy+`"`, "This is a test by ")
	s.mailed("a release that did not fail", "a release failed at ", "This is a test by ")

	// What keeps a topic from being notified is seen.
	attribute := func(name, value string) {
		t.Helper()
		done[*sns.SetTopicAttributesOutput](t)(topics.SetTopicAttributes(ctx, &sns.SetTopicAttributesInput{TopicArn: &topic, AttributeName: &name, AttributeValue: &value}))
	}
	known = len(s.mails())
	for key, says := range map[string]string{
		"alias/aws/sns": "gets no notifications: it is encrypted with SNS's own key",
		"alias/ops":     "it gets notifications only if the policy of that key lets cloudwatch.amazonaws.com and events.amazonaws.com do kms:Decrypt and kms:GenerateDataKey*, the latter service without a condition on aws:SourceAccount, aws:SourceArn or aws:SourceOrgID",
	} {
		attribute("KmsMasterKeyId", key)
		if out := s.must("alarm", "list", "--local"); !strings.Contains(out, says) {
			t.Errorf("the alarms of a topic that is encrypted with %s:\n%s", key, out)
		}
	}
	s.must("alarm", "test", "--local", "no-healthy-target")
	untold("of an alarm to an encrypted topic", known)
	attribute("KmsMasterKeyId", "")
	attribute("Policy", `{"Statement":[{"Effect":"Allow","Principal":{"Service":"events.amazonaws.com"},"Action":"sns:Publish","Resource":"`+topic+`"}]}`)
	if out := s.must("status", "--local"); !strings.Contains(out, "gets no alarms: its policy does not let cloudwatch.amazonaws.com do sns:Publish") || strings.Contains(out, "failed releases") {
		t.Errorf("the status with a topic that CloudWatch may not publish to:\n%s", out)
	}
	attribute("Policy", `{"Statement":[{"Effect":"Allow","Principal":{"AWS":"*"},"Action":["sns:Publish"],"Resource":"`+topic+`"}]}`)
	if out := s.must("status", "--local"); strings.Contains(out, "gets no alarms") {
		t.Errorf("the status with a topic that everybody may publish to:\n%s", out)
	}

	// Everything has the tags that were given.
	s.must("up", "--local", "--tag", "team=payments")
	tags := done[*cloudwatch.ListTagsForResourceOutput](t)(watch.ListTagsForResource(ctx, &cloudwatch.ListTagsForResourceInput{ResourceARN: aws.String("arn:aws:cloudwatch:us-east-1:000000000000:alarm:" + unhealthy)})).Tags
	if !slices.ContainsFunc(tags, func(x types.Tag) bool { return *x.Key == "team" && *x.Value == "payments" }) {
		t.Errorf("an alarm has the tags %v", tags)
	}
	s.must("up", "--local", "--untag", "team")
	known = len(s.mails())
	s.must("destroy", "--local", "--yes")
	untold("of a stack that is removed", known)
	after := s.inventory()
	for i, line := range after {
		after[i] = strings.Replace(line, "topic ops [email ops@example.com]", "topic ops []", 1) // which was subscribed here
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("after destroy the account differs (-before +after):\n%s", diff)
	}
}

// TestATopicOfAnotherAccountGetsNoFailedReleases gives a stack a topic to which EventBridge
// delivers only with a role that the stack does not have.
func TestATopicOfAnotherAccountGetsNoFailedReleases(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s, ctx := newShell(t), t.Context()
	s.must("local", "start")
	const theirs, says = "arn:aws:sns:us-east-1:222222222222:ops", "topic arn:aws:sns:us-east-1:222222222222:ops gets no notifications of failed releases: it is of another account"
	up := []string{"up", "--local", "--no-database", "--image", ownService(t), "--command", "none"}
	own := *done[*sns.CreateTopicOutput](t)(sns.NewFromConfig(s.config()).CreateTopic(ctx, &sns.CreateTopicInput{Name: aws.String("ops")})).TopicArn
	before := s.inventory()

	for _, to := range []string{theirs, own, theirs} {
		up := s.run(append(up, "--alarm-topic", to)...)
		up.says(t, 0)
		if got := strings.Contains(up.err, says); got != (to == theirs) {
			t.Errorf("up warns %t of %s:\n%s", got, to, up.err)
		}
		got := strings.Join(s.inventory(), "\n")
		if !strings.Contains(got, "alarm bookctl/book/server-errors notifies ["+to+"]") || strings.Contains(got, "event rule book-failed-release") != (to == own) {
			t.Errorf("with topic %s there is:\n%s", to, got)
		}
		s.run("plan", "--local").says(t, 0)
		for _, look := range [][]string{{"status", "--local"}, {"alarm", "list", "--local"}} {
			if out := s.run(look...).out; strings.Contains(out, says) != (to == theirs) {
				t.Errorf("%v of topic %s:\n%s", look, to, out)
			}
		}
	}
	s.run("alarm", "test", "--local", "failed-release").says(t, 64, `no alarm "failed-release"`)
	s.must("destroy", "--local", "--yes")
	if diff := cmp.Diff(before, s.inventory()); diff != "" {
		t.Errorf("after destroy the account differs (-before +after):\n%s", diff)
	}
}

// TestAnAddressThatEndedItsSubscriptionIsAskedAgain follows the link by which a mail lets its
// reader unsubscribe. SNS lists the address for 72 hours more, and does not subscribe it
// again before; meanwhile releases go on.
func TestAnAddressThatEndedItsSubscriptionIsAskedAgain(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s, ctx := newShell(t), t.Context()
	s.must("local", "start")
	const to, gone = "ops@example.com", "ops@example.com is not notified: it has ended its subscription"
	up := append([]string{"up", "--local", "--no-database", "--alarm-email", to}, imageless()...)
	asks := func() (out []sentMail) {
		for _, m := range s.mails() {
			if strings.Contains(m.Subject, "Subscription Confirmation") {
				out = append(out, m)
			}
		}
		return out
	}
	open := func(link string) {
		t.Helper()
		if code, body := call(t, http.MethodGet, link, ""); code != http.StatusOK {
			t.Fatalf("%s: %d %s", link, code, body)
		}
	}
	confirm := func(nth int) {
		t.Helper()
		until(t, "a mail asks", func() bool { return len(asks()) == nth })
		if out := s.run("status", "--local").out; !strings.Contains(out, "follow the link in the mail") || strings.Contains(out, "ended its subscription") {
			t.Errorf("the status of an address that is asked:\n%s", out)
		}
		open(regexp.MustCompile(`http://\S+`).FindString(asks()[nth-1].Text))
		if out := s.run("status", "--local").out; strings.Contains(out, "follow the link") || strings.Contains(out, "ended its subscription") || !strings.Contains(out, "sent to "+to) {
			t.Errorf("the status of an address that is confirmed:\n%s", out)
		}
	}
	client := sns.NewFromConfig(s.config())
	var topic *string
	subscription := func() string {
		t.Helper()
		all := done[*sns.ListSubscriptionsByTopicOutput](t)(client.ListSubscriptionsByTopic(ctx, &sns.ListSubscriptionsByTopicInput{TopicArn: topic})).Subscriptions
		if len(all) != 1 {
			t.Fatalf("the subscriptions are %v", all)
		}
		return *all[0].SubscriptionArn
	}
	s.must(up...)
	topic = done[*sns.ListTopicsOutput](t)(client.ListTopics(ctx, &sns.ListTopicsInput{})).Topics[0].TopicArn
	confirm(1)

	done[*sns.PublishOutput](t)(client.Publish(ctx, &sns.PublishInput{TopicArn: topic, Subject: aws.String("a mail"), Message: aws.String("as any other")}))
	open(regexp.MustCompile(`http://\S+/unsubscribe/\S+`).FindString(s.mailed("a mail with the link", "as any other").Text))
	if got := subscription(); got != "Deleted" {
		t.Fatalf("after the link the subscription is %s", got)
	}
	if _, err := client.Subscribe(ctx, &sns.SubscribeInput{TopicArn: topic, Protocol: aws.String("email"), Endpoint: aws.String(to)}); err == nil {
		t.Error("SNS subscribes an address that has just ended its subscription")
	}
	for _, look := range [][]string{{"status", "--local"}, {"alarm", "list", "--local"}} {
		out := s.run(look...).out
		if strings.Contains(out, "follow the link") || !strings.Contains(out, gone) || !strings.Contains(out, "SNS takes the address again within three days, and the next up after that asks it") {
			t.Errorf("%v of an address that has unsubscribed:\n%s", look, out)
		}
	}
	s.run("plan", "--local").says(t, 0)
	s.must(append(up, "--env", "A=1")...)
	if r := s.run("graph", "--local"); !strings.Contains(r.out, to+" has ended its subscription") {
		t.Errorf("the graph with an address that has unsubscribed:\n%s%s", r.out, r.err)
	}
	var read struct{ Alarms struct{ Unsubscribed bool } }
	if decode(t, s.run("status", "--local", "--output", "json").out, &read); !read.Alarms.Unsubscribed {
		t.Error("the status as JSON does not have that the address has unsubscribed")
	}

	// After 72 hours it is asked again.
	s.must("local", "stop")
	file := filepath.Join(s.dir, ".local/state/bookctl/local/state.json")
	text := string(done[[]byte](t)(os.ReadFile(file)))
	ended := regexp.MustCompile(`("endpoint": ?"` + to + `",\s*"at": ?)"[^"]+"`)
	if n := len(ended.FindAllString(text, -1)); n != 1 {
		t.Fatalf("the state has %d subscriptions that were ended", n)
	}
	earlier := time.Now().Add(-72*time.Hour - time.Minute).UTC().Format(time.RFC3339)
	if err := os.WriteFile(file, []byte(ended.ReplaceAllString(text, `${1}"`+earlier+`"`)), 0o600); err != nil {
		t.Fatal(err)
	}
	s.must("local", "start")
	if out := s.run("status", "--local").out; strings.Contains(out, "ended its subscription") {
		t.Errorf("the status after 72 hours:\n%s", out)
	}
	s.run("plan", "--local").says(t, 2)
	s.must(up...)
	confirm(2)

	// The owner's own call leaves nothing that would be in the way.
	done[*sns.UnsubscribeOutput](t)(client.Unsubscribe(ctx, &sns.UnsubscribeInput{SubscriptionArn: aws.String(subscription())}))
	s.run("plan", "--local").says(t, 2)
	s.must(up...)
	confirm(3)
}
