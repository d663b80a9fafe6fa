package api

import (
	"context"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Book is the book of that id.
func (s *Store) Book(ctx context.Context, id int64) (*Book, error) {
	var book *Book
	err := s.withRead(ctx, func(ctx context.Context, conn *pgx.Conn) (err error) {
		book, err = one(conn.Query(ctx, `SELECT `+columns+` FROM books WHERE id = $1`, id))
		return err
	})
	return book, err
}

func one(rows pgx.Rows, err error) (*Book, error) {
	if err != nil {
		return nil, err
	}
	book, err := pgx.CollectExactlyOneRow(rows, scanBook)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, &Error{Code: NotFound, Message: "no book has this id"}
	}
	return book, err
}

func scanBook(row pgx.CollectableRow) (*Book, error) {
	b := &Book{}
	err := row.Scan(&b.ID, &b.Name, &b.Author, &b.version, &b.Created, &b.Updated)
	b.Created, b.Updated = b.Created.UTC(), b.Updated.UTC()
	return b, err
}

// Filter chooses books; empty fields choose all. Prefix excludes the others.
type Filter struct {
	Name, Author string
	// Prefix is how names begin, in any case.
	Prefix string
}

// position is where a page begins: after the book of this id, and of this sort
// key where the order is that of the names.
type position struct {
	id  int64
	key string
}

func (p position) cursor() string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(p.id, 10) + " " + p.key))
}

func parseCursor(text string) (position, bool) {
	raw, err := base64.RawURLEncoding.DecodeString(text)
	id, key, found := strings.Cut(string(raw), " ")
	n, idErr := strconv.ParseInt(id, 10, 64)
	if err != nil || !found || idErr != nil || n < 0 || key != "" && !storable(key) {
		return position{}, false
	}
	return position{n, key}, true
}

// The index entries of name and author; see migration 1.
const (
	nameKey   = `lower(left(name, 600)) COLLATE "C"`
	authorKey = `left(author, 600) COLLATE "C"`
)

// List is a page of the books that filter chooses, in the order of their ids,
// or of their names for a prefix. Each page is a range of an index, so that the
// last costs what the first does. next is empty at the end.
func (s *Store) List(ctx context.Context, filter Filter, after position, limit int) (books []*Book, next string, err error) {
	var sql string
	args := []any{after.id, limit + 1}
	const from = `SELECT ` + columns + `, '' FROM books WHERE id > $1`
	switch {
	case filter.Prefix != "":
		// One bound below only, or PostgreSQL may start at the wrong one: the
		// first page comes after no id, of the prefix itself. U+10FFFF ends the
		// range: no character comes after it.
		sql = `SELECT ` + columns + `, ` + nameKey + ` FROM books
			WHERE (` + nameKey + `, id) > (CASE $4 WHEN '' THEN lower(left($3, 600)) ELSE $4 END COLLATE "C", $1)
			AND ` + nameKey + ` < (lower(left($3, 600)) || chr(1114111)) COLLATE "C"
			ORDER BY ` + nameKey + `, id LIMIT $2`
		args = append(args, filter.Prefix, after.key)
	case filter.Name != "" && filter.Author != "":
		sql = from + ` AND ` + nameKey + ` = lower(left($3, 600)) COLLATE "C" AND name = $3 AND author = $4 ORDER BY id LIMIT $2`
		args = append(args, filter.Name, filter.Author)
	case filter.Name != "":
		sql = from + ` AND ` + nameKey + ` = lower(left($3, 600)) COLLATE "C" AND name = $3 ORDER BY id LIMIT $2`
		args = append(args, filter.Name)
	case filter.Author != "":
		sql = from + ` AND ` + authorKey + ` = left($3, 600) COLLATE "C" AND author = $3 ORDER BY id LIMIT $2`
		args = append(args, filter.Author)
	default:
		sql = from + ` ORDER BY id LIMIT $2`
	}
	books, keys, err := s.list(ctx, sql, args...)
	if err != nil || len(books) <= limit {
		return books, "", err
	}
	last := limit - 1
	return books[:limit], position{books[last].ID, keys[last]}.cursor(), nil
}

// Newest are the n books stored last, the newest first.
func (s *Store) Newest(ctx context.Context, n int) ([]*Book, error) {
	books, _, err := s.list(ctx, `SELECT `+columns+`, '' FROM books ORDER BY id DESC LIMIT $1`, n)
	return books, err
}

func (s *Store) list(ctx context.Context, sql string, args ...any) (books []*Book, keys []string, err error) {
	err = s.withRead(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		books, keys = []*Book{}, nil // of an attempt before
		rows, err := conn.Query(ctx, sql, args...)
		if err != nil {
			return err
		}
		b, key := Book{}, ""
		_, err = pgx.ForEachRow(rows, []any{&b.ID, &b.Name, &b.Author, &b.version, &b.Created, &b.Updated, &key}, func() error {
			row := b
			row.Created, row.Updated = b.Created.UTC(), b.Updated.UTC()
			books, keys = append(books, &row), append(keys, key)
			return nil
		})
		return err
	})
	return books, keys, err
}
