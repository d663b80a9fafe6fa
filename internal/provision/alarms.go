package provision

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"github.com/bookctl/bookctl/internal/inventory"
	"github.com/bookctl/bookctl/internal/provision/graph"
	"github.com/bookctl/bookctl/internal/sorted"
)

// Alarms are the alarms of the stack in CloudWatch. They have names that only the stack
// gives. Once nobody is to be notified any more, they are deleted.
type Alarms struct {
	graph.NodeOf[*liveAlarms]
	alarmAccess
	to      *AlarmTopic
	lb      *LoadBalancer
	targets *TargetGroup
	// second is the target group that takes turns with targets; nil without one.
	second *TargetGroup
	// database is what the alarms of the database are for; nil without one.
	database *databaseSpec
}

func newAlarms(a alarmAccess, to *AlarmTopic, lb *LoadBalancer, targets, second *TargetGroup, database *databaseSpec) *Alarms {
	out := &Alarms{alarmAccess: a, to: to, lb: lb, targets: targets, second: second, database: database}
	needs := []graph.Finder{to, graph.OnceCreated(lb), targets}
	if second != nil {
		needs = append(needs, second)
	}
	out.NodeOf = graph.Of(out, "alarms", 5*time.Minute, needs...)
	return out
}

// liveAlarms are the alarms as far as they are compared.
type liveAlarms struct {
	alarms map[string]string // what each says, by its name in the stack
	states map[string]types.MetricAlarm
	tags   map[string]map[string]string
}

// raised are the alarms in the state ALARM.
func (l *liveAlarms) raised() []string {
	out := []string{}
	for _, name := range slices.Sorted(maps.Keys(l.states)) {
		if l.states[name].StateValue == types.StateValueAlarm {
			out = append(out, name)
		}
	}
	return out
}

// silent reports whether there are alarms whose actions are disabled.
func (l *liveAlarms) silent() bool {
	for _, x := range l.states {
		if !aws.ToBool(x.ActionsEnabled) {
			return true
		}
	}
	return false
}

// The alarms of a stack. The first is created first.
const (
	alarmHealthy     = "no-healthy-target"
	alarmErrors      = "server-errors"
	alarmCPU         = "database-cpu"
	alarmStorage     = "database-storage"
	alarmConnections = "database-connections"
)

func alarmNames() []string {
	return []string{alarmHealthy, alarmErrors, alarmCPU, alarmStorage, alarmConnections}
}

// alarmMetrics is how many metrics the alarms of a stack look at, by which CloudWatch
// bills them.
func alarmMetrics(s Settings) int32 {
	if s.AlarmEmail == "" && s.AlarmTopic == "" {
		return 0
	}
	n := int32(1 + 3)
	if s.twoGroups() {
		n++
	}
	if !s.NoDatabase {
		n += 3
	}
	return n
}

const (
	// errorShare is the share of 5xx, in per cent, that raises the alarm; below errorRequests a
	// minute it is not raised.
	errorShare    = 5
	errorRequests = 10
	// It is raised after errorMinutes such minutes among the last errorMinutesOf.
	errorMinutes, errorMinutesOf = 2, 5
	// fullCPU is the share of the database's CPU, in per cent, and leastStorage that of its
	// storage which is free.
	fullCPU      = 90
	leastStorage = 10
	// mostConnections is the share, in per cent, of the connections that RDS's formula gives
	// to the memory of the class. The formula counts memory that RDS itself does not use, so
	// that the real limit is some 70 % of it.
	// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/CHAP_Limits.html#RDS_Limits.MaxConnections
	mostConnections = 60
)

// maxConnections is LEAST(DBInstanceClassMemory/9531392, 5000) with all memory of the
// class; what is not known counts as the least of its size.
// https://aws.amazon.com/rds/instance-types/
func maxConnections(class string) float64 {
	part := strings.Split(class, ".")
	family, size := part[1], part[2]
	gib := map[string]float64{"micro": 1, "small": 2, "medium": 4, "large": 8, "xlarge": 16}[size]
	if n, big := strings.CutSuffix(size, "xlarge"); big && n != "" {
		if times := number(n); times != nil {
			gib = 16 * float64(*times)
		}
	}
	switch {
	case gib == 0:
		gib = 8
	case strings.HasPrefix(family, "r"):
		gib *= 2
	case strings.HasPrefix(family, "x"):
		gib *= 4
	}
	return min(gib*(1<<30)/9531392, 5000)
}

