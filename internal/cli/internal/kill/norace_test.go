//go:build !race

package kill_test

// stride leaves out no kill point.
const stride = 1
