package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/route53"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/smithy-go/middleware"

	"github.com/bookctl/bookctl/internal/localcloud"
	"github.com/bookctl/bookctl/internal/localcloud/access"
	"github.com/bookctl/bookctl/internal/localcloud/iamcheck"
	"github.com/bookctl/bookctl/internal/provision"
	"github.com/bookctl/bookctl/internal/requestbody"
)

// authorizedRun is a shell whose local cloud allows what the policy allows that bookctl
// prints for the stack.
type authorizedRun struct {
	*shell
	stack, region string
	cfg           localcloud.Config
	info          localcloud.Info
	policies      []access.Policy
	documents     []string

	mu    sync.Mutex
	asked []localcloud.AuthorizedCall
}

const localAccount = "000000000000"

// newAuthorizedRun makes the shell. Its cloud is opened in this process, so that it
// can be watched.
func newAuthorizedRun(t *testing.T, stack, region string) *authorizedRun {
	t.Helper()
	j := &authorizedRun{shell: newShell(t, "BOOKCTL_STACK="+stack), stack: stack, region: region}
	j.cfg = localcloud.Config{StateDir: filepath.Join(j.dir, ".local", "state", "bookctl", "local"), Region: region, Watch: func(a localcloud.AuthorizedCall) {
		j.mu.Lock()
		defer j.mu.Unlock()
		j.asked = append(j.asked, a)
	}}
	return j
}

// printed is the policy that bookctl prints for a stack, as the documents that
// fit into IAM.
func (j *authorizedRun) printed(stack string, flags ...string) (documents []string, policies []access.Policy) {
	j.t.Helper()
	dir := filepath.Join(j.dir, "policies-"+stack)
	j.must(append([]string{"policy", "--stack", stack, "--account", localAccount, "--region", j.region, "--dir", dir}, flags...)...)
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(files) == 0 {
		j.t.Fatalf("no policy was written: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			j.t.Fatal(err)
		}
		p, err := access.Parse(text)
		if err != nil {
			j.t.Fatal(err)
		}
		if odd := p.Unsupported(); len(odd) > 0 {
			j.t.Fatalf("the local cloud does not evaluate %v", odd)
		}
		documents, policies = append(documents, string(text)), append(policies, p)
	}
	return documents, policies
}

// withPolicy opens the cloud, which allows what the policy of the stack allows.
func (j *authorizedRun) withPolicy(t *testing.T, flags ...string) {
	t.Helper()
	j.documents, j.policies = j.printed(j.stack, flags...)
	j.cfg.Policies = j.policies
	t.Cleanup(j.open(t)) // before the shell's own
}

// open starts the cloud, and returns what ends it.
func (j *authorizedRun) open(t *testing.T) func() {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ready, ended := make(chan localcloud.Info, 1), make(chan error, 1)
	go func() { ended <- localcloud.Run(ctx, j.cfg, func(i localcloud.Info) { ready <- i }) }()
	select {
	case j.info = <-ready:
	case err := <-ended:
		cancel()
		t.Fatal(err)
	}
	return func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// step runs a command that has to succeed with nothing on its way that the
// stack's own policy does not allow, not even what bookctl gets along without.
func (j *authorizedRun) step(args ...string) string {
	j.t.Helper()
	return j.ends(0, args...)
}

// ends is step for a command that has another exit code.
func (j *authorizedRun) ends(code int, args ...string) string {
	j.t.Helper()
	before := len(j.recorded())
	r := j.run(append(args, "--local")...)
	if r.code != code {
		j.t.Fatalf("bookctl %s: exit code %d\n%s%s", strings.Join(args, " "), r.code, r.out, r.err)
	}
	for _, a := range j.recorded()[before:] {
		for _, r := range a.Requests {
			if access.Decide(j.policies, r) != access.Allowed {
				j.t.Errorf("%s: %s asks for %s on %s with %v, which the printed policy does not allow", strings.Join(args, " "), a.Action, r.Action, r.Resource, r.Context)
			}
		}
	}
	return r.out
}

func (j *authorizedRun) recorded() []localcloud.AuthorizedCall {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.asked)
}

// config is an SDK's that reaches the cloud by an access key; that of "root" may
// do everything.
func (j *authorizedRun) config(key string) aws.Config {
	return aws.Config{Region: j.region, BaseEndpoint: &j.info.Endpoint, Credentials: credentials.NewStaticCredentialsProvider(key, "secret", ""), APIOptions: []func(*middleware.Stack) error{requestbody.Readable}}
}

