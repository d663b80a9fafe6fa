package provision

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/bookctl/bookctl/internal/inventory"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// TaskDefinition is the stack's family of task definitions. A revision never
// changes: what is to be different is registered as a new one. Registering
// again makes yet another revision, so the newest is compared first.
type TaskDefinition struct {
	graph.NodeOf[*liveDefinition]
	ecsAccess
	image             *Image
	execution, task   *Role
	secret            *Secret
	logs              *LogGroup
	database          *Database
	want              taskSpec
	region, container string
	early             earlyTasks
}

// taskSpec is what of a task can be wanted.
type taskSpec struct {
	cpu, memory int32
	storage     int32  // GiB
	arch        string // "amd64" or "arm64"
	port        int32
	exec        bool
	// command and healthCommand are Settings.Command and Settings.HealthCommand.
	command, healthCommand string
	releaseCommand         string
	user                   string
	readOnly               bool
	stopTimeout            int32 // seconds
	healthGrace            int32 // seconds
	settings               Settings
	// registrySecret is the ARN of the secret with the login of the image's
	// registry, or "".
	registrySecret string
}

// containerName is the name of the one container of a task.
const containerName = "app"

// What a task reads the place of its database from. A revision that was created before the
// database has the secret only.
const (
	envHost = "DB_HOST"
	envPort = "DB_PORT"
	// envDrain is how many seconds a task on Fargate Spot has to go on serving after its
	// stop signal, while its health check fails: its target may stay until it has stopped,
	// and the load balancer's check finds it unhealthy twice before it sends nothing more
	// (https://repost.aws/knowledge-center/fargate-spot-termination-notice).
	envDrain = "TASK_DRAIN"

	envSecret = "DB_SECRET_ARN" //nolint:gosec // the name of a variable
)

func isAddress(variable string) bool { return variable == envHost || variable == envPort }

// tagSpec holds a digest of what a revision was registered with.
const tagSpec = "bookctl:spec"

// labelRelease is the label of a container that has the release command: text as tags
// can't hold it.
const labelRelease = "io.github.bookctl.release-command"

// freeStorage is the disk that a task has anyway, in GiB.
const freeStorage = 20

// bookapiUser is the user, and group, that the image runs as: "nonroot".
const bookapiUser = "65532"

// taskDefinitionNeeds are the resources that a task definition names.
type taskDefinitionNeeds struct {
	image           *Image
	execution, task *Role
	secret          *Secret
	logs            *LogGroup
	database        *Database
	targets         *TargetGroup
}

func newTaskDefinition(c ecsAccess, needs taskDefinitionNeeds, early earlyTasks, want taskSpec) *TaskDefinition {
	// It records what the target group carries out.
	first := []graph.Finder{needs.image, needs.execution, needs.task, needs.logs, needs.targets}
	if !want.settings.NoDatabase {
		first = append(first, needs.secret, early.dependency())
	}
	t := &TaskDefinition{
		ecsAccess: c, image: needs.image, execution: needs.execution, task: needs.task, secret: needs.secret, logs: needs.logs, database: needs.database,
		early: early, want: want, container: containerName, region: c.ecs.Options().Region,
	}
	t.NodeOf = graph.Of(t, "task-definition", 5*time.Minute, first...)
	return t
}

func (t *TaskDefinition) family() string { return t.names().TaskDefinition() }

// liveDefinition is the family of task definitions as far as it is compared.
type liveDefinition struct {
	revision          // to go by
	newest   revision // of the stack's
	fields   definitionFields
	// recordCheckLater reports whether the service runs it by another health check than the
	// wanted one, which is recorded when that has proved itself; see Service.setCheck.
	recordCheckLater bool
}

// definitionFields are the fields of a revision, registered or wanted.
type definitionFields struct {
	status, cpu, memory, storage  string
	architecture, execution, task string // "" where an endpoint does not report it
	container                     types.ContainerDefinition
	digest                        string // see definitionDigest
}

