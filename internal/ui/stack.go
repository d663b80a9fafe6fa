package ui

import (
	"context"
	"time"

	"github.com/bookctl/bookctl/internal/diagnosis"
	"github.com/bookctl/bookctl/internal/picture"
	"github.com/bookctl/bookctl/internal/pricing"
)

// Source is where the page has a stack from. Its methods are not called side by side
// with themselves, but may be with one another.
type Source interface {
	// Look reads how the stack is. An error that is a Failure says what to do.
	Look(ctx context.Context) (Stack, error)
	// Lines passes on the lines that tasks wrote and that were not passed on before. Anew
	// starts over with those since a time.
	Lines(ctx context.Context, anew *time.Time, each func(Line)) error
}

// Failure is an error as it is shown.
type Failure struct {
	Text string
	// Next is what to do, or empty.
	Next string
}

func (f Failure) Error() string { return f.Text }

// Stack is how a stack was when it was looked at.
type Stack struct {
	// Name is the stack's, and Place where it is.
	Name, Place string
	// Summary is how it is, in a word or two, and Mood what that means.
	Summary string
	Mood    Mood
	// Problems say why it is not healthy, and Next what to do; both may be empty.
	Problems []string
	Next     string
	// Lock is who is at work on it, or nil.
	Lock *Lock
	// URL is where it answers, or empty.
	URL string
	// Rows are the further rows, in the order in which they are shown.
	Rows []Row
	// Parts are its resources.
	Parts []picture.Part
	// Deployments are those that have tasks, or are to have them, the newest first.
	Deployments []diagnosis.Deployment
	// Tasks run, and Stopped are those that stopped within the last hour.
	Tasks, Stopped []diagnosis.Task
	// Targets are what the load balancer thinks of them.
	Targets []diagnosis.Target
	// Events are what the service reports, the newest first.
	Events []diagnosis.Event
	// Costs are what it costs a month, and CostNote says what is to be known of that.
	Costs    []pricing.Line
	CostNote string
}

// Mood is what a summary means.
type Mood string

// The moods.
const (
	Good  Mood = "good"
	Bad   Mood = "bad"
	Quiet Mood = "quiet" // neither: there is nothing, or it is meant to rest
)

// Lock is who is at work on a stack.
type Lock struct {
	Holder string
	Since  time.Time
}

// Row is a value with its name.
type Row struct {
	Name  string
	Texts []string
}

// Line is a line that a task wrote.
type Line struct {
	Time time.Time
	Task string
	Text string
}