// longestStack has as many characters as a stack may.
var longestStack = "b" + strings.Repeat("o", 18) + "k"

// TestWholeRunsPassUnderThePrintedPolicy makes, scales and destroys stacks as
// their deployer may by the policy that 'bookctl policy' prints, and no more.
func TestWholeRunsPassUnderThePrintedPolicy(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("slow")
	}
	for region, stack := range map[string]string{"us-east-1": longestStack, "eu-central-1": "b", "us-gov-west-1": longestStack} {
		t.Run(region+"/"+stack, func(t *testing.T) {
			t.Parallel()
			j := newAuthorizedRun(t, stack, region)
			j.withPolicy(t)
			j.step("up")
			if out := j.step("up", "--output", "json"); !strings.Contains(out, `"apiWrites":0`) {
				t.Errorf("a second up writes: %s", out)
			}
			j.step("up", "--min", "1", "--max", "2", "--alarm-email", "ops@example.com")
			j.step("up", "--max", "0")
			j.step("alarm", "test")
			j.step("status")
			j.step("destroy", "--yes")
			j.step("up")
			j.step("destroy", "--yes", "--purge-snapshots")
			if n := len(j.recorded()); n < 300 {
				t.Errorf("only %d calls were checked", n)
			}
		})
	}
}

// TestAMissingPermissionIsMetBeforeAWS starts a cloud that checks calls by a file from
// which one permission is missing.
func TestAMissingPermissionIsMetBeforeAWS(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	policy := s.must("policy", "--account", localAccount, "--region", "us-east-1")
	file := filepath.Join(s.dir, "policy.json")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(policy, `"ec2:CreateSubnet"`, `"ec2:DescribeVpcs"`)), 0o644); err != nil {
		t.Fatal(err)
	}
	s.must("local", "start", "--policy", file)
	up := append([]string{"up", "--local"}, imageless()...)
	s.run(up...).says(t, 4, "User: arn:aws:iam::"+localAccount+":user/local is not authorized to perform: ec2:CreateSubnet on resource: arn:aws:ec2:us-east-1:"+localAccount+":subnet/*",
		"because no identity-based policy allows the ec2:CreateSubnet action", "next:")
	s.must("local", "stop")
	if err := os.WriteFile(file, []byte(policy), 0o644); err != nil {
		t.Fatal(err)
	}
	s.must("local", "start", "--policy", file)
	s.must(up...)
}

