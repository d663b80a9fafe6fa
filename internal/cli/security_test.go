package cli_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	rdstypes "github.com/aws/aws-sdk-go-v2/service/rds/types"
	"github.com/aws/smithy-go/middleware"
	"github.com/google/go-cmp/cmp"

	"github.com/bookctl/bookctl/internal/image"
	"github.com/bookctl/bookctl/internal/moto"
	"github.com/bookctl/bookctl/internal/requestbody"
)

// TestTheStackCompliesWithItsSecurityRules makes a stack on two endpoints and asks them
// what there is then. Every rule that docs/security.md calls held has a check
// here, and every check is in the document.
func TestTheStackCompliesWithItsSecurityRules(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("slow")
	}
	documented := heldRules(t)
	t.Run("moto", func(t *testing.T) {
		t.Parallel()
		endpoint, image := moto.Start(t), ownImageOf(t, "amd64")
		// moto has no Performance Insights.
		holds(t, endpoint, documented, []string{"--protect", "--db-multi-az"}, func(args ...string) {
			cmd := exec.Command(program, append([]string{"up", "--wait=false", "--image", image}, args...)...)
			cmd.Env = append(os.Environ(), "AWS_ENDPOINT_URL="+endpoint, "AWS_ACCESS_KEY_ID=a", "AWS_SECRET_ACCESS_KEY=b", "AWS_REGION=us-east-1")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("up %s: %v\n%s", args, err, out)
			}
		})
	})
	t.Run("local cloud", func(t *testing.T) {
		t.Parallel()
		s := newShell(t)
		h := s.byHand(t, nil)
		holds(t, h.endpoint, documented, []string{"--protect", "--db-multi-az", "--db-insights"}, func(args ...string) {
			s.up(append([]string{"--wait=false", "--arch", runtime.GOARCH, "--image", ownImageOf(t, runtime.GOARCH)}, args...)...)
		})
	})
}

// ownImageOf puts an image into a registry that says of itself what those say that
// bookctl builds, and has no program, and returns the reference.
func ownImageOf(t *testing.T, arch string) string {
	t.Helper()
	return configured(t, image.Source{Arch: arch}.Config())
}

func holds(t *testing.T, endpoint string, documented, asked []string, up func(...string)) {
	t.Helper()
	up()
	account := describeStack(t, endpoint, "book")
	var checked []string
	for _, r := range securityRules {
		checked = append(checked, strings.Fields(r.ids)...)
		if wrong := r.broken(account); wrong != "" {
			t.Errorf("%s: %s", r.ids, wrong)
		}
	}
	up(append([]string{"--stack", "asked"}, asked...)...)
	account = describeStack(t, endpoint, "asked")
	for _, r := range rulesWhenAsked {
		checked = append(checked, strings.Fields(r.ids)...)
		if wrong := r.broken(account); slices.Contains(asked, r.flag) && wrong != "" {
			t.Errorf("%s, with %s: %s", r.ids, r.flag, wrong)
		}
	}
	slices.Sort(checked)
	if diff := cmp.Diff(documented, checked); diff != "" {
		t.Errorf("docs/security.md (-) and the checks (+; securityRules and rulesWhenAsked) differ:\n%s", diff)
	}
}

var ruleID = regexp.MustCompile(`\b(CKV2?_AWS_\d+|AWS-\d{4})\b`)

// heldRules are those in the tables of the document under "Held".
func heldRules(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	_, held, ok := strings.Cut(string(text), "\n## Rules that a stack complies with")
	held, exceptions, ok2 := strings.Cut(held, "\n## Exceptions")
	if !ok || !ok2 {
		t.Fatal("docs/security.md lacks its headings")
	}
	var out []string
	for line := range strings.Lines(held) {
		if cells := strings.Split(line, "|"); len(cells) > 2 {
			out = append(out, ruleID.FindAllString(cells[1], -1)...)
		}
	}
	for _, id := range ruleID.FindAllString(exceptions, -1) {
		if slices.Contains(out, id) {
			t.Errorf("%s is held and an exception", id)
		}
	}
	slices.Sort(out)
	return out
}

// securityRule is a rule of Checkov (CKV) or Trivy (AWS), or several that ask
// for the same. Broken says what breaks it, or "".
type securityRule struct {
	ids    string
	broken func(*described) string
	flag   string // without which it does not hold
}

