package cli_test

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"
)

// TestScriptsAgainstTheLocalCloud runs testdata/local, each script with a cloud
// of its own.
func TestScriptsAgainstTheLocalCloud(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("slow")
	}
	needAWS(t)
	source, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	env := []string{"SOURCE=" + source, "BOOKCTL_LOCAL_DIR=" + filepath.Join(dir, "cloud"), "BROWSER="}
	env = append(env, shared...)
	t.Cleanup(func() {
		stop := exec.Command(program, "local", "stop", "--purge", "--yes")
		stop.Env = append(os.Environ(), env...)
		if out, err := stop.CombinedOutput(); err != nil {
			t.Errorf("local stop: %v\n%s", err, out)
		}
	})
	scripts(t, "testdata/local/*.txtar", func(e *testscript.Env) { e.Vars = append(e.Vars, env...) })
}

func TestARefusedUpStartsNoLocalCloud(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taken.Close() }() // nobody is on it
	port := strconv.Itoa(taken.Addr().(*net.TCPAddr).Port)
	other := map[string]string{"amd64": "arm64", "arm64": "amd64"}[runtime.GOARCH]
	for want, args := range map[string][]string{
		"can't run tasks for " + other: {"--arch", other},
		"port " + port + " is in use":  {"--port", port},
		"cpu 3":                        {"--cpu", "3"},
	} {
		r := s.run(append([]string{"up", "--local"}, args...)...)
		if r.code != 64 || r.out != "" || !strings.Contains(r.err, want) || !strings.Contains(r.err, "\nnext: ") {
			t.Errorf("up --local %s: exit %d, %q, %s", args, r.code, r.out, r.err)
		}
		if status := s.run("local", "status"); !strings.Contains(status.out+status.err, "not running") {
			t.Errorf("up --local %s left a local cloud: %s%s", args, status.out, status.err)
		}
	}
}

// TestAPlanLeavesNothingBehind plans a stack that needs no image yet.
func TestAPlanLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	temporary := t.TempDir()
	s := newShell(t, "TMPDIR="+temporary)
	s.must("local", "start")
	if r := s.run("plan", "--local"); r.code != 2 || !strings.Contains(r.out, "Nothing was changed") {
		t.Errorf("plan: exit code %d\n%s%s", r.code, r.out, r.err)
	}
	left, err := os.ReadDir(temporary)
	if err != nil {
		t.Fatal(err)
	}
	if len(left) > 0 {
		t.Errorf("a plan left %v", left)
	}
}

// otherProgram is a program that is not ours, and has a port of this machine (0: any).
func otherProgram(t *testing.T, port string) (at string, leave func()) {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.NotFoundHandler()}
	go func() { _ = server.Serve(l) }() // ends by Close
	leave = func() { _ = server.Close() }
	t.Cleanup(leave)
	_, at, _ = net.SplitHostPort(l.Addr().String())
	return at, leave
}

func TestAPortThatAnotherProgramHasIsRefusedWithNothingChanged(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	taken, _ := otherProgram(t, "0")
	refused := func(command string, args ...string) {
		t.Helper()
		r := s.run(append([]string{command, "--local"}, args...)...)
		if r.code != 64 || !strings.Contains(r.err, "is in use on this machine") || !strings.Contains(r.err, "\nnext: choose another with --port") {
			t.Errorf("%s %s: exit %d, %s%s", command, args, r.code, r.out, r.err)
		}
	}
	s.must("local", "start")
	nothing := s.inventory()
	refused("up", append(imageless(), "--port", taken)...)
	if diff := cmp.Diff(nothing, s.inventory()); diff != "" {
		t.Errorf("a first up changed (-before +after):\n%s", diff)
	}

	url := s.up(imageless()...)
	refused("up", "--wait=false", "--port", taken)
	if six, err := net.Listen("tcp", "[::1]:0"); err == nil { // localhost is this one as well, where there is IPv6
		t.Cleanup(func() { _ = six.Close() })
		refused("up", "--wait=false", "--port", strconv.Itoa(six.Addr().(*net.TCPAddr).Port))
	}
	refused("plan", "--port", taken)
	if r := s.run("up", "--local", "--wait=false"); r.code != 0 || !strings.Contains(r.err, "0 changed") || strings.TrimSpace(r.out) != url {
		t.Errorf("up after a refused change of the port: exit %d, %s%s", r.code, r.out, r.err)
	}

	// The port goes between two runs: its listener is taken away, and another
	// program comes.
	done[*elb.DeleteListenerOutput](t)(elb.NewFromConfig(s.config()).DeleteListener(t.Context(), &elb.DeleteListenerInput{ListenerArn: s.listeners()[0].ListenerArn}))
	_, leave := otherProgram(t, url[strings.LastIndex(url, ":")+1:])
	before := s.inventory()
	refused("up", "--wait=false")
	if diff := cmp.Diff(before, s.inventory()); diff != "" {
		t.Errorf("an up whose port was taken meanwhile changed (-before +after):\n%s", diff)
	}
	leave()
	if got := s.up("--wait=false"); got != url {
		t.Errorf("with the port free again the URL is %s and not %s", got, url)
	}
}

