// Package api is bookapi, the books service: books in PostgreSQL behind HTTP.
//
// A request goes through these files: request.go gives it an id and logs, counts
// and traces it; routes.go finds its operation; body.go refuses what is too much
// or not text; huma checks it against the types in books.go, which also make the
// OpenAPI document, and calls the method of Server there; that calls the Store
// (store.go, list.go, idempotency.go, etag.go). error.go turns errors into answers.
//
// # Speed
//
// PostgreSQL's cost per statement is most of what a lookup costs, and a commit
// most of an insert. So concurrent lookups and inserts share statements and
// commits (package batch). Every statement has its index. Lists go by key, so that
// page 10,000 costs what page 1 does; there are no totals, which would be a scan.
//
// # When things fail
//
// The server listens first and connects to the database behind that, for as long
// as it takes. /healthz never asks the database, so that an outage of it does not
// make the load balancer replace every task; /readyz does.
//
// Reads are tried twice, since all connections of the pool are dead after a
// restart of the database. Writes are not: when the connection is lost during a
// commit, nobody can know, and the client gets 503. With an Idempotency-Key it may
// send the request again without storing the book twice.
//
// Nothing queues without end: requests, bytes of bodies, connections and every
// wait are bounded, and whoever finds a bound reached gets 503 with Retry-After.
// DB_PASSWORD is read once: after a rotation open connections go on, new ones fail
// with a log line that says so, and a new task has the new password.
package api
