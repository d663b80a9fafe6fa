package provision

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/pattern"
)

// Settings are what a user chooses of a stack. What is not chosen keeps what is
// deployed (see ReadDeployed), and is the default for a new stack.
type Settings struct {
	// Image is the reference of a ready image. Empty means that the image is
	// built from source, or else that the deployed one is kept.
	Image string
	// From is what the image is made of where Image is empty: a directory with a Go
	// module, or an image in a file as --image names it (docker-archive:FILE,
	// oci:DIR). Empty is the current directory.
	From string
	// Package is the main package of From to build, as the go tool takes it there.
	// Empty means the only one, or that of bookapi.
	Package string
	// Dockerfile is what a container builder makes the image of, in the directory
	// From, or its own where that is empty. Empty means that Go builds it.
	Dockerfile string
	// RegistrySecret is the ARN of a secret with the login by which tasks pull
	// Image: {"username":…,"password":…}. Empty means that they pull it without.
	RegistrySecret string
	// CPU of a task in units of 1/1024 of a CPU.
	CPU int32
	// Memory of a task in MiB.
	Memory int32
	// Arch is the architecture of the tasks, "amd64" or "arm64".
	Arch string
	// Count is the number of tasks; between Min and Max, where it starts.
	Count int32
	// Min and Max bound what the load may make of the number of tasks. Max 0
	// means that it stays at Count.
	Min int32
	Max int32
	// Spot runs the tasks beyond SpotBase on Fargate Spot, from which AWS takes them back
	// with two minutes' notice.
	Spot     bool
	SpotBase int32
	// Deploy is how a release takes the place of the one before; see Strategy.
	Deploy string
	// TwoTargetGroups reports whether the stack has what shifting the traffic needs. What was made for that
	// stays with the stack, also when it only rolls again: which of the two target groups
	// the tasks are in changes with each release.
	TwoTargetGroups bool
	// Port is the port that the load balancer serves.
	Port int32
	// Domain is the name under which the stack is served by HTTPS, "" for none.
	// Its zone must be in Route 53. A stack keeps its domain.
	Domain string
	// Certificate is the ARN of an ACM certificate to serve HTTPS with. Empty
	// with a Domain means that the stack gets one of its own.
	Certificate string
	// HTTPSPort is the port of HTTPS, where there is a Domain or a Certificate.
	// Port then redirects to it.
	HTTPSPort int32
	// DBClass is the instance class of the database, for example db.t4g.micro.
	DBClass string
	// DBStorage is the storage of the database in GiB.
	DBStorage int32
	// DBMaxStorage is how far RDS may grow the storage by itself, in GiB; 0
	// means not at all.
	DBMaxStorage int32
	// DBVersion is the version of PostgreSQL: a major one ("17"), of which RDS
	// chooses the minor and raises it, or a full one ("17.4"). Empty means
	// DefaultDBVersion; preflight.Check says what a region offers.
	DBVersion string
	// DBInsights records the load of the database by query (Performance
	// Insights, with the 7 days that are free).
	DBInsights bool
	// DBMultiAZ keeps a standby of the database in the other zone.
	DBMultiAZ bool
	// BackupDays is how long automated backups are kept.
	BackupDays int32
	// LogDays is how long the output of tasks and database is kept.
	LogDays int32
	// Protect turns the deletion protection of database and load balancer on.
	Protect bool
	// CIDR is the IPv4 range of the stack's VPC, of which its subnets are parts.
	CIDR string
	// VPC is the id of a VPC that is not the stack's and that it is in, "" for one of its
	// own. Nothing of it is changed.
	VPC string
	// Subnets are the ids of the public subnets of VPC that load balancer and tasks are
	// in, and DBSubnets those of the database, separated by commas; see preflight.Check.
	Subnets, DBSubnets string
	// OutgoingPorts are the TCP ports that tasks may connect to in addition to that of HTTPS and
	// their database: numbers and ranges, separated by commas; "all" is everything.
	OutgoingPorts string
	// Exec lets commands be run in the tasks, whose file system is then
	// writable.
	Exec bool
	// AlarmEmail is the address that is notified of failures, "" for none, and
	// AlarmTopic the ARN of a topic that is, which is not the stack's. There is one of them
	// at most.
	AlarmEmail, AlarmTopic string
	// TaskPolicies are the ARNs of the managed policies that say what the tasks may do in
	// AWS, sorted and separated by commas; "" for none.
	TaskPolicies string
	// Boundary is the ARN of the policy that is the permissions boundary of the
	// stack's roles, "" for none.
	Boundary string

	// ContainerPort is the port that the container listens on.
	ContainerPort int32
	// HealthPath is what the load balancer asks each task for, and HealthStatus the
	// answers of a healthy one, such as "200-299" or "200,204".
	HealthPath   string
	HealthStatus string
	// HealthGrace is how long a task may fail health checks after its start, in
	// seconds.
	HealthGrace int32
	// HealthCommand is run in the container to check its health, "" for none: a list of
	// words in JSON, or a line for the image's shell.
	HealthCommand string
	// CheckTimes are the times of HealthCommand. The image says so.
	CheckTimes CheckTimes
	// Command is run in place of the image's CMD, "" for that.
	Command string
	// ReleaseCommand is run once for each release, before the service changes; "" for
	// none.
	ReleaseCommand string
	// ReleaseTimeout is how long the release command may take, in minutes.
	ReleaseTimeout int32
	// User is who the container runs as, "" for the image's own.
	User string
	// ReadOnlyRoot keeps the container from writing to its root file system. Exec
	// overrules it.
	ReadOnlyRoot bool
	// EphemeralStorage is the disk of a task in GiB.
	EphemeralStorage int32
	// StopTimeout is how long a container has to end after its stop signal, in seconds.
	StopTimeout int32
	// Sticky sends a client to the task that it was sent to before.
	Sticky bool
	// IdleTimeout is how long a connection may be idle, in seconds.
	IdleTimeout int32
	// Chosen are the derived settings that the user chose, by their flags, sorted and
	// separated by spaces. The others follow the image; see Follow.
	Chosen string
	// ReadyPath is where the service says whether its database serves as well, "" for
	// nowhere. The image says so.
	ReadyPath string
	// Drain is within how many seconds the service answers each request, 0 where the image
	// does not say so; see drainTime.
	Drain int32
	// LocatesDatabase reports whether the program asks the secret where its database is, as
	// bookapi does, so that it can be started before that is there. The image says so.
	LocatesDatabase bool
	// DatabaseAuthority is where the image has the certificate authorities of Amazon
	// RDS, "" for nowhere. The image says so.
	DatabaseAuthority string

	// Env are the variables that the user gives to the container, and Secrets those that
	// it gets from elsewhere: the ARN of a secret or parameter, as ECS has it.
	Env, Secrets Pairs
	// Tags are on everything that the stack makes, alongside bookctl's own.
	Tags Pairs
	// DBEnv are further names for the database's connection: host=endpoint,….
	DBEnv string
	// DBName is the name of the database in the instance, and DBUser that of its owner.
	// What exists keeps its own.
	DBName, DBUser string
	// NoDatabase is for a service without one.
	NoDatabase bool
}

