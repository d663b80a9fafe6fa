// Command conformance takes a stack through its whole life on an AWS endpoint and
// reports what that answered; see docs/conformance.md.
package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/bookctl/bookctl/internal/conformance"
	"github.com/bookctl/bookctl/internal/requestbody"
)

func main() {
	code, err := run()
	if err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		code = 1
	}
	os.Exit(code)
}

// target is the endpoint that a stack is created on.
type target struct {
	env     []string // of bookctl
	flags   []string // of every bookctl command
	name    string   // for the report
	config  aws.Config
	tasks   bool
	cleanup func() // of what was started for it
}

// options are the flags.
type options struct {
	endpoint, program, stack, tasks, report string
	restore, yes                            bool
}

func parseFlags() (o options, err error) {
	flag.StringVar(&o.endpoint, "endpoint", "", "a URL, 'local' for a local cloud of its own, or 'aws' for the account of your credentials")
	flag.StringVar(&o.program, "bookctl", "", "the bookctl to try; it is built without one")
	flag.StringVar(&o.stack, "stack", "conf-"+strings.ToLower(rand.Text()[:6]), "name of the stack that is created and deleted")
	flag.StringVar(&o.tasks, "tasks", "auto", "whether the endpoint runs tasks and databases: yes, no, or auto, which is no for a URL")
	flag.BoolVar(&o.restore, "restore", true, "create the stack a second time, from its snapshot")
	flag.StringVar(&o.report, "report", "", "file for the report in Markdown; stdout without one")
	flag.BoolVar(&o.yes, "yes", false, "do not ask")
	flag.Parse()
	if o.endpoint == "" || flag.NArg() > 0 {
		return o, errors.New("say -endpoint URL, -endpoint local, or -endpoint aws")
	}
	return o, nil
}

func run() (int, error) {
	o, err := parseFlags()
	if err != nil {
		return 0, err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	dir, err := os.MkdirTemp("", "conformance-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil { // the local cloud's tasks run as another user
		return 0, err
	}
	if o.program == "" {
		o.program = filepath.Join(dir, "bookctl")
		if text, err := exec.CommandContext(ctx, "go", "build", "-o", o.program, "github.com/bookctl/bookctl/cmd/bookctl").CombinedOutput(); err != nil {
			return 0, fmt.Errorf("build bookctl: %w\n%s", err, text)
		}
	}
	t, err := findTarget(ctx, o.endpoint, o.program, dir)
	if t.cleanup != nil {
		defer t.cleanup()
	}
	if err != nil {
		return 0, err
	}
	if o.tasks != "auto" {
		t.tasks = o.tasks == "yes"
	}
	t.config.APIOptions = append(t.config.APIOptions, requestbody.Readable)
	bookctl := t.bookctl(o.program)
	if o.endpoint == "aws" && !o.yes {
		if err := confirm(ctx, bookctl, o.stack, o.restore); err != nil {
			return 0, err
		}
	}
	fmt.Fprintf(os.Stderr, "Stack %s at %s. Ctrl-C ends the run and removes what it made.\n", o.stack, t.name)
	report, err := conformance.Run(ctx, conformance.Options{
		Bookctl: bookctl, Account: conformance.NewAccount(t.config), Stack: o.stack, Tasks: t.tasks, Restore: o.restore, Use: useBooks, Progress: os.Stderr,
	})
	report.Where = t.name
	if v, versionErr := bookctl(context.WithoutCancel(ctx), "version"); versionErr == nil {
		report.Version = strings.TrimSpace(strings.TrimPrefix(strings.Split(v.Stdout, "\n")[0], "bookctl "))
	}
	if writeErr := write(o.report, report.Markdown()); writeErr != nil {
		return 0, errors.Join(err, writeErr)
	}
	switch {
	case err != nil:
		return 1, fmt.Errorf("%w\nSomething may be left. Remove it with: bookctl destroy --stack %s --purge-snapshots --yes", err, o.stack)
	case ctx.Err() != nil:
		return 130, nil
	case report.Failed():
		return 1, nil
	}
	return 0, nil
}

// findTarget returns the target that an endpoint names.
func findTarget(ctx context.Context, endpoint, program, dir string) (target, error) {
	t := target{env: os.Environ(), name: endpoint}
	switch endpoint {
	case "local":
		return startLocalCloud(ctx, program, dir)
	case "aws":
		cfg, err := config.LoadDefaultConfig(ctx)
		t.config, t.tasks, t.name = cfg, true, "AWS, "+cfg.Region
		return t, err
	}
	// An emulator takes any keys, and yours are not for it.
	t.env = append(t.env, "AWS_ENDPOINT_URL="+endpoint, "AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test", "AWS_REGION=us-east-1")
	t.config = aws.Config{Region: "us-east-1", BaseEndpoint: &endpoint, Credentials: credentials.NewStaticCredentialsProvider("test", "test", "")}
	return t, nil
}

// startLocalCloud starts a local cloud with a home of its own.
func startLocalCloud(ctx context.Context, program, dir string) (target, error) {
	t := target{flags: []string{"--local"}, name: "the local cloud", tasks: true}
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "HOME=") && !strings.HasPrefix(e, "AWS_") && !strings.HasPrefix(e, "XDG_") {
			t.env = append(t.env, e)
		}
	}
	t.env = append(t.env, "HOME="+dir)
	for _, name := range []string{"GOCACHE", "GOMODCACHE"} { // which are below the home
		if value, err := exec.CommandContext(ctx, "go", "env", name).Output(); err == nil {
			t.env = append(t.env, name+"="+strings.TrimSpace(string(value)))
		}
	}
	command := func(ctx context.Context, args ...string) ([]byte, error) {
		cmd := exec.CommandContext(ctx, program, args...)
		cmd.Env, cmd.WaitDelay = t.env, 5*time.Second
		return cmd.Output()
	}
	t.cleanup = func() {
		_, _ = command(context.WithoutCancel(ctx), "local", "stop", "--purge", "--yes") // it ends with the directory anyway
	}
	if _, err := command(ctx, "local", "start"); err != nil {
		return t, fmt.Errorf("start the local cloud: %w", err)
	}
	text, err := command(ctx, "local", "status", "--output", "json")
	if err != nil {
		return t, fmt.Errorf("find the local cloud: %w", err)
	}
	var info struct{ Endpoint, Region string }
	if err := json.Unmarshal(text, &info); err != nil {
		return t, fmt.Errorf("find the local cloud: %w", err)
	}
	t.config = aws.Config{Region: info.Region, BaseEndpoint: &info.Endpoint, Credentials: credentials.NewStaticCredentialsProvider("local", "local", "")}
	return t, nil
}