// outside are requests that a policy of stack book, domain api.example.com, must
// not allow: on what others have, on what nobody has tagged, and on what leads
// out of the stack.
func outside(zone string) []access.Request {
	const region = ":us-east-1:" + localAccount + ":"
	tag := func(stack string) map[string][]string {
		return map[string][]string{"aws:ResourceTag/" + provision.TagStack: {stack}}
	}
	var out []access.Request
	add := func(context map[string][]string, resource string, actions ...string) {
		for _, a := range actions {
			out = append(out, access.Request{Action: a, Resource: resource, Context: context})
		}
	}
	for _, context := range []map[string][]string{nil, tag("other"), tag("book2")} {
		add(context, "arn:aws:ec2"+region+"vpc/vpc-1", "ec2:DeleteVpc", "ec2:CreateSubnet", "ec2:ModifyVpcAttribute", "ec2:AttachInternetGateway", "ec2:CreateTags")
		add(context, "arn:aws:ec2"+region+"subnet/subnet-1", "ec2:DeleteSubnet", "ec2:CreateTags")
		add(context, "arn:aws:ec2"+region+"security-group/sg-1", "ec2:DeleteSecurityGroup", "ec2:AuthorizeSecurityGroupIngress")
		add(context, "arn:aws:rds"+region+"snapshot:book-final-1", "rds:DeleteDBSnapshot", "rds:RestoreDBInstanceFromDBSnapshot")
		add(context, "arn:aws:rds"+region+"snapshot:other", "rds:DeleteDBSnapshot", "rds:RestoreDBInstanceFromDBSnapshot", "rds:AddTagsToResource")
		add(context, "arn:aws:acm"+region+"certificate/c-1", "acm:DeleteCertificate")
	}
	add(tag("other"), "arn:aws:ec2"+region+"security-group/sg-1", "ec2:RevokeSecurityGroupIngress")
	add(tag("book-final"), "arn:aws:rds"+region+"snapshot:book-final-final-1", "rds:CreateDBSnapshot", "rds:AddTagsToResource")
	add(nil, "arn:aws:ec2"+region+"vpc/vpc-new", "ec2:CreateVpc")
	for _, s := range []string{"other", "book2", "book-x"} {
		add(nil, "arn:aws:rds"+region+"db:"+s+"-database", "rds:CreateDBInstance", "rds:DeleteDBInstance", "rds:ModifyDBInstance")
		add(nil, "arn:aws:secretsmanager"+region+"secret:"+s+"/database-AbCdEf", "secretsmanager:GetSecretValue", "secretsmanager:PutSecretValue", "secretsmanager:DeleteSecret")
		add(nil, "arn:aws:secretsmanager"+region+"secret:"+s+"/environment-AbCdEf", "secretsmanager:GetSecretValue", "secretsmanager:PutSecretValue", "secretsmanager:DeleteSecret")
		add(nil, "arn:aws:logs"+region+"log-group:/bookctl/"+s, "logs:DeleteLogGroup", "logs:PutRetentionPolicy")
		add(nil, "arn:aws:ecs"+region+"service/"+s+"-cluster/"+s+"-service", "ecs:UpdateService", "ecs:DeleteService")
		add(nil, "arn:aws:ecs"+region+"task/"+s+"-cluster/1", "ecs:ExecuteCommand", "ecs:StopTask", "ssm:StartSession")
		add(nil, "arn:aws:elasticloadbalancing"+region+"loadbalancer/app/"+s+"-lb/1", "elasticloadbalancing:DeleteLoadBalancer")
		add(nil, "arn:aws:ecr"+region+"repository/"+s+"/app", "ecr:PutImage", "ecr:DeleteRepository", "ecr:BatchGetImage")
		add(nil, "arn:aws:ssm"+region+"parameter/bookctl/"+s+"/lock", "ssm:PutParameter", "ssm:DeleteParameters")
		add(nil, "arn:aws:iam::"+localAccount+":role/"+s+"-us-east-1-task-role", "iam:PutRolePolicy", "iam:DeleteRole", "iam:CreateRole", "iam:UpdateAssumeRolePolicy")
		add(map[string][]string{"iam:PassedToService": {"ecs-tasks.amazonaws.com"}}, "arn:aws:iam::"+localAccount+":role/"+s, "iam:PassRole")
		add(nil, "arn:aws:cloudwatch"+region+"alarm:TargetTracking-service/"+s+"-cluster/"+s+"-service-AlarmHigh-1", "cloudwatch:PutMetricAlarm", "cloudwatch:DeleteAlarms")
		add(nil, "arn:aws:cloudwatch"+region+"alarm:bookctl/"+s+"/server-errors", "cloudwatch:PutMetricAlarm", "cloudwatch:DeleteAlarms", "cloudwatch:SetAlarmState", "cloudwatch:TagResource")
		add(nil, "arn:aws:sns"+region+s+"-alarms", "sns:CreateTopic", "sns:DeleteTopic", "sns:SetTopicAttributes", "sns:Subscribe", "sns:TagResource")
		add(nil, "arn:aws:events"+region+"rule/"+s+"-failed-release", "events:PutRule", "events:DeleteRule", "events:PutTargets", "events:RemoveTargets")
		add(map[string][]string{"events:source": {"bookctl." + s}}, "arn:aws:events"+region+"event-bus/default", "events:PutEvents")
	}
	add(map[string][]string{"iam:PassedToService": {"lambda.amazonaws.com"}}, "arn:aws:iam::"+localAccount+":role/book-us-east-1-task-role", "iam:PassRole")
	add(map[string][]string{"iam:PolicyARN": {"arn:aws:iam::aws:policy/AdministratorAccess"}}, "arn:aws:iam::"+localAccount+":role/book-us-east-1-task-role", "iam:AttachRolePolicy")
	add(nil, "arn:aws:iam::"+localAccount+":user/me", "iam:CreateUser", "iam:CreateAccessKey", "iam:AttachUserPolicy")
	add(map[string][]string{"iam:AWSServiceName": {"spot.amazonaws.com"}}, "arn:aws:iam::"+localAccount+":role/aws-service-role/spot.amazonaws.com/AWSServiceRoleForEC2Spot", "iam:CreateServiceLinkedRole")
	add(tag("other"), "arn:aws:application-autoscaling"+region+"scalable-target/1", "application-autoscaling:PutScalingPolicy", "application-autoscaling:DeregisterScalableTarget")
	record := func(name string) map[string][]string {
		return map[string][]string{
			"route53:ChangeResourceRecordSetsNormalizedRecordNames": {name}, "route53:ChangeResourceRecordSetsRecordTypes": {"A"}, "route53:ChangeResourceRecordSetsActions": {"UPSERT"},
		}
	}
	add(record("api.example.com"), "arn:aws:route53:::hostedzone/ZOTHER", "route53:ChangeResourceRecordSets")
	add(nil, "arn:aws:route53:::hostedzone/"+zone, "route53:DeleteHostedZone")
	add(record("www.example.com"), "arn:aws:route53:::hostedzone/"+zone, "route53:ChangeResourceRecordSets")
	add(nil, "arn:aws:rds:eu-west-1:"+localAccount+":db:book-database", "rds:DeleteDBInstance")
	add(nil, "arn:aws:rds:us-east-1:111122223333:db:book-database", "rds:DeleteDBInstance")
	return out
}

