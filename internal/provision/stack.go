package provision

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/acm"
	"github.com/aws/aws-sdk-go-v2/service/applicationautoscaling"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	cloudwatchschemas "github.com/aws/aws-sdk-go-v2/service/cloudwatch/schemas"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/resourcegroupstaggingapi"
	"github.com/aws/aws-sdk-go-v2/service/route53"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/transport/http/protocol/awsquery"

	"github.com/bookctl/bookctl/internal/inventory"
	"github.com/bookctl/bookctl/internal/naming"
	"github.com/bookctl/bookctl/internal/partition"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// Resource is a resource of a stack. Most are a graph.Updater, and all that are deleted
// with the stack are a graph.Remover.
type Resource = graph.Maker

// Spec describes which stack is wanted.
type Spec struct {
	// Stack is the stack's name; see naming.CheckStack.
	Stack string
	// Version is the version of bookctl, written to TagVersion.
	Version string
	// Zones are two availability zones, for example us-east-1a and us-east-1b. For a
	// deployed stack they are in Deployed. In an existing VPC its subnets have them.
	Zones [2]string
	// Settings are the settings that the user chose.
	Settings
	// Source builds the image, unless Settings.Image names a ready one. Nil
	// keeps Running.
	Source ImageSource
	// Running is the image that is deployed; see Deployed.
	Running string
	// RolledBackFrom is the revision that a rollback leaves, and Repeats the one that it
	// returns to, to be recorded; both are 0 for other runs.
	RolledBackFrom, Repeats int32
	// Released reports whether the release that a rollback returns to has served, so that
	// its release command does not run again.
	Released bool
	// Deployed, if it was just read, answers the first reads, so that nothing is read
	// twice. It may be nil.
	Deployed *Deployed
	// Release hears of the release command.
	Release ReleaseWatch
	// Wait makes the service ready only when its rollout is over and its tasks
	// are healthy.
	Wait bool
	// Restore is the snapshot that a new database is created from: its id, or "latest" for
	// the stack's newest.
	Restore string
	// NewDatabase allows a run to create the database. Only an up does that, and only one that
	// has seen none: to other runs, a database that is gone is one that somebody deleted, and
	// none of them may put an empty one in its place.
	NewDatabase bool
	// CopyFrom is a snapshot of another region or account. It is copied, and the database
	// is restored from the copy instead of from Restore; nil for none.
	CopyFrom *Snapshot
	// Paused makes the paused state the wanted one, so that it is no drift. It is only for
	// observing a stack: runs create stacks that serve.
	Paused bool
	// startEarly starts tasks while the database is created; Run.Up sets it. It decides how
	// resources are created, not what they should be: existing resources are right either
	// way.
	startEarly bool
	// afterCutOff reports whether the previous run was interrupted; Run sets it.
	afterCutOff bool
	// alarmed reports whether the deployed stack was to have alarms, which may still exist;
	// Run.Up sets it.
	alarmed bool
	// destroying reports whether the stack is being deleted; Run.Destroy sets it.
	destroying bool
	// Said are the settings that this run was given, by their flags. Protection that was
	// raised by hand above the recorded one stays, unless its flag was given.
	Said map[string]bool
	// UpgradeFrom is the version of a database that the run upgrades to another major
	// version; "" for none. See preflight.Environment.
	UpgradeFrom string
	// SkipFinalSnapshot makes destroy delete the database without a final snapshot.
	SkipFinalSnapshot bool
	// beforeDatabaseGoes deletes what is only known to be the stack's while its database is
	// there; Run.Destroy sets it. While it fails, the database stays. Nil for nothing.
	beforeDatabaseGoes func(context.Context) error
}

func (s Spec) check() error {
	if err := naming.CheckStack(s.Stack); err != nil {
		return err
	}
	if s.VPC == "" && (s.Zones[0] == "" || s.Zones[0] == s.Zones[1]) {
		return errors.New("a stack needs two different availability zones")
	}
	return s.Check()
}

// postgresPort is the port of the database.
const postgresPort = 5432

