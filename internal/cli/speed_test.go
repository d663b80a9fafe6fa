package cli_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awscredentials "github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/smithy-go/middleware"
	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/bookctl/bookctl/internal/image"
	"github.com/bookctl/bookctl/internal/localcloud"
	"github.com/bookctl/bookctl/internal/preflight"
	"github.com/bookctl/bookctl/internal/provision"
	"github.com/bookctl/bookctl/internal/provision/graph"
	"github.com/bookctl/bookctl/internal/requestbody"
)

// clockScale makes a minute of AWS's fifteen seconds here. Shorter ones would
// measure this machine, whose own work does not get shorter.
const clockScale = 0.25

// BenchmarkSpeed makes, changes and removes a stack on a local cloud that takes
// as long as AWS, scaled, and divides the time by the longest chain of waits
// that the cloud itself imposes along the graph (see waits). It prints where
// the time went, and what each way to shorten the chain saves.
func BenchmarkSpeed(b *testing.B) {
	first, second := buildScaled(b, "first"), buildScaled(b, "second")
	for b.Loop() {
		cloud := openSlowCloud(b, 0)
		var text bytes.Buffer
		table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
		fmt.Fprintln(table, "\tlimit s\ttook s\tratio\tcritical path of the run")
		for _, run := range []struct {
			name string
			do   func() (graph.Report, []provision.Resource)
			wait waits
		}{
			{"first up", func() (graph.Report, []provision.Resource) { return cloud.up(b, first) }, firstUp()},
			{"up of another image", func() (graph.Report, []provision.Resource) { return cloud.up(b, second) }, nextImage()},
			{"destroy", func() (graph.Report, []provision.Resource) { return cloud.destroy(b) }, removal()},
		} {
			cloud.rest(b)
			begun := time.Now()
			report, resources := run.do()
			took := time.Since(begun).Seconds() / clockScale
			limit, _ := run.wait.longest(resources)
			path := report.CriticalPath()
			if run.wait.backwards {
				path = endings(report)
			}
			fmt.Fprintf(table, "%s\t%.1f\t%.1f\t%.3f\t%s\n", run.name, limit.Seconds(), took, took/limit.Seconds(), strings.Join(path, " → "))
			b.ReportMetric(took/limit.Seconds(), strings.ReplaceAll(run.name, " ", "-")+"-to-limit")
			if testing.Verbose() {
				for _, s := range report.Steps {
					if d := s.End.Sub(s.Start).Seconds() / clockScale; d > 1 {
						b.Logf("%s: %s from %.1f to %.1f", run.name, s.Name, s.Start.Sub(begun).Seconds()/clockScale, s.End.Sub(begun).Seconds()/clockScale)
					}
				}
			}
		}
		if err := table.Flush(); err != nil {
			b.Fatal(err)
		}
		b.Logf("in seconds of AWS (1 s is %v here):\n%s\nWhat the limit would be otherwise:\n%s", time.Duration(clockScale*float64(time.Second)), text.String(), savings(b, cloud))
	}
}

// endings are the steps of a removal that ended last, from the first to the
// last of them: each the one that the next waited for.
func endings(r graph.Report) []string {
	needed := map[string][]string{} // by what it needs
	by := map[string]graph.Step{}
	var last graph.Step
	for _, s := range r.Steps {
		by[s.Name] = s
		for _, n := range s.Needs {
			needed[n] = append(needed[n], s.Name)
		}
		if s.End.After(last.End) {
			last = s
		}
	}
	var path []string
	for last.Name != "" {
		path = append([]string{last.Name}, path...)
		var before graph.Step
		for _, n := range needed[last.Name] {
			if by[n].End.After(before.End) {
				before = by[n]
			}
		}
		last = before
	}
	return path
}

// waits are the times that the cloud imposes on a run, in AWS's time. What
// bookctl adds to them (polls, reads, its own work) is not among them, and what
// it could do without (a wait for a load balancer to be active) neither.
type waits struct {
	// step is the wait of each resource that changes, beyond its calls.
	step map[string]time.Duration
	// only, when set, are the resources that change.
	only []string
	// weak are the needs that are met by the id alone.
	weak map[string]string
	// joins are what a resource waits for after its step, and then for how long yet.
	joins map[string]join
	// backwards is a removal, in which linger says whose network interfaces
	// keep a resource, for how long after their owner.
	backwards bool
	linger    map[string][]string
}

