package cli

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/smithy-go"

	"github.com/bookctl/bookctl/internal/advice"
	"github.com/bookctl/bookctl/internal/partition"
	"github.com/bookctl/bookctl/internal/provision"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// explanation says why a run failed: what happened, what shows it, and what to
// do. Its zero value knows nothing better than the error itself.
type explanation struct {
	// text is the cause with its evidence, a paragraph in words for people.
	text string
	next string
}

// explained is an error with its explanation, which is what people are told.
type explained struct {
	error
	explanation
	// evidence is what the explanation of a service stands on, nil for all else.
	evidence *provision.Diagnosis
}

func (e explained) Error() string { return e.text }
func (e explained) Unwrap() error { return e.error }

// inFull adds to an answer for a program what an explanation was made of: the error
// in AWS's own words, and what ECS says of a service.
func inFull(err error, answer map[string]any) {
	var x explained
	if !errors.As(err, &x) {
		return
	}
	answer["cause"] = x.error.Error()
	if x.evidence != nil {
		answer["evidence"] = x.evidence
	}
}

// printInFull prints the same for people who asked for all.
func printInFull(w io.Writer, err error) {
	var x explained
	if !errors.As(err, &x) {
		return
	}
	fmt.Fprintf(w, "cause: %v\n", x.error)
	if x.evidence == nil {
		return
	}
	for _, e := range x.evidence.Events {
		fmt.Fprintf(w, "event: %s %s\n", e.Time.UTC().Format(time.RFC3339), e.Message)
	}
	for _, t := range x.evidence.Stopped {
		fmt.Fprintf(w, "stopped: %s\n", t)
	}
}

