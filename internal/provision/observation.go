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
	loadBalancing reading[elbObservation]
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
	existingVPC   reading[VPCInfo]

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

// observationAge is how long an observation is good for. A run that waited longer, for a
// lock or for an answer to a question, reads again.
const observationAge = 30 * time.Second

// reading is a kind of resource in an observation.
type reading[T any] struct {
	mu       sync.Mutex
	observed *sharedRead[T] // nil before the first call
	next     *sharedRead[T] // a call that is not sent yet, so that later callers can share it
	took     time.Duration  // how long the last call took
}

// sharedRead is a call and its answer, once done is closed.
type sharedRead[T any] struct {
	done  chan struct{}
	value T
	err   error
	at    time.Time
	// abandoned means that the context of the caller ended, so that there is no answer for others.
	abandoned bool
}

// readOnce returns what read returns. While the engine observes, it calls read once.
func (r *reading[T]) readOnce(ctx context.Context, read func(context.Context) (T, error)) (T, error) {
	if !graph.Observing(ctx) {
		return read(ctx)
	}
	return r.observe(ctx, read)
}

// observedValue returns what was observed, and the zero value where nothing was.
func (r *reading[T]) observedValue() (value T) {
	r.mu.Lock()
	s := r.observed
	r.mu.Unlock()
	if s == nil || !s.over() || s.err != nil {
		return value
	}
	return s.value
}

// preload stores a value that another call has just returned, as the first observation.
func (r *reading[T]) preload(value T) {
	s := newSharedRead[T]()
	s.value, s.at = value, time.Now()
	close(s.done)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.observed == nil {
		r.observed = s
	}
}

// freshValue returns what was observed within observationAge, else the zero value.
func (r *reading[T]) freshValue() (value T) {
	r.mu.Lock()
	s := r.observed
	r.mu.Unlock()
	if s == nil || !s.over() || time.Since(s.at) > observationAge {
		return value
	}
	return r.observedValue()
}

// readShared is like readOnce, but callers that read again at the same time share a call, too.
// It is for what many resources read.
func (r *reading[T]) readShared(ctx context.Context, read func(context.Context) (T, error)) (T, error) {
	if !graph.Observing(ctx) {
		return r.share(ctx, read)
	}
	return r.observe(ctx, read)
}

// observe reads what was not observed yet, or too long ago. Callers that wait get the error;
// a later caller tries again.
func (r *reading[T]) observe(ctx context.Context, read func(context.Context) (T, error)) (T, error) {
	for {
		r.mu.Lock()
		s := r.observed
		if s == nil || s.over() && (s.err != nil || time.Since(s.at) > observationAge) {
			s = newSharedRead[T]()
			r.observed = s
			r.mu.Unlock()
			s.send(ctx, read)
			return s.value, s.err
		}
		r.mu.Unlock()
		if value, ended, err := s.wait(ctx); ended {
			return value, err
		}
	}
}

// share reads again. All callers that come before the call is sent share its answer.
func (r *reading[T]) share(ctx context.Context, read func(context.Context) (T, error)) (T, error) {
	for {
		r.mu.Lock()
		s := r.next
		if s == nil {
			s = newSharedRead[T]()
			r.next = s
			gathering := max(minGatherTime, r.took/2)
			r.mu.Unlock()
			s.send(ctx, func(ctx context.Context) (value T, err error) {
				err = graph.Sleep(ctx, gathering)
				r.mu.Lock()
				r.next = nil
				r.mu.Unlock()
				if err != nil {
					return value, err
				}
				begun := time.Now()
				value, err = read(ctx)
				r.mu.Lock()
				r.took = time.Since(begun)
				r.mu.Unlock()
				return value, err
			})
			return s.value, s.err
		}
		r.mu.Unlock()
		if value, ended, err := s.wait(ctx); ended {
			return value, err
		}
	}
}

// minGatherTime is how long a call waits at least, so that others can share it.
const minGatherTime = time.Millisecond

func newSharedRead[T any]() *sharedRead[T] { return &sharedRead[T]{done: make(chan struct{})} }

// send makes the call.
func (s *sharedRead[T]) send(ctx context.Context, read func(context.Context) (T, error)) {
	defer close(s.done)
	s.err = errUnread // for callers that wait, if read panics
	s.value, s.err = read(ctx)
	s.at, s.abandoned = time.Now(), ctx.Err() != nil
}

// errUnread is the error of a call that ended without an answer. Without it, callers that wait
// would take the zero value for an answer.
var errUnread = errors.New("the call ended without an answer")

func (s *sharedRead[T]) over() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// wait waits for the answer to a call that another caller makes. Ended is false if that caller
// abandoned the call.
func (s *sharedRead[T]) wait(ctx context.Context) (value T, ended bool, err error) {
	select {
	case <-s.done:
		return s.value, !s.abandoned, s.err
	case <-ctx.Done():
		return value, true, context.Cause(ctx) // the call may still be about to answer
	}
}

// readings are the readings of a kind of resource that is read by id.
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
