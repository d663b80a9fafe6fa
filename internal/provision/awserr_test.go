package provision_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/acm"
	"github.com/aws/aws-sdk-go-v2/service/applicationautoscaling"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/resourcegroupstaggingapi"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go/middleware"

	"github.com/bookctl/bookctl/internal/provision"
	"github.com/bookctl/bookctl/internal/provision/graph"
	"github.com/bookctl/bookctl/internal/requestbody"
)

// answering returns clients of a server that answers every call alike.
func answering(t *testing.T, h http.HandlerFunc) provision.Clients {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return provision.NewClients(aws.Config{
		Region: "us-east-1", BaseEndpoint: &srv.URL, HTTPClient: srv.Client(),
		Credentials: credentials.NewStaticCredentialsProvider("a", "b", ""),
		Retryer:     func() aws.Retryer { return aws.NopRetryer{} },
		APIOptions:  []func(*middleware.Stack) error{requestbody.Readable},
	})
}

// jsonError answers as the JSON services do.
func jsonError(status int, code, message string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, `{"__type":%q,"message":%q}`, code, message) // the client sees what is missing
	}
}

// TestABusyDatabaseIsExplainedByRDS has RDS refuse a change for its state: which one that is,
// and whether it passes, only its message says.
func TestABusyDatabaseIsExplainedByRDS(t *testing.T) {
	t.Parallel()
	const why = "Instance book-database cannot be modified in the state inaccessible-encryption-credentials."
	_, err := answering(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(400)
		_, _ = io.WriteString(w, "<ErrorResponse><Error><Code>InvalidDBInstanceState</Code><Message>"+why+"</Message></Error></ErrorResponse>")
	}).RDS.ModifyDBInstance(t.Context(), &rds.ModifyDBInstanceInput{DBInstanceIdentifier: aws.String("book-database")})
	if reason, passes := provision.Transient(err); !passes || reason != why {
		t.Errorf("%q, %t, of %v", reason, passes, err)
	}
}

