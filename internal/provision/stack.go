package provision

import (
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/bookctl/bookctl/internal/provision/graph"
)

// Resource is what every part of a stack can do.
type Resource interface {
	graph.Updater
	graph.Remover
}

// Spec says which stack is wanted.
type Spec struct {
	// Stack is the stack's name; see CheckStackName.
	Stack string
	// Version is the version of bookctl, written to TagVersion.
	Version string
	// Zones are two availability zones, for example us-east-1a and us-east-1b.
	Zones [2]string
	// ListenerPort is the port that the load balancer serves, usually 80.
	ListenerPort int32
	// ContainerPort is the port that tasks listen on, usually 8080.
	ContainerPort int32
	// DBClass is the class of the database instance, for example db.t4g.micro.
	DBClass string
	// DBStorage is the storage of the database in GiB, 20 to 65536.
	DBStorage int32
	// DBMultiAZ keeps a standby in the other zone.
	DBMultiAZ bool
	// Protect turns deletion protection of the database on.
	Protect bool
}

func (s Spec) check() error {
	if err := CheckStackName(s.Stack); err != nil {
		return err
	}
	if s.Zones[0] == "" || s.Zones[0] == s.Zones[1] {
		return errors.New("a stack needs two different availability zones")
	}
	for _, p := range []int32{s.ListenerPort, s.ContainerPort} {
		if p < 1 || p > 65535 {
			return errors.New("ports are from 1 to 65535")
		}
	}
	if !strings.HasPrefix(s.DBClass, "db.") {
		return fmt.Errorf("database class %q: name one such as db.t4g.micro", s.DBClass)
	}
	if s.DBStorage < 20 || s.DBStorage > 65536 {
		return fmt.Errorf("database storage %d GiB: gp3 storage is 20 to 65536 GiB", s.DBStorage)
	}
	return nil
}

// postgresPort is the port of the database.
const postgresPort = 5432

// Clients are the AWS clients that a stack is made with. Each resource is given
// only its own.
type Clients struct {
	EC2     *ec2.Client
	ECR     *ecr.Client
	IAM     *iam.Client
	Logs    *cloudwatchlogs.Client
	RDS     *rds.Client
	Secrets *secretsmanager.Client
}

// databaseFamily is the PostgreSQL major version of a stack's database.
const databaseFamily = "postgres17"

// backupDays is how long automated backups are kept.
const backupDays = 7

// logDays is how long the tasks' output is kept.
const logDays = 14

// Stack wires all resources of a stack, in the order in which they are needed.
// Nothing is called before the graph is run.
func Stack(c Clients, spec Spec) ([]Resource, error) {
	if err := spec.check(); err != nil {
		return nil, err
	}
	who := identity{stack: spec.Stack, version: spec.Version}
	n := network{identity: who, ec2: c.EC2}

	vpc := newVPC(n, "10.0.0.0/16")
	gateway := newInternetGateway(n, vpc)
	publicA := newSubnet(n, "subnet-public-a", vpc, subnetSpec{"10.0.0.0/24", spec.Zones[0], true})
	publicB := newSubnet(n, "subnet-public-b", vpc, subnetSpec{"10.0.1.0/24", spec.Zones[1], true})
	privateA := newSubnet(n, "subnet-private-a", vpc, subnetSpec{"10.0.10.0/24", spec.Zones[0], false})
	privateB := newSubnet(n, "subnet-private-b", vpc, subnetSpec{"10.0.11.0/24", spec.Zones[1], false})
	public := newRouteTable(n, "route-table-public", vpc, gateway, publicA, publicB)
	private := newRouteTable(n, "route-table-private", vpc, nil, privateA, privateB)

	// World to load balancer, load balancer to tasks, tasks to database, and
	// HTTPS out of the tasks for their image, secret and log: nothing else. A
	// rule that points at a group which is made later is an address range
	// instead, so that the groups don't form a cycle.
	lb := newSecurityGroup(n, "sg-load-balancer", "Load balancer of the stack", vpc, nil, func() []rule {
		return []rule{
			{port: spec.ListenerPort, peer: anywhere},
			{egress: true, port: spec.ContainerPort, peer: publicA.want.cidr},
			{egress: true, port: spec.ContainerPort, peer: publicB.want.cidr},
		}
	})
	task := newSecurityGroup(n, "sg-task", "Tasks of the stack", vpc, []graph.Finder{lb}, func() []rule {
		return []rule{
			{port: spec.ContainerPort, peer: lb.ID()},
			{egress: true, port: 443, peer: anywhere},
			{egress: true, port: postgresPort, peer: privateA.want.cidr},
			{egress: true, port: postgresPort, peer: privateB.want.cidr},
		}
	})
	database := newSecurityGroup(n, "sg-database", "Database of the stack", vpc, []graph.Finder{task}, func() []rule {
		return []rule{{port: postgresPort, peer: task.ID()}}
	})

	secret := newSecret(who, c.Secrets, "books", "bookapi")
	data := databases{identity: who, rds: c.RDS}
	dbSubnets := newDBSubnetGroup(data, privateA, privateB)
	dbParameters := newDBParameterGroup(data, databaseFamily)
	db := newDatabase(data, c.Secrets, secret, database, dbSubnets, dbParameters, databaseSpec{
		class: spec.DBClass, storage: spec.DBStorage, backups: backupDays, multiAZ: spec.DBMultiAZ, protected: spec.Protect,
	})
	logGroup := newLogGroup(who, c.Logs, logDays)
	repository := newRepository(who, c.ECR)
	executionRole := newRole(who, c.IAM, "execution-role", []graph.Finder{secret, logGroup, repository}, func() []statement {
		return []statement{
			// GetAuthorizationToken knows no resources:
			// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelasticcontainerregistry.html
			{Effect: "Allow", Action: []string{"ecr:GetAuthorizationToken"}, Resource: []string{"*"}},
			{Effect: "Allow", Action: []string{"ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"}, Resource: []string{repository.ID()}},
			{Effect: "Allow", Action: []string{"secretsmanager:GetSecretValue"}, Resource: []string{secret.ID()}},
			{Effect: "Allow", Action: []string{"logs:CreateLogStream", "logs:PutLogEvents"}, Resource: []string{logGroup.ID() + ":*"}},
		}
	})
	taskRole := newRole(who, c.IAM, "task-role", nil, nil)

	return []Resource{
		vpc, gateway, publicA, publicB, privateA, privateB, public, private, lb, task, database,
		secret, dbSubnets, dbParameters, db, logGroup, repository, executionRole, taskRole,
	}, nil
}
