package runlock

import (
	"context"
	"errors"
	"time"
)

// Store holds the records of one stack's lock: short texts by name. Only Create has
// to be atomic.
//
// A read may miss a record that was just created. It must not return a value that
// was overwritten before the read began.
type Store interface {
	// Create stores a record under a name that does not exist. If several callers
	// create the same name, one succeeds. The error wraps ErrExists if the name
	// exists, and ErrBusy if the name can't be written at the moment.
	Create(ctx context.Context, name, value string) error
	// Overwrite stores a record, whether or not the name exists. The error wraps
	// ErrBusy if the name can't be written at the moment.
	Overwrite(ctx context.Context, name, value string) error
	// Get returns the records that exist, by name, and the time of the store's own
	// clock. A zero time means that the time is not known; then no lock counts as
	// expired.
	Get(ctx context.Context, names ...string) (map[string]Record, time.Time, error)
	// List returns the names of all records.
	List(ctx context.Context) ([]string, error)
	// Delete deletes records. A name without a record is no error.
	Delete(ctx context.Context, names ...string) error
	// Unreadable returns the error for a record that was not written by a lock. It
	// says where the record is and what to do about it.
	Unreadable() error
}

// Record is a stored text.
type Record struct {
	Value string
	// Modified is when it was last written, by the store's own clock.
	Modified time.Time
}

var (
	// ErrExists is wrapped by the error of a Create whose name exists.
	ErrExists = errors.New("a record of that name exists")
	// ErrBusy is wrapped by the error of a write that may succeed if it is retried:
	// another write of the same name is in progress, or the name was deleted a
	// moment ago.
	ErrBusy = errors.New("the record is being written")
)
