package provision

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/google/go-cmp/cmp"

	"github.com/bookctl/bookctl/internal/provision/graph"
)

// shown renders drift in one line, refused fields marked.
func shown(changes []graph.Change) string {
	var out []string
	for _, c := range changes {
		text := c.String()
		if c.Blocked != "" {
			text += " refused"
		}
		out = append(out, text)
	}
	return strings.Join(out, "; ")
}

// compared is how a live self differs from the wanted one by a resource's table.
func compared[L any](r graph.Shape[*L], live, want L) string {
	drift, _ := r.Attributes().Compare(&live, &want)
	return shown(drift)
}

var ownTags = map[string]string{TagStack: "book", TagResource: "thing", tagVersion: "2"}

func TestTagDrift(t *testing.T) {
	t.Parallel()
	for want, live := range map[string]map[string]string{
		"": {TagStack: "book", TagResource: "thing", tagVersion: "1", "team": "theirs"},
		"tag bookctl:resource: (none) → thing; tag bookctl:version: (none) → 2": {TagStack: "book"},
	} {
		if got := shown(tagDrift(live, ownTags)); got != want {
			t.Errorf("%v: %q, want %q", live, got, want)
		}
	}
}

func TestServiceDrift(t *testing.T) {
	t.Parallel()
	want := liveService{
		tags: ownTags, definition: "arn:aws:ecs:r:1:task-definition/book-app:7", launch: "FARGATE", desired: 2, recordedCount: "2", secretVersion: "v2", imageKept: true,
		subnets: []string{"subnet-a", "subnet-b"}, groups: []string{"sg-1"}, publicAddress: "ENABLED", targets: "tg app:8080", propagateTags: "SERVICE",
		rollout: describeRollout((&Service{}).rolloutConfiguration(Strategy{Kind: types.DeploymentStrategyRolling}, false), aws.Int32(30), true),
	}
	scaled := want
	scaled.bounds, scaled.inForce = bounds{min: 2, max: 4}, bounds{min: 2, max: 4}
	for name, test := range map[string]struct {
		want   liveService
		change func(*liveService)
		drift  string
	}{
		"the same":                           {want, func(*liveService) {}, ""},
		"order":                              {want, func(l *liveService) { l.subnets = []string{"subnet-b", "subnet-a"} }, ""},
		"a release":                          {want, func(l *liveService) { l.definition = "x/book-app:6" }, "task-definition: book-app:6 → book-app:7"},
		"scaled by hand":                     {want, func(l *liveService) { l.desired = 5 }, "count: 5 → 2"},
		"a bound that moves, with the count": {scaled, func(l *liveService) { l.desired, l.recordedCount = 3, "1" }, ""},
		"a count within the bounds of a schedule": {scaled, func(l *liveService) { l.desired, l.inForce = 9, bounds{min: 8, max: 9} }, ""},
		"scaled by load":        {scaled, func(l *liveService) { l.desired = 4 }, ""},
		"scaled out of bounds":  {scaled, func(l *liveService) { l.desired = 5 }, "count: 5 → 4"},
		"another count wanted":  {scaled, func(l *liveService) { l.desired, l.recordedCount = 3, "3" }, "count: 3 → 2"},
		"another subnet, group": {want, func(l *liveService) { l.subnets, l.groups = []string{"subnet-a"}, nil }, "security-groups: (none) → sg-1; subnets: subnet-a → subnet-a subnet-b"},
		"no public address":     {want, func(l *liveService) { l.publicAddress = "DISABLED" }, "public-address: DISABLED → ENABLED"},
		"another target":        {want, func(l *liveService) { l.targets = "" }, "target-group: (none) → tg app:8080"},
		"no circuit breaker": {want, func(l *liveService) {
			l.rollout = describeRollout(&types.DeploymentConfiguration{MinimumHealthyPercent: aws.Int32(50), MaximumPercent: aws.Int32(200)}, nil, false)
		}, "circuit-breaker: off → on, with rollback; grace-period: 0 s → 30 s; managed-tags: false → true; minimum-healthy: 50 % → 100 %"},
		"an emulator that does not say": {want, func(l *liveService) { l.rollout = nil }, ""},
		"on instances":                  {want, func(l *liveService) { l.launch = "EC2" }, "launch-type: EC2 → FARGATE refused"},
		"tags not propagated":           {want, func(l *liveService) { l.propagateTags = "NONE" }, "propagate-tags: NONE → SERVICE"},
		"can be entered":                {want, func(l *liveService) { l.exec = true }, "exec: true → false"},
		"older password":                {want, func(l *liveService) { l.secretVersion = "v1" }, "password: that of another version of the secret → the secret's"},
		"failed before":                 {want, func(l *liveService) { l.failedRollout = "tasks failed to start" }, "deployment: failed: tasks failed to start → another try"},
	} {
		live := test.want
		test.change(&live)
		want := test.want
		want.desired = wantedCount(live, want)
		if got := compared(&Service{}, live, want); got != test.drift {
			t.Errorf("%s: %q, want %q", name, got, test.drift)
		}
	}
}

