package cli

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/logging"
	"github.com/aws/smithy-go/middleware"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/localcloud"
	"github.com/bookctl/bookctl/internal/pattern"
	"github.com/bookctl/bookctl/internal/preflight"
	"github.com/bookctl/bookctl/internal/provision"
	"github.com/bookctl/bookctl/internal/requestbody"
	"github.com/bookctl/bookctl/internal/runlock"
)

// target is the account and region that a command works in.
type target struct {
	clients provision.Clients
	// config is what the clients were created from.
	config  aws.Config
	account string
	region  string
	// caller is the ARN of the caller, for the lock.
	caller string
	// place is the name of the target in messages.
	place string
	local bool
	// authorities are those that the service's certificate may be signed by; nil are this
	// machine's.
	authorities *x509.CertPool
	calls       *journal
	// lock is the stack's lock when it was first read; nil if it was not.
	lock *runlock.View
	// emulator is the AWS Emulator, if the endpoint is one; otherwise nil.
	emulator *emulator
}

// deployed reads what is deployed of the command's stack.
func (t *target) deployed(ctx context.Context, g *globals) (provision.Deployed, error) {
	have, err := provision.ReadDeployed(ctx, t.clients, g.stack)
	if err != nil {
		return have, fmt.Errorf("read what is deployed: %w", err)
	}
	return have, nil
}

// deployedSpec describes the stack as it is deployed.
func deployedSpec(g *globals, have *provision.Deployed) provision.Spec {
	return provision.Spec{Stack: g.stack, Version: version(), Settings: have.Settings, Running: have.Running, Zones: have.Zones, Deployed: have}
}

// withAnyZones fills in zones where only a part of a stack is deployed, without its subnets.
// It is for commands that create nothing in them.
func withAnyZones(s provision.Spec) provision.Spec {
	if s.Zones[0] == "" || s.Zones[1] == "" {
		s.Zones = [2]string{"a", "b"}
	}
	return s
}

// connect finds the target and checks that it is the intended one.
func connect(ctx context.Context, s streams, g *globals) (*target, error) {
	t := &target{local: g.local, calls: &journal{}}
	if g.verbose {
		t.calls.trace = s.err
	}
	cfg, err := t.configure(ctx, s, g)
	if err != nil {
		return nil, err
	}
	if g.answerGuard.Slow == nil {
		g.answerGuard.Slow = unanswered(func(format string, args ...any) { g.note(s, format, args...) })
	}
	g.answerGuard.Credentials = cfg.Credentials
	cfg.APIOptions = append(cfg.APIOptions, requestbody.Readable, t.calls.watch, g.answerGuard.Watch, provision.EndPauses)
	t.region, t.config, t.clients = cfg.Region, cfg, provision.NewClients(cfg)
	t.account, t.caller, err = preflight.Identify(ctx, t.clients, t.region)
	switch {
	case errors.Is(err, preflight.ErrNoRegion):
		return nil, hint.With(usageError{err}, "name one with --region or AWS_REGION, for example --region eu-central-1%s", orHere(ctx))
	case errors.Is(err, preflight.ErrRegionName):
		return nil, usageError{err}
	case err != nil:
		return nil, unreached(t.emulator.unanswered(err))
	}
	if g.account != "" && g.account != t.account {
		return nil, hint.With(
			usageError{fmt.Errorf("the credentials are for account %s, but --account is %s", t.account, g.account)},
			"use the credentials of the account that is meant (AWS_PROFILE)")
	}
	t.place = fmt.Sprintf("account %s, region %s", t.account, t.region)
	if t.emulator != nil {
		t.place = fmt.Sprintf("AWS Emulator (%s, by the files in %s), %s", t.emulator.endpoint, t.emulator.directory, t.place)
	}
	if t.local {
		t.place = "the local cloud (" + *cfg.BaseEndpoint + ")"
	}
	if g.planCloud != nil {
		t.place = g.format("the local cloud, which %s starts", hint.Command("up"))
	}
	return t, nil
}

// orHere suggests --local to a user who named no region, if the local cloud runs.
func orHere(ctx context.Context) string {
	if _, err := localCloud(ctx); err != nil {
		return ""
	}
	return "; or use --local, for the cloud that runs on this machine"
}