func TestAnotherProgramsAnswerIsNotTakenForTheServices(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	url := s.up()
	s.must("local", "stop")
	port := url[strings.LastIndex(url, ":")+1:]
	_, leave := otherProgram(t, port)
	s.must("local", "start")
	until(t, "the task is back", func() bool { return strings.Contains(s.run("status", "--local").out, "1/1 running") })
	complaint := "something other than a task answers on port " + port + ", or otherwise than it: " + url + "/readyz says 404, and not 200"
	if r := s.run("status", "--local"); r.code != 3 || !strings.Contains(r.out, complaint) {
		t.Errorf("status: exit code %d\n%s%s", r.code, r.out, r.err)
	}
	if r := s.run("status", "--local", "--output", "json"); r.code != 3 || !strings.Contains(r.out, `"ready":false,"code":404`) {
		t.Errorf("status as JSON: exit code %d\n%s%s", r.code, r.out, r.err)
	}
	if r := s.run("up", "--local"); r.code != 1 || r.out != "" || !strings.Contains(r.err, complaint) || !strings.Contains(r.err, "\nnext: end that program, or ") {
		t.Errorf("up: exit code %d\n%s%s", r.code, r.out, r.err)
	}
	leave()
	until(t, "the load balancer has its port again", func() bool { return s.run("status", "--local").code == 0 })
}

// TestThePortOfTheCloudIsNotThatOfAStack sets both by the environment, where
// they have a name each.
func TestThePortOfTheCloudIsNotThatOfAStack(t *testing.T) {
	t.Parallel()
	free, leave := otherProgram(t, "0")
	taken, _ := otherProgram(t, "0")
	leave()
	s := newShell(t, "BOOKCTL_PORT="+taken, "BOOKCTL_LOCAL_PORT="+free)
	if out := s.must("local", "start"); !strings.HasPrefix(out, "http://127.0.0.1:"+free+"\n") {
		t.Errorf("the local cloud serves at %s", out)
	}
	if r := s.run(append([]string{"up", "--local"}, imageless()...)...); r.code != 64 || !strings.Contains(r.err, "port "+taken+" is in use") {
		t.Errorf("up: exit code %d, %s", r.code, r.err)
	}
}

// TestAFlagIsCheckedWithWhatIsDeployed gives a task more CPU, which the memory
// that it has by default would be too little for.
func TestAFlagIsCheckedWithWhatIsDeployed(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	// Nothing is deployed, so the memory is the default; and no cloud is started
	// to find that out.
	if r := s.run("up", "--local", "--cpu", "1024"); r.code != 64 || !strings.Contains(r.err, "memory 512: with cpu 1024 Fargate takes 2048 to 8192") {
		t.Errorf("a first up: exit code %d, %s", r.code, r.err)
	}
	if status := s.run("local", "status"); !strings.Contains(status.out+status.err, "not running") {
		t.Errorf("a refused up left a local cloud: %s%s", status.out, status.err)
	}
	s.up(append(imageless(), "--memory", "2048")...)
	s.up("--wait=false", "--cpu", "1024")
	if r := s.run("up", "--local", "--cpu", "4096"); r.code != 64 || !strings.Contains(r.err, "memory 2048: with cpu 4096 Fargate takes") {
		t.Errorf("an up that does not fit: exit code %d, %s", r.code, r.err)
	}
	if r := s.run("plan", "--local", "--image", noImage, "--memory", "3072"); r.code != 2 || !strings.Contains(r.out, "memory: 2048 → 3072") {
		t.Errorf("plan: exit code %d\n%s%s", r.code, r.out, r.err)
	}
}

// portWatch looks all the time whether the security groups let the load balancer reach
// the tasks that it finds healthy, whatever port they have.
type portWatch struct {
	cancel context.CancelFunc
	over   chan struct{}
	seen   map[int32]bool // ports of healthy tasks
	shut   []string
	open   func() map[int32]bool
}