// diagnosed explains why up failed. For that it asks what became of the service's
// tasks, also when the run's own time is over. Again is how to go on once the
// release is repaired.
func diagnosed(ctx context.Context, stack *provision.Stack, err error, again string) error {
	if stack == nil || errors.Is(context.Cause(ctx), errInterrupted) || provision.Expired(err) {
		return err
	}
	if !slices.ContainsFunc(graph.Failures(err), didNotComeUp) {
		return err // clarified does the rest
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	d, _ := stack.Diagnose(ctx) // what can't be read is left out, and the failure is told all the same
	if x := why(d, err, again); x.text != "" {
		return explained{err, x, &d}
	}
	return err
}

// didNotComeUp says that the service was made or changed and then was not what was
// waited for. A call for it that AWS refused, and drift that bookctl refuses, are
// told as what they are.
func didNotComeUp(f *graph.Error) bool { return f.Node == "service" && f.Op == "wait" }

// clarified explains an error that nobody has explained yet.
func clarified(err error) error {
	var done explained
	said := advice.Of(err) != "" && len(graph.Failures(err)) == 0 // of several failures one may know its own advice
	if errors.As(err, &done) || said || errors.Is(err, errInterrupted) {
		return err
	}
	if x := why(provision.Diagnosis{}, err, ""); x.text != "" {
		return explained{err, x, nil}
	}
	return err
}

// why finds the cause of a failure in the error and, for a service that does not
// come up, in the evidence.
func why(d provision.Diagnosis, err error, again string) explanation {
	failures := graph.Failures(err)
	for i, f := range failures {
		x := ofCall(f, "make or find "+f.Node)
		if x.text == "" && didNotComeUp(f) && d.Wanted != "" {
			x = ofService(d, again)
		}
		if x.text == "" {
			continue
		}
		for _, other := range slices.Delete(slices.Clone(failures), i, i+1) {
			x.text += "\nAlso: " + other.Error()
		}
		return x
	}
	if len(failures) > 0 {
		return explanation{}
	}
	return ofCall(err, "")
}

// ofCall explains what AWS answered to a call. Doing is what it was for.
func ofCall(err error, doing string) explanation {
	var (
		api     smithy.APIError
		unknown *net.DNSError
		profile config.SharedConfigProfileNotExistError
		fault   *graph.Panic
		trust   *tls.CertificateVerificationError
	)
	switch {
	case errors.Is(err, graph.ErrNotShown):
		return explanation{capital(err.Error()) + ".", advice.Of(err)}
	case errors.As(err, &fault):
		return explanation{capital(err.Error()) + ".", faultNext}
	case errors.Is(err, graph.ErrForeign):
		return explanation{capital(err.Error()) + ". It has the name that this stack needs, and without the stack's tag it is not touched.",
			cmp.Or(advice.Of(err), "choose another name with --stack, or remove that thing yourself")}
	case errors.As(err, &profile):
		return explanation{fmt.Sprintf("There is no AWS profile %q, which AWS_PROFILE names, in the AWS configuration of this user.", profile.Profile),
			"set AWS_PROFILE to one that 'aws configure list-profiles' shows, or make it with 'aws configure --profile " + shellWord(profile.Profile) + "'; 'bookctl up --local' needs no account"}
	case noCredentials(err):
		return ofCredentials(err)
	case errors.As(err, &trust):
		return untrusted(trust)
	case errors.As(err, &unknown) && partition.IsServiceHost(unknown.Name):
		return explanation{fmt.Sprintf("There is no address for %s: either no such region, or no network.", unknown.Name),
			"check --region (AWS_REGION) and the network"}
	}
	if service, operation, lacking := provision.Lacking(err); lacking {
		return explanation{fmt.Sprintf("The endpoint lacks the call %s %s%s (it answered 501)", service, operation, during(doing)) + answered(err) + ".",
			"use a newer version of what answers there, or another endpoint (AWS_ENDPOINT_URL); 'bookctl up --local' needs none"}
	}
	if !errors.As(err, &api) {
		return explanation{}
	}
	code, message := api.ErrorCode(), strings.TrimSpace(api.ErrorMessage())
	if _, denied := provision.Denied(err); denied {
		return ofDenial(err, message, doing)
	}
	if q, ok := quotas[code]; ok {
		return ofQuota(q, code, message)
	}
	if strings.Contains(message, aboveLimit) {
		return ofQuota(fargateQuota, code, message)
	}
	if x := ofClock(err, code, message, time.Now()); x.text != "" {
		return x
	}
	switch code {
	case "ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired":
		return explanation{"The AWS credentials have expired" + during(doing) + ": " + message,
			"sign in again and run the same command, which goes on where this one stopped"}
	case "InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch", "AuthFailure", "InvalidAccessKeyId":
		return explanation{"AWS does not know these credentials (" + code + "): " + message + " They are mistyped, deleted, or of an account that has not enabled this region.",
			"check them with 'aws sts get-caller-identity', and the region with 'aws account list-regions'"}
	case "OptInRequired", "SubscriptionRequiredException":
		return explanation{"The account is not signed up for this service or region (" + code + "): " + message,
			"enable the region in the account's settings, or choose another with --region"}
	case "InsufficientDBInstanceCapacity", "InsufficientDBInstanceCapacityFault", "InsufficientInstanceCapacity":
		return explanation{"AWS has no capacity for this database now (" + code + "): " + message,
			"try again later, or choose another class with --db-class or another region with --region"}
	}
	if provision.NameTaken(err) {
		return explanation{"The name is taken" + during(doing) + " (" + code + "): " + message,
			"choose another name with --stack, or remove that thing yourself"}
	}
	if protected.MatchString(message) {
		return explanation{"AWS keeps it, since its deletion protection is on (" + code + "): " + message,
			"'bookctl up --protect=false' turns the protection off; then run the same command again"}
	}
	return explanation{}
}

// answered is what an endpoint answered in words, if it did.
func answered(err error) string {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return ""
	}
	return prefixed(": ", strings.TrimRight(strings.TrimSpace(api.ErrorMessage()), "."), "")
}

