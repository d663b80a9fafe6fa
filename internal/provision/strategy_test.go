package provision

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awscredentials "github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/smithy-go/middleware"

	"github.com/bookctl/bookctl/internal/provision/graph"
	"github.com/bookctl/bookctl/internal/requestbody"
)

func TestAStrategyIsReadInEachOfItsForms(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct {
		form            string
		shifting, takes time.Duration
	}{
		"rolling":                {"rolling", 0, 0},
		"blue-green":             {"blue-green:5m", 0, 5 * time.Minute},
		"blue-green:1h":          {"blue-green:60m", 0, time.Hour},
		"canary:10%/5m":          {"canary:10%/5m:5m", 5 * time.Minute, 10 * time.Minute},
		"canary:0.1%/24h:0s":     {"canary:0.1%/1440m:0m", 24 * time.Hour, 24 * time.Hour},
		"linear:20%/3m":          {"linear:20%/3m:5m", 12 * time.Minute, 17 * time.Minute},
		"linear:30%/1m:2m":       {"linear:30%/1m:2m", 3 * time.Minute, 5 * time.Minute},
		"linear:33.4%/1m:0m":     {"linear:33.4%/1m:0m", 2 * time.Minute, 2 * time.Minute},
		"canary:25%/1440m:1h30m": {"canary:25%/1440m:90m", 24 * time.Hour, 25*time.Hour + 30*time.Minute},
		"canary:10%/5m:60s":      {"canary:10%/5m:1m", 5 * time.Minute, 6 * time.Minute},
	} {
		s, err := parseStrategy(text)
		if err != nil || s.String() != want.form || s.Shifting() != want.shifting || s.Takes() != want.takes {
			t.Errorf("%s is %s, which shifts for %s and takes %s: %v", text, s, s.Shifting(), s.Takes(), err)
		}
		c := &types.DeploymentConfiguration{}
		s.configuration(c)
		if back := strategyOf(c); back != s {
			t.Errorf("%s is read back from ECS as %s", s, back)
		}
		if again, err := parseStrategy(s.String()); again != s || err != nil {
			t.Errorf("%s is read again as %s, %v", s, again, err)
		}
	}
	for _, text := range []string{
		"", "rolling:5m", "canary", "canary:", "canary:10%", "canary:10/5m", "canary:0.05%/5m", "canary:10.05%/5m", "canary:101%/5m", "canary:NaN%/5m", "canary:10%/5",
		"canary:10%/30s", "canary:10%/25h", "canary:10%/-1m", "canary:10%/5m:", "linear:2%/1m", "linear:0%/1m", "blue-green:", "blue-green:soon", "all-at-once",
	} {
		if s, err := parseStrategy(text); err == nil {
			t.Errorf("%q is %s", text, s)
		}
	}
}

// TestEachStageOfAShiftHasADescription also of one that only hooks have a constant for, and of
// one that comes after this version.
func TestEachStageOfAShiftHasADescription(t *testing.T) {
	t.Parallel()
	stages := types.ServiceDeploymentLifecycleStage("").Values()
	for _, s := range types.DeploymentLifecycleHookStage("").Values() {
		stages = append(stages, types.ServiceDeploymentLifecycleStage(s))
	}
	for _, stage := range stages {
		text := Shifting{Strategy: "canary:10%/5m:5m", Stage: string(stage), Percent: 10}.Text()
		if strings.Contains(text, "it begins") || strings.Contains(text, string(stage)) {
			t.Errorf("%s is reported as %q", stage, text)
		}
	}
	for stage, want := range map[string]string{
		"PRE_PRODUCTION_TRAFFIC_SHIFT": "canary:10%/5m:5m: traffic is about to be shifted, 10% of the requests",
		"LUNCH_BREAK":                  "canary:10%/5m:5m: LUNCH_BREAK, 10% of the requests",
		"":                             "canary:10%/5m:5m: it begins, 10% of the requests",
	} {
		if text := (Shifting{Strategy: "canary:10%/5m:5m", Stage: stage, Percent: 10}).Text(); text != want {
			t.Errorf("stage %q is reported as %q, want %q", stage, text, want)
		}
	}
}

