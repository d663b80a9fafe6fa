// Package metricmath is CloudWatch's metric math, as far as the local cloud needs it.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
package metricmath

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
)

// Evaluate calculates one data point of an expression from one data point of each metric, of
// which NaN is a missing one. The result is NaN if it is missing. An expression has numbers,
// ids of metrics, + - * /, < <= > >=, FILL and IF.
func Evaluate(expression string, metrics map[string]float64) (float64, error) {
	m := &expressed{text: expression, metrics: metrics}
	result := m.compared()
	if m.skip(); m.err == nil && m.at < len(m.text) {
		m.fail()
	}
	return result.number, m.err
}

// Check returns why an expression of metrics with those ids can't be calculated.
func Check(expression string, ids []string) error {
	none := map[string]float64{}
	for _, id := range ids {
		none[id] = math.NaN()
	}
	_, err := Evaluate(expression, none)
	return err
}

// Beyond is how many data points more than its periods an alarm looks at, so that one that
// has not arrived yet does not count as missing. AWS documents no number for it; its examples
// have two.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/alarms-and-missing-data.html
const Beyond = 2

// operand is a number, or a data point of a time series, which is NaN where it is missing.
type operand struct {
	number float64
	series bool
}

func (o operand) missing() bool { return math.IsNaN(o.number) }

// combined applies an operator. "Missing values in a time series are treated as 0", but
// where no time series has a value there is no data point, and "if the value of a data point
// causes a function to attempt to divide by zero, the data point is dropped".
func combined(x, y operand, apply func(x, y float64) float64) operand {
	known := x.series && !x.missing() || y.series && !y.missing()
	out := operand{number: math.NaN(), series: x.series || y.series}
	if out.series && !known {
		return out
	}
	for _, o := range []*operand{&x, &y} {
		if o.series && o.missing() {
			o.number = 0
		}
	}
	if n := apply(x.number, y.number); !math.IsInf(n, 0) {
		out.number = n
	}
	return out
}

type expressed struct {
	text    string
	at      int
	depth   int
	metrics map[string]float64
	err     error
}

func (m *expressed) fail() operand {
	if m.err == nil {
		m.err = fmt.Errorf("unexpected %q at %d", m.text[m.at:], m.at)
	}
	m.at = len(m.text)
	return operand{number: math.NaN()}
}

func (m *expressed) skip() {
	for m.at < len(m.text) && m.text[m.at] == ' ' {
		m.at++
	}
}

// next takes one of the words, if it comes next.
func (m *expressed) next(words ...string) string {
	m.skip()
	for _, w := range words {
		if strings.HasPrefix(m.text[m.at:], w) {
			m.at += len(w)
			return w
		}
	}
	return ""
}

func (m *expressed) compared() operand {
	left := m.sum()
	for op := m.next("<=", ">=", "<", ">"); op != ""; op = m.next("<=", ">=", "<", ">") {
		left = combined(left, m.sum(), func(x, y float64) float64 {
			if is := map[string]bool{"<": x < y, "<=": x <= y, ">": x > y, ">=": x >= y}[op]; is {
				return 1
			}
			return 0
		})
	}
	return left
}

func (m *expressed) sum() operand {
	left := m.product()
	for op := m.next("+", "-"); op != ""; op = m.next("+", "-") {
		left = combined(left, m.product(), func(x, y float64) float64 {
			if op == "+" {
				return x + y
			}
			return x - y
		})
	}
	return left
}

func (m *expressed) product() operand {
	left := m.term()
	for op := m.next("*", "/"); op != ""; op = m.next("*", "/") {
		left = combined(left, m.term(), func(x, y float64) float64 {
			if op == "*" {
				return x * y
			}
			return x / y
		})
	}
	return left
}

// arguments are those of a function, of which there are n.
func (m *expressed) arguments(n int) []operand {
	out := make([]operand, n)
	for i := range out {
		separator := ","
		if i == 0 {
			separator = "("
		}
		if m.next(separator) == "" {
			m.fail()
			return out
		}
		out[i] = m.compared()
	}
	if m.next(")") == "" {
		m.fail()
	}
	return out
}

// fill is FILL, whose filler for a single time series is a number. It fills a data point that
// has not arrived yet, too.
func (m *expressed) fill() operand {
	of := m.arguments(2)
	if m.err == nil && (!of[0].series || of[1].series) {
		m.err = fmt.Errorf("FILL of one time series takes that and a number, before %d", m.at)
	}
	if of[0].missing() {
		of[0].number = of[1].number
	}
	return of[0]
}

// choice is IF: a data point without a condition is dropped, and one that is missing where
// the condition is true is 0.
func (m *expressed) choice() operand {
	of := m.arguments(3)
	out := operand{number: math.NaN(), series: of[0].series || of[1].series || of[2].series}
	switch {
	case of[0].missing():
	case of[0].number == 0:
		out.number = of[2].number
	case of[1].missing() && of[0].series:
		out.number = 0
	default:
		out.number = of[1].number
	}
	return out
}

// term is a number, a metric, a function or what is in parentheses.
func (m *expressed) term() operand {
	if m.depth++; m.depth > 100 {
		return m.fail()
	}
	defer func() { m.depth-- }()
	m.skip()
	begin := m.at
	for m.at < len(m.text) && (m.text[m.at] == '_' || m.text[m.at] == '.' || unicode.IsLetter(rune(m.text[m.at])) || unicode.IsDigit(rune(m.text[m.at]))) {
		m.at++
	}
	switch word := m.text[begin:m.at]; {
	case word == "FILL":
		return m.fill()
	case word == "IF":
		return m.choice()
	case word == "" && m.next("(") != "":
		value := m.compared()
		if m.next(")") == "" {
			return m.fail()
		}
		return value
	case word == "":
		return m.fail()
	default:
		if value, ok := m.metrics[word]; ok {
			return operand{number: value, series: true}
		}
		if n, err := strconv.ParseFloat(word, 64); err == nil && unicode.IsDigit(rune(word[0])) {
			return operand{number: n}
		}
		m.at = begin
		return m.fail()
	}
}