// described is a stack by its endpoint's own words.
type described struct {
	groups     map[string]ec2types.SecurityGroup
	subnets    map[string]ec2types.Subnet
	vpc        ec2types.Vpc
	db         rdstypes.DBInstance
	parameters map[string]string
	task       *ecstypes.TaskDefinition
	service    ecstypes.Service
	balancer   elbtypes.LoadBalancer
	attributes map[string]string
	target     elbtypes.TargetGroup
	repository ecrtypes.Repository
	retention  map[string]int32 // of log groups, in days
	routes     []ec2types.Route
	listeners  []elbtypes.Listener
	roles      map[string]describedRole
}

type describedRole struct {
	trust, inline []allowed
	attached      int
}

type allowed struct {
	Effect           string
	Action, Resource words
	Principal        map[string]words
	NotAction        words
	NotResource      words
	Condition        map[string]any
}

// words is a string or a list of them, as IAM has it.
type words []string

func (w *words) UnmarshalJSON(text []byte) error {
	var one string
	if json.Unmarshal(text, &one) == nil {
		*w = words{one}
		return nil
	}
	return json.Unmarshal(text, (*[]string)(w))
}

func need[T any](t *testing.T, found []T, what string) T {
	t.Helper()
	if len(found) != 1 {
		t.Fatalf("there are %d of %s", len(found), what)
	}
	return found[0]
}

func describeStack(t *testing.T, endpoint, stack string) *described {
	t.Helper()
	cfg := aws.Config{Region: "us-east-1", BaseEndpoint: &endpoint, Credentials: credentials.NewStaticCredentialsProvider("auditor", "auditor", ""), APIOptions: []func(*middleware.Stack) error{requestbody.Readable}}
	ctx := context.Background()
	d := &described{
		groups: map[string]ec2types.SecurityGroup{}, subnets: map[string]ec2types.Subnet{}, parameters: map[string]string{},
		attributes: map[string]string{}, retention: map[string]int32{}, roles: map[string]describedRole{},
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	network := ec2.NewFromConfig(cfg)
	vpcs, err := network.DescribeVpcs(ctx, &ec2.DescribeVpcsInput{Filters: []ec2types.Filter{{Name: aws.String("tag:Name"), Values: []string{stack + "-vpc"}}}})
	must(err)
	d.vpc = need(t, vpcs.Vpcs, "the VPC")
	within := []ec2types.Filter{{Name: aws.String("vpc-id"), Values: []string{*d.vpc.VpcId}}}
	groups, err := network.DescribeSecurityGroups(ctx, &ec2.DescribeSecurityGroupsInput{Filters: within})
	must(err)
	for _, g := range groups.SecurityGroups {
		d.groups[strings.TrimPrefix(*g.GroupName, stack+"-sg-")] = g
	}
	subnets, err := network.DescribeSubnets(ctx, &ec2.DescribeSubnetsInput{Filters: within})
	must(err)
	for _, s := range subnets.Subnets {
		d.subnets[*s.SubnetId] = s
	}
	tables, err := network.DescribeRouteTables(ctx, &ec2.DescribeRouteTablesInput{Filters: within})
	must(err)
	for _, table := range tables.RouteTables {
		d.routes = append(d.routes, table.Routes...)
	}
	data := rds.NewFromConfig(cfg)
	dbs, err := data.DescribeDBInstances(ctx, &rds.DescribeDBInstancesInput{DBInstanceIdentifier: aws.String(stack + "-database")})
	must(err)
	d.db = need(t, dbs.DBInstances, "the database")
	parameters, err := data.DescribeDBParameters(ctx, &rds.DescribeDBParametersInput{DBParameterGroupName: d.db.DBParameterGroups[0].DBParameterGroupName, Filters: []rdstypes.Filter{{Name: aws.String("parameter-name"), Values: []string{"rds.force_ssl"}}}})
	must(err)
	for _, p := range parameters.Parameters {
		d.parameters[*p.ParameterName] = aws.ToString(p.ParameterValue)
	}
	run := ecs.NewFromConfig(cfg)
	services, err := run.DescribeServices(ctx, &ecs.DescribeServicesInput{Cluster: aws.String(stack + "-cluster"), Services: []string{stack + "-service"}})
	must(err)
	d.service = need(t, services.Services, "the service")
	task, err := run.DescribeTaskDefinition(ctx, &ecs.DescribeTaskDefinitionInput{TaskDefinition: d.service.TaskDefinition})
	must(err)
	d.task = task.TaskDefinition
	balance := elb.NewFromConfig(cfg)
	balancers, err := balance.DescribeLoadBalancers(ctx, &elb.DescribeLoadBalancersInput{Names: []string{stack + "-lb"}})
	must(err)
	d.balancer = need(t, balancers.LoadBalancers, "the load balancer")
	attributes, err := balance.DescribeLoadBalancerAttributes(ctx, &elb.DescribeLoadBalancerAttributesInput{LoadBalancerArn: d.balancer.LoadBalancerArn})
	must(err)
	for _, a := range attributes.Attributes {
		d.attributes[*a.Key] = *a.Value
	}
	listeners, err := balance.DescribeListeners(ctx, &elb.DescribeListenersInput{LoadBalancerArn: d.balancer.LoadBalancerArn})
	must(err)
	d.listeners = listeners.Listeners
	targets, err := balance.DescribeTargetGroups(ctx, &elb.DescribeTargetGroupsInput{Names: []string{stack + "-tasks"}})
	must(err)
	d.target = need(t, targets.TargetGroups, "the target group")
	images := ecr.NewFromConfig(cfg)
	repositories, err := images.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{RepositoryNames: []string{stack + "/app"}})
	must(err)
	d.repository = need(t, repositories.Repositories, "the repository")
	logs, err := cloudwatchlogs.NewFromConfig(cfg).DescribeLogGroups(ctx, &cloudwatchlogs.DescribeLogGroupsInput{})
	must(err)
	for _, g := range logs.LogGroups {
		d.retention[*g.LogGroupName] = aws.ToInt32(g.RetentionInDays)
	}
	access := iam.NewFromConfig(cfg)
	for _, name := range []string{"execution-role", "task-role"} {
		d.roles[name] = describeRole(ctx, t, access, stack+"-us-east-1-"+name)
	}
	return d
}