// wantedAlarms are the inputs by which the alarms are made, by their names.
func (a *Alarms) wantedAlarms() map[string]*cloudwatch.PutMetricAlarmInput {
	out := map[string]*cloudwatch.PutMetricAlarmInput{}
	if !a.wanted() {
		return out
	}
	to := []string{a.target(a.to)}
	alarm := func(name, description string, compare types.ComparisonOperator, threshold float64, periods int32, missing string) *cloudwatch.PutMetricAlarmInput {
		enough := periods
		in := &cloudwatch.PutMetricAlarmInput{
			AlarmName: aws.String(a.names().Alarm(name)), AlarmDescription: aws.String("Stack " + a.stack + ": " + description),
			ComparisonOperator: compare, Threshold: &threshold, EvaluationPeriods: &periods, DatapointsToAlarm: &enough, TreatMissingData: &missing,
			AlarmActions: to, OKActions: to,
		}
		out[name] = in
		return in
	}
	dimension := func(name, value string) types.Dimension { return types.Dimension{Name: &name, Value: &value} }
	_, balancer, _ := strings.Cut(a.lb.ID(), ":loadbalancer/")
	// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-cloudwatch-metrics.html
	const elb = "AWS/ApplicationELB"
	lb := dimension("LoadBalancer", balancer)
	in := func(t *TargetGroup) types.Dimension {
		_, group, _ := strings.Cut(t.ID(), ":targetgroup/")
		return dimension("TargetGroup", "targetgroup/"+group)
	}
	metric := func(id, metric string, statistic types.Statistic, of ...types.Dimension) types.MetricDataQuery {
		return types.MetricDataQuery{Id: &id, ReturnData: aws.Bool(false), MetricStat: &types.MetricStat{
			Metric: &types.Metric{Namespace: aws.String(elb), MetricName: &metric, Dimensions: append([]types.Dimension{lb}, of...)}, Period: aws.Int32(60), Stat: aws.String(string(statistic)),
		}}
	}
	// Without a registered target there is no data, which is as bad.
	const healthy = "HealthyHostCount"
	none := alarm(alarmHealthy, "no task has been healthy behind the load balancer for 3 minutes", types.ComparisonOperatorLessThanThreshold, 1, 3, "breaching")
	if a.second == nil {
		none.Namespace, none.MetricName, none.Statistic, none.Period = aws.String(elb), aws.String(healthy), types.StatisticMaximum, aws.Int32(60)
		none.Dimensions = []types.Dimension{lb, in(a.targets)}
	} else { // the tasks that serve are in one or the other; see inEither
		none.Metrics = []types.MetricDataQuery{
			{Id: aws.String("healthy"), Label: aws.String("healthy targets"), ReturnData: aws.Bool(true), Expression: aws.String(inEither)},
			metric("first", healthy, types.StatisticMaximum, in(a.targets)), metric("second", healthy, types.StatisticMaximum, in(a.second)),
		}
	}

	errors := alarm(alarmErrors, fmt.Sprintf("more than %d %% of the requests have been answered with 5xx in %d of the last %d minutes", errorShare, errorMinutes, errorMinutesOf), types.ComparisonOperatorGreaterThanThreshold, errorShare, errorMinutesOf, "notBreaching")
	// The answers of the newest minutes may arrive after their requests.
	errors.DatapointsToAlarm = aws.Int32(errorMinutes)
	// RequestCount leaves out what the load balancer answers itself because there is no task.
	errors.Metrics = []types.MetricDataQuery{
		{Id: aws.String("share"), Label: aws.String("share of 5xx"), ReturnData: aws.Bool(true), Expression: aws.String(fmt.Sprintf("IF(requests+balancer>=%d, 100*(tasks+balancer)/(requests+balancer), 0)", errorRequests))},
		metric("requests", "RequestCount", types.StatisticSum), metric("tasks", "HTTPCode_Target_5XX_Count", types.StatisticSum), metric("balancer", "HTTPCode_ELB_5XX_Count", types.StatisticSum),
	}
	if a.database == nil {
		return out
	}
	// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-metrics.html
	database := func(in *cloudwatch.PutMetricAlarmInput, metric string, statistic types.Statistic) {
		in.Namespace, in.MetricName, in.Statistic, in.Period = aws.String("AWS/RDS"), &metric, statistic, aws.Int32(300)
		in.Dimensions = []types.Dimension{dimension("DBInstanceIdentifier", a.names().Database())}
	}
	database(alarm(alarmCPU, fmt.Sprintf("the database has used more than %d %% of its CPU for 15 minutes", fullCPU), types.ComparisonOperatorGreaterThanThreshold, fullCPU, 3, "missing"),
		"CPUUtilization", types.StatisticAverage)
	database(alarm(alarmStorage, fmt.Sprintf("less than %d %% of the database's %s is free", leastStorage, gib(a.database.storage)), types.ComparisonOperatorLessThanThreshold, float64(a.database.storage)*(1<<30)*leastStorage/100, 1, "missing"),
		"FreeStorageSpace", types.StatisticMinimum)
	most := float64(int(maxConnections(a.database.class) * mostConnections / 100))
	database(alarm(alarmConnections, fmt.Sprintf("the database has had more than %g connections for 10 minutes, near the most of a %s", most, a.database.class), types.ComparisonOperatorGreaterThanThreshold, most, 2, "missing"),
		"DatabaseConnections", types.StatisticMaximum)
	return out
}