// TestARolloutIsOverWhenTheRunsOwnDeploymentServes shows a service what ECS
// reports in the course of rollouts.
func TestARolloutIsOverWhenTheRunsOwnDeploymentServes(t *testing.T) {
	t.Parallel()
	const wanted, before = "arn:aws:ecs:r:1:task-definition/book-app:7", "arn:aws:ecs:r:1:task-definition/book-app:6"
	rollout := func(id, status, definition string, state types.DeploymentRolloutState) types.Deployment {
		return types.Deployment{Id: &id, Status: &status, TaskDefinition: &definition, RolloutState: state, RolloutStateReason: aws.String("Reason of " + id + ".")}
	}
	running := types.DeploymentRolloutStateInProgress
	for name, test := range map[string]struct {
		own         string // the deployment that the run started; "" for none
		ago         time.Duration
		running     int32
		deployments []types.Deployment
		phase       graph.Phase
		note        string // contained
		failed      string
	}{
		"on its way": {"new", 0, 1, []types.Deployment{rollout("new", "PRIMARY", wanted, running), rollout("old", "ACTIVE", before, "COMPLETED")}, graph.Pending, "1/2 running, reason of new., last event: has started 1 tasks", ""},
		"done":       {"new", 0, 2, []types.Deployment{rollout("new", "PRIMARY", wanted, "COMPLETED")}, graph.Ready, "2/2 running", ""},
		// ECS does not stop a task that its program protects.
		"done, with a protected task": {"new", 0, 3, []types.Deployment{rollout("new", "PRIMARY", wanted, "COMPLETED"), stillRunning(rollout("old", "ACTIVE", before, "COMPLETED"))}, graph.Ready, "3/2 running", ""},
		"a task short":                {"new", 0, 1, []types.Deployment{rollout("new", "PRIMARY", wanted, "COMPLETED")}, graph.Pending, "1/2 running", ""},
		"found done":                  {"", 0, 2, []types.Deployment{rollout("new", "PRIMARY", wanted, "COMPLETED")}, graph.Ready, "2/2 running", ""},
		"rolled back":                 {"new", time.Minute, 2, []types.Deployment{rollout("back", "PRIMARY", before, running), rollout("new", "ACTIVE", wanted, "FAILED")}, graph.Unrecoverable, "rolled back to book-app:6: Reason of new.", ""},
		"rolled back, gone":           {"new", time.Minute, 2, []types.Deployment{rollout("back", "PRIMARY", before, "COMPLETED")}, graph.Unrecoverable, "deployment new was replaced by back of book-app:6", ""},
		"replaced":                    {"new", time.Second, 2, []types.Deployment{rollout("theirs", "PRIMARY", wanted, running), rollout("new", "ACTIVE", wanted, running)}, graph.Unrecoverable, "replaced by theirs", ""},
		"not visible yet":             {"new", time.Second, 2, []types.Deployment{rollout("old", "PRIMARY", before, "COMPLETED")}, graph.Pending, "2/2 running", ""},
		"failed, no release before":   {"new", time.Minute, 0, []types.Deployment{rollout("new", "PRIMARY", wanted, "FAILED")}, graph.Unrecoverable, "Reason of new.", ""},
		"failed in an earlier run":    {"", 0, 0, []types.Deployment{rollout("new", "PRIMARY", wanted, "FAILED")}, graph.Ready, "0/2 running", "Reason of new."},
		"another release is running":  {"", 0, 2, []types.Deployment{rollout("old", "PRIMARY", before, "COMPLETED")}, graph.Pending, "2/2 running", ""},
	} {
		s := &Service{wait: true, definition: definitionWithID(t, wanted), ownRelease: ownRelease{deployment: test.own, startedAt: time.Now().Add(-test.ago)}}
		live := &types.Service{
			DesiredCount: 2, RunningCount: test.running, Deployments: test.deployments,
			Events: []types.ServiceEvent{{Message: aws.String("(service x) has started 1 tasks")}, {Message: aws.String("older")}},
		}
		phase, note, failed := s.progress(live)
		if phase != test.phase || !strings.Contains(note, test.note) || failed != test.failed {
			t.Errorf("%s: %s %q failed %q, want %s %q failed %q", name, phase, note, failed, test.phase, test.note, test.failed)
		}
	}
	early := &types.Service{
		DesiredCount: 2, RunningCount: 3, Deployments: []types.Deployment{rollout("new", "PRIMARY", wanted, "COMPLETED"), stillRunning(rollout("old", "ACTIVE", before, "COMPLETED"))},
		DeploymentConfiguration: &types.DeploymentConfiguration{EarlySuccessCriteria: &types.DeploymentEarlySuccessCriteria{Enable: true}},
	}
	waiting := &Service{wait: true, definition: definitionWithID(t, wanted), ownRelease: ownRelease{deployment: "new", startedAt: time.Now()}}
	if phase, note, _ := waiting.progress(early); phase != graph.Pending || !strings.Contains(note, "3/2 running, 1 task of the release before still running") {
		t.Errorf("a rollout that ends early: %s %q", phase, note)
	}
	s := &Service{definition: definitionWithID(t, wanted)}
	if phase, _, _ := s.progress(&types.Service{DesiredCount: 2, Deployments: []types.Deployment{rollout("new", "PRIMARY", wanted, running)}}); phase != graph.Ready {
		t.Errorf("a run that does not wait waits: %s", phase)
	}
}

