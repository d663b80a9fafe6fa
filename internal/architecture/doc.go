// Package architecture holds the rules of who may import whom, and why, as a test.
package architecture