// ofClock explains a refusal that comes of this machine's clock: AWS takes no
// signature that is more than five minutes old, or of the future, and few of its
// codes say so. The SDK corrects the time of its signatures by itself, so this is
// what it could not correct.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html
func ofClock(err error, code, message string, now time.Time) explanation {
	off, known := provision.ClockOff(err, now)
	switch code {
	case "RequestExpired", "RequestInTheFuture", "RequestTimeTooSkewed", "SignatureDoesNotMatch", "InvalidSignatureException", "AuthFailure":
	default:
		return explanation{}
	}
	const next = "set the clock of this machine (NTP), and run the same command again; the credentials are not at fault"
	switch {
	case known && off.Abs() > provision.ClockTolerance:
		way := "fast"
		if off < 0 {
			way = "slow"
		}
		return explanation{fmt.Sprintf("The clock of this machine is %s %s, and AWS takes no signature of such a time (%s): %s", rounded(off.Abs().Round(time.Minute)), way, code, message), next}
	case signatureTime.MatchString(message):
		return explanation{fmt.Sprintf("The clock of this machine is wrong, and AWS takes no signature of such a time (%s): %s", code, message), next}
	}
	return explanation{}
}

var signatureTime = regexp.MustCompile(`(?i)signature (expired|not yet current)|too large a time skew|difference between the request time`)

var protected = regexp.MustCompile(`(?i)deletion protection|delete protected`)

func during(doing string) string {
	if doing == "" {
		return ""
	}
	return ", to " + doing
}

var (
	deniedAction   = regexp.MustCompile(`not authorized to perform: ([a-z0-9-]+:[A-Za-z0-9]+)`)
	deniedResource = regexp.MustCompile(`on resource: (\S+)`)
	encodedMessage = regexp.MustCompile(`\s*Encoded authorization failure message: \S+`)
)

// ofDenial names the action and the resource, or where AWS names none, which one
// of the stack's it was for. AWS's message names the action that was missing, such
// as iam:PassRole, which need not be the call's own.
func ofDenial(err error, message, doing string) explanation {
	message = encodedMessage.ReplaceAllString(message, "")
	action, _ := provision.Denied(err)
	if m := deniedAction.FindStringSubmatch(message); m != nil {
		action = m[1]
	}
	text := "AWS does not allow " + cmp.Or(action, "this call")
	if m := deniedResource.FindStringSubmatch(message); m != nil {
		text += " on " + strings.TrimRight(m[1], ".,")
	} else {
		text += during(doing)
	}
	next := "allow the action; 'bookctl policy' prints the least policy that is needed"
	if strings.Contains(message, "service control policy") {
		next = "ask whoever manages the organization: its service control policy denies it, and no policy in the account can allow it"
	}
	return explanation{text + ": " + message, next}
}

// quota is a limit of an account that can be raised.
type quota struct{ name, service, code string }

// quotas are those that a stack can meet, by the error that says so.
// https://docs.aws.amazon.com/general/latest/gr/aws_service_limits.html
var quotas = map[string]quota{
	"VpcLimitExceeded":                   {"VPCs per Region", "vpc", "L-F678F1CE"},
	"InternetGatewayLimitExceeded":       {"Internet gateways per Region", "vpc", "L-A4707A72"},
	"SubnetLimitExceeded":                {"Subnets per VPC", "vpc", "L-407747CB"},
	"RouteTableLimitExceeded":            {"Route tables per VPC", "vpc", "L-589F43AA"},
	"SecurityGroupLimitExceeded":         {"VPC security groups per Region", "vpc", "L-E79EC296"},
	"InstanceQuotaExceeded":              {"DB instances", "rds", "L-7B6409FD"},
	"StorageQuotaExceeded":               {"Total storage for all DB instances", "rds", "L-7ADDB58A"},
	"SnapshotQuotaExceeded":              {"Manual DB instance snapshots", "rds", "L-272F1212"},
	"DBSubnetGroupQuotaExceeded":         {"DB subnet groups", "rds", "L-48C6BF61"},
	"DBParameterGroupQuotaExceeded":      {"Parameter groups", "rds", "L-DE55804A"},
	"TooManyLoadBalancers":               {"Application Load Balancers per Region", "elasticloadbalancing", "L-53DA6B97"},
	"TooManyTargetGroups":                {"Target Groups per Region", "elasticloadbalancing", "L-B22855CB"},
	"LimitExceeded":                      {"Roles per account", "iam", "L-FE177D64"},
	"ServiceQuotaExceededException":      {},
	"LimitExceededException":             {},
	"RulesPerSecurityGroupLimitExceeded": {"Inbound or outbound rules per security group", "vpc", "L-0EA8095F"},
}