// stillRunning is a deployment with a task that runs.
func stillRunning(d types.Deployment) types.Deployment {
	d.RunningCount = 1
	return d
}

// definitionWithID returns a definition that the engine has seen.
func definitionWithID(t *testing.T, id string) *TaskDefinition {
	t.Helper()
	d := &TaskDefinition{NodeOf: graph.NodeOf[*liveDefinition]{Node: graph.Named("task-definition", time.Second)}}
	graph.Observe(t.Context(), []graph.Finder{seenAs{d.Node, id}}, graph.Options{})
	return d
}

// seenAs lets the engine learn the id of a node.
type seenAs struct {
	graph.Node
	id string
}

func (s seenAs) Find(context.Context) (graph.State, error) {
	return graph.State{Phase: graph.Ready, ID: s.id}, nil
}

func TestLoadBalancerDrift(t *testing.T) {
	t.Parallel()
	want := liveLoadBalancer{
		tags: ownTags, scheme: "internet-facing", groups: []string{"sg-1"}, subnets: []string{"subnet-a", "subnet-b"},
		attributes: map[string]string{dropInvalidHeaders: "true", idleTimeout: "60", deletionProtection: "false"},
	}
	for drift, change := range map[string]func(*liveLoadBalancer){
		"":                                     func(l *liveLoadBalancer) { l.attributes["access_logs.s3.enabled"] = "true" },
		"idle_timeout.timeout_seconds: 5 → 60": func(l *liveLoadBalancer) { l.attributes[idleTimeout] = "5" },
		"routing.http.drop_invalid_header_fields.enabled: (none) → true": func(l *liveLoadBalancer) { delete(l.attributes, dropInvalidHeaders) },
		"security-groups: sg-1 sg-2 → sg-1":                              func(l *liveLoadBalancer) { l.groups = []string{"sg-2", "sg-1"} },
		"subnets: subnet-a → subnet-a subnet-b":                          func(l *liveLoadBalancer) { l.subnets = []string{"subnet-a"} },
		"scheme: internal → internet-facing refused":                     func(l *liveLoadBalancer) { l.scheme = "internal" },
	} {
		live := want
		live.attributes = maps.Clone(want.attributes)
		change(&live)
		if got := compared(&LoadBalancer{}, live, want); got != drift {
			t.Errorf("%q, want %q", got, drift)
		}
	}
}