// liveDefinitionOf describes the revision to go by.
func liveDefinitionOf(r, newest revision) *liveDefinition {
	d := r.live
	out := &liveDefinition{revision: r, newest: newest, fields: definitionFields{
		status: string(types.TaskDefinitionStatusActive), cpu: aws.ToString(d.Cpu), memory: aws.ToString(d.Memory), storage: storageOf(d.EphemeralStorage),
		execution: aws.ToString(d.ExecutionRoleArn), task: aws.ToString(d.TaskRoleArn), digest: r.tags[tagSpec],
	}}
	if d.Status == types.TaskDefinitionStatusInactive {
		out.fields.status = string(d.Status)
	}
	if d.RuntimePlatform != nil {
		out.fields.architecture = string(d.RuntimePlatform.CpuArchitecture)
	}
	for _, c := range d.ContainerDefinitions {
		if aws.ToString(c.Name) == containerName {
			out.fields.container = c
		}
	}
	return out
}

// wantedFields describes a revision that is to be registered.
func wantedFields(in *ecs.RegisterTaskDefinitionInput) definitionFields {
	return definitionFields{
		status: string(types.TaskDefinitionStatusActive), cpu: aws.ToString(in.Cpu), memory: aws.ToString(in.Memory), storage: storageOf(in.EphemeralStorage),
		architecture: string(in.RuntimePlatform.CpuArchitecture), execution: aws.ToString(in.ExecutionRoleArn), task: aws.ToString(in.TaskRoleArn),
		container: in.ContainerDefinitions[0], digest: definitionDigest(in),
	}
}

// Read takes the newest revision that is ours. One that is to be replaced shows
// as drift; so does a family with nothing but deregistered revisions, which ECS
// keeps until they are deleted as well. Where what serves is what is wanted, and
// the newer ones never served, it is that one, and the drift is that they are
// there: another revision like it would replace healthy tasks for nothing.
func (t *TaskDefinition) Read(ctx context.Context) (*liveDefinition, graph.State, error) {
	last, err := t.newest(ctx)
	if last.live == nil || err != nil {
		return nil, absent, err
	}
	compared, err := t.revisionToCompare(ctx, last)
	if err != nil {
		return nil, absent, err
	}
	live := liveDefinitionOf(compared, last)
	if live.recordCheckLater, err = t.servesWithOtherCheck(ctx, live); err != nil {
		return nil, absent, err
	}
	return live, graph.State{
		Phase: graph.Ready, ID: aws.ToString(live.live.TaskDefinitionArn), Owner: live.tags[TagStack],
		Note: "revision " + strconv.Itoa(int(live.live.Revision)),
	}, nil
}

// Wanted implements graph.Shape.
func (t *TaskDefinition) Wanted(live *liveDefinition) *liveDefinition {
	w := &liveDefinition{revision: revision{tags: t.tags(t.Name())}, fields: wantedFields(t.definition())}
	withoutDefaults(live.newest.tags, w.tags)
	if live.recordCheckLater {
		for _, key := range checkTags {
			if value, recorded := live.tags[key]; recorded {
				w.tags[key] = value
			} else {
				delete(w.tags, key)
			}
		}
	}
	return w
}

// servesWithOtherCheck finds liveDefinition.recordCheckLater.
func (t *TaskDefinition) servesWithOtherCheck(ctx context.Context, live *liveDefinition) (bool, error) {
	if t.destroying || live.tags[TagStack] != t.stack {
		return false, nil
	}
	want := t.Wanted(live)
	if drift, _ := t.Attributes().Compare(live, want); NewRelease(drift) {
		return false, nil
	}
	if same := func(key string) bool { return live.tags[key] == want.tags[key] }; same(checkTags[0]) && same(checkTags[1]) {
		return false, nil
	}
	service, err := t.service().describe(ctx)
	return service != nil && aws.ToString(service.TaskDefinition) == aws.ToString(live.live.TaskDefinitionArn), err
}

