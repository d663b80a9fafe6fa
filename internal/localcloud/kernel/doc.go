// Package kernel is the common base of all services of the local cloud: one account
// in one region, its saved state, its clock, faults and latencies, the policies that
// calls are checked against, and the path of a request to its operation.
//
// Only a transaction can reach the state. A service has its part of the state in a
// Store. Store.In needs a *Tx, which exists only while the kernel's lock is held: an
// operation gets one, and background work gets one from Kernel.Update or Kernel.View.
// So every operation is atomic, even across services, and code that would use the
// state without the lock does not compile. What needs no lock (names, clock, faults,
// secrets) is in Env, which both Kernel and Tx embed. A transaction must not block:
// what takes time is started with Tx.Go.
//
// The steps of a request, in serve.go, are: the credential scope of its signature
// (service and region), the faults (fault.go), the decoder, the policies
// (authorize.go), the operation, the encoder. The state is saved at the end of each
// transaction that changed it.
package kernel
