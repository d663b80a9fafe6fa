package cli

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/smithy-go"

	"github.com/bookctl/bookctl/internal/diagnosis"
	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/partition"
	"github.com/bookctl/bookctl/internal/pattern"
	"github.com/bookctl/bookctl/internal/provision"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// explained is an error with its explanation, which is what is printed.
type explained struct {
	error
	diagnosis.Explanation
	// evidence is the evidence for the explanation of a service; nil for anything else.
	evidence *diagnosis.Evidence
}

func (e explained) Error() string { return e.Show(hint.Invocation.Plain) }

// ShowError is the explanation, with the commands in it as show writes them.
func (e explained) ShowError(show hint.Show) string { return e.Show(show) }

func (e explained) Unwrap() error { return e.error }

// inFull adds to a JSON error what its explanation is based on: the error in AWS's own
// words, and what ECS reports of a service.
func inFull(err error, document *errorDocument) {
	var x explained
	if !errors.As(err, &x) {
		return
	}
	document.Cause, document.Evidence = x.error.Error(), x.evidence
}

// printInFull prints the same as text, for users who asked for all details.
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

// withEvidence explains why up failed. It reads what happened to the service's tasks, even if
// the run's own time is over. Again is the next step once the release is fixed.
func withEvidence(ctx context.Context, stack *provision.Stack, err error, again hint.Message) error {
	if stack == nil || errors.Is(context.Cause(ctx), errInterrupted) || provision.Expired(err) {
		return err
	}
	if !slices.ContainsFunc(graph.Failures(err), didNotComeUp) {
		return err // explainError does the rest
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	d, _ := stack.Evidence(ctx) // what can't be read is left out, and the failure is reported all the same
	if x := explanationOf(d, err, again); x.Text != "" {
		return explained{err, x, &d}
	}
	return err
}

// didNotComeUp reports whether the service was created or changed and then did not become
// ready. A call that AWS rejected, or drift that bookctl refuses, is reported as such, and so
// is a state that has its own next step, as that of a health check that was given back. The
// end of the time has one as well, and does not say why.
func didNotComeUp(f *graph.Error) bool {
	known := errors.Is(f.Err, graph.ErrUnrecoverable) && !hint.Of(f.Err).Empty()
	return f.Node == "service" && f.Op == "wait" && !known
}

// explainError explains an error that is not explained yet.
func explainError(err error) error {
	var done explained
	hasHint := !hint.Of(err).Empty() && len(graph.Failures(err)) == 0 // of several failures one may know its own next step
	if errors.As(err, &done) || hasHint || errors.Is(err, errInterrupted) {
		return err
	}
	if x := explanationOf(diagnosis.Evidence{}, err, hint.Message{}); x.Text != "" {
		// An explanation takes the place of the error, which may say so.
		for _, so := range []error{errUntouched, errNothingDeleted} {
			if errors.Is(err, so) {
				x.Text += " " + capital(so.Error()) + "."
			}
		}
		return explained{err, x, nil}
	}
	return err
}

// explanationOf finds the cause of a failure in the error and, for a service that does not
// come up, in the evidence.
func explanationOf(d diagnosis.Evidence, err error, again hint.Message) diagnosis.Explanation {
	failures := graph.Failures(err)
	for i, f := range failures {
		doing := "make or find "
		if f.Op == "delete" {
			doing = "delete "
		}
		x := explainCall(f, doing+f.Node)
		if x.Text == "" && didNotComeUp(f) && d.Wanted != "" {
			x = diagnosis.OfRelease(d, again)
		}
		if x.Text == "" {
			continue
		}
		for _, other := range slices.Delete(slices.Clone(failures), i, i+1) {
			x.Also = append(x.Also, other)
		}
		return x
	}
	if len(failures) > 0 {
		return diagnosis.Explanation{}
	}
	return explainCall(err, "")
}

// explainCall explains the error that a call returned. Doing is what the call was for.
func explainCall(err error, doing string) diagnosis.Explanation {
	var (
		apiErr  smithy.APIError
		unknown *net.DNSError
		profile config.SharedConfigProfileNotExistError
		fault   *graph.Panic
		trust   *tls.CertificateVerificationError
	)
	switch {
	case errors.Is(err, graph.ErrNotShown):
		return explanation(capital(err.Error())+".", hint.Of(err))
	case errors.As(err, &fault):
		return explanation(capital(err.Error())+".", hint.New(faultNext))
	case errors.Is(err, graph.ErrUnmanaged):
		return explanation(capital(err.Error())+". It has the name that this stack needs, and without the stack's tag it is not touched.",
			hint.Of(err).Or(hint.New("choose another name with --stack, or delete that resource yourself")))
	case errors.As(err, &profile):
		return explanation(fmt.Sprintf("There is no AWS profile %q, which AWS_PROFILE names, in the AWS configuration of this user.", profile.Profile),
			hint.New("set AWS_PROFILE to one that %s shows, or make it with %s; %s needs no account", hint.AWS("configure", "list-profiles"), hint.AWS("configure", "--profile", shellWord(profile.Profile)), hint.Command("up", "--local")))
	case noCredentials(err):
		return explainCredentials(err)
	case errors.As(err, &trust):
		return explainCertificate(trust)
	case errors.As(err, &unknown) && partition.IsServiceHost(unknown.Name):
		return explanation(fmt.Sprintf("There is no address for %s: either no such region, or no network.", unknown.Name),
			hint.New("check --region (AWS_REGION) and the network"))
	}
	if service, operation, ok := provision.NotImplemented(err); ok {
		return explanation(fmt.Sprintf("The endpoint lacks the call %s %s%s (it answered 501)", service, operation, during(doing))+endpointMessage(err)+".",
			hint.New("use a newer version of that endpoint, or another one (AWS_ENDPOINT_URL); %s needs none", hint.Command("up", "--local")))
	}
	if !errors.As(err, &apiErr) {
		return diagnosis.Explanation{}
	}
	code, message := apiErr.ErrorCode(), strings.TrimSpace(apiErr.ErrorMessage())
	if _, denied := provision.Denied(err); denied {
		return explainDenial(err, message, doing)
	}
	if x := diagnosis.OfAnswer(code, message); x.Text != "" {
		return x
	}
	if x := diagnosis.OfQuota(code, message); x.Text != "" {
		return x
	}
	if x := explainTagPolicy(message, doing); x.Text != "" {
		return x
	}
	if x := explainClock(err, code, message, time.Now()); x.Text != "" {
		return x
	}
	switch code {
	case "ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired":
		return explanation("The AWS credentials have expired"+during(doing)+": "+message,
			hint.New("sign in again and run the same command, which continues where this one stopped"))
	case "InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch", "AuthFailure", "InvalidAccessKeyId":
		return explanation("AWS does not know these credentials ("+code+"): "+message+" They are mistyped, deleted, or of an account that has not enabled this region.",
			hint.New("check them with %s, and the region with %s", hint.AWS("sts", "get-caller-identity"), hint.AWS("account", "list-regions")))
	case "OptInRequired", "SubscriptionRequiredException":
		return explanation("The account is not signed up for this service or region ("+code+"): "+message,
			hint.New("finish the account's sign-up in the console, which can take a day after its last step; or enable the region in the account's settings, or choose another with --region"))
	case "InsufficientDBInstanceCapacity", "InsufficientDBInstanceCapacityFault", "InsufficientInstanceCapacity":
		return explanation("AWS has no capacity for this database now ("+code+"): "+message,
			hint.Of(err).Or(hint.New("try again later, or choose another class with --db-class or another region with --region")))
	}
	if provision.NameTaken(err) {
		return explanation("The name is taken"+during(doing)+" ("+code+"): "+message,
			hint.New("choose another name with --stack, or delete that resource yourself"))
	}
	if protected.MatchString(message) {
		return explanation("AWS keeps it, since its deletion protection is on ("+code+"): "+message,
			hint.Of(err).Or(hint.New("%s turns the protection off; then run the same command again", hint.Command("up", "--protect=false"))))
	}
	return diagnosis.Explanation{}
}

// endpointMessage is the message of an endpoint's error, if there is one.
func endpointMessage(err error) string {
	var apiErr smithy.APIError
	if !errors.As(err, &apiErr) {
		return ""
	}
	return wrapIfAny(": ", strings.TrimRight(strings.TrimSpace(apiErr.ErrorMessage()), "."), "")
}

// explainClock explains a rejection because of this machine's clock: AWS rejects a signature
// that is more than five minutes old, or from the future, and few of its error codes say
// so. The SDK corrects the time of its signatures by itself; this is what it could not
// correct.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html
func explainClock(err error, code, message string, now time.Time) diagnosis.Explanation {
	off, known := provision.ClockOff(err, now)
	switch code {
	case "RequestExpired", "RequestInTheFuture", "RequestTimeTooSkewed", "SignatureDoesNotMatch", "InvalidSignatureException", "AuthFailure":
	default:
		return diagnosis.Explanation{}
	}
	next := hint.New("set the clock of this machine (NTP), and run the same command again; the credentials are not at fault")
	switch {
	case known && off.Abs() > provision.ClockTolerance:
		way := "fast"
		if off < 0 {
			way = "slow"
		}
		return explanation(fmt.Sprintf("The clock of this machine is %s %s, and AWS takes no signature of such a time (%s): %s", rounded(off.Abs().Round(time.Minute)), way, code, message), next)
	case signatureTime.MatchString(message):
		return explanation(fmt.Sprintf("The clock of this machine is wrong, and AWS takes no signature of such a time (%s): %s", code, message), next)
	}
	return diagnosis.Explanation{}
}

var signatureTime = pattern.New(`(?i)signature (expired|not yet current)|too large a time skew|difference between the request time`)

var protected = pattern.New(`(?i)deletion protection|delete protected`)

func during(doing string) string {
	if doing == "" {
		return ""
	}
	return ", to " + doing
}

var (
	deniedAction   = pattern.New(`not authorized to perform: ([a-z0-9-]+:[A-Za-z0-9]+)`)
	deniedResource = pattern.New(`on resource: (\S+)`)
	encodedMessage = pattern.New(`\s*Encoded authorization failure message: \S+`)
)

// explainDenial names the action and the resource. If AWS names no resource, it names the one of
// the stack that the call was for. The action is the one that AWS's message names, such as
// iam:PassRole, which can be another than the call.
func explainDenial(err error, message, doing string) diagnosis.Explanation {
	encoded := encodedMessage.MatchString(message)
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
	next := hint.Of(err).Or(hint.New("allow the action; %s prints the least policy that is needed", hint.Command("policy")))
	if limit := diagnosis.Limit(message, "whoever runs this"); limit != "" {
		next = hint.New("%s forbids %s: have it changed where it is kept", limit, cmp.Or(action, "it"))
		if strings.Contains(message, "service control policy") {
			next = controlPolicyHint(action, encoded)
		}
		next = hint.Join(". ", next, demanded(action))
		// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_examples_aws_my-sec-creds-self-manage.html
		if strings.Contains(message, "explicit deny in an identity-based policy") {
			next = hint.Join(". ", next, hint.New("Where it wants an MFA device (aws:MultiFactorAuthPresent in the policy), sign in with one"))
		}
	}
	return explanation(text+": "+message, next)
}

// controlPolicyHint is the next step if an organization denies what the account may allow.
// Many organizations deny resources without a certain tag. AWS names the policy at most,
// and the tag only in the encoded message of EC2, which not everybody may decode.
// https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_scps_examples_tagging.html
func controlPolicyHint(action string, encoded bool) hint.Message {
	_, call, _ := strings.Cut(action, ":")
	const asked = "ask whoever manages the organization: its service control policy denies it, and no policy in the account can allow it"
	switch {
	case !taggingCall.MatchString(call):
		return hint.New(asked)
	case encoded:
		return hint.New(asked+". Where it wants a tag on what is made, %s gives it; the tag is in what %s prints of the encoded message, which --verbose shows, as aws:RequestTag/KEY",
			hint.Command("up", "--tag", "KEY=VALUE"), hint.AWS("sts", "decode-authorization-message", "--encoded-message", "MESSAGE"))
	}
	return hint.New(asked+". Where it wants a tag on what is made (aws:RequestTag/KEY in the policy), %s gives it", hint.Command("up", "--tag", "KEY=VALUE"))
}

// demanded is what policies that forbid an action often want of it.
func demanded(action string) hint.Message {
	switch action {
	case "iam:CreateRole", "iam:PutRolePolicy", "iam:AttachRolePolicy":
		return hint.New("Where it wants a boundary on the roles (iam:PermissionsBoundary in the policy), %s gives it", hint.Command("up", "--permissions-boundary", "ARN"))
	case "elasticloadbalancing:CreateLoadBalancer", "elasticloadbalancing:CreateListener":
		return hint.New("It may forbid public load balancers or plain HTTP (elasticloadbalancing:Scheme, elasticloadbalancing:ListenerProtocol in the policy)")
	}
	return hint.Message{}
}

// taggingCall matches the calls that create or tag something.
var taggingCall = pattern.New(`^(Create|Register|Request|Restore|Run|Put|Tag|AddTags)`)

// explainTagPolicy explains that the value of a tag violates the organization's tag policy. Each
// service reports it with these words, under a code of its own.
// https://docs.aws.amazon.com/organizations/latest/userguide/orgs_manage_policies_tag-policies-enforcement.html
func explainTagPolicy(message, doing string) diagnosis.Explanation {
	m := tagPolicy.FindStringSubmatch(message)
	if m == nil {
		return diagnosis.Explanation{}
	}
	key := cmp.Or(m[1], "KEY")
	return explanation("The organization's tag policy does not allow the value of a tag"+during(doing)+": "+message,
		hint.New("give it a value that the policy allows with %s; %s shows which, where the caller may ask", hint.Command("up", "--tag", shellWord(key+"=VALUE")),
			hint.AWS("organizations", "describe-effective-policy", "--policy-type", "TAG_POLICY")))
}

var tagPolicy = pattern.New(`(?i)tag policy does not allow(?:.*tag keys?: '([^']+)')?`)

func explanation(text string, next hint.Message) diagnosis.Explanation {
	return diagnosis.Explanation{Text: text, Hint: next}
}

// longestQuote is the longest quote from other programs.
const longestQuote = 200
