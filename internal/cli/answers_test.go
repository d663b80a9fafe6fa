package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/smithy-go/middleware"

	"github.com/bookctl/bookctl/internal/localcloud"
	"github.com/bookctl/bookctl/internal/localcloud/memory"
	"github.com/bookctl/bookctl/internal/moto"
	"github.com/bookctl/bookctl/internal/provision"
	"github.com/bookctl/bookctl/internal/requestbody"
)

// odd is an endpoint that answers each call oddly when it comes for the first time,
// and rightly from then on.
type odd struct {
	url     string
	fault   string
	retryer func() aws.Retryer // nil is that of bookctl

	mu     sync.Mutex
	known  map[string]string // by call, the invocation that was answered oddly
	broken []string          // since the last take
}

// oddFaults are how a call is answered, after its work is done or in its place, and
// the commands that are held against it. Under those that look like success whole
// lives of a stack are led.
var oddFaults = map[string]struct {
	done     bool
	commands []string
}{
	"empty":         {true, []string{"plan", "up", "plan", "status", "list", "destroy"}}, // an empty document
	"blank":         {true, []string{"plan", "up"}},                                      // no byte at all
	"hung":          {true, []string{"plan", "destroy"}},                                 // nothing, ever
	"unknown":       {false, []string{"plan"}},                                           // an error that nobody knows
	"page":          {false, []string{"plan"}},                                           // HTML
	"unimplemented": {false, []string{"plan", "destroy"}},                                // 501
}

// someOfDestroy are the calls of a destroy that hang or are not implemented in turn, a read and
// a change of each kind: a hung call takes seconds, and a destroy makes seventy.
var someOfDestroy = []string{"DescribeServices", "DeleteService", "DescribeVpcs", "DetachInternetGateway", "DeleteVpc", "DeleteDBInstance", "DeleteParameters"}

// cutShort is the fault by which the first answer to each call ends in its middle. It is
// not among the others: nothing fails of it.
const cutShort = "cut"

func newOdd(t *testing.T, endpoint, fault string, only func(action string, reads bool) bool) *odd {
	t.Helper()
	to, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	o := &odd{fault: fault, known: map[string]string{}}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(to)
		r.Out.Host = r.In.Host
	}, ErrorLog: log.New(io.Discard, "", 0)}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		action, reads, err := moto.Call(r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		if !only(action, reads) || !o.breaks(action, r.Header.Get("Amz-Sdk-Invocation-Id"), strings.Contains(r.Header.Get("Amz-Sdk-Request"), "attempt=1;")) {
			proxy.ServeHTTP(w, r)
			return
		}
		if fault == cutShort {
			answer := httptest.NewRecorder()
			proxy.ServeHTTP(answer, r)
			sendHalf(t, w, answer)
		}
		target := r.Header.Get("X-Amz-Target")
		if oddFaults[fault].done {
			proxy.ServeHTTP(httptest.NewRecorder(), r)
		}
		o.answer(w, r, target != "", strings.Contains(r.Header.Get("Authorization"), "/ec2/"))
	}))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	o.url = server.URL
	return o
}

// sendHalf sends an answer up to its middle.
func sendHalf(t *testing.T, w http.ResponseWriter, answer *httptest.ResponseRecorder) {
	maps.Copy(w.Header(), answer.Header())
	body := answer.Body.Bytes()
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(answer.Code)
	_, err := w.Write(body[:len(body)/2])
	if err := errors.Join(err, http.NewResponseController(w).Flush()); err != nil {
		t.Error(err)
	}
	panic(http.ErrAbortHandler)
}

// breaks reports whether the call is to be answered oddly: the first of its action is,
// with all its attempts. Cut off is the first attempt of each call.
func (o *odd) breaks(action, invocation string, attempt1 bool) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.fault == cutShort {
		if attempt1 {
			o.broken = append(o.broken, action)
		}
		return attempt1
	}
	first, met := o.known[action]
	if !met {
		o.known[action] = invocation
		o.broken = append(o.broken, action)
		return true
	}
	return first == invocation
}

// take returns what was answered oddly since the last take.
func (o *odd) take() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := o.broken
	o.broken = nil
	slices.Sort(out)
	return out
}

func (o *odd) answer(w http.ResponseWriter, r *http.Request, json, ec2 bool) {
	switch o.fault {
	case "hung":
		<-r.Context().Done()
	case "blank":
		w.WriteHeader(http.StatusOK)
	case "page":
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<!DOCTYPE html>\n<html><body>Sign in to the guest network</body></html>")
	case "unimplemented":
		http.Error(w, "not implemented", http.StatusNotImplemented)
	case "empty":
		if json {
			fmt.Fprint(w, "{}")
		} else {
			fmt.Fprint(w, "<?xml version=\"1.0\"?>\n<Response></Response>")
		}
	case "unknown":
		w.WriteHeader(http.StatusBadRequest)
		switch {
		case json:
			fmt.Fprint(w, `{"__type":"NeverHeardOfException","message":"a new kind"}`)
		case ec2:
			fmt.Fprint(w, `<Response><Errors><Error><Code>NeverHeardOf</Code><Message>a new kind</Message></Error></Errors></Response>`)
		default:
			fmt.Fprint(w, `<ErrorResponse><Error><Type>Sender</Type><Code>NeverHeardOf</Code><Message>a new kind</Message></Error></ErrorResponse>`)
		}
	}
}

// inMemory is the address of a local cloud on which nothing runs: calls cost little there.
func inMemory(t *testing.T) string {
	t.Helper()
	cloud, err := localcloud.Open(t.Context(), localcloud.Config{StateDir: t.TempDir(), Runtimes: memory.Runtimes})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(cloud)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		if err := cloud.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return server.URL
}

// run runs a command line against the endpoint.
func (o *odd) run(ctx context.Context, args ...string) (code int, out, errs string) {
	var stdout, stderr bytes.Buffer
	cfg := oddConfig(o.url)
	if o.retryer != nil {
		cfg.Retryer = o.retryer
	}
	limit := 30 * time.Second
	if o.fault == "hung" {
		limit = time.Second
	}
	g := &globals{args: args, answerGuard: provision.AnswerGuard{Limit: limit}, config: &cfg}
	code = runWith(ctx, g, streams{in: strings.NewReader(""), out: &stdout, err: &stderr})
	return code, stdout.String(), stderr.String()
}

// advisory are reads whose answer only adds something: without it a run goes on.
var advisory = []string{"GetResources", "DescribeDBInstanceAutomatedBackups", "DescribeScalableTargets", "DescribeDBMajorEngineVersions"}

// TestNoAnswerIsTakenForGranted answers each distinct call of plan, up, status, list
// and destroy oddly when it first comes. A command says which call failed and exits
// with the code for that, and the same command again goes on, until there is no new
// call: then everything is there once, or nothing is left.
func TestNoAnswerIsTakenForGranted(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	for _, fault := range slices.Sorted(maps.Keys(oddFaults)) {
		t.Run(fault, func(t *testing.T) {
			endpoint := inMemory(t)
			plain := newOdd(t, endpoint, "", func(string, bool) bool { return false })
			stack := []string{"--stack", fault}
			up := append([]string{"up", "--wait=false", "--arch", runtime.GOARCH, "--image", "127.0.0.1:1/none@sha256:" + strings.Repeat("a", 64)}, stack...)
			made := false
			for _, command := range oddFaults[fault].commands {
				args, codes := append([]string{command}, stack...), []int{exitOK}
				switch command {
				case "plan":
					if !made {
						codes = []int{exitChanges}
					}
				case "up":
					args, made = up, true
				case "list":
					args = []string{"list"}
				case "status":
					codes = append(codes, exitUnhealthy) // its tasks may be about to start
				case "destroy":
					args = append(args, "--yes")
					if !made {
						if code, _, errs := plain.run(t.Context(), up...); code != exitOK {
							t.Fatal(errs)
						}
					}
				}
				begun := time.Now()
				o := newOdd(t, endpoint, fault, func(action string, _ bool) bool {
					return command != "destroy" || fault == "empty" || slices.Contains(someOfDestroy, action)
				})
				runs := o.untilItWorks(t, args, codes)
				t.Logf("%s: %d runs in %s", command, runs, time.Since(begun).Round(time.Millisecond))
				switch command {
				case "up":
					once(t, endpoint, fault)
				case "destroy":
					if code, out, errs := plain.run(t.Context(), args...); code != exitOK || !strings.Contains(errs, "Nothing to delete") {
						t.Errorf("something is left behind the last destroy: exit code %d\n%s%s", code, out, errs)
					}
				}
			}
		})
	}
}

// TestAnAnswerThatIsCutOffIsAskedForAgain ends the first answer to each call of whole
// lives of a stack in its middle, when its work is done. Nothing fails of it, and all is
// there once, or gone.
func TestAnAnswerThatIsCutOffIsAskedForAgain(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	endpoint := inMemory(t)
	plain := newOdd(t, endpoint, "", func(string, bool) bool { return false })
	o := newOdd(t, endpoint, cutShort, func(string, bool) bool { return true })
	o.retryer = func() aws.Retryer { return provision.NewRetryer(50 * time.Millisecond) } // there are hundreds of pauses
	image := []string{"--wait=false", "--arch", runtime.GOARCH, "--image", "127.0.0.1:1/none@sha256:" + strings.Repeat("a", 64)}
	for _, c := range []struct {
		args  []string
		codes []int
	}{
		{[]string{"plan"}, []int{exitChanges}},
		{append([]string{"up"}, image...), []int{exitOK}},
		{[]string{"plan"}, []int{exitOK}},
		{[]string{"status"}, []int{exitOK, exitUnhealthy}}, // its tasks may be about to start
		{[]string{"list"}, []int{exitOK}},
		{append([]string{"up", "--count", "2"}, image...), []int{exitOK}},
		{[]string{"destroy", "--yes"}, []int{exitOK}},
	} {
		begun := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
		code, out, errs := o.run(ctx, append(c.args, "--stack", cutShort)...)
		cancel()
		broken := o.take()
		t.Logf("%s: exit code %d after %s, %d answers were cut off", c.args[0], code, time.Since(begun).Round(time.Millisecond), len(broken))
		if !slices.Contains(c.codes, code) || len(broken) == 0 {
			t.Fatalf("%s: exit code %d, want one of %d, and %d answers were cut off\n%s%s", strings.Join(c.args, " "), code, c.codes, len(broken), out, errs)
		}
		if c.args[0] == "up" {
			once(t, endpoint, cutShort)
		}
	}
	if code, out, errs := plain.run(t.Context(), "destroy", "--yes", "--stack", cutShort); code != exitOK || !strings.Contains(errs, "Nothing to delete") {
		t.Errorf("something is left: exit code %d\n%s%s", code, out, errs)
	}
}

// untilItWorks runs a command again and again while it meets calls that it has not
// met before.
func (o *odd) untilItWorks(t *testing.T, args []string, success []int) int {
	t.Helper()
	for n := 0; ; n++ {
		begun := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
		code, out, errs := o.run(ctx, args...)
		cancel()
		broken := o.take()
		t.Logf("%s: exit code %d after %s, odd answers to %v", args[0], code, time.Since(begun).Round(time.Millisecond), broken)
		what := fmt.Sprintf("%s, run %d, exit code %d after %s, odd answers to %v:\n%s", strings.Join(args, " "), n, code, time.Since(begun).Round(time.Millisecond), broken, errs)
		if strings.Contains(errs, "fault of bookctl") || strings.Contains(errs, "goroutine ") {
			t.Errorf("a panic: %s", what)
		}
		essential := slices.DeleteFunc(slices.Clone(broken), func(a string) bool { return slices.Contains(advisory, a) })
		if slices.Contains(success, code) {
			if len(broken) == 0 {
				return n + 1
			}
			if len(essential) > 0 && o.fault != "hung" && o.fault != "empty" && o.fault != "blank" {
				t.Errorf("it goes on as if it had been answered: %s", what)
			}
			continue
		}
		if n > 40 {
			t.Fatalf("no end: %s", what)
		}
		if code != exitFailed && code != exitAuth {
			t.Errorf("the wrong exit code: %s", what)
		}
		if len(broken) == 0 {
			t.Fatalf("it fails although all is answered: %s", what)
		}
		if !slices.ContainsFunc(essential, func(a string) bool { return strings.Contains(errs+out, a) }) {
			t.Errorf("the call is not named: %s", what)
		}
		if o.fault != "unknown" && !strings.Contains(errs, "next: ") {
			t.Errorf("it is not said what to do: %s", what)
		}
	}
}

