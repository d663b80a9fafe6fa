package provision

import (
	"context"
	"errors"
	"sync"
	"time"

	scalingtypes "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling/types"
	cwtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	rdstypes "github.com/aws/aws-sdk-go-v2/service/rds/types"

	"github.com/bookctl/bookctl/internal/provision/graph"
)

// observation is what a run reads before it changes anything: each kind of resource once, for
// all who need it. ReadDeployed reads into it, and so do the resources of the same run while
// the engine observes them. What was read is never changed. After that the resources read
// again, so that nothing is waited for in what was read before it happened. Its zero value
// has read nothing.
type observation struct {
	service       reading[*ecstypes.Service]
	cluster       reading[*ecstypes.Cluster]
	definition    reading[revision]
	loadBalancing reading[loadBalancing]
	scaling       reading[[]scalingtypes.ScalableTarget]
	alarms        reading[map[string]cwtypes.MetricAlarm]
	instance      reading[*rdstypes.DBInstance]
	role          reading[*iamtypes.Role] // the execution role
	linkedRoles   reading[[]iamtypes.Role]
	logGroups     reading[[]types.LogGroup]
	certificates  reading[[]ownCertificate]
	vpcs          reading[[]ec2types.Vpc]
	subnets       reading[[]ec2types.Subnet]
	tables        reading[[]ec2types.RouteTable]
	gateways      reading[[]ec2types.InternetGateway]
	given         reading[GivenNetwork]

	deployed readings[revision] // of what a service runs, by its ARN

	secrets readings[*foundSecret] // by their names

	// Of a VPC, by its id.
	groups readings[[]ec2types.SecurityGroup]
	acls   readings[[]ec2types.NetworkAcl]
}

// observed is the observation of the run that a resource is part of. Outside of a run
// nothing was read.
func (i identity) observed() *observation {
	if i.observation == nil {
		return &observation{}
	}
	return i.observation
}

// observationAge is how long an observation is good for. Whoever waited for longer, for a
// lock or an answer to a question, has to read again.
const observationAge = 30 * time.Second

// reading is a kind of resource in an observation.
type reading[T any] struct {
	mu       sync.Mutex
	observed *sharedRead[T] // nil before the first one asks
	next     *sharedRead[T] // which is not sent yet; who comes now shares it
	took     time.Duration  // the last one
}

// sharedRead is a call and its answer, once done is closed.
type sharedRead[T any] struct {
	done chan struct{}
	what T
	err  error
	at   time.Time
	// givenUp reports whether who made the call gave it up.
	givenUp bool
}

// get returns what read returns. While the engine observes, that is called once.
func (r *reading[T]) get(ctx context.Context, read func(context.Context) (T, error)) (T, error) {
	if !graph.Observing(ctx) {
		return read(ctx)
	}
	return r.observe(ctx, read)
}

// seen returns what was observed, and the zero value where nothing was.
func (r *reading[T]) seen() (what T) {
	r.mu.Lock()
	s := r.observed
	r.mu.Unlock()
	if s == nil || !s.over() || s.err != nil {
		return what
	}
	return s.what
}

// note stores what somebody has just read otherwise, as the first observation.
func (r *reading[T]) note(what T) {
	s := newSharedRead[T]()
	s.what, s.at = what, time.Now()
	close(s.done)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.observed == nil {
		r.observed = s
	}
}

// recent is seen, but of what is still good.
func (r *reading[T]) recent() (what T) {
	r.mu.Lock()
	s := r.observed
	r.mu.Unlock()
	if s == nil || !s.over() || time.Since(s.at) > observationAge {
		return what
	}
	return r.seen()
}

// getTogether is get of what many resources read: those who read again at the same time
// share a call, too.
func (r *reading[T]) getTogether(ctx context.Context, read func(context.Context) (T, error)) (T, error) {
	if !graph.Observing(ctx) {
		return r.share(ctx, read)
	}
	return r.observe(ctx, read)
}

// observe reads what was not observed yet, or too long ago. An error is for those who
// wait for it, and who asks later tries again.
func (r *reading[T]) observe(ctx context.Context, read func(context.Context) (T, error)) (T, error) {
	for {
		r.mu.Lock()
		s := r.observed
		if s == nil || s.over() && (s.err != nil || time.Since(s.at) > observationAge) {
			s = newSharedRead[T]()
			r.observed = s
			r.mu.Unlock()
			s.carryOut(ctx, read)
			return s.what, s.err
		}
		r.mu.Unlock()
		if what, ended, err := s.wait(ctx); ended {
			return what, err
		}
	}
}

// share reads again, together with all who come until the call is sent.
func (r *reading[T]) share(ctx context.Context, read func(context.Context) (T, error)) (T, error) {
	for {
		r.mu.Lock()
		s := r.next
		if s == nil {
			s = newSharedRead[T]()
			r.next = s
			gathering := max(shortestGathering, r.took/2)
			r.mu.Unlock()
			s.carryOut(ctx, func(ctx context.Context) (what T, err error) {
				err = graph.Sleep(ctx, gathering)
				r.mu.Lock()
				r.next = nil
				r.mu.Unlock()
				if err != nil {
					return what, err
				}
				begun := time.Now()
				what, err = read(ctx)
				r.mu.Lock()
				r.took = time.Since(begun)
				r.mu.Unlock()
				return what, err
			})
			return s.what, s.err
		}
		r.mu.Unlock()
		if what, ended, err := s.wait(ctx); ended {
			return what, err
		}
	}
}

// shortestGathering is how long a call waits at least for others who want the same.
const shortestGathering = time.Millisecond

func newSharedRead[T any]() *sharedRead[T] { return &sharedRead[T]{done: make(chan struct{})} }

func (s *sharedRead[T]) carryOut(ctx context.Context, read func(context.Context) (T, error)) {
	defer close(s.done)
	s.err = errUnread // for those who wait, where read panics
	s.what, s.err = read(ctx)
	s.at, s.givenUp = time.Now(), ctx.Err() != nil
}

// errUnread is the error of a call that ended without an answer. Who waits for it must not
// take that for an answer that there is nothing.
var errUnread = errors.New("the call ended without an answer")

func (s *sharedRead[T]) over() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// wait waits for the answer to a call that somebody else makes. Where that one gave it up,
// it does not end for who waits.
func (s *sharedRead[T]) wait(ctx context.Context) (what T, ended bool, err error) {
	select {
	case <-s.done:
		return s.what, !s.givenUp, s.err
	case <-ctx.Done():
		return what, true, context.Cause(ctx) // the call may still be about to answer
	}
}

// readings are those of a kind of which each has to be asked for by an id.
type readings[T any] struct {
	mu sync.Mutex
	by map[string]*reading[T]
}

func (r *readings[T]) of(id string) *reading[T] {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.by == nil {
		r.by = map[string]*reading[T]{}
	}
	if r.by[id] == nil {
		r.by[id] = &reading[T]{}
	}
	return r.by[id]
}
