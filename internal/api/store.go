package api

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const columns = `id, name, author, version, created_at, updated_at`

// Store keeps the books in PostgreSQL.
type Store struct {
	pool    *pgxpool.Pool
	lookups lanes[string, *Book]
	inserts lanes[NewBook, *Book]
}

// The number of lanes. One for lookups makes larger batches than two, and so takes
// less processor time; two for inserts let one batch gather while another
// waits for the disk.
const (
	lookupLanes = 1
	insertLanes = 2
)

func newStore(pool *pgxpool.Pool) *Store {
	s := &Store{pool: pool}
	s.lookups.run, s.lookups.halves = s.lookup, true
	s.inserts.run = s.insert
	s.lookups.start(lookupLanes)
	s.inserts.start(insertLanes)
	return s
}

// close finishes what is under way and closes the connections.
func (s *Store) close() {
	s.lookups.stop()
	s.inserts.stop()
	s.pool.Close()
}

// inTime bounds ctx by the time of a query, if nothing has done so yet.
func inTime(ctx context.Context) (context.Context, context.CancelFunc) {
	if end, bound := ctx.Deadline(); bound && time.Until(end) <= queryTimeout {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, queryTimeout)
}

// withConn runs do on a connection of the pool within the time of a query.
func (s *Store) withConn(ctx context.Context, do func(context.Context, *pgx.Conn) error) error {
	ctx, end := span(ctx, "database")
	defer end()
	ctx, cancel := inTime(ctx)
	defer cancel()
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return failure(err)
	}
	defer conn.Release()
	if err := do(ctx, conn.Conn()); err != nil {
		evict(conn.Conn(), err)
		if conn.Conn().IsClosed() && ctx.Err() == nil {
			// What ended this connection has likely ended all: after a restart
			// of the database one request would fail for each of them.
			s.pool.Reset()
		}
		return failure(err)
	}
	return nil
}

// withRead is withConn for what may be done twice within that time: a connection
// that turned out to be dead, as all of them are after a restart of the database,
// is no reason to fail.
func (s *Store) withRead(ctx context.Context, do func(context.Context, *pgx.Conn) error) error {
	ctx, cancel := inTime(ctx)
	defer cancel()
	var err error
	for range 2 {
		var known *Error
		if err = s.withConn(ctx, do); err == nil || !errors.As(err, &known) || known.Code != Unavailable || ctx.Err() != nil {
			return err
		}
	}
	return err
}

// Lookup is the first book of that name.
func (s *Store) Lookup(ctx context.Context, name string) (*Book, error) {
	_, end := span(ctx, "lookup")
	defer end()
	book, err := s.lookups.do(name)
	if err == nil && book == nil {
		err = &Error{Code: NotFound, Message: "no book has this name"}
	}
	return book, err
}

// Insert stores a book; it returns after the commit.
func (s *Store) Insert(ctx context.Context, book NewBook) (*Book, error) {
	_, end := span(ctx, "insert")
	defer end()
	return s.inserts.do(book)
}

// Ping says whether the database answers and would take a write.
func (s *Store) Ping(ctx context.Context) error {
	return s.withRead(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		var standby bool
		if err := conn.QueryRow(ctx, `SELECT pg_is_in_recovery()`).Scan(&standby); err != nil {
			return err
		}
		if standby {
			_ = conn.Close(ctx) // the next connection may lead to the primary
			return &Error{Code: Unavailable, Message: "the database is read-only"}
		}
		return nil
	})
}

// lookup serves a batch of lookups with one statement.
func (s *Store) lookup(ctx context.Context, batch []*job[string, *Book]) {
	names := make([]string, len(batch))
	for i, j := range batch {
		names[i] = j.in
	}
	err := s.withRead(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		result, err := query(ctx, conn, "lookup", lookupSQL, textArray(names))
		if err != nil {
			return err
		}
		for result.NextRow() {
			row := result.Values()
			i := int64At(row[0])
			if i < 1 || i > int64(len(batch)) {
				return fmt.Errorf("lookup: the database answered for row %d of %d", i, len(batch))
			}
			batch[i-1].out = bookAt(row[1:])
		}
		_, err = result.Close()
		return err
	})
	for _, j := range batch {
		j.err = err
	}
}

// lookupSQL asks for all names of a batch at once: PostgreSQL's cost per
// statement is far above that of one more descent of the index.
const lookupSQL = `SELECT n.i, b.id, b.name, b.author, b.version, b.created_at, b.updated_at
FROM unnest($1::text[]) WITH ORDINALITY AS n (name, i)
CROSS JOIN LATERAL (` + firstOfName + `) b`

const firstOfName = `SELECT ` + columns + ` FROM books
	WHERE lower(left(books.name, 600)) COLLATE "C" = lower(left(n.name, 600)) COLLATE "C" AND books.name = n.name
	ORDER BY id LIMIT 1`

const insertSQL = `INSERT INTO books (name, author)
SELECT n.name, n.author FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS n (name, author, i) ORDER BY n.i
RETURNING ` + columns

// insert stores a batch in one transaction, so that its books share the wait for
// the disk. When the database refuses one of them, each is tried alone: a row
// that fails must not fail its neighbours.
func (s *Store) insert(ctx context.Context, batch []*job[NewBook, *Book]) {
	books := make([]NewBook, len(batch))
	for i, j := range batch {
		books[i] = j.in
	}
	stored, err := s.insertAll(ctx, books)
	if err != nil && len(batch) > 1 && isData(err) {
		for _, j := range batch {
			stored, err := s.insertAll(ctx, []NewBook{j.in})
			if j.err = err; err == nil {
				j.out = stored[0]
			}
		}
		return
	}
	for i, j := range batch {
		if j.err = err; err == nil {
			j.out = stored[i]
		}
	}
}

// insertAll stores all of the books or, with an error, none; but when the
// connection is lost while the database commits, that can't be known.
func (s *Store) insertAll(ctx context.Context, books []NewBook) ([]*Book, error) {
	names, authors := split(books)
	stored := make([]*Book, 0, len(books))
	err := s.withConn(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		result, err := query(ctx, conn, "insert", insertSQL, textArray(names), textArray(authors))
		if err != nil {
			return err
		}
		for result.NextRow() {
			stored = append(stored, bookAt(result.Values()))
		}
		_, err = result.Close()
		return err
	})
	if err != nil {
		return nil, err
	}
	return matched(books, stored)
}

// matched puts the stored books in the order of those that were asked for.
// PostgreSQL returns them in that order but does not promise to; equal books
// may be exchanged, since nothing tells them apart.
func matched(asked []NewBook, stored []*Book) ([]*Book, error) {
	if len(stored) != len(asked) {
		return nil, fmt.Errorf("insert: the database answered with %d rows for %d", len(stored), len(asked))
	}
	for i, want := range asked {
		at := i
		for at < len(stored) && (stored[at].Name != want.Name || stored[at].Author != want.Author) {
			at++
		}
		if at == len(stored) {
			return nil, fmt.Errorf("insert: row %d is not in the database's answer", i+1)
		}
		stored[i], stored[at] = stored[at], stored[i]
	}
	return stored, nil
}
