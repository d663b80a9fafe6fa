// Package kernel is what all services of the local cloud stand on: one account
// in one region, its saved state, its clock, faults and latencies, the policies
// that calls are checked against, and the way of a request to its operation.
//
// State is reached through a transaction only. A service keeps its part in a
// Store; Store.In wants a *Tx, and there is a *Tx only while the kernel's lock is
// held: an operation gets one, and background work gets one from Kernel.Update or
// Kernel.View. So every operation is atomic, also over several services, and what
// would touch the state without the lock does not compile. What needs no lock
// (names, clock, faults, secrets) is in Env, which both Kernel and Tx embed. A
// transaction must not block: what takes time is started with Tx.Go.
//
// A request passes, in serve.go: the credential scope of its signature (which
// service, our region?), the faults in force (fault.go), the decoder, the
// policies (authorize.go), the operation, the encoder. State is saved at the end
// of each transaction that changed it.
package kernel
