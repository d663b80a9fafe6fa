package api_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/bookctl/bookctl/internal/browser"
)

func TestTheDocsPageTriesOutTheAPIInABrowserWithoutInternet(t *testing.T) {
	t.Parallel()
	b := browser.Open(t)
	s := serve(t, newDatabase(t))
	b.Go(s.url + "/docs")
	b.Screenshot("docs")
	b.Click("#create-book summary")
	b.Fill("#create-book-body", `{"name":"Tried <b>out</b>","author":"a browser"}`)
	b.Click("#form-create-book button")
	if got := b.Text("#result-create-book h3"); !strings.HasPrefix(got, "201") {
		t.Fatalf("the answer is %q", b.Text("#result-create-book"))
	}
	b.Screenshot("docs-created")
	stored := listed(t, s, "author=a+browser")
	if len(stored) != 1 || stored[0].Name != "Tried <b>out</b>" {
		t.Fatalf("stored: %+v", stored)
	}

	b.Click("#get-book-by-name summary")
	b.Fill("#get-book-by-name-name", "Tried <b>out</b>")
	b.Click("#form-get-book-by-name button")
	if got := b.Text("#result-get-book-by-name .answer"); !strings.Contains(got, `"author": "a browser"`) {
		t.Errorf("the book is shown as %s", got)
	}
	b.Click("#change-book summary")
	b.Fill("#change-book-id", fmt.Sprint(stored[0].ID))
	b.Fill("#change-book-If-Match", "*")
	b.Fill("#change-book-body", `{"author":"someone else"}`)
	b.Click("#form-change-book button")
	if got := b.Text("#result-change-book h3"); !strings.HasPrefix(got, "200") {
		t.Errorf("the answer is %q", b.Text("#result-change-book"))
	}
	if wrong := b.Errors(); len(wrong) > 0 {
		t.Errorf("the console says: %v", wrong)
	}
}

func TestTheHomePageAddsABookInABrowser(t *testing.T) {
	t.Parallel()
	b := browser.Open(t)
	s := serve(t, newDatabase(t))
	b.Go(s.url)
	b.Fill("#name", "A Browser's Book")
	b.Fill("#author", "Me & <you>")
	b.Click("form button")
	if got := b.Text(".books li"); got != "A Browser's Book by Me & <you>" {
		t.Errorf("the page lists %q", got)
	}
	b.Screenshot("home")
	b.Click("a[href='/docs']")
	b.Find("#create-book")
	if wrong := b.Errors(); len(wrong) > 0 {
		t.Errorf("the console says: %v", wrong)
	}
}
