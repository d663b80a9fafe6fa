package runlock

import (
	"context"
	"errors"
	"time"
)

// Store holds the records of one stack's lock: short texts by name. Create is its
// only atomic operation; nothing else is required of it.
//
// Reads may miss a record that was just created. They never return a value that
// was overwritten before the record was read.
type Store interface {
	// Create stores a record under a name that has none. Of several that create
	// the same name, one succeeds. The error wraps ErrExists when there is such a
	// record, and ErrBusy when the name can't be written just now.
	Create(ctx context.Context, name, value string) error
	// Overwrite stores a record whether or not there is one of that name. The
	// error wraps ErrBusy when the name can't be written just now.
	Overwrite(ctx context.Context, name, value string) error
	// Get returns the records that exist, by name, and the time of the store's own
	// clock. A zero time means that it is not known, and then no lock counts as
	// expired.
	Get(ctx context.Context, names ...string) (map[string]Record, time.Time, error)
	// List returns the names of all records.
	List(ctx context.Context) ([]string, error)
	// Delete removes records. A name without a record is no error.
	Delete(ctx context.Context, names ...string) error
	// Unreadable is the error for a record that no lock has written. It says where
	// the record is and what to do about it.
	Unreadable() error
}

// Record is a stored text.
type Record struct {
	Value string
	// Modified is when it was last written, by the store's own clock.
	Modified time.Time
}

var (
	// ErrExists is wrapped by the error of a Create whose name is taken.
	ErrExists = errors.New("a record of that name exists")
	// ErrBusy is wrapped by the error of a write that may succeed when it is tried
	// again: another one of the same name is in progress, or the name was deleted
	// a moment ago.
	ErrBusy = errors.New("the record is being written")
)
