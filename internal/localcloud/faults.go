package localcloud

// Faults are what goes wrong, beyond what a request deserves.
type Faults struct{}
