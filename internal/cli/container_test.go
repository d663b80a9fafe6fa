package cli_test

import (
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/bookctl/bookctl/internal/tinyimage"
)

// anyApp is the image of testdata/anyapp, which is not bookapi.
var anyApp = sync.OnceValues(func() (v1.Image, error) { return tinyimage.Build("testdata/anyapp", "app") })

// anyImage pushes it with a config of its own, and returns its reference.
func anyImage(t *testing.T, configure func(*v1.ConfigFile)) string {
	t.Helper()
	image, err := anyApp()
	if err != nil {
		t.Fatal(err)
	}
	file, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	file = file.DeepCopy()
	configure(file)
	if image, err = mutate.ConfigFile(image, file); err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(openRegistry(t) + "/team/app:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, image); err != nil {
		t.Fatal(err)
	}
	return ref.String()
}

// definition is what ECS runs.
func (s *shell) definition(t *testing.T) *types.TaskDefinition {
	t.Helper()
	out, err := ecs.NewFromConfig(s.config()).DescribeTaskDefinition(t.Context(), &ecs.DescribeTaskDefinitionInput{TaskDefinition: aws.String("book-app")})
	if err != nil {
		t.Fatal(err)
	}
	return out.TaskDefinition
}

// get asks a path of a service that has to answer.
func get(t *testing.T, url string) string {
	t.Helper()
	code, body := call(t, http.MethodGet, url, "")
	if code != http.StatusOK {
		t.Fatalf("%s answers %d %s", url, code, body)
	}
	return strings.TrimSpace(body)
}