// Attributes implements graph.Shape. A revision never changes, so each field that differs
// takes another one: set registers it, with all fields at once. Only tags can be set,
// and newer revisions taken away.
func (t *TaskDefinition) Attributes() graph.Attributes[*liveDefinition] {
	set := graph.SetBy(t.set)
	field := func(name string, of func(definitionFields) string) graph.Attribute[*liveDefinition] {
		return graph.Field(name, func(l *liveDefinition) string { return of(l.fields) }, set)
	}
	containerField := func(name string, of func(types.ContainerDefinition) string) graph.Attribute[*liveDefinition] {
		return field(name, func(f definitionFields) string { return of(f.container) })
	}
	checked := func(live, want *liveDefinition) bool {
		return live.fields.container.HealthCheck != nil && want.fields.container.HealthCheck != nil
	}
	return graph.Attributes[*liveDefinition]{
		field("status", func(f definitionFields) string { return f.status }),
		field("cpu", func(f definitionFields) string { return f.cpu }),
		field("memory", func(f definitionFields) string { return f.memory }),
		field("ephemeral-storage", func(f definitionFields) string { return f.storage }),
		field("architecture", func(f definitionFields) string { return f.architecture }).
			When(func(live, _ *liveDefinition) bool { return live.fields.architecture != "" }),
		field("execution-role", func(f definitionFields) string { return f.execution }).
			When(func(live, _ *liveDefinition) bool { return live.fields.execution != "" }),
		field("task-role", func(f definitionFields) string { return f.task }).
			When(func(live, _ *liveDefinition) bool { return live.fields.task != "" }),
		containerField("image", func(c types.ContainerDefinition) string { return aws.ToString(c.Image) }),
		containerField("registry-secret", registrySecretOf),
		containerField("container-port", portsOf),
		containerField("command", func(c types.ContainerDefinition) string { return joinWords(c.Command) }),
		containerField("release-command", func(c types.ContainerDefinition) string { return c.DockerLabels[labelRelease] }),
		containerField("user", func(c types.ContainerDefinition) string { return aws.ToString(c.User) }),
		containerField("read-only-root", func(c types.ContainerDefinition) string {
			return strconv.FormatBool(aws.ToBool(c.ReadonlyRootFilesystem))
		}),
		containerField("stop-timeout", func(c types.ContainerDefinition) string { return decimal(c.StopTimeout) }),
		containerField("health-command", healthOf),
		containerField("health-times", timesOf).When(checked),
		containerField("health-grace", func(c types.ContainerDefinition) string { return decimal(c.HealthCheck.StartPeriod) + " s" }).When(checked),
		graph.Many("environment ", func(live, want *liveDefinition) []graph.Change {
			return environmentDrift(live.fields.container.Environment, want.fields.container.Environment, t.want.settings)
		}, set),
		graph.Many("secret ", func(live, want *liveDefinition) []graph.Change {
			return secretDrift(live.fields.container.Secrets, want.fields.container.Secrets)
		}, set),
		// What no row names, as bookctl itself comes to register something else.
		field("definition", func(f definitionFields) string { return f.digest }).Alone(),
		tagAttribute(func(l *liveDefinition) map[string]string { return l.tags }, set),
		graph.Compared(fieldNewest, func(live, _ *liveDefinition) (string, string, bool) {
			have, want := live.newest.number(), live.number()
			return have, want, have != want
		}, set),
	}
}

