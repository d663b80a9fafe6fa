package provision

import (
	"context"
	"sync"
	"time"

	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	rdstypes "github.com/aws/aws-sdk-go-v2/service/rds/types"

	"github.com/bookctl/bookctl/internal/provision/graph"
)

// batch answers the first look at each of several things of one kind from one
// call for all of them. Every later look at a thing reads anew, so that nothing
// is waited for in what was read before it happened; those that come at the same time
// share a call.
type batch[T any] struct {
	read func(context.Context) ([]T, error)

	mu   sync.Mutex
	next *sharedRead[T] // which is not sent yet; who comes now shares it
	took time.Duration  // the last one

	// turn is full while somebody has the fields below. It is a channel because a
	// call is made meanwhile: who waits for that ends with the context.
	turn  chan struct{}
	had   bool
	all   []T
	err   error // of that call, which all first looks share
	asked map[string]bool
}

func newBatch[T any](read func(context.Context) ([]T, error)) *batch[T] {
	return &batch[T]{read: read, turn: make(chan struct{}, 1), asked: map[string]bool{}}
}

// look returns all things of the kind, for the resource called who.
func (s *batch[T]) look(ctx context.Context, who string) ([]T, error) {
	all, first, err := s.first(ctx, who)
	if !first {
		return s.share(ctx)
	}
	return all, err
}

// sharedRead is a call and its answer, once done is closed.
type sharedRead[T any] struct {
	done chan struct{}
	all  []T
	err  error
	// givenUp says that who made the call gave it up.
	givenUp bool
}

// share reads anew, together with all who come until the call is sent.
func (s *batch[T]) share(ctx context.Context) ([]T, error) {
	for {
		s.mu.Lock()
		r := s.next
		if r == nil {
			r = &sharedRead[T]{done: make(chan struct{})}
			s.next = r
			pause := max(shortestGathering, s.took/2)
			s.mu.Unlock()
			s.carryOut(ctx, r, pause)
			return r.all, r.err
		}
		s.mu.Unlock()
		select {
		case <-r.done:
			if !r.givenUp {
				return r.all, r.err
			}
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// shortestGathering is how long a call waits at least for others who want the same.
const shortestGathering = time.Millisecond

func (s *batch[T]) carryOut(ctx context.Context, r *sharedRead[T], gathering time.Duration) {
	defer close(r.done)
	err := graph.Sleep(ctx, gathering)
	s.mu.Lock()
	s.next = nil
	s.mu.Unlock()
	if err == nil {
		begun := time.Now()
		r.all, err = s.read(ctx)
		s.mu.Lock()
		s.took = time.Since(begun)
		s.mu.Unlock()
	}
	r.err, r.givenUp = err, ctx.Err() != nil
}

// first returns all things of the kind if this is who's first look.
func (s *batch[T]) first(ctx context.Context, who string) (all []T, first bool, err error) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }() // those who come meanwhile wait for the answer
	case <-ctx.Done():
		return nil, true, context.Cause(ctx)
	}
	if s.asked[who] {
		return nil, false, nil
	}
	s.asked[who] = true
	if !s.had {
		s.all, s.err = s.read(ctx)
		s.had = true
	}
	return s.all, true, s.err
}

// vpcBatch is a batch of things of the stack's VPC, which each who looks has to know.
type vpcBatch[T any] struct {
	of   func(context.Context, string) ([]T, error)
	mu   sync.Mutex
	vpcs map[string]*batch[T]
}

func newVPCBatch[T any](of func(ctx context.Context, vpc string) ([]T, error)) *vpcBatch[T] {
	return &vpcBatch[T]{of: of, vpcs: map[string]*batch[T]{}}
}

// look returns all things of the kind in a VPC, for the resource called who; none where
// there is no VPC.
func (b *vpcBatch[T]) look(ctx context.Context, who, vpc string) ([]T, error) {
	if vpc == "" {
		return nil, nil
	}
	b.mu.Lock()
	in := b.vpcs[vpc]
	if in == nil {
		in = newBatch(func(ctx context.Context) ([]T, error) { return b.of(ctx, vpc) })
		b.vpcs[vpc] = in
	}
	b.mu.Unlock()
	return in.look(ctx, who)
}

// cached is what ReadDeployed saw of one thing. The first look of the resource
// takes it instead of asking again, if that is moments later.
type cached[T any] struct {
	mu   sync.Mutex
	what T
	at   time.Time
}

// cacheAge is how long a cached value is good for. Whoever waited for longer, for a
// lock or an answer to a question, has to look again.
const cacheAge = 30 * time.Second

func (g *cached[T]) put(what T) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.what, g.at = what, time.Now()
}

// take returns what was seen, once. A nil cached value sees nothing.
func (g *cached[T]) take() (what T, ok bool) {
	if g == nil {
		return what, false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if time.Since(g.at) > cacheAge {
		return what, false
	}
	g.at = time.Time{}
	return g.what, true
}

// peek returns what was seen, and leaves it for take.
func (g *cached[T]) peek() (what T, ok bool) {
	if g == nil {
		return what, false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.what, time.Since(g.at) <= cacheAge
}

// glances are what ReadDeployed saw. Its zero value has seen nothing.
type glances struct {
	service    cached[*ecstypes.Service]
	cluster    cached[*ecstypes.Cluster] // where there is no service
	definition cached[revision]
	balancer   cached[balancer]
	targets    cached[targets]
	instance   cached[*rdstypes.DBInstance]
	subnets    cached[[]ec2types.Subnet]
	role       cached[*iamtypes.Role]       // the execution role
	tags       map[string]map[string]string // by ARN; see HintTags
	uses       struct{ ecs, elb, rds bool } // the stack has things of the service
}
