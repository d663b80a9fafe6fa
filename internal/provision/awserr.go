package provision

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// code returns the AWS error code in err, or "".
func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

// message returns AWS's words in err, or "".
func message(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorMessage()
	}
	return ""
}

// IsCode reports whether err is an error of AWS with one of the codes.
func IsCode(err error, codes ...string) bool {
	c := code(err)
	for _, want := range codes {
		if c == want {
			return true
		}
	}
	return false
}

// says reports whether err has the code and its message contains the text.
func says(err error, code, text string) bool {
	var api smithy.APIError
	return errors.As(err, &api) && api.ErrorCode() == code && strings.Contains(api.ErrorMessage(), text)
}

// notFound reports whether the resource asked for does not exist. EC2 has a code per
// type: https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
func notFound(err error) bool {
	c := code(err)
	return strings.HasPrefix(c, "Invalid") && strings.HasSuffix(c, ".NotFound")
}

// refusals is since when AWS has refused a call for a reason that is temporary as a rule; zero for
// not. Only its duration shows that such a reason does not pass.
type refusals struct{ since time.Time }

// lasts reports whether AWS has refused the call for as long as most. The error must not be wrapped
// then: the engine would take it for a temporary one.
func (r *refusals) lasts(most time.Duration) bool {
	now := time.Now()
	if r.since.IsZero() {
		r.since = now
	}
	return now.Sub(r.since) >= most
}

// end notes that AWS does not refuse the call any more, or for another reason.
func (r *refusals) end() { *r = refusals{} }

// temporaryErrors are the errors that are temporary in every run. Each is an exact code, and
// where the code says too little, words of its message: an error that is not
// known to be temporary is a failure. A service before a code is the only one in which that
// is temporary. Throttling is not here, since the SDK retries it. Without a reason it is AWS's message.
var temporaryErrors = []struct{ code, text, reason string }{
	// Network interfaces outlive what they belonged to by minutes:
	// hashicorp/terraform-provider-aws issues 40 and 9495.
	{"DependencyViolation", "", "something still uses it"},

	// A role that was just made or changed is not known everywhere at once:
	// https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency
	// The messages are those that Terraform retries in internal/service/ecs.
	{"InvalidParameterException", "Unable to assume the service linked role", "the service-linked role is not known everywhere yet"},
	{"InvalidParameterException", "verify that the ECS service role being passed has the proper permissions", "the role is not known everywhere yet"},
	{"ConcurrentModification", "", "IAM is busy with another change"},
	{"ConcurrentModificationException", "", "another change is on its way"},
	{"DeleteConflict", "", "something is still attached to the role"},

	// A target group counts as used when its listener is seen:
	// hashicorp/terraform-provider-aws issue 3495.
	{"InvalidParameterException", "does not have an associated load balancer", "the listener is not visible yet"},
	{"InvalidParameterException", "Creation of service was not idempotent", "the service is not visible yet"},
	{"InvalidParameterException", "Unable to Start a service that is still Draining", "the last service of that name is still draining"},
	// https://github.com/hashicorp/terraform-provider-aws/issues/9777
	{"ClientException", "Too many concurrent attempts to create a new revision", "another revision is being registered"},
	{"ClusterNotFoundException", "", "the cluster is not visible yet"},
	{"ServiceNotFoundException", "", "the service is not visible yet"},
	{"ServiceNotActiveException", "", "the service is not active yet"},
	// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeleteCluster.html
	{"ClusterContainsTasksException", "", "tasks are still stopping"},
	{"ClusterContainsServicesException", "", "a service is still in it: the stack's own, which is draining, or another one"},
	{"UpdateInProgressException", "", "the cluster is being changed"},

	// https://docs.aws.amazon.com/acm/latest/APIReference/API_DeleteCertificate.html
	{"ResourceInUseException", "ertificate", "a load balancer still uses the certificate"},

	// https://docs.aws.amazon.com/Route53/latest/APIReference/API_ChangeResourceRecordSets.html
	{"PriorRequestNotComplete", "", "another change of the hosted zone is on its way"},

	// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_DeleteTargetGroup.html
	// Also of a load balancer, and for a moment after a VPC link was deleted:
	// https://github.com/pulumi/pulumi-cloud/issues/332
	{"ResourceInUse", usedElsewhere, ""},
	{"ResourceInUse", "", "a load balancer still uses it"},
	{"LoadBalancerNotFound", "", "the load balancer is not visible yet"},
	{"TargetGroupNotFound", "", "the target group is not visible yet"},
	// What EC2 just made, as load balancers see it.
	{"SubnetNotFound", "", "the subnet is not visible yet"},

	// A database takes no change, and no snapshot, while it is busy with another
	// (hashicorp/terraform-provider-aws PR 46687), or in a state that does not pass. The
	// message says which.
	{"InvalidDBInstanceState", "", ""},
	{"InvalidDBParameterGroupState", "", "a database still uses it"},
	// Its message names the database.
	{"InvalidDBSubnetGroupStateFault", "", ""},

	// A deleted secret keeps its name for a moment, even when it was forced:
	// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_DeleteSecret.html
	{"InvalidRequestException", "scheduled for deletion", "the last secret of that name is still being deleted"},

	{"DBSnapshotAlreadyExists", "still being deleted", "the last snapshot of that name is still being deleted"},
	// https://github.com/pbudzon/aws-maintenance/issues/19
	{"SnapshotQuotaExceeded", "across regions", "RDS copies only so many snapshots from other regions at a time"},

	// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_CreateLogGroup.html
	{"OperationAbortedException", "", "another change of the log group is on its way"},

	// https://docs.aws.amazon.com/acm/latest/APIReference/API_DeleteCertificate.html
	{"ACM:ConflictException", "", "another change of the certificate is on its way"},

	// https://docs.aws.amazon.com/sns/latest/api/API_CreateTopic.html
	{"StaleTag", "", "the tags of the last topic of that name are still being deleted"},
	{"ConcurrentAccess", "", "another change of the topic's tags is on its way"},

	// https://docs.aws.amazon.com/autoscaling/application/APIReference/API_RegisterScalableTarget.html
	{"ConcurrentUpdateException", "", "another change of the scaling is on its way"},
	{"ValidationException", "ECS service doesn't exist", "the service is not visible yet"},
}

