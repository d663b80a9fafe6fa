package provision

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"
)

func TestTheAlarmsOfADatabase(t *testing.T) {
	t.Parallel()
	const topic = "arn:aws:sns:us-east-1:123456789012:ops"
	of := func(class string, gib int32) map[string]float64 {
		settings := DefaultSettings()
		settings.AlarmTopic, settings.DBClass, settings.DBStorage = topic, class, gib
		s, err := NewStack(NewClients(aws.Config{Region: "us-east-1"}), Spec{Stack: "book", Zones: [2]string{"a", "b"}, Settings: settings})
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]float64{}
		for name, in := range s.alarms.wantedAlarms() {
			out[name] = *in.Threshold
			if !slices.Equal(in.AlarmActions, []string{topic}) || !slices.Equal(in.OKActions, []string{topic}) {
				t.Errorf("%s is reported to %v, and its end to %v", name, in.AlarmActions, in.OKActions)
			}
			if strings.HasPrefix(name, "database-") && aws.ToString(in.Dimensions[0].Value) != "book-database" {
				t.Errorf("%s is of %v", name, in.Dimensions)
			}
		}
		return out
	}
	const gib = 1 << 30
	// A db.t4g.micro has 1 GiB, for which people see some 80 connections.
	if diff := cmp.Diff(map[string]float64{"no-healthy-target": 1, "server-errors": 5, "database-cpu": 90, "database-storage": 2 * gib, "database-connections": 67}, of("db.t4g.micro", 20)); diff != "" {
		t.Errorf("of the smallest database (-want +got):\n%s", diff)
	}
	for class, want := range map[string]float64{"db.m7g.large": 540, "db.m7g.2xlarge": 2162, "db.r7g.large": 1081, "db.t4g.medium": 270, "db.r7g.16xlarge": 3000, "db.z9.odd": 540} {
		if got := of(class, 100)["database-connections"]; got != want {
			t.Errorf("%s: alarm at %g connections, want %g", class, got, want)
		}
	}
	none := &Alarms{}
	if got := slices.Collect(maps.Keys(none.wantedAlarms())); len(got) != 0 {
		t.Errorf("where nobody is to be notified there are %v", got)
	}
}

// TestNoMetricIsFilledBeforeItArrives is of a stack with two target groups. CloudWatch's FILL
// makes 0 of the newest minutes of a load balancer, whose metrics are late.
func TestNoMetricIsFilledBeforeItArrives(t *testing.T) {
	t.Parallel()
	settings := DefaultSettings()
	settings.AlarmTopic, settings.Deploy = "arn:aws:sns:us-east-1:123456789012:ops", "canary:10%/5m:1m"
	s, err := NewStack(NewClients(aws.Config{Region: "us-east-1"}), Spec{Stack: "book", Zones: [2]string{"a", "b"}, Settings: settings})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for name, in := range s.alarms.wantedAlarms() {
		for _, q := range in.Metrics {
			if q.Expression != nil {
				got[name] = *q.Expression
			}
		}
	}
	for _, r := range s.Resources() {
		scaling, ok := r.(*Scaling)
		if !ok {
			continue
		}
		for _, q := range scaling.policies()["requests"].CustomizedMetricSpecification.Metrics {
			if q.Expression != nil {
				got["requests"] = *q.Expression
			}
		}
	}
	want := map[string]string{
		"no-healthy-target": "first+second", "requests": "first+second",
		"server-errors": "IF(requests+balancer>=10, 100*(tasks+balancer)/(requests+balancer), 0)",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("metric math (-want +got):\n%s", diff)
	}
	errors := s.alarms.wantedAlarms()["server-errors"]
	if *errors.DatapointsToAlarm != 2 || *errors.EvaluationPeriods != 5 {
		t.Errorf("server-errors is raised after %d of %d minutes", *errors.DatapointsToAlarm, *errors.EvaluationPeriods)
	}
}
