package cli_test

import (
	"cmp"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/smithy-go/middleware"
	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/bookctl/bookctl/internal/moto"
	"github.com/bookctl/bookctl/internal/requestbody"
	"github.com/bookctl/bookctl/internal/tinyimage"
)

// containers is the engine in which these apps run: Podman, or what BOOKCTL_TEST_ENGINE
// says.
func containers(t *testing.T) string {
	t.Helper()
	engine := cmp.Or(os.Getenv("BOOKCTL_TEST_ENGINE"), "podman")
	if _, err := exec.LookPath(engine); err != nil {
		lacks(t, runtime.GOOS == "linux", "needs "+engine+": .ci/setup installs it")
	}
	return engine
}

// lacks ends a test that needs what is not there: it fails on the machines on which .ci/setup
// installs that, where no test is to be left out unseen, and is skipped on others.
func lacks(t *testing.T, installed bool, what string) {
	t.Helper()
	if installed {
		t.Fatal(what)
	}
	t.Skip(what)
}

// system is a layer that .ci/setup makes of Debian's packages.
func system(t *testing.T, name string) v1.Layer {
	t.Helper()
	layer, err := tarball.LayerFromFile("../../.tools/layers/" + name + ".tar.gz")
	if err != nil {
		t.Fatalf("%v: .ci/setup makes it", err)
	}
	return layer
}

// appImage is an image of a system with the files of a directory in /app.
func appImage(t *testing.T, system v1.Layer, dir string, config v1.Config) v1.Image {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	files := []tinyimage.File{{Name: "app/"}, {Name: "tmp/"}}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, tinyimage.File{Name: "app/" + e.Name(), Content: string(text)})
	}
	config.WorkingDir = "/app"
	return done[v1.Image](t)(tinyimage.Of(runtime.GOARCH, config, system, done[v1.Layer](t)(tinyimage.Layer(files...))))
}

// held is what an engine has of a cloud, and the machine outside of its home.
func held(t *testing.T, engine, cloud string) []string {
	t.Helper()
	var out []string
	for _, list := range [][]string{
		{"ps", "--all", "--filter", "label=bookctl.cloud=" + cloud, "--format", "container {{.Names}}"},
		{"volume", "ls", "--filter", "label=bookctl.cloud=" + cloud, "--format", "volume {{.Name}}"},
		{"images", "--filter", "reference=localhost/bookctl-" + cloud, "--format", "image {{.Repository}}"},
	} {
		said := done[[]byte](t)(exec.Command(engine, list...).Output())
		out = append(out, strings.FieldsFunc(string(said), func(r rune) bool { return r == '\n' })...)
	}
	dirs := done[[]string](t)(filepath.Glob(filepath.Join(os.TempDir(), "bookctl-engine-"+cloud)))
	return append(out, dirs...)
}

// cloudOf is the id of this shell's cloud in the engine, by one of its tasks.
func (s *shell) cloudOf(t *testing.T, engine string) string {
	t.Helper()
	arns := done[*ecs.ListTasksOutput](t)(ecs.NewFromConfig(s.config()).ListTasks(t.Context(), &ecs.ListTasksInput{Cluster: aws.String("book-cluster")})).TaskArns
	if len(arns) == 0 {
		t.Fatal("no task runs")
	}
	name := "bookctl-" + arns[0][strings.LastIndex(arns[0], "/")+1:]
	said := done[[]byte](t)(exec.Command(engine, "inspect", "--format", `{{index .Config.Labels "bookctl.cloud"}}`, name).Output())
	return strings.TrimSpace(string(said))
}

// ofKind are those that begin with the word.
func ofKind(held []string, word string) []string {
	return slices.DeleteFunc(slices.Clone(held), func(h string) bool { return !strings.HasPrefix(h, word) })
}

// tutorial are the flags that the app of testdata/tutorial needs. Its image says its
// command, and nothing else.
var tutorial = []string{"--container-port", "80", "--db-name", "ecs", "--db-env", "endpoint=endpoint,username=username,password=password", "--count", "2"}

func tutorialConfig() v1.Config {
	return v1.Config{Cmd: []string{"python3", "-m", "uvicorn", "main:app", "--host", "0.0.0.0", "--port", "80"}, Env: []string{"PATH=/usr/bin:/bin"}}
}