func TestTargetGroupDrift(t *testing.T) {
	t.Parallel()
	bookapi := targetSpec{path: "/startupz", codes: "200", drain: 10}
	want := liveTargetGroup{tags: ownTags, kind: "ip", vpc: "vpc-1", protocol: "HTTP", check: bookapi.check(), attributes: bookapi.attributes()}
	for drift, change := range map[string]func(*liveTargetGroup){
		"": func(*liveTargetGroup) {},
		"health-check-path: / → /startupz; healthy-threshold: 5 → 2": func(l *liveTargetGroup) {
			l.check["health-check-path"], l.check["healthy-threshold"] = "/", "5"
		},
		"deregistration_delay.timeout_seconds: 300 → 10": func(l *liveTargetGroup) { l.attributes[deregistrationDelay] = "300" },
		"vpc: vpc-2 → vpc-1 refused":                     func(l *liveTargetGroup) { l.vpc = "vpc-2" },
		"target type: instance → ip refused":             func(l *liveTargetGroup) { l.kind = "instance" },
		"stickiness.enabled: true → false":               func(l *liveTargetGroup) { l.attributes[stickiness] = "true" },
	} {
		live := want
		live.check, live.attributes = maps.Clone(want.check), maps.Clone(want.attributes)
		change(&live)
		if got := compared(&TargetGroup{want: bookapi}, live, want); got != drift {
			t.Errorf("%q, want %q", got, drift)
		}
	}
}

func TestListenerDrift(t *testing.T) {
	t.Parallel()
	want := liveListener{tags: ownTags, port: 80, protocol: "HTTP", action: "forward tg-1"}
	for drift, change := range map[string]func(*liveListener){
		"":                       func(*liveListener) {},
		"port: 81 → 80":          func(l *liveListener) { l.port = 81 },
		"protocol: HTTPS → HTTP": func(l *liveListener) { l.protocol = "HTTPS" },
		"default-action: redirect → forward tg-1": func(l *liveListener) {
			l.action = describeActions([]elbtypes.Action{{Type: elbtypes.ActionTypeEnumRedirect}})
		},
		"extra listener arn-2: HTTP 9999 forward tg-2 → (none)": func(l *liveListener) { l.extra = map[string]string{"arn-2": "HTTP 9999 forward tg-2"} },
	} {
		live := want
		change(&live)
		if got := compared(newListener(elbAccess{}, "listener", listenerNeeds{lb: &LoadBalancer{}, targets: &TargetGroup{}}, listenerSpec{main: true}), live, want); got != drift {
			t.Errorf("%q, want %q", got, drift)
		}
	}
}

func TestScalingDrift(t *testing.T) {
	t.Parallel()
	want := liveScaling{bounds: bounds{2, 4}, policies: map[string]string{"cpu": "C 60"}}
	for _, test := range []struct {
		drift      string
		live, want liveScaling
	}{
		{"", want, want},
		{"tasks: 1 to 4 → 2 to 4", liveScaling{bounds: bounds{1, 4}, policies: want.policies}, want},
		{"policy cpu: C 90 → C 60", liveScaling{bounds: want.bounds, policies: map[string]string{"cpu": "C 90"}}, want},
		{"policy cpu: (none) → C 60; policy theirs: D 1 → (none)", liveScaling{bounds: want.bounds, policies: map[string]string{"theirs": "D 1"}}, want},
		{"suspended: out → (none)", liveScaling{bounds: want.bounds, policies: want.policies, suspended: "out"}, want},
		{"tasks: 2 to 4 → (none)", want, liveScaling{policies: map[string]string{}}},
	} {
		if got := compared(&Scaling{}, test.live, test.want); got != test.drift {
			t.Errorf("%q, want %q", got, test.drift)
		}
	}
	got := requestLabel("arn:aws:elasticloadbalancing:r:1:loadbalancer/app/book-lb/50dc", "arn:aws:elasticloadbalancing:r:1:targetgroup/book-tasks/943f")
	if got != "app/book-lb/50dc/targetgroup/book-tasks/943f" {
		t.Errorf("label %q", got)
	}
}