// Clients are the AWS clients of a stack. Each resource gets only those that it needs.
type Clients struct {
	ACM        *acm.Client
	Scaling    *applicationautoscaling.Client
	CloudWatch *cloudwatch.Client
	EC2        *ec2.Client
	ECR        *ecr.Client
	ECS        *ecs.Client
	ELB        *elasticloadbalancingv2.Client
	Events     *eventbridge.Client
	IAM        *iam.Client
	Logs       *cloudwatchlogs.Client
	RDS        *rds.Client
	Route53    *route53.Client
	Secrets    *secretsmanager.Client
	SNS        *sns.Client
	SSM        *ssm.Client
	STS        *sts.Client
	Tagging    *resourcegroupstaggingapi.Client

	caller *caller
}

// NewClients creates the clients from one configuration.
func NewClients(c aws.Config) Clients {
	identity := sts.NewFromConfig(c)
	return Clients{
		caller:  newCaller(identity),
		ACM:     acm.NewFromConfig(c),
		Scaling: applicationautoscaling.NewFromConfig(c),
		CloudWatch: cloudwatch.NewFromConfig(c, func(o *cloudwatch.Options) {
			// CloudWatch supports the query protocol besides its newer ones, which
			// emulators don't implement:
			// https://github.com/boto/botocore/blob/develop/botocore/data/cloudwatch/2010-08-01/service-2.json
			o.Protocol = awsquery.New(cloudwatchschemas.GraniteServiceVersion20100801)
		}),
		EC2:     ec2.NewFromConfig(c),
		ECR:     ecr.NewFromConfig(c),
		ECS:     ecs.NewFromConfig(c),
		ELB:     elasticloadbalancingv2.NewFromConfig(c),
		Events:  eventbridge.NewFromConfig(c),
		IAM:     iam.NewFromConfig(c),
		Logs:    cloudwatchlogs.NewFromConfig(c),
		RDS:     rds.NewFromConfig(c),
		Route53: route53.NewFromConfig(c),
		Secrets: secretsmanager.NewFromConfig(c),
		SNS:     sns.NewFromConfig(c),
		SSM:     ssm.NewFromConfig(c),
		STS:     identity,
		Tagging: resourcegroupstaggingapi.NewFromConfig(c),
	}
}

// DefaultDBVersion is the PostgreSQL major version of a new database if the endpoint does
// not report RDS's default, as emulators don't.
const DefaultDBVersion = "17"

// Stack is a stack's resources, wired together.
type Stack struct {
	spec      Spec
	resources []Resource

	// For Status and Evidence.
	logGroup   *LogGroup
	repository *Repository
	image      *Image
	database   *Database
	balancer   *LoadBalancer
	targets    *TargetGroup
	service    *Service

	alarmTopic  *AlarmTopic     // nil without alarms
	alarms      *Alarms         // likewise
	release     *ReleaseCommand // nil without one
	certificate *Certificate    // nil without --domain, or with an existing one
}

// Resources returns all resources in dependency order, for graph.Up, graph.Observe and
// graph.Destroy.
func (s *Stack) Resources() []Resource { return s.resources }

// Balancing returns the resources that determine the URL, for reading only that.
func (s *Stack) Balancing() []Resource { return []Resource{s.balancer} }

// Deferred returns the changes that AWS did not accept yet. That is no failure: a later run
// makes them.
func (s *Stack) Deferred() []string {
	if s.database.sent.busy == "" {
		return nil
	}
	have := int32(0)
	if live := s.database.instanceSeen(); live != nil {
		have = aws.ToInt32(live.AllocatedStorage)
	}
	return []string{fmt.Sprintf("the storage of the database stays %s for now, and is not %s: %s", gib(have), gib(s.database.want.storage), stillOptimizing)}
}

// Unrenewed returns why the certificate of the stack is not renewed before it expires, or "".
func (s *Stack) Unrenewed() string {
	if s.certificate == nil || s.certificate.Last() == nil || s.certificate.Last().unrenewed == "" {
		return ""
	}
	return "the certificate of " + s.spec.Domain + ": " + s.certificate.Last().unrenewed
}