// describedAlarm is what an alarm says, as text. Whether it does anything is not of it: see
// AlarmActions.
func describedAlarm(x types.MetricAlarm) string {
	metric := func(m *types.Metric, statistic string, period *int32) string {
		text := statistic + " of " + aws.ToString(m.Namespace) + " " + aws.ToString(m.MetricName)
		dimensions := slices.Clone(m.Dimensions)
		sorted.By(dimensions, func(x, y types.Dimension) int { return strings.Compare(aws.ToString(x.Name), aws.ToString(y.Name)) })
		for _, d := range dimensions {
			text += " " + aws.ToString(d.Name) + "=" + aws.ToString(d.Value)
		}
		return text + " in " + decimal(period) + " s"
	}
	var of []string
	if x.MetricName != nil {
		of = []string{metric(&types.Metric{Namespace: x.Namespace, MetricName: x.MetricName, Dimensions: x.Dimensions}, string(x.Statistic), x.Period)}
	}
	for _, q := range x.Metrics {
		text := aws.ToString(q.Id) + "=" + aws.ToString(q.Expression)
		if s := q.MetricStat; s != nil && s.Metric != nil {
			text += metric(s.Metric, aws.ToString(s.Stat), s.Period)
		}
		of = append(of, text)
	}
	slices.Sort(of)
	text := fmt.Sprintf("%s %s %g, %s of %s times, %s without data", strings.Join(of, "; "), x.ComparisonOperator, aws.ToFloat64(x.Threshold), decimal(x.DatapointsToAlarm), decimal(x.EvaluationPeriods), aws.ToString(x.TreatMissingData))
	if x.Unit != "" {
		text += ", of the unit " + string(x.Unit)
	}
	return text + ", sent to " + strings.Join(x.AlarmActions, " ") + ", and its end to " + strings.Join(x.OKActions, " ")
}

// asAlarm is the alarm that an input makes, as far as it is compared.
func asAlarm(in *cloudwatch.PutMetricAlarmInput) types.MetricAlarm {
	return types.MetricAlarm{
		Namespace: in.Namespace, MetricName: in.MetricName, Dimensions: in.Dimensions, Statistic: in.Statistic, Period: in.Period, Metrics: in.Metrics,
		ComparisonOperator: in.ComparisonOperator, Threshold: in.Threshold, DatapointsToAlarm: in.DatapointsToAlarm, EvaluationPeriods: in.EvaluationPeriods,
		TreatMissingData: in.TreatMissingData, AlarmActions: in.AlarmActions, OKActions: in.OKActions,
	}
}

// all describes the stack's alarms, by their names in the stack.
func (a alarmAccess) all(ctx context.Context) (map[string]types.MetricAlarm, error) {
	return a.observed().alarms.readOnce(ctx, a.lookup)
}