// DefaultSettings are those of a new stack.
func DefaultSettings() Settings {
	var s Settings
	for _, row := range Table() {
		row.Value.Reset(&s)
	}
	s.LocatesDatabase, s.ReadyPath, s.Drain = true, "/readyz", leastDrain
	s.CheckTimes = CheckTimes{Interval: 5, Timeout: 3, Retries: 3}
	return s
}

// CheckTimes are how often a container's health command runs, how long it may take, and
// after how many failures in a row the container is unhealthy. What is 0 is as in
// DefaultSettings.
type CheckTimes struct {
	Interval, Timeout int32 // seconds
	Retries           int32
}

// inECS are the times as ECS takes them.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_HealthCheck.html
func (c CheckTimes) inECS() CheckTimes {
	own := DefaultSettings().CheckTimes
	within := func(n, otherwise, low, high int32) int32 { return min(max(cmp.Or(n, otherwise), low), high) }
	return CheckTimes{Interval: within(c.Interval, own.Interval, 5, 300), Timeout: within(c.Timeout, own.Timeout, 2, 60), Retries: within(c.Retries, own.Retries, 1, 10)}
}

// Follow sets a derived setting to what the image says, unless the user chose another
// value, and says whether it did. Settings are named by their flags.
func (s *Settings) Follow(setting, value string) bool {
	for _, row := range Table() {
		if row.Flag != setting || !row.Derived || s.chose(setting) || !row.Value.Parse(s, value) {
			continue
		}
		if row.normalize != nil {
			row.normalize(s)
		}
		return true
	}
	return false
}