// TestThePolicyStandsBeforeAnotherSimulator records whole runs, and asks a
// simulator of IAM that nobody here wrote whether the printed policy allows what
// they ask, and denies what is outside the stack. The local cloud has to decide the same.
func TestThePolicyStandsBeforeAnotherSimulator(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("slow")
	}
	modules, err := filepath.Abs("../../.tools/iam/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(modules); err != nil {
		t.Fatal("the simulator of IAM is not installed: .ci/setup does it")
	}
	ctx := t.Context()
	j := newAuthorizedRun(t, "book", "us-east-1")
	const domain = "api.example.com"
	zone := j.others(t)
	j.withPolicy(t, "--domain", domain, "--hosted-zone", zone)

	j.step("up", "--domain", domain, "--exec", "--alarm-email", "ops@example.com")
	// Of the other stack list says no more than it may.
	list := j.run("list", "--local")
	if list.code != 0 || !strings.Contains(list.out, "other  unknown") || !strings.Contains(list.err, "the state of stack other is unknown: these credentials are not allowed ecs:DescribeServices on it") {
		t.Errorf("list: exit code %d\n%s%s", list.code, list.out, list.err)
	}
	j.step("up", "--min", "1", "--max", "2")
	j.step("plan")
	j.drift(t)
	j.step("up")
	j.step("up", "--max", "0")
	j.step("db", "rotate-password")
	j.step("up", "--source", changedSource(t), "--count", "2")
	j.step("rollback")
	j.step("run", "version")
	j.step("restart")
	j.step("db", "dump", filepath.Join(j.dir, "books.dump"))
	j.step("pause")
	j.step("resume")
	j.step("alarm", "list")
	j.step("alarm", "test")
	j.step("up", "--tag", "team=payments")
	j.step("up", "--untag", "team")
	j.step("up", "--alarm-email", "none")
	file := filepath.Join(j.dir, "key")
	if err := os.WriteFile(file, []byte("a value"), 0o600); err != nil {
		t.Fatal(err)
	}
	j.step("secret", "set", "API_KEY", "--from-file", file)
	j.step("secret", "list")
	j.step("secret", "set", "API_KEY_2", "--from-file", file)
	j.step("secret", "unset", "API_KEY")
	j.ends(3, "status") // nobody finds the domain's name here
	// A session needs AWS's plugin, and the local cloud has none; what is asked
	// for it is checked before that.
	clients := provision.NewClients(j.config("local"))
	_, _ = provision.Exec(ctx, clients, j.stack, "", []string{"true"}, func(string) {})
	j.step("destroy", "--yes")
	j.step("up", "--restore", "latest")
	j.step("destroy", "--yes", "--purge-snapshots")

	t.Run("models", func(t *testing.T) { fitModels(t, j.recorded()) })

	var requests []access.Request
	for _, a := range j.recorded() {
		requests = append(requests, a.Requests...)
	}
	tunnel, _ := iamcheck.Requests(emptyAccount{}, "ssm:StartSession", &ssm.StartSessionInput{
		Target: aws.String("ecs:book-cluster_0123_0123-1"), DocumentName: aws.String("AWS-StartPortForwardingSessionToRemoteHost"),
	})
	requests = append(requests, tunnel...)
	requests = append(requests, access.Request{Action: "ssmmessages:OpenDataChannel", Resource: "*"}, access.Request{Action: "pricing:GetProducts", Resource: "*"})
	requests = distinct(requests)
	bad := outside(zone)
	requests = slices.DeleteFunc(requests, func(r access.Request) bool {
		others := r.Resource == "arn:aws:ecs:us-east-1:"+localAccount+":service/other-cluster/other-service"
		if others {
			bad = append(bad, r)
		}
		return others
	})
	for _, r := range bad {
		if d := access.Decide(j.policies, r); d == access.Allowed {
			t.Errorf("the policy allows %s on %s with %v", r.Action, r.Resource, r.Context)
		}
	}
	all := append(requests, bad...)
	answers := simulate(t, modules, j.documents, all)
	allowed, gaps, ignored := 0, map[string]bool{}, map[string][]string{}
	for i, r := range all {
		allowedHere := access.Decide(j.policies, r) == access.Allowed
		if allowedHere {
			allowed++
		}
		if answers[i].Decision == "error" {
			gap := gapOf(r)
			if gap == "" {
				t.Errorf("%s on %s: the simulator knows no such request: %s", r.Action, r.Resource, answers[i].Error)
			}
			gaps[gap] = true
			continue
		}
		if said := answers[i].Decision == "Allowed"; said != allowedHere {
			t.Errorf("%s on %s with %v: the local cloud says %v, the simulator %q", r.Action, r.Resource, r.Context, allowedHere, answers[i].Decision)
		}
		if keys := answers[i].Ignored; len(keys) > 0 {
			ignored[r.Action] = append(ignored[r.Action], keys...)
		}
	}
	for gap := range dataGaps {
		if !gaps[gap] {
			t.Errorf("the simulator's data has %s by now: take it from the list", gap)
		}
	}
	if len(ignored) > 0 {
		t.Errorf("the local cloud gives condition keys that these don't have: %v", ignored)
	}
	t.Logf("%d requests, of which %d are allowed", len(all), allowed)
	if allowed < 150 {
		t.Errorf("only %d requests are allowed", allowed)
	}
}

