package localcloud

import (
	"encoding/json"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/bookctl/bookctl/internal/localcloud/service/ecs"
	"github.com/bookctl/bookctl/internal/localcloud/service/rds"
)

// maxBody bounds a request to the cloud's own control.
const maxBody = 1 << 20

// ServeHTTP serves the AWS APIs, the registry below /v2/ and the cloud's own
// control below /_bookctl/. Every other Host than a loopback name is refused, so
// that no web page can reach the cloud by a name of its own (DNS rebinding).
func (c *Cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !loopbackHost(r.Host) {
		http.Error(w, "the local cloud answers on loopback names only", http.StatusForbidden)
		return
	}
	switch {
	case r.URL.Path == "/v2" || strings.HasPrefix(r.URL.Path, "/v2/"):
		if c.kernel.AuthorizeTransfer(w, r) {
			c.storage.registry.ServeHTTP(w, r)
		}
	case strings.HasPrefix(r.URL.Path, "/_bookctl/"):
		c.control(w, r)
	default:
		c.kernel.ServeAPI(w, r)
	}
}

func loopbackHost(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	host = strings.Trim(host, "[]")
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.IsLoopback()
	}
	// The SDKs put account ids and service names before a host of their own.
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// control serves what is not AWS's: health, and the faults in force.
func (c *Cloud) control(w http.ResponseWriter, r *http.Request) {
	answer := func(v any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v) // the client may be gone
	}
	path := strings.TrimPrefix(r.URL.Path, "/_bookctl/")
	if of, ok := strings.CutPrefix(path, ecs.CredentialsPath); ok && r.Method == http.MethodGet {
		if credentials, ok := c.tasks.Credentials(of); ok {
			answer(credentials)
			return
		}
	}
	if token, ok := strings.CutPrefix(path, "confirm/"); ok && r.Method == http.MethodGet {
		// The link of a mail, which its reader follows in a browser.
		to, ok := c.topics.Confirm(token)
		if !ok {
			http.Error(w, "no subscription waits for this confirmation", http.StatusNotFound)
			return
		}
		answer(map[string]string{"confirmed": to})
		return
	}
	if arn, ok := strings.CutPrefix(path, "unsubscribe/"); ok && r.Method == http.MethodGet {
		who, ok := c.topics.Unsubscribe(arn) // by the link of another mail
		if !ok {
			http.Error(w, "there is no such subscription", http.StatusNotFound)
			return
		}
		answer(map[string]string{"unsubscribed": who})
		return
	}
	switch r.Method + " " + path {
	case "GET health":
		answer(c.info())
	case "GET faults":
		answer(c.kernel.Faults())
	case "PUT faults":
		f, err := ParseFaults(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		c.kernel.SetFaults(f)
		answer(f)
	case "POST snapshot": // moves one to where the local cloud is not
		q := r.URL.Query()
		arn, err := c.databases.MoveSnapshot(q.Get("id"), rds.Location{
			Account: q.Get("account"), Region: q.Get("region"), Denied: q.Get("denied") == "true", Gone: q.Get("gone") == "true",
		})
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		answer(map[string]string{"arn": arn})
	case "POST secret": // makes one a replica of one where the local cloud is not
		q := r.URL.Query()
		if err := c.secretValues.MakeReplica(q.Get("id"), q.Get("primary")); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		answer(map[string]string{"replica": q.Get("id")})
	case "POST interrupt":
		id, err := c.tasks.Interrupt(r.URL.Query().Get("task"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusNotFound)
			return
		}
		answer(map[string]string{"task": id})
	default:
		http.NotFound(w, r)
	}
}
