//go:build race

package kill_test

// stride is how many writes further the next kill is, and by what the seeds of a storm
// are divided: under the race detector a run takes five times as long.
const stride = 5
