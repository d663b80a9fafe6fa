package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/bookctl/bookctl/internal/api/batch"
	"github.com/bookctl/bookctl/internal/api/database"
)

// queryTimeout bounds one statement, waiting for a connection included. When the database
// hangs, a request waits no longer than that, and in a batch no longer than twice that.
const queryTimeout = 4 * time.Second

// Store keeps the books in PostgreSQL. Its methods are safe for concurrent use,
// and their errors are of type *Error unless they are our own fault.
type Store struct {
	pool    *pgxpool.Pool
	lookups *batch.Batcher[string, *Book]
	inserts *batch.Batcher[NewBook, *Book]
}

func newStore(pool *pgxpool.Pool) *Store {
	s := &Store{pool: pool}
	// One worker for lookups makes the largest batches, which take the least of the
	// processor; of two for inserts, one gathers while the other waits for the disk.
	s.lookups = newBatcher(1, s.lookup)
	s.inserts = newBatcher(2, s.InsertAll)
	return s
}

func newBatcher[In, Out any](workers int, serve func(context.Context, []In) ([]Out, error)) *batch.Batcher[In, Out] {
	return &batch.Batcher[In, Out]{
		Serve: serve, OneInputMayFail: database.RefusesData, Workers: workers, MaxBatch: 64, MaxWaiting: 1024, MaxWait: queryTimeout,
		Overloaded: unavailable("too many requests at once", nil),
	}
}

// withQueryTimeout is ctx with a deadline after queryTimeout, unless it has one. It does
// not end with the request: when a client hangs up during a statement, pgx would
// have to close the connection to the database.
func withQueryTimeout(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, func() {}
	}
	return context.WithTimeout(context.WithoutCancel(ctx), queryTimeout)
}

// withConn runs use on a connection of the pool. It is not tried again: when the
// connection is lost during a commit, nobody knows what was stored.
func (s *Store) withConn(ctx context.Context, use func(context.Context, *pgx.Conn) error) error {
	ctx, end := startSpan(ctx, "database")
	defer end()
	ctx, cancel := withQueryTimeout(ctx)
	defer cancel()
	return clientError(s.pool.AcquireFunc(ctx, func(conn *pgxpool.Conn) error {
		err := use(ctx, conn.Conn())
		if conn.Conn().IsClosed() && ctx.Err() == nil {
			// What ended this connection has likely ended all: after a restart
			// of the database one request would fail for each of them.
			s.pool.Reset()
		}
		return err
	}))
}

// withRetry is withConn for what may be done twice. After a restart of the database all
// connections are dead; then use runs again, on a new one.
func (s *Store) withRetry(ctx context.Context, use func(context.Context, *pgx.Conn) error) error {
	ctx, cancel := withQueryTimeout(ctx)
	defer cancel()
	err := s.withConn(ctx, use)
	if known, ok := errors.AsType[*Error](err); ok && known.Status == http.StatusServiceUnavailable && ctx.Err() == nil {
		err = s.withConn(ctx, use)
	}
	return err
}

// Ping reports whether the database answers and would take a write.
func (s *Store) Ping(ctx context.Context) error {
	return s.withRetry(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		var standby bool
		if err := conn.QueryRow(ctx, `SELECT pg_is_in_recovery()`).Scan(&standby); err != nil || !standby {
			return err
		}
		_ = conn.Close(ctx) // the next connection may lead to the primary
		return unavailable("the database is read-only", nil)
	})
}

const columns = `id, name, author, version, created_at, updated_at`

// scanWith reads a book from a row that has columns and then more.
func scanWith(row pgx.CollectableRow, more ...any) (*Book, error) {
	b := &Book{}
	err := row.Scan(append([]any{&b.ID, &b.Name, &b.Author, &b.version, &b.Created, &b.Updated}, more...)...)
	b.Created, b.Updated = b.Created.UTC(), b.Updated.UTC()
	return b, err
}

func scanBook(row pgx.CollectableRow) (*Book, error) { return scanWith(row) }

// oneBook is the book of an answer that has at most one row.
func oneBook(rows pgx.Rows, err error) (*Book, error) {
	if err != nil {
		return nil, err
	}
	book, err := pgx.CollectExactlyOneRow(rows, scanBook)
	if errors.Is(err, pgx.ErrNoRows) {
		err = &Error{Status: http.StatusNotFound, Message: "no book has this id"}
	}
	return book, err
}