// unjudged returns the raised alarms for which ECS does not judge the release that an Up is
// about to begin; nil where none begins, or alarms would not judge it anyway.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-alarm-failure.html
func (s *Stack) unjudged(found []graph.Finding) []string {
	live := s.service.Last()
	if s.alarms == nil || s.alarms.Last() == nil || live == nil || s.service.rolloutConfiguration(s.service.strategyToSet(), live.judged).Alarms == nil {
		return nil
	}
	begins := slices.ContainsFunc(found, func(f graph.Finding) bool {
		return f.Name == s.service.definition.Name() && (f.Phase == graph.Absent || NewRelease(f.Drift)) ||
			f.Name == s.service.Name() && slices.ContainsFunc(f.Drift, func(c graph.Change) bool { return c.Field == "task-definition" })
	})
	if !begins {
		return nil
	}
	raised := slices.DeleteFunc(s.alarms.Last().raised(), func(name string) bool {
		return !slices.Contains(s.service.want.judges, s.alarms.names().Alarm(name))
	})
	if len(raised) == 0 {
		return nil
	}
	return raised
}

// Silent reports whether tasks run that began before this run created their log group. They
// write into none: the driver makes its stream only when it starts.
// https://github.com/moby/moby/pull/53371
func (s *Stack) Silent() bool {
	live := s.service.Last()
	return s.logGroup.isNew && !s.service.released && live != nil && live.desired > 0
}

// Spared returns the resources of the stack that a destroy kept because others need them,
// or may.
func (s *Stack) Spared() []string {
	if s.certificate == nil {
		return nil
	}
	return slices.Sorted(maps.Values(s.certificate.spared))
}

// Options are the options of graph for the stack: its owner, and the meaning of AWS's
// errors. The caller adds Guard and Observe.
func (s *Stack) Options() graph.Options {
	return graph.Options{Owner: s.spec.Stack, Transient: Transient, Propagating: Propagating, Ambiguous: Ambiguous, Exists: Exists, Fatal: Expired}
}

// abandonRelease makes ECS stop the task of the release command of a failed run.
func (s *Stack) abandonRelease(ctx context.Context) error {
	if s.release == nil {
		return nil
	}
	// Also when the run was interrupted.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	return s.release.abandon(ctx)
}

// abandonCheck gives back the health check that a failed run has set for a release that does
// not serve.
func (s *Stack) abandonCheck(ctx context.Context) error {
	// Also when the run was interrupted.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	return s.service.abandonCheck(ctx)
}

// URL returns the address of the service, or "" before the load balancer exists. It is
// known after the graph was run or observed.
func (s *Stack) URL() string {
	host := s.balancer.DNSName()
	if host == "" {
		return ""
	}
	scheme, port, usual := "http", s.spec.Port, int32(80)
	if s.spec.Secure() {
		scheme, port, usual = "https", s.spec.HTTPSPort, 443
	}
	if s.spec.Domain != "" {
		host = s.spec.Domain
	}
	if port == usual {
		return scheme + "://" + host
	}
	return fmt.Sprintf("%s://%s:%d", scheme, host, port)
}

// registryLogin allows the execution role to read the secret of a registry, and to use any
// key that encrypts it for that alone
// (https://docs.aws.amazon.com/secretsmanager/latest/userguide/security-encryption.html).
func registryLogin(secret string) []statement {
	if secret == "" {
		return nil
	}
	part := strings.SplitN(secret, ":", 6) // arn, partition, service, region, account
	return []statement{
		{Effect: "Allow", Action: []string{"secretsmanager:GetSecretValue"}, Resource: []string{secret}},
		{Effect: "Allow", Action: []string{"kms:Decrypt"}, Resource: []string{fmt.Sprintf("arn:%s:kms:%s:%s:key/*", part[1], part[3], part[4])},
			Condition: condition{"StringEquals": {
				"kms:ViaService":                  {"secretsmanager." + part[3] + "." + partition.Of(part[3]).Suffix},
				"kms:EncryptionContext:SecretARN": {secret},
			}}},
	}
}

