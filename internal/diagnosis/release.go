package diagnosis

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/pattern"
)

// Explanation says why something failed. Its zero value knows nothing better than
// the error itself.
type Explanation struct {
	// Text is the cause with its evidence, a paragraph in words for people.
	Text string
	// Hint is what to do.
	Hint hint.Message
	// Also are other failures of the run, which it does not explain.
	Also []error
}

// Show is the text, and the failures that it does not explain, as show has their
// commands.
func (x Explanation) Show(show hint.Show) string {
	out := x.Text
	for _, other := range x.Also {
		out += "\nAlso: " + hint.Text(other, show)
	}
	return out
}

// OfRelease explains why a release did not come up. Again is how to go on once it
// is fixed.
func OfRelease(d Evidence, again hint.Message) Explanation {
	_, revision, _ := strings.Cut(d.Wanted, ":")
	s := explainer{d: d, again: again, next: again, outcome: "never became healthy"}
	culprit := cmp.Or(d.Culprit(), &Task{})
	if d.Complete {
		s.outcome = "is deployed, and the load balancer finds none of its tasks healthy"
		if culprit.ExitCode != nil && *culprit.ExitCode == 0 && !culprit.FailedChecks() {
			culprit = &Task{} // it was stopped, by ECS or by hand, and did not fail
		}
	}
	if d.TakenBack == "" {
		s.explain(*culprit)
	} else {
		s.outcome = "was taken back: " + sentence(d.TakenBack)
	}
	who := "Revision " + revision
	if d.Restart {
		who = "The new tasks of revision " + revision
	}
	s.words = append([]string{who + " " + s.outcome + "."}, s.words...)
	_, serving, _ := strings.Cut(d.Serving, ":")
	switch {
	case serving != "" && d.TakenBack != "":
		s.say("Revision %s has all requests again.", serving)
	case serving != "" && d.Restart:
		s.say("The tasks from before are still serving.")
	case d.Restart:
		s.say("Nothing serves now.")
	case serving != "":
		s.say("Revision %s is still serving.", serving)
	case d.Complete:
		s.say("Nothing serves now.")
	default:
		s.say("Nothing serves yet.")
	}
	return Explanation{Text: strings.Join(s.words, " "), Hint: s.next}
}

// explainer is an explanation in progress.
type explainer struct {
	d     Evidence
	words []string
	again hint.Message
	next  hint.Message
	// outcome is what became of the release, in words that follow its name.
	outcome string
	// silent is the port that the load balancer gets no answer on.
	silent string
	// hosts reports whether the answer to the check may be one to its Host header.
	hosts bool
}

const (
	notStarted = "could not be started"
	notPlaced  = "could not be placed"
)

func (s *explainer) say(format string, args ...any) {
	s.words = append(s.words, fmt.Sprintf(format, args...))
}

