package provision

import (
	"context"
	"slices"
	"time"

	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/bookctl/bookctl/internal/naming"
	"github.com/bookctl/bookctl/internal/partition"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// NewStack creates all resources of a stack, in dependency order. It makes no calls.
func NewStack(c Clients, spec Spec) (*Stack, error) {
	if err := spec.check(); err != nil {
		return nil, err
	}
	b := newStackBuilder(c, spec)
	b.securityGroups()
	b.databases()
	b.images()
	b.roles()
	b.loadBalancing()
	b.tasks()
	b.alarming()
	b.services()
	b.linkBack()
	return &Stack{
		spec: spec, resources: b.inOrder(),
		logGroup: b.logGroup, repository: b.repository, image: b.image, database: b.database, balancer: b.balancer, targets: b.targets, service: b.service,
		certificate: b.certificate, release: b.release, alarmTopic: b.topic, alarms: b.alarms,
	}, nil
}

// stackBuilder creates the resources of a stack. Each method creates some, from those of the
// methods before it in NewStack.
type stackBuilder struct {
	clients  Clients
	spec     Spec
	ident    identity
	deployed Deployed // empty where nothing was read
	ecs      ecsAccess

	rdsRole *ServiceLinkedRole
	ecsRole *ServiceLinkedRole
	elbRole *ServiceLinkedRole
	// scalingRole is Application Auto Scaling's.
	scalingRole *ServiceLinkedRole

	network networkParts
	// networkReady are what the ways to the database, and the roles, wait for in an existing VPC.
	networkReady []graph.Finder
	// forBalancer, forTasks and forDatabase are the security groups.
	forBalancer, forTasks, forDatabase *SecurityGroup

	rds          rdsAccess
	secret       *Secret
	dbSubnets    *DBSubnetGroup
	dbParameters *DBParameterGroup
	dbLogs       *LogGroup
	upgraded     *UpgradeSnapshot
	copied       *SnapshotCopy
	databaseSpec databaseSpec
	database     *Database

	logGroup    *LogGroup
	repository  *Repository
	image       *Image
	readyImage  string // the image that is not pushed by this run; "" else
	environment *EnvironmentSecret

	executionRole, taskRole *Role

	elb                    elbAccess
	balancer               *LoadBalancer
	targets, secondTargets *TargetGroup
	listener               *Listener
	forwarding             *Listener // the one that forwards
	certificate            *Certificate
	record                 *DNSRecord
	https                  []Resource
	listening              []Resource
	shiftParts             []Resource
	balancingRole          *Role

	cluster      *Cluster
	definition   *TaskDefinition
	release      *ReleaseCommand
	alarmAccess  alarmAccess // whom the alarms notify
	topic        *AlarmTopic
	releaseAlarm *ReleaseAlarm
	alarms       *Alarms
	service      *Service
	scaling      *Scaling
}

func newStackBuilder(c Clients, spec Spec) *stackBuilder {
	b := &stackBuilder{clients: c, spec: spec}
	b.ident = identity{stack: spec.Stack, version: spec.Version, userTags: spec.Tags, settings: spec.record(), region: c.IAM.Options().Region, destroying: spec.destroying}
	b.ident.settings[definitionPart][tagTaskPolicies] = policiesText(spec.TaskPolicies)
	if spec.Released && spec.ReleaseCommand != "" {
		b.ident.settings[definitionPart][tagReleased] = "of revision " + decimal(&spec.Repeats)
	}
	if spec.RolledBackFrom != 0 {
		b.ident.settings[definitionPart][tagRolledBack], b.ident.settings[definitionPart][tagRelease] = decimal(&spec.RolledBackFrom), decimal(&spec.Repeats)
	}
	if spec.Deployed != nil {
		b.deployed = *spec.Deployed
	}
	if b.ident.observation = b.deployed.observation; b.ident.observation == nil {
		b.ident.observation = &observation{}
	}
	if !spec.afterCutOff { // else what a create call answers may have been made by another run
		b.ident.hints = newTagHints(b.deployed.hints)
	}
	b.ecs = ecsAccess{identity: b.ident, ecs: c.ECS}
	linked := linkedRoleAccess{identity: b.ident, iam: c.IAM}
	b.ecsRole = newServiceLinkedRole(linked, "ecs", "ecs.amazonaws.com", true, b.deployed.exists.service)
	b.elbRole = newServiceLinkedRole(linked, "elb", "elasticloadbalancing.amazonaws.com", true, b.deployed.HasLoadBalancer)
	b.rdsRole = newServiceLinkedRole(linked, "rds", "rds.amazonaws.com", true, b.deployed.Database)
	b.scalingRole = newServiceLinkedRole(linked, "scaling", "ecs.application-autoscaling.amazonaws.com", spec.Max != 0, false)
	return b
}

// balancerEgress returns the rules by which the load balancer reaches tasks on a port: in its
// subnets, and in others.
func (b *stackBuilder) balancerEgress(port int32, also []SubnetInfo) []rule {
	return append(mapped(b.network.public, func(s anySubnet) rule { return rule{egress: true, port: port, peer: s.cidr()} }),
		mapped(also, func(r SubnetInfo) rule { return rule{egress: true, port: port, peer: r.CIDR} })...)
}

// taskIngress returns the rule by which the load balancer reaches the tasks.
func (b *stackBuilder) taskIngress(port int32, _ []SubnetInfo) []rule {
	return []rule{{port: port, peer: b.forBalancer.ID()}}
}

// securityGroups creates the network and the security groups in it. Allowed are internet to
// load balancer, load balancer to tasks, tasks to database, HTTPS from the tasks to their
// image, secret and log, what the user says that they connect to as well, and nothing else.
// A rule that refers to a group which is created later has an address range instead, so
// that the groups form no cycle.
func (b *stackBuilder) securityGroups() {
	n := newNetwork(b.ident, b.clients.EC2)
	if b.network = newOwnNetwork(n, b.spec); b.spec.VPC != "" {
		b.network = newExistingNetwork(n, b.spec)
	}
	b.forBalancer = newSecurityGroup(n, "sg-load-balancer", "Load balancer of the stack", b.network.vpc, b.network.unknownRanges(b.network.public), func() []rule {
		rules := append([]rule{{port: b.spec.Port, peer: anywhere}}, b.balancerEgress(b.spec.ContainerPort, nil)...)
		if b.spec.Secure() {
			rules = append(rules, rule{port: b.spec.HTTPSPort, peer: anywhere})
		}
		return rules
	})
	b.rds = rdsAccess{identity: b.ident, rds: b.clients.RDS}
	b.dbSubnets = newDBSubnetGroup(b.rds, b.rdsRole, b.network.data...)
	// Given subnets can change, and the database's are another way for the tasks, and recorded,
	// only when RDS has taken them.
	if b.network.existing && !b.spec.NoDatabase && !b.spec.destroying {
		b.networkReady = append(b.networkReady, b.dbSubnets)
	}
	b.forTasks = newSecurityGroup(n, "sg-task", "Tasks of the stack", b.network.vpc, slices.Concat(b.network.unknownRanges(b.network.data), b.networkReady, []graph.Finder{b.forBalancer}), func() []rule {
		rules := append(b.taskIngress(b.spec.ContainerPort, nil), b.spec.outgoing()...)
		if b.spec.NoDatabase {
			return rules
		}
		return append(rules, mapped(b.network.data, func(s anySubnet) rule { return rule{egress: true, port: postgresPort, peer: s.cidr()} })...)
	})
	b.forDatabase = newSecurityGroup(n, "sg-database", "Database of the stack", b.network.vpc, []graph.Finder{b.forTasks}, func() []rule {
		return []rule{{port: postgresPort, peer: b.forTasks.ID()}}
	})
}

// databases creates the database and what it needs.
func (b *stackBuilder) databases() {
	b.secret = newSecret(b.ident, b.clients.Secrets, b.spec.DBName, b.spec.DBUser)
	b.databaseSpec = databaseSpecOf(b.spec.Settings)
	family := b.databaseSpec.family()
	if b.spec.DBVersion == "" || b.spec.destroying { // not settled yet, so that the family of one that is there is right
		family = ""
	}
	b.dbParameters = newDBParameterGroup(b.rds, family)
	retention := logRetention{days: b.spec.LogDays, given: b.spec.GivenFlags["log-days"]}
	logs := logsAccess{identity: b.ident, logs: b.clients.Logs, caller: b.clients.caller}
	b.dbLogs, b.logGroup = newDatabaseLogGroup(logs, b.rds, retention), newLogGroup(logs, retention)
	if b.spec.UpgradeFrom != "" && !b.spec.destroying {
		b.upgraded = newUpgradeSnapshot(b.rds, b.databaseSpec.version)
	}
	restore := b.spec.Restore
	if b.spec.CopyFrom != nil && !b.spec.destroying {
		b.copied = newSnapshotCopy(b.rds, *b.spec.CopyFrom)
		restore = b.copied.copyName()
	}
	needs := databaseNeeds{
		secret: b.secret, group: b.forDatabase, subnets: b.dbSubnets, parameters: b.dbParameters, logs: b.dbLogs, upgraded: b.upgraded, copied: b.copied,
	}
	b.database = newDatabase(b.rds, b.clients.Secrets, needs, b.databaseSpec, databaseOptions{
		given: b.spec.GivenFlags, restore: restore, skipSnapshot: b.spec.SkipFinalSnapshot, beforeGoing: b.spec.beforeDatabaseGoes, destroying: b.spec.destroying, urls: !b.spec.LocatesDatabase, paused: b.spec.Paused,
	})
}

// images creates the repository and the image in it.
func (b *stackBuilder) images() {
	served := servedImages{ecsAccess: b.ecs, ecr: b.clients.ECR}
	b.repository = newRepository(b.ident, b.clients.ECR, served)
	source := b.spec.Source
	if b.readyImage = b.spec.Image; b.readyImage != "" {
		source = nil
	} else if source == nil {
		b.readyImage = b.spec.Running
	}
	b.image = newImage(b.ident, b.clients.ECR, b.repository, served, source, b.readyImage)
}

// roles creates the roles of the tasks.
func (b *stackBuilder) roles() {
	var credentialed []graph.Finder // what both name of the database
	if !b.spec.NoDatabase {
		credentialed = append(credentialed, b.secret)
	}
	credentialed = append(credentialed, b.networkReady...)
	execution := append(slices.Clone(credentialed), b.repository)
	if b.spec.destroying || len(b.spec.OwnSecrets()) > 0 {
		b.environment = newEnvironmentSecret(b.ident, b.clients.Secrets)
		execution = append(execution, b.environment)
	}
	b.executionRole, b.taskRole = b.roleOf(naming.ExecutionRole, execution, b.executionStatements), b.roleOf(naming.TaskRole, credentialed, b.taskStatements)
	b.taskRole.policies = b.spec.taskPolicies()
}

func (b *stackBuilder) roleOf(name string, needs []graph.Finder, may func(Settings, string) []statement) *Role {
	permissions := func() []statement { return may(b.spec.Settings, b.readyImage) }
	r := newRole(b.ident, b.clients.IAM, roleSpec{name: name, boundary: b.spec.Boundary, account: b.logGroup, needs: needs, permissions: permissions})
	if !b.spec.destroying {
		r.former = func(ctx context.Context) (formerNeed, error) {
			former, err := b.ecs.formerNeeds(ctx, b.spec.Settings, may, permissions())
			if name != naming.TaskRole {
				former.policies = nil
			}
			return former, err
		}
	}
	return r
}

// executionStatements are what the execution role has to allow for a release of an image: of its
// tasks that are started, and of those that run.
func (b *stackBuilder) executionStatements(s Settings, image string) []statement {
	// GuardDuty Runtime Monitoring adds a container of its own to each task.
	// https://docs.aws.amazon.com/guardduty/latest/ug/prereq-runtime-monitoring-ecs-support.html
	images := []string{b.repository.ID(), partition.GuardDutyAgent(b.ident.region)}
	may := append(registryLogin(s.RegistrySecret), s.secretReads()...)
	if arn := RepositoryARN(image); arn != "" && arn != b.repository.ID() {
		images = append(images, arn)
		// The repository may be a pull-through cache, which then looks for a newer image.
		// https://docs.aws.amazon.com/AmazonECR/latest/userguide/pull-through-cache-iam.html
		may = append(may, statement{Effect: "Allow", Action: []string{"ecr:BatchImportUpstreamImage"}, Resource: []string{arn}})
	}
	if !b.spec.NoDatabase {
		may = append(may, statement{Effect: "Allow", Action: []string{"secretsmanager:GetSecretValue"}, Resource: []string{b.secret.ID()}})
	}
	return append(may, []statement{
		// GetAuthorizationToken supports no resources:
		// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelasticcontainerregistry.html
		{Effect: "Allow", Action: []string{"ecr:GetAuthorizationToken"}, Resource: []string{"*"}},
		{Effect: "Allow", Action: []string{"ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"}, Resource: images},
		{Effect: "Allow", Action: []string{"logs:CreateLogStream", "logs:PutLogEvents"}, Resource: []string{b.logGroup.ID() + ":*"}},
	}...)
}

// taskStatements are what the task role has to allow for a release.
func (b *stackBuilder) taskStatements(s Settings, _ string) []statement {
	// Tasks that start before the database read its address from the secret; they have
	// the rest in their environment.
	var may []statement
	if s.LocatesDatabase && !b.spec.NoDatabase {
		may = append(may, statement{Effect: "Allow", Action: []string{"secretsmanager:GetSecretValue"}, Resource: []string{b.secret.ID()}})
	}
	if b.spec.Exec {
		// The actions for ECS Exec support no resources:
		// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html#ecs-exec-required-iam-permissions
		may = append(may, statement{Effect: "Allow", Resource: []string{"*"}, Action: []string{
			"ssmmessages:CreateControlChannel", "ssmmessages:CreateDataChannel", "ssmmessages:OpenControlChannel", "ssmmessages:OpenDataChannel",
		}})
	}
	return may
}

// loadBalancing creates the load balancer with its target groups and listeners, the
// certificate, and what shifts the traffic.
func (b *stackBuilder) loadBalancing() {
	b.elb = elbAccess{identity: b.ident, elb: b.clients.ELB}
	protected := protection{on: b.spec.Protect, given: b.spec.GivenFlags["protect"]}
	b.balancer = newLoadBalancer(b.elb, loadBalancerNeeds{linked: b.elbRole, gateway: b.network.gateway, group: b.forBalancer, subnets: b.network.public}, protected, b.spec.IdleTimeout)
	b.targets = newTargetGroup(b.elb, b.network.vpc, targetSpec{port: b.spec.ContainerPort, path: b.spec.HealthPath, codes: b.spec.HealthStatus, sticky: b.spec.Sticky, drain: b.spec.drainTime()})
	// What shifting the traffic needs stays with a stack that has it.
	if b.spec.twoGroups() || b.spec.destroying {
		b.secondTargets = newSecondTargetGroup(b.elb, b.network.vpc, b.targets.want)
	}
	plain := listenerSpec{port: b.spec.Port, protocol: elbtypes.ProtocolEnumHttp, main: true, others: []string{secureListener}}
	var redirected []graph.Finder
	var zone *hostedZone
	if b.spec.Secure() || b.spec.destroying { // which may not know any more how the stack was served
		zone = &hostedZone{client: b.clients.Route53, domain: b.spec.Domain, everywhere: b.spec.destroying}
		b.forwarding = b.httpsListener(zone)
		// HTTP is redirected only once HTTPS works.
		plain.redirect, redirected = b.spec.HTTPSPort, []graph.Finder{b.forwarding}
	}
	b.listener = newListener(b.elb, "listener", listenerNeeds{lb: b.balancer, targets: b.targets, second: b.secondTargets, more: redirected}, plain)
	b.listening = []Resource{b.listener}
	if b.spec.Domain != "" || b.spec.destroying {
		b.record = newDNSRecord(b.ident, zone, b.balancer, b.certificate, b.listener)
		b.listening = append(b.listening, b.record)
	}
	if b.forwarding == nil {
		b.forwarding = b.listener
	}
	b.forwarding.traffic = b.ecs.traffic
	if b.secondTargets != nil {
		b.balancingRole = newRole(b.ident, b.clients.IAM, roleSpec{
			name: naming.BalancingRole, boundary: b.spec.Boundary, account: b.logGroup, needs: []graph.Finder{b.targets, b.secondTargets, b.forwarding},
			permissions: func() []statement { return shiftStatements(b.forwarding.ID(), b.targets.ID(), b.secondTargets.ID()) },
		})
		b.balancingRole.forECS = true
		b.shiftParts = []Resource{b.secondTargets, b.balancingRole}
	}
}

// httpsListener creates the HTTPS listener and, unless one was given, its certificate.
func (b *stackBuilder) httpsListener(zone *hostedZone) *Listener {
	secure := listenerSpec{port: b.spec.HTTPSPort, protocol: elbtypes.ProtocolEnumHttps, certificate: func() string { return b.spec.Certificate }}
	var needs []graph.Finder
	if b.spec.Certificate == "" || b.spec.destroying {
		b.certificate = newCertificate(b.ident, b.clients.ACM, b.clients.EC2, zone, b.spec.Domain)
		secure.certificate = b.certificate.ID
		b.https, needs = append(b.https, b.certificate), append(needs, b.certificate)
	}
	listener := newListener(b.elb, secureListener, listenerNeeds{lb: b.balancer, targets: b.targets, second: b.secondTargets, more: needs}, secure)
	b.https = append(b.https, listener)
	return listener
}

// tasks creates the cluster, the task definition and the release command.
func (b *stackBuilder) tasks() {
	b.cluster = newCluster(b.ecs, b.ecsRole, b.spec.Spot)
	b.definition = newTaskDefinition(b.ecs, taskDefinitionNeeds{
		image: b.image, execution: b.executionRole, task: b.taskRole, secret: b.secret, logs: b.logGroup, database: b.database, targets: b.targets,
	}, earlyTasks{database: b.database, allowed: b.spec.startEarly}, taskSpec{
		cpu: b.spec.CPU, memory: b.spec.Memory, storage: b.spec.EphemeralStorage, arch: b.spec.Arch, port: b.spec.ContainerPort, exec: b.spec.Exec, registrySecret: b.spec.RegistrySecret,
		command: b.spec.Command, releaseCommand: b.spec.ReleaseCommand, user: b.spec.User, readOnly: b.spec.ReadOnlyRoot, stopTimeout: b.spec.StopTimeout,
		healthCommand: b.spec.HealthCommand, healthGrace: b.spec.HealthGrace, settings: b.spec.Settings,
	})
	if b.spec.ReleaseCommand != "" && !b.spec.destroying {
		words, _ := splitWords(b.spec.ReleaseCommand) // checked with the settings
		b.release = newReleaseCommand(b.ecs, b.clients.Logs, releaseCommandNeeds{
			cluster: b.cluster, definition: b.definition, routes: b.network.routes, group: b.forTasks, subnets: b.network.public,
		}, releaseCommandSpec{command: words, limit: time.Duration(b.spec.ReleaseTimeout) * time.Minute, watch: b.spec.Release})
	}
}

// alarming creates the alarms, and the topic that they notify. They come before the service,
// which records who is notified.
func (b *stackBuilder) alarming() {
	b.alarmAccess = newAlarmAccess(b.ident, b.clients, b.spec.Settings)
	if !b.alarmAccess.wanted() && !b.spec.destroying && !b.spec.alarmed && !b.spec.Deployed.alarmed() {
		return
	}
	var watched *databaseSpec
	if !b.spec.NoDatabase {
		watched = &b.databaseSpec
	}
	b.topic = newAlarmTopic(b.alarmAccess)
	b.releaseAlarm = newReleaseAlarm(b.alarmAccess, b.topic)
	b.alarms = newAlarms(b.alarmAccess, b.topic, b.balancer, b.targets, b.secondTargets, watched)
}

// services creates the service and its scaling.
func (b *stackBuilder) services() {
	var released []graph.Finder // what the service waits for in addition
	if b.release != nil {
		released = append(released, b.release)
	}
	if b.alarms != nil {
		released = append(released, b.topic, b.releaseAlarm, b.alarms)
	}
	if b.secondTargets != nil {
		released = append(released, b.secondTargets, b.balancingRole, b.forwarding)
	}
	var rollbackAlarms []string
	if b.alarmAccess.wanted() {
		rollbackAlarms = []string{b.ident.names().Alarm(alarmErrors), b.ident.names().Alarm(alarmHealthy)}
	}
	limits := bounds{min: b.spec.Min, max: b.spec.Max}
	b.service = newService(b.ecs, serviceNeeds{
		cluster: b.cluster, definition: b.definition, listener: b.listener, routes: b.network.routes, targets: b.targets, group: b.forTasks, subnets: b.network.public, released: released,
	}, serviceSpec{
		count: b.spec.Count, bounds: limits, port: b.spec.ContainerPort, grace: b.spec.HealthGrace, exec: b.spec.Exec, paused: b.spec.Paused,
		spot: b.spec.Spot, base: b.spec.SpotBase, deploy: b.spec.Strategy(), rollbackAlarms: rollbackAlarms,
	}, b.spec.Wait)
	b.scaling = newScaling(b.ident, b.clients.Scaling, scalingNeeds{
		linked: b.scalingRole, service: b.service, lb: b.balancer, targets: b.targets, second: b.secondTargets,
	}, limits, b.spec.Paused)
}

// linkBack gives resources the later ones that they read.
func (b *stackBuilder) linkBack() {
	for _, g := range []*SecurityGroup{b.forBalancer, b.forTasks} {
		g.ranges, g.serving = b.network.ranges, b.whereTasksAre
	}
	b.forBalancer.toTasks, b.forTasks.toTasks = b.balancerEgress, b.taskIngress
	if b.network.existing && !b.spec.destroying {
		b.balancer.serving = b.whereTasksAre
	}
	b.service.balancer = b.balancer
	b.service.shift.second, b.service.shift.front, b.service.shift.role = b.secondTargets, b.forwarding, b.balancingRole
	b.service.reached, b.service.roles = []*SecurityGroup{b.forBalancer, b.forTasks}, []*Role{b.executionRole, b.taskRole}
	b.service.inForce = b.scaling.inForce
	if b.record != nil {
		b.record.service = b.service
	}
	for _, g := range b.service.groups() {
		g.inForce = b.ecs.checkInForce
	}
}

// whereTasksAre returns where the tasks are that are registered as targets.
func (b *stackBuilder) whereTasksAre(ctx context.Context) (serving, error) {
	at, err := b.targets.registered(ctx)
	if err == nil && b.secondTargets != nil {
		var more []elbtypes.TargetDescription
		more, err = b.secondTargets.registered(ctx)
		at = append(at, more...)
	}
	if err != nil || !b.network.existing {
		return newServing(at, nil, nil), err
	}
	subnets, err := b.ecs.taskSubnets(ctx)
	return newServing(at, subnets, b.network.ranges()), err
}

// inOrder returns the resources of the stack, in dependency order.
func (b *stackBuilder) inOrder() []Resource {
	var releases []Resource
	if b.release != nil {
		releases = append(releases, b.release)
	}
	if b.alarms != nil {
		releases = append(releases, b.topic, b.releaseAlarm, b.alarms)
	}
	after := []Resource{b.service, b.scaling}
	if b.alarmAccess.wanted() || b.spec.destroying { // else the alarms go
		after = append(after, newAlarmActions(b.alarmAccess, b.alarms, b.service, !b.spec.Paused && !b.spec.destroying))
	}
	resources := slices.Concat(b.network.before, []Resource{b.forBalancer, b.forTasks, b.forDatabase}, b.network.after, []Resource{
		b.ecsRole, b.elbRole, b.rdsRole, b.scalingRole,
		b.secret, b.dbSubnets, b.dbParameters, b.dbLogs, b.database, b.logGroup, b.repository, b.image, b.executionRole, b.taskRole,
		b.balancer, b.targets,
	}, b.https, b.listening, b.shiftParts, []Resource{b.cluster, b.definition}, releases, after)
	if b.environment != nil {
		resources = append(resources, b.environment)
	}
	if b.upgraded != nil {
		resources = slices.Insert(resources, slices.Index(resources, Resource(b.database)), Resource(b.upgraded))
	}
	if b.copied != nil {
		// KMS rejects a copy before anything else is created.
		graph.First(b.copied, resources...)
		resources = slices.Insert(resources, 0, Resource(b.copied))
	}
	if b.spec.NoDatabase && !b.spec.destroying { // a destroy looks for all
		dataParts := append(b.network.dataParts, b.forDatabase, b.rdsRole, b.secret, b.dbSubnets, b.dbParameters, b.dbLogs, b.database)
		resources = slices.DeleteFunc(resources, func(r Resource) bool { return slices.Contains(dataParts, r) })
	}
	return resources
}