// TestTheTutorialsAppIsDeployedByFlagsAlone takes an app that knows nothing of bookctl
// through its life in containers.
func TestTheTutorialsAppIsDeployedByFlagsAlone(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	engine := containers(t)
	s := newShell(t)
	archive := save(t, map[string]v1.Image{"tutorial:latest": appImage(t, system(t, "python-1"), "testdata/tutorial", tutorialConfig())})
	s.must("local", "start", "--engine", engine)
	before := s.inventory()
	flags := append([]string{"--image", "docker-archive:" + archive}, tutorial...)
	url := s.up(flags...)
	cloud := s.cloudOf(t, engine)

	if code, said := call(t, http.MethodPost, url+"/books", `{"name":"Dune","author":"Frank Herbert"}`); code != http.StatusOK || said != `{"name":"Dune","author":"Frank Herbert","id":1}` {
		t.Errorf("POST: %d %s", code, said)
	}
	if got := get(t, url+"/books/Dune"); !strings.Contains(got, "Frank Herbert") {
		t.Errorf("GET: %s", got)
	}
	known := s.secret(t)
	if got := s.psql(t, known, "select current_database() || ' ' || author from books"); got != "ecs Frank Herbert" {
		t.Errorf("psql: %q", got)
	}
	type page struct{ Greeting, Host string }
	home := func() (p page) {
		t.Helper()
		decode(t, get(t, url), &p)
		return p
	}
	hosts := map[string]bool{}
	until(t, "two tasks answer", func() bool { hosts[home().Host] = true; return len(hosts) == 2 })
	s.run(append([]string{"up", "--local"}, flags...)...).says(t, 0, "Up to date", "0 changed")
	s.run("up", "--local").says(t, 0, "Up to date", "0 changed")

	// One release after the other, and back, with requests all the time.
	load := startLoad(t, url, 2, 10*time.Millisecond)
	s.up("--env", "GREETING=servus")
	if got := home().Greeting; got != "servus" {
		t.Errorf("the new release greets with %q", got)
	}
	s.must("rollback", "--local")
	if got := home().Greeting; got != "hello" {
		t.Errorf("back, it greets with %q", got)
	}
	load.unharmed(t)

	// Beside it, with the app's own modules, user and database.
	r := s.run("run", "--local", "--", "sh", "-c", `id -u; python3 -c 'import main; print(main.sessions().query(main.Book).one().author)'; exit 5`)
	if r.code != 5 || r.out != "0\nFrank Herbert\n" {
		t.Errorf("run: exit code %d\n%s%s", r.code, r.out, r.err)
	}
	s.searchFor(t, known.Password, 5)

	s.must("destroy", "--local", "--yes", "--purge-snapshots")
	if diff := gocmp.Diff(before, s.inventory()); diff != "" {
		t.Errorf("destroy left (-before +after):\n%s", diff)
	}
	if rest := held(t, engine, cloud); len(ofKind(rest, "container")) > 0 || len(ofKind(rest, "volume")) > 0 {
		t.Errorf("destroyed, there is left %v", rest)
	}
	s.must("local", "stop", "--purge", "--yes")
	if rest := held(t, engine, cloud); len(rest) > 0 {
		t.Errorf("stopped, there is left %v", rest)
	}
}

