package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/bookctl/bookctl/internal/api/database"
)

func TestTheAddressIsReadFromEverySecretThatAWSShows(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{
		`{"host":"h","port":5433,"password":"x"}`:                5433,
		`{"host":"h","port":"5433","password":"x","more":[1,2]}`: 5433,
		`{"host":"h"}`:             5432,
		`{"host":"h","port":null}`: 5432,
	} {
		if host, port, err := parseAddress(text); host != "h" || port != want || err != nil {
			t.Errorf("%s: %s:%d, %v", text, host, port, err)
		}
	}
	for _, text := range []string{"", "Plain-text", `{"password":"x"}`, `{"host":"","port":5432}`} {
		if _, _, err := parseAddress(text); !errors.Is(err, database.ErrNoAddress) {
			t.Errorf("%q: %v", text, err)
		}
	}
	for _, text := range []string{`{"host":"h","password":"Secret"`, `{"host":"h","port":"Secret"}`} {
		if _, _, err := parseAddress(text); err == nil || errors.Is(err, database.ErrNoAddress) || strings.Contains(err.Error(), "Secret") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
