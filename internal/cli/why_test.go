package cli

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/bookctl/bookctl/internal/provision"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

func TestWhyNamesCauseEvidenceAndNextStep(t *testing.T) {
	t.Parallel()
	call := func(service, operation, code, message string) error {
		return &smithy.OperationError{ServiceID: service, OperationName: operation, Err: &smithy.GenericAPIError{Code: code, Message: message}}
	}
	failed := func(node string, err error) error { return &graph.Error{Node: node, Op: "create", Err: err} }
	broken := &graph.Error{Node: "service", Op: "wait", Err: fmt.Errorf("%w: rolled back", graph.ErrBroken)}
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	exit := func(code int32) *int32 { return &code }
	service := func(change func(*provision.Diagnosis, *provision.Task)) provision.Diagnosis {
		task := provision.Task{ID: "3f2a6c0011223344", Revision: "book-bookapi:7", Started: began, Stopped: began.Add(4 * time.Second)}
		d := provision.Diagnosis{Wanted: "book-bookapi:7", Serving: "book-bookapi:6"}
		change(&d, &task)
		d.Stopped = append(d.Stopped, provision.Task{ID: "old", Revision: "book-bookapi:6", ExitCode: exit(0)}, task)
		return d
	}
	for name, tc := range map[string]struct {
		d    provision.Diagnosis
		err  error
		says []string
		next string
	}{
		"crash": {service(func(d *provision.Diagnosis, t *provision.Task) {
			t.ExitCode, t.Reason, d.Output = exit(1), "Essential container in task exited", []string{"bookapi: environment: DB_HOST is not set"}
		}), broken, []string{"Revision 7 never became healthy. Task 3f2a6c00 exited 1 after 4 s.", "Likely cause: DB_HOST unset.", "Revision 6 is still serving."}, "logs --task 3f2a6c00"},
		"panic": {service(func(d *provision.Diagnosis, t *provision.Task) {
			t.ExitCode, t.Reason = exit(2), "Essential container in task exited"
			d.Output = []string{`{"level":"INFO","msg":"starting"}`, `{"level":"ERROR","msg":"migrate","error":"no such table"}`, "panic: assignment to entry in nil map", "",
				"goroutine 1 [running]:", "runtime.gopanic(...)", "\t/go/src/runtime/panic.go:770 +0x1", "main.main()", "\tgithub.com/x/cmd/bookapi/main.go:12 +0x9f"}
			for i := range 40 {
				d.Output = append(d.Output, "", fmt.Sprintf("goroutine %d [sleep]:", i+2), "main.wait()", "\tgithub.com/x/cmd/bookapi/wait.go:7 +0x9f")
			}
		}), broken, []string{
			`Last output: "panic: assignment to entry in nil map" at github.com/x/cmd/bookapi/main.go:12, "migrate: no such table". Likely cause: a bug that ends the program (panic).`,
		}, "logs --task 3f2a6c00"},
		"what ECS stopped by itself is no culprit": {service(func(d *provision.Diagnosis, t *provision.Task) {
			t.ExitCode, t.ContainerReason = exit(1), ""
			scaledIn := *t
			scaledIn.ID, scaledIn.Reason = "00000000ffffffff", "Scaling activity initiated by (deployment ecs-svc/1)"
			scaledIn.ExitCode = exit(143)
			d.Stopped = []provision.Task{scaledIn}
		}), broken, []string{"Task 3f2a6c00 exited 1 after 4 s. Revision 6"}, "logs --task 3f2a6c00"},
		"a line that would fill a screen": {service(func(d *provision.Diagnosis, t *provision.Task) {
			t.ExitCode, d.Output = exit(1), []string{"fatal error: " + strings.Repeat("x", 5000)}
		}), broken, []string{strings.Repeat("x", 186) + "…\"."}, "logs --task 3f2a6c00"},
		"out of memory": {service(func(_ *provision.Diagnosis, t *provision.Task) {
			t.ExitCode, t.ContainerReason = exit(137), "OutOfMemoryError: Container killed due to memory usage"
		}), broken, []string{"ran out of memory"}, "--memory"},
		"the login of the image's registry": {service(func(_ *provision.Diagnosis, t *provision.Task) {
			t.Reason = "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: unable to get registry auth from asm: " +
				"service call has been retried 1 time(s): asm fetching secret from the service for registry: AccessDeniedException: User: u is not authorized to perform: secretsmanager:GetSecretValue"
		}), broken, []string{"Task 3f2a6c00 could not log in to the registry of its image"}, "--registry-secret"},
		"no capacity for tasks": {service(func(d *provision.Diagnosis, _ *provision.Task) {
			d.Events = []provision.Event{{Message: "(service book-service) was unable to place a task. Reason: Capacity is unavailable at this time."}}
		}), broken, []string{"Revision 7 could not be placed. AWS has no capacity for its tasks now"}, "try again later"},
		"an old event is no reason of a program that ended": {service(func(d *provision.Diagnosis, t *provision.Task) {
			t.ExitCode = exit(1)
			d.Events = []provision.Event{{Message: "(service book-service) was unable to place a task. Reason: Capacity is unavailable at this time."}}
		}), broken, []string{"Revision 7 never became healthy. Task 3f2a6c00 exited 1"}, "logs --task 3f2a6c00"},
		"a zone without Fargate": {provision.Diagnosis{
			Wanted: "book-bookapi:7", Zones: []provision.Zone{{Name: "us-west-1a", ID: "usw1-az2", Unserved: true}, {Name: "us-west-1b", ID: "usw1-az1"}},
			Events: []provision.Event{{Message: "(service book-service) was unable to place a task. Reason: Internal error."}},
		}, broken, []string{"Revision 7 could not be placed.", "Reason: Internal error.", "Fargate does not serve zone us-west-1a (usw1-az2)."}, "bookctl destroy"},
		"an image that can't be pulled": {service(func(_ *provision.Diagnosis, t *provision.Task) {
			t.Started, t.Reason = time.Time{}, "CannotPullContainerError: pull image manifest has been retried 1 time(s)"
		}), broken, []string{"Revision 7 could not be started. Task 3f2a6c00 could not pull its image"}, "--image build"},
		"a task above the account's limit": {provision.Diagnosis{Wanted: "book-bookapi:7"}, failed("service", call("ECS", "CreateService", "ClientException",
			"The requested CPU configuration is above your limit")), []string{"Fargate On-Demand vCPU resource count", "above your limit"}, "--quota-code L-3032A538"},
		"quota of tasks": {service(func(d *provision.Diagnosis, _ *provision.Task) {
			d.Events = []provision.Event{{Message: "You've reached the limit on the number of vCPUs you can run concurrently"}}
		}), broken, []string{"Fargate On-Demand vCPU resource count"}, "--quota-code L-3032A538"},
		"health check by target": {service(func(d *provision.Diagnosis, _ *provision.Task) {
			d.Serving, d.Targets = "", []provision.Target{{Health: "unhealthy", Description: "Health checks failed with these codes: [502]"}}
		}), broken, []string{"Health checks failed with these codes: [502].", "Nothing serves yet."}, "bookctl logs"},
		"passed role": {provision.Diagnosis{}, failed("service", call("ECS", "CreateService", "AccessDeniedException",
			"User: u is not authorized to perform: iam:PassRole on resource: arn:aws:iam::1:role/book-task-role because no identity-based policy allows the iam:PassRole action")),
			[]string{"does not allow iam:PassRole on arn:aws:iam::1:role/book-task-role"}, "bookctl policy"},
		"denied by the organization": {provision.Diagnosis{}, call("EC2", "CreateVpc", "UnauthorizedOperation",
			"You are not authorized to perform this operation with an explicit deny in a service control policy. Encoded authorization failure message: abcdef"),
			[]string{"does not allow ec2:CreateVpc"}, "service control policy"},
		"quota of an unknown kind": {provision.Diagnosis{}, failed("repository", call("ECR", "CreateRepository", "LimitExceededException", "too many")), []string{"A quota of the account is reached (LimitExceededException): too many"}, "Service Quotas"},
		"invalid credentials":      {provision.Diagnosis{}, call("STS", "GetCallerIdentity", "InvalidClientTokenId", "The security token is invalid."), []string{"does not know these credentials"}, "aws sts get-caller-identity"},
		"missing credentials":      {provision.Diagnosis{}, errors.New("get identity: get credentials: failed to refresh cached credentials, no EC2 IMDS role found"), []string{"There are no AWS credentials"}, "--local"},
		"no such region":           {provision.Diagnosis{}, fmt.Errorf("ask: %w", &net.DNSError{Name: "sts.eu-nowhere-1.amazonaws.com", Err: "no such host"}), []string{"no such region"}, "--region"},
		"name taken":               {provision.Diagnosis{}, failed("execution-role", call("IAM", "CreateRole", "EntityAlreadyExists", "Role with name book-execution-role already exists.")), []string{"The name is taken", "book-execution-role"}, "--stack"},
		"protected by hand":        {provision.Diagnosis{}, failed("load-balancer", call("Elastic Load Balancing v2", "DeleteLoadBalancer", "OperationNotPermitted", "Load balancer 'x' cannot be deleted because deletion protection is enabled")), []string{"its deletion protection is on"}, "--protect=false"},
	} {
		x := why(tc.d, tc.err, "fix it and run 'bookctl up' again")
		for _, want := range tc.says {
			if !strings.Contains(x.text, want) {
				t.Errorf("%s: %q is not in %q", name, want, x.text)
			}
		}
		if !strings.Contains(x.next, tc.next) {
			t.Errorf("%s: next: %q", name, x.next)
		}
	}
	if text := failure(failed("service", fmt.Errorf("%w: rolled back to book-bookapi:1: %s", graph.ErrBroken, strings.Repeat("y", 300)))); len([]rune(text)) != longestNews || !strings.HasPrefix(text, "rolled back to book-bookapi:1: yyy") {
		t.Errorf("a line of the report: %q", text)
	}
	if x := why(provision.Diagnosis{}, errors.New("something else"), ""); x.text != "" {
		t.Errorf("an unknown error is explained: %q", x.text)
	}
	for _, op := range []string{"create", "update", "refuse", "find"} {
		refused := &graph.Error{Node: "service", Op: op, Err: call("ECS", "UpdateService", "InvalidParameterException", "No.")}
		if x := why(provision.Diagnosis{Wanted: "book-bookapi:7"}, refused, ""); x.text != "" {
			t.Errorf("%s of the service that AWS refused is told as %q", op, x.text)
		}
	}
	both := why(provision.Diagnosis{}, errors.Join(failed("vpc", call("EC2", "CreateVpc", "VpcLimitExceeded", "full")), failed("secret", errors.New("odd"))), "")
	if !strings.Contains(both.text, "VPCs per Region") || !strings.Contains(both.text, "\nAlso: secret: odd") {
		t.Errorf("of two failures: %q", both.text)
	}
}

