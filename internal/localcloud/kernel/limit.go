package kernel

import (
	"reflect"
	"slices"
	"strings"
	"time"
)

// Limits are the token buckets by which a service limits the requests of an account in
// a region. Every request takes one token; without one it is rejected.
type Limits struct {
	// Account is a bucket that all operations share, alongside their own. A zero
	// capacity means that there is none.
	Account Bucket
	// Classes are the classes of operations. The first one that names an operation
	// applies; an operation in none of them is not limited.
	Classes []LimitClass
}

// Bucket is the size of a token bucket.
type Bucket struct {
	// Capacity is the number of tokens that a full bucket holds.
	Capacity float64
	// Refill is the number of tokens that are added each second.
	Refill float64
}

// LimitClass is a class of operations with the same limit.
type LimitClass struct {
	Bucket
	// Operations are names of operations, or beginnings of names with a final "*".
	Operations []string
	// Each means that each operation has a bucket of its own. Otherwise all
	// operations of the class share one.
	Each bool
	// Unfiltered limits the class to requests without a filter and without a page
	// size.
	Unfiltered bool
}

// names reports whether a class applies to a request.
func (c LimitClass) names(operation string, input any) bool {
	return slices.ContainsFunc(c.Operations, func(name string) bool {
		beginning, more := strings.CutSuffix(name, "*")
		return name == operation || more && strings.HasPrefix(operation, beginning)
	}) && (!c.Unfiltered || !given(input, "Filters") && !given(input, "MaxResults"))
}

// given reports whether a member of an operation's input is set.
func given(input any, member string) bool {
	f := reflect.ValueOf(input).Elem().FieldByName(member)
	return f.IsValid() && !f.IsZero()
}

// tokens is what a bucket holds. Its time is that of the latencies: with a Scale of
// 0.25 it is refilled four times as fast.
type tokens struct {
	left float64
	at   time.Time // when left was right
}

// take takes a token from each bucket that a request needs one from. It returns false,
// and takes none, if one of them is empty.
func (k *Kernel) take(s Service, operation string, input any) bool {
	if !k.cfg.Throttle {
		return true
	}
	type need struct {
		key  string
		size Bucket
	}
	var needs []need
	if s.Limits.Account.Capacity > 0 {
		needs = append(needs, need{s.Signing, s.Limits.Account})
	}
	for _, c := range s.Limits.Classes {
		if !c.names(operation, input) {
			continue
		}
		key := s.Signing + " " + c.Operations[0]
		if c.Each {
			key = s.Signing + " " + operation
		}
		if c.Unfiltered {
			key += " unfiltered"
		}
		needs = append(needs, need{key, c.Bucket})
		break
	}
	k.bucketsMu.Lock()
	defer k.bucketsMu.Unlock()
	now, free := time.Now(), true
	for _, n := range needs {
		free = k.refill(n.key, n.size, now).left >= 1 && free
	}
	if !free {
		return false
	}
	for _, n := range needs {
		k.buckets[n.key].left--
	}
	return true
}

// refill returns a bucket as it is now. The neighbour's share of it is missing.
func (k *Kernel) refill(key string, size Bucket, now time.Time) *tokens {
	share := 1 - k.cfg.Neighbour
	capacity := max(1, size.Capacity*share)
	b := k.buckets[key]
	if b == nil {
		b = &tokens{left: capacity, at: now}
		k.buckets[key] = b
	}
	if second := k.Scaled(time.Second); second > 0 {
		b.left = min(capacity, b.left+size.Refill*share*float64(now.Sub(b.at))/float64(second))
	}
	b.at = now
	return b
}