// TestAnyContainerIsDeployedAsItsImageSays deploys a service that is not bookapi.
func TestAnyContainerIsDeployedAsItsImageSays(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	image := anyImage(t, func(f *v1.ConfigFile) {
		f.Config.ExposedPorts = map[string]struct{}{"9000/udp": {}, "3000/TCP": {}}
		f.Config.User, f.Config.StopSignal = "1000:1000", "SIGQUIT"
		f.Config.Healthcheck = &v1.HealthConfig{Test: []string{"CMD", "/app", "check"}, Interval: 10 * time.Second, Timeout: 90 * time.Second, StartPeriod: 89500 * time.Millisecond, Retries: 12}
	})
	s.must("local", "start")
	before := s.inventory()
	for _, refused := range [][2]string{
		{"--container-port=70000", "container port 70000"}, {"--health-path=healthz", "health path"}, {"--health-status=500", "200 to 499"},
		{"--stop-timeout=121", "Fargate takes 2 to 120 s"}, {"--ephemeral-storage=201", "21 to 200"}, {"--idle-timeout=4001", "1 to 4000 s"},
		{"--user=a b", "user"}, {"--command='open", "a quote is not closed"}, {"--health-command=[", "not a JSON list of words"}, {"--health-grace=-1", "health grace"},
		{"--db-env=PORT=port", "database variables: variable PORT is set by bookctl: --container-port chooses it"},
	} {
		s.run("up", "--local", "--image", image, refused[0]).says(t, 64, refused[1])
	}
	// It has neither ENTRYPOINT nor CMD.
	base := []string{"--local", "--image", configured(t, &v1.ConfigFile{OS: "linux", Architecture: runtime.GOARCH})}
	for _, command := range []string{"plan", "up"} {
		s.run(append([]string{command}, base...)...).says(t, 1, "the image has neither ENTRYPOINT nor CMD, so no container of it can start", "next: say what to run with --command")
	}
	if r := s.run(append([]string{"plan", "--command", "serve"}, base...)...); r.code != 2 {
		t.Errorf("with a command: exit code %d\n%s", r.code, r.err)
	}
	if diff := cmp.Diff(before, s.inventory()); diff != "" {
		t.Errorf("what was refused has changed something (-before +after):\n%s", diff)
	}

	plan := s.run("plan", "--local", "--image", image, "--health-path", "/up", "--command", "serve 'a b'")
	for _, want := range []string{
		"container-port  3000  EXPOSE of the image", "health-path  /up  --health-path", "user  1000:1000  USER of the image",
		`health-command  ["/app","check"]  HEALTHCHECK of the image`, "health-grace 90 start period of the image's HEALTHCHECK", "health-status  200-299  the image has no label for it",
	} {
		if !strings.Contains(strings.Join(strings.Fields(plan.out), " "), strings.Join(strings.Fields(want), " ")) {
			t.Errorf("the plan does not say %q:\n%s%s", want, plan.out, plan.err)
		}
	}
	if !strings.Contains(plan.err, "stopped by SIGQUIT, the image's STOPSIGNAL") {
		t.Errorf("the plan says\n%s", plan.err)
	}

	if !strings.Contains(strings.Join(strings.Fields(plan.out), " "), "database DATABASE_URL DB_HOST") {
		t.Errorf("the plan does not show the database's variables:\n%s", plan.out)
	}

	url := s.up("--image", image, "--health-path", "/up", "--command", "serve 'a b'", "--ephemeral-storage", "30", "--stop-timeout", "5", "--sticky", "--idle-timeout", "120", "--count", "2")
	if got := get(t, url+"/args"); got != "serve|a b" {
		t.Errorf("it was started with %q", got)
	}
	d := s.definition(t)
	c := d.ContainerDefinitions[0]
	if *c.PortMappings[0].ContainerPort != 3000 || *c.User != "1000:1000" || *c.ReadonlyRootFilesystem || *c.StopTimeout != 5 || d.EphemeralStorage.SizeInGiB != 30 ||
		!cmp.Equal(c.HealthCheck.Command, []string{"CMD", "/app", "check"}) {
		t.Errorf("the task definition is %+v", c)
	}
	// Whatever the account's mode is, the container does not wait for CloudWatch.
	if mode := c.LogConfiguration.Options["mode"]; mode != "non-blocking" {
		t.Errorf("the mode of the log driver is %q", mode)
	}
	// The image's times, as far as ECS takes them.
	times := func(h *types.HealthCheck) [4]int32 {
		return [4]int32{*h.Interval, *h.Timeout, *h.Retries, *h.StartPeriod}
	}
	if got, want := times(c.HealthCheck), [4]int32{10, 60, 10, 90}; got != want {
		t.Errorf("interval, timeout, retries and start period of the health check are %d, want %d", got, want)
	}
	groups, err := elb.NewFromConfig(s.config()).DescribeTargetGroups(t.Context(), &elb.DescribeTargetGroupsInput{})
	if err != nil {
		t.Fatal(err)
	}
	if g := groups.TargetGroups[0]; *g.HealthCheckPath != "/up" || *g.Matcher.HttpCode != "200-299" {
		t.Errorf("the health check asks for %s %s", *g.HealthCheckPath, *g.Matcher.HttpCode)
	}
	// A client with the cookie stays where it is.
	jar := &http.Client{Jar: newJar(t)}
	tasks := map[string]bool{}
	for range 6 {
		tasks[body(t, jar, url+"/task")] = true
	}
	if len(tasks) != 1 {
		t.Errorf("a client with the cookie was sent to %d tasks", len(tasks))
	}

	s.run("up", "--local").says(t, 0, "0 changed")
	if r := s.run("status", "--local"); r.code != 0 || !strings.Contains(r.out, "/up") && !strings.Contains(r.out, "answers 204") {
		t.Errorf("status: exit code %d\n%s%s", r.code, r.out, r.err)
	}
	// What was chosen is kept, and what was not follows the image.
	second := anyImage(t, func(f *v1.ConfigFile) { f.Config.ExposedPorts = map[string]struct{}{"4000": {}} })
	s.up("--image", second)
	c = s.definition(t).ContainerDefinitions[0]
	if *c.PortMappings[0].ContainerPort != 4000 || c.User != nil || c.HealthCheck != nil || *c.StopTimeout != 5 || !cmp.Equal(c.Command, []string{"serve", "a b"}) {
		t.Errorf("with another image the task definition is %+v", c)
	}
	get(t, url+"/args")
	s.run("up", "--local").says(t, 0, "0 changed")
	// A check of the user's own has bookctl's times where the image has no HEALTHCHECK, as in
	// stacks of earlier builds, and Docker's where the image has one that says no times.
	s.up("--image", second, "--health-command", `["/app","check"]`)
	if got, want := times(s.definition(t).ContainerDefinitions[0].HealthCheck), [4]int32{5, 3, 3, 60}; got != want {
		t.Errorf("interval, timeout, retries and start period of --health-command are %d, want %d", got, want)
	}
	s.run("up", "--local", "--image", second).says(t, 0, "0 changed")
	s.up("--image", anyImage(t, func(f *v1.ConfigFile) {
		f.Config.Healthcheck = &v1.HealthConfig{Test: []string{"CMD", "/app", "other"}}
	}))
	h := s.definition(t).ContainerDefinitions[0].HealthCheck
	if got, want := times(h), [4]int32{30, 30, 3, 60}; got != want || !cmp.Equal(h.Command, []string{"CMD", "/app", "check"}) {
		t.Errorf("interval, timeout, retries and start period of a HEALTHCHECK without times are %d, want %d, for %q", got, want, h.Command)
	}
	s.run("up", "--local").says(t, 0, "0 changed")
	// What is gone back to is run as it was.
	s.must("rollback", "--local", "--to", "1")
	c = s.definition(t).ContainerDefinitions[0]
	if *c.PortMappings[0].ContainerPort != 3000 || *c.User != "1000:1000" || times(c.HealthCheck) != [4]int32{10, 60, 10, 90} {
		t.Errorf("after a rollback the task definition is %+v", c)
	}
	get(t, url+"/args")
	s.must("destroy", "--local", "--yes", "--purge-snapshots")
	if diff := cmp.Diff(before, s.inventory()); diff != "" {
		t.Errorf("destroy left (-before +after):\n%s", diff)
	}
}

