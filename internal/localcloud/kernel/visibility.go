package kernel

import "time"

// hiddenResource is when a resource that is not visible yet was created, and for how many
// more reads it is invisible.
type hiddenResource struct {
	at    time.Time
	reads int
}

// Created records that a resource was created now. Every operation that creates one
// calls it.
func (tx *Tx) Created(id string) {
	f := tx.Faults()
	if f.HiddenReads > 0 || f.HiddenSeconds > 0 {
		tx.kernel.hidden[id] = hiddenResource{at: time.Now(), reads: f.HiddenReads}
	}
}

// Visible reports whether a read returns the resource. Each call of it counts as a
// read.
func (tx *Tx) Visible(id string) bool {
	hidden := tx.kernel.hidden
	b, ok := hidden[id]
	if !ok {
		return true
	}
	f := tx.Faults()
	if b.reads > 0 && f.HiddenReads > 0 {
		b.reads--
		hidden[id] = b
		return false
	}
	if time.Since(b.at) < Seconds(f.HiddenSeconds) {
		return false
	}
	delete(hidden, id)
	return true
}
