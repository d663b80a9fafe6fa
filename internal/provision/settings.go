package provision

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"

	"github.com/bookctl/bookctl/internal/advice"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// Settings are what a user chooses of a stack. What is not chosen keeps what is
// deployed (see ReadDeployed), and is the default for a new stack.
type Settings struct {
	// Image is the reference of a ready image. Empty means that the image is
	// built from source, or else that the deployed one is kept.
	Image string `json:"image,omitempty"`
	// RegistrySecret is the ARN of a secret with the login by which tasks pull
	// Image: {"username":…,"password":…}. Empty means that they pull it without.
	RegistrySecret string `json:"registrySecret,omitempty"`
	// CPU of a task in units of 1/1024 of a CPU.
	CPU int32 `json:"cpu"`
	// Memory of a task in MiB.
	Memory int32 `json:"memory"`
	// Arch is the architecture of the tasks, "amd64" or "arm64".
	Arch string `json:"arch"`
	// Count is the number of tasks; between Min and Max, where it starts.
	Count int32 `json:"count"`
	// Min and Max bound what the load may make of the number of tasks. Max 0
	// means that it stays at Count.
	Min int32 `json:"min"`
	Max int32 `json:"max"`
	// Port is the port that the load balancer serves.
	Port int32 `json:"port"`
	// Domain is the name under which the stack is served by HTTPS, "" for none.
	// Its zone must be in Route 53. A stack keeps its domain.
	Domain string `json:"domain,omitempty"`
	// Certificate is the ARN of an ACM certificate to serve HTTPS with. Empty
	// with a Domain means that the stack gets one of its own.
	Certificate string `json:"certificate,omitempty"`
	// HTTPSPort is the port of HTTPS, where there is a Domain or a Certificate.
	// Port then redirects to it.
	HTTPSPort int32 `json:"httpsPort"`
	// DBClass is the class of the database instance, for example db.t4g.micro.
	DBClass string `json:"dbClass"`
	// DBStorage is the storage of the database in GiB.
	DBStorage int32 `json:"dbStorage"`
	// DBMaxStorage is how far RDS may grow the storage by itself, in GiB; 0
	// means not at all.
	DBMaxStorage int32 `json:"dbMaxStorage"`
	// DBVersion is the version of PostgreSQL: a major one ("17"), of which RDS
	// chooses the minor and raises it, or a full one ("17.4"). Empty means
	// DefaultDBVersion; Preflight says what a region offers.
	DBVersion string `json:"dbVersion"`
	// DBInsights records the load of the database by query (Performance
	// Insights, with the 7 days that are free).
	DBInsights bool `json:"dbInsights"`
	// DBMultiAZ keeps a standby of the database in the other zone.
	DBMultiAZ bool `json:"dbMultiAZ"`
	// BackupDays is how long automated backups are kept.
	BackupDays int32 `json:"backupDays"`
	// LogDays is how long the output of tasks and database is kept.
	LogDays int32 `json:"logDays"`
	// Protect turns the deletion protection of database and load balancer on.
	Protect bool `json:"protect"`
	// Exec lets commands be run in the tasks, whose file system is then
	// writable.
	Exec bool `json:"exec"`
	// Boundary is the ARN of the policy that is the permissions boundary of the
	// stack's roles, "" for none.
	Boundary string `json:"permissionsBoundary,omitempty"`
}

// DefaultSettings are those of a new stack.
func DefaultSettings() Settings {
	return Settings{
		CPU: 256, Memory: 512, Arch: "amd64", Count: 1, Port: 80, HTTPSPort: 443,
		DBClass: "db.t4g.micro", DBStorage: 20, BackupDays: 7, LogDays: 14,
	}
}

// Secure says whether the stack is served by HTTPS.
func (s Settings) Secure() bool { return s.Domain != "" || s.Certificate != "" }

// fargate says how much memory, in MiB, tasks of each CPU size may have.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-tasks-services.html#fargate-tasks-size
var fargate = map[int32]memorySizes{
	256:   {list: []int32{512, 1024, 2048}},
	512:   {min: 1024, max: 4096, step: 1024},
	1024:  {min: 2048, max: 8192, step: 1024},
	2048:  {min: 4096, max: 16384, step: 1024},
	4096:  {min: 8192, max: 30720, step: 1024},
	8192:  {min: 16384, max: 61440, step: 4096},
	16384: {min: 32768, max: 122880, step: 8192},
}

