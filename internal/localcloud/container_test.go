package localcloud_test

import (
	"cmp"
	"fmt"
	"io"
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
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/bookctl/bookctl/internal/localcloud"
	"github.com/bookctl/bookctl/internal/localcloud/container"
	"github.com/bookctl/bookctl/internal/tinyimage"
)

// relayWord makes the test program a sandbox's relay.
const relayWord = "relay-of-a-task"

// engine runs the containers: Podman, or what BOOKCTL_TEST_ENGINE says.
func engine() string { return cmp.Or(os.Getenv("BOOKCTL_TEST_ENGINE"), container.Podman) }

// newBoxes is an account whose tasks run in containers of the engine.
func newBoxes(t *testing.T) *stage {
	t.Helper()
	needEngine(t)
	return newStage(t, localcloud.Config{Engine: engine(), Relay: relayCommand(t)})
}

func needEngine(t *testing.T) {
	t.Helper()
	for _, program := range []string{engine(), "busybox"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("needs %s: .ci/setup installs it", program)
		}
	}
}

func relayCommand(t *testing.T) []string {
	t.Helper()
	return []string{must[string](t)(os.Executable()), relayWord}
}

// who is a page that says which task answered, and how that is.
const who = `#!/bin/sh
echo "Content-type: text/plain"
echo
ip -4 -o addr show dev eth0
id -u
cat /proc/1/cmdline | tr '\0' ' '
echo
touch /file /tmp/file /run/file 2>&1
`

// box is an image of busybox: a shell, and no word of PORT.
func box(t *testing.T, arch string, config v1.Config) v1.Image {
	t.Helper()
	system := must[v1.Layer](t)(tinyimage.Busybox(strings.Fields("cat echo head httpd id ip nc od printf pwd sleep tail touch tr wget")...))
	files := must[v1.Layer](t)(tinyimage.Layer(
		tinyimage.File{Name: "etc/"}, tinyimage.File{Name: "tmp/"}, tinyimage.File{Name: "run/"}, tinyimage.File{Name: "data/"}, tinyimage.File{Name: "www/cgi-bin/"},
		tinyimage.File{Name: "etc/passwd", Content: "root:x:0:0::/:/bin/sh\nsomebody:x:1234:2345::/:/bin/sh\n"},
		tinyimage.File{Name: "www/healthz", Content: "well\n"}, tinyimage.File{Name: "www/cgi-bin/who", Content: who, Program: true},
	))
	return must[v1.Image](t)(tinyimage.Of(arch, config, system, files))
}

// push gives an image to the account's repository and returns its name.
func (s *stage) push(t *testing.T, tag string, image v1.Image) string {
	t.Helper()
	repository, _, _ := strings.Cut(s.image, "@")
	if err := remote.Write(must[name.Tag](t)(name.NewTag(repository+":"+tag)), image); err != nil {
		t.Fatal(err)
	}
	return repository + ":" + tag
}

// run runs a task of the definition.
func (s *stage) run(t *testing.T, definition string) string {
	t.Helper()
	out := must[*ecs.RunTaskOutput](t)(s.ecs.RunTask(t.Context(), &ecs.RunTaskInput{
		Cluster: aws.String(stageName), TaskDefinition: &definition, NetworkConfiguration: s.network(),
	}))
	return *out.Tasks[0].TaskArn
}

