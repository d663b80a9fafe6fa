package provision

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// nameRule is what an API demands of the name of a thing.
type nameRule struct {
	least, most int
	pattern     string
	never       []string // what it may not begin with
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
	// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RegisterTaskDefinition.html
	"task definition": {1, 255, `[a-zA-Z0-9_-]+`, nil, nil},
	// https://docs.aws.amazon.com/systems-manager/latest/userguide/sysman-paramstore-su-create.html
	"parameter": {1, 1011, `(/[a-zA-Z0-9_.-]+){1,15}`, []string{"/aws", "/ssm"}, nil},
	// https://docs.aws.amazon.com/tag-editor/latest/userguide/tagging.html
	"tag": {0, 256, `[\p{L}\p{Z}\p{N}_.:/=+\-@]*`, []string{"aws:"}, nil},
}

// allows says whether an API takes the name.
func (r nameRule) allows(name string) bool {
	for _, prefix := range r.never {
		if strings.HasPrefix(strings.ToLower(name), prefix) {
			return false
		}
	}
	return len(name) >= r.least && len(name) <= r.most && regexp.MustCompile(`^(?:`+r.pattern+`)$`).MatchString(name) && (r.other == nil || r.other(name))
}

// namesOf are the names that a stack gives, by kind. Resources without one are
// known by their tags.
func namesOf(t *testing.T, s *Stack) map[string][]string {
	t.Helper()
	names := map[string][]string{}
	add := func(kind string, of ...string) { names[kind] = append(names[kind], of...) }
	for _, r := range s.Resources() {
		switch x := r.(type) {
		case *SecurityGroup:
			add("security group", x.groupName())
		case *LoadBalancer:
			add("load balancer", x.loadBalancerName())
		case *TargetGroup:
			add("target group", x.groupName())
		case *Database:
			add("database", x.databaseName())
			add("snapshot", finalSnapshotName(x.stack, "db-ABCDEFGHIJKLMNOPQRSTUVWXYZ", time.Now()))
		case *DBSubnetGroup:
			add("DB subnet group", x.groupName())
		case *DBParameterGroup:
			add("DB parameter group", x.groupName())
		case *Role:
			add("role", aws.ToString(x.roleName()))
		case *Secret:
			add("secret", x.secretName())
		case *LogGroup:
			add("log group", x.groupName())
		case *Repository:
			add("repository", x.repositoryName())
		case *Cluster:
			add("cluster", x.clusterName())
		case *Service:
			add("service", x.serviceName())
		case *TaskDefinition:
			add("task definition", x.family())
		case *VPC, *InternetGateway, *Subnet, *RouteTable, *DefaultGroup, *ServiceLinkedRole, *Image, *Listener, *Scaling, *Certificate, *DNSRecord:
		default:
			t.Errorf("%T is not known: which rule holds for its name?", r)
		}
	}
	add("parameter", lockPath(s.spec.Stack)+firstClaim, lockPath(s.spec.Stack)+"ABCDEFGHIJKLMNOPQRSTUVWXYZ.lease")
	for _, r := range s.Resources() {
		if n, ok := r.(interface{ Name() string }); ok {
			for k, v := range (identity{stack: s.spec.Stack}).tags(n.Name()) {
				add("tag", k, v)
			}
		}
	}
	return names
}

// TestEveryNameIsOneThatAWSTakes holds the names that stacks give against the
// documented rules, for stack names that are short, long, and like words which AWS
// keeps for itself.
func TestEveryNameIsOneThatAWSTakes(t *testing.T) {
	t.Parallel()
	clients := NewClients(aws.Config{Region: "us-east-1"})
	for _, stack := range []string{
		"a", "book", "sg", "sg-x", "s", "internal2", "internals", "internal", "internal-x", "aws", "aws-x", "amazon", "ssm", "rds", "default", "ecs", "alexa", "root", "a-b-c-d-e-f-g-h-i-j",
		"a1-b2-c3-d4-e5-f6-g7", "elb", "awsreserved", "x-final", "sgx", "arn", "abcdefghijklmnopqrst", "a-0-1-2-3-4-5-6-7-8", strings.Repeat("z", 20), "s3",
	} {
		if CheckStackName(stack) != nil {
			if !strings.HasPrefix(stack+"-", "internal-") {
				t.Errorf("stack name %q is refused", stack)
			}
			continue
		}
		settings := DefaultSettings()
		settings.Domain, settings.Max, settings.Min = "books.example.com", 2, 1
		s, err := NewStack(clients, Spec{Stack: stack, Zones: [2]string{"a", "b"}, Settings: settings})
		if err != nil {
			t.Fatal(err)
		}
		for kind, names := range namesOf(t, s) {
			rule, known := nameRules[kind]
			if !known {
				t.Fatalf("there is no rule for the name of a %s", kind)
			}
			for _, name := range names {
				if !rule.allows(name) {
					t.Errorf("stack %s: AWS takes no %s called %q", stack, kind, name)
				}
			}
		}
	}
}