// TestAShiftedReleaseIsOverOrTakenBack shows a service what ECS reports of a release to
// which the traffic is shifted.
func TestAShiftedReleaseIsOverOrTakenBack(t *testing.T) {
	t.Parallel()
	before := []types.ServiceRevisionSummary{{Arn: aws.String("before")}}
	ago := func(d time.Duration) *time.Time { return aws.Time(time.Now().Add(-d)) }
	blueGreen := &types.DeploymentConfiguration{Strategy: types.DeploymentStrategyBlueGreen, BakeTimeInMinutes: aws.Int32(5)}
	for name, test := range map[string]struct {
		record        types.ServiceDeployment
		failed, older int32 // tasks, of the release and of another deployment
		died          int32 // of the release, after they have started
		grace         int32 // seconds
		drain         int32 // seconds
		because       string
		phase         graph.Phase
		note, failing string
	}{
		"is shifted": {record: types.ServiceDeployment{Status: types.ServiceDeploymentStatusInProgress, SourceServiceRevisions: before}, failed: 2, older: 9, phase: graph.Pending, note: "4 running, "},
		"fails": {
			record: types.ServiceDeployment{Status: types.ServiceDeploymentStatusInProgress, SourceServiceRevisions: before}, failed: 3, phase: graph.Pending, note: "4 running, ", failing: "3 tasks failed",
		},
		"starts and fails": {
			record: types.ServiceDeployment{Status: types.ServiceDeploymentStatusInProgress, SourceServiceRevisions: before}, died: 3, phase: graph.Pending, note: "4 running, ", failing: "3 tasks failed",
		},
		"is looked at for 21 minutes": {
			record: types.ServiceDeployment{Status: types.ServiceDeploymentStatusInProgress, LifecycleStage: types.ServiceDeploymentLifecycleStageProductionTrafficShift, SourceServiceRevisions: before, CreatedAt: ago(21 * time.Minute), DeploymentConfiguration: blueGreen},
			phase:  graph.Pending, note: "4 running, ",
		},
		"starts for 21 minutes": {
			record: types.ServiceDeployment{Status: types.ServiceDeploymentStatusInProgress, LifecycleStage: types.ServiceDeploymentLifecycleStageScaleUp, SourceServiceRevisions: before, CreatedAt: ago(21 * time.Minute), DeploymentConfiguration: blueGreen},
			phase:  graph.Pending, note: "4 running, ", failing: "its tasks do not serve after 20m0s",
		},
		"starts for 21 minutes of a grace period of 25": {
			record: types.ServiceDeployment{Status: types.ServiceDeploymentStatusInProgress, LifecycleStage: types.ServiceDeploymentLifecycleStageScaleUp, SourceServiceRevisions: before, CreatedAt: ago(21 * time.Minute), DeploymentConfiguration: blueGreen},
			grace:  1500, phase: graph.Pending, note: "4 running, ",
		},
		"starts for 46 minutes with a grace period of 25": {
			record: types.ServiceDeployment{Status: types.ServiceDeploymentStatusInProgress, LifecycleStage: types.ServiceDeploymentLifecycleStageScaleUp, SourceServiceRevisions: before, CreatedAt: ago(46 * time.Minute), DeploymentConfiguration: blueGreen},
			grace:  1500, phase: graph.Pending, note: "4 running, ", failing: "its tasks do not serve after 45m0s",
		},
		"does not end": {
			record: types.ServiceDeployment{Status: types.ServiceDeploymentStatusInProgress, LifecycleStage: types.ServiceDeploymentLifecycleStageProductionTrafficShift, SourceServiceRevisions: before, CreatedAt: ago(26 * time.Minute), DeploymentConfiguration: blueGreen},
			phase:  graph.Pending, note: "4 running, ", failing: "it is not over after 25m0s",
		},
		"drains for 30 minutes": {
			record: types.ServiceDeployment{Status: types.ServiceDeploymentStatusInProgress, LifecycleStage: types.ServiceDeploymentLifecycleStageCleanUp, SourceServiceRevisions: before, CreatedAt: ago(30 * time.Minute), DeploymentConfiguration: blueGreen},
			drain:  1800, phase: graph.Pending, note: "4 running, ",
		},
		"drains for 56 minutes": {
			record: types.ServiceDeployment{Status: types.ServiceDeploymentStatusInProgress, LifecycleStage: types.ServiceDeploymentLifecycleStageCleanUp, SourceServiceRevisions: before, CreatedAt: ago(56 * time.Minute), DeploymentConfiguration: blueGreen},
			drain:  1800, phase: graph.Pending, note: "4 running, ", failing: "it is not over after 55m0s",
		},
		"fails with nothing to go back to": {record: types.ServiceDeployment{Status: types.ServiceDeploymentStatusInProgress}, failed: 3, phase: graph.Unrecoverable, note: "4 running, "},
		"is successful":                    {record: types.ServiceDeployment{Status: types.ServiceDeploymentStatusSuccessful, SourceServiceRevisions: before}, older: 9, phase: graph.Ready, note: "4/2 running"},
		"is taken back": {
			record: types.ServiceDeployment{Status: types.ServiceDeploymentStatusRollbackInProgress, Rollback: &types.Rollback{Reason: aws.String("Stopped by a user.")}}, failed: 3,
			phase: graph.Unrecoverable, note: "rolled back: stopped by a user.",
		},
		"is taken back by this run": {
			record: types.ServiceDeployment{Status: types.ServiceDeploymentStatusRollbackRequested, StatusReason: aws.String("Stopped by a user.")}, because: "3 tasks failed",
			phase: graph.Unrecoverable, note: "rolled back: 3 tasks failed",
		},
		"is taken back by an alarm": {
			record: types.ServiceDeployment{Status: types.ServiceDeploymentStatusRollbackSuccessful, StatusReason: aws.String("Alarm detected."), Alarms: &types.ServiceDeploymentAlarms{TriggeredAlarmNames: []string{"errors"}}},
			phase:  graph.Unrecoverable, note: "rolled back: alarm errors; Alarm detected.",
		},
		"is stopped": {record: types.ServiceDeployment{Status: types.ServiceDeploymentStatusStopRequested}, phase: graph.Unrecoverable, note: "rolled back: STOP_REQUESTED"},
	} {
		primary, active := "PRIMARY", "ACTIVE"
		live := &types.Service{DesiredCount: 2, RunningCount: 4, Deployments: []types.Deployment{{Status: &primary, FailedTasks: test.failed}, {Status: &active, FailedTasks: test.older}}}
		s := &Service{ownRelease: ownRelease{takeBackReason: test.because}, want: serviceSpec{grace: test.grace}, targets: &TargetGroup{want: targetSpec{drain: test.drain}}}
		phase, note, failing := s.shiftProgress(live, &test.record, test.died, s.targets.longDrain())
		if phase != test.phase || !strings.HasPrefix(note, test.note) || failing != test.failing {
			t.Errorf("a release that %s: %v, %q, failing %q; want %v, %q, %q", name, phase, note, failing, test.phase, test.note, test.failing)
		}
		if back := phase == graph.Unrecoverable && strings.HasPrefix(note, "rolled back") && test.because == ""; back != (s.takenBackReason != "") {
			t.Errorf("a release that %s is explained by %q", name, s.takenBackReason)
		}
	}
}

