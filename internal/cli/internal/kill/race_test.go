//go:build race

package kill_test

// stride leaves out most kill points, which take the race detector too long; CI
// runs all of them without it.
const stride = 8
