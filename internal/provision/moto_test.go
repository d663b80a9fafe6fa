package provision_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	scaling "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/bookctl/bookctl/internal/provision"
)

// startMoto starts the AWS emulator moto on a free port, for one test, and
// returns its address.
func startMoto(t *testing.T) string {
	t.Helper()
	bin, err := exec.LookPath("moto_server")
	if err != nil {
		t.Fatal("moto_server is not installed; run .ci/setup")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd := exec.Command(bin, "-H", "127.0.0.1", "-p", port)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended by itself
		_ = cmd.Wait()
	})
	endpoint := "http://127.0.0.1:" + port
	for range 600 {
		if resp, err := http.Get(endpoint + "/moto-api/"); err == nil {
			_ = resp.Body.Close()
			return endpoint
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("moto did not start:\n%s", out.String())
	return ""
}

// wire is the connection to an emulator: it keeps a journal of the calls, and can die like a process that is killed.
type wire struct {
	mu      sync.Mutex
	reads   []string
	writes  []string
	dieAt   int    // the number of the write at which it dies, 0 for never
	answers bool   // die after the work was done, instead of before it is sent
	killed  func() // is told of the death
	dead    bool
}

var reads = regexp.MustCompile("^(Describe|Get|List)")

// fresh takes a connection per call, since moto ends idle ones when it likes.
var fresh = &http.Transport{DisableKeepAlives: true}

var errKilled = errors.New("killed")

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	// The JSON services name the action in a header, the others in the form.
	_, action, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	if action == "" {
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return nil, err
		}
		action = form.Get("Action")
	}
	w.mu.Lock()
	if w.dead {
		w.mu.Unlock()
		return nil, errKilled
	}
	die := false
	if !reads.MatchString(action) {
		w.writes = append(w.writes, action)
		die = len(w.writes) == w.dieAt
		w.dead = die
	} else {
		w.reads = append(w.reads, action)
	}
	w.mu.Unlock()
	if die {
		defer w.killed()
	}
	if die && !w.answers {
		return nil, errKilled
	}
	resp, err := fresh.RoundTrip(r)
	if die && err == nil {
		_ = resp.Body.Close()
		return nil, errKilled
	}
	return resp, err
}

func (w *wire) written() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.writes)
}

// read returns the reads made so far.
func (w *wire) read() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.reads)
}

func (w *wire) clients(endpoint string) provision.Clients {
	c := aws.Config{
		Region:       "us-east-1",
		BaseEndpoint: &endpoint,
		Credentials:  credentials.NewStaticCredentialsProvider("test", "test", ""),
		HTTPClient:   &http.Client{Transport: w},
		Retryer:      func() aws.Retryer { return aws.NopRetryer{} }, // a killed process does not try again
	}
	return provision.NewClients(c)
}