// TestTheRecordOfTheReleaseBeforeIsNotWatched answers an update with what ECS called the
// current deployment before.
func TestTheRecordOfTheReleaseBeforeIsNotWatched(t *testing.T) {
	t.Parallel()
	primary := "PRIMARY"
	live := func(record string, state types.DeploymentRolloutState) *types.Service {
		return &types.Service{
			CurrentServiceDeployment: &record, DeploymentConfiguration: &types.DeploymentConfiguration{Strategy: types.DeploymentStrategyBlueGreen},
			Deployments: []types.Deployment{{Id: aws.String("id"), Status: &primary, RolloutState: state}},
		}
	}
	s := &Service{}
	s.forgetRollout(live("before", types.DeploymentRolloutStateCompleted), &ecs.UpdateServiceInput{TaskDefinition: aws.String("next")})
	if s.followRollout(live("before", types.DeploymentRolloutStateInProgress)); s.recordARN != "" {
		t.Errorf("%q is watched, which is the record of the release before", s.recordARN)
	}
	if s.followRollout(live("next", types.DeploymentRolloutStateInProgress)); s.recordARN != "next" {
		t.Errorf("%q is watched", s.recordARN)
	}
}

// TestAReleaseIsNotOverByTheRecordOfTheOneItSuperseded has ECS name the deployment that an update
// stopped, after the one that it began is there.
func TestAReleaseIsNotOverByTheRecordOfTheOneItSuperseded(t *testing.T) {
	t.Parallel()
	live := func(record, id string, state types.DeploymentRolloutState) *types.Service {
		return &types.Service{
			CurrentServiceDeployment: &record, DeploymentConfiguration: &types.DeploymentConfiguration{Strategy: types.DeploymentStrategyBlueGreen},
			Deployments: []types.Deployment{{Id: &id, Status: aws.String("PRIMARY"), RolloutState: state}},
		}
	}
	for _, state := range []types.DeploymentRolloutState{types.DeploymentRolloutStateCompleted, types.DeploymentRolloutStateFailed} {
		s := &Service{wait: true, definition: &TaskDefinition{NodeOf: graph.NodeOf[*liveDefinition]{Node: graph.Named("task-definition", time.Second)}}}
		s.forgetRollout(live("before", "1", types.DeploymentRolloutStateInProgress), &ecs.UpdateServiceInput{ForceNewDeployment: true})
		s.followRollout(live("before", "2", types.DeploymentRolloutStateInProgress))
		if phase, note, failed := s.progress(live("before", "2", state)); phase != graph.Pending || failed != "" {
			t.Errorf("%s: the release is %v, %q, %q", state, phase, note, failed)
		}
		if phase, _, _ := s.progress(live("next", "2", types.DeploymentRolloutStateCompleted)); phase != graph.Ready {
			t.Errorf("after its own record the release is %v", phase)
		}
	}
}

