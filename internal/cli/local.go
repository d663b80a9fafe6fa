package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/localcloud"
	"github.com/bookctl/bookctl/internal/localcloud/access"
	"github.com/bookctl/bookctl/internal/localcloud/container"
	"github.com/bookctl/bookctl/internal/pattern"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// localDirVariable is the environment variable for the directory of the local cloud; there
// is no flag for it.
const localDirVariable = "BOOKCTL_LOCAL_DIR"

// localDir is the state directory of the local cloud: localDirVariable, or the user's state
// directory.
func localDir() (string, error) {
	if dir := os.Getenv(localDirVariable); dir != "" {
		return filepath.Abs(dir)
	}
	return localcloud.DefaultStateDir()
}

// errNotRunning is the error of commands that need a running local cloud and do not start
// one.
var errNotRunning = errors.New("the local cloud is not running")

// localCloud finds the running local cloud.
func localCloud(ctx context.Context) (localcloud.Info, error) {
	dir, err := localDir()
	if err != nil {
		return localcloud.Info{}, err
	}
	info, running, err := localcloud.Running(ctx, dir)
	if err == nil {
		err = context.Cause(ctx) // nobody can be asked then
	}
	if err != nil {
		return info, err
	}
	if !running {
		return info, hint.With(errNotRunning, "%s starts it; so does %s", hint.Command("local", "start"), hint.Command("up", "--local"))
	}
	return info, nil
}

// ensureLocalCloud starts the local cloud if it is not running. It does not start it if the
// port for the stack (0: any) is in use: the failed run would leave the cloud behind.
func ensureLocalCloud(ctx context.Context, rep reporter, region string, port int32) error {
	dir, err := localDir()
	if err != nil {
		return err
	}
	if _, running, err := localcloud.Running(ctx, dir); err != nil || running {
		return err
	}
	if port > 0 && port <= 65535 { // prepare has words for any other
		if err := portIsFree(port); err != nil {
			return err
		}
	}
	rep.note("starting the local cloud in %s", dir)
	_, err = startLocalCloud(ctx, dir, []string{"--in", region})
	return err
}

// planBeforeStart gives a plan before the first 'up' a local cloud: an empty one in this
// process, which leaves nothing behind. End ends it.
func (g *globals) planBeforeStart(ctx context.Context) (end func(), err error) {
	dir, err := localDir()
	if err != nil {
		return nil, err
	}
	if _, running, err := localcloud.Running(ctx, dir); err != nil || running || localcloud.Used(dir) {
		return func() {}, err // what a stopped one has is not known
	}
	scratch, err := os.MkdirTemp("", "bookctl-plan-")
	if err != nil {
		return nil, fmt.Errorf("make a directory for the plan: %w", err)
	}
	ctx, stop := context.WithCancel(ctx)
	ready := make(chan localcloud.Info, 1)
	ended := graph.Start(func() error {
		return localcloud.Run(ctx, localcloud.Config{StateDir: scratch, Region: g.region, Version: version()}, func(i localcloud.Info) { ready <- i })
	})
	end = func() {
		stop()
		<-ended                   //nolint:errcheck // it was stopped
		_ = os.RemoveAll(scratch) // what is left is of nobody
	}
	select {
	case info := <-ready:
		g.empty = &info
		return end, nil
	case err := <-ended:
		if cause := context.Cause(ctx); cause != nil {
			err = fmt.Errorf("%w: a local cloud for the plan was still starting", cause)
		} else {
			err = fmt.Errorf("plan without a local cloud: %w", err)
		}
		stop()
		return nil, errors.Join(err, os.RemoveAll(scratch))
	}
}