// explain finds what became of the release's last task. What AWS says outright comes
// before what can be inferred.
func (s *explainer) explain(t Task) {
	reasons := t.Reason
	if !strings.Contains(reasons, t.ContainerReason) {
		reasons = strings.TrimSpace(reasons + " " + t.ContainerReason)
	}
	event := func(text string) string {
		for _, e := range s.d.Events {
			if strings.Contains(e.Message, text) {
				return e.Message
			}
		}
		return ""
	}
	// said is where ECS says it, of this task or in the events of the rollout.
	said := func(text string) string {
		if strings.Contains(reasons, text) {
			return reasons
		}
		if t.ExitCode != nil {
			return "" // a program that ran and ended was placed
		}
		return event(text)
	}
	name := "Task " + t.ShortID()
	switch {
	case strings.Contains(reasons, "CannotPull") && strings.Contains(strings.ToLower(reasons), "toomanyrequests"):
		s.outcome = notStarted
		s.say("The registry of its image lets %s pull nothing for now: %s.", "task "+t.ShortID(), sentence(reasons))
		s.next = hint.New("wait until it does, log in to it with --registry-secret, or give a copy of the image in ECR with --image; %s", s.again)
	case strings.Contains(reasons, "CannotPull"):
		s.outcome = notStarted
		s.say("%s could not pull its image: %s.", name, sentence(reasons))
		switch {
		case strings.Contains(reasons, "no space left on device"):
			s.next = hint.New("give the tasks more disk: %s", hint.Command("up", "--ephemeral-storage", "50"))
		case unreached.MatchString(reasons):
			s.next = hint.New("%s shows whether routes or rules were changed by hand; with --vpc, look at the subnets' routes and network ACLs", hint.Command("plan"))
		default:
			s.next = hint.New("check that the image exists, that the tasks may pull it, and that it is for their architecture (--arch); without an image of your own, %s builds one", hint.Command("up", "--image", "build"))
		}
	case strings.Contains(reasons, "CannotStartContainer"), strings.Contains(reasons, "CannotCreateContainer"):
		s.outcome = notStarted
		s.say("%s could not start its container: %s.", name, sentence(reasons))
		s.next = hint.New("look at the image's entry point, --command and --user; %s", s.again)
	case strings.Contains(reasons, "registry auth from asm"):
		s.say("%s could not log in to the registry of its image: %s.", name, sentence(reasons))
		s.next = hint.New(`check the secret of --registry-secret: it has to exist, to be {"username":"…","password":"…"}, and to let the execution role read it`)
	case strings.Contains(reasons, "ResourceInitializationError") && (deniedText.MatchString(reasons) || strings.Contains(reasons, noKey)):
		s.outcome = notStarted
		s.denied(name, reasons)
	case strings.Contains(reasons, "ResourceInitializationError"):
		s.outcome = notStarted
		s.say("%s could not be prepared: %s.", name, sentence(reasons))
		s.next = hint.New("%s shows whether routes, rules or roles were changed by hand; %s repairs them", hint.Command("plan"), hint.Command("up"))
		if m := missingKey.FindStringSubmatch(reasons); m != nil {
			s.next = hint.New("add the key %s to the secret, or name another with %s; %s", m[1], hint.Command("up", "--secret", "NAME=ARN:KEY"), s.again)
		} else if strings.Contains(reasons, "invalid character") {
			s.next = hint.New("the secret has to be a JSON object, since one of its keys is asked for; %s", s.again)
		}
	case said(vCPUs) != "" || said(aboveLimit) != "":
		s.outcome = notPlaced
		text, next := ofTasks(s.d.Spot, s.d.OnDemand, sentence(cmp.Or(said(vCPUs), said(aboveLimit))))
		s.say("%s", text)
		s.next = next
	case said(accountBlocked) != "" || said(noCapacity) != "":
		s.outcome = notPlaced
		x := OfAnswer("", sentence(cmp.Or(said(accountBlocked), said(noCapacity))))
		s.say("%s.", x.Text)
		s.next = x.Hint
	case t.ID == "" && said("unable to place a task") != "":
		s.outcome = notPlaced
		s.unplaced(said("unable to place a task"))
	case strings.Contains(reasons, "OutOfMemory") || t.ExitCode != nil && *t.ExitCode == 137 && strings.Contains(reasons, "emory"):
		s.say("%s ran out of memory: %s.", name, sentence(reasons))
		s.next = hint.New("give the tasks more with --memory")
	case s.databaseReason() != "":
		s.say("It can't reach the database: %q.", s.databaseReason())
		if s.d.Database != "" {
			s.say("RDS says that the database is %s.", s.d.Database)
		}
		s.health(t, name)
		s.next = hint.New("%s shows the state of the database; %s repairs its rules, its password and the secret", hint.Command("status"), hint.Command("up"))
		if strings.Contains(s.databaseReason(), "28P01") {
			// RDS does not show which password a database has, so up can't see it.
			s.next = hint.New("%s if the secret was changed by hand; %s if the database was: it gives both a new one", hint.Command("up"), hint.Command("db", "rotate-password"))
		}
	case t.ExitCode != nil && !t.FailedChecks():
		s.crash(t, name, reasons)
	default:
		s.health(t, name)
		s.output()
		s.next = hint.New("%s shows what the tasks write; %s", hint.Command("logs"), s.again)
		switch {
		case s.hosts:
			s.next = hint.New("the check's Host header is the address and port of the task: where the app accepts certain hosts only (Django's ALLOWED_HOSTS, Rails' config.hosts), have it accept that one for this path; %s", s.next)
		case s.silent != "":
			s.next = hint.New("if the program listens on another port than %s, name it with --container-port; %s", s.silent, s.next)
		}
	}
}

// unplaced describes tasks that ECS finds no place for. "Internal error" is all that
// it says of a zone which Fargate does not serve.
func (s *explainer) unplaced(event string) {
	s.say("ECS says: %s.", sentence(event))
	var zones, unserved []string
	for _, z := range s.d.Zones {
		zones = append(zones, z.String())
		if z.Unserved {
			unserved = append(unserved, z.String())
		}
	}
	switch {
	case unserved != nil:
		s.say("Fargate does not serve zone %s.", strings.Join(unserved, " and "))
		s.next = hint.New("create the stack again, in zones that Fargate serves: %s, which keeps a snapshot, and then %s", hint.Command("destroy"), hint.Command("up", "--restore", "latest"))
	case zones != nil:
		s.say("The tasks are to run in %s.", strings.Join(zones, " and "))
		s.next = hint.New("try again later; where it stays so, ask AWS Support whether Fargate serves these zones")
	default:
		s.next = hint.New("try again later")
	}
}