type join struct {
	on   string
	then time.Duration
}

var typical = localcloud.TypicalLatencies()

// Health checks are those of the target group, 5 s apart and two in number, of
// which AWS makes the first at any time; the local cloud makes it at once.
// Nobody holds a connection here, so that draining takes no time, but bookapi
// serves for five seconds more before it ends.
const (
	healthy    = 5 * time.Second
	draining   = 5 * time.Second
	scaleCalls = 2 // a create and a look
)

func firstUp() waits {
	return waits{
		step: map[string]time.Duration{
			"database": typical.DBCreate, "load-balancer": typical.LoadBalancer, "service": typical.TaskStart,
		},
		weak:  map[string]string{"listener": "load-balancer", "task-definition": "database", "service": "database"},
		joins: map[string]join{"service": {"database", healthy}},
	}
}

// tasksAfter is firstUp with tasks that begin when the database is there.
func tasksAfter() waits {
	w := firstUp()
	w.step["service"] += healthy
	w.weak, w.joins = map[string]string{"listener": "load-balancer"}, nil
	return w
}

func nextImage() waits {
	return waits{
		step: map[string]time.Duration{"service": typical.TaskStart + healthy + draining + typical.TaskStop},
		only: []string{"image", "task-definition", "service"},
	}
}

func removal() waits {
	balanced := []string{"load-balancer", "service"}
	return waits{
		backwards: true,
		step:      map[string]time.Duration{"database": max(typical.DBSnapshot, typical.DBDelete), "service": draining + typical.TaskStop},
		linger: map[string][]string{
			"subnet-public-a": balanced, "subnet-public-b": balanced, "internet-gateway": balanced, "sg-load-balancer": {"load-balancer"}, "sg-task": {"service"},
			"subnet-private-a": {"database"}, "subnet-private-b": {"database"}, "sg-database": {"database"},
		},
	}
}

// longest is the longest chain of waits along the graph, and its resources.
func (w waits) longest(resources []provision.Resource) (time.Duration, []string) {
	needs, order := map[string][]string{}, []string{}
	for _, r := range resources {
		name, on := graph.Describe(r)
		order = append(order, name)
		if !w.backwards {
			needs[name] = append(needs[name], on...)
			continue
		}
		for _, n := range on {
			needs[n] = append(needs[n], name)
		}
	}
	if w.backwards {
		slices.Reverse(order)
	}
	ends, begins, from := map[string]time.Duration{}, map[string]time.Duration{}, map[string]string{}
	last := ""
	for _, name := range order {
		later := func(t time.Duration, of string) {
			if t > begins[name] {
				begins[name], from[name] = t, of
			}
		}
		for _, n := range needs[name] {
			if w.weak[name] == n {
				later(begins[n]+typical.Call, n)
			} else {
				later(ends[n], n)
			}
		}
		for _, owner := range w.linger[name] {
			later(ends[owner]+typical.Interface, owner)
		}
		ends[name] = begins[name]
		if w.only == nil || slices.Contains(w.only, name) {
			ends[name] += scaleCalls*typical.Call + w.step[name]
		}
		if j, ok := w.joins[name]; ok {
			if ends[j.on] > ends[name] {
				ends[name], from[name] = ends[j.on], j.on
			}
			ends[name] += j.then
		}
		if ends[name] > ends[last] {
			last = name
		}
	}
	var path []string
	for name := last; name != ""; name = from[name] {
		path = append([]string{name}, path...)
	}
	return ends[last], path
}