// definition is the revision that is wanted. Names of resources that are not there
// yet are empty in it.
func (t *TaskDefinition) definition() *ecs.RegisterTaskDefinitionInput {
	arch := types.CPUArchitectureX8664
	if t.want.arch == "arm64" {
		arch = types.CPUArchitectureArm64
	}
	cpu, memory := strconv.Itoa(int(t.want.cpu)), strconv.Itoa(int(t.want.memory))
	var storage *types.EphemeralStorage
	if t.want.storage > freeStorage {
		storage = &types.EphemeralStorage{SizeInGiB: t.want.storage}
	}
	return &ecs.RegisterTaskDefinitionInput{
		Family:                  aws.String(t.family()),
		NetworkMode:             types.NetworkModeAwsvpc,
		RequiresCompatibilities: []types.Compatibility{types.CompatibilityFargate},
		Cpu:                     &cpu,
		Memory:                  &memory,
		EphemeralStorage:        storage,
		RuntimePlatform:         &types.RuntimePlatform{CpuArchitecture: arch, OperatingSystemFamily: types.OSFamilyLinux},
		ExecutionRoleArn:        aws.String(t.execution.ID()),
		TaskRoleArn:             aws.String(t.task.ID()),
		ContainerDefinitions:    []types.ContainerDefinition{t.containerDefinition(cpu, memory)},
	}
}

// containerDefinition is the one container of the wanted revision.
func (t *TaskDefinition) containerDefinition(cpu, memory string) types.ContainerDefinition {
	env := t.want.settings.Env.Map()
	maps.Copy(env, map[string]string{
		"PORT":        strconv.Itoa(int(t.want.port)),
		"TASK_CPU":    cpu, // bookapi fits its threads and memory to these
		"TASK_MEMORY": memory,
	})
	if t.want.settings.Spot {
		env[envDrain] = strconv.Itoa(spotDrain)
	}
	secretVariables := t.want.settings.Secrets.Map()
	t.addDatabaseVariables(env, secretVariables)
	var login *types.RepositoryCredentials
	if t.want.registrySecret != "" {
		login = &types.RepositoryCredentials{CredentialsParameter: &t.want.registrySecret}
	}
	command, _ := splitWords(t.want.command) // checked with the settings
	var user *string
	if t.want.user != "" {
		user = &t.want.user
	}
	var labels map[string]string
	if t.want.releaseCommand != "" {
		labels = map[string]string{labelRelease: t.want.releaseCommand}
	}
	return types.ContainerDefinition{
		Name:      &t.container,
		Image:     aws.String(t.image.ID()),
		Essential: aws.Bool(true),

		RepositoryCredentials: login,
		Command:               command,
		DockerLabels:          labels,
		User:                  user,
		// The agent behind ECS Exec writes to the root file system:
		// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-exec.html
		ReadonlyRootFilesystem: aws.Bool(t.want.readOnly && !t.want.exec),
		LinuxParameters: &types.LinuxParameters{
			InitProcessEnabled: aws.Bool(t.want.exec),
			Capabilities:       t.want.capabilities(),
		},
		SystemControls: t.want.systemControls(),
		PortMappings:   []types.PortMapping{{ContainerPort: &t.want.port, HostPort: &t.want.port, Protocol: types.TransportProtocolTcp}},
		Environment:    toPairs(env, func(k, v *string) types.KeyValuePair { return types.KeyValuePair{Name: k, Value: v} }),
		Secrets:        toPairs(secretVariables, func(k, v *string) types.Secret { return types.Secret{Name: k, ValueFrom: v} }),
		StopTimeout:    &t.want.stopTimeout,
		HealthCheck:    t.healthCheck(),
		LogConfiguration: &types.LogConfiguration{
			LogDriver: types.LogDriverAwslogs,
			// The mode is that of the account unless it is set, and a container that waits for
			// CloudWatch stops to answer.
			Options: map[string]string{
				"awslogs-group": t.logs.groupName(), "awslogs-region": t.region, "awslogs-stream-prefix": t.container, "mode": "non-blocking",
			},
		},
	}
}

