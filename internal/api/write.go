package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
)

// keyLife is how long an Idempotency-Key is remembered.
const keyLife = 24 * time.Hour

// InsertAll stores all of the books or none.
func (s *Store) InsertAll(ctx context.Context, books []NewBook) ([]*Book, error) {
	return s.insertAll(ctx, books)
}

// InsertOnce is InsertAll, once for a key: when the same request comes again it
// has the same answer, and replayed is true. Another request under the key is
// an error.
func (s *Store) InsertOnce(ctx context.Context, key string, books []NewBook) (stored []*Book, replayed bool, err error) {
	request := fingerprint(books)
	err = s.withConn(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			var ids []int64
			var created time.Time
			// Waits for a request with the same key that is under way.
			err := tx.QueryRow(ctx, `INSERT INTO idempotency_keys (key, request, book_ids)
				SELECT $1, $2, ARRAY(SELECT nextval(pg_get_serial_sequence('books', 'id')) FROM generate_series(1, $3))
				ON CONFLICT (key) DO NOTHING RETURNING book_ids, created_at`, key, request, len(books)).Scan(&ids, &created)
			switch {
			case err == nil:
				names, authors := split(books)
				if _, err := tx.Exec(ctx, `INSERT INTO books (id, name, author) SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[])`, ids, names, authors); err != nil {
					return err
				}
			case errors.Is(err, pgx.ErrNoRows):
				replayed = true
				var before []byte
				if err := tx.QueryRow(ctx, `SELECT request, book_ids, created_at FROM idempotency_keys WHERE key = $1`, key).Scan(&before, &ids, &created); err != nil {
					return err
				}
				if !bytes.Equal(before, request) {
					return &Error{Code: KeyReused, Message: "this Idempotency-Key came with another request before"}
				}
			default:
				return err
			}
			// The books took their times from the same transaction as the key.
			stored = make([]*Book, len(books))
			for i, b := range books {
				stored[i] = &Book{ID: ids[i], Name: b.Name, Author: b.Author, Created: created.UTC(), Updated: created.UTC(), version: 1}
			}
			return nil
		})
	})
	if err != nil {
		return nil, false, err
	}
	return stored, replayed, nil
}

// fingerprint tells requests apart: their number of books and all texts, each
// with its length before it, so that no two lists read the same.
func fingerprint(books []NewBook) []byte {
	var text []byte
	for _, b := range books {
		text = binary.AppendUvarint(text, uint64(len(b.Name)))
		text = append(text, b.Name...)
		text = binary.AppendUvarint(text, uint64(len(b.Author)))
		text = append(text, b.Author...)
	}
	sum := sha256.Sum256(text)
	return sum[:]
}

func split(books []NewBook) (names, authors []string) {
	names, authors = make([]string, len(books)), make([]string, len(books))
	for i, b := range books {
		names[i], authors[i] = b.Name, b.Author
	}
	return names, authors
}

// Update changes the fields that patch gives, if the book is in one of the
// versions.
func (s *Store) Update(ctx context.Context, id int64, only versions, patch Patch) (*Book, error) {
	var book *Book
	err := s.withConn(ctx, func(ctx context.Context, conn *pgx.Conn) (err error) {
		book, err = one(conn.Query(ctx, `UPDATE books SET name = coalesce($4, name), author = coalesce($5, author), version = version + 1, updated_at = now()
			WHERE id = $1 AND ($2 OR version = ANY ($3)) RETURNING `+columns, id, only.any, only.list, patch.Name, patch.Author))
		return whyNot(ctx, conn, id, err)
	})
	return book, err
}

// Delete removes a book, if it is in one of the versions.
func (s *Store) Delete(ctx context.Context, id int64, only versions) error {
	return s.withConn(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		_, err := one(conn.Query(ctx, `DELETE FROM books WHERE id = $1 AND ($2 OR version = ANY ($3)) RETURNING `+columns, id, only.any, only.list))
		return whyNot(ctx, conn, id, err)
	})
}

// whyNot tells a book that is not there from one in another version.
func whyNot(ctx context.Context, conn *pgx.Conn, id int64, err error) error {
	var known *Error
	if !errors.As(err, &known) || known.Code != NotFound {
		return err
	}
	if _, missing := one(conn.Query(ctx, `SELECT `+columns+` FROM books WHERE id = $1`, id)); missing != nil {
		return missing
	}
	return &Error{Code: Changed, Message: "the book was changed meanwhile: read it again"}
}

// forgetKeys removes the keys that are past their time.
func (s *Store) forgetKeys(ctx context.Context) error {
	for {
		var gone int64
		err := s.withConn(ctx, func(ctx context.Context, conn *pgx.Conn) error {
			tag, err := conn.Exec(ctx, `DELETE FROM idempotency_keys WHERE key IN
				(SELECT key FROM idempotency_keys WHERE created_at < $1 LIMIT 1000)`, time.Now().Add(-keyLife))
			gone = tag.RowsAffected()
			return err
		})
		if err != nil || gone == 0 {
			return err
		}
	}
}