// bookctl runs the program with the environment and the flags of the target. It is interrupted and
// not killed, so that it can give its lock back.
func (t target) bookctl(program string) conformance.Program {
	return func(ctx context.Context, args ...string) (conformance.Output, error) {
		if args[0] != "version" {
			args = append(args, t.flags...)
		}
		cmd := exec.CommandContext(ctx, program, args...)
		cmd.Env = t.env
		cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
		cmd.WaitDelay = 2 * time.Minute
		cmd.SysProcAttr = ownProcessGroup() // a Ctrl-C on the terminal is for this program, which passes it on
		var out, errs bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &errs
		begun := time.Now()
		err := cmd.Run()
		result := conformance.Output{Stdout: out.String(), Stderr: errs.String(), Code: cmd.ProcessState.ExitCode(), Took: time.Since(begun)}
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			return result, err
		}
		return result, nil
	}
}

// confirm prints what a run costs and asks for the account.
func confirm(ctx context.Context, bookctl conformance.Program, stack string, restore bool) error {
	out, err := bookctl(ctx, "plan", "--stack", stack, "--output", "json")
	if err != nil {
		return err
	}
	var plan struct {
		Account, Region string
		Cost            struct {
			ThenTotal       float64
			Source, Unknown string
		}
	}
	if err := json.Unmarshal([]byte(out.Stdout), &plan); err != nil || out.Code != 2 {
		return fmt.Errorf("plan the stack: exit code %d\n%s%s", out.Code, out.Stdout, out.Stderr)
	}
	hours := 1.0
	if restore {
		hours = 2
	}
	fmt.Fprintf(os.Stderr, "This makes a stack in account %s, region %s, uses it, and removes it with all its data.\n", plan.Account, plan.Region)
	if plan.Cost.Unknown != "" {
		fmt.Fprintf(os.Stderr, "What it costs is not known: %s.\n", plan.Cost.Unknown)
	} else {
		fmt.Fprintf(os.Stderr, "The stack costs %.2f USD a month (%s); for the %.0f hours at most that this takes, about %.2f USD.\n",
			plan.Cost.ThenTotal, plan.Cost.Source, hours, plan.Cost.ThenTotal/730*hours)
	}
	fmt.Fprintf(os.Stderr, "Type the account's number to continue: ")
	answer := make(chan string, 1)
	go func() { // which a Ctrl-C leaves behind
		line, _ := bufio.NewReader(os.Stdin).ReadString('\n') // no line is no answer
		answer <- strings.TrimSpace(line)
	}()
	select {
	case <-ctx.Done():
		return errors.New("interrupted: nothing was touched")
	case line := <-answer:
		if line != plan.Account {
			return errors.New("not confirmed: nothing was touched")
		}
	}
	return nil
}

// useBooks puts a book in, or looks whether it is there.
func useBooks(ctx context.Context, url string, again bool) error {
	const book = `{"name":"Conformance","author":"bookctl"}`
	if !again {
		if err := ask(ctx, http.MethodPost, url+"/books", book, http.StatusCreated); err != nil {
			return err
		}
	}
	return ask(ctx, http.MethodGet, url+"/books/Conformance", "", http.StatusOK)
}

func ask(ctx context.Context, method, url, body string, want int) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	if err == nil && resp.StatusCode != want {
		err = fmt.Errorf("%s %s answered %d and not %d: %s", method, req.URL.Path, resp.StatusCode, want, text)
	}
	return err
}

func write(path, text string) error {
	if path == "" {
		_, err := io.WriteString(os.Stdout, text)
		return err
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	fmt.Fprintln(os.Stderr, "The report is in "+path)
	return nil
}
