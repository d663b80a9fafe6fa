package cli

import (
	"fmt"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/pricing"
	"github.com/bookctl/bookctl/internal/provision"
)

// shiftNotes describe what shifting the traffic to the next release takes: time, and twice
// the tasks for that time.
func shiftNotes(have provision.Deployed, want provision.Settings, region string, local bool) []hint.Message {
	strategy := want.Strategy()
	if !strategy.Shifts() {
		return nil
	}
	takes := strategy.Takes()
	text := fmt.Sprintf("a release by %s takes %s beyond the start of its tasks, with up to twice the tasks meanwhile", strategy, hoursAndMinutes(takes))
	usage := want.Usage()
	doubled := usage
	doubled.Tasks *= 2
	once, err := pricing.Cost(usage, region)
	twice, err2 := pricing.Cost(doubled, region)
	if err == nil && err2 == nil && !local {
		text += fmt.Sprintf(": about $%.3f each", (pricing.Total(twice)-pricing.Total(once))*takes.Hours()/monthHours)
	}
	if want.AlarmEmail != "" || want.AlarmTopic != "" {
		text += "; the alarms server-errors and no-healthy-target take it back"
	} else {
		text += "; no alarm takes it back: see --alarm-email"
	}
	out := []hint.Message{hint.New("%s", text)}
	if have.Service() && !have.TwoTargetGroups {
		return append(out, hint.New("this release still rolls, because ECS requires that before it shifts traffic; the next one uses %s", strategy))
	}
	// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeploymentCircuitBreaker.html
	out = append(out, hint.New("if its tasks fail, %s stops it while it waits; with --wait=false nothing stops it, because ECS's circuit breaker is only for rolling deployments", hint.Command("up")))
	if want.AlarmEmail != "" || want.AlarmTopic != "" {
		// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs_service_deployment_events.html
		out = append(out, hint.New("the alarm failed-release does not notify of a release by %s, because ECS sends that event only where the circuit breaker is on", strategy))
	}
	return out
}

// monthHours are those of the months that prices are of.
const monthHours = 730