func TestErrorsAreTakenForWhatTheyAre(t *testing.T) {
	t.Parallel()
	type class struct {
		transient, ambiguous, expired bool
		exists                        bool
		denied                        string
	}
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		want   class
	}{
		"busy":           {jsonError(400, "ClusterContainsTasksException", "tasks"), class{transient: true}},
		"role not known": {jsonError(400, "InvalidParameterException", "Unable to assume the service linked role. Please verify that the ECS service linked role exists."), class{transient: true}},
		"revision":       {jsonError(400, "ClientException", "Too many concurrent attempts to create a new revision of the specified family."), class{transient: true}},
		"conflict":       {jsonError(400, "ConflictException", "The service deployment has finished."), class{}},
		"plainly wrong":  {jsonError(400, "InvalidParameterException", "cpu is wrong"), class{}},
		"copies":         {jsonError(400, "SnapshotQuotaExceeded", "Cannot copy more than 5 snapshots across regions"), class{transient: true}},
		"snapshots":      {jsonError(400, "SnapshotQuotaExceeded", "Cannot create more than 100 manual snapshots"), class{}},
		"denied":         {jsonError(400, "AccessDeniedException", "no"), class{denied: "ecs:DeleteCluster"}},
		"taken":          {jsonError(400, "ResourceAlreadyExistsException", "The specified log group already exists"), class{exists: true}},
		"expired":        {jsonError(400, "ExpiredTokenException", "The security token included in the request is expired"), class{expired: true}},
		"server error":   {jsonError(500, "ServerException", "oops"), class{ambiguous: true}},
		"unreadable":     {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>") }, class{ambiguous: true}},
		"no answer":      {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, class{ambiguous: true}},
	} {
		_, err := answering(t, test.answer).ECS.DeleteCluster(t.Context(), &ecs.DeleteClusterInput{Cluster: aws.String("x")})
		var got class
		_, got.transient = provision.Transient(err)
		got.ambiguous, got.expired = provision.Ambiguous(err), provision.Expired(err)
		got.denied, _ = provision.Denied(err)
		got.exists = provision.Exists(err)
		if err == nil || got != test.want {
			t.Errorf("%s: %+v, want %+v for %v", name, got, test.want, err)
		}
	}

	_, err := answering(t, jsonError(400, "ConflictException", "It is already being updated.")).ACM.DeleteCertificate(t.Context(), &acm.DeleteCertificateInput{CertificateArn: aws.String("arn")})
	if reason, passes := provision.Transient(err); !passes || reason == "" {
		t.Errorf("a conflict of a certificate does not pass: %v", err)
	}

	late := answering(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // the server sees a client leave only after that
		<-r.Context().Done()
	})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := late.ECS.DeleteCluster(ctx, &ecs.DeleteClusterInput{Cluster: aws.String("x")}); !provision.Ambiguous(err) {
		t.Errorf("a call that timed out: %v is not ambiguous", err)
	}

	missing := answering(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(400)
		_, _ = io.WriteString(w, `<Response><Errors><Error><Code>InvalidVpcID.NotFound</Code><Message>x</Message></Error></Errors></Response>`)
	})
	_, err = missing.EC2.DeleteVpc(t.Context(), &ec2.DeleteVpcInput{VpcId: aws.String("vpc-1")})
	if reason, ok := provision.Transient(err); !ok || !strings.Contains(reason, "not visible") {
		t.Errorf("a new thing that EC2 does not know yet: %q %t", reason, ok)
	}
	inUse := answering(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(400)
		_, _ = io.WriteString(w, `<ErrorResponse><Error><Code>InvalidDBSubnetGroupStateFault</Code><Message>at least one database instance: book-compare is still using it.</Message></Error></ErrorResponse>`)
	})
	_, err = inUse.RDS.DeleteDBSubnetGroup(t.Context(), &rds.DeleteDBSubnetGroupInput{DBSubnetGroupName: aws.String("book-database")})
	if reason, ok := provision.Transient(err); !ok || !strings.Contains(reason, "book-compare") {
		t.Errorf("a subnet group that a database is in: %q %t does not name the database", reason, ok)
	}
	if _, ok := provision.Transient(nil); ok || provision.Ambiguous(nil) || provision.Ambiguous(errors.New("ours")) {
		t.Error("what is no AWS error is taken for one")
	}
}