// startLocalCloud runs 'bookctl local serve' in the background and waits until
// it answers.
func startLocalCloud(ctx context.Context, dir string, args []string) (localcloud.Info, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return localcloud.Info{}, fmt.Errorf("make the local cloud's directory: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return localcloud.Info{}, fmt.Errorf("find this program: %w", err)
	}
	log, err := os.OpenFile(localcloud.LogFile(dir), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return localcloud.Info{}, fmt.Errorf("open the local cloud's log: %w", err)
	}
	defer log.Close()
	begun, _ := log.Seek(0, io.SeekEnd)
	cmd := exec.Command(self, append([]string{"local", "serve", "--dir", dir}, args...)...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = background()
	if err := cmd.Start(); err != nil {
		return localcloud.Info{}, fmt.Errorf("start the local cloud: %w", err)
	}
	ended := graph.Start(cmd.Wait)
	for {
		info, running, err := localcloud.Running(ctx, dir)
		if err == nil && running {
			return info, nil
		}
		select {
		case <-ctx.Done():
			return info, fmt.Errorf("%w: the local cloud was still starting", context.Cause(ctx))
		case err := <-ended:
			words, next := lastWords(localcloud.LogFile(dir), begun)
			return info, hint.With(fmt.Errorf("the local cloud did not start (%w): %s", err, words), "%s", next)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// lastWords is the error of a local cloud in its log, behind a position in it, and its next
// step.
func lastWords(file string, from int64) (words, next string) {
	next = "look at its log, " + file
	f, err := os.Open(file)
	if err != nil {
		return err.Error(), next
	}
	defer f.Close()
	text, err := io.ReadAll(io.NewSectionReader(f, from, 64<<10))
	if err != nil {
		return err.Error(), next
	}
	words = strings.TrimSpace(string(text))
	if _, said, explained := strings.Cut(words, "bookctl: "); explained {
		words = said
		if why, step, ok := strings.Cut(said, "\nnext: "); ok {
			words, next = why, step
		}
	}
	return words, next
}

func newLocal(s streams, g *globals) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "local",
		Short: "Control the local cloud on this machine",
		Long: `The local cloud runs on this machine and speaks AWS's protocols on the loopback
interface. What it runs is real: a PostgreSQL process for each database, a
container or a process of the pushed image for each task, a reverse proxy for
each load balancer. 'bookctl up --local' starts it. It needs no account and costs
nothing.`,
		Example: `  bookctl local start
  eval "$(bookctl local env)"; aws ecs list-clusters
  bookctl local aws rds describe-db-instances
  bookctl local stop --purge --yes`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newLocalStart(s, g), newLocalServe(s), newLocalRelay(), newLocalStop(s, g), newLocalStatus(s, g), newLocalLogs(s, g), newLocalEnv(s, g), newLocalAWS(s), newLocalInterrupt(s, g))
	return cmd
}

func newLocalStart(s streams, g *globals) *cobra.Command {
	var behaviour cloudFlags
	cmd := &cobra.Command{
		Use:   "start",
		Short: "Start the local cloud in the background",
		Long: `Start the local cloud in the background.

With --policy it checks each call against IAM policies, as AWS does, so that you
find a missing permission here first. Tasks use their own roles, and the access
key "root" is allowed everything.

Images run in containers of Docker or Podman, if one of them is installed.
bookapi, and any static program whose image has a label that says that it listens
on PORT, runs as a process, which starts faster; with --engine docker or podman it
runs in a container too. Without an engine only static programs run.

--region sets the region of a new local cloud. An existing one keeps its region.`,
		Example: `  bookctl local start --faults faults.json --latencies aws --scale 0.01
  bookctl policy --local > policy.json; bookctl local stop; bookctl local start --policy policy.json
  bookctl local start --region eu-central-1
  bookctl local start --throttle aws --throttle-neighbour 0.5`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			behaviour.region = g.region
			dir, err := localDir()
			if err != nil {
				return err
			}
			if _, err := behaviour.config(); err != nil {
				return usageError{err}
			}
			info, running, err := localcloud.Running(cmd.Context(), dir)
			if err != nil {
				return err
			}
			if running {
				if behaviour.region == info.Region {
					behaviour.region = ""
				}
				if cmd.Flags().NFlag() > 0 && !reflect.DeepEqual(behaviour, cloudFlags{scale: 1, engine: container.Auto}) {
					return hint.With(errors.New("the local cloud is running already"), "%s first, to start it with other settings", hint.Command("local", "stop"))
				}
			} else if info, err = startLocalCloud(cmd.Context(), dir, behaviour.args()); err != nil {
				return err
			}
			return printInfo(s, g, info, dir)
		},
	}
	behaviour.add(cmd)
	return cmd
}

// cloudFlags are the flags for the behaviour of the local cloud.
type cloudFlags struct {
	faults    string
	latencies string
	scale     float64
	port      int
	policies  []string
	region    string
	engine    string
	postgres  []string
	throttle  string
	neighbour float64
}

func (c *cloudFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&c.faults, "faults", "", "JSON file of faults to inject (docs/faults.md)")
	cmd.Flags().StringVar(&c.latencies, "latencies", "", "'aws' makes operations take as long as on AWS")
	cmd.Flags().Float64Var(&c.scale, "scale", 1, "multiply the latencies by this")
	cmd.Flags().StringVar(&c.throttle, "throttle", "", "'aws' limits the rate of requests as AWS does")
	cmd.Flags().Float64Var(&c.neighbour, "throttle-neighbour", 0, "share of these limits that others in the account use, from 0 to less than 1")
	cmd.Flags().StringArrayVar(&c.policies, "policy", nil, "file or directory of IAM policies to check each call against (repeatable)")
	cmd.Flags().StringVar(&c.engine, "engine", container.Auto, "what runs images that are not static programs: "+strings.Join(container.Choices(), ", "))
	cmd.Flags().StringArrayVar(&c.postgres, "postgres", nil, "directory with the server programs of another major version of PostgreSQL (repeatable)")
	cmd.Flags().IntVar(&c.port, "port", 0, "port of all services (default: the previous one, or any free port)")
}

