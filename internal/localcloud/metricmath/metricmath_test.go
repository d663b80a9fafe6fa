package metricmath_test

import (
	"math"
	"testing"

	"github.com/bookctl/bookctl/internal/localcloud/metricmath"
)

func TestMetricMath(t *testing.T) {
	t.Parallel()
	metrics := map[string]float64{"requests": 90, "tasks": 3, "balancer": 10, "zero": 0, "none": math.NaN(), "nothing": math.NaN()}
	for expression, want := range map[string]float64{
		"1+2*3": 7, "(1+2)*3": 9, "8/2/2": 2, "5-2-1": 2, "requests>=90": 1, "requests<90": 0, "none": math.NaN(),
		// "Missing values in a time series are treated as 0", where there is a data point.
		"none+1": math.NaN(), "none*0": math.NaN(), "none+nothing": math.NaN(), "none+zero": 0, "tasks+none": 3, "tasks-none": 3, "none/tasks": 0, "none<tasks": 1, "none>=10": math.NaN(),
		"tasks/zero": math.NaN(), "tasks/none": math.NaN(), "none/none": math.NaN(),
		"FILL(none,0)+tasks": 3, "FILL(tasks,0)": 3, "FILL(none, 0)": 0, "IF(tasks>2, 7, 8)": 7, "IF(tasks>3, 7, 8)": 8,
		"IF(none, 7, 8)": math.NaN(), "IF(tasks, none, 8)": 0, "IF(zero, 7, none)": math.NaN(),
		"IF(FILL(requests,0)+FILL(balancer,0)>=10, 100*(FILL(tasks,0)+FILL(balancer,0))/(FILL(requests,0)+FILL(balancer,0)), 0)": 13,
		"IF(requests+balancer>=10, 100*(tasks+balancer)/(requests+balancer), 0)":                                                 13,
		"IF(none+balancer>=10, 100*(nothing+balancer)/(none+balancer), 0)":                                                       100,
		"IF(requests+none>=10, 100*(none+nothing)/(requests+none), 0)":                                                           0,
		"IF(none+nothing>=10, 100*(none+nothing)/(none+nothing), 0)":                                                             math.NaN(),
	} {
		got, err := metricmath.Evaluate(expression, metrics)
		if err != nil || got != want && !(math.IsNaN(got) && math.IsNaN(want)) {
			t.Errorf("%s is %g, %v; want %g", expression, got, err, want)
		}
	}
	// The second last fills one time series with another, which only an array can be.
	for _, expression := range []string{"", "1+", "(1", "IF(1,2)", "1 2", "FILL(", "a b", "unknown", "NaN", "FILL(none, tasks)", "FILL(1, 2)"} {
		if got, err := metricmath.Evaluate(expression, metrics); err == nil {
			t.Errorf("%q is %g, and no error", expression, got)
		}
	}
}