func describeRole(ctx context.Context, t *testing.T, access *iam.Client, name string) (r describedRole) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	read := func(document *string) []allowed {
		t.Helper()
		text, err := url.QueryUnescape(*document)
		must(err)
		var d struct{ Statement []allowed }
		must(json.Unmarshal([]byte(text), &d))
		return d.Statement
	}
	role, err := access.GetRole(ctx, &iam.GetRoleInput{RoleName: &name})
	must(err)
	r.trust = read(role.Role.AssumeRolePolicyDocument)
	attached, err := access.ListAttachedRolePolicies(ctx, &iam.ListAttachedRolePoliciesInput{RoleName: &name})
	must(err)
	r.attached = len(attached.AttachedPolicies)
	policies, err := access.ListRolePolicies(ctx, &iam.ListRolePoliciesInput{RoleName: &name})
	must(err)
	for _, p := range policies.PolicyNames {
		policy, err := access.GetRolePolicy(ctx, &iam.GetRolePolicyInput{RoleName: &name, PolicyName: &p})
		must(err)
		r.inline = append(r.inline, read(policy.PolicyDocument)...)
	}
	return r
}

// unless returns what is wrong unless it is right.
func unless(right bool, format string, args ...any) string {
	if right {
		return ""
	}
	return fmt.Sprintf(format, args...)
}

// rules are all rules of all groups: peer, ports and description.
func (d *described) rules(visit func(group string, egress bool, p ec2types.IpPermission, cidr, description string) string) string {
	for name, g := range d.groups {
		for _, egress := range []bool{false, true} {
			permissions := g.IpPermissions
			if egress {
				permissions = g.IpPermissionsEgress
			}
			for _, p := range permissions {
				for _, r := range p.IpRanges {
					if wrong := visit(name, egress, p, aws.ToString(r.CidrIp), aws.ToString(r.Description)); wrong != "" {
						return wrong
					}
				}
				for _, r := range p.UserIdGroupPairs {
					if wrong := visit(name, egress, p, "", aws.ToString(r.Description)); wrong != "" {
						return wrong
					}
				}
				if len(p.Ipv6Ranges) > 0 || len(p.PrefixListIds) > 0 {
					return name + " has rules of other kinds"
				}
			}
		}
	}
	return ""
}

func (d *described) container() ecstypes.ContainerDefinition { return d.task.ContainerDefinitions[0] }

// statements are what all roles may do.
func (d *described) statements(visit func(role string, s allowed) string) string {
	for name, r := range d.roles {
		for _, s := range r.inline {
			if wrong := visit(name, s); wrong != "" {
				return wrong
			}
		}
	}
	return ""
}

// withoutResource are actions that know no resources, by the service
// authorization reference.
var withoutResource = []string{"ecr:GetAuthorizationToken"}

