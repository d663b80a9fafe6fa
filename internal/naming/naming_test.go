package naming_test

import (
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/bookctl/bookctl/internal/naming"
	"github.com/bookctl/bookctl/internal/partition/partitiontest"
)

// nameRule is what an API requires of a name.
type nameRule struct {
	least, most int
	pattern     string
	never       []string // forbidden beginnings, in lower case
	other       func(string) bool
}

var noDoubleHyphen = func(name string) bool { return !strings.Contains(name, "--") }

// nameRules are the documented rules, by kind.
var nameRules = map[string]nameRule{
	// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSecurityGroup.html
	"security group": {1, 255, `[a-zA-Z0-9 ._\-:/()#,@\[\]+=&;{}!$*]+`, []string{"sg-"}, func(name string) bool { return name != "default" }},
	// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateLoadBalancer.html
	"load balancer": {1, 32, `[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?`, []string{"internal-"}, nil},
	// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_CreateTargetGroup.html
	"target group": {1, 32, `[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?`, nil, nil},
	// https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBInstance.html
	"database": {1, 63, `[a-zA-Z]([a-zA-Z0-9-]*[a-zA-Z0-9])?`, nil, noDoubleHyphen},
	// https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBSubnetGroup.html
	"DB subnet group": {1, 255, `[a-zA-Z][a-zA-Z0-9._ -]*`, nil, func(name string) bool { return name != "default" }},
	// https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBParameterGroup.html
	"DB parameter group": {1, 255, `[a-zA-Z]([a-zA-Z0-9-]*[a-zA-Z0-9])?`, nil, noDoubleHyphen},
	// https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBSnapshot.html
	"snapshot": {1, 255, `[a-zA-Z]([a-zA-Z0-9-]*[a-zA-Z0-9])?`, nil, noDoubleHyphen},
	// https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateRole.html
	"role": {1, 64, `[\w+=,.@-]+`, nil, nil},
	// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html: one that
	// ends with a hyphen and six characters is taken for an ARN's end.
	"secret": {1, 512, `[a-zA-Z0-9/_+=.@-]+`, nil, func(name string) bool { return !regexp.MustCompile(`-[a-zA-Z0-9]{6}$`).MatchString(name) }},
	// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_CreateLogGroup.html
	"log group": {1, 512, `[.\-_/#A-Za-z0-9]+`, []string{"aws/"}, nil},
	// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_CreateRepository.html
	"repository": {2, 256, `(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*`, nil, nil},
	// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_CreateCluster.html
	"cluster": {1, 255, `[a-zA-Z0-9_-]+`, nil, nil},
	// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_CreateService.html
	"service": {1, 255, `[a-zA-Z0-9_-]+`, nil, nil},
	// https://docs.aws.amazon.com/autoscaling/application/APIReference/API_RegisterScalableTarget.html
	"scalable target": {1, 1600, `service/[a-zA-Z0-9_-]+/[a-zA-Z0-9_-]+`, nil, nil},
	// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RegisterTaskDefinition.html
	"task definition": {1, 255, `[a-zA-Z0-9_-]+`, nil, nil},
	// https://docs.aws.amazon.com/systems-manager/latest/userguide/sysman-paramstore-su-create.html
	"parameter": {1, 1011, `(/[a-zA-Z0-9_.-]+){1,15}`, []string{"/aws", "/ssm"}, nil},
	// https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
	"alarm": {1, 255, `[^[:cntrl:]]+`, nil, nil},
	// https://docs.aws.amazon.com/sns/latest/api/API_CreateTopic.html
	"topic": {1, 256, `[a-zA-Z0-9_-]+`, nil, nil},
	// https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutRule.html
	"rule": {1, 64, `[.\-_A-Za-z0-9]+`, nil, nil},
	// https://docs.aws.amazon.com/tag-editor/latest/userguide/tagging.html
	"tag": {0, 256, `[\p{L}\p{Z}\p{N}_.:/=+\-@]*`, []string{"aws:"}, nil},
}

// allows reports whether the API accepts the name.
func (r nameRule) allows(name string) bool {
	for _, prefix := range r.never {
		if strings.HasPrefix(strings.ToLower(name), prefix) {
			return false
		}
	}
	return len(name) >= r.least && len(name) <= r.most && regexp.MustCompile(`^(?:`+r.pattern+`)$`).MatchString(name) && (r.other == nil || r.other(name))
}

