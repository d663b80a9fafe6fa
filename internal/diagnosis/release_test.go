package diagnosis_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/bookctl/bookctl/internal/diagnosis"
	"github.com/bookctl/bookctl/internal/hint"
)

// TestAReleaseIsExplainedByItsEvidence has the evidence of releases that did not
// come up, and what is said of each.
func TestAReleaseIsExplainedByItsEvidence(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	const unprepared = "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: "
	exit := func(code int32) *int32 { return &code }
	service := func(change func(*diagnosis.Evidence, *diagnosis.Task)) diagnosis.Evidence {
		task := diagnosis.Task{ID: "3f2a6c0011223344", Revision: "book-app:7", Started: began, Stopped: began.Add(4 * time.Second)}
		d := diagnosis.Evidence{Wanted: "book-app:7", Serving: "book-app:6"}
		change(&d, &task)
		d.Stopped = append(d.Stopped, diagnosis.Task{ID: "old", Revision: "book-app:6", ExitCode: exit(0)}, task)
		return d
	}
	for name, tc := range map[string]struct {
		d    diagnosis.Evidence
		says []string
		hint string
	}{
		"crash": {service(func(d *diagnosis.Evidence, t *diagnosis.Task) {
			t.ExitCode, t.Reason, d.Output = exit(1), "Essential container in task exited", []string{"bookapi: environment: DB_HOST is not set"}
		}), []string{"Revision 7 never became healthy. Task 3f2a6c00 exited 1 after 4 s.", "Likely cause: DB_HOST unset.", "Revision 6 is still serving."}, "logs --task 3f2a6c00"},
		"panic": {service(func(d *diagnosis.Evidence, t *diagnosis.Task) {
			t.ExitCode, t.Reason = exit(2), "Essential container in task exited"
			d.Output = []string{`{"level":"INFO","msg":"starting"}`, `{"level":"ERROR","msg":"migrate","error":"no such table"}`, "panic: assignment to entry in nil map", "",
				"goroutine 1 [running]:", "runtime.gopanic(...)", "\t/go/src/runtime/panic.go:770 +0x1", "main.main()", "\tgithub.com/x/cmd/bookapi/main.go:12 +0x9f"}
			for i := range 40 {
				d.Output = append(d.Output, "", fmt.Sprintf("goroutine %d [sleep]:", i+2), "main.wait()", "\tgithub.com/x/cmd/bookapi/wait.go:7 +0x9f")
			}
		}), []string{
			`Last output: "panic: assignment to entry in nil map" at github.com/x/cmd/bookapi/main.go:12, "migrate: no such table". Likely cause: a bug that ends the program (panic).`,
		}, "logs --task 3f2a6c00"},
		"a restart": {service(func(d *diagnosis.Evidence, t *diagnosis.Task) {
			t.ExitCode, t.Reason, d.Restart, d.Serving = exit(1), "Essential container in task exited", true, "book-app:7"
		}), []string{"The new tasks of revision 7 never became healthy. Task 3f2a6c00 exited 1 after 4 s.", "The tasks from before are still serving."}, "logs --task 3f2a6c00"},
		"what ECS stopped by itself is no culprit": {service(func(d *diagnosis.Evidence, t *diagnosis.Task) {
			t.ExitCode, t.ContainerReason = exit(1), ""
			scaledIn := *t
			scaledIn.ID, scaledIn.Reason = "00000000ffffffff", "Scaling activity initiated by (deployment ecs-svc/1)"
			scaledIn.ExitCode = exit(143)
			d.Stopped = []diagnosis.Task{scaledIn}
		}), []string{"Task 3f2a6c00 exited 1 after 4 s. Revision 6"}, "logs --task 3f2a6c00"},
		"a line that would fill a screen": {service(func(d *diagnosis.Evidence, t *diagnosis.Task) {
			t.ExitCode, d.Output = exit(1), []string{"fatal error: " + strings.Repeat("x", 5000)}
		}), []string{strings.Repeat("x", 186) + "…\"."}, "logs --task 3f2a6c00"},
		"out of memory": {service(func(_ *diagnosis.Evidence, t *diagnosis.Task) {
			t.ExitCode, t.ContainerReason = exit(137), "OutOfMemoryError: Container killed due to memory usage"
		}), []string{"ran out of memory"}, "--memory"},
		"the login of the image's registry": {service(func(_ *diagnosis.Evidence, t *diagnosis.Task) {
			t.Reason = "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: unable to get registry auth from asm: " +
				"service call has been retried 1 time(s): asm fetching secret from the service for registry: AccessDeniedException: User: u is not authorized to perform: secretsmanager:GetSecretValue"
		}), []string{"Task 3f2a6c00 could not log in to the registry of its image"}, "--registry-secret"},
		// https://github.com/aws/copilot-cli/issues/3104, with what follows "User:" elsewhere
		"a parameter that may not be read": {service(func(_ *diagnosis.Evidence, t *diagnosis.Task) {
			t.Started, t.Reason = time.Time{}, unprepared+"unable to retrieve secrets from ssm: service call has been retried 1 time(s): AccessDeniedException: User: arn:aws:sts::123456789012:assumed-role/book-us-east-1-execution-role/3f2a "+
				"is not authorized to perform: ssm:GetParameters on resource: arn:aws:ssm:us-east-1:123456789012:parameter/app/token because no identity-based policy allows the ssm:GetParameters action"
		}), []string{"Revision 7 could not be started. Task 3f2a6c00 was not allowed to read the parameter /app/token: User: arn"}, "'bookctl up' repairs the execution role; if it is denied elsewhere, look at the organization's"},
		"parameters that may not be read, without their names": {service(func(_ *diagnosis.Evidence, t *diagnosis.Task) {
			t.Started, t.Reason = time.Time{}, unprepared+"unable to retrieve secrets from ssm: service call has been retried 1 time(s): AccessDeniedException: User: ...."
		}), []string{"Task 3f2a6c00 was not allowed to read a parameter: User:"}, "'bookctl up' repairs the execution role"},
		// https://github.com/GiamPy5/terraform-aws-directus/issues/10
		"a secret whose key may not be used": {service(func(_ *diagnosis.Evidence, t *diagnosis.Task) {
			t.Started, t.Reason = time.Time{}, unprepared+"unable to retrieve secret from asm: service call has been retried 1 time(s): failed to fetch secret arn:aws:secretsmanager:eu-central-1:account_id:secret:algo-dev-directus-secret20240626183203358800000004-EaPYTy "+
				"from secrets manager: AccessDeniedException: Access to KMS is not allowed status code: 400, request id: a87a66d9-f839-4353-b8c2-9984b1465695"
		}), []string{"Task 3f2a6c00 was not allowed to decrypt the secret algo-dev-directus-secret20240626183203358800000004: Access to KMS is not allowed"}, "look at its key's policy"},
		// https://github.com/aws/copilot-cli/issues/5752
		"a secret that may not be read": {service(func(_ *diagnosis.Evidence, t *diagnosis.Task) {
			t.Started, t.Reason = time.Time{}, unprepared+"unable to retrieve secret from asm: service call has been retried 1 time(s): failed to fetch secret arn:aws:secretsmanager:us-east-1:123456789012:secret:ReportWriter_ADC_DB from secrets manager: AccessDeniedException: User: arn:aws:sts::123456789012:assumed-role/r/a7438eb0 "+
				"is not authorized to perform: secretsmanager:GetSecretValue on resource: arn:aws:secretsmanager:us-east-1:123456789012:secret:ReportWriter_ADC_DB because no identity-based policy allows the secretsmanager:GetSecretValue action"
		}), []string{"was not allowed to read the secret ReportWriter_ADC_DB: User:"}, "look at the secret's own policy"},
		"the database's secret": {service(func(_ *diagnosis.Evidence, t *diagnosis.Task) {
			t.Started, t.Reason = time.Time{}, unprepared+"unable to retrieve secret from asm: service call has been retried 1 time(s): failed to fetch secret arn:aws:secretsmanager:us-east-1:123456789012:secret:book/database-a1B2c3 from secrets manager: AccessDeniedException: User: u "+
				"is not authorized to perform: secretsmanager:GetSecretValue on resource: arn:aws:secretsmanager:us-east-1:123456789012:secret:book/database-a1B2c3 with an explicit deny in a permissions boundary"
		}), []string{"was not allowed to read the database's secret: User: u"}, "extend the permissions boundary"},
		"an organization that forbids to log in to ECR": {service(func(_ *diagnosis.Evidence, t *diagnosis.Task) {
			t.Started, t.Reason = time.Time{}, unprepared+"unable to retrieve ecr registry auth: service call has been retried 1 time(s): AccessDeniedException: User: arn:aws:sts::123456789012:assumed-role/book-us-east-1-execution-role/3f2a "+
				"is not authorized to perform: ecr:GetAuthorizationToken on resource: * with an explicit deny in a service control policy"
		}), []string{"Task 3f2a6c00 was not allowed to pull its image: User:"}, "a service control policy of the organization forbids ecr:GetAuthorizationToken"},
		// https://docs.docker.com/docker-hub/usage/pulls/
		"a registry that lets nobody pull for now": {service(func(_ *diagnosis.Evidence, t *diagnosis.Task) {
			t.Started, t.Reason = time.Time{}, "CannotPullContainerError: inspect image has been retried 5 time(s): httpReaderSeeker: failed open: unexpected status code https://registry-1.docker.io/v2/library/httpd/manifests/sha256:abc: 429 Too Many Requests - Server message: toomanyrequests: You have reached your pull rate limit."
		}), []string{"Revision 7 could not be started. The registry of its image lets task 3f2a6c00 pull nothing for now"}, "log in to it with --registry-secret"},
		"no capacity for tasks": {service(func(d *diagnosis.Evidence, _ *diagnosis.Task) {
			d.Events = []diagnosis.Event{{Message: "(service book-service) was unable to place a task. Reason: Capacity is unavailable at this time."}}
		}), []string{"Revision 7 could not be placed. AWS has no capacity for its tasks now"}, "try again later"},
		"an old event is no reason of a program that ended": {service(func(d *diagnosis.Evidence, t *diagnosis.Task) {
			t.ExitCode = exit(1)
			d.Events = []diagnosis.Event{{Message: "(service book-service) was unable to place a task. Reason: Capacity is unavailable at this time."}}
		}), []string{"Revision 7 never became healthy. Task 3f2a6c00 exited 1"}, "logs --task 3f2a6c00"},
		"a zone without Fargate": {diagnosis.Evidence{
			Wanted: "book-app:7", Zones: []diagnosis.Zone{{Name: "us-west-1a", ID: "usw1-az2", Unserved: true}, {Name: "us-west-1b", ID: "usw1-az1"}},
			Events: []diagnosis.Event{{Message: "(service book-service) was unable to place a task. Reason: Internal error."}},
		}, []string{"Revision 7 could not be placed.", "Reason: Internal error.", "Fargate does not serve zone us-west-1a (usw1-az2)."}, "bookctl destroy"},
		"an image that can't be pulled": {service(func(_ *diagnosis.Evidence, t *diagnosis.Task) {
			t.Started, t.Reason = time.Time{}, "CannotPullContainerError: pull image manifest has been retried 1 time(s)"
		}), []string{"Revision 7 could not be started. Task 3f2a6c00 could not pull its image"}, "--image build"},
		"a program that is not in the image": {service(func(_ *diagnosis.Evidence, t *diagnosis.Task) {
			t.Started, t.Reason = time.Time{}, `CannotStartContainerError: exec: "uvicorn": executable file not found in $PATH`
		}), []string{`Revision 7 could not be started. Task 3f2a6c00 could not start its container: CannotStartContainerError: exec: "uvicorn"`}, "--command"},
		"a moment when no task is registered, after one that failed its checks": {service(func(d *diagnosis.Evidence, t *diagnosis.Task) {
			d.Serving, d.Complete, d.HealthPath = "", true, "/startupz"
			t.ExitCode, t.Reason = exit(0), "Task failed ELB health checks in (target-group arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/book-app/6d0ecf831eec9f09)"
			d.Events = []diagnosis.Event{{Message: "(service book-service) has started 1 tasks: (task 2)."}, {Message: "(service book-service) (port 8080) is unhealthy in (target-group arn) due to (reason Health checks failed)."}}
		}), []string{"Revision 7 is deployed, and the load balancer finds none of its tasks healthy.", "The load balancer's health check of /startupz fails: Health checks failed. Nothing serves now."}, "logs"},
		"no task is registered, and none failed": {service(func(d *diagnosis.Evidence, t *diagnosis.Task) {
			d.Serving, d.Complete, d.HealthPath = "", true, "/startupz"
			t.ExitCode, t.Reason = exit(0), "Task stopped by user"
			d.Events = []diagnosis.Event{{Message: "(service book-service) (port 8080) is unhealthy in (target-group arn) due to (reason Health checks failed)."}}
		}), []string{"No task is registered with the load balancer. Nothing serves now."}, "logs"},
		"quota of tasks": {service(func(d *diagnosis.Evidence, _ *diagnosis.Task) {
			d.Events = []diagnosis.Event{{Message: "You've reached the limit on the number of vCPUs you can run concurrently"}}
		}), []string{"Fargate On-Demand vCPU resource count"}, "--quota-code L-3032A538"},
		"quota of tasks on Spot": {service(func(d *diagnosis.Evidence, _ *diagnosis.Task) {
			d.Spot, d.Events = true, []diagnosis.Event{{Message: "You've reached the limit on the number of vCPUs you can run concurrently"}}
		}), []string{`The account's quota "Fargate Spot vCPU resource count" is reached: You've reached the limit`}, "--quota-code L-36FBB829"},
		"quota of tasks, some of them on Spot": {service(func(d *diagnosis.Evidence, _ *diagnosis.Task) {
			d.Spot, d.OnDemand, d.Events = true, true, []diagnosis.Event{{Message: "You've reached the limit on the number of vCPUs you can run concurrently"}}
		}), []string{`The account's quota "Fargate On-Demand vCPU resource count" or "Fargate Spot vCPU resource count" is reached`}, "--quota-code L-3032A538 --desired-value N', and for tasks on Spot 'aws service-quotas request-service-quota-increase --service-code fargate --quota-code L-36FBB829"},
		"an account that AWS blocks": {service(func(d *diagnosis.Evidence, t *diagnosis.Task) {
			*t = diagnosis.Task{}
			d.Events = []diagnosis.Event{{Message: "(service book-service) was unable to place a task. Reason: Your AWS account is currently blocked and thus cannot launch any Fargate tasks."}}
		}), []string{"Revision 7 could not be placed. AWS restricts this account: (service book-service) was unable"}, "AWS Support"},
		"a key that the secret does not have": {service(func(_ *diagnosis.Evidence, t *diagnosis.Task) {
			t.Started, t.Reason = time.Time{}, unprepared+"unable to retrieve secret from asm: service call has been retried 1 time(s): retrieved secret from Secrets Manager did not contain json key TOKEN"
		}), []string{"Revision 7 could not be started. Task 3f2a6c00 could not be prepared: ", "did not contain json key TOKEN."}, "add the key TOKEN to the secret, or name another with 'bookctl up --secret NAME=ARN:KEY'"},
		"a secret with a key that is no JSON": {service(func(_ *diagnosis.Evidence, t *diagnosis.Task) {
			t.Started, t.Reason = time.Time{}, unprepared+"unable to retrieve secret from asm: invalid character 'h' looking for beginning of object key string"
		}), []string{"could not be prepared"}, "the secret has to be a JSON object, since one of its keys is asked for"},
		"a secret that is to be deleted": {service(func(_ *diagnosis.Evidence, t *diagnosis.Task) {
			t.Started, t.Reason = time.Time{}, unprepared+"unable to retrieve secret from asm: service call has been retried 1 time(s): failed to fetch secret arn:aws:secretsmanager:us-east-1:123456789012:secret:mail-a1B2c3 from secrets manager: InvalidRequestException: You can't perform this operation on the secret because it was marked for deletion."
		}), []string{"could not be prepared", "marked for deletion."}, "'aws secretsmanager restore-secret --secret-id arn:aws:secretsmanager:us-east-1:123456789012:secret:mail-a1B2c3' takes that back; "},
		"a secret that is gone": {service(func(_ *diagnosis.Evidence, t *diagnosis.Task) {
			t.Started, t.Reason = time.Time{}, unprepared+"unable to retrieve secret from asm: service call has been retried 1 time(s): failed to fetch secret arn:aws:secretsmanager:us-east-1:123456789012:secret:mail-a1B2c3 from secrets manager: ResourceNotFoundException: Secrets Manager can't find the specified secret."
		}), []string{"could not be prepared", "can't find the specified secret."}, "the secret mail is gone, or has no such version: name another with 'bookctl up --secret NAME=ARN', or leave the variable out with 'bookctl up --unset-env NAME'"},
		"the database's secret is gone": {service(func(_ *diagnosis.Evidence, t *diagnosis.Task) {
			t.Started, t.Reason = time.Time{}, unprepared+"unable to retrieve secret from asm: service call has been retried 1 time(s): failed to fetch secret arn:aws:secretsmanager:us-east-1:123456789012:secret:book/database-a1B2c3 from secrets manager: ResourceNotFoundException: Secrets Manager can't find the specified secret."
		}), []string{"could not be prepared"}, "'bookctl up' repairs them"},
		"the stack's own secret is gone": {service(func(_ *diagnosis.Evidence, t *diagnosis.Task) {
			t.Started, t.Reason = time.Time{}, unprepared+"unable to retrieve secret from asm: service call has been retried 1 time(s): failed to fetch secret arn:aws:secretsmanager:us-east-1:123456789012:secret:book/environment-a1B2c3 from secrets manager: ResourceNotFoundException: Secrets Manager can't find the specified secret value for VersionId: 1"
		}), []string{"could not be prepared"}, "set each again with 'bookctl secret set NAME'"},
		"a secret whose key is disabled": {service(func(_ *diagnosis.Evidence, t *diagnosis.Task) {
			t.Started, t.Reason = time.Time{}, unprepared+"unable to retrieve secret from asm: service call has been retried 1 time(s): failed to fetch secret arn:aws:secretsmanager:us-east-1:123456789012:secret:mail-a1B2c3 from secrets manager: DecryptionFailure: Secrets Manager can't decrypt the protected secret text using the provided KMS key."
		}), []string{"could not be prepared"}, "'aws secretsmanager describe-secret --secret-id arn:aws:secretsmanager:us-east-1:123456789012:secret:mail-a1B2c3' names its KMS key, which has to be enabled"},
		"an image that is larger than the disk": {service(func(_ *diagnosis.Evidence, t *diagnosis.Task) {
			t.Started, t.Reason = time.Time{}, "CannotPullContainerError: failed to extract layer sha256:abc: write /var/lib/containerd/x: no space left on device: unknown"
		}), []string{"could not pull its image"}, "'bookctl up --ephemeral-storage GIB'"},
		"a registry that can't be reached": {service(func(_ *diagnosis.Evidence, t *diagnosis.Task) {
			t.Started, t.Reason = time.Time{}, "CannotPullContainerError: pull image manifest has been retried 5 time(s): failed to do request: dial tcp 52.216.1.1:443: i/o timeout"
		}), []string{"could not pull its image"}, "'bookctl plan' shows whether routes or rules were changed by hand; with --vpc,"},
		"a check that the app refuses for its Host": {service(func(d *diagnosis.Evidence, _ *diagnosis.Task) {
			d.Targets = []diagnosis.Target{{Address: "10.0.1.5:8080", Health: "unhealthy", Description: "Health checks failed with these codes: [400]"}}
		}), []string{"The load balancer's health check fails: Health checks failed with these codes: [400]."}, "the check's Host header is the address and port of the task: where the app accepts certain hosts only"},
		"health check by target": {service(func(d *diagnosis.Evidence, _ *diagnosis.Task) {
			d.Serving, d.Targets = "", []diagnosis.Target{{Health: "unhealthy", Description: "Health checks failed with these codes: [502]"}}
		}), []string{"Revision 7 never became healthy. The load balancer's health check fails: Health checks failed with these codes: [502].", "Nothing serves yet."}, "bookctl logs"},
		"nothing listens on the port": {service(func(d *diagnosis.Evidence, _ *diagnosis.Task) {
			d.HealthPath, d.Targets = "/", []diagnosis.Target{{Address: "10.0.1.5:8080", Health: "unhealthy", Reason: "Target.FailedHealthChecks", Description: "Health checks failed"}}
			d.Output = []string{"listening on 3000"}
		}), []string{`Nothing answers HTTP on port 8080. The load balancer's health check of / fails: Health checks failed. Last output: "listening on 3000".`},
			"if the program listens on another port than 8080, name it with --container-port; "},
		"nothing listens on the port, by an event": {service(func(d *diagnosis.Evidence, _ *diagnosis.Task) {
			d.Events = []diagnosis.Event{{Message: "(service book-service) (port 8080) is unhealthy in (target-group arn) due to (reason Health checks failed)."}}
		}), []string{"Nothing answers HTTP on port 8080. The load balancer's health check fails: Health checks failed."}, "--container-port"},
		"a check without an answer": {service(func(d *diagnosis.Evidence, _ *diagnosis.Task) {
			d.Targets = []diagnosis.Target{{Address: "10.0.1.5:8080", Health: "unhealthy", Reason: "Target.Timeout", Description: "Request timed out"}}
		}), []string{"Nothing answers HTTP on port 8080 in time. The load balancer's health check fails: Request timed out."}, "--container-port"},
		"killed from within": {service(func(_ *diagnosis.Evidence, t *diagnosis.Task) {
			t.ExitCode, t.Reason = exit(137), "Essential container in task exited"
		}), []string{"Task 3f2a6c00 exited 137 after 4 s, killed (SIGKILL)."}, "logs --task 3f2a6c00"},
	} {
		x := diagnosis.OfRelease(tc.d, hint.New("fix it and run %s again", hint.Command("up")))
		for _, want := range tc.says {
			if !strings.Contains(x.Text, want) {
				t.Errorf("%s: %q is not in %q", name, want, x.Text)
			}
		}
		if !strings.Contains(x.Hint.String(), tc.hint) {
			t.Errorf("%s: hint: %q", name, x.Hint)
		}
	}
}