// noKey is what Secrets Manager says where the key of a secret may not be used.
const noKey = "Access to KMS is not allowed"

var (
	deniedAction = pattern.New(`not authorized to perform: (\S+)(?: on resource: (\S+))?`)
	// unreached matches a registry that did not answer. missingKey matches a secret without the key that
	// a container takes.
	unreached  = pattern.New(`i/o timeout|context deadline exceeded|request canceled`)
	missingKey = pattern.New(`did not contain json key (\S+)`)
	secretARN  = pattern.New(`:secret:(\S+?)(-\w{6})?(\s|$)`)
)

// denied describes what ECS was not allowed to do before a task began. It begins all of it
// with "unable to pull secrets or registry auth", and goes on with the call and AWS's words.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/resource-initialization-error.html
func (s *explainer) denied(name, reasons string) {
	action, resource := "", ""
	if m := deniedAction.FindStringSubmatch(reasons); m != nil {
		action, resource = strings.TrimRight(m[1], ".,"), m[2]
	}
	secret := "a secret"
	if m := secretARN.FindStringSubmatch(reasons); m != nil {
		secret = "the secret " + m[1]
		if family, _, _ := strings.Cut(s.d.Wanted, ":"); m[1] == strings.TrimSuffix(family, "-app")+"/database" {
			secret = "the database's secret"
		}
	}
	what, own := "be prepared", "" // own is a policy besides that of the execution role
	service, _, _ := strings.Cut(action, ":")
	switch {
	case service == "kms" || strings.Contains(reasons, noKey):
		what, own = "decrypt "+secret, "its key's"
		if strings.Contains(reasons, "from ssm") {
			what = "decrypt a parameter"
		}
		action = cmp.Or(action, "kms:Decrypt")
	case service == "ecr" || action == "" && strings.Contains(reasons, "ecr registry auth"):
		what = "pull its image"
	case service == "ssm" || action == "" && strings.Contains(reasons, "from ssm"):
		what = "read a parameter"
		if _, of, ok := strings.Cut(resource, ":parameter"); ok {
			what = "read the parameter " + of
		}
	case service == "secretsmanager" || action == "":
		what, own = "read "+secret, "the secret's own"
	}
	if _, said, ok := strings.Cut(reasons, "AccessDeniedException: "); ok {
		reasons = said // before it stands how ECS came to ask
	}
	s.say("%s was not allowed to %s: %s.", name, what, sentence(reasons))
	limit := Limit(reasons, "the execution role")
	switch {
	case strings.Contains(reasons, "permissions boundary"):
		s.next = hint.New("extend the permissions boundary of the stack's roles, or give them another with %s", hint.Command("up", "--permissions-boundary", "ARN"))
	case limit != "":
		s.next = hint.New("%s forbids %s: have it changed where it is kept; %s", limit, cmp.Or(action, "that"), s.again)
	case own != "":
		s.next = hint.New("%s repairs the execution role; if it is denied elsewhere, look at %s policy and the organization's", hint.Command("up"), own)
	default:
		s.next = hint.New("%s repairs the execution role; if it is denied elsewhere, look at the organization's policies", hint.Command("up"))
	}
}

var deniedText = pattern.New(`AccessDenied|not authorized|access denied`)

// crash describes a program that ended, and what it said last.
func (s *explainer) crash(t Task, name, reasons string) {
	after := ""
	if !t.Started.IsZero() && t.Stopped.After(t.Started) {
		after = fmt.Sprintf(" after %.0f s", t.Stopped.Sub(t.Started).Seconds())
	}
	s.say("%s exited %d%s%s.", name, *t.ExitCode, after, prefixed(", ", t.killed()))
	if reasons != "" && !strings.HasPrefix(reasons, "Essential container") {
		s.say("%s.", sentence(reasons))
	}
	s.output()
	if cause := s.likely(); cause != "" {
		s.say("Likely cause: %s.", cause)
	}
	s.next = hint.New("%s shows all that it wrote; %s", hint.Command("logs", "--task", t.ShortID()), s.again)
}

// health describes checks that fail, with what was answered.
func (s *explainer) health(t Task, name string) {
	for _, x := range s.d.Targets {
		if x.Health == "unhealthy" && x.Description != "" {
			s.unanswered(x.Address[strings.LastIndexByte(x.Address, ':')+1:], x.Description)
			s.say("The load balancer's health check%s fails: %s.", prefixed(" of ", s.d.HealthPath), sentence(x.Description))
			return
		}
	}
	// Between a task that failed its checks and the next one none is registered.
	if s.d.Complete && len(s.d.Targets) == 0 && !t.FailedChecks() {
		s.say("No task is registered with the load balancer.")
		return
	}
	for _, e := range s.d.Events {
		if m := unhealthyEvent.FindStringSubmatch(e.Message); m != nil {
			s.unanswered(m[1], m[2])
			s.say("The load balancer's health check%s fails: %s.", prefixed(" of ", s.d.HealthPath), sentence(m[2]))
			return
		}
	}
	switch {
	case t.Reason != "":
		s.say("%s was stopped: %s.", name, sentence(t.Reason))
	case len(s.d.Events) > 0:
		s.say("ECS says: %s.", sentence(s.d.Events[0].Message))
	}
}