// Lookup is the first book of that name.
func (s *Store) Lookup(ctx context.Context, name string) (*Book, error) {
	ctx, end := startSpan(ctx, "lookup")
	defer end()
	book, err := s.lookups.Do(ctx, name)
	if err == nil && book == nil {
		err = &Error{Status: http.StatusNotFound, Message: "no book has this name"}
	}
	return book, err
}

// lookup finds the first book of each name, nil where there is none.
func (s *Store) lookup(ctx context.Context, names []string) ([]*Book, error) {
	found := make([]*Book, len(names))
	err := s.withRetry(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, `SELECT b.*, n.i FROM unnest($1::text[]) WITH ORDINALITY AS n (name, i)
			CROSS JOIN LATERAL (SELECT `+columns+` FROM books WHERE `+nameKey+` = lower(left(n.name, 600)) COLLATE "C" AND name = n.name
				ORDER BY id LIMIT 1) b`, names)
		if err != nil {
			return err
		}
		for rows.Next() {
			var i int64
			book, err := scanWith(rows, &i)
			if err != nil {
				return err
			}
			found[i-1] = book
		}
		return rows.Err()
	})
	return found, err
}

// Book is the book of that id.
func (s *Store) Book(ctx context.Context, id int64) (book *Book, err error) {
	err = s.withRetry(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		book, err = oneBook(conn.Query(ctx, `SELECT `+columns+` FROM books WHERE id = $1`, id))
		return err
	})
	return book, err
}

// Insert stores a book; it returns after the commit.
func (s *Store) Insert(ctx context.Context, book NewBook) (*Book, error) {
	ctx, end := startSpan(ctx, "insert")
	defer end()
	return s.inserts.Do(ctx, book)
}

// InsertAll stores all of the books or, with an error, none; but when the
// connection is lost while the database commits, that can't be known.
func (s *Store) InsertAll(ctx context.Context, books []NewBook) (stored []*Book, err error) {
	names, authors := split(books)
	err = s.withConn(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, `INSERT INTO books (name, author)
			SELECT n.name, n.author FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS n (name, author, i) ORDER BY n.i
			RETURNING `+columns, names, authors)
		if err != nil {
			return err
		}
		stored, err = pgx.CollectRows(rows, scanBook)
		return err
	})
	if err != nil {
		return nil, err
	}
	return matched(books, stored)
}

// matched puts the stored books in the order of those that were asked for.
// PostgreSQL returns them in that order but does not promise to; equal books
// may be exchanged, since they have no difference.
func matched(asked []NewBook, stored []*Book) ([]*Book, error) {
	for i, want := range asked {
		at := i
		for at < len(stored) && (stored[at].Name != want.Name || stored[at].Author != want.Author) {
			at++
		}
		if at >= len(stored) {
			return nil, fmt.Errorf("insert: row %d of %d is not in the database's answer of %d", i+1, len(asked), len(stored))
		}
		stored[i], stored[at] = stored[at], stored[i]
	}
	return stored, nil
}

func split(books []NewBook) (names, authors []string) {
	for _, b := range books {
		names, authors = append(names, b.Name), append(authors, b.Author)
	}
	return names, authors
}

// Update changes the fields that patch gives, if the book is in one of the
// versions.
func (s *Store) Update(ctx context.Context, id int64, only versions, patch Patch) (book *Book, err error) {
	err = s.withConn(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		book, err = oneBook(conn.Query(ctx, `UPDATE books SET name = coalesce($4, name), author = coalesce($5, author), version = version + 1, updated_at = now()
			WHERE id = $1 AND ($2 OR version = ANY ($3)) RETURNING `+columns, id, only.any, only.list, patch.Name, patch.Author))
		return notFoundOrChanged(ctx, conn, id, err)
	})
	return book, err
}

// Delete deletes a book, if it is in one of the versions.
func (s *Store) Delete(ctx context.Context, id int64, only versions) error {
	return s.withConn(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		_, err := oneBook(conn.Query(ctx, `DELETE FROM books WHERE id = $1 AND ($2 OR version = ANY ($3)) RETURNING `+columns, id, only.any, only.list))
		return notFoundOrChanged(ctx, conn, id, err)
	})
}

// notFoundOrChanged explains why a change found no book: none has the id (404), or it
// has another version (412).
func notFoundOrChanged(ctx context.Context, conn *pgx.Conn, id int64, err error) error {
	if known, ok := errors.AsType[*Error](err); !ok || known.Status != http.StatusNotFound {
		return err
	}
	if _, err := oneBook(conn.Query(ctx, `SELECT `+columns+` FROM books WHERE id = $1`, id)); err != nil {
		return err
	}
	return &Error{Status: http.StatusPreconditionFailed, Message: "the book was changed meanwhile: read it again"}
}
