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

// OfRelease explains why a release did not come up. Retry is how to go on
// once it is fixed.
func OfRelease(e Evidence, retry hint.Message) Explanation {
	_, revision, _ := strings.Cut(e.Wanted, ":")
	s := explainer{evidence: e, retry: retry, next: retry, outcome: "never became healthy"}
	culprit := cmp.Or(e.Culprit(), &Task{})
	if e.Complete {
		s.outcome = "is deployed, and the load balancer finds none of its tasks healthy"
		if culprit.ExitCode != nil && *culprit.ExitCode == 0 && !culprit.FailedChecks() {
			culprit = &Task{} // it was stopped, by ECS or by hand, and did not fail
		}
	}
	switch {
	case e.TakenBack != "":
		s.outcome = "was taken back: " + sentence(e.TakenBack)
	case e.Held != nil:
		s.outcome = "is held by " + e.Held.String()
		s.next = hint.New("%s; %s", e.Held.Next(), retry)
	default:
		s.explain(*culprit)
	}
	who := "Revision " + revision
	if e.Restart {
		who = "The new tasks of revision " + revision
	}
	s.sentences = append([]string{who + " " + s.outcome + "."}, s.sentences...)
	_, serving, _ := strings.Cut(e.Serving, ":")
	switch {
	case serving != "" && e.TakenBack != "":
		s.add("Revision %s has all requests again.", serving)
	case serving != "" && e.Restart:
		s.add("The tasks from before are still serving.")
	case e.Restart:
		s.add("Nothing serves now.")
	case serving != "":
		s.add("Revision %s is still serving.", serving)
	case e.Complete:
		s.add("Nothing serves now.")
	default:
		s.add("Nothing serves yet.")
	}
	return Explanation{Text: strings.Join(s.sentences, " "), Hint: s.next}
}

// explainer is an explanation in progress.
type explainer struct {
	evidence  Evidence
	sentences []string
	retry     hint.Message // how to go on once the cause is fixed
	next      hint.Message
	// outcome is what became of the release, in words that follow its name.
	outcome string
	// silentPort is the port that the load balancer gets no answer on.
	silentPort string
	// hosts reports whether the answer to the check may be one to its Host header.
	hosts bool
}

const (
	notStarted = "could not be started"
	notPlaced  = "could not be placed"
)

func (s *explainer) add(format string, args ...any) {
	s.sentences = append(s.sentences, fmt.Sprintf(format, args...))
}