// addDatabaseVariables adds the variables by which a task learns where its database is, and what
// it has to know from the secret.
func (t *TaskDefinition) addDatabaseVariables(env, secretVariables map[string]string) {
	s := t.want.settings
	if s.NoDatabase {
		return
	}
	if s.LocatesDatabase {
		env[envSecret] = t.secret.ID()
	}
	host, port := t.database.Endpoint()
	known := host != "" && !t.early.await()
	for name, part := range s.databaseVariables() {
		// ECS takes one key of a secret by "ARN:key:version-stage:version-id":
		// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/secrets-envvar-secrets-manager.html
		if key := s.secretKey(part); key != "" {
			secretVariables[name] = t.secret.ID() + ":" + key + "::"
			continue
		}
		switch part {
		case partHost:
			if known {
				env[name] = host
			}
		case partPort:
			if known {
				env[name] = strconv.Itoa(int(port))
			}
		case partName:
			env[name] = t.database.dbName()
		case partTLS:
			env[name] = s.sslMode()
		case partRoot:
			env[name] = s.DatabaseAuthority
		}
	}
}

// isRoot reports whether the container runs as root.
func (w taskSpec) isRoot() bool {
	user, _, _ := strings.Cut(w.user, ":")
	return user == "" || user == "0" || user == "root"
}

// capabilities are those that the container does not get. Root needs those that
// container runtimes give. The program of another user may have that of a low port by its
// file, as Caddy's and FrankenPHP's have, and Linux starts none that has one which is
// dropped, whatever port it listens on. Fargate adds none but SYS_PTRACE:
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_KernelCapabilities.html
func (w taskSpec) capabilities() *types.KernelCapabilities {
	if w.isRoot() {
		return nil
	}
	if w.settings.LocatesDatabase && w.port >= lowPorts { // bookapi
		return &types.KernelCapabilities{Drop: []string{"ALL"}}
	}
	return &types.KernelCapabilities{Drop: []string{
		"AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_RAW", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
	}}
}

// lowPorts end where Linux lets every user listen.
const lowPorts = 1024

// systemControls let a user other than root listen on a low port, as Docker lets every one,
// and Fargate does not: https://github.com/aws/containers-roadmap/issues/1721
func (w taskSpec) systemControls() []types.SystemControl {
	if w.isRoot() || w.port >= lowPorts {
		return nil
	}
	return []types.SystemControl{{Namespace: aws.String("net.ipv4.ip_unprivileged_port_start"), Value: aws.String("0")}}
}

// healthCheck is the check of the container itself; nil for none. The container is given
// as much time to start as by the load balancer's, as far as ECS lets it:
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_HealthCheck.html
func (t *TaskDefinition) healthCheck() *types.HealthCheck {
	if t.want.healthCommand == "" {
		return nil
	}
	command, _ := healthCommand(t.want.healthCommand) // checked with the settings
	times := t.want.settings.CheckTimes.inECS()
	return &types.HealthCheck{
		Command: command, Interval: &times.Interval, Timeout: &times.Timeout, Retries: &times.Retries, StartPeriod: aws.Int32(min(t.want.healthGrace, 300)),
	}
}

// definitionDigest identifies a definition. What is unset does not count, so that a
// field that a newer SDK knows of changes nothing; nor does the database's
// address, which need not be in it.
func definitionDigest(d *ecs.RegisterTaskDefinitionInput) string {
	bare := *d
	bare.Tags, bare.ContainerDefinitions = nil, slices.Clone(d.ContainerDefinitions)
	for i, c := range bare.ContainerDefinitions {
		bare.ContainerDefinitions[i].Environment = slices.DeleteFunc(slices.Clone(c.Environment), func(p types.KeyValuePair) bool { return isAddress(aws.ToString(p.Name)) })
	}
	text, err := json.Marshal(bare)
	if err != nil {
		panic(err) // plain structs always encode
	}
	var tree any
	if err := json.Unmarshal(text, &tree); err != nil {
		panic(err)
	}
	if text, err = json.Marshal(withoutUnset(tree)); err != nil {
		panic(err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:12])
}

// registrySecretOf is the ARN of the secret by which a container's image is pulled,
// or "".
func registrySecretOf(d types.ContainerDefinition) string {
	if d.RepositoryCredentials == nil {
		return ""
	}
	return aws.ToString(d.RepositoryCredentials.CredentialsParameter)
}