// Transient reports whether an AWS error is temporary, and the reason to show meanwhile.
func Transient(err error) (reason string, ok bool) {
	service := ""
	if call := (*smithy.OperationError)(nil); errors.As(err, &call) {
		service = call.Service()
	}
	for _, p := range temporaryErrors {
		of, code, one := strings.Cut(p.code, ":")
		if !one {
			of, code = service, p.code
		}
		if of == service && says(err, code, p.text) {
			return cmp.Or(p.reason, message(err)), true
		}
	}
	if notFound(err) {
		// EC2 is eventually consistent: an id that was just returned may be
		// unknown to the next call.
		// https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html
		return "not visible yet", true
	}
	return "", false
}

// propagating are the errors that are temporary if this run has just created
// something, and failures otherwise: the code, words of the message, and what
// was made, by the end of its name.
var propagating = []struct{ code, text, created, reason string }{
	// https://github.com/terraform-aws-modules/terraform-aws-ecs/issues/414
	{"AccessDeniedException", "iam:PassRole", "-role", "the role is not known everywhere yet"},
	// hashicorp/terraform-provider-aws, internal/service/ecs retries it as well.
	{"ClientException", "Role is not valid", "-role", "the role is not known everywhere yet"},
	// https://github.com/hashicorp/terraform-provider-aws/issues/38538
	{"InvalidParameterException", "unable to assume the configured ECS Infrastructure Role", "-role", "the role is not known everywhere yet"},
	// RunTask: https://github.com/aws-samples/aws-modern-application-workshop/issues/149 has
	// the words. A service reports them as an event, and starts its tasks again by itself.
	{"ClientException", "ECS was unable to assume the role", "-role", "the role is not known everywhere yet"},
	{"InvalidParameterException", "role being passed has the proper trust relationship", "-role", "the role is not known everywhere yet"},
	// RDS: https://github.com/hashicorp/terraform-provider-aws/pull/10100
	{"InvalidParameterValue", "wait and try again later", "service-linked-role-rds", "the service-linked role is not known everywhere yet"},
	// A DB subnet group is refused in these words: https://github.com/crossplane-contrib/provider-aws/issues/479
	{"InvalidParameterValue", "Missing necessary credentials", "service-linked-role-rds", "the service-linked role is not known everywhere yet"},
	// https://github.com/aws-samples/amazon-bedrock-samples/issues/253; Terraform's
	// internal/service/appautoscaling retries it.
	{"ValidationException", "Unable to assume IAM role", "service-linked-role-scaling", "the service-linked role is not known everywhere yet"},
	// A service that does not see its role yet makes it itself, as far as the caller may.
	// https://github.com/kubernetes/kops/issues/16218
	{"AccessDenied", "iam:CreateServiceLinkedRole", "service-linked-role-elb", "the service-linked role is not known everywhere yet"},
	// https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency
	{"NoSuchEntity", "role", "-role", "the role is not visible yet"},
	{"InvalidSubnet", "", "subnet-private-a", "the subnet is not visible yet"},
	{"InvalidSubnet", "", "subnet-private-b", "the subnet is not visible yet"},
	// RDS, in these words: https://github.com/hashicorp/terraform-provider-aws/pull/49846
	{"InvalidParameterValue", "Some input subnets in", "subnet-private-a", "the subnet is not visible yet"},
	{"InvalidParameterValue", "Some input subnets in", "subnet-private-b", "the subnet is not visible yet"},
	// It sees one of two: https://github.com/hashicorp/terraform/issues/17257
	{"DBSubnetGroupDoesNotCoverEnoughAZs", "", "subnet-private-a", "the subnet is not visible yet"},
	{"DBSubnetGroupDoesNotCoverEnoughAZs", "", "subnet-private-b", "the subnet is not visible yet"},
	{"DBSubnetGroupNotFoundFault", "", "db-subnet-group", "the DB subnet group is not visible yet"},
	{"DBParameterGroupNotFound", "", "db-parameter-group", "the DB parameter group is not visible yet"},
	{"RepositoryNotFoundException", "", "repository", "the repository is not visible yet"},
	// Terraform's internal/service/elbv2 retries it as well.
	{"CertificateNotFound", "", "certificate", "the certificate is not visible yet"},
	{"ClientException", "TaskDefinition not found", "task-definition", "the task definition is not visible yet"},
	{"ResourceNotFoundException", "secret", "secret", "the secret is not visible yet"},
	{"ResourceNotFoundException", "log group", "log-group", "the log group is not visible yet"},
	// Attributes, subscriptions and tags: https://github.com/ansible/ansible/pull/67089
	{"NotFound", "opic", "alarm-topic", "the topic is not visible yet"},
	{"ResourceNotFound", "esource", "alarm-topic", "the topic is not visible yet"},
}