// TestWhatWasJustMadeIsTriedAgain takes the words of a thing that is not known
// everywhere yet for passing only where the run made the thing.
func TestWhatWasJustMadeIsTriedAgain(t *testing.T) {
	t.Parallel()
	passRole := jsonError(400, "AccessDeniedException", "User: arn:aws:iam::123456789012:user/ci is not authorized to perform: iam:PassRole on resource: arn:aws:iam::123456789012:role/book-task-role")
	infrastructureRole := jsonError(400, "InvalidParameterException", "ECS was unable to assume the configured ECS Infrastructure Role 'arn:aws:iam::123456789012:role/book-us-east-1-balancing'. Please verify that the role being passed has the proper trust relationship with Amazon ECS.")
	tasksRole := jsonError(400, "ClientException", "ECS was unable to assume the role 'arn:aws:iam::123456789012:role/book-us-east-1-task-role' that was provided for this task. Please verify that the role being passed has the proper trust relationship and permissions and that your IAM user has permissions to pass this role.")
	unseenCertificate := jsonError(400, "CertificateNotFound", "Certificate 'arn:aws:acm:us-east-1:123456789012:certificate/0' not found")
	scalingRole := jsonError(400, "ValidationException", "Unable to assume IAM role: arn:aws:iam::123456789012:role/aws-service-role/ecs.application-autoscaling.amazonaws.com/AWSServiceRoleForApplicationAutoScaling_ECSService")
	for name, test := range map[string]struct {
		answer http.HandlerFunc
		made   []string
		passes bool
	}{
		"a role that was made":                   {passRole, []string{"vpc", "task-role"}, true},
		"a role that was there":                  {passRole, []string{"vpc", "secret"}, false},
		"an infrastructure role that was made":   {infrastructureRole, []string{"vpc", "balancing-role"}, true},
		"an infrastructure role that was there":  {infrastructureRole, []string{"vpc"}, false},
		"a task's role that was made":            {tasksRole, []string{"vpc", "task-role"}, true},
		"a task's role that was there":           {tasksRole, []string{"vpc", "task-definition"}, false},
		"another action":                         {jsonError(400, "AccessDeniedException", "not authorized to perform: ecs:CreateService"), []string{"task-role"}, false},
		"a linked role that was made":            {jsonError(400, "InvalidParameterValue", "Unable to create the resource. Verify that you have permission to create service linked role. Otherwise wait and try again later"), []string{"service-linked-role-rds"}, true},
		"a linked role that was there":           {jsonError(400, "InvalidParameterValue", "Unable to create the resource. Verify that you have permission to create service linked role. Otherwise wait and try again later"), []string{"service-linked-role-elb"}, false},
		"a linked role that a subnet group has":  {jsonError(400, "InvalidParameterValue", "Missing necessary credentials. Please check http://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAM.ServiceLinkedRoles.html"), []string{"service-linked-role-rds"}, true},
		"scaling's linked role that was made":    {scalingRole, []string{"service-linked-role-scaling"}, true},
		"scaling's linked role that was there":   {scalingRole, []string{"vpc"}, false},
		"a secret that was made":                 {jsonError(400, "ResourceNotFoundException", "Secrets Manager can't find the specified secret."), []string{"secret"}, true},
		"a role that was made and is not found":  {jsonError(404, "NoSuchEntity", "The role with name book-us-east-1-task-role cannot be found."), []string{"task-role"}, true},
		"a role that was there and is not found": {jsonError(404, "NoSuchEntity", "The role with name book-us-east-1-task-role cannot be found."), []string{"vpc"}, false},
		"a subnet that was made":                 {jsonError(400, "InvalidSubnet", "The requested subnet is invalid"), []string{"vpc", "subnet-private-a"}, true},
		"a subnet that was there":                {jsonError(400, "InvalidSubnet", "The requested subnet is invalid"), []string{"vpc"}, false},
		"a subnet that was made, by RDS":         {jsonError(400, "InvalidParameterValue", "Some input subnets in :[subnet-0123456789abcdef0] are invalid."), []string{"vpc", "subnet-private-b"}, true},
		"a subnet that was there, by RDS":        {jsonError(400, "InvalidParameterValue", "Some input subnets in :[subnet-0123456789abcdef0] are invalid."), []string{"vpc"}, false},
		"one of two subnets that were made":      {jsonError(400, "DBSubnetGroupDoesNotCoverEnoughAZs", "The DB subnet group doesn't meet Availability Zone (AZ) coverage requirement. Current AZ coverage: us-east-1a"), []string{"subnet-private-a"}, true},
		"too few zones":                          {jsonError(400, "DBSubnetGroupDoesNotCoverEnoughAZs", "The DB subnet group doesn't meet Availability Zone (AZ) coverage requirement. Current AZ coverage: us-east-1a"), []string{"vpc"}, false},
		"a DB subnet group that was made":        {jsonError(404, "DBSubnetGroupNotFoundFault", "DB subnet group 'book-database' does not exist."), []string{"db-subnet-group"}, true},
		"a DB subnet group that was there":       {jsonError(404, "DBSubnetGroupNotFoundFault", "DB subnet group 'book-database' does not exist."), []string{"vpc"}, false},
		"a DB parameter group that was made":     {jsonError(404, "DBParameterGroupNotFound", "DBParameterGroup not found: book-database"), []string{"db-parameter-group"}, true},
		"a repository that was made":             {jsonError(400, "RepositoryNotFoundException", "The repository with name 'book/bookapi' does not exist"), []string{"repository"}, true},
		"a task definition that was made":        {jsonError(400, "ClientException", "TaskDefinition not found."), []string{"task-definition"}, true},
		"a certificate that was made":            {unseenCertificate, []string{"certificate"}, true},
		"a certificate that was there":           {unseenCertificate, []string{"load-balancer"}, false},
		"a log group that was made":              {jsonError(400, "ResourceNotFoundException", "The specified log group does not exist."), []string{"db-log-group"}, true},
	} {
		_, err := answering(t, test.answer).ECS.DeleteCluster(t.Context(), &ecs.DeleteClusterInput{Cluster: aws.String("x")})
		if reason, passes := provision.Propagating(err, test.made); passes != test.passes || passes != (reason != "") {
			t.Errorf("%s: %v passes: %t %q", name, err, passes, reason)
		}
	}
}