// Answers reports whether a code is one of HealthStatus.
func (s Settings) Answers(code int) bool {
	for part := range strings.SplitSeq(s.HealthStatus, ",") {
		from, to, ranged := strings.Cut(part, "-")
		if !ranged {
			to = from
		}
		low, high := number(from), number(to)
		if low != nil && high != nil && int(*low) <= code && code <= int(*high) {
			return true
		}
	}
	return false
}

// chose reports whether the user chose a derived setting.
func (s *Settings) chose(setting string) bool {
	return slices.Contains(strings.Fields(s.Chosen), setting)
}

// choose notes that the user chose a derived setting, or no longer does.
func (s *Settings) choose(setting string, chosen bool) {
	all := slices.DeleteFunc(strings.Fields(s.Chosen), func(have string) bool { return have == setting })
	if chosen {
		all = append(all, setting)
	}
	slices.Sort(all)
	s.Chosen = strings.Join(all, " ")
}

// Secure reports whether the stack is served by HTTPS.
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

// none reports whether there are no such tasks.
func (m memorySizes) none() bool { return m.list == nil && m.max == 0 }

func (m memorySizes) allow(n int32) bool {
	if m.list != nil {
		return slices.Contains(m.list, n)
	}
	return n >= m.min && n <= m.max && (n-m.min)%m.step == 0
}

func (m memorySizes) String() string {
	if m.list != nil {
		return listText(m.list)
	}
	return fmt.Sprintf("%d to %d in steps of %d", m.min, m.max, m.step)
}

var (
	databaseClass   = pattern.New(`^db\.[a-z0-9-]+\.[a-z0-9]+$`)
	databaseVersion = pattern.New(`^[1-9][0-9](\.[0-9]{1,2})?$`)
	certificateARN  = pattern.New(`^arn:aws[a-z-]*:acm:[a-z0-9-]+:[0-9]{12}:certificate/[A-Za-z0-9-]+$`)
	secretARN       = pattern.New(`^arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[A-Za-z0-9/_+=.@!-]+-[A-Za-z0-9]{6}$`)
	// What a tag can hold of the addresses that SNS takes.
	emailAddress   = pattern.New(`^[A-Za-z0-9_.+=/-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$`)
	topicARN       = pattern.New(`^arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,256}$`)
	databaseName   = pattern.New(`^[A-Za-z][A-Za-z0-9_]{0,62}$`)
	healthStatus   = pattern.New(`^[2-4][0-9]{2}(-[2-4][0-9]{2})?(,[2-4][0-9]{2}(-[2-4][0-9]{2})?)*$`)
	healthPath     = pattern.New(`^/[!-~]*$`)
	containerUser  = pattern.New(`^[A-Za-z0-9_][A-Za-z0-9_.-]*(:[A-Za-z0-9_][A-Za-z0-9_.-]*)?$`)
	archive        = pattern.New(`^(docker-archive|oci|oci-archive):.`)
	vpcID          = pattern.New(`^vpc-([0-9a-f]{8}|[0-9a-f]{17})$`)
	subnetID       = pattern.New(`^subnet-([0-9a-f]{8}|[0-9a-f]{17})$`)
	imageReference = pattern.New(`^[A-Za-z0-9][A-Za-z0-9._:/@-]*$`)
)