// memorySizes is a list, or a range in steps.
type memorySizes struct {
	list           []int32
	min, max, step int32
}

func (m memorySizes) allow(n int32) bool {
	if m.list != nil {
		return slices.Contains(m.list, n)
	}
	return n >= m.min && n <= m.max && (n-m.min)%m.step == 0
}

func (m memorySizes) String() string {
	if m.list != nil {
		return joined(m.list)
	}
	return fmt.Sprintf("%d to %d in steps of %d", m.min, m.max, m.step)
}

func joined(numbers []int32) string {
	var out []string
	for _, n := range numbers {
		out = append(out, strconv.Itoa(int(n)))
	}
	return strings.Join(out, ", ")
}

var (
	databaseClass   = regexp.MustCompile(`^db\.[a-z0-9-]+\.[a-z0-9]+$`)
	databaseVersion = regexp.MustCompile(`^[1-9][0-9](\.[0-9]{1,2})?$`)
	domainName      = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])$`)
	certificateARN  = regexp.MustCompile(`^arn:aws[a-z-]*:acm:[a-z0-9-]+:[0-9]{12}:certificate/[A-Za-z0-9-]+$`)
	boundaryARN     = regexp.MustCompile(`^arn:aws[a-z-]*:iam::(aws|[0-9]{12}):policy/[A-Za-z0-9+=.@_/-]+$`)
	secretARN       = regexp.MustCompile(`^arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[A-Za-z0-9/_+=.@-]+$`)
	imageReference  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/@-]*$`)
)

// mostTasks is the quota of tasks per service:
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-quotas.html
const mostTasks = 5000

// Check says, in one line, what AWS would refuse of the settings, and what it
// takes instead. Its advice names the flags.
func (s Settings) Check() error {
	return s.CheckOf(func(string) bool { return true })
}

// CheckOf is Check by those demands alone that are about nothing but what was said,
// whatever the rest is. Settings are named as the flags of up are.
func (s Settings) CheckOf(said func(setting string) bool) error {
	for _, d := range s.demands() {
		about := strings.Fields(d.about)
		if d.broken && !slices.ContainsFunc(about, func(name string) bool { return !said(name) }) {
			return advice.With(errors.New(d.text), "choose with --"+strings.Join(about, " and --"))
		}
	}
	return nil
}

// demand is one that AWS makes of settings.
type demand struct {
	about  string // the settings that it is about
	broken bool
	text   string
}