// aboveLimit is how ECS says that a task is larger than the account may run, as new
// accounts find. https://github.com/dask/dask-cloudprovider/pull/300
const aboveLimit = "configuration is above your limit"

// fargateQuota is the one of Fargate's that a task can meet.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-quotas.html
var fargateQuota = quota{"Fargate On-Demand vCPU resource count", "fargate", "L-3032A538"}

func ofQuota(q quota, code, message string) explanation {
	if q.code == "" {
		return explanation{fmt.Sprintf("A quota of the account is reached (%s): %s", code, message),
			"remove what is not needed any more, or ask for more in the console under Service Quotas"}
	}
	return explanation{fmt.Sprintf("The account's quota %q is reached (%s): %s", q.name, code, message), q.raise()}
}

// raise says how to go on. The local cloud has quotas, and nobody to raise them.
func (q quota) raise() string {
	return fmt.Sprintf("remove what is not needed any more ('bookctl list' shows the stacks), or ask for more: 'aws service-quotas request-service-quota-increase --service-code %s --quota-code %s --desired-value N'", q.service, q.code)
}

// ofService explains why a release did not come up.
func ofService(d provision.Diagnosis, again string) explanation {
	_, revision, _ := strings.Cut(d.Wanted, ":")
	s := story{d: d, again: again, next: again, outcome: "never became healthy"}
	culprit := cmp.Or(d.Culprit(), &provision.Task{})
	if d.Complete {
		s.outcome = "is deployed, and the load balancer finds none of its tasks healthy"
		if culprit.ExitCode != nil && *culprit.ExitCode == 0 {
			culprit = &provision.Task{} // it was stopped, by ECS or by hand, and did not fail
		}
	}
	s.tell(*culprit)
	s.words = append([]string{fmt.Sprintf("Revision %s %s.", revision, s.outcome)}, s.words...)
	_, serving, _ := strings.Cut(d.Serving, ":")
	switch {
	case serving != "":
		s.say("Revision %s is still serving.", serving)
	case d.Complete:
		s.say("Nothing serves now.")
	default:
		s.say("Nothing serves yet.")
	}
	return explanation{strings.Join(s.words, " "), s.next}
}

// story is an explanation on its way.
type story struct {
	d     provision.Diagnosis
	words []string
	again string
	next  string
	// outcome is what became of the release, in words that follow its name.
	outcome string
}

const (
	notStarted = "could not be started"
	notPlaced  = "could not be placed"
)

func (s *story) say(format string, args ...any) {
	s.words = append(s.words, fmt.Sprintf(format, args...))
}