func (a alarmAccess) lookup(ctx context.Context) (map[string]types.MetricAlarm, error) {
	in := &cloudwatch.DescribeAlarmsInput{}
	for _, name := range alarmNames() {
		in.AlarmNames = append(in.AlarmNames, a.names().Alarm(name))
	}
	out, err := a.watch.DescribeAlarms(ctx, in)
	if err != nil {
		return nil, fmt.Errorf("describe the alarms of stack %s: %w", a.stack, err)
	}
	all := map[string]types.MetricAlarm{}
	for _, x := range out.MetricAlarms {
		all[strings.TrimPrefix(aws.ToString(x.AlarmName), a.names().Alarm(""))] = x
	}
	return all, nil
}

// alarmTags are the tags of alarms, by their names in the stack.
func (a alarmAccess) alarmTags(ctx context.Context, all map[string]types.MetricAlarm) (map[string]map[string]string, error) {
	var (
		mu   sync.Mutex
		each graph.Group
		out  = map[string]map[string]string{}
	)
	for name, x := range all {
		if tags, ok := a.hinted(x.AlarmArn); ok {
			mu.Lock()
			out[name] = tags
			mu.Unlock()
			continue
		}
		each.Go(func() error {
			list, err := a.watch.ListTagsForResource(ctx, &cloudwatch.ListTagsForResourceInput{ResourceARN: x.AlarmArn})
			if IsCode(err, "ResourceNotFoundException", "ResourceNotFound") {
				return nil // gone, or not visible there yet
			}
			if err != nil {
				return fmt.Errorf("list the tags of alarm %s: %w", aws.ToString(x.AlarmName), err)
			}
			mu.Lock()
			defer mu.Unlock()
			out[name] = toMap(list.Tags, func(x types.Tag) (*string, *string) { return x.Key, x.Value })
			return nil
		})
	}
	return out, each.Wait()
}

// Read describes all of them by one call.
func (a *Alarms) Read(ctx context.Context) (*liveAlarms, graph.State, error) {
	all, err := a.all(ctx)
	if err != nil {
		return nil, graph.State{}, err
	}
	if len(all) == 0 {
		return nil, graph.State{Phase: graph.Absent, Unwanted: !a.wanted()}, nil
	}
	live := &liveAlarms{alarms: map[string]string{}, states: all}
	if !a.destroying {
		if live.tags, err = a.alarmTags(ctx, all); err != nil {
			return nil, graph.State{}, err
		}
	}
	st := graph.State{Phase: graph.Ready, Owner: a.stack}
	for name, x := range all {
		live.alarms[name] = describedAlarm(x)
	}
	if raised := live.raised(); len(raised) > 0 {
		st.Note = "in ALARM: " + strings.Join(raised, ", ")
	}
	for _, name := range alarmNames() {
		if x, ok := all[name]; ok && st.ID == "" {
			st.ID = aws.ToString(x.AlarmArn)
		}
	}
	return live, st, nil
}

// Wanted implements graph.Shape.
func (a *Alarms) Wanted(*liveAlarms) *liveAlarms {
	w := &liveAlarms{alarms: map[string]string{}}
	for name, in := range a.wantedAlarms() {
		w.alarms[name] = describedAlarm(asAlarm(in))
	}
	return w
}

const alarmField = "alarm "

// Attributes implements graph.Shape.
func (a *Alarms) Attributes() graph.Attributes[*liveAlarms] {
	return graph.Attributes[*liveAlarms]{
		graph.Many(alarmField, func(live, want *liveAlarms) []graph.Change {
			all := maps.Clone(live.alarms)
			maps.Copy(all, want.alarms)
			var out []graph.Change
			for name := range all {
				if have, want := live.alarms[name], want.alarms[name]; have != want {
					out = append(out, graph.Change{Field: name, Have: have, Want: want})
				}
			}
			return out
		}, graph.SetBy(a.set)),
		graph.Many(fieldTag, func(live, _ *liveAlarms) []graph.Change {
			differ := map[string]graph.Change{}
			for _, name := range slices.Sorted(maps.Keys(live.tags)) {
				for _, c := range a.tagChanges(live.tags[name]) {
					differ[c.Field] = c
				}
			}
			return slices.Collect(maps.Values(differ))
		}, graph.SetBy(a.retag)).When(func(_, want *liveAlarms) bool { return len(want.alarms) > 0 }),
	}
}