func (s Settings) demands() []demand {
	var out []demand
	refuse := func(about string, broken bool, format string, args ...any) {
		out = append(out, demand{about, broken, fmt.Sprintf(format, args...)})
	}
	sizes, ok := fargate[s.CPU]
	refuse("image", s.Image != "" && !imageReference.MatchString(s.Image), "image %q: give a reference such as registry.example.com/bookapi:1.2 or …@sha256:…", s.Image)
	refuse("registry-secret", s.RegistrySecret != "" && !secretARN.MatchString(s.RegistrySecret),
		"registry secret %q: give the ARN of a secret in Secrets Manager (arn:aws:secretsmanager:…:secret:…)", s.RegistrySecret)
	// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/private-auth.html
	refuse("registry-secret image", s.RegistrySecret != "" && (s.Image == "" || repositoryARN(s.Image) != ""),
		"a registry secret goes with an image of a registry outside of AWS: from ECR tasks pull by their execution role")
	refuse("cpu", !ok, "cpu %d: Fargate takes %s", s.CPU, joined(slices.Sorted(maps.Keys(fargate))))
	refuse("cpu memory", ok && !sizes.allow(s.Memory), "memory %d: with cpu %d Fargate takes %s", s.Memory, s.CPU, sizes)
	refuse("memory", !slices.ContainsFunc(slices.Collect(maps.Values(fargate)), func(m memorySizes) bool { return m.allow(s.Memory) }),
		"memory %d: Fargate takes 512, or 1024 to 122880 in steps that depend on the cpu", s.Memory)
	refuse("arch", s.Arch != "amd64" && s.Arch != "arm64", "architecture %q: choose amd64 or arm64", s.Arch)
	refuse("port", s.Port < 1 || s.Port > 65535, "port %d: choose one from 1 to 65535", s.Port)
	// https://docs.aws.amazon.com/acm/latest/APIReference/API_RequestCertificate.html
	refuse("domain", s.Domain != "" && (!domainName.MatchString(s.Domain) || len(s.Domain) > 64),
		"domain %q: give a name such as api.example.com, in lower case and of at most 64 characters", s.Domain)
	refuse("certificate", s.Certificate != "" && !certificateARN.MatchString(s.Certificate),
		"certificate %q: give the ARN of a certificate in ACM (arn:aws:acm:…:certificate/…)", s.Certificate)
	refuse("https-port port", s.Secure() && (s.HTTPSPort < 1 || s.HTTPSPort > 65535 || s.HTTPSPort == s.Port),
		"HTTPS port %d: choose one from 1 to 65535 that is not the port %d of HTTP", s.HTTPSPort, s.Port)
	refuse("count", s.Count < 1 || s.Count > mostTasks, "count %d: choose 1 to %d tasks", s.Count, mostTasks)
	refuse("min max", s.Max == 0 && s.Min != 0, "min %d without max: give both to scale by load, or neither", s.Min)
	refuse("min max", s.Max != 0 && s.Min == 0, "max %d without min: give both to scale by load, or neither", s.Max)
	refuse("min max", s.Max != 0 && s.Min != 0 && (s.Min < 1 || s.Min > s.Max || s.Max > mostTasks),
		"min %d, max %d: choose 1 to %d tasks, and min not above max", s.Min, s.Max, mostTasks)
	refuse("min max count", s.Max != 0 && (s.Count < s.Min || s.Count > s.Max), "count %d: choose one from min %d to max %d", s.Count, s.Min, s.Max)
	refuse("db-class", !databaseClass.MatchString(s.DBClass), "database class %q: name one such as db.t4g.micro", s.DBClass)
	refuse("db-storage", s.DBStorage < 20 || s.DBStorage > 65536, "database storage %d GiB: gp3 storage is 20 to 65536 GiB", s.DBStorage)
	// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_PIOPS.Autoscaling.html
	refuse("db-storage db-max-storage", s.DBMaxStorage != 0 && (int64(s.DBMaxStorage)*10 < int64(s.DBStorage)*11 || s.DBMaxStorage > 65536),
		"database storage limit %d GiB: RDS wants it a tenth or more above the storage (%d GiB), and at most 65536 GiB", s.DBMaxStorage, s.DBStorage)
	refuse("db-version", s.DBVersion != "" && !databaseVersion.MatchString(s.DBVersion), "database version %q: name a version of PostgreSQL such as 17 or 17.4", s.DBVersion)
	refuse("permissions-boundary", checkBoundary(s.Boundary) != nil, "%v", checkBoundary(s.Boundary))
	refuse("backup-days", s.BackupDays < 1 || s.BackupDays > 35, "backup retention %d days: RDS keeps backups for 1 to 35 days", s.BackupDays)
	refuse("log-days", !slices.Contains(logRetentions, s.LogDays), "log retention %d days: CloudWatch Logs takes %s", s.LogDays, joined(logRetentions))
	return out
}

// dbVersion is DBVersion or its default.
func (s Settings) dbVersion() string {
	if s.DBVersion == "" {
		return DefaultDBVersion
	}
	return s.DBVersion
}

// The settings are recorded in tags of what they concern, so that a change by
// hand shows as drift, and is not taken for the user's new wish.
const (
	tagCount      = "bookctl:count"
	tagMin        = "bookctl:min"
	tagMax        = "bookctl:max"
	tagExec       = "bookctl:exec"
	tagPort       = "bookctl:port"
	tagClass      = "bookctl:db-class"
	tagStorage    = "bookctl:db-storage"
	tagMultiAZ    = "bookctl:db-multi-az"
	tagMaxStorage = "bookctl:db-max-storage"
	tagDBVersion  = "bookctl:db-version"
	tagInsights   = "bookctl:db-insights"
	tagBackupDays = "bookctl:backup-days"
	tagLogDays    = "bookctl:log-days"
	tagProtect    = "bookctl:protect"
	tagDomain     = "bookctl:domain"
	tagCert       = "bookctl:certificate"
	tagHTTPSPort  = "bookctl:https-port"
	tagBoundary   = "bookctl:permissions-boundary"
)