func withoutUnset(v any) any {
	switch x := v.(type) {
	case map[string]any:
		for k, e := range x {
			if e = withoutUnset(e); e == nil {
				delete(x, k)
			} else {
				x[k] = e
			}
		}
		if len(x) == 0 {
			return nil
		}
	case []any:
		for i := range x {
			x[i] = withoutUnset(x[i])
		}
		if len(x) == 0 {
			return nil
		}
	case string:
		if x == "" {
			return nil
		}
	case bool:
		if !x {
			return nil
		}
	}
	return v
}

// environmentDrift compares a container's variables. Values of the user's are not shown.
func environmentDrift(live, want []types.KeyValuePair, spec Settings) []graph.Change {
	values := func(pairs []types.KeyValuePair) map[string]string {
		return toMap(pairs, func(p types.KeyValuePair) (*string, *string) { return p.Name, p.Value })
	}
	have, wanted := values(live), values(want)
	var out []graph.Change
	for k := range have {
		if _, stays := wanted[k]; !stays && !isAddress(k) {
			out = append(out, graph.Change{Field: k, Have: "a value"})
		}
	}
	for k, v := range wanted {
		before, set := have[k]
		switch {
		case set && before == v:
		case k == "TASK_CPU" || k == "TASK_MEMORY": // they follow cpu and memory
		case isAddress(k) && before == "" && have[envSecret] != "": // its tasks ask the secret
		case spec.reserved(k) != "":
			out = append(out, graph.Change{Field: k, Have: before, Want: v})
		case set:
			out = append(out, graph.Change{Field: k, Have: "a value", Want: "another value"})
		default:
			out = append(out, graph.Change{Field: k, Want: "a value"})
		}
	}
	return out
}

// secretDrift compares where a container's secret variables are from.
func secretDrift(live, want []types.Secret) []graph.Change {
	origins := func(all []types.Secret) map[string]string {
		return toMap(all, func(s types.Secret) (*string, *string) { return s.Name, s.ValueFrom })
	}
	have, wanted := origins(live), origins(want)
	var out []graph.Change
	for name, from := range wanted {
		if have[name] != from {
			out = append(out, graph.Change{Field: name, Have: have[name], Want: from})
		}
	}
	for name, from := range have {
		if wanted[name] == "" {
			out = append(out, graph.Change{Field: name, Have: from})
		}
	}
	return out
}

// portsOf are the ports of a container as text.
func portsOf(d types.ContainerDefinition) string {
	var out []string
	for _, m := range d.PortMappings {
		out = append(out, decimal(m.ContainerPort))
	}
	return strings.Join(out, " ")
}

func storageOf(e *types.EphemeralStorage) string {
	if e == nil {
		return gib(freeStorage)
	}
	return gib(e.SizeInGiB)
}

func healthOf(d types.ContainerDefinition) string {
	if d.HealthCheck == nil {
		return ""
	}
	return healthText(d.HealthCheck.Command)
}

// timesOf are the times of a container's health check, which it has to have.
func timesOf(d types.ContainerDefinition) string {
	h := d.HealthCheck
	return fmt.Sprintf("every %s s, timeout %s s, %s retries", decimal(h.Interval), decimal(h.Timeout), decimal(h.Retries))
}

// Create registers the first revision. Each call makes another one: after a
// lost answer the engine looks whether it is there.
func (t *TaskDefinition) Create(ctx context.Context) (string, error) {
	in := t.definition()
	tags := t.tags(t.Name())
	tags[tagSpec] = definitionDigest(in)
	in.Tags = toECSTags(tags)
	out, err := t.ecs.RegisterTaskDefinition(ctx, in, func(o *ecs.Options) { o.Retryer = onlyThrottles{o.Retryer} })
	if err != nil {
		return "", fmt.Errorf("register task definition %s: %w", t.family(), err)
	}
	made := revision{out.TaskDefinition, tags}
	t.Answer(liveDefinitionOf(made, made), graph.State{Phase: graph.Ready, Owner: t.stack, Note: "revision " + made.number()})
	return aws.ToString(out.TaskDefinition.TaskDefinitionArn), nil
}