// census lists what exists in the account, with every attribute that the stack
// sets, by EC2's own words and without bookctl's code. Ids are replaced by the
// names of what they stand for, so that two censuses can be compared.
func census(t *testing.T, endpoint string) []string {
	t.Helper()
	all, ctx := (&wire{}).clients(endpoint), t.Context()
	c := all.EC2
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	vpcs, err := c.DescribeVpcs(ctx, &ec2.DescribeVpcsInput{})
	must(err)
	subnets, err := c.DescribeSubnets(ctx, &ec2.DescribeSubnetsInput{})
	must(err)
	gateways, err := c.DescribeInternetGateways(ctx, &ec2.DescribeInternetGatewaysInput{})
	must(err)
	tables, err := c.DescribeRouteTables(ctx, &ec2.DescribeRouteTablesInput{})
	must(err)
	groups, err := c.DescribeSecurityGroups(ctx, &ec2.DescribeSecurityGroupsInput{})
	must(err)
	rules, err := c.DescribeSecurityGroupRules(ctx, &ec2.DescribeSecurityGroupRulesInput{})
	must(err)

	name := map[string]string{}
	var out []string
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	for _, v := range vpcs.Vpcs {
		name[*v.VpcId] = named(v.Tags, *v.CidrBlock)
		add("vpc %s %s", name[*v.VpcId], *v.CidrBlock)
	}
	for _, s := range subnets.Subnets {
		name[*s.SubnetId] = named(s.Tags, *s.CidrBlock)
		add("subnet %s %s %s %s public=%t", name[*s.SubnetId], name[*s.VpcId], *s.CidrBlock, *s.AvailabilityZone, *s.MapPublicIpOnLaunch)
	}
	for _, g := range gateways.InternetGateways {
		name[*g.InternetGatewayId] = named(g.Tags, "gateway")
		var at []string
		for _, a := range g.Attachments {
			at = append(at, name[*a.VpcId])
		}
		add("gateway %s at %v", name[*g.InternetGatewayId], at)
	}
	for _, r := range tables.RouteTables {
		var routes, assoc []string
		for _, x := range r.Routes {
			gw := aws.ToString(x.GatewayId)
			if n, ok := name[gw]; ok {
				gw = n
			}
			routes = append(routes, aws.ToString(x.DestinationCidrBlock)+">"+gw)
		}
		for _, a := range r.Associations {
			if a.SubnetId != nil {
				assoc = append(assoc, name[*a.SubnetId])
			}
		}
		slices.Sort(routes)
		slices.Sort(assoc)
		add("table %s %s routes %v subnets %v", named(r.Tags, "main"), name[*r.VpcId], routes, assoc)
	}
	for _, g := range groups.SecurityGroups {
		name[*g.GroupId] = *g.GroupName + "@" + name[*g.VpcId]
		add("group %s", name[*g.GroupId])
	}
	for _, r := range rules.SecurityGroupRules {
		peer := aws.ToString(r.CidrIpv4)
		if r.ReferencedGroupInfo != nil {
			peer = name[*r.ReferencedGroupInfo.GroupId]
		}
		add("rule %s egress=%t %s %d %s", name[*r.GroupId], *r.IsEgress, *r.IpProtocol, aws.ToInt32(r.FromPort), peer)
	}

	secrets, err := all.Secrets.ListSecrets(ctx, &secretsmanager.ListSecretsInput{IncludePlannedDeletion: aws.Bool(true)})
	must(err)
	for _, s := range secrets.SecretList {
		// The value is there to be checked, and its password never to be shown.
		v, err := all.Secrets.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: s.ARN})
		must(err)
		var fields map[string]any
		must(json.Unmarshal([]byte(*v.SecretString), &fields))
		fields["password"] = len(fields["password"].(string))
		add("secret %s deleted=%t %v", *s.Name, s.DeletedDate != nil, fields)
	}
	logs, err := all.Logs.DescribeLogGroups(ctx, &cloudwatchlogs.DescribeLogGroupsInput{})
	must(err)
	for _, l := range logs.LogGroups {
		add("log group %s %d days", *l.LogGroupName, aws.ToInt32(l.RetentionInDays))
	}
	repos, err := all.ECR.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{})
	must(err)
	for _, r := range repos.Repositories {
		p, err := all.ECR.GetLifecyclePolicy(ctx, &ecr.GetLifecyclePolicyInput{RepositoryName: r.RepositoryName})
		must(err)
		add("repository %s %s scan=%t %s", *r.RepositoryName, r.ImageTagMutability, r.ImageScanningConfiguration.ScanOnPush, *p.LifecyclePolicyText)
	}
	dbSubnets, err := all.RDS.DescribeDBSubnetGroups(ctx, &rds.DescribeDBSubnetGroupsInput{})
	must(err)
	for _, g := range dbSubnets.DBSubnetGroups {
		var in []string
		for _, s := range g.Subnets {
			in = append(in, name[*s.SubnetIdentifier])
		}
		slices.Sort(in)
		add("db subnet group %s %v", *g.DBSubnetGroupName, in)
	}
	params, err := all.RDS.DescribeDBParameterGroups(ctx, &rds.DescribeDBParameterGroupsInput{})
	must(err)
	for _, g := range params.DBParameterGroups {
		set, err := all.RDS.DescribeDBParameters(ctx, &rds.DescribeDBParametersInput{DBParameterGroupName: g.DBParameterGroupName, Source: aws.String("user")})
		must(err)
		var values []string
		for _, p := range set.Parameters {
			values = append(values, *p.ParameterName+"="+*p.ParameterValue)
		}
		add("db parameter group %s %s %v", *g.DBParameterGroupName, *g.DBParameterGroupFamily, values)
	}
	dbs, err := all.RDS.DescribeDBInstances(ctx, &rds.DescribeDBInstancesInput{})
	must(err)
	for _, d := range dbs.DBInstances {
		var in []string
		for _, g := range d.VpcSecurityGroups {
			in = append(in, name[*g.VpcSecurityGroupId])
		}
		add("database %s %s %s %d GiB %s public=%t encrypted=%t backups=%d groups %v", *d.DBInstanceIdentifier, *d.DBInstanceStatus, *d.DBInstanceClass,
			*d.AllocatedStorage, *d.DBName, *d.PubliclyAccessible, *d.StorageEncrypted, *d.BackupRetentionPeriod, in)
	}
	balancers, err := all.ELB.DescribeLoadBalancers(ctx, &elb.DescribeLoadBalancersInput{})
	must(err)
	for _, b := range balancers.LoadBalancers {
		var in, guards []string
		for _, z := range b.AvailabilityZones {
			in = append(in, name[*z.SubnetId])
		}
		for _, g := range b.SecurityGroups {
			guards = append(guards, name[g])
		}
		slices.Sort(in)
		attributes, err := all.ELB.DescribeLoadBalancerAttributes(ctx, &elb.DescribeLoadBalancerAttributesInput{LoadBalancerArn: b.LoadBalancerArn})
		must(err)
		set := map[string]string{}
		for _, a := range attributes.Attributes {
			set[*a.Key] = *a.Value
		}
		name[*b.LoadBalancerArn] = *b.LoadBalancerName
		add("load balancer %s %s in %v groups %v drops=%s idle=%s protected=%s", *b.LoadBalancerName, b.Scheme, in, guards,
			set["routing.http.drop_invalid_header_fields.enabled"], set["idle_timeout.timeout_seconds"], set["deletion_protection.enabled"])
	}
	targets, err := all.ELB.DescribeTargetGroups(ctx, &elb.DescribeTargetGroupsInput{})
	must(err)
	for _, g := range targets.TargetGroups {
		name[*g.TargetGroupArn] = *g.TargetGroupName
		add("target group %s %s %s %d %s every %d s, %d times", *g.TargetGroupName, g.TargetType, g.Protocol, *g.Port, *g.HealthCheckPath,
			*g.HealthCheckIntervalSeconds, *g.HealthyThresholdCount)
	}
	for _, b := range balancers.LoadBalancers {
		listeners, err := all.ELB.DescribeListeners(ctx, &elb.DescribeListenersInput{LoadBalancerArn: b.LoadBalancerArn})
		must(err)
		for _, l := range listeners.Listeners {
			add("listener of %s %s %d %s %s", name[*l.LoadBalancerArn], l.Protocol, *l.Port, l.DefaultActions[0].Type, name[aws.ToString(l.DefaultActions[0].TargetGroupArn)])
		}
	}
	clusters, err := all.ECS.ListClusters(ctx, &ecs.ListClustersInput{})
	must(err)
	for _, arn := range clusters.ClusterArns {
		described, err := all.ECS.DescribeClusters(ctx, &ecs.DescribeClustersInput{Clusters: []string{arn}})
		must(err)
		if *described.Clusters[0].Status == "INACTIVE" {
			continue // gone, as far as ECS is concerned
		}
		add("cluster %s", *described.Clusters[0].ClusterName)
		services, err := all.ECS.ListServices(ctx, &ecs.ListServicesInput{Cluster: &arn})
		must(err)
		if len(services.ServiceArns) == 0 {
			continue
		}
		list, err := all.ECS.DescribeServices(ctx, &ecs.DescribeServicesInput{Cluster: &arn, Services: services.ServiceArns})
		must(err)
		for _, s := range list.Services {
			if *s.Status == "INACTIVE" {
				continue
			}
			v := s.NetworkConfiguration.AwsvpcConfiguration
			var in, guards []string
			for _, x := range v.Subnets {
				in = append(in, name[x])
			}
			for _, x := range v.SecurityGroups {
				guards = append(guards, name[x])
			}
			add("service %s %s %d tasks in %v groups %v public=%s targets %s", *s.ServiceName, s.LaunchType, s.DesiredCount, in, guards, v.AssignPublicIp,
				name[*s.LoadBalancers[0].TargetGroupArn])
		}
	}
	for _, status := range []ecstypes.TaskDefinitionStatus{"ACTIVE", "INACTIVE"} {
		definitions, err := all.ECS.ListTaskDefinitions(ctx, &ecs.ListTaskDefinitionsInput{Status: status})
		must(err)
		for _, arn := range definitions.TaskDefinitionArns {
			d, err := all.ECS.DescribeTaskDefinition(ctx, &ecs.DescribeTaskDefinitionInput{TaskDefinition: &arn})
			must(err)
			c := d.TaskDefinition.ContainerDefinitions[0]
			var env []string
			for _, e := range c.Environment {
				env = append(env, *e.Name+"="+regexp.MustCompile(`\.[a-z0-9]+\.us-east-1\.rds`).ReplaceAllString(*e.Value, ".us-east-1.rds"))
			}
			for _, e := range c.Secrets {
				env = append(env, *e.Name+" from "+regexp.MustCompile(`^.*:secret:|-[A-Za-z0-9]{6}:`).ReplaceAllString(*e.ValueFrom, ":"))
			}
			add("task definition %s %s %s/%s %s user=%s readonly=%t %v", *d.TaskDefinition.Family, status, *d.TaskDefinition.Cpu, *d.TaskDefinition.Memory,
				*c.Image, *c.User, *c.ReadonlyRootFilesystem, env)
		}
	}
	scalable, err := all.Scaling.DescribeScalableTargets(ctx, &scaling.DescribeScalableTargetsInput{ServiceNamespace: "ecs"})
	must(err)
	for _, s := range scalable.ScalableTargets {
		add("scaling of %s from %d to %d", *s.ResourceId, *s.MinCapacity, *s.MaxCapacity)
	}
	policies, err := all.Scaling.DescribeScalingPolicies(ctx, &scaling.DescribeScalingPoliciesInput{ServiceNamespace: "ecs"})
	must(err)
	for _, p := range policies.ScalingPolicies {
		c := p.TargetTrackingScalingPolicyConfiguration
		add("scaling policy %s of %s: %s at %g", *p.PolicyName, *p.ResourceId, c.PredefinedMetricSpecification.PredefinedMetricType, *c.TargetValue)
	}
	roles, err := all.IAM.ListRoles(ctx, &iam.ListRolesInput{})
	must(err)
	for _, r := range roles.Roles {
		if strings.HasPrefix(*r.Path, "/aws-service-role/") {
			continue // the account's, made once and kept
		}
		inline, err := all.IAM.ListRolePolicies(ctx, &iam.ListRolePoliciesInput{RoleName: r.RoleName})
		must(err)
		add("role %s policies %v", *r.RoleName, inline.PolicyNames)
	}
	slices.Sort(out)
	return out
}
