package provision

import (
	"net/http"
	"strings"
	"testing"
	"time"

	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"

	"github.com/bookctl/bookctl/internal/provision/graph"
)

// TestAServiceWithoutAHealthyTargetIsGivenUpInTime looks at a service that ECS calls
// complete, as the load balancer sees it.
func TestAServiceWithoutAHealthyTargetIsGivenUpInTime(t *testing.T) {
	t.Parallel()
	target := func(state, description string) string {
		return `<member><Target><Id>10.0.1.5</Id><Port>8080</Port></Target><TargetHealth><State>` + state + `</State><Description>` + description + `</Description></TargetHealth></member>`
	}
	sick := target("unhealthy", "Health checks failed")
	for name, test := range map[string]struct {
		targets string
		since   time.Duration // before which it was seen so first; 0 for now
		grace   int32         // seconds
		phase   graph.Phase
		note    string
	}{
		"healthy":                     {target("healthy", ""), 0, 0, graph.Ready, "1/1 running"},
		"one of two":                  {sick + target("healthy", ""), 0, 0, graph.Ready, "1/1 running"},
		"healthy again":               {target("healthy", ""), time.Hour, 0, graph.Ready, "1/1 running"},
		"no health checks":            {target("unavailable", ""), 0, 0, graph.Ready, "1/1 running"},
		"unhealthy":                   {sick, 0, 0, graph.Pending, "1/1 running, and none is healthy: target 10.0.1.5:8080 is unhealthy: Health checks failed"},
		"just registered":             {target("initial", "Target registration is in progress"), 0, 0, graph.Pending, "1/1 running, to be found healthy: target 10.0.1.5:8080 is initial: Target registration is in progress"},
		"one of two just registered":  {sick + target("initial", ""), 0, 0, graph.Pending, "and none is healthy: "},
		"unhealthy for four minutes":  {sick, 4 * time.Minute, 0, graph.Pending, "is unhealthy"},
		"unhealthy for five minutes":  {sick, 5*time.Minute + time.Second, 0, graph.Unrecoverable, "is unhealthy"},
		"nothing for five minutes":    {"", 5*time.Minute + time.Second, 0, graph.Unrecoverable, "none is healthy: no target is registered"},
		"initial after those minutes": {target("initial", ""), 5*time.Minute + time.Second, 0, graph.Unrecoverable, "1/1 running, and none is healthy: target 10.0.1.5:8080 is initial"},
		"unhealthy within the grace":  {sick, 6 * time.Minute, 600, graph.Pending, "is unhealthy"},
		"unhealthy after the grace":   {sick, 15*time.Minute + time.Second, 600, graph.Unrecoverable, "is unhealthy"},
	} {
		calls := 0
		client := elb.NewFromConfig(stub(func(*http.Request, string) (int, string) {
			calls++
			return http.StatusOK, "<DescribeTargetHealthResponse><DescribeTargetHealthResult><TargetHealthDescriptions>" + test.targets +
				"</TargetHealthDescriptions></DescribeTargetHealthResult></DescribeTargetHealthResponse>"
		}).config())
		targets := &TargetGroup{NodeOf: graph.NodeOf[*liveTargetGroup]{Node: graph.Named("target-group", time.Second)}, elbAccess: elbAccess{elb: client}}
		graph.Observe(t.Context(), []graph.Finder{seenAs{targets.Node, "arn:of-targets"}}, graph.Options{})
		s := &Service{targets: targets, want: serviceSpec{grace: test.grace}}
		if test.since > 0 {
			s.unhealthySince = time.Now().Add(-test.since)
		}
		st := graph.State{Phase: graph.Ready, Note: "1/1 running"}
		health, err := targets.health(t.Context())
		if s.awaitHealthy(health, &st); err != nil || st.Phase != test.phase || !strings.Contains(st.Note, test.note) || calls != 1 {
			t.Errorf("%s: %s %q after %d calls, %v, want %s %q", name, st.Phase, st.Note, calls, err, test.phase, test.note)
		}
		if again := !s.unhealthySince.IsZero(); again != (test.phase != graph.Ready) {
			t.Errorf("%s: the time goes on: %v", name, again)
		}
	}
}
