// Package api is bookapi, the books service: books in PostgreSQL behind HTTP.
//
// A request goes from observe (id, log, metrics, trace, bounds) through chi to
// the adapter, which reads the body and refuses what is not text, then through
// huma, which validates it by the same types that make the OpenAPI document, to
// a method of Server, and from there to the Store.
//
// # Speed
//
// PostgreSQL's cost per statement and the switches between processes are most of
// what a lookup costs. So the lookups of concurrent requests share a statement,
// and concurrent inserts a statement and a commit (lanes). Three rules keep that
// from being seen: a lone request never waits for company; an answer goes out
// after its commit only; and when the database refuses a batch, each row is tried
// alone, so that a bad one fails by itself.
//
// HTTP is the larger half of the rest. A connection of our own (conn.go) spares
// net/http what it does for nobody; reads and writes spare Go's scheduler what it
// does for calls that block (socket_linux.go); lookups go past the router; and the
// compiler goes by a profile (cmd/bookapi/default.pgo, which make profile takes).
//
// The two operations that are called most have short ways around huma
// (short.go), which reads a body twice, into maps and then into types, and
// finds its way by reflection. A short way serves what is plainly valid and hands
// everything else to huma's handler: so there is one validation and one set of
// messages. A test compares the answers of both ways, and fuzz tests hold the
// short ways' parser and encoder to encoding/json.
//
// Every statement has its index, and the sessions forbid sequential scans and
// take one plan per statement: a plan made while the table was small must not
// scan it when it has grown. Lists go by key, so page 10,000 is one descent of
// an index like page 1; there are no totals, which would be a scan.
//
// # What is built here rather than linked
//
// The image is to be small: 14.6 MB, 5.2 MB compressed. Measured
// on the linked binary, compressed in parentheses: Prometheus's client adds
// 2.2 MB (0.75 MB) for a text format of four lines per series; goose 0.7 MB
// (0.25 MB) for a loop over SQL files in a lock; OpenTelemetry's OTLP exporter
// links 69 packages of gRPC even for HTTP, while OTLP's JSON encoding needs none
// of them. Together they would pass 15 MB. OpenTelemetry's SDK itself, which has
// the sampling and batching, is linked.
//
// # When things fail
//
// The server listens first and connects to the database behind that, for as long
// as it takes: /healthz says that the process is up and never asks the database,
// so that an outage of the database does not make the load balancer replace
// every task; /readyz says whether the database answers, and would take a write.
//
// Reads are tried twice, since all connections of the pool are dead after a
// restart of the database. Writes are not: when the connection is lost during a
// commit, nobody can know, and the client gets 503. With an Idempotency-Key it may
// send the request again without storing the book twice. A connection that turns
// out to lead to a standby (SQLSTATE 25006) or to a server that shuts down (57P..)
// is dropped; one that breaks takes the idle ones with it.
//
// Nothing queues without end: requests in flight, those waiting for a lane, bytes
// of bodies, connections and every wait are bounded, and whoever finds a bound
// reached gets 503 with Retry-After. DB_PASSWORD is read once: after a rotation
// open connections go on, new ones fail with a log line that says so, and a new
// task has the new password.
//
// On SIGTERM /readyz says 503 at once, answers carry "Connection: close", requests
// go on being served for the drain period, and only then is the listener closed.
package api
