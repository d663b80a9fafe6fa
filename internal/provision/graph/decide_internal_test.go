package graph

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/bookctl/bookctl/internal/hint"
)

// sentTimes is the memory of changes that the service accepted so many times.
func sentTimes(n int, changes ...Change) accepted {
	var a accepted
	for range n {
		a.add(changes)
	}
	return a
}

// TestWhatUpDoesNext has what a step of Up reads and remembers, and what it does.
func TestWhatUpDoesNext(t *testing.T) {
	t.Parallel()
	const delay = 15 * time.Second
	count, exec := Change{Field: "count", Have: "1", Want: "3"}, Change{Field: "exec", Have: "false", Want: "true"}
	never := Change{Field: "engine", Have: "15", Want: "17", Blocked: "it can't go back"}
	ready := func(drift ...Change) State { return State{Phase: Ready, Owner: "us", Drift: drift} }
	for name, c := range map[string]struct {
		st   State
		m    upMemory
		act  act
		note string // or words of the error
		op   string
		is   error
	}{
		"not there":                        {st: State{Phase: Absent}, act: create},
		"an option that nobody chose":      {st: State{Phase: Absent, Unwanted: true}, act: finish},
		"just created":                     {st: State{Phase: Absent}, m: upMemory{created: true, sinceCall: time.Second}, act: pause, note: "not visible yet"},
		"created, and late":                {st: State{Phase: Absent}, m: upMemory{created: true, sinceCall: totalResendDelay(delay)}, act: pause, note: "not visible yet"},
		"created, and never visible":       {st: State{Phase: Absent}, m: upMemory{created: true, sinceCall: totalResendDelay(delay) + 1}, act: fail, op: "wait", is: ErrNotShown},
		"no answer to the create call":     {st: State{Phase: Absent}, m: upMemory{maybeCreated: "no answer", sinceCall: delay}, act: pause, note: "no answer"},
		"no answer, and not there":         {st: State{Phase: Absent}, m: upMemory{maybeCreated: "no answer", sinceCall: delay + 1}, act: create},
		"on its way":                       {st: State{Phase: Pending, Owner: "us", Note: "backing-up"}, act: pause, note: "backing-up"},
		"on its way, with drift":           {st: State{Phase: Pending, Owner: "us", Drift: []Change{count}}, m: upMemory{updatable: true}, act: pause},
		"being deleted":                    {st: State{Phase: Terminating, Owner: "us", Note: "deleting"}, act: pause, note: "deleting"},
		"somebody else's, being deleted":   {st: State{Phase: Terminating, Owner: "them"}, act: pause},
		"somebody else's":                  {st: State{Phase: Ready, Owner: "them", Next: hint.New("rename it")}, act: fail, op: "own", is: ErrUnmanaged},
		"somebody else's, on its way":      {st: State{Phase: Pending, Owner: "them"}, act: fail, op: "own", is: ErrUnmanaged},
		"broken":                           {st: State{Phase: Unrecoverable, Owner: "us", Note: "no capacity"}, act: fail, op: "wait", is: ErrUnrecoverable, note: "no capacity"},
		"as it should be":                  {st: ready(), act: finish},
		"drift":                            {st: ready(count), m: upMemory{updatable: true}, act: update},
		"drift that requires replacement":  {st: ready(count, never), m: upMemory{updatable: true}, act: fail, op: "blocked", is: ErrBlocked, note: "it can't go back"},
		"drift of what can't be updated":   {st: ready(count), act: fail, op: "blocked", is: ErrBlocked, note: "count"},
		"drift that was just sent":         {st: ready(count), m: upMemory{updatable: true, updates: sentTimes(1, count), sinceCall: delay}, act: pause, note: "waiting for count"},
		"drift that does not show":         {st: ready(count), m: upMemory{updatable: true, updates: sentTimes(1, count), sinceCall: delay + 1}, act: update},
		"drift sent twice":                 {st: ready(count), m: upMemory{updatable: true, updates: sentTimes(2, count), sinceCall: 4 * delay}, act: pause, note: "waiting for count"},
		"drift sent three times":           {st: ready(count), m: upMemory{updatable: true, updates: sentTimes(3, count), sinceCall: 16 * delay}, act: pause, note: "waiting for count"},
		"drift that never shows":           {st: ready(count), m: upMemory{updatable: true, updates: sentTimes(3, count), sinceCall: 16*delay + 1, sinceUpdate: time.Minute}, act: fail, op: "update", is: ErrNotShown, note: "count: 1 → 3"},
		"other drift than what was sent":   {st: ready(exec), m: upMemory{updatable: true, updates: sentTimes(3, count)}, act: update},
		"more drift than what was sent":    {st: ready(count, exec), m: upMemory{updatable: true, updates: sentTimes(1, count)}, act: update},
		"the same drift with other values": {st: ready(Change{Field: "count", Have: "2", Want: "3"}), m: upMemory{updatable: true, updates: sentTimes(3, count)}, act: update},
	} {
		d := Options{Owner: "us", VisibilityDelay: delay}.nextUp(c.st, c.m)
		checkDecision(t, name, d, c.act, c.note, c.op, c.is)
		if !c.st.Next.Empty() && !hint.Of(d.err).Equal(c.st.Next) {
			t.Errorf("%s: the hint is %q", name, hint.Of(d.err))
		}
	}
}