// resources are some of the resources of a stack's graph, among them those with
// the longest names.
var resources = []string{"vpc", "sg-load-balancer", "sg-task", "sg-database", "service-linked-role-scaling", "route-table-private", "lock"}

// derived has, for each method of Names, the kind of the names that it returns and
// some of them.
var derived = map[string]struct {
	kind  string // of nameRules; "" for what AWS takes no name from
	names func(naming.Names) []string
}{
	"Of": {"tag", func(n naming.Names) []string { return each(resources, n.Of) }},
	"SecurityGroup": {"security group", func(n naming.Names) []string {
		return each([]string{"sg-load-balancer", "sg-task", "sg-database"}, n.SecurityGroup)
	}},
	"LoadBalancer":      {"load balancer", one(naming.Names.LoadBalancer)},
	"TargetGroup":       {"target group", one(naming.Names.TargetGroup)},
	"SecondTargetGroup": {"target group", one(naming.Names.SecondTargetGroup)},
	"Database":          {"database", one(naming.Names.Database)},
	"DBParameterGroup":  {"DB parameter group", one(naming.Names.DBParameterGroup)},
	"DBSubnetGroup":     {"DB subnet group", one(naming.Names.DBSubnetGroup)},
	"FinalSnapshot": {"snapshot", func(n naming.Names) []string {
		return []string{n.FinalSnapshot("db-ABCDEFGHIJKLMNOPQRSTUVWXYZ", time.Now())}
	}},
	"FinalSnapshotPrefix": {},
	"SnapshotCopy": {"snapshot", func(n naming.Names) []string {
		return []string{n.SnapshotCopy("arn:aws:rds:eu-west-1:111122223333:snapshot:books", time.Now())}
	}},
	"SnapshotCopyPrefix": {},
	"DBParameterGroupOf": {"DB parameter group", func(n naming.Names) []string {
		return each([]string{"postgres9", "postgres18"}, n.DBParameterGroupOf)
	}},
	"UpgradeSnapshot": {"snapshot", func(n naming.Names) []string {
		return []string{n.UpgradeSnapshot("db-ABCDEFGHIJKLMNOPQRSTUVWXYZ", "18", time.Now())}
	}},
	"UpgradeSnapshotPrefix": {},
	"Secret":                {"secret", one(naming.Names.Secret)},
	"EnvironmentSecret":     {"secret", one(naming.Names.EnvironmentSecret)},
	"LogGroup":              {"log group", one(naming.Names.LogGroup)},
	"DatabaseLogGroup": {"log group", func(n naming.Names) []string {
		return each([]string{"postgresql", "iam-db-auth-error"}, n.DatabaseLogGroup)
	}},
	"InsightsLogGroup": {"log group", one(naming.Names.InsightsLogGroup)},
	"Repository":       {"repository", one(naming.Names.Repository)},
	"Cluster":          {"cluster", one(naming.Names.Cluster)},
	"Service":          {"service", one(naming.Names.Service)},
	"TaskDefinition":   {"task definition", one(naming.Names.TaskDefinition)},
	"ScalableTarget":   {"scalable target", one(naming.Names.ScalableTarget)},
	"AlarmTopic":       {"topic", one(naming.Names.AlarmTopic)},
	"Alarm": {"alarm", func(n naming.Names) []string {
		return each([]string{"no-healthy-target", "database-connections"}, n.Alarm)
	}},
	"ReleaseRule": {"rule", one(naming.Names.ReleaseRule)},
	"EventSource": {},
	"Role": {"role", func(n naming.Names) []string {
		return each([]string{naming.ExecutionRole, naming.TaskRole, naming.BalancingRole}, n.Role)
	}},
	"Lock": {"parameter", func(n naming.Names) []string {
		return []string{n.Lock() + "/first", n.Lock() + "/ABCDEFGHIJKLMNOPQRSTUVWXYZ.lease"}
	}},
	"Tags": {"tag", func(n naming.Names) []string {
		var out []string
		for _, r := range resources {
			for k, v := range n.Tags(r, "1.0.0") {
				out = append(out, k, v)
			}
		}
		return out
	}},
}

