package cloudwatch

import (
	"math"
	"testing"
)

func TestMetricMath(t *testing.T) {
	t.Parallel()
	metrics := map[string]float64{"requests": 90, "tasks": 3, "balancer": 10}
	for expression, want := range map[string]float64{
		"1+2*3": 7, "(1+2)*3": 9, "8/2/2": 2, "5-2-1": 2, "requests>=90": 1, "requests<90": 0, "none": math.NaN(), "none+1": math.NaN(),
		"FILL(none,0)+tasks": 3, "FILL(tasks,0)": 3, "IF(tasks>2, 7, 8)": 7, "IF(tasks>3, 7, 8)": 8,
		"IF(FILL(requests,0)+FILL(balancer,0)>=10, 100*(FILL(tasks,0)+FILL(balancer,0))/(FILL(requests,0)+FILL(balancer,0)), 0)": 13,
	} {
		got, err := evaluate(expression, metrics)
		if err != nil || got != want && !(math.IsNaN(got) && math.IsNaN(want)) {
			t.Errorf("%s is %g, %v; want %g", expression, got, err, want)
		}
	}
	for _, expression := range []string{"", "1+", "(1", "IF(1,2)", "1 2", "FILL(", "a b"} {
		if got, err := evaluate(expression, metrics); err == nil {
			t.Errorf("%q is %g, and no error", expression, got)
		}
	}
}