// explain finds what became of the release's last task. What AWS says outright comes
// before what can be inferred.
func (s *explainer) explain(t Task) {
	reasons := t.Reason
	if !strings.Contains(reasons, t.ContainerReason) {
		reasons = strings.TrimSpace(reasons + " " + t.ContainerReason)
	}
	event := func(text string) string {
		for _, e := range s.evidence.Events {
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
	case strings.Contains(reasons, "CannotPull"):
		s.outcome = notStarted
		s.unpulled(t, reasons)
	case strings.Contains(reasons, "CannotStartContainer"), strings.Contains(reasons, "CannotCreateContainer"):
		s.outcome = notStarted
		s.add("%s could not start its container: %s.", name, sentence(reasons))
		s.next = hint.New("look at the image's entry point, --command and --user; %s", s.retry)
	case strings.Contains(reasons, "registry auth from asm"):
		s.add("%s could not log in to the registry of its image: %s.", name, sentence(reasons))
		s.next = hint.New(`check the secret of --registry-secret: it has to exist, to be {"username":"…","password":"…"}, and to let the execution role read it`)
	case strings.Contains(reasons, "ResourceInitializationError") && (deniedText.MatchString(reasons) || strings.Contains(reasons, noKey)):
		s.outcome = notStarted
		s.denied(name, reasons)
	case strings.Contains(reasons, "ResourceInitializationError"):
		s.outcome = notStarted
		s.unprepared(name, reasons)
	case said(vCPUs) != "" || said(aboveLimit) != "":
		s.outcome = notPlaced
		text, next := ofTasks(s.evidence.Spot, s.evidence.OnDemand, sentence(cmp.Or(said(vCPUs), said(aboveLimit))))
		s.add("%s", text)
		s.next = next
	case said(accountBlocked) != "" || said(noCapacity) != "":
		s.outcome = notPlaced
		x := OfAnswer("", sentence(cmp.Or(said(accountBlocked), said(noCapacity))))
		s.add("%s.", x.Text)
		s.next = x.Hint
	case t.ID == "" && said("unable to place a task") != "":
		s.outcome = notPlaced
		s.unplaced(said("unable to place a task"))
	case strings.Contains(reasons, "OutOfMemory") || t.ExitCode != nil && *t.ExitCode == 137 && strings.Contains(reasons, "emory"):
		s.add("%s ran out of memory: %s.", name, sentence(reasons))
		s.next = hint.New("give the tasks more with --memory")
	case s.databaseReason() != "":
		s.withoutDatabase(t, name)
	case t.ExitCode != nil && !t.FailedChecks():
		s.crash(t, name, reasons)
	default:
		s.unhealthy(t, name)
	}
}

// unpulled describes a task whose image could not be pulled.
func (s *explainer) unpulled(t Task, reasons string) {
	if strings.Contains(strings.ToLower(reasons), "toomanyrequests") {
		s.add("The registry of its image lets task %s pull nothing for now: %s.", t.ShortID(), sentence(reasons))
		s.next = hint.New("wait until it does, log in to it with --registry-secret, or give a copy of the image in ECR with --image; %s", s.retry)
		return
	}
	s.add("Task %s could not pull its image: %s.", t.ShortID(), sentence(reasons))
	switch {
	case strings.Contains(reasons, "no space left on device"):
		s.next = hint.New("give the tasks more disk: %s", hint.Command("up", "--ephemeral-storage", "GIB"))
	case unreached.MatchString(reasons):
		s.next = hint.New("%s shows whether routes or rules were changed by hand; with --vpc, look at the subnets' routes and network ACLs", hint.Command("plan"))
	default:
		s.next = hint.New("check that the image exists, that the tasks may pull it, and that it is for their architecture (--arch); without an image of your own, %s builds one", hint.Command("up", "--image", "build"))
	}
}

// unprepared describes a task whose secrets, logs or network could not be prepared, where
// AWS does not say that it was denied.
func (s *explainer) unprepared(name, reasons string) {
	s.add("%s could not be prepared: %s.", name, sentence(reasons))
	s.next = hint.New("%s shows whether routes, rules or roles were changed by hand; %s repairs them", hint.Command("plan"), hint.Command("up"))
	from := secretFrom.FindStringSubmatch(reasons)
	stack := s.stack()
	switch m := missingKey.FindStringSubmatch(reasons); {
	case m != nil:
		s.next = hint.New("add the key %s to the secret, or name another with %s; %s", m[1], hint.Command("up", "--secret", "NAME=ARN:KEY"), s.retry)
	case strings.Contains(reasons, "invalid character"):
		s.next = hint.New("the secret has to be a JSON object, since one of its keys is asked for; %s", s.retry)
	case from == nil:
	case strings.Contains(reasons, "DecryptionFailure"), strings.Contains(reasons, "DisabledException"):
		s.next = hint.New("%s names its KMS key, which has to be enabled, and not to be deleted; %s", hint.AWS("secretsmanager", "describe-secret", "--secret-id", from[1]), s.retry)
	case from[2] == stack+"/database": // up creates it, or takes its deletion back
	case strings.Contains(reasons, "marked for deletion"):
		s.next = hint.New("%s takes that back; %s", hint.AWS("secretsmanager", "restore-secret", "--secret-id", from[1]), s.retry)
	case !strings.Contains(reasons, "ResourceNotFoundException"):
	case from[2] == stack+"/environment":
		s.next = hint.New("the values that 'secret set' stored are gone: set each again with %s, or leave it out with %s", hint.Command("secret", "set", "NAME"), hint.Command("up", "--unset-env", "NAME"))
	default:
		s.next = hint.New("the secret %s is gone, or has no such version: name another with %s, or leave the variable out with %s", from[2],
			hint.Command("up", "--secret", "NAME=ARN"), hint.Command("up", "--unset-env", "NAME"))
	}
}

// withoutDatabase describes a task whose program can't reach the database.
func (s *explainer) withoutDatabase(t Task, name string) {
	s.add("It can't reach the database: %q.", s.databaseReason())
	if s.evidence.Database != "" {
		s.add("RDS says that the database is %s.", s.evidence.Database)
	}
	s.health(t, name)
	s.next = hint.New("%s shows the state of the database; %s repairs its rules, its password and the secret", hint.Command("status"), hint.Command("up"))
	if strings.Contains(s.databaseReason(), "28P01") {
		// RDS does not show which password a database has, so up can't see it.
		s.next = hint.New("%s if the secret was changed by hand; %s if the database was: it gives both a new one", hint.Command("up"), hint.Command("db", "rotate-password"))
	}
}

// unhealthy describes a task that runs, and fails its checks.
func (s *explainer) unhealthy(t Task, name string) {
	s.health(t, name)
	s.output()
	s.next = hint.New("%s shows what the tasks write; %s", hint.Command("logs"), s.retry)
	switch {
	case s.hosts:
		s.next = hint.New("the check's Host header is the address and port of the task: where the app accepts certain hosts only (Django's ALLOWED_HOSTS, Rails' config.hosts), have it accept that one for this path; %s", s.next)
	case s.silentPort != "":
		s.next = hint.New("if the program listens on another port than %s, name it with --container-port; %s", s.silentPort, s.next)
	}
}

// unplaced describes tasks that ECS finds no place for. "Internal error" is all that
// it says of a zone which Fargate does not serve.
func (s *explainer) unplaced(event string) {
	s.add("ECS says: %s.", sentence(event))
	var zones, unserved []string
	for _, z := range s.evidence.Zones {
		zones = append(zones, z.String())
		if z.Unserved {
			unserved = append(unserved, z.String())
		}
	}
	switch {
	case unserved != nil:
		s.add("Fargate does not serve zone %s.", strings.Join(unserved, " and "))
		s.next = hint.New("create the stack again, in zones that Fargate serves: %s, which keeps a snapshot, and then %s", hint.Command("destroy"), hint.Command("up", "--restore", "latest"))
	case zones != nil:
		s.add("The tasks are to run in %s.", strings.Join(zones, " and "))
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
	// secretFrom is the secret that a task could not read: its ARN, and its name.
	secretFrom = pattern.New(`failed to fetch secret (arn:[^: ]+:secretsmanager:[^: ]+:[^: ]+:secret:(\S+?)(?:-\w{6})?) from secrets manager`)
	secretARN  = pattern.New(`:secret:(\S+?)(-\w{6})?(\s|$)`)
)

// stack is the name of the stack, by that of its task definitions.
func (s *explainer) stack() string {
	family, _, _ := strings.Cut(s.evidence.Wanted, ":")
	return strings.TrimSuffix(family, "-app")
}

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
		if m[1] == s.stack()+"/database" {
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
	s.add("%s was not allowed to %s: %s.", name, what, sentence(reasons))
	limit := Limit(reasons, "the execution role")
	switch {
	case strings.Contains(reasons, "permissions boundary"):
		s.next = hint.New("extend the permissions boundary of the stack's roles, or give them another with %s", hint.Command("up", "--permissions-boundary", "ARN"))
	case limit != "":
		s.next = hint.New("%s forbids %s: have it changed where it is kept; %s", limit, cmp.Or(action, "that"), s.retry)
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
	s.add("%s exited %d%s%s.", name, *t.ExitCode, after, prefixed(", ", t.killed()))
	if reasons != "" && !strings.HasPrefix(reasons, "Essential container") {
		s.add("%s.", sentence(reasons))
	}
	s.output()
	if cause := s.likely(); cause != "" {
		s.add("Likely cause: %s.", cause)
	}
	s.next = hint.New("%s shows all that it wrote; %s", hint.Command("logs", "--task", t.ShortID()), s.retry)
}

// health describes checks that fail, with what was answered.
func (s *explainer) health(t Task, name string) {
	for _, x := range s.evidence.Targets {
		if x.Health == "unhealthy" && x.Description != "" {
			s.unanswered(x.Address[strings.LastIndexByte(x.Address, ':')+1:], x.Description)
			s.add("The load balancer's health check%s fails: %s.", prefixed(" of ", s.evidence.HealthPath), sentence(x.Description))
			return
		}
	}
	// Between a task that failed its checks and the next one none is registered.
	if s.evidence.Complete && len(s.evidence.Targets) == 0 && !t.FailedChecks() {
		s.add("No task is registered with the load balancer.")
		return
	}
	for _, e := range s.evidence.Events {
		if m := unhealthyEvent.FindStringSubmatch(e.Message); m != nil {
			s.unanswered(m[1], m[2])
			s.add("The load balancer's health check%s fails: %s.", prefixed(" of ", s.evidence.HealthPath), sentence(m[2]))
			return
		}
	}
	switch {
	case t.Reason != "":
		s.add("%s was stopped: %s.", name, sentence(t.Reason))
	case len(s.evidence.Events) > 0:
		s.add("ECS says: %s.", sentence(s.evidence.Events[0].Message))
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
	s.silentPort = port
	if strings.Contains(why, "timed out") {
		s.add("Nothing answers HTTP on port %s in time.", port)
		return
	}
	s.add("Nothing answers HTTP on port %s.", port)
}

// output quotes the part of the program's output that says why it ended.
func (s *explainer) output() {
	if lines := causes(s.evidence.Output); lines != nil {
		s.add("Last output: %s.", strings.Join(lines, ", "))
	}
}

// likely reads the cause from what the program wrote last.
func (s *explainer) likely() string {
	last := s.evidence.Output[max(0, len(s.evidence.Output)-20):] // before that it may have said anything
	text := strings.Join(append(causes(s.evidence.Output), last...), "\n")
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
	user, _, _ := strings.Cut(s.evidence.User, ":")
	root := user == "" || user == "0" || user == "root"
	for line := range strings.Lines(strings.ToLower(text)) {
		switch {
		case strings.Contains(line, "read-only file system") && s.evidence.ReadOnly:
			return "its root file system is read-only (--read-only-root)"
		case root:
		case strings.Contains(line, "operation not permitted"):
			return "it needs a right that user " + s.evidence.User + " does not have (--user)"
		case !strings.Contains(line, "permission denied"), strings.Contains(line, "permission denied for"): // PostgreSQL's
		case lowPort(line) != 0 && lowPort(line) != s.evidence.Port: // on that of the definition all users may
			return fmt.Sprintf("only root may listen on port %d, which is not the container port %d (--container-port)", lowPort(line), s.evidence.Port)
		case s.evidence.ReadOnly:
			return "it may not do what it tries: the container runs as user " + s.evidence.User + ", with a read-only file system"
		default:
			return "it may not do what it tries: the container runs as user " + s.evidence.User
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
	for _, line := range slices.Backward(s.evidence.Output) {
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
