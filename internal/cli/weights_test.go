package cli_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
)

// TestRequestsGoToTheGroupOfTheCurrentRevision has a listener of two target groups changed
// by hand in each way that lets requests go where no task is: by its weights, while the
// stack is paused, and while the tasks of two releases run.
func TestRequestsGoToTheGroupOfTheCurrentRevision(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s, app := newShell(t), newVersioned(t)
	app.is(t, "v1", "")
	s.must("local", "start", "--scale", "0.02")
	url := s.up("--no-database", "--source", app.dir, "--deploy", "blue-green:0m")
	serves := func(version string) {
		t.Helper()
		app.answers(t, url, version)
	}
	first, second := s.targetGroup("book-tasks"), s.targetGroup("book-tasks-b")
	clean := func(version string) {
		t.Helper()
		serves(version)
		if r := s.run("plan", "--local"); strings.Contains(r.out, "listener") {
			t.Errorf("the listener is not as it is to be:\n%s%s", r.out, r.err)
		}
	}
	clean("v1") // in the second group, where ECS put the first release

	s.setDefaultAction(types.Action{Type: types.ActionTypeEnumForward, ForwardConfig: &types.ForwardActionConfig{TargetGroups: []types.TargetGroupTuple{
		{TargetGroupArn: first, Weight: aws.Int32(100)}, {TargetGroupArn: second, Weight: aws.Int32(0)},
	}}})
	if code, body := call(t, http.MethodGet, url, ""); code != http.StatusServiceUnavailable {
		t.Fatalf("%d %q answers for a group without tasks", code, body)
	}
	s.run("plan", "--local").shows(t, 2, "target-group-weights: book-tasks 100, book-tasks-b 0 → book-tasks 0, book-tasks-b 100")
	s.must("up", "--local")
	clean("v1")

	s.must("pause", "--local", "--yes")
	s.setDefaultAction(types.Action{Type: types.ActionTypeEnumFixedResponse, FixedResponseConfig: &types.FixedResponseActionConfig{
		StatusCode: aws.String("503"), ContentType: aws.String("text/plain"), MessageBody: aws.String("back soon"),
	}})
	s.must("up", "--local")
	clean("v1")

	// To and fro, so that the release before is in the first group.
	app.is(t, "v2", "")
	s.must("up", "--local")
	clean("v2")
	app.is(t, "v3", "")
	waiting := s.command("up", "--local", "--deploy", "blue-green:15m")
	if err := waiting.Start(); err != nil {
		t.Fatal(err)
	}
	until(t, "both releases run", func() bool {
		var status struct {
			Service struct{ Shifting *struct{ Stage string } }
		}
		if err := json.Unmarshal([]byte(s.run("status", "--local", "--output", "json").out), &status); err != nil {
			t.Fatal(err)
		}
		return status.Service.Shifting != nil && status.Service.Shifting.Stage == "BAKE_TIME"
	})
	if err := waiting.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = waiting.Wait() // it was killed
	s.setDefaultAction(types.Action{Type: types.ActionTypeEnumForward, TargetGroupArn: second})
	serves("v3")
	s.run("up", "--local", "--wait=false").shows(t, 0, "default-action stays", "ECS is shifting the requests between the target groups")
	serves("v3")
	s.must("up", "--local") // waits for the deployment
	s.must("up", "--local")
	clean("v3")
}
