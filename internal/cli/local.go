package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/localcloud"
	"github.com/bookctl/bookctl/internal/localcloud/container"
)

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
			return localStart(cmd.Context(), s, g, behaviour, cmd.Flags().NFlag() > 0)
		},
	}
	behaviour.add(cmd)
	return cmd
}

// localStart starts the local cloud, unless it runs already. Given reports whether any flag was
// given.
func localStart(ctx context.Context, s streams, g *globals, behaviour cloudFlags, given bool) error {
	behaviour.region = g.region
	dir, err := localDir()
	if err != nil {
		return err
	}
	if _, err := behaviour.config(); err != nil {
		return usageError{err}
	}
	info, running, err := localcloud.Running(ctx, dir)
	if err != nil {
		return err
	}
	if running {
		if behaviour.region == info.Region {
			behaviour.region = ""
		}
		if given && !reflect.DeepEqual(behaviour, cloudFlags{scale: 1, engine: container.Auto}) {
			return hint.With(errors.New("the local cloud is running already"), "%s first, to start it with other settings", hint.Command("local", "stop"))
		}
	} else if info, err = startLocalCloud(ctx, dir, behaviour.args()); err != nil {
		return err
	}
	return printInfo(s, g, info, dir)
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
		RunE:  func(cmd *cobra.Command, _ []string) error { return localStop(cmd.Context(), s, g, purge) },
	}
	cmd.Flags().BoolVar(&purge, "purge", false, "also delete everything in it, databases and snapshots included")
	return cmd
}

// localStop stops the local cloud, and deletes its state if purge is set.
func localStop(ctx context.Context, s streams, g *globals, purge bool) error {
	dir, err := localDir()
	if err != nil {
		return err
	}
	if purge {
		if err := confirmPurge(ctx, s, g, dir); err != nil {
			return err
		}
	}
	if _, running, err := localcloud.Running(ctx, dir); err == nil && running && !g.quiet && g.output != "json" {
		fmt.Fprintln(s.err, "stopping the local cloud: its tasks finish what they serve, and its databases shut down …")
	}
	ran, err := localcloud.Stop(ctx, dir)
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
		fmt.Fprintln(s.err, stopped(ran, purge).Show(g.showCommand))
	}
	return nil
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
	kept, err := localcloud.StateDirs(dir)
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
			if code := exitOf(err); code != 0 {
				return exitError{code}
			}
			if errors.Is(err, exec.ErrNotFound) {
				return hint.With(errors.New("the AWS CLI is not installed"), "install it, or use another AWS tool with %s", hint.Command("local", "env"))
			}
			return err
		},
	}
}
