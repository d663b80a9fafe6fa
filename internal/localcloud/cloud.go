package localcloud

import (
	"context"
	"crypto/cipher"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/bookctl/bookctl/internal/localcloud/access"
	"github.com/bookctl/bookctl/internal/localcloud/authority"
	"github.com/bookctl/bookctl/internal/localcloud/postgres"
	"github.com/bookctl/bookctl/internal/localcloud/registry"
	"github.com/bookctl/bookctl/internal/localcloud/task"
)

// Config says where a cloud lives and how it behaves. Only StateDir is
// required.
type Config struct {
	// StateDir holds everything that survives a restart.
	StateDir string
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
	// Log is where the cloud reports on itself; nil discards.
	Log *slog.Logger
	// Journal is told of every call after it; nil for nobody. It may be called
	// by several goroutines at once, as may Before and After.
	Journal func(Call)
	// Policies, if not nil, are what the deployer may do: all callers but the
	// tasks, which have roles, and those with the access key "root".
	Policies []access.Policy
	// Watch is told what each judged call asks of IAM, before it is done; nil for
	// nobody. It is called with the cloud locked, and must not call it.
	Watch func(Asked)
	// Before and After are asked before and after the work of each call. Their
	// error ends the connection without an answer, as a crash on the way would.
	Before, After func(Call) error
}

// Cloud is one account in one region.
type Cloud struct {
	cfg       Config
	log       *slog.Logger
	authority *authority.Authority
	engine    *postgres.Engine
	images    *task.Images
	registry  *registry.Registry
	handlers  map[string]service // by signing name
	lock      *os.File           // held while open: one cloud per state directory
	seals     cipher.AEAD        // of the secrets in the state
	server    *http.Server
	port      int
	started   time.Time

	ctx    context.Context // ends at Close
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu    sync.Mutex // held by every operation
	state state
	live  live
	dirty bool
	// hidden are the new things that reads don't show yet, by id.
	hidden map[string]birth
	// ghosts are tagged things that were, by ARN; see Faults.TagGhosts.
	ghosts map[string]map[string]string

	faulty sync.Mutex // guards what follows; taken with or without mu
	faults Faults
	calls  map[string]uint64 // by action, since the faults were set
	total  int
}

// spawn runs f beside the operations until it ends or the cloud is closed,
// which ends ctx and waits for f. f must not hold the lock while it blocks.
func (c *Cloud) spawn(f func(ctx context.Context)) {
	c.work.Go(func() { f(c.ctx) })
}

// update runs f with the lock held and saves the state.
func (c *Cloud) update(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
	c.dirty = true
	c.save()
}

// read runs f with the lock held.
func (c *Cloud) read(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
}

// newID makes an id as EC2 does: the prefix, a hyphen and 17 hexadecimal digits.
func newID(prefix string) string { return prefix + "-0" + hexDigits(16) }

// hexDigits is n random hexadecimal digits; n is even.
func hexDigits(n int) string {
	b := make([]byte, n/2)
	_, _ = rand.Read(b) // never fails: https://pkg.go.dev/crypto/rand#Read
	return hex.EncodeToString(b)
}

// arn names a thing of this account and region.
func (c *Cloud) arn(service, resource string) string {
	region, account := c.cfg.Region, c.cfg.Account
	switch service {
	case "iam", "sts":
		region = "" // they are global
	case "route53":
		region, account = "", ""
	}
	return fmt.Sprintf("arn:%s:%s:%s:%s:%s", partitionOf(c.cfg.Region).name, service, region, account, resource)
}

// partition is a part of AWS with accounts of its own.
type partition struct {
	name string
	// global is the region that its services without regions sign for.
	global string
}

// partitions are by how the names of their regions begin
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html); all
// other regions are of the partition "aws".
var partitions = map[string]partition{
	"cn-":      {"aws-cn", "cn-north-1"},
	"eusc-":    {"aws-eusc", "eusc-de-east-1"},
	"us-gov-":  {"aws-us-gov", "us-gov-west-1"},
	"us-iso-":  {"aws-iso", "us-iso-east-1"},
	"us-isob-": {"aws-iso-b", "us-isob-east-1"},
	"eu-isoe-": {"aws-iso-e", "eu-isoe-west-1"},
	"us-isof-": {"aws-iso-f", "us-isof-south-1"},
}

func partitionOf(region string) partition {
	for prefix, p := range partitions {
		if strings.HasPrefix(region, prefix) {
			return p
		}
	}
	return partition{"aws", "us-east-1"}
}

// now is the time that goes into states, without the monotonic part, which a
// saved state loses.
func (c *Cloud) now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }
