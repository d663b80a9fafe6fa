package cli

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/smithy-go/middleware"

	"github.com/bookctl/bookctl/internal/localcloud"
	"github.com/bookctl/bookctl/internal/localcloud/memory"
	"github.com/bookctl/bookctl/internal/moto"
	"github.com/bookctl/bookctl/internal/provision"
)

// alteration is one thing that is wrong with the answer to one operation.
type alteration struct {
	operation string
	path      string // of the member, such as Vpcs.0.State
	word      bool   // it is a word that nobody knows; else it is missing
}

func (a alteration) String() string {
	if a.word {
		return a.operation + " with an unknown " + a.path
	}
	return a.operation + " without " + a.path
}

// alter is SDK middleware that alters one answer to an operation, as which says, given
// all that could be.
type alter struct {
	which func(operation string, possible []alteration) *alteration

	mu sync.Mutex
}

func (a *alter) watch(stack *middleware.Stack) error {
	return stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("alter", func(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (middleware.DeserializeOutput, middleware.Metadata, error) {
		out, meta, err := next.HandleDeserialize(ctx, in)
		if err != nil || out.Result == nil {
			return out, meta, err
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		operation := awsmiddleware.GetOperationName(ctx)
		if x := a.which(operation, alterations(operation, reflect.ValueOf(out.Result).Elem(), "", 3)); x != nil {
			x.apply(reflect.ValueOf(out.Result).Elem())
		}
		return out, meta, err
	}), middleware.Before)
}

// alterations are all that can be wrong with one member of an answer, down to the
// members of the first of each list.
func alterations(operation string, v reflect.Value, path string, depth int) []alteration {
	var out []alteration
	for i := range v.NumField() {
		field, f := v.Type().Field(i), v.Field(i)
		if !field.IsExported() || field.Name == "ResultMetadata" || field.Name == "NextToken" || field.Name == "Marker" || f.IsZero() {
			continue
		}
		at := strings.TrimPrefix(path+"."+field.Name, ".")
		out = append(out, alteration{operation, at, false})
		if _, enum := f.Type().MethodByName("Values"); enum && f.Kind() == reflect.String {
			out = append(out, alteration{operation, at, true})
		}
		if f.Kind() == reflect.Pointer {
			f = f.Elem()
		}
		if f.Kind() == reflect.Slice && f.Len() > 0 {
			f, at = f.Index(0), at+".0"
		}
		if f.Kind() == reflect.Struct && f.Type() != reflect.TypeFor[time.Time]() && depth > 1 {
			out = append(out, alterations(operation, f, at, depth-1)...)
		}
	}
	return out
}

// apply alters an answer, if it has the member.
func (a alteration) apply(v reflect.Value) {
	for part := range strings.SplitSeq(a.path, ".") {
		if v.Kind() == reflect.Pointer {
			v = v.Elem()
		}
		if i, err := strconv.Atoi(part); err == nil && v.Kind() == reflect.Slice && v.Len() > i {
			v = v.Index(i)
		} else if v.Kind() == reflect.Struct {
			v = v.FieldByName(part)
		} else {
			return
		}
		if !v.IsValid() {
			return
		}
	}
	if v.IsZero() {
		return
	}
	if a.word {
		v.SetString("NEVER_HEARD_OF")
	} else {
		v.SetZero()
	}
}

// replay is an endpoint that answers each read as a real one did, and lets no change
// through but of the lock, which is elsewhere. It is an aws.HTTPClient.
type replay struct {
	lock http.RoundTripper

	mu      sync.Mutex
	answers map[string]recorded
	changes []string // that were asked for
}

type recorded struct {
	status int
	header http.Header
	body   []byte
}

func (r *replay) Do(req *http.Request) (*http.Response, error) {
	var body []byte
	if req.Body != nil {
		var err error
		if body, err = io.ReadAll(req.Body); err != nil {
			return nil, err
		}
		req.Body = io.NopCloser(bytes.NewReader(body))
	}
	action, reads, err := moto.Call(req)
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(req.Header.Get("X-Amz-Target"), "AmazonSSM.") {
		return r.lock.RoundTrip(req)
	}
	answer := recorded{status: http.StatusBadRequest, header: http.Header{}, body: []byte(`{"__type":"AccessDeniedException","message":"no changes"}`)}
	if reads || strings.Contains(req.URL.Path, "/2013-04-01/") {
		if answer, err = r.read(req, req.Header.Get("X-Amz-Target")+" "+req.URL.String()+" "+string(body)); err != nil {
			return nil, err
		}
	} else {
		r.mu.Lock()
		r.changes = append(r.changes, action)
		r.mu.Unlock()
		if req.Header.Get("X-Amz-Target") == "" {
			answer.body = []byte(`<Response><Errors><Error><Code>AccessDenied</Code><Message>no changes</Message></Error></Errors><Error><Code>AccessDenied</Code><Message>no changes</Message></Error></Response>`)
		}
	}
	return &http.Response{
		Status: http.StatusText(answer.status), StatusCode: answer.status, Header: answer.header.Clone(), ContentLength: int64(len(answer.body)),
		Body: io.NopCloser(bytes.NewReader(answer.body)), Request: req, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}, nil
}

func (r *replay) read(req *http.Request, key string) (recorded, error) {
	r.mu.Lock()
	known, ok := r.answers[key]
	r.mu.Unlock()
	if ok {
		return known, nil
	}
	// A connection that is kept would keep the time of the test from going on.
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		return recorded{}, err
	}
	defer func() { _ = resp.Body.Close() }() // it was read
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return recorded{}, err
	}
	known = recorded{resp.StatusCode, resp.Header, body}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answers[key] = known
	return known, nil
}

// take returns the changes that were asked for since the last take.
func (r *replay) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := r.changes
	r.changes = nil
	return out
}

// repairs are changes that take back what differs, and make or delete no thing.
var repairs = []string{"CreateTags", "CreateNetworkAclEntry", "DeleteNetworkAclEntry"}

// ofTheLock are the operations by which runs exclude each other.
var ofTheLock = []string{"GetParameters", "GetParametersByPath", "PutParameter", "DeleteParameters"}

// TestNoMemberIsTakenForGranted takes each member away from each answer that plan,
// status, list, an up with nothing to do and a destroy get, one at a time, and puts a
// word that nobody knows in the place of each that is one of a few. No command panics,
// and none takes what is there for missing: nothing is created, and nothing deleted
// but, by destroy, what it begins with otherwise. No change is let through.
func TestNoMemberIsTakenForGranted(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	endpoint := moto.Start(t)
	image := []string{"--arch", runtime.GOARCH, "--image", "127.0.0.1:1/none@sha256:" + strings.Repeat("a", 64), "--min", "1", "--max", "2"}
	up := append([]string{"up", "--wait=false"}, image...)
	if code, _, errs := runAltered(t.Context(), endpoint, nil, nobody, up...); code != exitOK {
		t.Fatal(errs)
	}
	for _, args := range [][]string{append([]string{"plan", "--output", "json"}, image...), {"status"}, {"list"}, append(up, "--timeout", "2s"), {"destroy", "--yes", "--timeout", "2s"}} {
		t.Run(args[0], func(t *testing.T) {
			t.Parallel()
			now := time.Now()
			synctest.Test(t, func(t *testing.T) {
				time.Sleep(time.Until(now)) // what is there has real dates
				takeEachMember(t, endpoint, args)
			})
		})
	}
}

// nobody alters nothing.
var nobody = func(string, []alteration) *alteration { return nil }

// runAltered runs a command line with the answers altered. A nil client is that of the
// SDK.
func runAltered(ctx context.Context, endpoint string, client aws.HTTPClient, which func(string, []alteration) *alteration, args ...string) (code int, out, errs string) {
	var stdout, stderr bytes.Buffer
	cfg := oddConfig(endpoint)
	cfg.HTTPClient = client
	cfg.APIOptions = append(cfg.APIOptions, (&alter{which: which}).watch)
	g := &globals{args: args, answerGuard: provision.AnswerGuard{Limit: 30 * time.Second}, config: &cfg}
	code = runWith(ctx, g, streams{in: strings.NewReader(""), out: &stdout, err: &stderr})
	return code, stdout.String(), stderr.String()
}

// takeEachMember runs one command again and again, in a time of its own.
func takeEachMember(t *testing.T, endpoint string, args []string) {
	locks, err := localcloud.Open(t.Context(), localcloud.Config{StateDir: t.TempDir(), Runtimes: memory.Runtimes})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := locks.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	}()
	cloud := &replay{answers: map[string]recorded{}, lock: memory.Transport{To: locks}}
	command := args[0]
	var (
		all  []alteration
		seen = map[string]bool{}
	)
	// The first answer to each operation is the one that is altered.
	usual, out, errs := runAltered(t.Context(), endpoint, cloud, func(operation string, possible []alteration) *alteration {
		if !seen[operation] {
			seen[operation] = true
			all = append(all, possible...)
		}
		return nil
	}, args...)
	whole := cloud.take()
	if command != "destroy" && (usual != exitOK && usual != exitUnhealthy || len(whole) > 0) || command == "destroy" && !slices.Contains(whole, "DeregisterScalableTarget") {
		t.Fatalf("%s of a whole stack: exit code %d, changes %v\n%s%s", command, usual, whole, out, errs)
	}
	all = slices.DeleteFunc(all, func(x alteration) bool {
		deepest := map[string]int{"plan": 9, "destroy": 1}
		return strings.Count(x.path, ".") > cmp.Or(deepest[command], 2) || slices.Contains(ofTheLock, x.operation)
	})
	slices.SortFunc(all, func(a, b alteration) int { return strings.Compare(a.String(), b.String()) })
	for _, x := range all {
		first := true
		code, out, errs := runAltered(t.Context(), endpoint, cloud, func(operation string, _ []alteration) *alteration {
			if operation != x.operation || !first {
				return nil
			}
			first = command == "up" || command == "destroy" // which look again once they have the lock
			return &x
		}, args...)
		complain := func(format string, args ...any) {
			t.Errorf("%s, %s: %s; exit code %d\n%s%s", command, x, fmt.Sprintf(format, args...), code, out, errs)
		}
		if strings.Contains(errs, "fault of bookctl") || strings.Contains(errs, "goroutine ") {
			complain("a panic")
		}
		for _, change := range cloud.take() {
			if (strings.HasPrefix(change, "Create") || strings.HasPrefix(change, "Delete")) && !slices.Contains(whole, change) && !slices.Contains(repairs, change) {
				complain("it asks for %s", change)
			}
		}
		switch code {
		case exitOK, exitChanges, exitUnhealthy:
		case exitFailed, exitAuth, exitUsage:
			if !strings.Contains(errs, "bookctl: ") && !strings.Contains(out, `"error":`) && !strings.Contains(out, `"action":"blocked"`) {
				complain("it is not said what is wrong")
			}
		default:
			complain("the wrong exit code")
		}
		var p planOutput
		if command == "plan" && code == exitChanges {
			if err := json.Unmarshal([]byte(out), &p); err != nil || p.Create > 0 {
				complain("it plans to create what is there: %v", err)
			}
		}
	}
	t.Logf("%s: %d alterations", command, len(all))
}
