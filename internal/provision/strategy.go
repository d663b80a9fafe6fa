package provision

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// Strategy is how a release takes the place of the one before.
type Strategy struct {
	// Kind is ECS's own word.
	Kind types.DeploymentStrategy
	// Percent of the requests go to the new tasks at first, or are added with each step.
	Percent float64
	// Wait is how long a canary is looked at, or each step, and Bake how long the tasks
	// before stay when no request goes to them any more.
	Wait, Bake time.Duration
}

// rolling is how a release takes the place of the one before where nothing is said.
const rolling = "rolling"

// longestWait is the longest of each of ECS's waits:
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_CanaryConfiguration.html
const longestWait = 24 * time.Hour

// usualBake is the bake time where nothing is said.
const usualBake = 5 * time.Minute

// parseStrategy reads a strategy as --deploy takes it: rolling, canary:10%/5m,
// linear:20%/3m or blue-green, the last three with a bake time behind another colon.
func parseStrategy(text string) (Strategy, error) {
	kind, rest, more := strings.Cut(text, ":")
	switch {
	case kind == rolling && !more:
		return Strategy{Kind: types.DeploymentStrategyRolling}, nil
	case kind == "blue-green":
		s := Strategy{Kind: types.DeploymentStrategyBlueGreen, Bake: usualBake}
		if !more {
			return s, nil
		}
		var err error
		s.Bake, err = parseWait(rest)
		return s, err
	case kind != "canary" && kind != "linear" || !more:
		return Strategy{}, errors.New("choose rolling, canary:10%/5m, linear:20%/3m or blue-green")
	}
	share, bake, baked := strings.Cut(rest, ":")
	percent, wait, waits := strings.Cut(share, "/")
	number, ok := strings.CutSuffix(percent, "%")
	p, err := strconv.ParseFloat(number, 64)
	if !ok || !waits || err != nil || math.IsNaN(p) {
		return Strategy{}, fmt.Errorf("give a share and how long it is kept, such as %s:10%%/5m", kind)
	}
	s := Strategy{Kind: types.DeploymentStrategyCanary, Percent: p, Bake: usualBake}
	least := 0.1
	if kind == "linear" {
		s.Kind, least = types.DeploymentStrategyLinear, 3
	}
	if tenths := p * 10; p < least || p > 100 || math.Abs(tenths-math.Round(tenths)) > 1e-6 {
		return Strategy{}, fmt.Errorf("a share of %s%%: ECS takes %g%% to 100%% in steps of 0.1%%", number, least)
	}
	s.Percent = math.Round(p*10) / 10
	if s.Wait, err = parseWait(wait); err == nil && baked {
		s.Bake, err = parseWait(bake)
	}
	return s, err
}

// parseWait reads a time of whole minutes.
func parseWait(text string) (time.Duration, error) {
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || d%time.Minute != 0 || d > longestWait {
		return 0, fmt.Errorf("a time of %q: ECS waits whole minutes, from 0m to 24h", text)
	}
	return d, nil
}

// String is the strategy in its one form.
func (s Strategy) String() string {
	switch s.Kind {
	case types.DeploymentStrategyBlueGreen:
		return "blue-green:" + minutesText(s.Bake)
	case types.DeploymentStrategyCanary, types.DeploymentStrategyLinear:
		return fmt.Sprintf("%s:%g%%/%s:%s", strings.ToLower(string(s.Kind)), s.Percent, minutesText(s.Wait), minutesText(s.Bake))
	}
	return rolling
}

func minutesText(d time.Duration) string { return fmt.Sprintf("%dm", int(d.Minutes())) }

// Shifts reports whether all new tasks are started alongside those before, and the requests
// shifted then.
func (s Strategy) Shifts() bool { return s.Kind != types.DeploymentStrategyRolling && s.Kind != "" }