// unhealthyEvent is how ECS reports a target that fails its health checks:
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-event-messages-list.html
var unhealthyEvent = pattern.New(`(?:\(port (\d+)\) )?is unhealthy in .*due to \(reason (.*)\)`)

// hostAnswer matches what Django (400) and Rails (403) answer to a Host that they do not know.
var hostAnswer = pattern.New(`with these codes: \[40[03]\b`)

// unanswered says that no HTTP answer came on a port, where a check failed without a
// code: nothing listens there, or something else than an HTTP server does.
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/target-group-health-checks.html#target-health-reason-codes
func (s *explainer) unanswered(port, why string) {
	s.hosts = hostAnswer.MatchString(why)
	if port == "" || strings.Contains(why, "with these codes") {
		return
	}
	s.silent = port
	if strings.Contains(why, "timed out") {
		s.say("Nothing answers HTTP on port %s in time.", port)
		return
	}
	s.say("Nothing answers HTTP on port %s.", port)
}

// output quotes the part of the program's output that says why it ended.
func (s *explainer) output() {
	if lines := causes(s.d.Output); lines != nil {
		s.say("Last output: %s.", strings.Join(lines, ", "))
	}
}

// likely reads the cause from what the program wrote last.
func (s *explainer) likely() string {
	last := s.d.Output[max(0, len(s.d.Output)-20):] // before that it may have said anything
	text := strings.Join(append(causes(s.d.Output), last...), "\n")
	if m := unset.FindStringSubmatch(text); m != nil {
		return m[1] + " unset"
	}
	switch {
	case strings.Contains(text, "exec format error"):
		return "the image is for another architecture than the tasks (--arch)"
	case strings.Contains(text, "address already in use"):
		return "its port is in use in the container"
	case s.refused(text) != "":
		return s.refused(text)
	case strings.Contains(text, "panic: ") || strings.Contains(text, "fatal error: "):
		return "a bug that ends the program (panic)"
	}
	return ""
}

// refused says what the container lacks for what it tried, by the definition of its task; ""
// if that does not tell.
func (s *explainer) refused(text string) string {
	user, _, _ := strings.Cut(s.d.User, ":")
	root := user == "" || user == "0" || user == "root"
	for line := range strings.Lines(strings.ToLower(text)) {
		switch {
		case strings.Contains(line, "read-only file system") && s.d.ReadOnly:
			return "its root file system is read-only (--read-only-root)"
		case root:
		case strings.Contains(line, "operation not permitted"):
			return "it needs a right that user " + s.d.User + " does not have (--user)"
		case !strings.Contains(line, "permission denied"), strings.Contains(line, "permission denied for"): // PostgreSQL's
		case lowPort(line) != 0 && lowPort(line) != s.d.Port: // on that of the definition all users may
			return fmt.Sprintf("only root may listen on port %d, which is not the container port %d (--container-port)", lowPort(line), s.d.Port)
		case s.d.ReadOnly:
			return "it may not do what it tries: the container runs as user " + s.d.User + ", with a read-only file system"
		default:
			return "it may not do what it tries: the container runs as user " + s.d.User
		}
	}
	return ""
}

var listening = pattern.New(`(?:listen|bind)\b.*?:(\d{1,5})\b`)

// lowPort is the port below 1024 that a line in lower case says is listened on; 0 for none.
func lowPort(line string) int32 {
	m := listening.FindStringSubmatch(line)
	if m == nil {
		return 0
	}
	n, err := strconv.ParseInt(m[1], 10, 32)
	if err != nil || n >= 1024 {
		return 0
	}
	return int32(n)
}

var unset = pattern.New(`\b([A-Z][A-Z0-9_]+) is not set`)

// databaseReason is why bookapi waits for the database, as it logs it.
func (s *explainer) databaseReason() string {
	for _, line := range slices.Backward(s.d.Output) {
		var l struct{ Msg, Reason string }
		if json.Unmarshal([]byte(line), &l) != nil {
			continue
		}
		switch l.Msg {
		case "the database is ready":
			return ""
		case "waiting for the database":
			return l.Reason
		}
	}
	return ""
}

// prefixed is a text behind another one, and nothing where there is none.
func prefixed(before, text string) string {
	if text == "" {
		return ""
	}
	return before + text
}