// spotDrain is how many seconds pass until the load balancer sends no more requests to a
// task whose health check fails: two checks, five seconds apart, and some more.
const spotDrain = 15

const (
	// usualStopTimeout is how many seconds ECS gives a container where nothing else is said.
	usualStopTimeout = 30
	// leastDrain and mostDrain bound how many seconds a load balancer waits for the requests of
	// a task that is to stop. With Fargate Spot it has to be less than the two minutes that
	// AWS leaves a task: https://repost.aws/knowledge-center/fargate-spot-termination-notice
	leastDrain, mostDrain, mostSpotDrain = 10, 3600, 119
)

// drainTime is how many seconds the load balancer waits for the requests of a task that is to
// stop, before it breaks them off: as many as the image says that they take. Of another image that
// is not known, and they get as long as the container has for its own end. A stop timeout above
// the usual one is for long requests, and lengthens what the image says: the stop signal comes
// only after this wait.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/load-balancer-connection-draining.html
func (s Settings) drainTime() int32 {
	drain := max(s.StopTimeout, leastDrain)
	if s.Drain != 0 && s.StopTimeout <= usualStopTimeout {
		drain = s.Drain
	}
	drain = max(drain, s.Drain)
	if s.Spot {
		drain = min(drain, mostSpotDrain)
	}
	return drain
}

// FollowDrain sets Drain to what the image says. Where that is nothing that a load balancer
// takes, it sets 0 and returns an error.
func (s *Settings) FollowDrain(text string) error {
	s.Drain = 0
	if text == "" {
		return nil
	}
	n := number(text)
	if n == nil || *n < 1 || *n > mostDrain {
		return fmt.Errorf("the image's label io.github.bookctl.drain is %q, and not a number of seconds from 1 to %d: it is ignored", text, mostDrain)
	}
	s.Drain = *n
	return nil
}

// mostTasks is the quota of tasks per service:
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-quotas.html
const mostTasks = 5000

// Check says, in one line, what AWS would refuse of the settings, and what it
// takes instead. Its hint names the flags.
func (s Settings) Check() error {
	if err := s.CheckOf(func(string) bool { return true }); err != nil {
		return err
	}
	if why, next := s.checkEnvironment(); why != "" {
		return hint.With(errors.New(why), "%s", next)
	}
	return nil
}

// CheckOf is Check by those demands alone that are about nothing but what was said,
// whatever the rest is. Settings are named as the flags of up are.
func (s Settings) CheckOf(given func(setting string) bool) error {
	var refused error
	for _, row := range Table() {
		if row.check == nil || refused != nil {
			continue
		}
		row.check(s, func(about string, broken bool, format string, args ...any) {
			flags := strings.Fields(about)
			if broken && refused == nil && !slices.ContainsFunc(flags, func(flag string) bool { return !given(flag) }) {
				refused = hint.With(hint.Errorf(format, args...), "choose with --%s", strings.Join(flags, " and --"))
			}
		})
	}
	if refused == nil && given("tag") {
		refused = s.checkTags()
	}
	return refused
}

// pathText is a path as a tag can hold it, which is empty for one that is too long.
func pathText(path string) string {
	if text := tagText(path); len(text) <= 256 {
		return text
	}
	return ""
}

// dbVersion is DBVersion or its default.
func (s Settings) dbVersion() string {
	if s.DBVersion == "" {
		return DefaultDBVersion
	}
	return s.DBVersion
}
