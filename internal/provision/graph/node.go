package graph

import (
	"sync/atomic"
	"time"
)

// Node is a resource's place in the graph. Every resource embeds one.
type Node struct{ n *node }

func (n Node) node() *node { return n.n }

// ID is the id that the engine last saw or made, or "" when there is none.
func (n Node) ID() string { return n.n.getID() }

// Name is the name of the resource in the stack, for example "subnet-public-a".
func (n Node) Name() string { return n.n.name }

type node struct {
	name    string
	timeout time.Duration
	needs   []need
	id      atomic.Pointer[string]
	changed atomic.Bool // by a call of a run
}

func (n *node) getID() string {
	if p := n.id.Load(); p != nil {
		return *p
	}
	return ""
}

func (n *node) setID(id string) { n.id.Store(&id) }

// need is an edge: on is satisfied when it is Ready, or, where it is weak, as soon as
// it has an id.
type need struct {
	on   *node
	weak bool
}

// Named creates the Node that a resource embeds. The timeout bounds how long one
// step (until Ready, or until Absent) may take; needs are what must be Ready
// before this one starts, or have merely been created when wrapped in OnceCreated.
func Named(name string, timeout time.Duration, needs ...Finder) Node {
	n := &node{name: name, timeout: timeout}
	for _, f := range needs {
		_, weak := f.(onceCreated)
		n.needs = append(n.needs, need{on: f.node(), weak: weak})
	}
	return Node{n}
}

// First has none of the others start before the first one has been created.
func First(first Finder, others ...Maker) {
	for _, o := range others {
		if n := o.node(); len(n.needs) == 0 {
			n.needs = append(n.needs, need{on: first.node(), weak: true})
		}
	}
}

type onceCreated struct{ Finder }

// OnceCreated weakens a need: the dependant starts as soon as f has an id, while f is
// still on its way to Ready. A listener, for one, needs the load balancer's
// ARN and not its active state. When f fails after that, so does the dependant;
// its timeout counts from when f is Ready.
func OnceCreated(f Finder) Finder { return onceCreated{f} }

// Describe returns a resource's name and the names of what it needs, for
// drawing the graph.
func Describe(f Finder) (name string, needs []string) {
	n := f.node()
	for _, d := range n.needs {
		needs = append(needs, d.on.name)
	}
	return n.name, needs
}
