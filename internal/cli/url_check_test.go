package cli

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/bookctl/bookctl/internal/diagnosis"
	"github.com/bookctl/bookctl/internal/provision"
)

// TestAWrongResponseNamesWhoSentIt asks a server that answers 404, which the load
// balancer may have as well.
func TestAWrongResponseNamesWhoSentIt(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	sick := []diagnosis.Target{{Health: "unhealthy", Description: "Health checks failed with these codes: [404]"}}
	for name, tc := range map[string]struct {
		ready   string
		targets []diagnosis.Target
		want    string
	}{
		"seen by the load balancer too": {"", sick, "the app answers 404 on /nope, and not 200-299"},
		"not seen there yet":            {"", nil, "the app answers 404 on /nope, and not 200-299, unless something else answers on port "},
		"another code there":            {"", []diagnosis.Target{{Health: "unhealthy", Description: "Health checks failed with these codes: [503]"}}, ", unless something else answers on port "},
		"another path":                  {"/readyz", sick, "something other than a task answers on port "},
	} {
		a := (&target{}).requestURL(t.Context(), server.URL, provision.Settings{ReadyPath: tc.ready, HealthPath: "/nope", HealthStatus: "200-299"})
		a.noteSameAnswer(tc.targets)
		if got := a.complaint(); !strings.Contains(got, tc.want) || strings.Contains(got, "unless") != strings.Contains(tc.want, "unless") {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}