// parameterRead allows the execution role to read a parameter of Parameter Store.
func parameterRead(arn string) []statement {
	part := strings.SplitN(arn, ":", 6)
	return []statement{
		{Effect: "Allow", Action: []string{"ssm:GetParameters"}, Resource: []string{arn}},
		{Effect: "Allow", Action: []string{"kms:Decrypt"}, Resource: []string{fmt.Sprintf("arn:%s:kms:%s:%s:key/*", part[1], part[3], part[4])},
			Condition: condition{"StringEquals": {
				"kms:ViaService":                      {"ssm." + part[3] + "." + partition.Of(part[3]).Suffix},
				"kms:EncryptionContext:PARAMETER_ARN": {arn},
			}}},
	}
}

// mayShift is the permission for ECS to shift the traffic: the statements of AWS's own
// policy, limited to the stack's resources:
// https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AmazonECSInfrastructureRolePolicyForLoadBalancers.html
func mayShift(listener string, groups ...string) []statement {
	of := func(service string) string { return "elasticloadbalancing:" + service }
	return []statement{
		// These actions support no resources.
		{Effect: "Allow", Action: []string{of("DescribeListeners"), of("DescribeRules"), of("DescribeTargetGroups"), of("DescribeTargetHealth")}, Resource: []string{"*"}},
		{Effect: "Allow", Action: []string{of("RegisterTargets"), of("DeregisterTargets")}, Resource: groups},
		{Effect: "Allow", Action: []string{of("ModifyListener")}, Resource: []string{listener}},
		{Effect: "Allow", Action: []string{of("ModifyRule")}, Resource: []string{strings.Replace(listener, ":listener/", ":listener-rule/", 1) + "/*"}},
	}
}