// A setting counts as deployed when AWS has taken it: its tag is written with the
// thing when that is made, and after the change from then on. What one resource
// carries out for another is written by the one that does it.
const (
	byListener = "load-balancer by listener"
	byScaling  = "service by scaling"
)

// record returns the tags that hold the settings, by resource. Those of a task
// (image, CPU, memory, architecture) are not among them: a task definition that
// is tagged ours can't be changed by hand.
func (s Settings) record() map[string]map[string]string {
	n := func(v int32) string { return strconv.Itoa(int(v)) }
	b := strconv.FormatBool
	balancer := map[string]string{tagPort: n(s.Port)}
	if s.Secure() {
		balancer[tagDomain], balancer[tagCert], balancer[tagHTTPSPort] = s.Domain, s.Certificate, n(s.HTTPSPort)
	}
	return map[string]map[string]string{
		// The groups of the logs are ready before the service.
		"service":         {tagCount: n(s.Count), tagExec: b(s.Exec), tagLogDays: n(s.LogDays)},
		byScaling:         {tagMin: n(s.Min), tagMax: n(s.Max)},
		byListener:        balancer,
		executionRoleName: {tagBoundary: s.Boundary},
		taskRoleName:      {tagBoundary: s.Boundary},
		"database": {
			tagMaxStorage: n(s.DBMaxStorage), tagDBVersion: s.dbVersion(), tagInsights: b(s.DBInsights),
			tagClass: s.DBClass, tagStorage: n(s.DBStorage), tagMultiAZ: b(s.DBMultiAZ), tagBackupDays: n(s.BackupDays), tagProtect: b(s.Protect),
		},
	}
}

// checkBoundary says what is wrong with the ARN of a permissions boundary; "" is
// none. It is recorded in a tag, which takes 256 characters and no comma.
func checkBoundary(arn string) error {
	if arn != "" && (!boundaryARN.MatchString(arn) || len(arn) > 256) {
		return fmt.Errorf("permissions boundary %q: give the ARN of a policy (arn:aws:iam::ACCOUNT:policy/NAME) of at most 256 characters and without a comma", arn)
	}
	return nil
}

// Deployed is what there is of a stack.
type Deployed struct {
	// Found says that something of the stack exists that settings are read
	// from. Without it Settings are the defaults.
	Found bool `json:"found"`
	// Balanced says that there is a load balancer, whose port Settings have.
	Balanced bool `json:"balanced"`
	// Database says that there is a database of the stack.
	Database bool `json:"database"`
	// Settings are those that the stack was last given.
	Settings
	// Running is the reference of the image that tasks run, built or ready.
	Running string `json:"running,omitempty"`
	// Zones are the two availability zones of the subnets; empty where there
	// are none yet.
	Zones [2]string `json:"zones"`

	seen   *glances
	exists existing
}

// ReadDeployed reads what a stack was last given, from the tags and else the
// values of what exists and is the stack's. It makes reads only.
func ReadDeployed(ctx context.Context, c Clients, stack string) (Deployed, error) {
	if err := CheckStackName(stack); err != nil {
		return Deployed{}, err
	}
	var (
		d    = Deployed{Settings: DefaultSettings(), seen: &glances{}}
		who  = identity{stack: stack, region: c.IAM.Options().Region}
		mu   sync.Mutex
		each graph.Group
	)
	// Each reader looks on its own, and writes when it has all that it needs.
	for _, read := range []func() (func(), error){
		func() (func(), error) { return readService(ctx, c, who, &d) },
		func() (func(), error) { return readTask(ctx, c, who, &d) },
		func() (func(), error) { return readDatabase(ctx, c, who, &d) },
		func() (func(), error) { return readLoadBalancer(ctx, c, who, &d) },
		func() (func(), error) { return readZones(ctx, c, who, &d) },
		func() (func(), error) { return readRole(ctx, c, who, &d) },
	} {
		each.Go(func() error {
			write, err := read()
			mu.Lock()
			defer mu.Unlock()
			if write != nil {
				d.Found = true
				write()
			}
			return err
		})
	}
	err := each.Wait()
	return d, err
}