func one(name func(naming.Names) string) func(naming.Names) []string {
	return func(n naming.Names) []string { return []string{name(n)} }
}

func each(of []string, name func(string) string) []string {
	var out []string
	for _, x := range of {
		out = append(out, name(x))
	}
	return out
}

// TestAWSAcceptsEveryName checks every derived name against the documented rules,
// for stack names that are short, long, and like words that AWS keeps for itself.
func TestAWSAcceptsEveryName(t *testing.T) {
	t.Parallel()
	for method := range reflect.TypeFor[naming.Names]().Methods() {
		if _, known := derived[method.Name]; !known {
			t.Errorf("Names.%s has no rule in this test", method.Name)
		}
	}
	everywhere := partitiontest.Regions(t)
	for _, stack := range []string{
		"a", "book", "sg", "sg-x", "s", "internal2", "internals", "internal", "internal-x", "aws", "aws-x", "amazon", "ssm", "rds", "default", "ecs", "alexa", "root", "a-b-c-d-e-f-g-h-i-j",
		"a1-b2-c3-d4-e5-f6-g7", "elb", "awsreserved", "x-final", "sgx", "arn", "abcdefghijklmnopqrst", "a-0-1-2-3-4-5-6-7-8", strings.Repeat("z", 20), "s3",
	} {
		if naming.CheckStack(stack) != nil {
			if !strings.HasPrefix(stack+"-", "internal-") {
				t.Errorf("stack name %q is refused", stack)
			}
			continue
		}
		for method, d := range derived {
			if d.kind == "" {
				continue
			}
			rule, known := nameRules[d.kind]
			if !known {
				t.Fatalf("there is no rule for the name of a %s", d.kind)
			}
			regions := everywhere
			if method != "Role" { // no other name contains the region
				regions = regions[:1]
			}
			for _, region := range regions {
				for _, name := range d.names(naming.Names{Stack: stack, Region: region}) {
					if !rule.allows(name) {
						t.Errorf("stack %s in %s: AWS accepts no %s called %q (Names.%s)", stack, region, d.kind, name, method)
					}
				}
			}
		}
	}
}

// TestRoleNamesAreUnique compares the role names of stacks whose names could be
// confused: no two stacks may get the same one.
func TestRoleNamesAreUnique(t *testing.T) {
	t.Parallel()
	names := map[string]string{}
	for _, region := range partitiontest.Regions(t) {
		for _, stack := range []string{"a", strings.Repeat("a", 20), "a-" + region, "a-us-gov", "a-eusc"} {
			if naming.CheckStack(stack) != nil {
				continue
			}
			for _, role := range []string{naming.ExecutionRole, naming.TaskRole, naming.BalancingRole} {
				name := naming.Names{Stack: stack, Region: region}.Role(role)
				if other := names[name]; other != "" {
					t.Errorf("role %s is of stack %s in %s and of %s", name, stack, region, other)
				}
				names[name] = stack + " in " + region
			}
		}
	}
}

func TestStackNames(t *testing.T) {
	t.Parallel()
	for name, ok := range map[string]bool{
		"book": true, "a-1-b": true, "": false, "Book": false, "1book": false, "book-": false, "a--b": false,
		"internal": false, "internal-books": false, "internals": true, strings.Repeat("a", 20): true, strings.Repeat("a", 21): false,
	} {
		if err := naming.CheckStack(name); (err == nil) != ok {
			t.Errorf("stack name %q: %v", name, err)
		}
	}
}

// TestAStackBesideAnotherHasANameOfItsOwn takes names that end as the new one, and as long ones
// as there are.
func TestAStackBesideAnotherHasANameOfItsOwn(t *testing.T) {
	t.Parallel()
	for stack, want := range map[string]string{
		"book": "book-restored", "book-restored": "book-restored-again", "book-restored-again": "book-restor-restored",
		strings.Repeat("a", 20): "aaaaaaaaaaa-restored", "aaaaaaaaaa-bbbbb": "aaaaaaaaaa-restored", "aaaaaaaaaaa-restored": "aaaaaaaaaaa-re-again",
	} {
		if got := naming.OtherStack(stack); got != want || naming.CheckStack(got) != nil {
			t.Errorf("beside stack %s: %s, want %s: %v", stack, got, want, naming.CheckStack(got))
		}
	}
}
