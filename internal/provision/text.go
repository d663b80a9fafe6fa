package provision

import (
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// mapped returns what some resources have in common, such as their ids.
func mapped[T, U any](things []T, of func(T) U) []U {
	var out []U
	for _, t := range things {
		out = append(out, of(t))
	}
	return out
}

func decimal(n *int32) string { return strconv.Itoa(int(aws.ToInt32(n))) }

func number(s string) *int32 {
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil {
		return nil
	}
	return aws.Int32(int32(n))
}

func plural(n int32, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(int(n)) + " " + one + "s"
}

// texts are numbers as flags take them.
func texts(numbers []int32) []string {
	var out []string
	for _, n := range numbers {
		out = append(out, strconv.Itoa(int(n)))
	}
	return out
}

func listText(numbers []int32) string {
	return strings.Join(texts(numbers), ", ")
}

func gib(n int32) string { return strconv.Itoa(int(n)) + " GiB" }

func days(n int32) string { return strconv.Itoa(int(n)) + " days" }

func limit(n int32) string {
	if n == 0 {
		return ""
	}
	return gib(n)
}

// nameInARN is an ARN without all before its last slash: the id of a task, the name of a service or
// role, the name and number of a task definition.
func nameInARN(arn string) string { return arn[strings.LastIndexByte(arn, '/')+1:] }

func lowerFirst(s string) string {
	if strings.HasPrefix(s, "ECS ") || s == "" {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}