// set registers another revision, or repairs the tags of the one there is, and
// withdraws what is newer and never served.
func (t *TaskDefinition) set(ctx context.Context, changes []graph.Change) error {
	if NewRelease(changes) {
		_, err := t.Create(ctx)
		return err
	}
	if hasTagDrift(changes) {
		if err := t.retag(ctx, t.ID(), t.Name(), changes); err != nil {
			return err
		}
	}
	if hasField(changes, fieldNewest) {
		return t.withdraw(ctx)
	}
	return nil
}

// Delete deregisters our revisions and deletes them; deregistered alone they
// would stay for ever. Revisions that somebody else registered are left.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/delete-task-definition-v2.html
func (t *TaskDefinition) Delete(ctx context.Context) error {
	var ours []string
	// Those that are inactive already come first, so that they are not met twice.
	for _, status := range []types.TaskDefinitionStatus{types.TaskDefinitionStatusInactive, types.TaskDefinitionStatusActive} {
		arns, err := t.list(ctx, status)
		if err != nil {
			return err
		}
		for _, arn := range arns {
			ourOwn, err := t.owns(ctx, arn)
			if err != nil {
				return err
			}
			if !ourOwn {
				continue
			}
			ours = append(ours, arn)
			if status == types.TaskDefinitionStatusInactive {
				continue
			}
			if err := t.deregister(ctx, arn); err != nil {
				return err
			}
		}
	}
	for batch := range slices.Chunk(ours, 10) { // as many as the call takes
		out, err := t.ecs.DeleteTaskDefinitions(ctx, &ecs.DeleteTaskDefinitionsInput{TaskDefinitions: batch})
		if err != nil {
			return fmt.Errorf("delete task definitions %s: %w", t.family(), err)
		}
		for _, f := range out.Failures {
			// It may have gone by a call whose answer was lost.
			if live, _, err := t.describe(ctx, aws.ToString(f.Arn)); live == nil && err == nil {
				continue
			}
			return fmt.Errorf("delete task definition %s: %s %s", aws.ToString(f.Arn), aws.ToString(f.Reason), aws.ToString(f.Detail))
		}
	}
	return nil
}

// owns says whether a revision is the stack's. The one that was read last is known: a
// revision keeps its number.
func (t *TaskDefinition) owns(ctx context.Context, arn string) (bool, error) {
	if last := t.Last(); last != nil && aws.ToString(last.newest.live.TaskDefinitionArn) == arn {
		return last.newest.tags[TagStack] == t.stack, nil
	}
	live, tags, err := t.describe(ctx, arn)
	return live != nil && tags[TagStack] == t.stack, err
}

// DeletesSynchronously implements graph.DeletesSynchronously.
func (t *TaskDefinition) DeletesSynchronously() {}

// taskDefinitionKind lists the stack's task definitions. ECS keeps those that are
// no longer active.
func (c ecsAccess) taskDefinitionKind() inventory.Kind {
	t := &TaskDefinition{ecsAccess: c}
	try := func(ctx context.Context) error {
		_, err := t.list(ctx, types.TaskDefinitionStatusActive)
		return err
	}
	return inventory.Kind{Service: "ecs", Type: "task definition", Late: true, Try: try, List: func(ctx context.Context) ([]inventory.Item, error) {
		var out []inventory.Item
		for _, status := range []types.TaskDefinitionStatus{types.TaskDefinitionStatusActive, types.TaskDefinitionStatusInactive, types.TaskDefinitionStatusDeleteInProgress} {
			arns, err := t.list(ctx, status)
			if err != nil {
				return out, err
			}
			for _, arn := range arns {
				out = append(out, inventory.Item{ID: arn, Kept: status != types.TaskDefinitionStatusActive})
			}
		}
		return out, nil
	}}
}