// NewStack creates all resources of a stack, in dependency order. It makes no calls.
func NewStack(c Clients, spec Spec) (*Stack, error) {
	if err := spec.check(); err != nil {
		return nil, err
	}
	who := identity{stack: spec.Stack, version: spec.Version, given: spec.Tags, settings: spec.record(), region: c.IAM.Options().Region, destroying: spec.destroying}
	who.settings[definitionPart][tagTaskPolicies] = policiesText(spec.TaskPolicies)
	if spec.Released && spec.ReleaseCommand != "" {
		who.settings[definitionPart][tagReleased] = "of revision " + decimal(&spec.Repeats)
	}
	if spec.RolledBackFrom != 0 {
		who.settings[definitionPart][tagRolledBack], who.settings[definitionPart][tagRelease] = decimal(&spec.RolledBackFrom), decimal(&spec.Repeats)
	}
	var have Deployed
	if spec.Deployed != nil {
		have = *spec.Deployed
	}
	if who.observation = have.observation; who.observation == nil {
		who.observation = &observation{}
	}
	if !spec.afterCutOff { // else what a create call answers may have been made by another run
		who.hints = newTagHints(have.hints)
	}
	n := newNetwork(who, c.EC2)

	net := newOwnNetwork(n, spec)
	if spec.VPC != "" {
		net = newGivenNetwork(n, spec)
	}

	linked := linkedRoles{identity: who, iam: c.IAM}
	// Allowed are internet to load balancer, load balancer to tasks, tasks to database, and
	// HTTPS from the tasks to their image, secret and log, what the user says that they
	// connect to besides, and nothing else. A rule that
	// refers to a group which is created later has an address range instead, so that the
	// groups form no cycle.
	outOfBalancer := func(port int32, also []GivenRange) []rule {
		return append(collect(net.public, func(s subnetwork) rule { return rule{egress: true, port: port, peer: s.addresses()} }),
			collect(also, func(r GivenRange) rule { return rule{egress: true, port: port, peer: r.CIDR} })...)
	}
	lb := newSecurityGroup(n, "sg-load-balancer", "Load balancer of the stack", net.vpc, net.read(net.public), func() []rule {
		rules := append([]rule{{port: spec.Port, peer: anywhere}}, outOfBalancer(spec.ContainerPort, nil)...)
		if spec.Secure() {
			rules = append(rules, rule{port: spec.HTTPSPort, peer: anywhere})
		}
		return rules
	})
	intoTask := func(port int32, _ []GivenRange) []rule { return []rule{{port: port, peer: lb.ID()}} }
	rdsRole := newServiceLinkedRole(linked, "rds", "rds.amazonaws.com", true, have.Database)
	data := databases{identity: who, rds: c.RDS}
	dbSubnets := newDBSubnetGroup(data, rdsRole, net.data...)
	// Given subnets can change, and the database's are another way for the tasks, and recorded,
	// only when RDS has taken them.
	var settled []graph.Finder
	if net.given && !spec.NoDatabase && !spec.destroying {
		settled = append(settled, dbSubnets)
	}
	task := newSecurityGroup(n, "sg-task", "Tasks of the stack", net.vpc, slices.Concat(net.read(net.data), settled, []graph.Finder{lb}), func() []rule {
		rules := append(intoTask(spec.ContainerPort, nil), spec.outgoing()...)
		if spec.NoDatabase {
			return rules
		}
		return append(rules, collect(net.data, func(s subnetwork) rule { return rule{egress: true, port: postgresPort, peer: s.addresses()} })...)
	})
	database := newSecurityGroup(n, "sg-database", "Database of the stack", net.vpc, []graph.Finder{task}, func() []rule {
		return []rule{{port: postgresPort, peer: task.ID()}}
	})

	ecsRole := newServiceLinkedRole(linked, "ecs", "ecs.amazonaws.com", true, have.exists.service)
	elbRole := newServiceLinkedRole(linked, "elb", "elasticloadbalancing.amazonaws.com", true, have.Balanced)
	scalingRole := newServiceLinkedRole(linked, "scaling", "ecs.application-autoscaling.amazonaws.com", spec.Max != 0, false)

	secret := newSecret(who, c.Secrets, spec.DBName, spec.DBUser)
	want := databaseSpecOf(spec.Settings)
	family := want.family()
	if spec.DBVersion == "" || spec.destroying { // not settled yet, so that the family of one that is there is right
		family = ""
	}
	dbParameters := newDBParameterGroup(data, family)
	retention := logRetention{days: spec.LogDays, said: spec.Said["log-days"]}
	logs := logGroups{identity: who, logs: c.Logs, who: c.caller}
	dbLogs := newDatabaseLogGroup(logs, retention)
	var upgraded *UpgradeSnapshot
	if spec.UpgradeFrom != "" && !spec.destroying {
		upgraded = newUpgradeSnapshot(data, want.version)
	}
	var copied *SnapshotCopy
	restore := spec.Restore
	if spec.CopyFrom != nil && !spec.destroying {
		copied = newSnapshotCopy(data, *spec.CopyFrom)
		restore = copied.copyName()
	}
	db := newDatabase(data, c.Secrets, secret, database, dbSubnets, dbParameters, dbLogs, upgraded, copied, want, spec.Said, databaseOptions{
		restore: restore, skipSnapshot: spec.SkipFinalSnapshot, beforeGoing: spec.beforeDatabaseGoes, destroying: spec.destroying, urls: !spec.LocatesDatabase, paused: spec.Paused,
	})
	logGroup := newLogGroup(logs, retention)
	run := containers{identity: who, ecs: c.ECS}
	served := servedImages{containers: run, ecr: c.ECR}
	repository := newRepository(who, c.ECR, served)
	source, ready := spec.Source, spec.Image
	if ready != "" {
		source = nil
	} else if source == nil {
		ready = spec.Running
	}
	image := newImage(who, c.ECR, repository, served, source, ready)
	var credentialed []graph.Finder // what the roles name of the database
	if !spec.NoDatabase {
		credentialed = append(credentialed, secret)
	}
	credentialed = append(credentialed, settled...)
	execution := append(slices.Clone(credentialed), repository)
	var environment *EnvironmentSecret
	if spec.destroying || len(spec.OwnSecrets()) > 0 {
		environment = newEnvironmentSecret(who, c.Secrets)
		execution = append(execution, environment)
	}
	// What a role has to allow for a release: for its tasks that are started, and for those
	// that run.
	forExecution := func(s Settings, image string) []statement {
		images := []string{repository.ID()}
		if arn := RepositoryARN(image); arn != "" && arn != repository.ID() {
			images = append(images, arn)
		}
		may := append(registryLogin(s.RegistrySecret), s.secretReads()...)
		if !spec.NoDatabase {
			may = append(may, statement{Effect: "Allow", Action: []string{"secretsmanager:GetSecretValue"}, Resource: []string{secret.ID()}})
		}
		return append(may, []statement{
			// GetAuthorizationToken supports no resources:
			// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelasticcontainerregistry.html
			{Effect: "Allow", Action: []string{"ecr:GetAuthorizationToken"}, Resource: []string{"*"}},
			{Effect: "Allow", Action: []string{"ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"}, Resource: images},
			{Effect: "Allow", Action: []string{"logs:CreateLogStream", "logs:PutLogEvents"}, Resource: []string{logGroup.ID() + ":*"}},
		}...)
	}
	forTask := func(s Settings, _ string) []statement {
		// Tasks that start before the database read its address from the secret; they have
		// the rest in their environment.
		var may []statement
		if s.LocatesDatabase && !spec.NoDatabase {
			may = append(may, statement{Effect: "Allow", Action: []string{"secretsmanager:GetSecretValue"}, Resource: []string{secret.ID()}})
		}
		if spec.Exec {
			// The actions for ECS Exec support no resources:
			// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html#ecs-exec-required-iam-permissions
			may = append(may, statement{Effect: "Allow", Resource: []string{"*"}, Action: []string{
				"ssmmessages:CreateControlChannel", "ssmmessages:CreateDataChannel", "ssmmessages:OpenControlChannel", "ssmmessages:OpenDataChannel",
			}})
		}
		return may
	}
	roleOf := func(name string, needs []graph.Finder, may func(Settings, string) []statement) *Role {
		permissions := func() []statement { return may(spec.Settings, ready) }
		r := newRole(who, c.IAM, name, spec.Boundary, logGroup, needs, permissions)
		if !spec.destroying {
			r.former = func(ctx context.Context) (need, error) {
				former, err := run.formerNeeds(ctx, spec.Settings, may, permissions())
				if name != naming.TaskRole {
					former.policies = nil
				}
				return former, err
			}
		}
		return r
	}
	executionRole, taskRole := roleOf(naming.ExecutionRole, execution, forExecution), roleOf(naming.TaskRole, credentialed, forTask)
	taskRole.policies = spec.taskPolicies()

	balance := balancing{identity: who, elb: c.ELB}
	balancer := newLoadBalancer(balance, elbRole, net.gateway, lb, protection{on: spec.Protect, said: spec.Said["protect"]}, spec.IdleTimeout, net.public...)
	targets := newTargetGroup(balance, net.vpc, targetSpec{port: spec.ContainerPort, path: spec.HealthPath, codes: spec.HealthStatus, sticky: spec.Sticky, drain: spec.drainTime()})
	// What shifting the traffic needs stays with a stack that has it.
	strategy := spec.Strategy()
	var second *TargetGroup
	if spec.twoGroups() || spec.destroying {
		second = newSecondTargetGroup(balance, net.vpc, targets.want)
	}
	plain := listenerSpec{port: spec.Port, protocol: elbtypes.ProtocolEnumHttp}
	var https []Resource // what the service is served by besides
	var redirected []graph.Finder
	var front *Listener // that forwards
	var own *Certificate
	var zone *hostedZone
	if spec.Secure() || spec.destroying { // which may not know any more how the stack was served
		secure := listenerSpec{port: spec.HTTPSPort, protocol: elbtypes.ProtocolEnumHttps, certificate: func() string { return spec.Certificate }}
		zone = &hostedZone{client: c.Route53, domain: spec.Domain, everywhere: spec.destroying}
		var needs []graph.Finder
		if spec.Certificate == "" || spec.destroying {
			certificate := newCertificate(who, c.ACM, c.EC2, zone, spec.Domain)
			secure.certificate, own = certificate.ID, certificate
			https, needs = append(https, certificate), append(needs, certificate)
		}
		secured := newListener(balance, secureListener, balancer, targets, second, secure, false, nil, needs...)
		front = secured
		https = append(https, secured)
		// HTTP is redirected only once HTTPS works.
		plain.redirect, redirected = spec.HTTPSPort, []graph.Finder{secured}
	}
	listener := newListener(balance, "listener", balancer, targets, second, plain, true, []string{secureListener}, redirected...)
	listening := []Resource{listener}
	var record *DNSRecord
	if spec.Domain != "" || spec.destroying {
		record = newDNSRecord(who, zone, balancer, own, listener)
		listening = append(listening, record)
	}
	if front == nil {
		front = listener
	}
	front.traffic = run.traffic
	var shifters []Resource
	var shift []graph.Finder
	var balancingRole *Role
	if second != nil {
		balancingRole = newRole(who, c.IAM, naming.BalancingRole, spec.Boundary, logGroup, []graph.Finder{targets, second, front}, func() []statement {
			return mayShift(front.ID(), targets.ID(), second.ID())
		})
		balancingRole.forECS = true
		shifters, shift = []Resource{second, balancingRole}, []graph.Finder{second, balancingRole, front}
	}
	cluster := newCluster(run, ecsRole, spec.Spot)
	definition := newTaskDefinition(run, image, executionRole, taskRole, secret, logGroup, db, targets, earlyTasks{database: db, allowed: spec.startEarly}, taskSpec{
		cpu: spec.CPU, memory: spec.Memory, storage: spec.EphemeralStorage, arch: spec.Arch, port: spec.ContainerPort, exec: spec.Exec, registrySecret: spec.RegistrySecret,
		command: spec.Command, releaseCommand: spec.ReleaseCommand, user: spec.User, readOnly: spec.ReadOnlyRoot, stopTimeout: spec.StopTimeout, healthCommand: spec.HealthCommand, healthGrace: spec.HealthGrace,
		settings: spec.Settings,
	})
	limits := bounds{min: spec.Min, max: spec.Max}
	var release *ReleaseCommand
	var releases []Resource
	var released []graph.Finder // what the service waits for besides
	if spec.ReleaseCommand != "" && !spec.destroying {
		words, _ := splitWords(spec.ReleaseCommand) // checked with the settings
		release = newReleaseCommand(run, c.Logs, cluster, definition, net.routes, task, net.public, words, time.Duration(spec.ReleaseTimeout)*time.Minute, spec.Release)
		releases, released = []Resource{release}, []graph.Finder{release}
	}
	// Before the service, which records who is notified.
	var topic *AlarmTopic
	var alarms *Alarms
	var judges []string
	alarming := newAlarming(who, c, spec.Settings)
	if alarming.wanted() || spec.destroying || spec.alarmed || spec.Deployed.alarmed() {
		var watched *databaseSpec
		if !spec.NoDatabase {
			watched = &want
		}
		topic = newAlarmTopic(alarming)
		failed := newReleaseAlarm(alarming, topic)
		alarms = newAlarms(alarming, topic, balancer, targets, second, watched)
		releases, released = append(releases, topic, failed, alarms), append(released, topic, failed, alarms)
	}
	if alarming.wanted() {
		judges = []string{who.names().Alarm(alarmErrors), who.names().Alarm(alarmHealthy)}
	}
	service := newService(run, cluster, definition, listener, net.routes, targets, task, append(released, shift...), serviceSpec{
		count: spec.Count, bounds: limits, port: spec.ContainerPort, grace: spec.HealthGrace, exec: spec.Exec, paused: spec.Paused, spot: spec.Spot, base: spec.SpotBase, deploy: strategy, judges: judges,
	}, spec.Wait, net.public...)
	tasksAre := func(ctx context.Context) (serving, error) {
		at, err := targets.registered(ctx)
		if err == nil && second != nil {
			var more []elbtypes.TargetDescription
			more, err = second.registered(ctx)
			at = append(at, more...)
		}
		if err != nil || !net.given {
			return newServing(at, nil, nil), err
		}
		subnets, err := run.taskSubnets(ctx)
		return newServing(at, subnets, net.ranges()), err
	}
	for _, g := range []*SecurityGroup{lb, task} {
		g.ranges, g.serving = net.ranges, tasksAre
	}
	lb.toTasks, task.toTasks = outOfBalancer, intoTask
	if net.given && !spec.destroying {
		balancer.serving = tasksAre
	}
	service.balancer = balancer
	service.shift.second, service.shift.front, service.shift.role = second, front, balancingRole
	service.reached, service.roles = []*SecurityGroup{lb, task}, []*Role{executionRole, taskRole}
	scale := newScaling(who, c.Scaling, scalingRole, service, balancer, targets, second, limits, spec.Paused)
	service.inForce = scale.inForce
	if record != nil {
		record.service = service
	}
	for _, g := range service.groups() {
		g.inForce = run.checkInForce
	}
	after := []Resource{service, scale}       // in their order
	if alarming.wanted() || spec.destroying { // else the alarms go
		after = append(after, newAlarmActions(alarming, alarms, service, !spec.Paused && !spec.destroying))
	}

	dataParts := append(net.dataParts, database, rdsRole, secret, dbSubnets, dbParameters, dbLogs, db)
	resources := slices.Concat(net.before, []Resource{lb, task, database}, net.after, []Resource{
		ecsRole, elbRole, rdsRole, scalingRole,
		secret, dbSubnets, dbParameters, dbLogs, db, logGroup, repository, image, executionRole, taskRole,
		balancer, targets,
	}, https, listening, shifters, []Resource{cluster, definition}, releases, after)
	if environment != nil {
		resources = append(resources, environment)
	}
	if upgraded != nil {
		at := slices.Index(resources, Resource(db))
		resources = slices.Insert(resources, at, Resource(upgraded))
	}
	if copied != nil {
		// KMS rejects a copy before anything else is created.
		graph.First(copied, resources...)
		resources = slices.Insert(resources, 0, Resource(copied))
	}
	if spec.NoDatabase && !spec.destroying { // a destroy looks for all
		resources = slices.DeleteFunc(resources, func(r Resource) bool { return slices.Contains(dataParts, r) })
	}
	return &Stack{
		spec: spec, resources: resources,
		logGroup: logGroup, repository: repository, image: image, database: db, balancer: balancer, targets: targets, service: service, certificate: own, release: release, alarmTopic: topic, alarms: alarms,
	}, nil
}

