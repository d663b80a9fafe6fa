//go:build !race

package kill_test

// stride is how many writes further the next kill is.
const stride = 1
