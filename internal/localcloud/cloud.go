package localcloud

import (
	"crypto/cipher"
	"io"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/bookctl/bookctl/internal/localcloud/access"
	"github.com/bookctl/bookctl/internal/localcloud/kernel"
	"github.com/bookctl/bookctl/internal/localcloud/registry"
)

// Config describes where a cloud lives and how it behaves. Only StateDir is
// required.
type Config struct {
	// StateDir holds everything that survives a restart.
	StateDir string
	// Cache is a directory for the files that new databases begin with, which the clouds of
	// a user share; when empty, they are made for each database.
	Cache string
	// Account is the account's number, 000000000000 when empty.
	Account string
	// Region is the one region there is; empty is the one that this state
	// directory had before, or us-east-1.
	Region string
	// Latencies are how long things take; the zero value adds nothing to what
	// the real things need.
	Latencies Latencies
	// Faults are what goes wrong; the zero value is nothing.
	Faults Faults
	// Port is the loopback port to listen on; 0 is the one that this state
	// directory had before, or any free one.
	Port int
	// Version is bookctl's own, for Info.
	Version string
	// VPCs is the quota of VPCs, the 5 of a new account when zero.
	VPCs int
	// ScalingMinute is what stands for the minute of CloudWatch's metrics when
	// services are scaled: 1 s when zero. AWS's own cooldowns are counted in it.
	ScalingMinute time.Duration
	// PostgreSQL are directories with the server programs of further major versions of
	// PostgreSQL than the installed ones.
	PostgreSQL []string
	// Engine runs the images that are not static programs: one of container.Choices,
	// and container.None when empty.
	Engine string
	// Relay is a command line of this program that calls container.Relay with two more
	// arguments. Engines other than None need it.
	Relay []string
	// Log is where the cloud reports on itself; nil discards.
	Log *slog.Logger
	// Journal receives every call after it; nil for nobody. It may be called
	// by several goroutines at once, as may Before and After.
	Journal func(Call)
	// Policies, if not nil, are what the deployer may do: all callers but the
	// tasks, which have roles, and those with the access key "root".
	Policies []access.Policy
	// Throttle rejects requests that exceed AWS's limits of requests; see docs/faults.md.
	Throttle bool
	// Neighbour is the share of these limits, from 0 to less than 1, that other callers
	// use up.
	Neighbour float64
	// Watch receives the requests to IAM of each call that is checked, before it is done; nil for
	// nobody. It is called with the cloud locked, and must not call it.
	Watch func(AuthorizedCall)
	// Before and After are asked before and after the work of each call. Their
	// error ends the connection without an answer, as a crash on the way would.
	Before, After func(Call) error
	// Runtimes, if not nil, makes what runs behind the services in place of real
	// databases, containers and load balancers; it gets the registry's images, by
	// repository. Such a cloud listens on no port either, what is sent to Endpoint
	// being for ServeHTTP, and its state ends with it.
	Runtimes func(images func(repository string) []registry.Image) Runtimes
}

// kernel returns the configuration of the cloud's kernel.
func (cfg Config) kernel(stateCipher cipher.AEAD) kernel.Config {
	return kernel.Config{
		StateDir:    cfg.StateDir,
		Ephemeral:   cfg.Runtimes != nil,
		Account:     cfg.Account,
		Region:      cfg.Region,
		Latencies:   cfg.Latencies,
		Log:         cfg.Log,
		StateCipher: stateCipher,
		Journal:     cfg.Journal,
		Before:      cfg.Before,
		After:       cfg.After,
		Policies:    cfg.Policies,
		Throttle:    cfg.Throttle,
		Neighbour:   cfg.Neighbour,
		Watch:       cfg.Watch,
	}
}

// Call is one API call, for Config.Journal, Before and After.
type Call = kernel.Call

// AuthorizedCall is a call with the requests to IAM that it causes, for Config.Watch.
type AuthorizedCall = kernel.AuthorizedCall

// Faults are what goes wrong, beyond what a request deserves.
type Faults = kernel.Faults

// TaskFaults are what goes wrong with new tasks.
type TaskFaults = kernel.TaskFaults

// Latencies are how long AWS takes for what is instant here.
type Latencies = kernel.Latencies

// ParseFaults reads faults from JSON. A field that does not exist, a share
// outside 0 to 1 and a negative number are errors.
func ParseFaults(r io.Reader) (Faults, error) { return kernel.ParseFaults(r) }

// TypicalLatencies are AWS's own; see kernel.TypicalLatencies.
func TypicalLatencies() Latencies { return kernel.TypicalLatencies() }

// Cloud is one account in one region.
type Cloud struct {
	kernel   *kernel.Kernel
	cfg      Config
	runtimes Runtimes
	storage  fileServices
	lock     *os.File     // held while open: one cloud per state directory
	admin    http.Handler // serves /_bookctl/
	server   *http.Server // nil where nothing listens

	services
}

// Faults are those in force.
func (c *Cloud) Faults() Faults { return c.kernel.Faults() }

// SetFaults replaces the faults and begins to count calls again.
func (c *Cloud) SetFaults(f Faults) { c.kernel.SetFaults(f) }

// Endpoint is the address of all services, such as "http://127.0.0.1:4567".
func (c *Cloud) Endpoint() string { return c.kernel.Endpoint() }
