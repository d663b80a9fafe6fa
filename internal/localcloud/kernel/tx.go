package kernel

import (
	"context"
	"sync/atomic"
	"time"
)

// Tx is a transaction: the right to read and change the state. There is one at a
// time, made by Update, View and the dispatch of a call, and it is over when they
// return: a Tx, or a pointer into a Store, must not be kept longer.
type Tx struct {
	*Env
	kernel  *Kernel
	key     string // the access key of the call that it is for, if any
	over    atomic.Bool
	changed bool
}

// Update runs f in a transaction and saves the state. It must not be called
// within another one.
func (k *Kernel) Update(f func(*Tx)) {
	k.View(func(tx *Tx) {
		f(tx)
		tx.Changed()
	})
}

// View runs f in a transaction, and saves the state only if f says that it has
// changed.
func (k *Kernel) View(f func(*Tx)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	tx := &Tx{Env: k.Env, kernel: k}
	defer func() {
		tx.over.Store(true)
		if tx.changed || k.dirty {
			k.save()
		}
	}()
	f(tx)
}

// Changed has the state saved at the end of the transaction.
func (tx *Tx) Changed() { tx.changed = true }

// Go is Kernel.Go. f has no transaction, and gets one only after this one.
func (tx *Tx) Go(f func(ctx context.Context)) { tx.kernel.Go(f) }

// Started is when the cloud was opened.
func (tx *Tx) Started() time.Time { return tx.kernel.started }

// Store is a service's part of the state, of which there is one value. Only a
// transaction reaches it.
type Store[T any] struct {
	kernel *Kernel
	value  T
}

// Saved makes a store that is kept under that name in the state file. It is to
// be made before Load.
func Saved[T any](k *Kernel, name string) *Store[T] {
	s := &Store[T]{kernel: k}
	k.stores[name] = s
	return s
}

// Live makes a store of what runs behind the state, and is started anew after a
// restart.
func Live[T any](k *Kernel) *Store[T] { return &Store[T]{kernel: k} }

// In is the store's value within a transaction.
func (s *Store[T]) In(tx *Tx) *T {
	if tx.kernel != s.kernel || tx.over.Load() {
		panic("the state was used outside of its transaction")
	}
	return &s.value
}

// saved is a store for the state file.
type saved interface{ pointer() any }

func (s *Store[T]) pointer() any { return &s.value }