// savings prints the limit of a first up with each of the measures that shorten
// it taken back.
func savings(b *testing.B, c *slowCloud) string {
	stack, err := provision.NewStack(c.clients, provision.Spec{Stack: "book", Version: "test", Zones: [2]string{"a", "b"}, Settings: provision.DefaultSettings()})
	if err != nil {
		b.Fatal(err)
	}
	var text bytes.Buffer
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	line := func(name string, now, otherwise waits) {
		x, _ := now.longest(stack.Resources())
		y, path := otherwise.longest(stack.Resources())
		fmt.Fprintf(table, "%s\t%.1f\t→ %.1f\t%s\n", name, y.Seconds(), x.Seconds(), strings.Join(path, " → "))
	}
	changed := func(w waits, step map[string]time.Duration) waits {
		w.step = maps.Clone(w.step)
		maps.Copy(w.step, step)
		return w
	}
	line("wait for the first backup", firstUp(), changed(firstUp(), map[string]time.Duration{"database": typical.DBCreate + typical.DBBackup}))
	line("tasks after the database", firstUp(), tasksAfter())
	active := func(w waits) waits {
		w.weak = maps.Clone(w.weak)
		delete(w.weak, "listener")
		return w
	}
	line("wait for an active load balancer before the listener", firstUp(), active(firstUp()))
	quick := changed(firstUp(), map[string]time.Duration{"database": 0})
	line("the same where the database exists already", quick, active(quick))
	rare := firstUp()
	rare.joins = map[string]join{"service": {"database", 4 * 30 * time.Second}}
	line("health checks 30 s apart, five times", firstUp(), rare)
	held := func(delay time.Duration) waits { // by a client that keeps its connection
		return changed(nextImage(), map[string]time.Duration{"service": nextImage().step["service"] + delay})
	}
	line("another image while a client holds on, with AWS's draining of 300 s", held(10*time.Second), held(300*time.Second))
	serial := firstUp()
	total := time.Duration(0)
	for range stack.Resources() {
		total += scaleCalls * typical.Call
	}
	for _, d := range serial.step {
		total += d
	}
	for _, j := range serial.joins {
		total += j.then
	}
	limit, _ := serial.longest(stack.Resources())
	fmt.Fprintf(table, "one after the other\t%.1f\t→ %.1f\t\n", total.Seconds(), limit.Seconds())
	if err := table.Flush(); err != nil {
		b.Fatal(err)
	}
	return text.String()
}

// slowCloud is a local cloud that takes its time.
type slowCloud struct {
	clients          provision.Clients
	region, endpoint string
}

// openSlowCloud opens one with a quota of VPCs, that of a new account for 0.
func openSlowCloud(b *testing.B, vpcs int) *slowCloud {
	b.Helper()
	dir, err := os.MkdirTemp("", "bookctl-speed-")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = os.RemoveAll(dir) }) // what is left lies in the system's temporary directory
	// The users of databases and containers must get through.
	if err := os.Chmod(dir, 0o711); err != nil {
		b.Fatal(err)
	}
	latencies := localcloud.TypicalLatencies()
	latencies.Scale = clockScale
	c, err := localcloud.Open(b.Context(), localcloud.Config{StateDir: dir, Latencies: latencies, VPCs: vpcs})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := c.Close(context.Background()); err != nil {
			b.Error(err)
		}
	})
	return &slowCloud{region: "us-east-1", endpoint: c.Endpoint(), clients: provision.NewClients(aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String(c.Endpoint()), HTTPClient: &http.Client{},
		Credentials: awscredentials.NewStaticCredentialsProvider("bench", "bench", ""),
		APIOptions:  []func(*middleware.Stack) error{requestbody.Readable},
	})}
}

// putToRest leaves a stack without a task. Its database costs nothing that anybody
// notices while nobody asks it.
func (c *slowCloud) putToRest(b *testing.B, stack string) {
	b.Helper()
	_, err := c.clients.ECS.UpdateService(b.Context(), &ecs.UpdateServiceInput{
		Cluster: aws.String(stack + "-cluster"), Service: aws.String(stack + "-service"), DesiredCount: aws.Int32(0),
	})
	if err != nil {
		b.Fatal(err)
	}
}

// rest waits until nothing is on its way: RDS removes no instance before its
// backup has ended.
func (c *slowCloud) rest(b *testing.B) {
	b.Helper()
	for {
		out, err := c.clients.RDS.DescribeDBInstances(b.Context(), &rds.DescribeDBInstancesInput{})
		if err != nil {
			b.Fatal(err)
		}
		if len(out.DBInstances) == 0 || aws.ToString(out.DBInstances[0].DBInstanceStatus) == "available" {
			return
		}
		time.Sleep(time.Second)
	}
}