func (c *cloudFlags) args() []string {
	args := []string{"--faults", c.faults, "--latencies", c.latencies, "--scale", fmt.Sprint(c.scale), "--port", fmt.Sprint(c.port), "--in", c.region, "--engine", c.engine,
		"--throttle", c.throttle, "--throttle-neighbour", fmt.Sprint(c.neighbour)}
	for _, path := range c.policies {
		args = append(args, "--policy", path)
	}
	for _, dir := range c.postgres {
		args = append(args, "--postgres", dir)
	}
	return args
}

// config is the configuration of the cloud according to the flags.
func (c *cloudFlags) config() (cfg localcloud.Config, err error) {
	if !slices.Contains(container.Choices(), c.engine) {
		return cfg, fmt.Errorf("--engine %q: choose %s", c.engine, strings.Join(container.Choices(), ", "))
	}
	cfg = localcloud.Config{Port: c.port, Region: c.region, Engine: c.engine, PostgreSQL: c.postgres, Cache: cacheDir("postgres")}
	switch c.latencies {
	case "":
	case "aws":
		cfg.Latencies = localcloud.TypicalLatencies()
	default:
		return cfg, fmt.Errorf("--latencies %q: the only value is aws", c.latencies)
	}
	switch c.throttle {
	case "":
		if c.neighbour != 0 {
			return cfg, errors.New("--throttle-neighbour needs --throttle aws")
		}
	case "aws":
		cfg.Throttle, cfg.Neighbour = true, c.neighbour
	default:
		return cfg, fmt.Errorf("--throttle %q: the only value is aws", c.throttle)
	}
	if c.neighbour < 0 || c.neighbour >= 1 {
		return cfg, fmt.Errorf("--throttle-neighbour %v: a share is from 0 to less than 1", c.neighbour)
	}
	if c.scale < 0 {
		return cfg, errors.New("--scale can't be negative")
	}
	cfg.Latencies.Scale = c.scale
	if cfg.Policies, err = readPolicies(c.policies); err != nil || c.faults == "" {
		return cfg, err
	}
	f, err := os.Open(c.faults)
	if err != nil {
		return cfg, err
	}
	defer f.Close()
	if cfg.Faults, err = localcloud.ParseFaults(f); err != nil {
		return cfg, fmt.Errorf("%s: %w", c.faults, err)
	}
	return cfg, nil
}