// TestTheTutorialsAppIsDefinedByFlagsAlone gives the same flags to an AWS that nobody
// here wrote, which starts no tasks: so the image needs no programs, and its
// architecture can be another one than this machine's.
func TestTheTutorialsAppIsDefinedByFlagsAlone(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	endpoint := moto.Start(t)
	s := newShell(t, "AWS_ENDPOINT_URL="+endpoint, "AWS_ACCESS_KEY_ID=t", "AWS_SECRET_ACCESS_KEY=t", "AWS_REGION=us-east-1")
	image := configured(t, &v1.ConfigFile{OS: "linux", Architecture: "arm64", Config: tutorialConfig()})
	flags := append([]string{"--image", image}, tutorial...)
	if r := s.run(append([]string{"plan"}, flags...)...); r.code != 2 || !strings.Contains(r.out, "2 × 0.25 vCPU, 0.5 GB, arm64") {
		t.Errorf("plan: exit code %d\n%s%s", r.code, r.out, r.err)
	}
	// So is that of an archive; whoever says another architecture is refused.
	file := filepath.Join(t.TempDir(), "image.tar")
	if err := tarball.WriteToFile(file, name.MustParseReference("tutorial:1"), done[v1.Image](t)(tinyimage.Of("arm64", tutorialConfig()))); err != nil {
		t.Fatal(err)
	}
	archive := append([]string{"plan", "--image", "docker-archive:" + file}, tutorial...)
	for _, args := range [][]string{append([]string{"plan"}, flags...), archive} {
		r := s.run(args...)
		if r.code != 2 || !strings.Contains(r.out, "2 × 0.25 vCPU, 0.5 GB, arm64") || !strings.Contains(r.err, "note: the image is for arm64 alone, and so the tasks are arm64") {
			t.Errorf("plan: exit code %d\n%s%s", r.code, r.out, r.err)
		}
		s.run(append(args, "--arch", "amd64")...).says(t, 1, "arm64", "--arch arm64")
	}
	s.must(append([]string{"up", "--wait=false"}, flags...)...)
	client := ecs.NewFromConfig(aws.Config{Region: "us-east-1", BaseEndpoint: &endpoint, Credentials: credentials.NewStaticCredentialsProvider("t", "t", ""), APIOptions: []func(*middleware.Stack) error{requestbody.Readable}})
	d := done[*ecs.DescribeTaskDefinitionOutput](t)(client.DescribeTaskDefinition(t.Context(), &ecs.DescribeTaskDefinitionInput{TaskDefinition: aws.String("book-app")})).TaskDefinition
	c := d.ContainerDefinitions[0]
	names := map[string]string{}
	for _, e := range c.Environment {
		names[*e.Name] = *e.Value
	}
	for _, e := range c.Secrets {
		names[*e.Name] = *e.ValueFrom
	}
	if d.RuntimePlatform.CpuArchitecture != types.CPUArchitectureArm64 || *c.PortMappings[0].ContainerPort != 80 || c.User != nil || c.HealthCheck != nil ||
		names["endpoint"] == "" || names["endpoint"] != names["PGHOST"] || names["PGDATABASE"] != "ecs" ||
		!strings.HasSuffix(names["username"], ":username::") || !strings.HasSuffix(names["password"], ":password::") {
		text, _ := json.Marshal(d)
		t.Errorf("the task definition is %s", text)
	}
	service := done[*ecs.DescribeServicesOutput](t)(client.DescribeServices(t.Context(), &ecs.DescribeServicesInput{Cluster: aws.String("book-cluster"), Services: []string{"book-service"}})).Services[0]
	if service.DesiredCount != 2 {
		t.Errorf("the service wants %d tasks", service.DesiredCount)
	}
	s.run(append([]string{"up", "--wait=false"}, flags...)...).says(t, 0, "Up to date", "0 changed")
	s.run("up", "--wait=false").says(t, 0, "Up to date", "0 changed")
	s.run("destroy", "--yes", "--purge-snapshots").says(t, 0, "0 left")
}

// TestANodeServiceIsDeployed deploys a service that knows DATABASE_URL, and a library
// that verifies where others only encrypt.
func TestANodeServiceIsDeployed(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	engine := containers(t)
	s := newShell(t)
	image := inRegistry(t, appImage(t, system(t, "node-1"), "testdata/node", v1.Config{
		Entrypoint: []string{"node"}, Cmd: []string{"server.js"}, User: "1000", ExposedPorts: map[string]struct{}{"3000/tcp": {}},
		Env: []string{"PATH=/usr/bin:/bin", "NODE_PATH=/usr/share/nodejs", "NODE_EXTRA_CA_CERTS=/app/global-bundle.pem"},
	}))
	s.must("local", "start", "--engine", engine)
	url := s.up("--image", image, "--health-path", "/health")
	if code, said := call(t, http.MethodPost, url, "kept"); code != http.StatusOK || said != "kept" {
		t.Errorf("POST: %d %s", code, said)
	}
	if got := s.psql(t, s.secret(t), "select text from notes"); got != "kept" {
		t.Errorf("psql: %q", got)
	}
	s.run("up", "--local").says(t, 0, "Up to date", "0 changed")
	r := s.run("run", "--local", "--", "-p", "process.getuid()")
	if r.code != 0 || r.out != "1000\n" {
		t.Errorf("run: exit code %d\n%s%s", r.code, r.out, r.err)
	}
	s.must("destroy", "--local", "--yes", "--purge-snapshots")
}

// TestAUserListensOnALowPort deploys web servers that do not run as root: one on port 80, and
// one that has the capability of low ports by its file and listens on another.
func TestAUserListensOnALowPort(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	engine := containers(t)
	s := newShell(t)
	program := done[[]byte](t)(os.ReadFile(done[string](t)(exec.LookPath("busybox"))))
	image := func(port string, capable bool) string {
		return inRegistry(t, done[v1.Image](t)(tinyimage.Of(runtime.GOARCH, v1.Config{
			Cmd: []string{"/httpd", "-f", "-p", port, "-h", "/www"}, ExposedPorts: map[string]struct{}{port + "/tcp": {}}, User: "1234",
		}, done[v1.Layer](t)(tinyimage.Busybox()), done[v1.Layer](t)(tinyimage.Layer(
			tinyimage.File{Name: "httpd", Content: string(program), Program: true, LowPorts: capable},
			tinyimage.File{Name: "www/index.html", Content: "port " + port + "\n"},
		)))))
	}
	s.must("local", "start", "--engine", engine)
	for _, c := range []struct {
		port    string
		capable bool
	}{{"80", false}, {"8000", true}} {
		url := s.up("--no-database", "--image", image(c.port, c.capable), "--stop-timeout", "2")
		if got := get(t, url); got != "port "+c.port {
			t.Errorf("on port %s it answers %q", c.port, got)
		}
	}
	s.must("destroy", "--local", "--yes", "--purge-snapshots")
}

