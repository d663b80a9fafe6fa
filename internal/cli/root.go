package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/bookctl/bookctl/internal/appfile"
	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/localcloud"
	"github.com/bookctl/bookctl/internal/naming"
	"github.com/bookctl/bookctl/internal/provision"
)

// globals are the flags of every command that talks to a cloud.
type globals struct {
	stack   string
	region  string
	account string
	file    string
	local   bool
	yes     bool
	timeout time.Duration
	output  string
	quiet   bool
	verbose bool
	noColor bool

	// answerGuard bounds how long an answer may take.
	answerGuard provision.AnswerGuard
	// printAboveView prints a question's line while a run is drawn on a terminal; nil while none is.
	printAboveView atomic.Pointer[func(format string, args ...any)]
	// unattended is set when nobody is asked on the terminal any more.
	unattended atomic.Bool
	// config, if it is not nil, replaces the user's AWS configuration.
	config *aws.Config
	// planCloud is a local cloud in this process; see planBeforeStart. Nil is none.
	planCloud *localcloud.Info
	// hadService reports whether the stack had a service when the run began.
	hadService bool
	// givenValues are the values of the targetFlags and deployFlags that were given, as
	// flags or by the environment, and line is the whole command line.
	givenValues map[string]string
	args        []string
	// valueSource is where the value of a flag is from, if not from the command line: a variable,
	// or a line of the file of the app.
	valueSource map[string]string
	// otherFileNote is the note that settings are from the file of another stack; empty if they
	// are not.
	otherFileNote hint.Message
}

// calledElsewhere are the names that other tools have for what commands do.
var calledElsewhere = map[string][]string{
	"up":      {"deploy", "apply", "create", "launch", "start"},
	"destroy": {"delete", "down", "rm", "remove", "teardown"},
	"status":  {"ps", "info", "show", "get", "describe"},
	"list":    {"ls", "stacks"},
	"plan":    {"diff", "preview"},
	"logs":    {"log", "tail"},
	"exec":    {"ssh", "shell"},
	"run":     {"task", "job"},
	"pause":   {"stop", "suspend"},
	"resume":  {"unpause", "wake"},
	"restart": {"redeploy", "refresh", "reboot"},
	"ui":      {"dashboard", "console", "web"},
}

func newRoot(s streams, g *globals) *cobra.Command {
	root := &cobra.Command{
		Use:   "bookctl",
		Short: "Deploy a database-backed HTTP service on AWS",
		Long: `bookctl deploys a VPC, a PostgreSQL database on RDS and a load-balanced service
on ECS Fargate, in dependency order. There is no state file: AWS is the state.
Run 'bookctl up' again to repair drift; nothing else changes.

With --local the same commands run against a cloud on this machine. It needs no
account, and has real PostgreSQL, real processes and a real load balancer.

Every flag can be set by the environment variable that its help shows in brackets.
bookctl.yaml can hold the stack's name and its settings ('bookctl init' writes it).
A flag overrides its variable, a variable the file, and the file what is deployed.

` + exitCodes,
		Example: `  bookctl up --local              # try it on this machine, without an account
  bookctl plan                    # what 'up' would change, and what it would cost
  bookctl up                      # create the stack 'book', or repair drift
  bookctl status                  # what exists, whether it is healthy and why not
  bookctl graph > stack.svg       # a picture of the resources and their state
  bookctl destroy                 # delete it all, keep a final snapshot of the data`,
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			return resolveFlags(s, cmd, g)
		},
	}
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return badFlag(g, cmd, err) })
	f := root.PersistentFlags()
	f.StringVarP(&g.stack, "stack", "s", "book", "name of the stack")
	f.StringVar(&g.region, "region", "", "AWS region (default: that of the AWS configuration)")
	f.StringVar(&g.account, "account", "", "run only in this AWS account")
	f.StringVar(&g.file, "file", "", "file with the app's settings (default: "+appfile.Name+", if it exists)")
	f.BoolVar(&g.local, "local", false, "use the cloud on this machine instead of AWS")
	f.BoolVarP(&g.yes, "yes", "y", false, "don't ask for confirmation")
	f.DurationVar(&g.timeout, "timeout", 0, "give up after this time, for example 30m (default: a limit per step)")
	f.StringVarP(&g.output, "output", "o", "text", "text or json")
	f.BoolVarP(&g.quiet, "quiet", "q", false, "print only results and errors")
	f.BoolVarP(&g.verbose, "verbose", "v", false, "print every AWS call with its duration")
	f.BoolVar(&g.noColor, "no-color", false, "no colours (also: NO_COLOR)")
	root.AddCommand(
		newInit(s, g), newUp(s, g), newPlan(s, g), newStatus(s, g), newRestart(s, g), newPause(s, g), newResume(s, g), newRollback(s, g), newDestroy(s, g),
		newLogs(s, g), newEvents(s, g), newOpen(s, g), newExec(s, g), newRunCommand(s, g), newSecret(s, g), newDB(s, g), newAlarm(s, g),
		newList(s, g), newGraph(s, g), newUI(s, g), newPolicy(s, g), newVersion(s, g), newLocal(s, g), newMan(s, g),
	)
	for name, others := range calledElsewhere {
		cmd, _, err := root.Find([]string{name})
		if err != nil {
			panic(err) // the table above names no command that is not there
		}
		cmd.SuggestFor = others
	}
	help := root.HelpFunc()
	root.SetHelpFunc(func(cmd *cobra.Command, args []string) {
		nameEnvironment(root)
		help(cmd, args)
	})
	root.InitDefaultCompletionCmd() // with which cobra prints the help for an unknown shell
	for _, c := range root.Commands() {
		if c.Name() == "completion" {
			c.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		}
	}
	root.SetHelpCommand(newHelp())
	answerVersion(root)
	return root
}

// within runs a command for at most the time of --timeout.
func within(g *globals, run func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		ctx, cancel := context.WithCancel(cmd.Context())
		defer cancel()
		if g.timeout > 0 {
			limit := hint.With(overtime{after: g.timeout}, "give it more time with --timeout, and run the same command again: it continues where this one stopped")
			ctx, cancel = context.WithTimeoutCause(ctx, g.timeout, limit)
			defer cancel()
		}
		return run(ctx, args)
	}
}

// resolveFlags fills flags from the environment and checks the global ones.
func resolveFlags(s streams, cmd *cobra.Command, g *globals) error {
	var errs []error
	g.valueSource = map[string]string{}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Changed || f.Name == "help" || f.Name == "version" {
			return
		}
		name := environmentName(cmd, f)
		if v := os.Getenv(name); v != "" { // an empty one is not set
			if err := cmd.Flags().Set(f.Name, v); err != nil {
				errs = append(errs, invalidValue(name, v, f, err))
			}
			g.valueSource[f.Name] = name
		}
	})
	if err := errors.Join(errs...); err != nil {
		return usageError{err}
	}
	g.givenValues = map[string]string{}
	for _, name := range slices.Concat(targetFlags, deployFlags) {
		if f := cmd.Flag(name); f != nil && f.Changed {
			g.givenValues[name] = f.Value.String()
		}
	}
	if err := applyFile(cmd, g); err != nil {
		return err
	}
	for _, name := range unknownVariables(cmd.Root()) {
		g.note(s, "note: %s matches no flag of bookctl, and is ignored", name)
	}
	if g.output != "text" && g.output != "json" {
		return usageError{fmt.Errorf("--output %q: choose text or json", g.output)}
	}
	if err := naming.CheckStack(g.stack); err != nil {
		return usageError{err}
	}
	return nil
}