// tagChanges are how the tags of an alarm differ, by their keys.
func (a *Alarms) tagChanges(live map[string]string) []graph.Change {
	want := a.tags(a.Name())
	return append(keyDrift(live, want), droppedDrift(live, want)...)
}

// retag puts the tags of each alarm right, of which some may be.
func (a *Alarms) retag(ctx context.Context, _ []graph.Change) error {
	live := a.Last()
	want := a.tags(a.Name())
	for _, name := range slices.Sorted(maps.Keys(live.tags)) {
		arn := live.states[name].AlarmArn
		if len(a.tagChanges(live.tags[name])) == 0 {
			continue
		}
		if drop := dropped(live.tags[name], want); len(drop) > 0 {
			if _, err := a.watch.UntagResource(ctx, &cloudwatch.UntagResourceInput{ResourceARN: arn, TagKeys: drop}); err != nil {
				return fmt.Errorf("untag alarm %s: %w", a.names().Alarm(name), err)
			}
		}
		if _, err := a.watch.TagResource(ctx, &cloudwatch.TagResourceInput{ResourceARN: arn, Tags: toCloudWatchTags(want)}); err != nil {
			return fmt.Errorf("tag alarm %s: %w", a.names().Alarm(name), err)
		}
	}
	return nil
}

// Create creates the first alarm. A name is of one alarm, so that a repeated call makes no
// second.
func (a *Alarms) Create(ctx context.Context) (string, error) {
	return "", a.put(ctx, alarmHealthy, a.wantedAlarms()[alarmHealthy]) // the call does not return the ARN; the next Read does
}

// put creates an alarm or changes it. Tags are taken for a new one alone, whose actions are disabled
// before AlarmActions says so.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html
func (a *Alarms) put(ctx context.Context, name string, in *cloudwatch.PutMetricAlarmInput) error {
	in.ActionsEnabled = aws.Bool(false)
	if live := a.Last(); live == nil || live.alarms[name] == "" {
		in.Tags = toCloudWatchTags(a.tags(a.Name()))
	} else {
		in.ActionsEnabled = live.states[name].ActionsEnabled
	}
	if _, err := a.watch.PutMetricAlarm(ctx, in); err != nil {
		return fmt.Errorf("set alarm %s: %w", aws.ToString(in.AlarmName), err)
	}
	return nil
}

func (a *Alarms) set(ctx context.Context, changes []graph.Change) error {
	want := a.wantedAlarms()
	var gone []string
	for _, c := range changes {
		name := strings.TrimPrefix(c.Field, alarmField)
		if in := want[name]; in == nil {
			gone = append(gone, a.names().Alarm(name))
		} else if err := a.put(ctx, name, in); err != nil {
			return err
		}
	}
	return a.remove(ctx, gone)
}

// remove deletes alarms; those that are not there are no error.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DeleteAlarms.html
func (a alarmAccess) remove(ctx context.Context, names []string) error {
	if len(names) == 0 {
		return nil
	}
	if _, err := a.watch.DeleteAlarms(ctx, &cloudwatch.DeleteAlarmsInput{AlarmNames: names}); err != nil && !IsCode(err, "ResourceNotFound", "ResourceNotFoundException") {
		return fmt.Errorf("delete the alarms of stack %s: %w", a.stack, err)
	}
	return nil
}

// Delete deletes all that there are.
func (a *Alarms) Delete(ctx context.Context) error {
	live := a.Last()
	if live == nil {
		return nil
	}
	var names []string
	for _, name := range slices.Sorted(maps.Keys(live.alarms)) {
		names = append(names, a.names().Alarm(name))
	}
	return a.remove(ctx, names)
}

// alarmKind lists the stack's alarms.
func (a alarmAccess) alarmKind() inventory.Kind {
	return inventory.Kind{Service: "cloudwatch", Type: "alarm", List: func(ctx context.Context) ([]inventory.Item, error) {
		all, err := a.all(ctx)
		var out []inventory.Item
		for _, name := range slices.Sorted(maps.Keys(all)) {
			out = append(out, inventory.Item{ID: aws.ToString(all[name].AlarmArn)})
		}
		return out, err
	}}
}