// inventoryOf has the kinds of resources that a stack has, which are listed and
// deleted alongside the resources that make them. Those that can be deleted are in the
// order in which they go: what holds others first.
//
// Sweep takes the network and the load balancing alone, where ids and not names
// distinguish resources: the second VPC of a create whose answer was lost, a target
// group of an earlier release. Snapshots are no kind (see Snapshots), nor is the
// lock, which its Release removes.
//
// What was read of the stack, which may be nil, answers what is listed while the stack is
// observed.
func inventoryOf(c Clients, stack string, read *observation) inventory.Inventory {
	who := identity{stack: stack, region: c.IAM.Options().Region, observation: read}
	var (
		balance  = balancing{identity: who, elb: c.ELB}
		n        = network{identity: who, ec2: c.EC2}
		run      = containers{identity: who, ecs: c.ECS}
		data     = databases{identity: who, rds: c.RDS}
		alarming = newAlarming(who, c, Settings{})
	)
	return inventory.Inventory{
		Kinds: []inventory.Kind{
			balance.loadBalancerKind(), balance.targetGroupKind(),
			n.internetGatewayKind(), n.routeTableKind(), n.securityGroupKind(), n.subnetKind(), n.vpcKind(),
			run.clusterKind(), run.taskDefinitionKind(), who.scalableTargetKind(c.Scaling),
			data.databaseKind(), data.subnetGroupKind(), data.parameterGroupKind(),
			who.secretKind(c.Secrets), who.logGroupKind(c.Logs), who.repositoryKind(c.ECR), who.roleKind(c.IAM), who.certificateKind(c.ACM),
			alarming.topicKind(), alarming.alarmKind(), alarming.ruleKind(),
		},
		Explain: n.explain,
		Passes:  func(err error) bool { _, passes := Transient(err); return passes },
	}
}