// Shifting is how long requests go to both releases, and Takes how long both have all of
// their tasks at least.
func (s Strategy) Shifting() time.Duration {
	switch s.Kind {
	case types.DeploymentStrategyCanary:
		return s.Wait
	case types.DeploymentStrategyLinear: // not after the last step
		return s.Wait * time.Duration(math.Ceil(100/s.Percent-1e-9)-1)
	}
	return 0
}

// Takes is how long a release takes beyond the start of its tasks.
func (s Strategy) Takes() time.Duration { return s.Shifting() + s.Bake }

// configuration is the strategy as ECS takes it.
func (s Strategy) configuration(c *types.DeploymentConfiguration) {
	whole := func(d time.Duration) *int32 { return aws.Int32(int32(d / time.Minute)) }
	c.Strategy = s.Kind
	if s.Shifts() {
		c.BakeTimeInMinutes = whole(s.Bake)
	}
	switch s.Kind {
	case types.DeploymentStrategyCanary:
		c.CanaryConfiguration = &types.CanaryConfiguration{CanaryPercent: aws.Float64(s.Percent), CanaryBakeTimeInMinutes: whole(s.Wait)}
	case types.DeploymentStrategyLinear:
		c.LinearConfiguration = &types.LinearConfiguration{StepPercent: aws.Float64(s.Percent), StepBakeTimeInMinutes: whole(s.Wait)}
	}
}

// allAtOnce is the strategy by which tasks that know the database's password take the place of
// tasks that don't, whose new connections are refused: all requests go over at once.
func allAtOnce() Strategy { return Strategy{Kind: types.DeploymentStrategyBlueGreen} }

// withAllAtOnce is a service's configuration for such a deployment. The tasks before raise the
// alarms, which must not take the cure back.
func withAllAtOnce(c types.DeploymentConfiguration) *types.DeploymentConfiguration {
	c.CanaryConfiguration, c.LinearConfiguration = nil, nil
	c.Alarms = &types.DeploymentAlarms{AlarmNames: []string{}}
	allAtOnce().configuration(&c)
	return &c
}

// strategyOf is the strategy that a service has.
func strategyOf(c *types.DeploymentConfiguration) Strategy {
	s := Strategy{Kind: types.DeploymentStrategyRolling}
	if c == nil || c.Strategy == "" || c.Strategy == types.DeploymentStrategyRolling {
		return s
	}
	minutes := func(n *int32) time.Duration { return time.Duration(aws.ToInt32(n)) * time.Minute }
	s.Kind, s.Bake = c.Strategy, minutes(c.BakeTimeInMinutes)
	switch {
	case c.CanaryConfiguration != nil && s.Kind == types.DeploymentStrategyCanary:
		s.Percent, s.Wait = aws.ToFloat64(c.CanaryConfiguration.CanaryPercent), minutes(c.CanaryConfiguration.CanaryBakeTimeInMinutes)
	case c.LinearConfiguration != nil && s.Kind == types.DeploymentStrategyLinear:
		s.Percent, s.Wait = aws.ToFloat64(c.LinearConfiguration.StepPercent), minutes(c.LinearConfiguration.StepBakeTimeInMinutes)
	}
	return s
}

// Strategy is Deploy, which was checked.
func (s Settings) Strategy() Strategy {
	out, err := parseStrategy(s.Deploy)
	if err != nil {
		return Strategy{Kind: types.DeploymentStrategyRolling}
	}
	return out
}

// MostTasks is how many tasks a deployment needs addresses for: a rolling one starts new
// tasks alongside those that serve, one at a time if need be, and any other starts all.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeploymentConfiguration.html
func (s Settings) MostTasks() int32 {
	tasks := max(s.Count, s.Max)
	if s.Strategy().Shifts() {
		return 2 * tasks
	}
	return tasks + 1
}

// twoGroups reports whether the stack is to have what shifting the traffic takes.
func (s Settings) twoGroups() bool { return s.TwoTargetGroups || s.Strategy().Shifts() }