// readPolicies reads policy documents from files, and from all files of directories that
// end in .json. It is nil without a path: then no call is authorized by policies.
func readPolicies(paths []string) ([]access.Policy, error) {
	var policies []access.Policy
	for _, path := range paths {
		files := []string{path}
		if info, err := os.Stat(path); err == nil && info.IsDir() {
			if files, err = filepath.Glob(filepath.Join(path, "*.json")); err != nil || len(files) == 0 {
				return nil, fmt.Errorf("--policy %s: there is no .json file in it", path)
			}
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				return nil, fmt.Errorf("--policy: %w", err)
			}
			p, err := access.Parse(text)
			if err != nil {
				return nil, fmt.Errorf("--policy %s: %w", file, err)
			}
			if odd := p.Unsupported(); len(odd) > 0 {
				return nil, fmt.Errorf("--policy %s: the local cloud does not evaluate %s", file, strings.Join(odd, ", "))
			}
			policies = append(policies, p)
		}
	}
	return policies, nil
}

// idleAfter is how long after the last call the local cloud counts as idle.
const idleAfter = 5 * time.Second

func newLocalServe(s streams) *cobra.Command {
	var (
		dir       string
		behaviour cloudFlags
	)
	cmd := &cobra.Command{
		Use:    "serve",
		Short:  "Run the local cloud in the foreground",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := behaviour.config()
			if err != nil {
				return usageError{err}
			}
			self, err := os.Executable()
			if err != nil {
				return fmt.Errorf("find this program: %w", err)
			}
			cfg.Relay = []string{self, "local", "relay"}
			cfg.StateDir, cfg.Version, cfg.Log = dir, version(), slog.New(slog.NewTextHandler(s.err, nil))
			// Memory that a run used, for example for the layers of its image, is returned
			// to the system when there have been no calls for a while.
			rest := time.AfterFunc(idleAfter, debug.FreeOSMemory)
			defer rest.Stop()
			cfg.Journal = func(localcloud.Call) { rest.Reset(idleAfter) }
			// Scaling evaluates once a second, in place of the minute of AWS's metrics.
			cfg.ScalingMinute = time.Duration(behaviour.scale * float64(time.Second))
			err = localcloud.Run(cmd.Context(), cfg, nil)
			if errors.Is(err, errInterrupted) || cmd.Context().Err() != nil && errors.Is(err, context.Canceled) {
				return nil // that is how it is stopped
			}
			return err
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "state directory")
	cmd.Flags().StringVar(&behaviour.region, "in", "", "region")
	behaviour.add(cmd)
	return cmd
}

// newLocalRelay is the program in a task's network; see package container.
func newLocalRelay() *cobra.Command {
	return &cobra.Command{
		Use:    "relay SOCKET TASK",
		Short:  "Carry a task's connections out of its network",
		Hidden: true,
		Args:   cobra.ExactArgs(2),
		RunE:   func(_ *cobra.Command, args []string) error { return container.Relay(args[0], args[1]) },
	}
}

func newLocalStop(s streams, g *globals) *cobra.Command {
	var purge bool
	cmd := &cobra.Command{
		Use:   "stop",
		Short: "Stop the local cloud, keeping its state",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := localDir()
			if err != nil {
				return err
			}
			if purge {
				if err := confirmPurge(cmd.Context(), s, g, dir); err != nil {
					return err
				}
			}
			if _, running, err := localcloud.Running(cmd.Context(), dir); err == nil && running && !g.quiet && g.output != "json" {
				fmt.Fprintln(s.err, "stopping the local cloud: its tasks finish what they serve, and its databases shut down …")
			}
			ran, err := localcloud.Stop(cmd.Context(), dir)
			if err != nil {
				return err
			}
			if purge {
				if err := localcloud.Purge(dir); err != nil {
					return err
				}
			}
			if g.output == "json" {
				return encode(s.out, localStoppedDocument{head: headOf("local"), Stopped: ran, Dir: dir})
			}
			if !g.quiet {
				fmt.Fprintln(s.err, stopped(ran, purge).Show(g.show))
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&purge, "purge", false, "also delete everything in it, databases and snapshots included")
	return cmd
}

// stopped returns what became of the local cloud.
func stopped(ran, purged bool) hint.Message {
	text := "it was not running"
	if ran {
		text = "stopped"
	}
	if purged {
		return hint.New("%s, and was deleted with all its state", text)
	}
	return hint.New("%s; its state is kept: %s continues with it, and %s removes it", text, hint.Command("local", "start"), hint.Command("local", "stop", "--purge"))
}

// confirmPurge asks before everything is deleted, if there is anything.
func confirmPurge(ctx context.Context, s streams, g *globals, dir string) error {
	kept, err := localcloud.Kept(dir)
	if err != nil || len(kept) == 0 {
		return err
	}
	question := "This removes the local cloud in " + dir + " with every database and snapshot in it, those of all stacks: " + strings.Join(kept, ", ") + "."
	return confirm(ctx, s, g, question, "the word", "purge")
}

func newLocalStatus(s streams, g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show whether the local cloud runs, and where",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := localDir()
			if err != nil {
				return err
			}
			info, err := localCloud(cmd.Context())
			if err != nil {
				return err
			}
			return printInfo(s, g, info, dir)
		},
	}
}