// await waits for a task to be in the status.
func (s *stage) await(t *testing.T, arn, status string) types.Task {
	t.Helper()
	var now types.Task
	for range 3000 {
		now = must[*ecs.DescribeTasksOutput](t)(s.ecs.DescribeTasks(t.Context(), &ecs.DescribeTasksInput{Cluster: aws.String(stageName), Tasks: []string{arn}})).Tasks[0]
		if *now.LastStatus == status {
			return now
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("task %s is never %s, but %s: %s", arn, status, *now.LastStatus, aws.ToString(now.StoppedReason))
	return now
}

// left are the names of what the engine has of a task, by the arn.
func left(t *testing.T, arn string) string {
	t.Helper()
	task := arn[strings.LastIndex(arn, "/")+1:]
	containers := must[[]byte](t)(exec.Command(engine(), "ps", "--all", "--quiet", "--filter", "label=bookctl.task="+task).Output())
	volumes := must[[]byte](t)(exec.Command(engine(), "volume", "ls", "--quiet", "--filter", "label=bookctl.task="+task).Output())
	return string(containers) + string(volumes)
}

func TestAnyImageServesInContainers(t *testing.T) {
	t.Parallel()
	s := newBoxes(t)
	image := s.push(t, "box", box(t, runtime.GOARCH, v1.Config{Cmd: []string{"httpd", "-f", "-p", "80", "-h", "/www"}}))
	definition := s.definition(t, "", "", func(in *ecs.RegisterTaskDefinitionInput) {
		d := &in.ContainerDefinitions[0]
		d.Image, d.PortMappings, d.ReadonlyRootFilesystem = &image, []types.PortMapping{{ContainerPort: aws.Int32(80)}}, aws.Bool(true)
		d.HealthCheck = &types.HealthCheck{Command: []string{"CMD-SHELL", "wget -q -O - http://127.0.0.1/cgi-bin/who | head -n 1 || exit 1"}, Interval: aws.Int32(5)}
	})
	must[*ecs.CreateServiceOutput](t)(s.ecs.CreateService(t.Context(), &ecs.CreateServiceInput{
		Cluster: aws.String(stageName), ServiceName: aws.String(stageName), TaskDefinition: &definition, DesiredCount: aws.Int32(2), LaunchType: types.LaunchTypeFargate,
		NetworkConfiguration: s.network(), HealthCheckGracePeriodSeconds: aws.Int32(30),
		LoadBalancers: []types.LoadBalancer{{TargetGroupArn: &s.targets, ContainerName: aws.String("app"), ContainerPort: aws.Int32(80)}},
	}))
	s.until(t, "served by two tasks", func(d types.Service) bool { return completed(d) && d.RunningCount == 2 })
	pages := map[string]bool{}
	for range 20 {
		resp := must[*http.Response](t)(http.Get(s.url + "cgi-bin/who")) //nolint:bodyclose // it is, below
		text := must[[]byte](t)(io.ReadAll(resp.Body))
		_ = resp.Body.Close()
		address, page, _ := strings.Cut(string(text), "\n")
		if !strings.Contains(address, " inet ") {
			t.Fatalf("no address in %q", text)
		}
		pages[address] = true
		want := "0\nhttpd -f -p 80 -h /www \ntouch: /file: Read-only file system\ntouch: /tmp/file: Read-only file system\ntouch: /run/file: Read-only file system\n"
		if page != want {
			t.Fatalf("got %q, want %q", page, want)
		}
	}
	if len(pages) != 2 {
		t.Errorf("two tasks on port 80 have the addresses %v", pages)
	}
	tasks := s.tasks(t, types.DesiredStatusRunning)
	for _, task := range tasks {
		if task.HealthStatus != types.HealthStatusHealthy {
			t.Errorf("task %s is %s", *task.TaskArn, task.HealthStatus)
		}
	}
	must[*ecs.DeleteServiceOutput](t)(s.ecs.DeleteService(t.Context(), &ecs.DeleteServiceInput{Cluster: aws.String(stageName), Service: aws.String(stageName), Force: aws.Bool(true)}))
	for _, task := range tasks {
		s.await(t, *task.TaskArn, "STOPPED")
		if rest := left(t, *task.TaskArn); rest != "" {
			t.Errorf("of a stopped task there is left: %s", rest)
		}
	}
}

func TestAContainerRunsAndEndsAsItsDefinitionSays(t *testing.T) {
	t.Parallel()
	s := newBoxes(t)
	image := s.push(t, "box", box(t, runtime.GOARCH, v1.Config{Entrypoint: []string{"sh", "-c"}, Cmd: []string{"exit 9"}}))
	quits := s.push(t, "quits", box(t, runtime.GOARCH, v1.Config{Entrypoint: []string{"sh", "-c"}, StopSignal: "SIGQUIT"}))
	const loop = "while :; do sleep 0.1; done"
	for _, c := range []struct {
		what   string
		change func(d *types.ContainerDefinition)
		stop   bool // once it says that it is ready
		memory bool // is what it ends for
		code   int32
		reason string
		says   []string
	}{
		{what: "the image's own command", code: 9, reason: "Essential container in task exited"},
		{
			what: "user, directory, environment, secret",
			change: func(d *types.ContainerDefinition) {
				d.Command = []string{`id -u; id -g; pwd; echo "$MODE"; echo "$PASSWORD"; echo oops >&2; exit 3`}
				d.User, d.WorkingDirectory = aws.String("somebody"), aws.String("/data")
				d.Environment = []types.KeyValuePair{{Name: aws.String("MODE"), Value: aws.String("two\nlines=1")}}
			},
			code: 3, says: []string{"1234", "2345", "/data", "two", "lines=1", "correct horse", "oops"},
		},
		{
			what: "low ports, on which only root listens",
			change: func(d *types.ContainerDefinition) {
				d.Command = []string{"cat /proc/sys/net/ipv4/ip_unprivileged_port_start"}
			},
			says: []string{"1024"},
		},
		{
			what: "low ports, on which everybody listens",
			change: func(d *types.ContainerDefinition) {
				d.Command = []string{"cat /proc/sys/net/ipv4/ip_unprivileged_port_start"}
				d.SystemControls = []types.SystemControl{{Namespace: aws.String("net.ipv4.ip_unprivileged_port_start"), Value: aws.String("0")}}
			},
			says: []string{"0"},
		},
		{
			what: "an entry point without the image's command",
			change: func(d *types.ContainerDefinition) {
				d.EntryPoint, d.Command = []string{"echo"}, []string{"its", "own"}
			},
			says: []string{"its own"},
		},
		{
			what:   "a program that lets itself be stopped",
			change: func(d *types.ContainerDefinition) { d.Command = []string{`trap 'exit 4' TERM; echo ready; ` + loop} },
			stop:   true, code: 4, reason: "enough",
		},
		{
			what: "a program that takes longer to stop than its stop timeout, and less than the default of 30 s",
			change: func(d *types.ContainerDefinition) {
				d.Command, d.StopTimeout = []string{`trap 'sleep 20; exit 6' TERM; echo ready; ` + loop}, aws.Int32(2)
			},
			stop: true, code: 137, reason: "enough",
		},
		{
			what: "an image with a stop signal of its own",
			change: func(d *types.ContainerDefinition) {
				d.Image, d.Command = &quits, []string{`trap 'exit 5' QUIT; trap '' TERM; echo ready; ` + loop}
			},
			stop: true, code: 5, reason: "enough",
		},
		{
			what: "a program that takes more memory than it has",
			change: func(d *types.ContainerDefinition) {
				d.Command, d.Memory = []string{"exec tail /dev/zero"}, aws.Int32(64)
			},
			code: 137, memory: true,
		},
		{
			what:   "a program that is not there",
			change: func(d *types.ContainerDefinition) { d.EntryPoint = []string{"/no/such/program"} },
			code:   -1, reason: "CannotStartContainerError: ",
		},
		{
			what: "a volume of the task's in a read-only system",
			change: func(d *types.ContainerDefinition) {
				d.ReadonlyRootFilesystem = aws.Bool(true)
				d.MountPoints = []types.MountPoint{{SourceVolume: aws.String("scratch"), ContainerPath: aws.String("/tmp")}}
				d.Command = []string{"echo kept >/tmp/file && cat /tmp/file"}
			},
			says: []string{"kept"},
		},
	} {
		t.Run(c.what, func(t *testing.T) {
			t.Parallel()
			definition := s.definition(t, "", "", func(in *ecs.RegisterTaskDefinitionInput) {
				in.Family = aws.String("one-" + strings.NewReplacer(" ", "-", ",", "", "'", "").Replace(c.what))
				in.Volumes = []types.Volume{{Name: aws.String("scratch")}}
				d := &in.ContainerDefinitions[0]
				d.Image = &image
				if c.change != nil {
					c.change(d)
				}
			})
			arn := s.run(t, definition)
			task := arn[strings.LastIndex(arn, "/")+1:]
			if c.stop {
				s.await(t, arn, "RUNNING")
				for !slices.Contains(s.said(t, task), "ready") {
					time.Sleep(20 * time.Millisecond)
				}
				must[*ecs.StopTaskOutput](t)(s.ecs.StopTask(t.Context(), &ecs.StopTaskInput{Cluster: aws.String(stageName), Task: &arn, Reason: aws.String("enough")}))
			}
			ended := s.await(t, arn, "STOPPED")
			code := int32(-1)
			if c := ended.Containers[0].ExitCode; c != nil {
				code = *c
			}
			if code != c.code || !strings.HasPrefix(*ended.StoppedReason, c.reason) {
				t.Errorf("exit code %d for %q, want %d for %q; it said %q", code, *ended.StoppedReason, c.code, c.reason, s.said(t, task))
			}
			// Podman does not know it with version 1 of cgroups.
			if c.memory && engine() == container.Docker && aws.ToString(ended.Containers[0].Reason) != "OutOfMemoryError: Container killed due to memory usage" {
				t.Errorf("the container's reason is %q", aws.ToString(ended.Containers[0].Reason))
			}
			if said := s.said(t, task); c.says != nil && !sameLines(said, c.says) {
				t.Errorf("it said %q, want %q", said, c.says)
			}
			if rest := left(t, arn); rest != "" {
				t.Errorf("there is left: %s", rest)
			}
		})
	}
}

// sameLines compares output, whose two streams come in any order.
func sameLines(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

func TestAContainerReachesItsDatabaseByTheEndpoint(t *testing.T) {
	t.Parallel()
	s := newBoxes(t)
	d := rds.NewFromConfig(clientConfig(s.cloud))
	addresses := map[string]bool{}
	script := ""
	for _, id := range []string{"one", "two"} {
		must[*rds.CreateDBInstanceOutput](t)(d.CreateDBInstance(t.Context(), &rds.CreateDBInstanceInput{
			DBInstanceIdentifier: &id, DBInstanceClass: aws.String("db.t4g.micro"), Engine: aws.String("postgres"), AllocatedStorage: aws.Int32(20),
			MasterUsername: aws.String("book"), MasterUserPassword: aws.String("correct-horse"),
		}))
		if err := rds.NewDBInstanceAvailableWaiter(d, func(o *rds.DBInstanceAvailableWaiterOptions) {
			o.MinDelay, o.MaxDelay = 50*time.Millisecond, time.Second
		}).
			Wait(t.Context(), &rds.DescribeDBInstancesInput{DBInstanceIdentifier: &id}, 2*time.Minute); err != nil {
			t.Fatal(err)
		}
		endpoint := must[*rds.DescribeDBInstancesOutput](t)(d.DescribeDBInstances(t.Context(), &rds.DescribeDBInstancesInput{DBInstanceIdentifier: &id})).DBInstances[0].Endpoint
		addresses[*endpoint.Address] = true
		// PostgreSQL answers S to the request for TLS
		// (https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-SSL).
		script += fmt.Sprintf(`printf '\000\000\000\010\004\322\026\057' | nc -w 5 %s 5432 | head -c 1; echo;`, *endpoint.Address)
	}
	if len(addresses) != 2 {
		t.Errorf("two databases have the addresses %v", addresses)
	}
	image := s.push(t, "box", box(t, runtime.GOARCH, v1.Config{Entrypoint: []string{"sh", "-c"}, Env: []string{"NODE_EXTRA_CA_CERTS=/etc/node.pem"}}))
	host := strings.TrimPrefix(s.cloud.Endpoint(), "http://")
	definition := s.definition(t, "", "", func(in *ecs.RegisterTaskDefinitionInput) {
		c := &in.ContainerDefinitions[0]
		c.Image = &image
		c.Environment = []types.KeyValuePair{
			{Name: aws.String("PGSSLROOTCERT"), Value: aws.String("/etc/ssl/rds.pem")},
			{Name: aws.String("DATABASE_URL"), Value: aws.String("postgres://host/db?sslmode=verify-full&sslrootcert=/usr/share/rds.pem&x=y")},
		}
		c.Command = []string{script + "wget -q -O - http://" + host + "/_bookctl/health | head -c 7; echo; head -n 1 $PGSSLROOTCERT; cat $DB_SSLROOTCERT | head -n 1; head -n 1 /usr/share/rds.pem; head -n 1 $NODE_EXTRA_CA_CERTS"}
	})
	arn := s.run(t, definition)
	s.await(t, arn, "STOPPED")
	const pem = "-----BEGIN CERTIFICATE-----"
	if said, want := s.said(t, arn[strings.LastIndex(arn, "/")+1:]), []string{"S", "S", `{"pid":`, pem, pem, pem, pem}; !slices.Equal(said, want) {
		t.Errorf("it said %q, want %q", said, want)
	}
}

func TestACommandRunsInAContainer(t *testing.T) {
	t.Parallel()
	s := newBoxes(t)
	image := s.push(t, "box", box(t, runtime.GOARCH, v1.Config{Cmd: []string{"sleep", "1000"}}))
	definition := s.definition(t, "", "", func(in *ecs.RegisterTaskDefinitionInput) { in.ContainerDefinitions[0].Image = &image })
	run := func(enabled bool) (*ecs.ExecuteCommandOutput, error) {
		out := must[*ecs.RunTaskOutput](t)(s.ecs.RunTask(t.Context(), &ecs.RunTaskInput{
			Cluster: aws.String(stageName), TaskDefinition: &definition, NetworkConfiguration: s.network(), EnableExecuteCommand: enabled,
		}))
		arn := *out.Tasks[0].TaskArn
		s.await(t, arn, "RUNNING")
		for enabled {
			described := must[*ecs.DescribeTasksOutput](t)(s.ecs.DescribeTasks(t.Context(), &ecs.DescribeTasksInput{Cluster: aws.String(stageName), Tasks: []string{arn}}))
			if agents := described.Tasks[0].Containers[0].ManagedAgents; len(agents) == 1 && agents[0].Name == types.ManagedAgentNameExecuteCommandAgent && *agents[0].LastStatus == "RUNNING" {
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
		return s.ecs.ExecuteCommand(t.Context(), &ecs.ExecuteCommandInput{
			Cluster: aws.String(stageName), Task: out.Tasks[0].TaskArn, Command: aws.String(`sh -c "cat; echo \$PASSWORD; exit 6" # a comment`), Interactive: true,
		})
	}
	_, err := run(false)
	refused(t, err, "InvalidParameterException", "execute command was not enabled")
	session := must[*ecs.ExecuteCommandOutput](t)(run(true)).Session
	command := must[[]string](t)(container.Enter(*session.StreamUrl, false))
	enter := exec.CommandContext(t.Context(), command[0], command[1:]...)
	enter.Stdin = strings.NewReader("typed\n")
	out, err := enter.Output()
	if string(out) != "typed\ncorrect horse\n" || enter.ProcessState.ExitCode() != 6 {
		t.Errorf("it said %q and ended with %v", out, err)
	}
}

func TestAnImageOfAnotherArchitectureIsRefused(t *testing.T) {
	t.Parallel()
	s := newBoxes(t)
	other := map[string]string{"amd64": "arm64", "arm64": "amd64"}[runtime.GOARCH]
	image := s.push(t, "other", box(t, other, v1.Config{Cmd: []string{"id"}}))
	arn := s.run(t, s.definition(t, "", "", func(in *ecs.RegisterTaskDefinitionInput) { in.ContainerDefinitions[0].Image = &image }))
	if ended := s.await(t, arn, "STOPPED"); !strings.Contains(*ended.StoppedReason, "does not contain descriptor matching platform 'linux/"+runtime.GOARCH+"'") {
		t.Errorf("stopped for %q", *ended.StoppedReason)
	}
}

func TestWithoutAnEngineOnlyStaticProgramsRun(t *testing.T) {
	t.Parallel()
	s := newStage(t, localcloud.Config{Engine: container.None})
	script := s.push(t, "script", box(t, runtime.GOARCH, v1.Config{Cmd: []string{"/www/cgi-bin/who"}}))
	arn := s.run(t, s.definition(t, "", "", func(in *ecs.RegisterTaskDefinitionInput) { in.ContainerDefinitions[0].Image = &script }))
	ended := s.await(t, arn, "STOPPED")
	if !strings.HasPrefix(*ended.StoppedReason, "CannotStartContainerError: /www/cgi-bin/who is not a static program") || !strings.Contains(*ended.StoppedReason, "install Docker or Podman") {
		t.Errorf("stopped for %q", *ended.StoppedReason)
	}
}

// far is the endpoint of a cloud that another process is.
type far string

func (f far) Endpoint() string { return string(f) }

// said is what a task wrote to its log.
func (s *stage) said(t *testing.T, task string) (lines []string) {
	t.Helper()
	for _, e := range s.events(t) {
		if strings.HasSuffix(aws.ToString(e.LogStreamName), "/"+task) {
			lines = append(lines, *e.Message)
		}
	}
	return lines
}

// TestARunningContainerLeavesTheProcessorAlone looks at the engine that a local cloud started, while a container sleeps in it.
func TestARunningContainerLeavesTheProcessorAlone(t *testing.T) {
	t.Parallel()
	needEngine(t)
	dir := filepath.Join(openDir(t), "state")
	t.Cleanup(func() {
		if err := localcloud.Purge(dir); err != nil {
			t.Error(err)
		}
	})
	cloud := startDaemon(t, dir, daemonEngine+"="+engine())
	s := setStage(t, far(waitRunning(t, dir).Endpoint))
	image := s.push(t, "box", box(t, runtime.GOARCH, v1.Config{Cmd: []string{"sleep", "1000"}}))
	arn := s.run(t, s.definition(t, "", "", func(in *ecs.RegisterTaskDefinitionInput) { in.ContainerDefinitions[0].Image = &image }))
	s.await(t, arn, "RUNNING")
	used, found := processorTime(t, cloud.Process.Pid)
	if !found {
		t.Skip("the local cloud has started no engine of its own")
	}
	const whole = 5 * time.Second
	time.Sleep(whole)
	now, _ := processorTime(t, cloud.Process.Pid)
	if used = now - used; used > whole/5 {
		t.Errorf("the engine took %v of the processor in %v", used, whole)
	}
}

// processorTime is what the processes have used that this one has started, and
// whether there are any that serve Podman's API.
func processorTime(t *testing.T, parent int) (used time.Duration, engine bool) {
	t.Helper()
	children := strings.Fields(string(must[[]byte](t)(os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", parent, parent)))))
	for _, task := range must[[]os.DirEntry](t)(os.ReadDir(fmt.Sprintf("/proc/%d/task", parent))) {
		if more, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", parent, task.Name())); err == nil { // a thread may have ended
			children = append(children, strings.Fields(string(more))...)
		}
	}
	slices.Sort(children)
	for _, pid := range slices.Compact(children) {
		line, err := os.ReadFile("/proc/" + pid + "/cmdline")
		if err != nil || !strings.Contains(string(line), "system\x00service") {
			continue
		}
		stat := string(must[[]byte](t)(os.ReadFile("/proc/" + pid + "/stat")))
		fields := strings.Fields(stat[strings.LastIndex(stat, ")")+1:])
		for _, ticks := range fields[11:13] { // utime and stime, in hundredths: proc(5)
			used += time.Duration(must[int](t)(strconv.Atoi(ticks))) * 10 * time.Millisecond
		}
		engine = true
	}
	return used, engine
}

func TestAKilledCloudLeavesNoContainers(t *testing.T) {
	t.Parallel()
	needEngine(t)
	for _, next := range []string{"start", "purge"} {
		t.Run(next, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(openDir(t), "state")
			t.Cleanup(func() { // after the daemons have gone
				if err := localcloud.Purge(dir); err != nil {
					t.Error(err)
				}
			})
			cmd := startDaemon(t, dir, daemonEngine+"="+engine())
			s := setStage(t, far(waitRunning(t, dir).Endpoint))
			image := s.push(t, "box", box(t, runtime.GOARCH, v1.Config{Cmd: []string{"sleep", "1000"}}))
			arn := s.run(t, s.definition(t, "", "", func(in *ecs.RegisterTaskDefinitionInput) { in.ContainerDefinitions[0].Image = &image }))
			s.await(t, arn, "RUNNING")
			if left(t, arn) == "" {
				t.Fatal("the task runs in no container")
			}
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait() // it was killed
			if next == "purge" {
				if err := localcloud.Purge(dir); err != nil {
					t.Fatal(err)
				}
			} else {
				startDaemon(t, dir)
				waitRunning(t, dir)
			}
			if rest := left(t, arn); rest != "" {
				t.Errorf("there is left: %s", rest)
			}
		})
	}
}
