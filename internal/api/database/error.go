package database

import (
	"errors"

	"github.com/jackc/pgx/v5/pgconn"
)

// The SQLSTATEs that mean something here
// (https://www.postgresql.org/docs/current/errcodes-appendix.html).
const (
	invalidPassword     = "28P01"
	readOnlyTransaction = "25006" // a connection to what was the primary before a failover
	tooManyConnections  = "53300"
	lockNotAvailable    = "55P03"
)

// state is the SQLSTATE of err and its class, its first two characters; empty when
// the database did not send one.
func state(err error) (code, class string) {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && len(pg.Code) == 5 {
		return pg.Code, pg.Code[:2]
	}
	return "", ""
}

// RefusesData reports whether the database refused the data itself, so that the same
// row would fail again and another might not.
func RefusesData(err error) bool {
	switch _, class := state(err); class {
	case "22", "23", "54": // data exception, integrity violation, too large for an index
		return true
	}
	return false
}

// NoAnswer reports whether the database did not answer at all: the connection failed,
// was never made, or timed out.
func NoAnswer(err error) bool {
	code, _ := state(err)
	return code == ""
}

// Temporary reports whether the database can't serve a request now, but may later.
func Temporary(err error) bool {
	code, class := state(err)
	switch class {
	case "08", "40", "57": // connection, rollback, operator intervention
		return true
	}
	return code == invalidPassword || code == readOnlyTransaction || code == lockNotAvailable || code == tooManyConnections
}

// Reason is what went wrong, for the log: without the address list of every
// attempt, and never with the password, which pgx leaves out.
func Reason(err error) string {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	switch {
	case !ok:
		return err.Error()
	case pg.Code == invalidPassword:
		return "the database rejects DB_PASSWORD (SQLSTATE 28P01): start the task again to get the current one"
	}
	return pg.Message + " (SQLSTATE " + pg.Code + ")"
}
