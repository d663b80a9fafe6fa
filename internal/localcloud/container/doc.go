// Package container runs tasks as containers of Docker or Podman, by the API that
// both have (https://docs.docker.com/reference/api/engine/). An image is loaded
// into the engine once; it need not reach any registry.
//
// A task's containers share a network of their own, as on Fargate: it belongs to a
// first container, the sandbox, of which each port is published on a loopback port
// of this machine. A program in the sandbox, Relay, listens there on the addresses
// of the databases and of the cloud itself, which are loopback addresses too, and
// carries each connection through a Unix socket out to the real ones.
//
// Everything in the engine carries the label of its cloud, by which Reap and Purge
// find what a killed one left behind.
package container