// emptyAccount is an account in which nothing exists.
type emptyAccount struct{ iamcheck.Account }

func (emptyAccount) ARN(service, resource string) string {
	return "arn:aws:" + service + ":us-east-1:" + localAccount + ":" + resource
}

func (emptyAccount) Tags(string) map[string]string { return nil }

// others makes what is not the stack's before anybody is checked: another stack,
// and a hosted zone, whose id it returns.
func (j *authorizedRun) others(t *testing.T) string {
	t.Helper()
	watch := j.cfg.Watch
	j.cfg.Watch = nil
	closeCloud := j.open(t)
	defer func() {
		closeCloud()
		j.cfg.Watch = watch
	}()
	j.must(append([]string{"up", "--local", "--stack", "other"}, imageless()...)...)
	out, err := route53.NewFromConfig(j.config("root")).CreateHostedZone(t.Context(), &route53.CreateHostedZoneInput{Name: aws.String("example.com"), CallerReference: aws.String("1")})
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(*out.HostedZone.Id, "/hostedzone/")
}

// drift changes by hand what up has to repair.
func (j *authorizedRun) drift(t *testing.T) {
	t.Helper()
	ctx, cfg := t.Context(), j.config("root")
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	group := "/bookctl/" + j.stack
	must(cloudwatchlogs.NewFromConfig(cfg).DeleteRetentionPolicy(ctx, &cloudwatchlogs.DeleteRetentionPolicyInput{LogGroupName: &group}))
	repository := j.stack + "/app"
	must(ecr.NewFromConfig(cfg).DeleteLifecyclePolicy(ctx, &ecr.DeleteLifecyclePolicyInput{RepositoryName: &repository}))
	must(ecr.NewFromConfig(cfg).PutImageTagMutability(ctx, &ecr.PutImageTagMutabilityInput{RepositoryName: &repository, ImageTagMutability: ecrtypes.ImageTagMutabilityMutable}))
	roles, err := iam.NewFromConfig(cfg).ListRoles(ctx, &iam.ListRolesInput{})
	must(roles, err)
	for _, r := range roles.Roles {
		if strings.HasPrefix(*r.RoleName, j.stack+"-") && strings.HasSuffix(*r.RoleName, "-execution-role") {
			must(iam.NewFromConfig(cfg).PutRolePolicy(ctx, &iam.PutRolePolicyInput{
				RoleName: r.RoleName, PolicyName: aws.String("more"), PolicyDocument: aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:*","Resource":"*"}]}`),
			}))
		}
	}
	rules, err := ec2.NewFromConfig(cfg).DescribeSecurityGroupRules(ctx, &ec2.DescribeSecurityGroupRulesInput{})
	must(rules, err)
	groups, err := ec2.NewFromConfig(cfg).DescribeSecurityGroups(ctx, &ec2.DescribeSecurityGroupsInput{})
	must(groups, err)
	for _, g := range groups.SecurityGroups {
		if !strings.HasPrefix(*g.GroupName, j.stack+"-") {
			continue
		}
		for _, r := range rules.SecurityGroupRules {
			if *r.GroupId == *g.GroupId && *r.IsEgress {
				must(ec2.NewFromConfig(cfg).RevokeSecurityGroupEgress(ctx, &ec2.RevokeSecurityGroupEgressInput{GroupId: g.GroupId, SecurityGroupRuleIds: []string{*r.SecurityGroupRuleId}}))
			}
		}
	}
}

