package cli

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/bookctl/bookctl/internal/diagnosis"
	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/provision"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// urlCheck is the response of the service at its URL, as a client receives it.
type urlCheck struct {
	// Path is the path that was requested: that of the check that includes the database, if
	// the service has one, otherwise that of the load balancer's health check.
	Path string `json:"path"`
	// Ready reports whether it answers as the health check requires.
	Ready        bool    `json:"ready" doc:"It answers the path of the health check with a code of --health-status."`
	Code         int     `json:"code,omitempty" doc:"The HTTP status."`
	Milliseconds float64 `json:"milliseconds"`
	Error        string  `json:"error,omitempty" doc:"Why there was no answer."`

	url          string
	wanted       string // the codes
	checked      bool   // it is the health check that asks for Path
	sameAsTarget bool   // the load balancer gets the same answer from a task, so it is the app's
}

// answerTimeout is how long the URL has to answer.
const answerTimeout = 5 * time.Second

// requestURL asks the service, through its URL, whether it serves.
func (t *target) requestURL(ctx context.Context, base string, how provision.Settings) *urlCheck {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	a := &urlCheck{Path: cmp.Or(how.ReadyPath, how.HealthPath), url: base, wanted: how.HealthStatus}
	a.checked = a.Path == how.HealthPath
	begun := time.Now()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+a.Path, nil)
	if err != nil {
		a.Error = err.Error()
		return a
	}
	// A redirect is judged by its own code, as the load balancer does.
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: t.authorities},
	}}
	resp, err := client.Do(req)
	a.Milliseconds = float64(time.Since(begun).Microseconds()) / 1000
	if err != nil {
		a.Error = reasonOf(err)
		return a
	}
	_ = resp.Body.Close() // only its code counts
	a.Code = resp.StatusCode
	a.Ready = how.Answers(a.Code)
	return a
}

// complaint returns what is wrong with an answer that is not Ready.
func (a *urlCheck) complaint() string {
	switch {
	case a.Error != "":
		return fmt.Sprintf("%s does not answer: %s", a.url, a.Error)
	case a.Code >= http.StatusInternalServerError:
		return fmt.Sprintf("%s answers %d: no task can serve", a.url+a.Path, a.Code)
	case a.checked && a.sameAsTarget:
		return fmt.Sprintf("the app answers %d on %s, and not %s", a.Code, a.Path, a.wanted)
	case a.checked:
		return fmt.Sprintf("the app answers %d on %s, and not %s, unless something else answers on port %s", a.Code, a.Path, a.wanted, portOf(a.url))
	}
	return fmt.Sprintf("something other than a task answers on port %s, or otherwise than it: %s says %d, and not %s", portOf(a.url), a.url+a.Path, a.Code, a.wanted)
}

// noteSameAnswer checks whether the load balancer gets the same answer from a task.
func (a *urlCheck) noteSameAnswer(targets []diagnosis.Target) {
	a.sameAsTarget = slices.ContainsFunc(targets, func(t diagnosis.Target) bool {
		return t.Health == "unhealthy" && strings.Contains(t.Description, fmt.Sprintf("codes: [%d]", a.Code))
	})
}

// portOf is the port of a URL, also where it is the scheme's own.
func portOf(base string) string {
	u, err := url.Parse(base)
	if err != nil {
		return "?"
	}
	return cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
}

// reasonOf is an HTTP client's error without the address, which is printed anyway.
func reasonOf(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return "no answer within " + answerTimeout.String()
	}
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err.Error()
		}
		err = inner
	}
}

// waitForURL ends a run that waited for its release, by a request to the URL: what AWS reports
// can differ from what a client gets. On this machine, an answer of another program is a
// failure. No answer at all need not be one, nor an error on the way to AWS: the name of a
// new load balancer resolves only after a while, and a proxy or a firewall may stand
// between.
func (t *target) waitForURL(ctx context.Context, rep reporter, base string, how provision.Settings) error {
	for tries := 3; ; tries-- {
		a := t.requestURL(ctx, base, how)
		switch {
		case a.Ready:
			return nil
		case t.local && a.Error == "" && a.Code < http.StatusInternalServerError && a.checked:
			return hint.With(errors.New(a.complaint()), "choose another path with --health-path, or other codes with --health-status; %s shows what the load balancer finds", hint.Command("status"))
		case t.local && a.Error == "" && a.Code < http.StatusInternalServerError:
			return hint.With(errors.New(a.complaint()), "end that program, or move the stack with %s, and look again with %s", hint.Command("up", "--port", "N"), hint.Command("status"))
		case tries == 1:
			rep.note("note: the release serves, and from here %s; %s asks again", a.complaint(), hint.Command("status"))
			return nil
		}
		if err := graph.Sleep(ctx, time.Second); err != nil {
			return err
		}
	}
}