// unanswered reports calls that are not answered yet.
func unanswered(note func(format string, args ...any)) func(service, operation string, waited time.Duration) {
	return func(service, operation string, waited time.Duration) {
		note("waiting for %s to answer %s, %s", service, operation, rounded(waited))
	}
}

func (t *target) configure(ctx context.Context, s streams, g *globals) (aws.Config, error) {
	switch {
	case g.config != nil:
		return g.config.Copy(), nil
	case t.local:
		return t.localConfig(ctx, g)
	}
	home, err := os.UserHomeDir()
	if err == nil {
		t.emulator, err = findEmulator(os.Getenv("AWS_ENDPOINT_URL"), home)
	}
	if err != nil {
		return aws.Config{}, err
	}
	if t.emulator != nil {
		cfg := t.emulator.config(g.region)
		cfg.Retryer = retryer
		return cfg, nil
	}
	cfg, err := loadConfig(ctx, s, g)
	if err != nil {
		return cfg, err
	}
	return cfg, signIn(ctx, cfg)
}

func retryer() aws.Retryer { return provision.NewRetryer(10 * time.Second) }

func appID() string { return "bookctl-" + strings.ReplaceAll(version(), "/", "-") }

// localConfig is the configuration for the local cloud. It reads none of the user's
// environment and files: they are for AWS, and may be broken.
func (t *target) localConfig(ctx context.Context, g *globals) (aws.Config, error) {
	var (
		info localcloud.Info
		err  error
	)
	if g.planCloud != nil {
		info = *g.planCloud
	} else if info, err = localCloud(ctx); err != nil {
		return aws.Config{}, err
	}
	if g.region != "" && g.region != info.Region {
		return aws.Config{}, hint.With(usageError{fmt.Errorf("the local cloud is in region %s, but --region is %s", info.Region, g.region)}, "leave --region out, or --local")
	}
	if t.authorities, err = trusting(info.TrustBundle); err != nil {
		return aws.Config{}, fmt.Errorf("read the local cloud's certificate authority: %w", err)
	}
	return aws.Config{
		Region: info.Region, BaseEndpoint: &info.Endpoint, Logger: logging.Nop{}, Retryer: retryer, AppID: appID(),
		Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""), HTTPClient: awshttp.NewBuildableClient(),
	}, nil
}

// trusting are this machine's certificate authorities and those in a file.
func trusting(bundle string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(bundle)
	if err != nil {
		return nil, err
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	pool.AppendCertsFromPEM(pem)
	return pool, nil
}

// journal counts the API calls of a run and, with --verbose, prints them.
type journal struct {
	mu     sync.Mutex
	trace  io.Writer
	reads  int
	writes int
}

var reading = pattern.New(`^(Describe|Get|List|BatchGet|BatchCheck|Filter|Lookup)`)

// watch is the SDK middleware that fills the journal.
func (j *journal) watch(stack *middleware.Stack) error {
	return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("bookctl-journal", func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
		begun := time.Now()
		out, meta, err := next.HandleInitialize(ctx, in)
		j.record(awsmiddleware.GetServiceID(ctx), awsmiddleware.GetOperationName(ctx), time.Since(begun), err)
		return out, meta, err
	}), middleware.After)
}

func (j *journal) record(service, operation string, took time.Duration, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if reading.MatchString(operation) {
		j.reads++
	} else {
		j.writes++
	}
	if j.trace == nil {
		return
	}
	result := ""
	var apiErr smithy.APIError
	switch { // the error's text, never the input: inputs hold passwords
	case errors.As(err, &apiErr):
		result = "  " + apiErr.ErrorCode() + wrapIfAny(": ", firstLine(apiErr.ErrorMessage()), "")
	case err != nil:
		result = "  " + firstLine(err.Error())
	}
	fmt.Fprintf(j.trace, "%s aws %s %s %s%s\n", time.Now().Format(time.TimeOnly), service, operation, rounded(took), result)
}

// counts are the calls so far.
func (j *journal) counts() (reads, writes int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.reads, j.writes
}