// TestUpSaysThatALabelIsIgnored has images that say no time within which a request is answered.
func TestUpSaysThatALabelIsIgnored(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	for _, drain := range []string{"soon", "0", "3601"} {
		image := anyImage(t, func(f *v1.ConfigFile) {
			maps.Copy(f.Config.Labels, map[string]string{"io.github.bookctl.health-path": "/up", "io.github.bookctl.drain": drain})
		})
		s.run("plan", "--local", "--no-database", "--image", image).says(t, 2, `io.github.bookctl.drain is "`+drain+`", and not a number of seconds from 1 to 3600`)
	}
}

// TestARequestIsAnsweredAcrossARelease has one in flight for longer than the load balancer waits
// for a program that says that it needs no time.
func TestARequestIsAnsweredAcrossARelease(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	release := func(drain, port string) string {
		return anyImage(t, func(f *v1.ConfigFile) {
			f.Config.ExposedPorts = map[string]struct{}{port: {}}
			maps.Copy(f.Config.Labels, map[string]string{"io.github.bookctl.health-path": "/up", "io.github.bookctl.drain": drain})
		})
	}
	delay := func() string {
		t.Helper()
		client := elb.NewFromConfig(s.config())
		groups := done[*elb.DescribeTargetGroupsOutput](t)(client.DescribeTargetGroups(t.Context(), &elb.DescribeTargetGroupsInput{}))
		all := done[*elb.DescribeTargetGroupAttributesOutput](t)(client.DescribeTargetGroupAttributes(t.Context(), &elb.DescribeTargetGroupAttributesInput{TargetGroupArn: groups.TargetGroups[0].TargetGroupArn}))
		for _, a := range all.Attributes {
			if *a.Key == "deregistration_delay.timeout_seconds" {
				return *a.Value
			}
		}
		return ""
	}
	url := s.up("--no-database", "--image", release("", "3000"))
	if got := delay(); got != "30" { // as the container has to end
		t.Errorf("requests may go on for %s s, want 30", got)
	}
	type answer struct {
		code int
		body string
	}
	answered := make(chan answer, 1)
	go func() {
		resp, err := http.Get(url + "/slow?seconds=15")
		if err != nil {
			answered <- answer{0, err.Error()}
			return
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			text = append(text, err.Error()...)
		}
		answered <- answer{resp.StatusCode, string(text)}
	}()
	until(t, "the request is in flight", func() bool { return get(t, url+"/waiting") == "1" })
	s.up("--image", release("", "4000"))
	if got := <-answered; got != (answer{http.StatusOK, "done"}) {
		t.Errorf("the request in flight is answered %+v", got)
	}
	s.run("up", "--local").says(t, 0, "0 changed")
	for _, test := range [][3]string{{"", "120", "120"}, {"7", "120", "120"}, {"7", "30", "7"}, {"300", "30", "300"}, {"soon", "30", "30"}, {"", "2", "10"}} {
		s.run("up", "--local", "--wait=false", "--image", release(test[0], "4000"), "--stop-timeout", test[1]).says(t, 0)
		if got := delay(); got != test[2] {
			t.Errorf("with the label %q and --stop-timeout %s requests may go on for %s s, want %s", test[0], test[1], got, test[2])
		}
	}
	s.run("up", "--local", "--wait=false", "--stop-timeout", "120", "--spot").says(t, 0)
	if got := delay(); got != "119" {
		t.Errorf("with --spot requests may go on for %s s, want less than two minutes", got)
	}
	s.must("destroy", "--local", "--yes", "--purge-snapshots")
}

func newJar(t *testing.T) http.CookieJar {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return jar
}

// body is what a client is answered.
func body(t *testing.T, client *http.Client, url string) string {
	t.Helper()
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s answers %s %v", url, resp.Status, err)
	}
	return string(text)
}