// TestAnUpdateThatBeginsADeploymentLeavesTheOneBefore separates the updates that begin another
// deployment while one is going on from those that don't.
func TestAnUpdateThatBeginsADeploymentLeavesTheOneBefore(t *testing.T) {
	t.Parallel()
	live := &types.Service{
		CurrentServiceDeployment: aws.String("before"),
		Deployments:              []types.Deployment{{Status: aws.String("PRIMARY"), RolloutState: types.DeploymentRolloutStateInProgress}},
	}
	for watched, updates := range map[string][]ecs.UpdateServiceInput{
		"": {
			{TaskDefinition: aws.String("next")}, {ForceNewDeployment: true}, {NetworkConfiguration: &types.NetworkConfiguration{}}, {LoadBalancers: []types.LoadBalancer{}},
			{PlatformVersion: aws.String("LATEST")}, {ServiceRegistries: []types.ServiceRegistry{}}, {ServiceConnectConfiguration: &types.ServiceConnectConfiguration{}},
			{VpcLatticeConfigurations: []types.VpcLatticeConfiguration{}},
		},
		"before": {{DesiredCount: aws.Int32(2)}, {DeploymentConfiguration: &types.DeploymentConfiguration{}}, {HealthCheckGracePeriodSeconds: aws.Int32(5)}},
	} {
		for i, in := range updates {
			s := &Service{ownRelease: ownRelease{recordARN: "before"}}
			if s.forgetRollout(live, &in); s.recordARN != watched {
				t.Errorf("update %d: %q is watched instead of %q", i, s.recordARN, watched)
			}
		}
	}
}