const internet = "0.0.0.0/0"

var securityRules = []securityRule{
	// The network.
	{ids: "CKV2_AWS_12 AWS-0173", broken: func(d *described) string {
		g, ok := d.groups["default"]
		return unless(ok && len(g.IpPermissions)+len(g.IpPermissionsEgress) == 0, "the default group has the rules %v %v", g.IpPermissions, g.IpPermissionsEgress)
	}},
	{ids: "CKV_AWS_148 AWS-0101", broken: func(d *described) string {
		return unless(!aws.ToBool(d.vpc.IsDefault), "the stack is in a default VPC")
	}},
	{ids: "CKV_AWS_23 AWS-0099 AWS-0124", broken: func(d *described) string {
		for name, g := range d.groups {
			if aws.ToString(g.Description) == "" {
				return name + " has no description"
			}
		}
		return d.rules(func(group string, _ bool, p ec2types.IpPermission, cidr, description string) string {
			return unless(description != "", "a rule of %s for %d %s has no description", group, aws.ToInt32(p.FromPort), cidr)
		})
	}},
	{ids: "CKV_AWS_24 CKV_AWS_25 CKV_AWS_277 AWS-0107", broken: func(d *described) string {
		return d.rules(func(group string, egress bool, p ec2types.IpPermission, cidr, _ string) string {
			world := !egress && cidr == internet
			return unless(!world || *p.IpProtocol == "tcp" && *p.FromPort == *p.ToPort && *p.FromPort != 22 && *p.FromPort != 3389, "%s lets the world in at %s %d", group, *p.IpProtocol, aws.ToInt32(p.FromPort))
		})
	}},
	{ids: "CKV_AWS_382", broken: func(d *described) string {
		return d.rules(func(group string, egress bool, p ec2types.IpPermission, cidr, _ string) string {
			return unless(!egress || cidr != internet || *p.IpProtocol == "tcp" && *p.FromPort == 443 && *p.ToPort == 443, "%s lets all out", group)
		})
	}},
	{ids: "CKV2_AWS_5", broken: func(d *described) string {
		used := []string{*d.db.VpcSecurityGroups[0].VpcSecurityGroupId}
		used = append(append(used, d.balancer.SecurityGroups...), d.service.NetworkConfiguration.AwsvpcConfiguration.SecurityGroups...)
		for name, g := range d.groups {
			if name != "default" && !slices.Contains(used, *g.GroupId) {
				return "nothing is in " + name
			}
		}
		return ""
	}},
	{ids: "CKV_AWS_130 AWS-0164", broken: func(d *described) string {
		for id, s := range d.subnets {
			if aws.ToBool(s.MapPublicIpOnLaunch) {
				return "what is started in " + id + " gets a public address"
			}
		}
		return ""
	}},
	{ids: "CKV2_AWS_35 CKV2_AWS_44", broken: func(d *described) string {
		for _, r := range d.routes {
			if to := aws.ToString(r.GatewayId); to != "local" && !strings.HasPrefix(to, "igw-") {
				return "a route leads to " + to + aws.ToString(r.InstanceId) + aws.ToString(r.VpcPeeringConnectionId)
			}
		}
		return unless(len(d.routes) > 0, "there are no routes")
	}},
	// The database.
	{ids: "CKV_AWS_16 AWS-0080", broken: func(d *described) string {
		return unless(aws.ToBool(d.db.StorageEncrypted), "its storage is not encrypted")
	}},
	{ids: "CKV_AWS_17 AWS-0180", broken: func(d *described) string {
		for _, s := range d.db.DBSubnetGroup.Subnets {
			if aws.ToBool(d.subnets[*s.SubnetIdentifier].MapPublicIpOnLaunch) {
				return "it is in a public subnet"
			}
		}
		for _, p := range d.groups["database"].IpPermissions {
			if len(p.IpRanges) > 0 || len(p.UserIdGroupPairs) != 1 || *p.UserIdGroupPairs[0].GroupId != *d.groups["task"].GroupId || *p.FromPort != 5432 {
				return "others than the tasks reach it"
			}
		}
		return unless(!aws.ToBool(d.db.PubliclyAccessible), "it has a public address")
	}},
	{ids: "CKV2_AWS_69", broken: func(d *described) string {
		return unless(d.parameters["rds.force_ssl"] == "1", "rds.force_ssl is %q", d.parameters["rds.force_ssl"])
	}},
	{ids: "CKV_AWS_133 AWS-0077", broken: func(d *described) string {
		return unless(aws.ToInt32(d.db.BackupRetentionPeriod) >= 7, "backups are kept %d days", aws.ToInt32(d.db.BackupRetentionPeriod))
	}},
	{ids: "CKV2_AWS_60", broken: func(d *described) string {
		return unless(aws.ToBool(d.db.CopyTagsToSnapshot), "its tags are not copied to snapshots")
	}},
	{ids: "CKV_AWS_226", broken: func(d *described) string {
		return unless(aws.ToBool(d.db.AutoMinorVersionUpgrade), "minor versions are not upgraded")
	}},
	{ids: "CKV_AWS_129", broken: func(d *described) string {
		return unless(slices.Contains(d.db.EnabledCloudwatchLogsExports, "postgresql"), "it exports the logs %v", d.db.EnabledCloudwatchLogsExports)
	}},
	{ids: "CKV_AWS_250", broken: func(d *described) string {
		major, _, _ := strings.Cut(*d.db.EngineVersion, ".")
		n, err := strconv.Atoi(major)
		return unless(err == nil && n >= 14, "it is PostgreSQL %s", *d.db.EngineVersion)
	}},
	// Tasks.
	{ids: "CKV_AWS_336", broken: func(d *described) string {
		return unless(aws.ToBool(d.container().ReadonlyRootFilesystem), "the root file system can be written to")
	}},
	{ids: "CKV_AWS_334", broken: func(d *described) string {
		user, _, _ := strings.Cut(aws.ToString(d.container().User), ":")
		return unless(!aws.ToBool(d.container().Privileged) && user != "" && user != "0" && user != "root", "it runs as %q", user)
	}},
	{ids: "CKV_AWS_335", broken: func(d *described) string {
		return unless(d.task.PidMode == "" && d.task.IpcMode == "", "it shares %s %s", d.task.PidMode, d.task.IpcMode)
	}},
	{ids: "AWS-0036", broken: func(d *described) string {
		env, secret := map[string]string{}, map[string]bool{}
		for _, e := range d.container().Environment {
			env[*e.Name] = *e.Value
			if regexp.MustCompile(`(?i)passw|secret|token|key`).MatchString(*e.Name) && !strings.HasPrefix(*e.Value, "arn:") {
				return *e.Name + " is in clear"
			}
		}
		for _, s := range d.container().Secrets {
			secret[*s.Name] = strings.Contains(*s.ValueFrom, ":secretsmanager:")
		}
		return unless(secret["DB_PASSWORD"] && env["DB_SSLMODE"] == "verify-full", "the password is from %v, and TLS is %q", secret, env["DB_SSLMODE"])
	}},
	{ids: "CKV_AWS_249", broken: func(d *described) string {
		return unless(aws.ToString(d.task.ExecutionRoleArn) != aws.ToString(d.task.TaskRoleArn), "both roles are %s", aws.ToString(d.task.TaskRoleArn))
	}},
	{ids: "CKV_AWS_97 AWS-0035", broken: func(d *described) string { return unless(len(d.task.Volumes) == 0, "it has volumes") }},
	{ids: "CKV_AWS_332", broken: func(d *described) string {
		return unless(slices.Contains([]string{"", "LATEST", "1.4.0"}, aws.ToString(d.service.PlatformVersion)), "platform %s", aws.ToString(d.service.PlatformVersion))
	}},
	// The load balancer.
	{ids: "CKV_AWS_131 AWS-0052", broken: func(d *described) string {
		return unless(d.attributes["routing.http.drop_invalid_header_fields.enabled"] == "true", "invalid headers pass")
	}},
	{ids: "CKV_AWS_328", broken: func(d *described) string {
		// The default, where an endpoint does not return it.
		mode, set := d.attributes["routing.http.desync_mitigation_mode"]
		return unless(!set || mode == "defensive" || mode == "strictest", "desync mitigation is %q", mode)
	}},
	{ids: "CKV_AWS_261", broken: func(d *described) string {
		return unless(aws.ToBool(d.target.HealthCheckEnabled) && aws.ToString(d.target.HealthCheckPath) != "/", "it checks %q", aws.ToString(d.target.HealthCheckPath))
	}},
	{ids: "CKV2_AWS_81", broken: func(d *described) string {
		for _, l := range d.listeners {
			if m := l.MutualAuthentication; m != nil && aws.ToString(m.Mode) == "verify" && aws.ToString(m.TrustStoreArn) == "" {
				return "a listener verifies clients by no trust store"
			}
		}
		return unless(len(d.listeners) > 0, "there are no listeners")
	}},
	// Image and logs.
	{ids: "CKV_AWS_163 AWS-0030", broken: func(d *described) string {
		c := d.repository.ImageScanningConfiguration
		return unless(c != nil && c.ScanOnPush, "images are not scanned")
	}},
	{ids: "CKV_AWS_51 AWS-0031", broken: func(d *described) string {
		return unless(d.repository.ImageTagMutability == ecrtypes.ImageTagMutabilityImmutable, "tags are %s", d.repository.ImageTagMutability)
	}},
	{ids: "CKV_AWS_66", broken: func(d *described) string {
		for _, name := range []string{"/bookctl/book", "/aws/rds/instance/book-database/postgresql"} {
			if d.retention[name] == 0 {
				return name + " keeps its lines for ever"
			}
		}
		return ""
	}},
	// Roles.
	{ids: "CKV_AWS_60 CKV_AWS_61 CKV_AWS_358 CKV_AWS_393", broken: func(d *described) string {
		for name, r := range d.roles {
			for _, s := range r.trust {
				if len(s.Principal) != 1 || !slices.Equal(s.Principal["Service"], words{"ecs-tasks.amazonaws.com"}) {
					return fmt.Sprintf("%s is assumed by %v", name, s.Principal)
				}
			}
		}
		return ""
	}},
	{ids: "CKV_AWS_1 CKV_AWS_49 CKV_AWS_62 CKV_AWS_63 CKV_AWS_274 CKV_AWS_275 CKV2_AWS_40 CKV2_AWS_56 AWS-0345", broken: func(d *described) string {
		if r := d.roles["task-role"]; len(r.inline) != 1 || !slices.Equal(r.inline[0].Action, words{"secretsmanager:GetSecretValue"}) {
			return fmt.Sprintf("the task role may %v", r.inline)
		}
		for name, r := range d.roles {
			if r.attached > 0 {
				return "the " + name + " has managed policies"
			}
		}
		return d.statements(func(role string, s allowed) string {
			wild := slices.ContainsFunc(s.Action, func(a string) bool { return strings.Contains(a, "*") || strings.HasPrefix(a, "iam:") })
			return unless(!wild && s.NotAction == nil && s.NotResource == nil, "%s may %v", role, s.Action)
		})
	}},
	{ids: "CKV_AWS_107 CKV_AWS_108 CKV_AWS_109 CKV_AWS_110 CKV_AWS_111 CKV_AWS_283 CKV_AWS_286 CKV_AWS_287 CKV_AWS_288 CKV_AWS_289 CKV_AWS_290 CKV_AWS_355 CKV_AWS_356 AWS-0057 AWS-0342", broken: func(d *described) string {
		return d.statements(func(role string, s allowed) string {
			for _, r := range s.Resource {
				// A log group's streams are named by what follows it.
				if strings.Contains(strings.TrimSuffix(r, ":*"), "*") && slices.ContainsFunc(s.Action, func(a string) bool { return !slices.Contains(withoutResource, a) }) {
					return fmt.Sprintf("%s may %v on %s", role, s.Action, r)
				}
				// GuardDuty's agent is pulled from AWS's repository.
				if strings.HasPrefix(r, "arn:") && !strings.Contains(r, "book") && r != "arn:aws:ecr:us-east-1:593207742271:repository/aws-guardduty-agent-fargate" {
					return fmt.Sprintf("%s may %v on %s", role, s.Action, r)
				}
			}
			return unless(len(s.Resource) > 0 && s.Effect == "Allow", "%s has a statement without resources", role)
		})
	}},
}

// rulesWhenAsked hold for those who ask for it.
var rulesWhenAsked = []securityRule{
	{ids: "CKV_AWS_293 AWS-0177", flag: "--protect", broken: func(d *described) string { return unless(aws.ToBool(d.db.DeletionProtection), "it can be deleted") }},
	{ids: "CKV_AWS_150", flag: "--protect", broken: func(d *described) string {
		return unless(d.attributes["deletion_protection.enabled"] == "true", "it can be deleted")
	}},
	{ids: "CKV_AWS_157", flag: "--db-multi-az", broken: func(d *described) string { return unless(aws.ToBool(d.db.MultiAZ), "it has no standby") }},
	{ids: "CKV_AWS_353 AWS-0133", flag: "--db-insights", broken: func(d *described) string {
		return unless(aws.ToBool(d.db.PerformanceInsightsEnabled), "Performance Insights is off")
	}},
}