// run is what up and destroy find out before they begin. parts is set when it
// has the lock.
func (c *slowCloud) run(b *testing.B, spec func(provision.Deployed) provision.Spec, parts *[]provision.Resource) provision.Run {
	b.Helper()
	ctx := b.Context()
	must := func(err error) {
		b.Helper()
		if err != nil {
			b.Fatal(err)
		}
	}
	account, caller, err := preflight.Identify(ctx, c.clients, c.region)
	must(err)
	have, err := provision.ReadDeployed(ctx, c.clients, "book")
	must(err)
	want := spec(have)
	env, err := preflight.Check(ctx, c.clients, preflight.Intent{Stack: "book", Settings: want.Settings, Deployed: have, Region: c.region, Account: account, Caller: caller})
	must(err)
	want.Stack, want.Version, want.Zones, want.DBVersion, want.Running = "book", "bench", env.Zones, env.DBVersion, have.Running
	return provision.Run{
		Clients: c.clients, Spec: want, Holder: "bench", Pace: clockScale,
		Begin: func(all []provision.Resource) { *parts = all },
	}
}

func (c *slowCloud) up(b *testing.B, source provision.ImageSource) (graph.Report, []provision.Resource) {
	b.Helper()
	spec := func(have provision.Deployed) provision.Spec {
		s := have.Settings
		s.Arch, s.Image = runtime.GOARCH, ""
		if !have.Found {
			s.Port = freePort(b)
		}
		return provision.Spec{Settings: s, Source: source, Wait: true, NewDatabase: !have.HasData()}
	}
	var parts []provision.Resource
	_, report, err := c.run(b, spec, &parts).Up(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	return report, parts
}

func (c *slowCloud) destroy(b *testing.B) (graph.Report, []provision.Resource) {
	b.Helper()
	spec := func(have provision.Deployed) provision.Spec { return provision.Spec{Settings: have.Settings} }
	var parts []provision.Resource
	removal, err := c.run(b, spec, &parts).Destroy(b.Context(), false, time.Minute)
	if err != nil {
		b.Fatal(err)
	}
	return removal.Report, parts
}

// built is an image that was built beforehand: the compiler's time is this
// machine's, and does not scale with the cloud's.
type built struct{ *image.Image }

func (i built) Digest(context.Context) (string, error) { return i.Image.Digest, nil }

func (i built) Push(ctx context.Context, repository string, login provision.RegistryLogin, _ func(done, total int64)) error {
	_, err := image.Upload{Auth: authn.FromConfig(authn.AuthConfig{Username: login.Username, Password: login.Password})}.Push(ctx, i.Image, repository)
	return err
}

// buildScaled builds bookapi with pauses of its own that are scaled as the cloud is.
func buildScaled(b *testing.B, name string) built {
	b.Helper()
	dir := changedSource(b)
	edit := func(file string, old, new string) {
		b.Helper()
		path := filepath.Join(dir, file)
		text, err := os.ReadFile(path)
		if err != nil {
			b.Fatal(err)
		}
		changed := strings.Replace(string(text), old, new, 1)
		if changed == string(text) {
			b.Fatalf("%s does not hold %q", file, old)
		}
		if err := os.WriteFile(path, []byte(changed), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	edit("internal/api/server.go", "addressPause = time.Second", fmt.Sprintf("addressPause = %d", int64(clockScale*float64(time.Second))))
	edit("cmd/bookapi/config.go", "= 5 * time.Second", fmt.Sprintf("= %d", int64(clockScale*float64(draining))))
	edit("cmd/bookapi/changed.go", `"changed"`, fmt.Sprintf("%q", name))
	begun := time.Now()
	i, err := image.Build(b.Context(), image.Source{Dir: dir, Arch: runtime.GOARCH, Cache: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	b.Logf("the %s image was built in %.1f s", name, time.Since(begun).Seconds())
	return built{i}
}

func freePort(b *testing.B) int32 {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	return int32(l.Addr().(*net.TCPAddr).Port)
}