// TestTheStateOfARolloutIsReadFromItsServiceDeployment answers as ECS may for a service that shifts its
// traffic: it promises the state with the service for rolling updates alone.
func TestTheStateOfARolloutIsReadFromItsServiceDeployment(t *testing.T) {
	t.Parallel()
	const named, unnamed = `"currentServiceDeployment":"arn",`, ``
	begun := time.Now().Add(-time.Hour)
	for name, tc := range map[string]struct {
		service, list, record string
		begun                 time.Time
		want                  types.DeploymentRolloutState
	}{
		"over":                       {named, ``, `{"status":"SUCCESSFUL","finishedAt":4000000000}`, begun, types.DeploymentRolloutStateCompleted},
		"under way":                  {named, ``, `{"status":"IN_PROGRESS"}`, begun, types.DeploymentRolloutStateInProgress},
		"taken back":                 {named, ``, `{"status":"ROLLBACK_SUCCESSFUL","finishedAt":4000000000}`, begun, types.DeploymentRolloutStateCompleted},
		"failed":                     {named, ``, `{"status":"ROLLBACK_FAILED","finishedAt":4000000000}`, begun, types.DeploymentRolloutStateFailed},
		"not visible":                {named, ``, ``, begun, types.DeploymentRolloutStateInProgress},
		"that of the release before": {named, ``, `{"status":"SUCCESSFUL","finishedAt":1}`, begun, types.DeploymentRolloutStateInProgress},
		"not listed":                 {unnamed, ``, ``, begun, types.DeploymentRolloutStateInProgress},
		"listed with the one before": {unnamed, `{"serviceDeploymentArn":"before","createdAt":1},{"serviceDeploymentArn":"arn","createdAt":2}`, `{"status":"SUCCESSFUL","finishedAt":4000000000}`, begun, types.DeploymentRolloutStateCompleted},
		"listed as the one before":   {unnamed, `{"serviceDeploymentArn":"arn","createdAt":1}`, `{"status":"SUCCESSFUL","finishedAt":2}`, begun, types.DeploymentRolloutStateInProgress},
		"not kept":                   {unnamed, ``, ``, begun.Add(-91 * 24 * time.Hour), types.DeploymentRolloutStateCompleted},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body := fmt.Sprintf(`{"services":[{"status":"ACTIVE",%s"deploymentConfiguration":{"strategy":"CANARY"},"deployments":[{"status":"PRIMARY","taskDefinition":"book-app:7","createdAt":%d}]}]}`, tc.service, tc.begun.Unix())
			asked, _ := io.ReadAll(r.Body)
			switch _, action, _ := strings.Cut(r.Header.Get("X-Amz-Target"), "."); {
			case action == "ListServiceDeployments":
				body = `{"serviceDeployments":[` + tc.list + `]}`
			case action == "DescribeServiceDeployments" && strings.Contains(string(asked), `"arn"`):
				body = `{"serviceDeployments":[` + tc.record + `]}`
			case action == "DescribeServiceDeployments":
				body = `{}`
			}
			w.Header().Set("Content-Type", "application/x-amz-json-1.1")
			_, _ = io.WriteString(w, body) // the client sees what is missing
		}))
		defer server.Close()
		c := NewClients(aws.Config{Region: "us-east-1", BaseEndpoint: &server.URL, Credentials: awscredentials.NewStaticCredentialsProvider("a", "b", ""), APIOptions: []func(*middleware.Stack) error{requestbody.Readable}})
		in := ecsAccess{identity{stack: "book", region: "us-east-1"}, c.ECS}
		live, err := (&Service{ecsAccess: in, cluster: &Cluster{ecsAccess: in}}).lookup(t.Context())
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		over := map[bool]string{true: "book-app:7"}[tc.want == types.DeploymentRolloutStateCompleted]
		if got := live.Deployments[0].RolloutState; got != tc.want || completed(live) != over {
			t.Errorf("%s: the rollout is %q, and %q completed", name, got, completed(live))
		}
	}
}

// TestARestartMayTakeAsLongAsItsStrategy has no record of ECS's yet.
func TestARestartMayTakeAsLongAsItsStrategy(t *testing.T) {
	t.Parallel()
	linear := &types.DeploymentConfiguration{
		Strategy: types.DeploymentStrategyLinear, BakeTimeInMinutes: aws.Int32(5),
		LinearConfiguration: &types.LinearConfiguration{StepPercent: aws.Float64(10), StepBakeTimeInMinutes: aws.Int32(6)},
	}
	for grace, longer := range map[int32]time.Duration{0: 0, 1500: 25 * time.Minute, earlyGrace: 0} {
		limit, _, err := new(Service).restarting(t.Context(), &types.Service{DeploymentConfiguration: linear, HealthCheckGracePeriodSeconds: &grace}, 0)
		if want := rolloutTimeout + 59*time.Minute + longer; err != nil || limit != want {
			t.Errorf("with a grace period of %d s: %s, %v; want %s", grace, limit, err, want)
		}
	}
}

// TestAReleaseAlongsideNeedsTwiceTheAddresses has tasks for which the smallest range has
// addresses, as long as they are replaced one by one.
func TestAReleaseAlongsideNeedsTwiceTheAddresses(t *testing.T) {
	t.Parallel()
	room := roomForTasks("10.0.0.0/25")
	for deploy, most := range map[string]int32{rolling: room - 1, "blue-green:5m": room / 2, "canary:10%/5m:5m": room / 2} {
		s := DefaultSettings()
		s.CIDR, s.Deploy = "10.0.0.0/25", deploy
		for count, fits := range map[int32]bool{most: true, most + 1: false} {
			s.Count = count
			err := s.Check()
			if reported := err != nil && strings.Contains(err.Error(), "public subnets have addresses for"); reported == fits {
				t.Errorf("%d tasks by %s in room for %d: %v", count, deploy, room, err)
			}
		}
	}
}