// tell finds what became of the release's last task. What AWS says outright comes
// before what can be inferred.
func (s *story) tell(t provision.Task) {
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
	name := "Task " + shortID(t.ID)
	switch {
	case strings.Contains(reasons, "CannotPull"):
		s.outcome = notStarted
		s.say("%s could not pull its image: %s.", name, sentence(reasons))
		s.next = "check that the image exists, that the tasks may pull it, and that it is for their architecture (--arch); without an image of your own, 'bookctl up --image build' builds one"
	case strings.Contains(reasons, "registry auth from asm"):
		s.say("%s could not log in to the registry of its image: %s.", name, sentence(reasons))
		s.next = `check the secret of --registry-secret: it has to exist, to be {"username":"…","password":"…"}, and to let the execution role read it`
	case strings.Contains(reasons, "ResourceInitializationError") && strings.Contains(reasons, "secret") && deniedText.MatchString(reasons):
		if _, said, ok := strings.Cut(reasons, "AccessDeniedException: "); ok {
			reasons = said // before it stands how ECS came to ask
		}
		s.outcome = notStarted
		s.say("%s was not allowed to read the database's secret: %s.", name, sentence(reasons))
		s.next = "'bookctl up' repairs the execution role; if it is denied elsewhere, look at the secret's own policy and the organization's"
		if strings.Contains(reasons, "no permissions boundary") {
			s.next = "extend the permissions boundary of the stack's roles, or give them another with 'bookctl up --permissions-boundary ARN'"
		}
	case strings.Contains(reasons, "ResourceInitializationError"):
		s.outcome = notStarted
		s.say("%s could not be prepared: %s.", name, sentence(reasons))
		s.next = "'bookctl plan' shows whether routes, rules or roles were changed by hand; 'bookctl up' repairs them"
	case said("limit on the number of vCPUs") != "" || said(aboveLimit) != "":
		s.outcome = notPlaced
		s.say("The account's quota %q is reached: %s.", fargateQuota.name, sentence(cmp.Or(said("limit on the number of vCPUs"), said(aboveLimit))))
		s.next = fargateQuota.raise()
	case said("Capacity is unavailable") != "":
		s.outcome = notPlaced
		s.say("AWS has no capacity for its tasks now: %s.", sentence(said("Capacity is unavailable")))
		s.next = "try again later, or with another --arch or a smaller --cpu"
	case t.ID == "" && said("unable to place a task") != "":
		s.outcome = notPlaced
		s.unplaced(said("unable to place a task"))
	case strings.Contains(reasons, "OutOfMemory") || t.ExitCode != nil && *t.ExitCode == 137 && strings.Contains(reasons, "emory"):
		s.say("%s ran out of memory: %s.", name, sentence(reasons))
		s.next = "give the tasks more with --memory"
	case s.databaseReason() != "":
		s.say("It can't reach the database: %q.", s.databaseReason())
		if s.d.Database != "" {
			s.say("RDS says that the database is %s.", s.d.Database)
		}
		s.health(t, name)
		s.next = "'bookctl status' tells how the database is; 'bookctl up' repairs its rules, its password and the secret"
		if strings.Contains(s.databaseReason(), "28P01") {
			// RDS tells nobody which password a database has, so up can't see it.
			s.next = "'bookctl up' if the secret was changed by hand; 'bookctl db rotate-password' if the database was: it gives both a new one"
		}
	case t.ExitCode != nil && !strings.Contains(reasons, "health checks"):
		s.crash(t, name, reasons)
	default:
		s.health(t, name)
		s.output()
		s.next = "'bookctl logs' shows what the tasks write; " + s.again
	}
}

// unplaced tells of tasks that ECS finds no place for. "Internal error" is all that
// it says of a zone which Fargate does not serve.
func (s *story) unplaced(event string) {
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
		s.next = "make the stack anew, in zones that Fargate serves: 'bookctl destroy', which keeps a snapshot, and then 'bookctl up --restore latest'"
	case zones != nil:
		s.say("The tasks are to run in %s.", strings.Join(zones, " and "))
		s.next = "try again later; where it stays so, ask AWS Support whether Fargate serves these zones"
	default:
		s.next = "try again later"
	}
}

var deniedText = regexp.MustCompile(`AccessDenied|not authorized|access denied`)

// crash tells of a program that ended, and what it said last.
func (s *story) crash(t provision.Task, name, reasons string) {
	after := ""
	if !t.Started.IsZero() && t.Stopped.After(t.Started) {
		after = fmt.Sprintf(" after %.0f s", t.Stopped.Sub(t.Started).Seconds())
	}
	s.say("%s exited %d%s.", name, *t.ExitCode, after)
	if reasons != "" && !strings.HasPrefix(reasons, "Essential container") {
		s.say("%s.", sentence(reasons))
	}
	s.output()
	if cause := s.likely(); cause != "" {
		s.say("Likely cause: %s.", cause)
	}
	s.next = "'bookctl logs --task " + shortID(t.ID) + "' shows all that it wrote; " + s.again
}