// TestADeniedCallIsNamedAsIAMNamesIt also where that is not the SDK's name of the service.
func TestADeniedCallIsNamedAsIAMNamesIt(t *testing.T) {
	t.Parallel()
	c, ctx, x := answering(t, jsonError(400, "AccessDeniedException", "no")), t.Context(), aws.String("x")
	for want, call := range map[string]func() error{
		"acm:DescribeCertificate": func() error {
			_, err := c.ACM.DescribeCertificate(ctx, &acm.DescribeCertificateInput{CertificateArn: x})
			return err
		},
		"application-autoscaling:DescribeScalableTargets": func() error {
			_, err := c.Scaling.DescribeScalableTargets(ctx, &applicationautoscaling.DescribeScalableTargetsInput{ServiceNamespace: "ecs"})
			return err
		},
		"ecr:GetAuthorizationToken": func() error {
			_, err := c.ECR.GetAuthorizationToken(ctx, &ecr.GetAuthorizationTokenInput{})
			return err
		},
		"events:DescribeRule": func() error {
			_, err := c.Events.DescribeRule(ctx, &eventbridge.DescribeRuleInput{Name: x})
			return err
		},
		"logs:DescribeLogGroups": func() error {
			_, err := c.Logs.DescribeLogGroups(ctx, &cloudwatchlogs.DescribeLogGroupsInput{})
			return err
		},
		"secretsmanager:ListSecrets": func() error {
			_, err := c.Secrets.ListSecrets(ctx, &secretsmanager.ListSecretsInput{})
			return err
		},
		"tag:GetResources": func() error {
			_, err := c.Tagging.GetResources(ctx, &resourcegroupstaggingapi.GetResourcesInput{})
			return err
		},
	} {
		err := call()
		if got, ok := provision.Denied(err); !ok || got != want {
			t.Errorf("%q, %t, want %q for %v", got, ok, want, err)
		}
	}
}

// TestNothingIsMadeTwiceByARepeatedCall loses the answer to create calls that
// make another thing each time, and throttles them first.
func TestNothingIsMadeTwiceByARepeatedCall(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	c := answering(t, func(w http.ResponseWriter, r *http.Request) {
		switch body, _ := io.ReadAll(r.Body); {
		case strings.Contains(string(body), "Action=Describe"):
			_, _ = io.WriteString(w, `<DescribeVpcsResponse><vpcSet/></DescribeVpcsResponse>`)
		case calls.Add(1) == 1:
			w.WriteHeader(503)
			_, _ = io.WriteString(w, `<Response><Errors><Error><Code>RequestLimitExceeded</Code><Message>x</Message></Error></Errors></Response>`)
		default:
			panic(http.ErrAbortHandler)
		}
	})
	c.EC2 = ec2.New(c.EC2.Options(), func(o *ec2.Options) { o.Retryer = provision.NewRetryer(time.Millisecond) })
	spec := provision.Spec{Stack: "book", Zones: [2]string{"us-east-1a", "us-east-1b"}, Settings: provision.DefaultSettings()}
	spec.Arch, spec.DBVersion = "amd64", "17.4"
	s, err := provision.NewStack(c, spec)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range s.Resources() {
		if name, _ := graph.Describe(r); name != "vpc" && name != "internet-gateway" && name != "route-table-public" {
			continue
		}
		calls.Store(0)
		if _, err := r.Create(t.Context()); !provision.Ambiguous(err) {
			t.Errorf("an answer that was lost: %v", err)
		}
		if n := calls.Load(); n != 2 {
			t.Errorf("the call was sent %d times; once more after it was throttled is two", n)
		}
	}
}
