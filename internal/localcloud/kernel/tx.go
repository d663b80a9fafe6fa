package kernel

import (
	"context"
	"sync/atomic"
	"time"
)

// Tx is a transaction: the right to read and change the state. Only one exists at a
// time. Update, View and every API call begin one, and it is over when they return: a
// Tx, or a pointer into a Store, must not be used after that.
type Tx struct {
	*Env
	kernel        *Kernel
	key           string // the access key of its API call, if any
	requestRegion string // the region that its API call is for
	over          atomic.Bool
	changed       bool
}

// RequestRegion is the region that the API call is for; see Service.CrossRegion.
func (tx *Tx) RequestRegion() string { return tx.requestRegion }

// Update runs f in a transaction and saves the state. It must not be called within
// another transaction.
func (k *Kernel) Update(f func(*Tx)) {
	k.View(func(tx *Tx) {
		f(tx)
		tx.Changed()
	})
}

// View runs f in a transaction, and saves the state only if f calls Changed.
func (k *Kernel) View(f func(*Tx)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	tx := &Tx{Env: k.Env, kernel: k}
	defer func() {
		tx.over.Store(true)
		if tx.changed || k.saveFailed {
			k.save()
		}
	}()
	f(tx)
}

// Changed makes the kernel save the state at the end of the transaction.
func (tx *Tx) Changed() { tx.changed = true }

// Go is Kernel.Go. F runs outside of this transaction; a transaction that it begins
// waits for the end of this one.
func (tx *Tx) Go(f func(ctx context.Context)) { tx.kernel.Go(f) }

// Started is when the cloud was started.
func (tx *Tx) Started() time.Time { return tx.kernel.started }

// Store is one service's part of the state: a single value that only a transaction can
// reach.
type Store[T any] struct {
	kernel *Kernel
	value  T
}

// Saved returns a store that is saved under that name in the state file. It must be
// called before Load.
func Saved[T any](k *Kernel, name string) *Store[T] {
	s := &Store[T]{kernel: k}
	k.stores[name] = s
	return s
}

// Unsaved returns a store that is not saved. It is for what runs, such as processes,
// which are started again after a restart.
func Unsaved[T any](k *Kernel) *Store[T] { return &Store[T]{kernel: k} }

// In returns the value of the store within a transaction.
func (s *Store[T]) In(tx *Tx) *T {
	if tx.kernel != s.kernel || tx.over.Load() {
		panic("the state was used outside of its transaction")
	}
	return &s.value
}

// savedStore is a store in the state file.
type savedStore interface{ pointer() any }

func (s *Store[T]) pointer() any { return &s.value }