func tagNumber(tags map[string]string, key string, otherwise int32) int32 {
	if n := number(tags[key]); n != nil {
		return *n
	}
	return otherwise
}

func tagBool(tags map[string]string, key string, otherwise bool) bool {
	if b, err := strconv.ParseBool(tags[key]); err == nil {
		return b
	}
	return otherwise
}

func readService(ctx context.Context, c Clients, who identity, d *Deployed) (func(), error) {
	in := containers{identity: who, ecs: c.ECS}
	live, err := in.service().describe(ctx)
	if err != nil {
		return nil, err
	}
	d.seen.service.put(live)
	if live == nil {
		return nil, nil
	}
	tags := ecsTagMap(live.Tags)
	if tags[TagStack] != who.stack {
		return nil, nil
	}
	return func() {
		d.seen.uses.ecs = true
		d.exists.service, d.exists.tasks = true, live.DesiredCount
		d.Count = max(1, tagNumber(tags, tagCount, live.DesiredCount))
		d.Min, d.Max = tagNumber(tags, tagMin, 0), tagNumber(tags, tagMax, 0)
		d.Exec = tagBool(tags, tagExec, live.EnableExecuteCommand)
		if n := tagNumber(tags, tagLogDays, d.LogDays); slices.Contains(logRetentions, n) {
			d.LogDays = n
		}
	}, nil
}

func readTask(ctx context.Context, c Clients, who identity, d *Deployed) (func(), error) {
	t := TaskDefinition{containers: containers{identity: who, ecs: c.ECS}}
	live, tags, err := t.newest(ctx)
	if err != nil {
		return nil, err
	}
	d.seen.definition.put(revision{live, tags})
	if live == nil || tags[TagStack] != who.stack {
		return nil, nil
	}
	return func() {
		d.exists.served = tags[tagServed] != ""
		if n := number(aws.ToString(live.Cpu)); n != nil {
			d.CPU = *n
		}
		if n := number(aws.ToString(live.Memory)); n != nil {
			d.Memory = *n
		}
		if p := live.RuntimePlatform; p != nil {
			d.Arch = "amd64"
			if p.CpuArchitecture == ecstypes.CPUArchitectureArm64 {
				d.Arch = "arm64"
			}
		}
		for _, k := range live.ContainerDefinitions {
			if aws.ToString(k.Name) != containerName {
				continue
			}
			d.Running = aws.ToString(k.Image)
			// A built one is in the stack's own repository.
			if r := (&Repository{identity: who}).repositoryName(); !strings.Contains(d.Running, "/"+r+"@") {
				d.Image = d.Running
				d.RegistrySecret = registrySecretOf(k)
			}
		}
	}, nil
}

func readDatabase(ctx context.Context, c Clients, who identity, d *Deployed) (func(), error) {
	live, err := databases{identity: who, rds: c.RDS}.instance(ctx)
	if err != nil {
		return nil, err
	}
	d.seen.instance.put(live)
	if live == nil {
		return nil, nil
	}
	tags := rdsTagMap(live.TagList)
	if tags[TagStack] != who.stack {
		return nil, nil
	}
	return func() {
		d.seen.uses.rds = true
		d.Database = true
		d.exists.class, d.exists.gib = aws.ToString(live.DBInstanceClass), aws.ToInt32(live.AllocatedStorage)
		d.exists.multiAZ, d.exists.backedUp = aws.ToBool(live.MultiAZ), aws.ToInt32(live.BackupRetentionPeriod)
		d.DBClass = aws.ToString(live.DBInstanceClass)
		if class, ok := tags[tagClass]; ok {
			d.DBClass = class
		}
		d.DBStorage = tagNumber(tags, tagStorage, aws.ToInt32(live.AllocatedStorage))
		d.DBMaxStorage = tagNumber(tags, tagMaxStorage, aws.ToInt32(live.MaxAllocatedStorage))
		d.DBInsights = tagBool(tags, tagInsights, aws.ToBool(live.PerformanceInsightsEnabled))
		d.DBVersion = major(aws.ToString(live.EngineVersion))
		if v := tags[tagDBVersion]; major(v) == d.DBVersion {
			d.DBVersion = v
		}
		d.DBMultiAZ = tagBool(tags, tagMultiAZ, aws.ToBool(live.MultiAZ))
		d.BackupDays = tagNumber(tags, tagBackupDays, aws.ToInt32(live.BackupRetentionPeriod))
		d.Protect = tagBool(tags, tagProtect, aws.ToBool(live.DeletionProtection))
	}, nil
}

