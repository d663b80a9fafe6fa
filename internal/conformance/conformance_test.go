package conformance

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// fake is a bookctl and an account of which each command can be made to fail.
type fake struct {
	t         *testing.T
	calls     []string
	fails     map[string]int // exit code by command and its flags, as they begin
	there     bool
	keeps     bool // destroy does nothing
	interrupt context.CancelFunc
}

func (f *fake) bookctl(ctx context.Context, args ...string) (Output, error) {
	call := strings.Join(args, " ")
	f.calls = append(f.calls, call)
	out := Output{Stderr: "12:00:00 aws EC2 CreateVpc 12ms  VpcLimitExceeded: account 123456789012 has too many, vpc-0123456789abcdef0\n12:00:00 aws RDS DescribeDBInstances 1.5s\n"}
	for prefix, code := range f.fails {
		if strings.HasPrefix(call, prefix) {
			out.Code = code
			out.Stdout = `{"type":"error","error":"it was refused","exit":1}` + "\n"
			return out, nil
		}
	}
	switch args[0] {
	case "up":
		f.there = true
		if f.interrupt != nil {
			f.interrupt()
			out.Code = 130
			return out, nil
		}
		out.Stdout = `{"type":"event","resource":"database","kind":"waiting","note":"backing-up of 123456789012","elapsedSeconds":7}` + "\n" +
			`{"type":"result","created":3,"updated":0,"apiReads":9,"apiWrites":0,"url":"http://x"}` + "\n"
	case "plan":
		if !f.there || slices.Contains(f.calls, "drift") && !slices.ContainsFunc(f.calls[slices.Index(f.calls, "drift"):len(f.calls)-1], func(c string) bool { return strings.HasPrefix(c, "plan") }) {
			out.Code = 2
			out.Stdout = `{"type":"plan","resources":[{"resource":"target-group","action":"update","changes":[{"field":"health-check-interval","have":"30","want":"5"}]}]}` + "\n"
		}
	case "destroy":
		if ctx.Err() != nil {
			return out, ctx.Err()
		}
		f.there = f.there && f.keeps
	}
	return out, nil
}

func (f *fake) ChangeByHand(context.Context, string) ([]string, error) {
	f.calls = append(f.calls, "drift")
	return []string{"health-check-interval"}, nil
}

func (f *fake) Inventory(context.Context, string) (owned, unknown []string) {
	if f.there {
		owned = []string{"vpc vpc-0123456789abcdef0"}
	}
	return owned, nil
}

func (f *fake) run(ctx context.Context) (Report, error) {
	return Run(ctx, Options{Bookctl: f.bookctl, Account: f, Stack: "conf-x", Restore: true, Timeout: time.Minute})
}

func TestAStackIsTakenThroughItsLife(t *testing.T) {
	t.Parallel()
	f := &fake{t: t}
	report, err := f.run(t.Context())
	if err != nil || report.Failed() || len(report.Steps) != 12 {
		t.Fatalf("%v\n%s", err, report.Markdown())
	}
	text := report.Markdown()
	for _, want := range []string{"| EC2 CreateVpc | VpcLimitExceeded: account ACCOUNT has too many, vpc-ID |", "| database | 7 s backing-up of ACCOUNT |", "| RDS DescribeDBInstances | "} {
		if !strings.Contains(text, want) {
			t.Errorf("the report lacks %q:\n%s", want, text)
		}
	}
	if strings.Contains(text, "123456789012") || strings.Contains(text, "vpc-0123456789abcdef0") {
		t.Errorf("the report tells whose account it is:\n%s", text)
	}
}

func TestWhateverFailsTheStackIsRemoved(t *testing.T) {
	t.Parallel()
	for _, failing := range []string{"plan", "up", "up --yes --arch amd64 --image 127.0.0.1:1/none@sha256:" + strings.Repeat("a", 64) + " --min", "destroy --yes --stack", "up --yes --arch amd64 --image 127.0.0.1:1/none@sha256:" + strings.Repeat("a", 64) + " --restore"} {
		t.Run(failing[:min(len(failing), 12)], func(t *testing.T) {
			t.Parallel()
			f := &fake{t: t, fails: map[string]int{failing: 1}}
			report, err := f.run(t.Context())
			if err != nil || f.there || !report.Failed() {
				t.Errorf("left %v, %v\n%s", f.there, err, report.Markdown())
			}
			if last := f.calls[len(f.calls)-1]; !strings.HasPrefix(last, "destroy --yes --purge-snapshots") {
				t.Errorf("the last command was %s", last)
			}
		})
	}
}

func TestAnInterruptedRunIsRemovedToo(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	f := &fake{t: t, interrupt: cancel}
	report, err := f.run(ctx)
	if err != nil || f.there {
		t.Errorf("left %v, %v\n%s", f.there, err, report.Markdown())
	}
	skipped := 0
	for _, s := range report.Steps {
		if s.Skipped {
			skipped++
		}
	}
	if skipped == 0 || !strings.Contains(report.Markdown(), "| skipped |") {
		t.Errorf("nothing was skipped:\n%s", report.Markdown())
	}
}

func TestWhatIsLeftIsAnError(t *testing.T) {
	t.Parallel()
	f := &fake{t: t, keeps: true}
	report, err := f.run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "left: vpc") || !strings.Contains(report.Markdown(), "Left behind: vpc vpc-ID") {
		t.Errorf("%v\n%s", err, report.Markdown())
	}
}

func TestAStackOfSomebodysOwnIsLeftAlone(t *testing.T) {
	t.Parallel()
	f := &fake{t: t, there: true}
	report, err := f.run(t.Context())
	if err != nil || !f.there || len(f.calls) > 0 || !report.Failed() {
		t.Errorf("calls %v, %v\n%s", f.calls, err, report.Markdown())
	}
}

func TestMask(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"arn:aws:iam::123456789012:role/x":                      "arn:aws:iam::ACCOUNT:role/x",
		"key AKIAIOSFODNN7EXAMPLE at 203.0.113.7, not 10.0.0.1": "key ACCESSKEY at ADDRESS, not 10.0.0.1",
		"RequestID: 0f1e2d3c-1111-2222-3333-444455556666":       "RequestID: UUID",
		"subnet-0a1b2c3d and conf-ab12cd":                       "subnet-ID and conf-ab12cd",
	} {
		if got := mask(text); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

func TestACallIsReadFromTheTrace(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"12:00:00 aws Elastic Load Balancing v2 DescribeTags 12.3ms":        "Elastic Load Balancing v2 DescribeTags 12.3ms ",
		"12:00:00 aws EC2 DescribeVpcs 1m3s  RequestExpired: it is too old": "EC2 DescribeVpcs 1m3s RequestExpired: it is too old",
		"next: run it again": "",
	} {
		got := ""
		if m := callLine.FindStringSubmatch(line); m != nil {
			got = fmt.Sprintf("%s %s %s %s", m[1], m[2], m[3], m[4])
		}
		if got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
}