// TestAStaticSiteIsDeployedWithoutADatabase deploys a web server in a shell's image, with
// the health check that the image says, and kills the local cloud under it.
func TestAStaticSiteIsDeployedWithoutADatabase(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	engine := containers(t)
	s := newShell(t)
	files := done[v1.Layer](t)(tinyimage.Layer(
		tinyimage.File{Name: "www/index.html", Content: "welcome\n"},
		tinyimage.File{Name: "www/cgi-bin/who", Program: true, Content: "#!/bin/sh\necho; id -u; touch /file 2>&1\n"},
	))
	image := func(arch string) string {
		return inRegistry(t, done[v1.Image](t)(tinyimage.Of(arch, v1.Config{
			Cmd: []string{"httpd", "-f", "-p", "8000", "-h", "/www"}, ExposedPorts: map[string]struct{}{"8000/tcp": {}},
			Healthcheck: &v1.HealthConfig{Test: []string{"CMD-SHELL", "wget -q -O - http://127.0.0.1:8000/ | head -n 1 || exit 1"}, Interval: 5 * time.Second},
		}, done[v1.Layer](t)(tinyimage.Busybox("head", "httpd", "id", "touch", "wget")), files)))
	}
	s.must("local", "start", "--engine", engine)
	before := s.inventory()
	other := map[string]string{"amd64": "arm64", "arm64": "amd64"}[runtime.GOARCH]
	s.run("up", "--local", "--no-database", "--image", image(other)).says(t, 1, other, "--arch "+other)
	if diff := gocmp.Diff(before, s.inventory()); diff != "" {
		t.Errorf("what was refused left (-before +after):\n%s", diff)
	}

	url := s.up("--no-database", "--image", image(runtime.GOARCH), "--user", "1234", "--read-only-root", "--stop-timeout", "2")
	cloud := s.cloudOf(t, engine)
	page := func() string { return get(t, url) + " " + get(t, url+"/cgi-bin/who") }
	const want = "welcome 1234\ntouch: /file: Read-only file system"
	if got := page(); got != want {
		t.Errorf("it answers %q, want %q", got, want)
	}
	task := func() types.Task {
		t.Helper()
		client, cluster := ecs.NewFromConfig(s.config()), aws.String("book-cluster")
		arns := done[*ecs.ListTasksOutput](t)(client.ListTasks(t.Context(), &ecs.ListTasksInput{Cluster: cluster})).TaskArns
		if len(arns) != 1 {
			t.Fatalf("%d tasks run", len(arns))
		}
		return done[*ecs.DescribeTasksOutput](t)(client.DescribeTasks(t.Context(), &ecs.DescribeTasksInput{Cluster: cluster, Tasks: arns})).Tasks[0]
	}
	if got := task(); got.HealthStatus != types.HealthStatusHealthy {
		t.Errorf("by the image's HEALTHCHECK the task is %s", got.HealthStatus)
	}
	s.run("up", "--local").says(t, 0, "Up to date", "0 changed")

	// A killed cloud comes back with the site, and with nothing of before.
	was := ofKind(held(t, engine, cloud), "container")
	var info struct{ PID int }
	decode(t, s.must("local", "status", "--output", "json"), &info)
	kill(t, info.PID)
	s.must("local", "start", "--engine", engine)
	until(t, "the site is back", func() bool {
		resp, err := http.Get(url)
		if err == nil {
			_ = resp.Body.Close()
		}
		return err == nil && resp.StatusCode == http.StatusOK
	})
	if got := page(); got != want {
		t.Errorf("after a kill it answers %q, want %q", got, want)
	}
	for _, c := range ofKind(held(t, engine, cloud), "container") {
		if slices.Contains(was, c) {
			t.Errorf("%s of before the kill is left", c)
		}
	}
	s.run("up", "--local").says(t, 0, "0 changed")

	// Killed again, and not started any more.
	decode(t, s.must("local", "status", "--output", "json"), &info)
	kill(t, info.PID)
	s.must("local", "stop", "--purge", "--yes")
	if rest := held(t, engine, cloud); len(rest) > 0 {
		t.Errorf("of a killed cloud there is left %v", rest)
	}
}
