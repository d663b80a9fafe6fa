package api

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5"
)

// InsertIdempotent is like InsertAll, but stores the books only once for a key. If the same
// request comes again, it gets the same answer, and replayed is true. Another request with the
// key is an error.
func (s *Store) InsertIdempotent(ctx context.Context, key string, books []NewBook) (stored []*Book, replayed bool, err error) {
	err = s.withConn(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) (err error) {
			stored, replayed, err = insertIdempotent(ctx, tx, key, books)
			return err
		})
	})
	return stored, replayed, err
}

func insertIdempotent(ctx context.Context, tx pgx.Tx, key string, books []NewBook) (stored []*Book, replayed bool, err error) {
	var ids []int64
	var created time.Time
	text, err := json.Marshal(books)
	if err != nil {
		return nil, false, err
	}
	request := sha256.Sum256(text)
	// Keys are remembered for 24 hours. Those that others use just now can wait.
	if _, err := tx.Exec(ctx, `DELETE FROM idempotency_keys WHERE key IN (SELECT key FROM idempotency_keys
		WHERE created_at < now() - interval '24 hours' LIMIT 100 FOR UPDATE SKIP LOCKED)`); err != nil {
		return nil, false, err
	}
	// Waits for a request with the same key that is under way.
	err = tx.QueryRow(ctx, `INSERT INTO idempotency_keys (key, request, book_ids)
		SELECT $1, $2, ARRAY(SELECT nextval(pg_get_serial_sequence('books', 'id')) FROM generate_series(1, $3))
		ON CONFLICT (key) DO NOTHING RETURNING book_ids, created_at`, key, request[:], len(books)).Scan(&ids, &created)
	switch {
	case err == nil:
		names, authors := split(books)
		_, err = tx.Exec(ctx, `INSERT INTO books (id, name, author) SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[])`, ids, names, authors)
	case errors.Is(err, pgx.ErrNoRows):
		replayed = true
		var before []byte
		err = tx.QueryRow(ctx, `SELECT request, book_ids, created_at FROM idempotency_keys WHERE key = $1`, key).Scan(&before, &ids, &created)
		if err == nil && !bytes.Equal(before, request[:]) {
			err = &Error{Status: http.StatusUnprocessableEntity, Message: "this Idempotency-Key came with another request before"}
		}
	}
	if err != nil {
		return nil, false, err
	}
	created = created.UTC() // of the key and of the books, stored by one transaction
	for i, b := range books {
		stored = append(stored, &Book{ID: ids[i], Name: b.Name, Author: b.Author, Created: created, Updated: created, version: 1})
	}
	return stored, replayed, nil
}