// TestTheClockIsToldFromTheCredentials explains refusals that are about the time of
// a signature, and those that are not.
func TestTheClockIsToldFromTheCredentials(t *testing.T) {
	t.Parallel()
	refused := func(code, message string, ahead time.Duration) error {
		response := &smithyhttp.Response{Response: &http.Response{StatusCode: http.StatusBadRequest, Header: http.Header{}}}
		if ahead != 0 {
			response.Header.Set("Date", time.Now().Add(-ahead).UTC().Format(http.TimeFormat))
		}
		return &smithy.OperationError{ServiceID: "EC2", OperationName: "DescribeVpcs", Err: &awshttp.ResponseError{
			ResponseError: &smithyhttp.ResponseError{Response: response, Err: &smithy.GenericAPIError{Code: code, Message: message}},
		}}
	}
	for name, c := range map[string]struct {
		err  error
		says string
	}{
		"EC2, slow":           {refused("RequestExpired", "Request has expired.", -time.Hour), "clock of this machine is 1h0m"},
		"EC2, fast":           {refused("AuthFailure", "AWS was not able to validate the provided access credentials", time.Hour), "fast, and AWS takes no signature"},
		"by its words":        {refused("SignatureDoesNotMatch", "Signature expired: 20191029T154623Z is now earlier than 20191029T163344Z (20191029T164844Z - 15 min.)", 0), "clock of this machine is wrong"},
		"JSON, by its words":  {refused("InvalidSignatureException", "Signature not yet current: 20191029T154623Z is still later than 20191029T143344Z", 0), "clock of this machine is wrong"},
		"expired credentials": {refused("RequestExpired", "Request has expired.", time.Second), "credentials have expired"},
		"mistyped key":        {refused("SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided.", time.Second), "does not know these credentials"},
	} {
		x := why(provision.Diagnosis{}, c.err, "")
		if !strings.Contains(x.text, c.says) {
			t.Errorf("%s: %q", name, x.text)
		}
		if clock := strings.Contains(x.text, "clock"); clock != strings.Contains(x.next, "NTP") {
			t.Errorf("%s: next: %q", name, x.next)
		}
	}
}