// distinct leaves one of equal requests.
func distinct(requests []access.Request) []access.Request {
	seen := map[string]bool{}
	return slices.DeleteFunc(requests, func(r access.Request) bool {
		key := fmt.Sprint(r)
		was := seen[key]
		seen[key] = true
		return was
	})
}

// dataGaps are requests that AWS is known to ask for, and that the simulator's
// data does not have, by the beginning of action and resource.
var dataGaps = map[string]string{
	// Of the two services of that name, the data has the older one's tagging.
	"elasticloadbalancing:AddTags arn:aws:elasticloadbalancing:us-east-1:" + localAccount + ":listener/":       "https://docs.aws.amazon.com/service-authorization/latest/reference/list_awselasticloadbalancingv2.html",
	"elasticloadbalancing:AddTags arn:aws:elasticloadbalancing:us-east-1:" + localAccount + ":targetgroup/":    "https://docs.aws.amazon.com/service-authorization/latest/reference/list_awselasticloadbalancingv2.html",
	"elasticloadbalancing:RemoveTags arn:aws:elasticloadbalancing:us-east-1:" + localAccount + ":listener/":    "https://docs.aws.amazon.com/service-authorization/latest/reference/list_awselasticloadbalancingv2.html",
	"elasticloadbalancing:RemoveTags arn:aws:elasticloadbalancing:us-east-1:" + localAccount + ":targetgroup/": "https://docs.aws.amazon.com/service-authorization/latest/reference/list_awselasticloadbalancingv2.html",
	// The data has the tagging of alarms for a kind of resource that it does not have.
	"cloudwatch:TagResource arn:aws:cloudwatch:us-east-1:" + localAccount + ":alarm:":         "https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoncloudwatch.html",
	"cloudwatch:UntagResource arn:aws:cloudwatch:us-east-1:" + localAccount + ":alarm:":       "https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoncloudwatch.html",
	"cloudwatch:ListTagsForResource arn:aws:cloudwatch:us-east-1:" + localAccount + ":alarm:": "https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoncloudwatch.html",
	// A family without a revision.
	"ecs:TagResource arn:aws:ecs:us-east-1:" + localAccount + ":task-definition/book-app": "https://github.com/aws/aws-cdk/issues/25768",
	// AWS's own documents have no account.
	"ssm:StartSession arn:aws:ssm:us-east-1::document/": "https://docs.aws.amazon.com/systems-manager/latest/userguide/getting-started-restrict-access-quickstart.html",
	// The resource of AWS's errors.
	"logs:DescribeLogGroups arn:": "https://github.com/hashicorp/terraform-provider-aws/issues/8804",
}

// gapOf is the gap that a request falls into, "" for none.
func gapOf(r access.Request) string {
	for gap := range dataGaps {
		if strings.HasPrefix(r.Action+" "+r.Resource, gap) {
			return gap
		}
	}
	return ""
}

type simulated struct {
	Decision, Error string
	Ignored         []string
}

// simulate asks the simulator for all requests at once.
func simulate(t *testing.T, modules string, documents []string, requests []access.Request) []simulated {
	t.Helper()
	var policies []json.RawMessage
	for _, d := range documents {
		policies = append(policies, json.RawMessage(d))
	}
	in, err := json.Marshal(map[string]any{
		"account": localAccount, "principal": "arn:aws:iam::" + localAccount + ":user/local", "policies": policies, "requests": requests,
	})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "node", "testdata/permissions/simulate.mjs", modules)
	cmd.Stdin = bytes.NewReader(in)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, errs.String())
	}
	var answers []simulated
	if err := json.Unmarshal(out, &answers); err != nil || len(answers) != len(requests) {
		t.Fatalf("%d answers to %d requests: %v", len(answers), len(requests), err)
	}
	return answers
}