func TestTaskDefinitionDrift(t *testing.T) {
	t.Parallel()
	stack, err := NewStack(NewClients(aws.Config{Region: "eu-west-1"}), Spec{
		Stack: "book", Zones: [2]string{"a", "b"}, Settings: DefaultSettings(), Running: "repo@sha256:1",
	})
	if err != nil {
		t.Fatal(err)
	}
	def := stack.service.definition
	want := def.definition()
	same := func() (*types.TaskDefinition, map[string]string) {
		c := want.ContainerDefinitions[0]
		c.Environment = slices.Clone(c.Environment)
		return &types.TaskDefinition{
			Cpu: want.Cpu, Memory: want.Memory, RuntimePlatform: want.RuntimePlatform, Status: "ACTIVE", ContainerDefinitions: []types.ContainerDefinition{c},
		}, map[string]string{TagStack: "book", TagResource: "thing", tagVersion: "1", tagSpec: definitionDigest(want)}
	}
	for drift, change := range map[string]func(*types.TaskDefinition, map[string]string){
		"":                func(*types.TaskDefinition, map[string]string) {},
		"cpu: 1024 → 256": func(l *types.TaskDefinition, _ map[string]string) { l.Cpu = aws.String("1024") },
		"image: evil → (none)": func(l *types.TaskDefinition, _ map[string]string) {
			l.ContainerDefinitions[0].Image = aws.String("evil")
		},
		"execution-role: arn:theirs → (none)": func(l *types.TaskDefinition, _ map[string]string) {
			l.ExecutionRoleArn = aws.String("arn:theirs")
		},
		"environment LEVEL: a value → (none); environment PORT: 1 → 8080; secret DB_USERNAME: elsewhere → " + *want.ContainerDefinitions[0].Secrets[1].ValueFrom: func(l *types.TaskDefinition, _ map[string]string) {
			c := &l.ContainerDefinitions[0]
			c.Environment = slices.DeleteFunc(c.Environment, func(p types.KeyValuePair) bool { return *p.Name == "PORT" })
			c.Environment = append(c.Environment, types.KeyValuePair{Name: aws.String("LEVEL"), Value: aws.String("debug")}, types.KeyValuePair{Name: aws.String("PORT"), Value: aws.String("1")})
			c.Secrets = slices.Clone(c.Secrets)
			c.Secrets[1].ValueFrom = aws.String("elsewhere")
		},
		"status: INACTIVE → ACTIVE":                     func(l *types.TaskDefinition, _ map[string]string) { l.Status = "INACTIVE" },
		"definition: other → " + definitionDigest(want): func(_ *types.TaskDefinition, tags map[string]string) { tags[tagSpec] = "other" },
		"tag bookctl:resource: (none) → thing":          func(_ *types.TaskDefinition, tags map[string]string) { delete(tags, TagResource) },
	} {
		live, tags := same()
		change(live, tags)
		r := revision{live, tags}
		if got := compared(def, *liveDefinitionOf(r, r), liveDefinition{revision: revision{tags: ownTags}, fields: wantedFields(want)}); got != drift {
			t.Errorf("%q, want %q", got, drift)
		}
	}
	c := want.ContainerDefinitions[0]
	options := map[string]string{"awslogs-group": "/bookctl/book", "awslogs-region": "eu-west-1", "awslogs-stream-prefix": "app", "mode": "non-blocking"}
	if diff := cmp.Diff(options, c.LogConfiguration.Options); diff != "" {
		t.Error(diff)
	}
	if *c.User != "65532:65532" || !*c.ReadonlyRootFilesystem || len(c.Secrets) != 2 || !slices.Equal(c.LinuxParameters.Capabilities.Drop, []string{"ALL"}) {
		t.Errorf("container %+v", c)
	}
}

// TestEachAttributeIsSetOrRefusedForAReason goes over the tables of attributes of a
// stack that has everything.
func TestEachAttributeIsSetOrRefusedForAReason(t *testing.T) {
	t.Parallel()
	spec := Spec{Stack: "book", Zones: [2]string{"a", "b"}, Settings: DefaultSettings(), Running: "repo@sha256:1"}
	spec.Domain, spec.Min, spec.Max, spec.ReleaseCommand = "api.example.com", 1, 4, "/app migrate"
	stack, err := NewStack(NewClients(aws.Config{Region: "eu-west-1"}), spec)
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, r := range stack.Resources() {
		name, _ := graph.Describe(r)
		table, ok := r.(interface{ CheckAttributes() error })
		if _, updates := r.(graph.Updater); !ok && updates {
			t.Errorf("%s is changed otherwise than by a table of attributes", name)
		}
		if !ok {
			continue
		}
		checked++
		if err := table.CheckAttributes(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if checked < 20 {
		t.Errorf("%d resources have attributes", checked)
	}
}