// TestWhatDestroyDoesNext has what a step of Destroy reads and remembers, and what
// it does.
func TestWhatDestroyDoesNext(t *testing.T) {
	t.Parallel()
	const delay = 15 * time.Second
	for name, c := range map[string]struct {
		st   State
		m    removeMemory
		act  act
		note string
		op   string
		is   error
	}{
		"not there":                    {st: State{Phase: Absent}, act: finish},
		"there":                        {st: State{Phase: Ready, Owner: "us"}, act: remove},
		"there, and on its way":        {st: State{Phase: Pending, Owner: "us"}, act: remove},
		"there, and broken":            {st: State{Phase: Unrecoverable, Owner: "us"}, act: remove},
		"somebody else's":              {st: State{Phase: Ready, Owner: "them"}, act: leave},
		"being deleted":                {st: State{Phase: Terminating, Owner: "us", Note: "draining"}, act: pause, note: "draining"},
		"being deleted, asked thrice":  {st: State{Phase: Terminating, Owner: "us"}, m: removeMemory{tries: 3, sinceCall: time.Hour}, act: pause},
		"just asked to go":             {st: State{Phase: Ready, Owner: "us"}, m: removeMemory{tries: 1, sinceCall: delay}, act: pause},
		"asked to go, and still there": {st: State{Phase: Ready, Owner: "us"}, m: removeMemory{tries: 1, sinceCall: delay + 1}, act: remove},
		"asked three times":            {st: State{Phase: Ready, Owner: "us"}, m: removeMemory{tries: 3, sinceCall: 16 * delay}, act: pause},
		"never goes":                   {st: State{Phase: Ready, Owner: "us"}, m: removeMemory{tries: 3, sinceCall: 16*delay + 1}, act: fail, op: "delete", is: ErrNotShown},
	} {
		checkDecision(t, name, Options{Owner: "us", VisibilityDelay: delay}.nextRemove(c.st, c.m), c.act, c.note, c.op, c.is)
	}
}

func checkDecision(t *testing.T, name string, d decision, want act, note, op string, is error) {
	t.Helper()
	if d.act != want || d.op != op || !errors.Is(d.err, is) || (d.err == nil) != (is == nil) {
		t.Errorf("%s: %s %s (%v), want %s %s (%v)", name, d.act, d.op, d.err, want, op, is)
	}
	if d.err == nil && d.note != note || d.err != nil && !strings.Contains(d.err.Error(), note) {
		t.Errorf("%s: %q, %v, want %q", name, d.note, d.err, note)
	}
}