func readLoadBalancer(ctx context.Context, c Clients, who identity, d *Deployed) (func(), error) {
	b := balancing{identity: who, elb: c.ELB}
	lb, group := LoadBalancer{balancing: b}, TargetGroup{balancing: b}
	live, err := lb.lookup(ctx)
	if err != nil {
		return nil, err
	}
	behind, err := group.lookup(ctx)
	if err != nil {
		return nil, err
	}
	if live == nil {
		d.seen.balancer.put(balancer{})
		return nil, nil
	}
	arns := []string{aws.ToString(live.LoadBalancerArn)}
	if behind != nil {
		arns = append(arns, aws.ToString(behind.TargetGroupArn))
	}
	all, err := b.tagsOf(ctx, arns...)
	if isCode(err, "LoadBalancerNotFound", "TargetGroupNotFound") {
		return nil, nil // on their way out
	}
	if err != nil {
		return nil, err
	}
	tags := all[arns[0]]
	d.seen.balancer.put(balancer{live, tags})
	if behind != nil {
		d.seen.targets.put(targets{behind, all[arns[1]]})
	}
	if tags[TagStack] != who.stack {
		return nil, nil
	}
	port := tagNumber(tags, tagPort, 0)
	if port == 0 {
		listeners, err := c.ELB.DescribeListeners(ctx, &elb.DescribeListenersInput{LoadBalancerArn: live.LoadBalancerArn})
		if err != nil {
			return nil, fmt.Errorf("describe the listeners of %s: %w", lb.loadBalancerName(), err)
		}
		for _, l := range listeners.Listeners {
			port = aws.ToInt32(l.Port)
		}
	}
	return func() {
		d.Balanced = true
		d.seen.uses.elb = true
		if port != 0 {
			d.Port = port
		}
		d.Domain, d.Certificate, d.HTTPSPort = tags[tagDomain], tags[tagCert], tagNumber(tags, tagHTTPSPort, d.HTTPSPort)
	}, nil
}

// readRole reads the boundary of the roles from the tag, so that one that was
// taken off by hand is put back.
func readRole(ctx context.Context, c Clients, who identity, d *Deployed) (func(), error) {
	live, err := (&Role{Node: graph.Named(executionRoleName, 0), identity: who, iam: c.IAM}).lookup(ctx)
	if err != nil {
		return nil, err
	}
	d.seen.role.put(live)
	if live == nil || who.ownerOfRole(roleTags(live)) != who.stack {
		return nil, nil
	}
	boundary, ok := roleTags(live)[tagBoundary]
	if !ok {
		boundary = boundaryOf(live)
	}
	return func() { d.Boundary = boundary }, nil
}

func readZones(ctx context.Context, c Clients, who identity, d *Deployed) (func(), error) {
	all, err := network{identity: who, ec2: c.EC2}.allSubnets(ctx)
	if err != nil {
		return nil, err
	}
	d.seen.subnets.put(all)
	var zones [2]string
	for _, s := range all {
		switch name := tagMap(s.Tags)[TagResource]; {
		case strings.HasSuffix(name, "-a"):
			zones[0] = aws.ToString(s.AvailabilityZone)
		case strings.HasSuffix(name, "-b"):
			zones[1] = aws.ToString(s.AvailabilityZone)
		}
	}
	if zones == [2]string{} {
		return nil, nil
	}
	return func() { d.Zones = zones }, nil
}