func printInfo(s streams, g *globals, info localcloud.Info, dir string) error {
	if g.output == "json" {
		return encode(s.out, localDocument{headOf("local"), info, true, dir})
	}
	_, err := fmt.Fprintf(s.out, "%s\naccount %s, region %s, pid %d, up %s, state in %s\ncontainer engine: %s\n",
		info.Endpoint, info.Account, info.Region, info.PID, time.Since(info.Started).Round(time.Second), dir, info.Engine)
	return err
}

func newLocalLogs(s streams, g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "logs",
		Short: "Print the local cloud's log",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			dir, err := localDir()
			if err != nil {
				return err
			}
			f, err := os.Open(localcloud.LogFile(dir))
			if err != nil {
				return fmt.Errorf("read the local cloud's log: %w", err)
			}
			defer f.Close()
			if g.output != "json" {
				_, err = io.Copy(s.out, f)
				return err
			}
			out, lines := json.NewEncoder(s.out), bufio.NewScanner(f)
			lines.Buffer(nil, 1<<20) // what a process said last may be long
			for lines.Scan() {
				if err := out.Encode(localLogDocument{headOf("localLog"), lines.Text()}); err != nil {
					return err
				}
			}
			return lines.Err()
		},
	}
}

// localEnvironment points AWS tools at the local cloud. The AWS CLI of version 1
// reads AWS_DEFAULT_REGION and not AWS_REGION.
func localEnvironment(info localcloud.Info) []string {
	return []string{
		"AWS_ENDPOINT_URL=" + info.Endpoint,
		"AWS_ACCESS_KEY_ID=local", "AWS_SECRET_ACCESS_KEY=local",
		"AWS_REGION=" + info.Region, "AWS_DEFAULT_REGION=" + info.Region,
	}
}