// TestAKilledTaskIsReportedAsKilled has tasks that SIGKILL ended, in one line each.
func TestAKilledTaskIsReportedAsKilled(t *testing.T) {
	t.Parallel()
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for want, task := range map[string]diagnosis.Task{
		"task 3f2a6c00 exited 137 after 1m31s, killed since it did not end after SIGTERM, Task failed ELB health checks in (target-group book-tasks)": {Reason: "Task failed ELB health checks in (target-group book-tasks)"},
		"task 3f2a6c00 exited 137 after 1m31s, killed (SIGKILL)": {Reason: "Essential container in task exited"},
		"task 3f2a6c00 exited 137 after 1m31s, OutOfMemoryError: Container killed due to memory usage": {
			Reason: "Essential container in task exited", ContainerReason: "OutOfMemoryError: Container killed due to memory usage",
		},
	} {
		code := int32(137)
		task.ID, task.ExitCode, task.Started, task.Stopped = "3f2a6c0011223344", &code, began, began.Add(91*time.Second)
		if got := task.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// TestARefusalIsExplainedByWhatTheContainerMay reads what programs write that may not do
// what they try, as users who may more or less.
func TestARefusalIsExplainedByWhatTheContainerMay(t *testing.T) {
	t.Parallel()
	const likely = "Likely cause: "
	code := int32(1)
	for _, c := range []struct {
		line     string
		user     string
		readOnly bool
		want     string // "" for no cause
	}{
		{"open /data/x: permission denied", "1000", true, "the container runs as user 1000, with a read-only file system"},
		{"open /data/x: permission denied", "1000", false, "the container runs as user 1000."},
		{"touch: /x: Permission denied", "1000:1000", false, "the container runs as user 1000:1000."},
		{"open /data/x: permission denied", "0:0", false, ""},
		{"open /data/x: permission denied", "", false, ""},
		{"open /data/x: read-only file system", "", true, "its root file system is read-only (--read-only-root)"},
		{"open /sys/x: read-only file system", "", false, ""},
		{"ERROR: permission denied for table books (SQLSTATE 42501)", "1000", true, ""},
		{"listen tcp :80: bind: permission denied", "1000", false, "only root may listen on port 80, which is not the container port 8080 (--container-port)"},
		{"[emerg] 1#1: bind() to [::]:443 failed (13: Permission denied)", "nginx", false, "only root may listen on port 443,"},
		{"Error: listen EACCES: permission denied 0.0.0.0:81", "node", true, "only root may listen on port 81,"},
		{"exec /usr/bin/caddy: operation not permitted", "1000", false, "it needs a right that user 1000 does not have"},
		{"mount: operation not permitted", "root", false, ""},
	} {
		x := diagnosis.OfRelease(diagnosis.Evidence{
			Wanted: "book-app:7", User: c.user, Port: 8080, ReadOnly: c.readOnly, Output: []string{c.line},
			Stopped: []diagnosis.Task{{ID: "3f2a6c0011111111", Revision: "book-app:7", ExitCode: &code, Reason: "Essential container in task exited"}},
		}, hint.Message{})
		_, cause, found := strings.Cut(x.Text, likely)
		if found != (c.want != "") || !strings.Contains(cause, c.want) {
			t.Errorf("of %q as user %q the cause is %q, want %q", c.line, c.user, cause, c.want)
		}
	}
}
