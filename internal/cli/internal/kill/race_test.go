//go:build race

package kill_test

// stride is how many writes further the next kill is, and by what the seeds of a storm
// are divided: under the race detector a run takes five times as long, and its goroutines
// meet in the same ways wherever it is killed. Without it, it is killed at all writes.
const stride = 27