// otherwise lists the variables of an environment that would lead an AWS tool
// elsewhere than localEnvironment does: a profile wins over keys in the AWS CLI
// and in SDKs, a token goes with other keys, and an endpoint of one service wins
// over the one of all
// (https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html).
func otherwise(environment []string) []string {
	names := []string{"AWS_DEFAULT_PROFILE", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_USE_DUALSTACK_ENDPOINT", "AWS_USE_FIPS_ENDPOINT"}
	for _, v := range environment {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "AWS_ENDPOINT_URL_") && plainName.MatchString(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// plainName matches the name of a variable that a shell accepts.
var plainName = pattern.New(`^[A-Z0-9_]+$`)

// shells write a variable, the end of one, and the function that passes the
// address to every command of the AWS CLI.
var shells = map[string]struct {
	quote               func(string) string
	set, unset, wrapper string
}{
	"sh": {
		func(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" },
		"export %s=%s", "unset %s", `aws() { command aws --endpoint-url %s "$@"; }`,
	},
	"fish": {
		func(s string) string { return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'" },
		"set -gx %s %s", "set -e %s", "function aws; command aws --endpoint-url %s $argv; end",
	},
	"powershell": {
		func(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" },
		"$Env:%s = %s", "Remove-Item -ErrorAction Ignore Env:%s", "function aws { & (Get-Command -CommandType Application aws)[0] --endpoint-url %s @args }",
	},
}

func newLocalEnv(s streams, g *globals) *cobra.Command {
	var syntax string
	cmd := &cobra.Command{
		Use:   "env",
		Short: "Print the environment for AWS tools to use the local cloud",
		Long: `Print the environment variables that point AWS tools at the local cloud, for a
shell to evaluate. Variables that would point a tool elsewhere, such as
AWS_PROFILE, are unset. Before version 2.13 the AWS CLI ignores AWS_ENDPOINT_URL;
the printed function passes the address to every command.
When no local cloud runs, nothing is printed and the exit code is 3.`,
		Example: `  eval "$(bookctl local env)"; aws rds describe-db-instances
  bookctl local env --shell fish | source`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			shell, known := shells[syntax]
			if !known {
				return usageError{fmt.Errorf("--shell %q: choose %s", syntax, strings.Join(slices.Sorted(maps.Keys(shells)), ", "))}
			}
			info, err := localCloud(cmd.Context())
			if err != nil {
				return err
			}
			if g.output == "json" {
				variables := map[string]string{}
				for _, v := range localEnvironment(info) {
					name, value, _ := strings.Cut(v, "=")
					variables[name] = value
				}
				return encode(s.out, environmentDocument{headOf("environment"), variables, otherwise(os.Environ())})
			}
			var text strings.Builder
			for _, name := range otherwise(os.Environ()) {
				fmt.Fprintf(&text, shell.unset+"\n", name)
			}
			for _, v := range localEnvironment(info) {
				name, value, _ := strings.Cut(v, "=")
				fmt.Fprintf(&text, shell.set+"\n", name, shell.quote(value))
			}
			fmt.Fprintf(&text, shell.wrapper+"\n", shell.quote(info.Endpoint))
			_, err = io.WriteString(s.out, text.String())
			return err
		},
	}
	cmd.Flags().StringVar(&syntax, "shell", "sh", "fish, powershell or sh")
	return cmd
}

func newLocalInterrupt(s streams, g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "interrupt [TASK]",
		Short: "Interrupt a task on Fargate Spot, as AWS does",
		Long: `Interrupt a task on Fargate Spot, as AWS does when it needs the capacity: the
newest one, or the one whose id begins with TASK. It gets its stop signal at once,
and stays registered with the load balancer until it has stopped. If no request
fails meanwhile, the container handles interruptions correctly.`,
		Example: `  bookctl local interrupt`,
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			info, err := localCloud(cmd.Context())
			if err != nil {
				return err
			}
			id, err := localcloud.Interrupt(cmd.Context(), info, strings.Join(args, ""))
			if err != nil {
				return hint.With(err, "%s shows which tasks do", hint.Command("status", "--local"))
			}
			if g.output == "json" {
				return encode(s.out, interruptionDocument{headOf("interruption"), id})
			}
			_, err = fmt.Fprintf(s.out, "task %s is taken back: it got its stop signal\n", id)
			return err
		},
	}
}

func newLocalAWS(s streams) *cobra.Command {
	return &cobra.Command{
		Use:   "aws …",
		Short: "Run the AWS CLI against the local cloud",
		Long: `Run the AWS CLI with the address and the credentials of the local cloud. What
follows is the AWS CLI's own: 'bookctl local aws help' shows its help, and
'bookctl local aws ecs help' that of a service.`,
		Example:            "  bookctl local aws ecs list-clusters",
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 && (args[0] == "--help" || args[0] == "-h") { // the AWS CLI has no such option
				return cmd.Help()
			}
			info, err := localCloud(cmd.Context())
			if err != nil {
				return err
			}
			aws := exec.CommandContext(cmd.Context(), "aws", append([]string{"--endpoint-url", info.Endpoint}, args...)...)
			unset := otherwise(os.Environ())
			aws.Env = slices.DeleteFunc(os.Environ(), func(v string) bool {
				name, _, _ := strings.Cut(v, "=")
				return slices.Contains(unset, name)
			})
			aws.Env = append(aws.Env, localEnvironment(info)...)
			aws.Stdin, aws.Stdout, aws.Stderr = s.in, s.out, s.err
			err = aws.Run()
			var exit *exec.ExitError
			if errors.As(err, &exit) {
				return exitError{exit.ExitCode()}
			}
			if errors.Is(err, exec.ErrNotFound) {
				return hint.With(errors.New("the AWS CLI is not installed"), "install it, or use another AWS tool with %s", hint.Command("local", "env"))
			}
			return err
		},
	}
}
