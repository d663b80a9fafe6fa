// Package process runs the real programs behind the local cloud: PostgreSQL
// servers and task containers.
//
// Every program runs in a process group of its own, under an unprivileged user
// when the cloud itself is root, and does not outlive the cloud: the kernel
// ends it where it can (Linux), and a pid file lets the next start end it
// elsewhere.
package process
