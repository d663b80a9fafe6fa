// Package graph is the engine behind bookctl: it observes, creates, updates and
// removes a graph of resources, each as soon as what it needs is there.
//
// It knows nothing of AWS. A resource says how it is read, how it should be and by which
// attributes the two differ (Shape), or what it sees (Find), and how to make,
// change or remove itself in one call; order, waiting, retries, timeouts,
// ownership and reporting are the engine's. There are no waves: a node starts
// when its own needs are met, whatever its siblings are doing.
//
// What each verb can reach is held by types: Observe takes Finders, which have
// no Create; Up takes Makers, which have no Delete.
package graph
