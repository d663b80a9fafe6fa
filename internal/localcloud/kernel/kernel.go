package kernel

import (
	"context"
	"crypto/cipher"
	"log/slog"
	"sync"
	"time"

	"github.com/bookctl/bookctl/internal/localcloud/access"
	"github.com/bookctl/bookctl/internal/localcloud/iamcheck"
)

// Config configures a kernel. StateDir, Account, Log and StateCipher are required.
type Config struct {
	// StateDir is the directory of state.json.
	StateDir string
	// Ephemeral means that the state is not saved.
	Ephemeral bool
	// StateCipher encrypts the secrets in the state. It generates its own nonces.
	StateCipher cipher.AEAD

	// The other fields are described at localcloud.Config.

	Account       string
	Region        string
	Latencies     Latencies
	Log           *slog.Logger
	Journal       func(Call)
	Before, After func(Call) error
	Policies      []access.Policy
	Throttle      bool
	Neighbour     float64
	Watch         func(AuthorizedCall)
}

// Call is one API call, for Config.Journal, Before and After.
type Call struct {
	// Service is the name in the request's signature, such as
	// "elasticloadbalancing". Operation is, for example, "CreateVpc".
	Service, Operation string
	// Action is the action in policies, such as "ec2:CreateVpc".
	Action string
	// Writes is whether the operation can change anything.
	Writes bool
	// Code is AWS's error code. It is "" after a success, and before the call is
	// carried out.
	Code string
	// Lost means that the client did not get the response.
	Lost bool
	// Started and Duration are the start and duration of the call.
	Started  time.Time
	Duration time.Duration
}

// Throttled reports whether the call was rejected because calls came too fast.
func (c Call) Throttled() bool {
	switch c.Code {
	case "RequestLimitExceeded", "Throttling", "ThrottlingException":
		return true
	}
	return false
}

// Kernel is an account in one region, without its services.
type Kernel struct {
	*Env
	cfg          Config
	started      time.Time
	services     map[string]Service // by signing name
	taggers      map[string]Tagger  // by the name of the service in ARNs
	accountOf    func(*Tx) iamcheck.Account
	taskSessions TaskSessions
	roleSessions RoleSessions

	bucketsMu sync.Mutex         // guards buckets
	buckets   map[string]*tokens // by what they limit

	ctx    context.Context // ends at Stop
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu         sync.Mutex // held by every transaction
	saved      savedEndpoint
	stores     map[string]savedStore
	saveFailed bool // a save has failed
	// hidden are new resources that reads don't return yet, by id.
	hidden map[string]hiddenResource
	// deleted are the tags of deleted resources, by ARN; see Faults.StaleTags.
	deleted map[string]map[string]string
}

// New returns a kernel. Load reads its state, and Serve adds its services.
func New(ctx context.Context, cfg Config) *Kernel {
	k := &Kernel{
		Env: &Env{
			stateDir:    cfg.StateDir,
			account:     cfg.Account,
			region:      cfg.Region,
			latencies:   cfg.Latencies,
			log:         cfg.Log,
			stateCipher: cfg.StateCipher,
			calls:       map[string]uint64{},
		},
		cfg:      cfg,
		started:  time.Now().UTC(),
		services: map[string]Service{},
		taggers:  map[string]Tagger{},
		stores:   map[string]savedStore{},
		hidden:   map[string]hiddenResource{},
		buckets:  map[string]*tokens{},
	}
	k.ctx, k.cancel = context.WithCancel(context.WithoutCancel(ctx))
	return k
}

// Started is when the kernel was created.
func (k *Kernel) Started() time.Time { return k.started }

// Context returns a context that ends when the cloud stops.
func (k *Kernel) Context() context.Context { return k.ctx }

// Go runs f in the background. When the cloud stops, ctx ends, and the cloud waits
// for f.
func (k *Kernel) Go(f func(ctx context.Context)) {
	k.work.Go(func() { f(k.ctx) })
}

// Stop ends the context of all functions that Go started.
func (k *Kernel) Stop() { k.cancel() }

// Drain waits for all functions that Go started.
func (k *Kernel) Drain() { k.work.Wait() }