// Propagating reports whether an error is temporary because this run has just created the
// named resources, and the reason to show meanwhile.
func Propagating(err error, created []string) (reason string, ok bool) {
	for _, u := range propagating {
		if says(err, u.code, u.text) && slices.ContainsFunc(created, func(name string) bool { return strings.HasSuffix(name, u.created) }) {
			return u.reason, true
		}
	}
	return "", false
}

// Ambiguous reports whether an error leaves open whether the call was carried out: it
// was sent and got no answer, an unreadable one, or a server's error.
func Ambiguous(err error) bool {
	var (
		response *awshttp.ResponseError
		sent     *smithyhttp.RequestSendError
		answer   *smithy.DeserializationError
	)
	switch {
	case err == nil:
		return false
	case errors.As(err, &response) && response.HTTPStatusCode() == http.StatusNotImplemented:
		return false
	case errors.As(err, &response) && response.HTTPStatusCode() >= 400:
		return response.HTTPStatusCode() >= 500
	case code(err) != "":
		return false
	}
	return errors.As(err, &sent) || errors.As(err, &answer) || errors.Is(err, context.DeadlineExceeded)
}

// unanswered returns that a call got no answer (see Ambiguous), in words, where the error of a
// wait's look is that: the wait goes on. It is "" for any other error, and for none.
func unanswered(err error) string {
	if !Ambiguous(err) {
		return ""
	}
	var call *smithy.OperationError
	if errors.As(err, &call) {
		return "no answer from " + call.Service()
	}
	return "no answer"
}