// watchPorts begins a portWatch of stack book.
func (s *shell) watchPorts(t *testing.T) *portWatch {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	balancing, network := elb.NewFromConfig(s.config()), ec2.NewFromConfig(s.config())
	groups := done[*elb.DescribeTargetGroupsOutput](t)(balancing.DescribeTargetGroups(ctx, &elb.DescribeTargetGroupsInput{}))
	healthy := func() map[int32]bool {
		ports := map[int32]bool{}
		out, err := balancing.DescribeTargetHealth(ctx, &elb.DescribeTargetHealthInput{TargetGroupArn: groups.TargetGroups[0].TargetGroupArn})
		if err != nil {
			return ports
		}
		for _, d := range out.TargetHealthDescriptions {
			if d.TargetHealth.State == elbtypes.TargetHealthStateEnumHealthy {
				ports[*d.Target.Port] = true
			}
		}
		return ports
	}
	w := &portWatch{cancel: cancel, over: make(chan struct{}), seen: map[int32]bool{}}
	w.open = func() map[int32]bool {
		ways := map[int32]int{}
		out, err := network.DescribeSecurityGroups(t.Context(), &ec2.DescribeSecurityGroupsInput{})
		if err != nil {
			t.Error(err)
			return nil
		}
		for _, g := range out.SecurityGroups {
			switch {
			case strings.HasSuffix(*g.GroupName, "sg-task"):
				for _, p := range g.IpPermissions {
					ways[aws.ToInt32(p.FromPort)]++
				}
			case strings.HasSuffix(*g.GroupName, "sg-load-balancer"):
				for _, p := range g.IpPermissionsEgress {
					ways[aws.ToInt32(p.FromPort)] += len(p.IpRanges)
				}
			}
		}
		open := map[int32]bool{}
		for port, n := range ways {
			open[port] = n == 3 // out to two subnets, and in
		}
		return open
	}
	go func() {
		defer close(w.over)
		for ctx.Err() == nil {
			before := healthy()
			open := w.open()
			after := healthy()
			for port := range before {
				if w.seen[port] = true; after[port] && !open[port] {
					w.shut = append(w.shut, fmt.Sprintf("port %d of healthy tasks is closed: %v", port, open))
				}
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()
	return w
}

// unharmed ends the watch, and fails the test where a port was closed too early, or one
// is open that no task has.
func (w *portWatch) unharmed(t *testing.T) {
	t.Helper()
	open := w.open()
	w.cancel()
	<-w.over
	if len(w.shut) > 0 {
		t.Errorf("%d looks found a port closed: %s", len(w.shut), w.shut[0])
	}
	if want := map[int32]bool{8080: true, 8081: true}; !maps.Equal(w.seen, want) {
		t.Errorf("healthy tasks had the ports %v, want %v", w.seen, want)
	}
	if want := map[int32]bool{8080: true}; !maps.Equal(open, want) {
		t.Errorf("in the end these ports are open: %v, want %v", open, want)
	}
}

// TestReleasesAndPasswordsChangeWithoutAFailedRequest rolls out a release on another
// port, restarts it, gives the database a new password and goes back to the release before, all under
// load; and holds status to its calls.
func TestReleasesAndPasswordsChangeWithoutAFailedRequest(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	// Its log group is new, and so are its tasks, which began before the database.
	if r := s.run("up", "--local"); r.code != 0 || strings.Contains(r.err, "log group was deleted") {
		t.Fatalf("the first up: exit code %d\n%s%s", r.code, r.out, r.err)
	}
	url := s.up()
	if code, body := call(t, "POST", url+"/books", `{"name":"Dune","author":"Frank Herbert"}`); code != http.StatusCreated {
		t.Fatalf("POST: %d %s", code, body)
	}
	load, watch := startLoad(t, url+"/books/Dune", 4, 15*time.Millisecond), s.watchPorts(t)
	s.up("--source", changedSource(t), "--count", "2", "--container-port", "8081")

	old := s.tasks(t)
	var restarted struct {
		Release string
		Tasks   int
	}
	out := s.must("restart", "--local", "--output", "json", "--quiet")
	decode(t, out[strings.LastIndex(strings.TrimSpace(out), "\n")+1:], &restarted)
	now := s.tasks(t)
	if restarted.Release != "book-app:2" || restarted.Tasks != 2 || len(now) != 2 || slices.ContainsFunc(slices.Collect(maps.Keys(old)), func(pid int) bool { return now[pid] != "" }) {
		t.Errorf("restart says %+v; the tasks were %v, and are %v", restarted, old, now)
	}
	// New tasks that don't come up cost no request, and are distinguished from those before.
	s.faults(`{"tasks": {"crash": true}}`)
	s.run("restart", "--local").says(t, 1, "The new tasks of revision 2 never became healthy. Task ", "The tasks from before are still serving.", "next: ", "'bookctl restart --local' again once that is repaired")
	s.faults(`{}`)
	s.run("up", "--local").says(t, 0, "0 changed")

	before := s.secret(t)
	out = s.must("db", "rotate-password", "--local", "--output", "json")
	if err := fitsSchema(out); err != nil {
		t.Error(err)
	}
	after := s.secret(t)
	if before.Password == after.Password {
		t.Error("the password is the same")
	}
	if got := s.psql(t, after, "select author from books where name = 'Dune'"); got != "Frank Herbert" {
		t.Errorf("psql with the new password: %q", got)
	}

	out = s.must("rollback", "--local", "--output", "json")
	if err := fitsSchema(out); err != nil {
		t.Error(err)
	}
	load.unharmed(t)
	watch.unharmed(t)
	r := s.run("status", "--local")
	if r.code != 0 || !strings.Contains(r.out, "2/2 running, book-app:3") || !strings.Contains(r.out, "rolled back from revision 2") {
		t.Errorf("after the rollback: exit code %d\n%s%s", r.code, r.out, r.err)
	}

	// The revision that tasks still have is read too, for what their roles must allow.
	until(t, "only the tasks of the release are left", func() bool { return len(s.service().Deployments) == 1 })
	t.Run("status makes few calls, all reads", func(t *testing.T) {
		var info struct{ Endpoint, Region string }
		decode(t, s.must("local", "status", "--output", "json"), &info)
		wire := watchWire(t, info.Endpoint)
		cmd := s.command("status")
		cmd.Env = append(cmd.Env, "AWS_ENDPOINT_URL="+wire.url, "AWS_ACCESS_KEY_ID=local", "AWS_SECRET_ACCESS_KEY=local", "AWS_REGION="+info.Region)
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "about $") {
			t.Fatalf("status: %v\n%s", err, out)
		}
		reads, writes := wire.take()
		if len(writes) > 0 || len(reads) >= mostStatusCalls || len(reads) < 20 {
			t.Errorf("%d reads, %d writes: %s %s", len(reads), len(writes), fmt.Sprint(reads), fmt.Sprint(writes))
		}
	})

	// Another way back is not the way forward again, which has to be asked for.
	for _, tc := range []struct {
		args []string
		code int
		says string
	}{
		{nil, 1, "bookctl: revision 1 is the oldest release of this stack that is left\nnext: 'bookctl rollback --local --to 2'"},
		{[]string{"--to", "99"}, 1, "the revisions are 3, 2, 1"},
		{[]string{"--to", "2"}, 0, "from revision 3 to the release of revision 2, made "},
		{nil, 0, "from revision 4 to the release of revision 1, made "},
		{nil, 1, "bookctl: revision 1 is the oldest release of this stack that is left\nnext: 'bookctl rollback --local --to 4'"},
	} {
		if r := s.run(append([]string{"rollback", "--local"}, tc.args...)...); r.code != tc.code || !strings.Contains(r.err, tc.says) {
			t.Errorf("rollback %s: exit code %d\n%s", tc.args, r.code, r.err)
		}
	}
}

// TestWhatIsWatchedIsShownAsItHappens follows the logs and the status, both of
// which end by Ctrl-C as they should.
func TestWhatIsWatchedIsShownAsItHappens(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	url := s.up()
	watch := func(args ...string) (shows func(string) func() bool, end func()) {
		t.Helper()
		out, err := os.Create(filepath.Join(t.TempDir(), "out"))
		if err != nil {
			t.Fatal(err)
		}
		cmd := s.command(args...)
		cmd.Stdout, cmd.Stderr = out, out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		shows = func(want string) func() bool {
			return func() bool {
				text, err := os.ReadFile(out.Name())
				return err == nil && strings.Contains(string(text), want)
			}
		}
		return shows, func() {
			t.Helper()
			if err := cmd.Process.Signal(os.Interrupt); err != nil {
				t.Error(err)
			}
			if err := cmd.Wait(); err != nil {
				t.Errorf("%s, interrupted: %v", args, err)
			}
			if err := out.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	// Before any of it: what would take all data is asked for, and here is nobody to ask.
	if r := s.run("local", "stop", "--purge"); r.code != 64 || !strings.Contains(r.err, "--yes") {
		t.Errorf("local stop --purge: exit code %d, %s", r.code, r.err)
	}
	if code, _ := call(t, "GET", url+"/healthz", ""); code != http.StatusOK {
		t.Errorf("after a purge that nobody confirmed: %d", code)
	}
	logs, endLogs := watch("logs", "--local", "--follow")
	status, endStatus := watch("status", "--local", "--watch", "--interval", "1s")
	until(t, "the status shows the stack", status("1/1 running"))
	if status("Drift")() || logs("/books/followed")() {
		t.Error("what has not happened yet is shown")
	}
	call(t, "GET", url+"/books/followed", "")
	s.updateService(ecs.UpdateServiceInput{DesiredCount: aws.Int32(2)})
	until(t, "the logs show the request", logs("/books/followed"))
	until(t, "the status shows the drift", status("Drift      service: count: 2 → 1"))
	endLogs()
	endStatus()
}

// mostStatusCalls bounds what a status asks of AWS about a stack at rest: four reads of the roles' policies,
// and three of rules, network ACLs and DHCP options, are for drift that decides
// whether the stack serves and is safe.
const mostStatusCalls = 49
