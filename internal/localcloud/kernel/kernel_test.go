package kernel_test

import (
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/localcloud/kernel"
)

type counter struct {
	N int `json:"n"`
}

// open makes a kernel of the directory with one store.
func open(t *testing.T, dir string) (*kernel.Kernel, *kernel.Store[counter]) {
	t.Helper()
	k := kernel.New(t.Context(), kernel.Config{StateDir: dir, Account: "000000000000", Log: slog.New(slog.DiscardHandler)})
	store := kernel.Saved[counter](k, "counter")
	if err := k.Load(); err != nil {
		t.Fatal(err)
	}
	return k, store
}

func TestAStateIsSavedAtTheEndOfATransactionThatChangedIt(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	k, store := open(t, dir)
	k.SetEndpoint("http://127.0.0.1:1", 1, func(tx *kernel.Tx) { store.In(tx).N = 1 })
	k.Update(func(tx *kernel.Tx) { store.In(tx).N++ })
	k.View(func(tx *kernel.Tx) { store.In(tx).N += 10 }) // not saved: nobody said so
	read := func() (n int) {
		k, again := open(t, dir)
		k.View(func(tx *kernel.Tx) { n = again.In(tx).N })
		return n
	}
	if n := read(); n != 2 {
		t.Errorf("saved %d, want 2", n)
	}
	k.View(func(tx *kernel.Tx) {
		store.In(tx).N++
		tx.Changed()
	})
	if n := read(); n != 13 {
		t.Errorf("saved %d, want 13", n)
	}
}

func TestATransactionThatIsOverReachesNothing(t *testing.T) {
	t.Parallel()
	k, store := open(t, t.TempDir())
	_, other := open(t, t.TempDir())
	var kept *kernel.Tx
	k.View(func(tx *kernel.Tx) {
		kept = tx
		_ = store.In(tx)
		refused(t, "another kernel's store", func() { other.In(tx) })
	})
	refused(t, "a transaction that is over", func() { store.In(kept) })
}

func refused(t *testing.T, what string, f func()) {
	t.Helper()
	defer func() {
		if recover() == nil {
			t.Errorf("%s was reached", what)
		}
	}()
	f()
}

func TestAStateOfAnotherVersionIsRefusedWithWhatToDo(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`{"port": 1, "lambda": {}}`:            `no service "lambda"`,
		`{"port": 1, "counter": {"n": "two"}}`: "the state of counter",
		`{"port": `:                            "unexpected end",
	} {
		dir := t.TempDir()
		if err := os.WriteFile(kernel.StateFile(dir), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		k := kernel.New(t.Context(), kernel.Config{StateDir: dir, Account: "000000000000", Log: slog.New(slog.DiscardHandler)})
		kernel.Saved[counter](k, "counter")
		err := k.Load()
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(hint.Of(err).String(), "--purge") {
			t.Errorf("%s: %v, next: %s", text, err, hint.Of(err).String())
		}
	}
}