// NotImplemented returns the call that an endpoint does not implement, such as "ECS" and
// "CreateService": it answered 501, as AWS's own emulator does
// (https://docs.aws.amazon.com/emulator/latest/userguide/what-is-service.html).
func NotImplemented(err error) (service, operation string, ok bool) {
	var (
		response *awshttp.ResponseError
		call     *smithy.OperationError
	)
	if !errors.As(err, &response) || response.HTTPStatusCode() != http.StatusNotImplemented || !errors.As(err, &call) {
		return "", "", false
	}
	return call.Service(), call.Operation(), true
}

// taken are the codes of a name that something has already.
var taken = []string{
	"InvalidGroup.Duplicate", "DuplicateLoadBalancerName", "DuplicateTargetGroupName",
	"RepositoryAlreadyExistsException", "EntityAlreadyExists", "ResourceAlreadyExistsException", "ResourceExistsException",
	"DBInstanceAlreadyExists", "DBParameterGroupAlreadyExists", "DBSubnetGroupAlreadyExists", "DBSubnetGroupAlreadyExistsFault",
}

// NameTaken reports whether a create call was refused because something has the name
// already.
func NameTaken(err error) bool { return IsCode(err, taken...) }

// Exists reports whether a create call was refused because such a resource is there
// already. It may be another owner's, and it may be the stack's own, made by a call
// whose answer was lost (the SDK sends such a call once more by itself) and not
// visible yet, or by a run that was cut off.
func Exists(err error) bool {
	// https://docs.aws.amazon.com/Route53/latest/APIReference/API_ChangeResourceRecordSets.html
	// A CNAME that "already exists" is a conflict with another record.
	return NameTaken(err) || IsCode(err, "InvalidSubnet.Conflict", "DuplicateListener") || says(err, "InvalidChangeBatch", "but it already exists")
}

// expired are the codes of credentials that were good once, or never were:
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/CommonErrors.html
var expired = []string{
	"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired",
	"InvalidClientTokenId", "UnrecognizedClientException", "AuthFailure", "InvalidAccessKeyId", "SignatureDoesNotMatch",
}

// ClockTolerance is how far a clock may be off before AWS refuses its signatures:
// five minutes, and the SDK corrects it from four on.
const ClockTolerance = 4 * time.Minute

// ClockOff says by how much this machine's clock is ahead of AWS's, by the Date of
// the answer that an error came with; known is false where it came with none.
func ClockOff(err error, now time.Time) (off time.Duration, known bool) {
	var response *awshttp.ResponseError
	if !errors.As(err, &response) || response.Response == nil || response.Response.Response == nil {
		return 0, false
	}
	date, err := http.ParseTime(response.Response.Header.Get("Date"))
	if err != nil {
		return 0, false
	}
	return now.Sub(date), true
}

// Expired reports whether the credentials are expired or invalid, so that no further
// call can succeed.
func Expired(err error) bool { return IsCode(err, expired...) }

// actionPrefixes are the names that IAM has for the services.
// https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
var actionPrefixes = map[string]string{
	"ACM":                         "acm",
	"Application Auto Scaling":    "application-autoscaling",
	"CloudWatch Logs":             "logs",
	"EC2":                         "ec2",
	"ECR":                         "ecr",
	"ECS":                         "ecs",
	"Elastic Load Balancing v2":   "elasticloadbalancing",
	"EventBridge":                 "events",
	"IAM":                         "iam",
	"RDS":                         "rds",
	"Resource Groups Tagging API": "tag",
	"Route 53":                    "route53",
	"SSM":                         "ssm",
	"STS":                         "sts",
	"Secrets Manager":             "secretsmanager",
}

// Denied returns the IAM action, such as "ecs:CreateCluster", that the caller
// was not allowed. The action is the call's own; where AWS names another one,
// such as iam:PassRole, its message is to be shown as well.
func Denied(err error) (action string, ok bool) {
	if !IsCode(err, "AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "UnauthorizedAccess", "AuthorizationError") {
		return "", false
	}
	var call *smithy.OperationError
	if !errors.As(err, &call) {
		return "", true
	}
	service, known := actionPrefixes[call.Service()]
	if !known {
		service = strings.ToLower(strings.ReplaceAll(call.Service(), " ", ""))
	}
	return service + ":" + call.Operation(), true
}
