package api

import (
	"context"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

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
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d %s", p.id, p.key))
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

// The conditions of Filter. $1 is the id before the page, $2 its length, $3 and
// $4 the texts. Each is a range of an index, so that the last page costs what
// the first does.
const (
	all          = `id > $1`
	byName       = all + ` AND ` + nameKey + ` = lower(left($3, 600)) COLLATE "C" AND name = $3`
	byAuthor     = all + ` AND ` + authorKey + ` = left($3, 600) COLLATE "C" AND author = $3`
	byNameAuthor = byName + ` AND author = $4`
	// One bound below only, or PostgreSQL may start at the wrong one: the first
	// page comes after no id, of the prefix itself. U+10FFFF ends the range: no
	// character comes after it.
	byPrefix = `(` + nameKey + `, id) > (CASE $4 WHEN '' THEN lower(left($3, 600)) ELSE $4 END COLLATE "C", $1)
		AND ` + nameKey + ` < (lower(left($3, 600)) || chr(1114111)) COLLATE "C"`
)

// List is a page of the books that filter chooses, in the order of their ids,
// or of their names for a prefix. next is empty at the end.
func (s *Store) List(ctx context.Context, filter Filter, after position, limit int) (books []*Book, next string, err error) {
	condition, key, order, args := all, `''`, `id`, []any{after.id, limit + 1}
	switch {
	case filter.Prefix != "":
		condition, key, order = byPrefix, nameKey, nameKey+`, id`
		args = append(args, filter.Prefix, after.key)
	case filter.Name != "" && filter.Author != "":
		condition, args = byNameAuthor, append(args, filter.Name, filter.Author)
	case filter.Name != "":
		condition, args = byName, append(args, filter.Name)
	case filter.Author != "":
		condition, args = byAuthor, append(args, filter.Author)
	}
	books, keys, err := s.list(ctx, `SELECT `+columns+`, `+key+` FROM books WHERE `+condition+` ORDER BY `+order+` LIMIT $2`, args...)
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

// list reads books and their sort keys.
func (s *Store) list(ctx context.Context, sql string, args ...any) (books []*Book, keys []string, err error) {
	err = s.withRetry(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		keys = nil // of an attempt before
		rows, err := conn.Query(ctx, sql, args...)
		if err != nil {
			return err
		}
		books, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (*Book, error) {
			keys = append(keys, "")
			return scanWith(row, &keys[len(keys)-1])
		})
		return err
	})
	return books, keys, err
}