// TestEveryCommandEndsWhereNothingAnswers runs each command against an endpoint that
// accepts calls and answers none of them, or none but who calls. The limit of one
// attempt is a hundredth of what it is otherwise.
func TestEveryCommandEndsWhereNothingAnswers(t *testing.T) {
	t.Parallel()
	for _, identified := range []bool{false, true} {
		for _, args := range [][]string{{"plan"}, {"up"}, {"status"}, {"list"}, {"destroy", "--yes"}} {
			t.Run(fmt.Sprintf("%s, identified %t", args[0], identified), func(t *testing.T) {
				t.Parallel()
				var (
					mu   sync.Mutex
					hung []string
				)
				server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					action, _, err := moto.Call(r)
					if err != nil {
						t.Error(err)
						return
					}
					if identified && action == "GetCallerIdentity" {
						fmt.Fprint(w, `<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:iam::123456789012:user/u</Arn><UserId>u</UserId><Account>123456789012</Account></GetCallerIdentityResult></GetCallerIdentityResponse>`)
						return
					}
					mu.Lock()
					hung = append(hung, action)
					mu.Unlock()
					<-r.Context().Done()
				}))
				t.Cleanup(func() {
					server.CloseClientConnections()
					server.Close()
				})
				const limit = 300 * time.Millisecond
				cfg := oddConfig(server.URL)
				var stdout, stderr bytes.Buffer
				line := append(slices.Clone(args), "--image", "127.0.0.1:1/none@sha256:"+strings.Repeat("a", 64))
				if args[0] != "up" && args[0] != "plan" {
					line = args
				}
				begun := time.Now()
				code := runWith(t.Context(), &globals{args: line, answerGuard: provision.AnswerGuard{Limit: limit}, config: &cfg}, streams{in: strings.NewReader(""), out: &stdout, err: &stderr})
				took := time.Since(begun)
				text := stderr.String()
				if code != exitFailed {
					t.Errorf("exit code %d, want %d", code, exitFailed)
				}
				mu.Lock()
				defer mu.Unlock()
				if !slices.ContainsFunc(hung, func(call string) bool { return strings.Contains(text, call) }) {
					t.Errorf("none of the calls that hung is named: %v", hung)
				}
				// A slow answer is reported too, while it is waited for; this is about the error.
				if named := strings.Contains(text[max(0, strings.Index(text, "bookctl: ")):], "GetCallerIdentity"); named == identified {
					t.Errorf("GetCallerIdentity is named: %t", named)
				}
				if !strings.Contains(text, "no answer from "+strings.TrimPrefix(server.URL, "http://")+" within 300ms") || !strings.Contains(text, "next: check the network and the endpoint") {
					t.Error("it is not said that nothing answered, and what to do")
				}
				// Three attempts with their pauses, and what is asked behind them once.
				if took > 15*time.Second {
					t.Errorf("it took %s", took)
				}
				if t.Failed() {
					t.Logf("%s%s", stdout.String(), text)
				}
			})
		}
	}
}

// once checks that there is one of each of the things that have no name of their
// own, and of which a call that is sent again makes a second.
func once(t *testing.T, endpoint, stack string) {
	t.Helper()
	c := ec2.NewFromConfig(oddConfig(endpoint))
	ours := []types.Filter{{Name: aws.String("tag:bookctl:stack"), Values: []string{stack}}}
	vpcs, err := c.DescribeVpcs(t.Context(), &ec2.DescribeVpcsInput{Filters: ours})
	if err != nil || len(vpcs.Vpcs) != 1 {
		t.Errorf("%d VPCs, want one: %v", len(vpcs.Vpcs), err)
	}
	gateways, err := c.DescribeInternetGateways(t.Context(), &ec2.DescribeInternetGatewaysInput{Filters: ours})
	if err != nil || len(gateways.InternetGateways) != 1 {
		t.Errorf("%d gateways, want one: %v", len(gateways.InternetGateways), err)
	}
	tables, err := c.DescribeRouteTables(t.Context(), &ec2.DescribeRouteTablesInput{Filters: ours})
	if err != nil || len(tables.RouteTables) != 2 {
		t.Errorf("%d route tables, want two: %v", len(tables.RouteTables), err)
	}
}

func oddConfig(endpoint string) aws.Config {
	return aws.Config{
		Region: "us-east-1", BaseEndpoint: &endpoint, Retryer: retryer,
		Credentials: credentials.NewStaticCredentialsProvider("odd", "odd", ""),
		APIOptions:  []func(*middleware.Stack) error{requestbody.Readable},
	}
}
