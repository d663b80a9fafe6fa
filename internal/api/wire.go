package api

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// The hot statements speak PostgreSQL's binary format directly: pgx's generic
// conversion of parameters and rows took a fifth of the time of a lookup.

const textOID = 25

// textArray is the binary form of a text[]
// (https://www.postgresql.org/docs/current/protocol-overview.html#PROTOCOL-FORMAT-CODES; array_recv in its source).
func textArray(values []string) []byte {
	size := 20
	for _, v := range values {
		size += 4 + len(v)
	}
	b := make([]byte, 0, size)
	b = binary.BigEndian.AppendUint32(b, 1)                   // dimensions
	b = binary.BigEndian.AppendUint32(b, 0)                   // no nulls
	b = binary.BigEndian.AppendUint32(b, textOID)             // of the elements
	b = binary.BigEndian.AppendUint32(b, uint32(len(values))) // length
	b = binary.BigEndian.AppendUint32(b, 1)                   // of the first index
	for _, v := range values {
		b = binary.BigEndian.AppendUint32(b, uint32(len(v)))
		b = append(b, v...)
	}
	return b
}

// binaryFormat is for all parameters or columns.
var binaryFormat = []int16{1}

// query runs a statement that is prepared once per connection.
func query(ctx context.Context, conn *pgx.Conn, name, sql string, params ...[]byte) (*pgconn.ResultReader, error) {
	statement, err := conn.Prepare(ctx, name, sql) // no round trip after the first
	if err != nil {
		return nil, err
	}
	// It knows its columns, so the database need not describe them each time.
	return conn.PgConn().ExecStatement(ctx, statement, params, binaryFormat, binaryFormat), nil
}

func int64At(column []byte) int64 { return int64(binary.BigEndian.Uint64(column)) }

// epoch is where PostgreSQL's timestamps begin, in Unix microseconds.
const epoch = 946_684_800_000_000

func timeAt(column []byte) time.Time { return time.UnixMicro(int64At(column) + epoch).UTC() }

// bookAt is the book of a row in the order of columns.
func bookAt(row [][]byte) *Book {
	return &Book{
		ID: int64At(row[0]), Name: string(row[1]), Author: string(row[2]), version: int64At(row[3]),
		Created: timeAt(row[4]), Updated: timeAt(row[5]),
	}
}