// health tells of checks that fail, with what was answered.
func (s *story) health(t provision.Task, name string) {
	for _, x := range s.d.Targets {
		if x.Health == "unhealthy" && x.Description != "" {
			s.say("The load balancer's health check of /startupz fails: %s.", sentence(x.Description))
			return
		}
	}
	if s.d.Complete && len(s.d.Targets) == 0 {
		s.say("No task is registered with the load balancer.")
		return
	}
	for _, e := range s.d.Events {
		if m := unhealthyEvent.FindStringSubmatch(e.Message); m != nil {
			s.say("The load balancer's health check of /startupz fails: %s.", sentence(m[1]))
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

// unhealthyEvent is how ECS tells of a target that fails its health checks:
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-event-messages-list.html
var unhealthyEvent = regexp.MustCompile(`is unhealthy in .*due to \(reason (.*)\)`)

// output quotes what the program said that tells most.
func (s *story) output() {
	if lines := telling(s.d.Output); lines != nil {
		s.say("Last output: %s.", strings.Join(lines, ", "))
	}
}

// likely reads the cause from what the program wrote last.
func (s *story) likely() string {
	last := s.d.Output[max(0, len(s.d.Output)-20):] // before that it may have said anything
	text := strings.Join(append(telling(s.d.Output), last...), "\n")
	if m := unset.FindStringSubmatch(text); m != nil {
		return m[1] + " unset"
	}
	switch {
	case strings.Contains(text, "exec format error"):
		return "the image is for another architecture than the tasks (--arch)"
	case strings.Contains(text, "address already in use"):
		return "its port is in use in the container"
	case strings.Contains(text, "permission denied"):
		return "it may not do what it tries: tasks run as an unprivileged user, with a read-only file system"
	case strings.Contains(text, "panic: ") || strings.Contains(text, "fatal error: "):
		return "a bug that ends the program (panic)"
	}
	return ""
}

var unset = regexp.MustCompile(`\b([A-Z][A-Z0-9_]+) is not set`)

// databaseReason is why bookapi waits for the database, as it logs it.
func (s *story) databaseReason() string {
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

// A program that the Go runtime ends says why in one line, and then at length
// where each of its goroutines was.
var (
	ending    = regexp.MustCompile(`^(panic: |fatal error: |SIG[A-Z]+: )`)
	goroutine = regexp.MustCompile(`^goroutine \d+.*\[`)
	codeLine  = regexp.MustCompile(`^\s+(\S+\.go:\d+)`)
	erring    = regexp.MustCompile(`(?i)^(error|fatal|critical)\b|\blevel=(error|fatal)\b`)
)

// telling picks from what a program wrote the lines that say why it ended, each
// in quotes: that of a panic, with its place, and the last error. Where it said
// neither, its last lines have to do.
func telling(lines []string) []string {
	var out []string
	before := lines
	if at := slices.IndexFunc(lines, ending.MatchString); at >= 0 {
		out, before = []string{quoted(lines[at]) + place(lines[at+1:])}, lines[:at]
	}
	for _, line := range slices.Backward(before) {
		if text, is := message(line); is || erring.MatchString(text) {
			return append(out, quoted(text))
		}
	}
	if out != nil {
		return out
	}
	for _, line := range slices.Backward(lines) {
		if text, _ := message(line); text != "" && len(out) < 3 {
			out = append(out, quoted(text))
		}
	}
	slices.Reverse(out)
	return out
}

// message is a line's words, also of a structured one, of which the level may say
// that it is an error.
func message(line string) (text string, isError bool) {
	var l struct{ Level, Msg, Reason, Error string }
	if json.Unmarshal([]byte(line), &l) == nil && l.Msg != "" {
		return l.Msg + prefixed(": ", cmp.Or(l.Error, l.Reason), ""), l.Level == "ERROR"
	}
	return strings.TrimSpace(line), false
}

// place is where a panic happened: the first frame of its trace that is not the
// runtime's own, or "".
func place(after []string) string {
	inTrace := false
	for _, line := range after {
		inTrace = inTrace || goroutine.MatchString(line)
		if m := codeLine.FindStringSubmatch(line); inTrace && m != nil && !strings.Contains(m[1], "runtime/") {
			return " at " + m[1]
		}
	}
	return ""
}

// longestQuote is how much of one line is quoted.
const longestQuote = 200

func quoted(line string) string { return fmt.Sprintf("%q", cut(line, longestQuote)) }

// sentence is text that a full stop can follow.
func sentence(text string) string { return strings.TrimRight(strings.TrimSpace(text), ". ") }
