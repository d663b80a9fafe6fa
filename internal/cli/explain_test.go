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

	"github.com/bookctl/bookctl/internal/diagnosis"
	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

func TestWhyNamesCauseEvidenceAndNextStep(t *testing.T) {
	t.Parallel()
	call := func(service, operation, code, message string) error {
		return &smithy.OperationError{ServiceID: service, OperationName: operation, Err: &smithy.GenericAPIError{Code: code, Message: message}}
	}
	failed := func(node string, err error) error { return &graph.Error{Node: node, Op: "create", Err: err} }
	for name, tc := range map[string]struct {
		d    diagnosis.Evidence
		err  error
		says []string
		next string
	}{
		"a task above the account's limit": {diagnosis.Evidence{Wanted: "book-app:7"}, failed("service", call("ECS", "CreateService", "ClientException",
			"The requested CPU configuration is above your limit")), []string{"Fargate On-Demand vCPU resource count", "above your limit"}, "--quota-code L-3032A538"},
		"passed role": {diagnosis.Evidence{}, failed("service", call("ECS", "CreateService", "AccessDeniedException",
			"User: u is not authorized to perform: iam:PassRole on resource: arn:aws:iam::1:role/book-task-role because no identity-based policy allows the iam:PassRole action")),
			[]string{"does not allow iam:PassRole on arn:aws:iam::1:role/book-task-role"}, "bookctl policy"},
		"denied by the organization": {diagnosis.Evidence{}, call("EC2", "CreateVpc", "UnauthorizedOperation",
			"You are not authorized to perform this operation with an explicit deny in a service control policy. Encoded authorization failure message: abcdef"),
			[]string{"does not allow ec2:CreateVpc"}, "aws sts decode-authorization-message --encoded-message MESSAGE"},
		"made without a tag that the organization wants": {diagnosis.Evidence{}, failed("cluster", call("ECS", "CreateCluster", "AccessDeniedException",
			"User: u is not authorized to perform: ecs:CreateCluster on resource: arn:aws:ecs:us-east-1:1:cluster/book-cluster with an explicit deny in a service control policy")),
			[]string{"does not allow ecs:CreateCluster on arn:aws:ecs:us-east-1:1:cluster/book-cluster"}, "bookctl up --tag KEY=VALUE"},
		"read without the organization's leave": {diagnosis.Evidence{}, call("ECS", "DescribeClusters", "AccessDeniedException",
			"User: u is not authorized to perform: ecs:DescribeClusters on resource: * with an explicit deny in a service control policy"),
			[]string{"does not allow ecs:DescribeClusters"}, "no policy in the account can allow it"},
		"a tag's value that the tag policy refuses": {diagnosis.Evidence{}, failed("vpc", call("EC2", "CreateVpc", "TagPolicyViolation", "The tag policy does not allow the specified value for the following tag key: 'Cost Center'.")),
			[]string{"tag policy does not allow the value of a tag, to make or find vpc", "'Cost Center'"}, `bookctl up --tag "Cost Center=VALUE"`},
		"likewise, by another service": {diagnosis.Evidence{}, failed("log-group", call("CloudWatch Logs", "CreateLogGroup", "ValidationException",
			"One or more parameter values were invalid: The tag policy does not allow the specified value for the following tag key: 'team'.")),
			[]string{"tag policy does not allow the value of a tag, to make or find log-group"}, "bookctl up --tag team=VALUE"},
		// https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html has the words of each kind of policy
		"a role that its caller's boundary forbids": {diagnosis.Evidence{}, failed("task-role", call("IAM", "CreateRole", "AccessDenied",
			"User: u is not authorized to perform: iam:CreateRole on resource: arn:aws:iam::1:role/book-task-role because no permissions boundary allows the iam:CreateRole action")),
			[]string{"does not allow iam:CreateRole on arn:aws:iam::1:role/book-task-role"}, "the permissions boundary of whoever runs this forbids iam:CreateRole: have it changed where it is kept. Where it wants a boundary on the roles (iam:PermissionsBoundary in the policy), 'bookctl up --permissions-boundary ARN'"},
		"a role without the boundary that the organization wants": {diagnosis.Evidence{}, failed("task-role", call("IAM", "CreateRole", "AccessDenied",
			"User: u is not authorized to perform: iam:CreateRole on resource: arn:aws:iam::1:role/book-task-role with an explicit deny in a service control policy")), nil, "'bookctl up --permissions-boundary ARN'"},
		"a role without the boundary that an administrator wants": {diagnosis.Evidence{}, failed("task-role", call("IAM", "PutRolePolicy", "AccessDenied",
			"User: u is not authorized to perform: iam:PutRolePolicy on resource: role book-task-role with an explicit deny in an identity-based policy")), nil, "a policy of whoever runs this forbids iam:PutRolePolicy: have it changed where it is kept. Where it wants a boundary on the roles (iam:PermissionsBoundary in the policy), 'bookctl up --permissions-boundary ARN' gives it. Where it wants an MFA device (aws:MultiFactorAuthPresent in the policy), sign in with one"},
		"a secret that the organization guards": {diagnosis.Evidence{}, failed("secret", call("Secrets Manager", "GetSecretValue", "AccessDeniedException",
			"User: u is not authorized to perform: secretsmanager:GetSecretValue on resource: s with an explicit deny in a resource control policy")), nil, "a resource control policy of the organization forbids secretsmanager:GetSecretValue"},
		"a session that may do less": {diagnosis.Evidence{}, call("ECS", "DescribeClusters", "AccessDeniedException",
			"User: u is not authorized to perform: ecs:DescribeClusters on resource: * because no session policy allows the ecs:DescribeClusters action"), nil, "the policy of the session forbids ecs:DescribeClusters"},
		"an endpoint that lets less through": {diagnosis.Evidence{}, call("SSM", "GetParameter", "AccessDeniedException",
			"User: u is not authorized to perform: ssm:GetParameter on resource: p because no VPC endpoint policy allows the ssm:GetParameter action"), nil, "the policy of the VPC's endpoint forbids ssm:GetParameter"},
		"a public load balancer that the organization forbids": {diagnosis.Evidence{}, failed("load-balancer", call("Elastic Load Balancing v2", "CreateLoadBalancer", "AccessDenied",
			"User: u is not authorized to perform: elasticloadbalancing:CreateLoadBalancer on resource: lb with an explicit deny in a service control policy")), nil, "It may forbid public load balancers or plain HTTP (elasticloadbalancing:Scheme, elasticloadbalancing:ListenerProtocol in the policy)"},
		"the retention of backups on the free plan": {diagnosis.Evidence{}, failed("database", call("RDS", "CreateDBInstance", "FreeTierRestrictionError",
			"The specified backup retention period exceeds the maximum available to free tier customers. To remove all limitations, upgrade your account plan.")),
			[]string{"The free plan of this account does not allow it (FreeTierRestrictionError): The specified backup"}, "'bookctl up --backup-days 1'"},
		"a class that the free plan lacks": {diagnosis.Evidence{}, failed("database", call("RDS", "CreateDBInstance", "FreeTierRestrictionError",
			"This instance size isn't available with free plan accounts. To remove all limitations, upgrade your account plan.")), nil, "'bookctl up --db-class db.t4g.micro'"},
		"a class that does not encrypt in transit": {diagnosis.Evidence{}, failed("database", call("RDS", "CreateDBInstance", "VpcEncryptionControlViolationException",
			"The operation violates VPC encryption control settings.")), []string{"The VPC enforces encryption in transit", "(VpcEncryptionControlViolationException): The operation violates"}, "'bookctl up --db-class CLASS'"},
		"one database too many for the free plan": {diagnosis.Evidence{}, failed("database", call("RDS", "CreateDBInstance", "FreeTierRestrictionError",
			"You reached the maximum number of instances available with free plan accounts")), []string{"free plan"}, "upgrade the account's plan"},
		"an account without load balancers": {diagnosis.Evidence{}, failed("load-balancer", call("Elastic Load Balancing v2", "CreateLoadBalancer", "OperationNotPermitted",
			"This AWS account currently does not support creating load balancers. For more information, please contact AWS Support.")),
			[]string{"AWS restricts this account (OperationNotPermitted): This AWS account"}, "AWS Support (Account and billing), which is free, and run the same command again; what exists meanwhile is billed"},
		"an account that ECS blocks": {diagnosis.Evidence{}, failed("service", call("ECS", "CreateService", "BlockedException", "Your account is currently blocked.")), []string{"AWS restricts this account (BlockedException)"}, "AWS Support (Account and billing), which is free, and run the same command again; what exists meanwhile is billed"},
		"an account that is not signed up": {diagnosis.Evidence{}, call("RDS", "DescribeDBInstances", "SubscriptionRequiredException", "The AWS Access Key Id needs a subscription for the service"),
			[]string{"not signed up for this service or region"}, "finish the account's sign-up in the console"},
		"a task that can't be reached": {diagnosis.Evidence{}, call("ECS", "ExecuteCommand", "TargetNotConnectedException", "The execute command failed due to an internal error. Try again later."),
			[]string{"The agent of ECS Exec in the task is not connected to Systems Manager (TargetNotConnectedException): The execute command failed"}, "'bookctl restart' gives each task a new agent"},
		"a task that no tunnel reaches": {diagnosis.Evidence{}, call("SSM", "StartSession", "TargetNotConnected", "ecs:book-cluster_1_1 is not connected."),
			[]string{"is not connected to Systems Manager (TargetNotConnected): ecs:book-cluster_1_1 is not connected."}, "'bookctl plan' shows whether"},
		"names that take no tags": {diagnosis.Evidence{}, failed("service", call("ECS", "CreateService", "InvalidParameterException",
			"The new ARN and resource ID format must be enabled to add tags to the service. Opt in to the new format and try again.")),
			[]string{"ECS gives the caller's resources names of the old form, which can't be tagged (InvalidParameterException): The new ARN"},
			"'aws ecs put-account-setting --name serviceLongArnFormat --value enabled' and 'aws ecs put-account-setting --name taskLongArnFormat --value enabled'"},
		"a year's certificates": {diagnosis.Evidence{}, failed("certificate", call("ACM", "RequestCertificate", "LimitExceededException", "Error: you have reached your limit of 20 certificates in the last year.")),
			[]string{`The account's quota "ACM certificates created in last 365 days" is reached (LimitExceededException): Error: you`}, "certificates that are deleted count too: use one that is there with 'bookctl up --certificate ARN'"},
		"quota of an unknown kind": {diagnosis.Evidence{}, failed("repository", call("ECR", "CreateRepository", "LimitExceededException", "too many")), []string{"A quota of the account is reached (LimitExceededException): too many"}, "Service Quotas"},
		"invalid credentials":      {diagnosis.Evidence{}, call("STS", "GetCallerIdentity", "InvalidClientTokenId", "The security token is invalid."), []string{"does not know these credentials"}, "aws sts get-caller-identity"},
		"missing credentials":      {diagnosis.Evidence{}, errors.New("get identity: get credentials: failed to refresh cached credentials, no EC2 IMDS role found"), []string{"There are no AWS credentials"}, "--local"},
		"no such region":           {diagnosis.Evidence{}, fmt.Errorf("ask: %w", &net.DNSError{Name: "sts.eu-nowhere-1.amazonaws.com", Err: "no such host"}), []string{"no such region"}, "--region"},
		"name taken":               {diagnosis.Evidence{}, failed("execution-role", call("IAM", "CreateRole", "EntityAlreadyExists", "Role with name book-execution-role already exists.")), []string{"The name is taken", "book-execution-role"}, "--stack"},
		"protected by hand":        {diagnosis.Evidence{}, failed("load-balancer", call("Elastic Load Balancing v2", "DeleteLoadBalancer", "OperationNotPermitted", "Load balancer 'x' cannot be deleted because deletion protection is enabled")), []string{"its deletion protection is on"}, "--protect=false"},
	} {
		x := explanationOf(tc.d, tc.err, hint.New("fix it and run %s again", hint.Command("up")))
		for _, want := range tc.says {
			if !strings.Contains(x.Text, want) {
				t.Errorf("%s: %q is not in %q", name, want, x.Text)
			}
		}
		if !strings.Contains(x.Hint.String(), tc.next) {
			t.Errorf("%s: next: %q", name, x.Hint)
		}
	}
	elb := "task 3f2a6c00, Task failed ELB health checks in (target-group arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/book-tasks/6d0ecf831eec9f09)"
	if text := failure(failed("service", errors.New(elb))); !strings.HasSuffix(text, "in (target-group book-tasks)") {
		t.Errorf("%q", text)
	}
	if text := failure(failed("service", fmt.Errorf("%w: rolled back to book-app:1: %s", graph.ErrUnrecoverable, strings.Repeat("y", 300)))); len([]rune(text)) != longestNews || !strings.HasPrefix(text, "rolled back to book-app:1: yyy") {
		t.Errorf("a line of the report: %q", text)
	}
	broken := &graph.Error{Node: "service", Op: "wait", Err: fmt.Errorf("%w: rolled back", graph.ErrUnrecoverable)}
	if x := explanationOf(diagnosis.Evidence{Wanted: "book-app:7"}, broken, hint.Message{}); !strings.HasPrefix(x.Text, "Revision 7 never became healthy.") {
		t.Errorf("a service that does not come up: %q", x.Text)
	}
	if x := explanationOf(diagnosis.Evidence{}, errors.New("something else"), hint.Message{}); x.Text != "" {
		t.Errorf("an unknown error is explained: %q", x.Text)
	}
	for _, op := range []string{"create", "update", "blocked", "find"} {
		refused := &graph.Error{Node: "service", Op: op, Err: call("ECS", "UpdateService", "InvalidParameterException", "No.")}
		if x := explanationOf(diagnosis.Evidence{Wanted: "book-app:7"}, refused, hint.Message{}); x.Text != "" {
			t.Errorf("%s of the service that AWS refused is reported as %q", op, x.Text)
		}
	}
	both := explanationOf(diagnosis.Evidence{}, errors.Join(failed("vpc", call("EC2", "CreateVpc", "VpcLimitExceeded", "full")), failed("secret", errors.New("odd"))), hint.Message{})
	if text := both.Show(hint.Invocation.Plain); !strings.Contains(text, "VPCs per Region") || !strings.Contains(text, "\nAlso: secret: odd") {
		t.Errorf("of two failures: %q", text)
	}
}

// TestAWrongClockIsDistinguishedFromWrongCredentials explains refusals that are about the time of
// a signature, and those that are not.
func TestAWrongClockIsDistinguishedFromWrongCredentials(t *testing.T) {
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
		x := explanationOf(diagnosis.Evidence{}, c.err, hint.Message{})
		if !strings.Contains(x.Text, c.says) {
			t.Errorf("%s: %q", name, x.Text)
		}
		if clock := strings.Contains(x.Text, "clock"); clock != strings.Contains(x.Hint.String(), "NTP") {
			t.Errorf("%s: next: %q", name, x.Hint)
		}
	}
}
