package cloudwatch

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
)

// evaluate is metric math on one datapoint of each metric, as far as alarms here need
// it: numbers, metrics by their ids, + - * /, < <= > >=, FILL and IF. A metric without
// data is NaN, and so is what is made of it, until FILL.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
func evaluate(expression string, metrics map[string]float64) (float64, error) {
	m := &mathematics{text: expression, metrics: metrics}
	value := m.compared()
	if m.skip(); m.err == nil && m.at < len(m.text) {
		m.fail()
	}
	return value, m.err
}

type mathematics struct {
	text    string
	at      int
	depth   int
	metrics map[string]float64
	err     error
}

func (m *mathematics) fail() float64 {
	if m.err == nil {
		m.err = fmt.Errorf("unexpected %q at %d", m.text[m.at:], m.at)
	}
	m.at = len(m.text)
	return math.NaN()
}

func (m *mathematics) skip() {
	for m.at < len(m.text) && m.text[m.at] == ' ' {
		m.at++
	}
}

// next takes one of the words, if it comes next.
func (m *mathematics) next(words ...string) string {
	m.skip()
	for _, w := range words {
		if strings.HasPrefix(m.text[m.at:], w) {
			m.at += len(w)
			return w
		}
	}
	return ""
}

func (m *mathematics) compared() float64 {
	left := m.sum()
	for op := m.next("<=", ">=", "<", ">"); op != ""; op = m.next("<=", ">=", "<", ">") {
		right := m.sum()
		if math.IsNaN(left) || math.IsNaN(right) {
			left = math.NaN()
			continue
		}
		if is := map[string]bool{"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[op]; is {
			left = 1
		} else {
			left = 0
		}
	}
	return left
}

func (m *mathematics) sum() float64 {
	left := m.product()
	for op := m.next("+", "-"); op != ""; op = m.next("+", "-") {
		if right := m.product(); op == "+" {
			left += right
		} else {
			left -= right
		}
	}
	return left
}

func (m *mathematics) product() float64 {
	left := m.term()
	for op := m.next("*", "/"); op != ""; op = m.next("*", "/") {
		if right := m.term(); op == "*" {
			left *= right
		} else {
			left /= right
		}
	}
	return left
}

// arguments are those of a function, of which there are n.
func (m *mathematics) arguments(n int) []float64 {
	out := make([]float64, n)
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

// term is a number, a metric, a function or what is in parentheses.
func (m *mathematics) term() float64 {
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
		of := m.arguments(2)
		if math.IsNaN(of[0]) {
			return of[1]
		}
		return of[0]
	case word == "IF":
		of := m.arguments(3)
		switch {
		case math.IsNaN(of[0]):
			return math.NaN()
		case of[0] != 0:
			return of[1]
		}
		return of[2]
	case word == "" && m.next("(") != "":
		value := m.compared()
		if m.next(")") == "" {
			return m.fail()
		}
		return value
	case word == "":
		return m.fail()
	default:
		if n, err := strconv.ParseFloat(word, 64); err == nil {
			return n
		}
		if value, ok := m.metrics[word]; ok {
			return value
		}
		return math.NaN()
	}
}
