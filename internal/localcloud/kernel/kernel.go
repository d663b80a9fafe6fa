package kernel

import (
	"context"
	"crypto/cipher"
	"log/slog"
	"sync"
	"time"

	"github.com/bookctl/bookctl/internal/localcloud/access"
	"github.com/bookctl/bookctl/internal/localcloud/judge"
)

// Config says who a kernel is and how it behaves. StateDir, Account, Log and Seals
// are required.
type Config struct {
	// StateDir is the directory of state.json.
	StateDir string
	// Ephemeral keeps the state in memory only.
	Ephemeral bool
	// Account is the account's number.
	Account string
	// Region is the one region there is; empty is that of the saved state, or
	// us-east-1.
	Region string
	// Latencies are how long things take.
	Latencies Latencies
	// Log is where the cloud reports on itself.
	Log *slog.Logger
	// Seals is what secrets in the state are encrypted with. It makes its own
	// nonces.
	Seals cipher.AEAD
	// Journal is told of every call after it; nil for nobody. It may be called
	// by several goroutines at once, as may Before and After.
	Journal func(Call)
	// Before and After are asked before and after the work of each call. Their
	// error ends the connection without an answer, as a crash on the way would.
	Before, After func(Call) error
	// Policies, if not nil, are what the deployer may do: all callers but the
	// tasks, which have roles, and those with the access key "root".
	Policies []access.Policy
	// Watch is told what each checked call asks of IAM, before it is done; nil for
	// nobody. It is called with the lock held, and must not call the cloud.
	Watch func(Asked)
}

// Call is one API call, for Config.Journal, Before and After.
type Call struct {
	// Service is the name that requests are signed for, such as
	// "elasticloadbalancing"; Operation is as in "CreateVpc".
	Service, Operation string
	// Action is what a policy must allow for it, such as "ec2:CreateVpc".
	Action string
	// Writes says whether the operation can change anything.
	Writes bool
	// Code is AWS's error code, "" after a success and before the work.
	Code string
	// Lost says that the client never got the answer.
	Lost bool
	// Started and Duration are when and how long.
	Started  time.Time
	Duration time.Duration
}

// Kernel is one account in one region, without its services.
type Kernel struct {
	*Env
	cfg      Config
	started  time.Time
	services map[string]Service // by signing name
	taggers  map[string]Tagger  // by the service's name in ARNs
	world    func(*Tx) judge.World
	sessions Sessions
	assumed  Assumed

	ctx    context.Context // ends at Stop
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu     sync.Mutex // held by every transaction
	place  place
	stores map[string]saved
	dirty  bool // a save has failed
	// hidden are the new resources that reads don't show yet, by id.
	hidden map[string]birth
	// deleted are tagged resources that were, by ARN; see Faults.StaleTags.
	deleted map[string]map[string]string
}

// New makes a kernel. It has a state after Load, and serves after Serve.
func New(ctx context.Context, cfg Config) *Kernel {
	k := &Kernel{
		Env: &Env{
			stateDir: cfg.StateDir, account: cfg.Account, region: cfg.Region, latencies: cfg.Latencies, log: cfg.Log, seals: cfg.Seals,
			calls: map[string]uint64{},
		},
		cfg: cfg, started: time.Now().UTC(), services: map[string]Service{}, taggers: map[string]Tagger{}, stores: map[string]saved{}, hidden: map[string]birth{},
	}
	k.ctx, k.cancel = context.WithCancel(context.WithoutCancel(ctx))
	return k
}

// Started is when the kernel was made.
func (k *Kernel) Started() time.Time { return k.started }

// Context ends when the cloud closes.
func (k *Kernel) Context() context.Context { return k.ctx }

// Go runs f at the same time as the operations until it ends or the cloud closes, which ends
// ctx and waits for f.
func (k *Kernel) Go(f func(ctx context.Context)) {
	k.work.Go(func() { f(k.ctx) })
}

// Stop ends the context of what Go has started.
func (k *Kernel) Stop() { k.cancel() }

// Drain waits for what Go has started.
func (k *Kernel) Drain() { k.work.Wait() }
