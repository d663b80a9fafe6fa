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

// maxBody limits the size of a request to the admin endpoints.
const maxBody = 1 << 20

// ServeHTTP serves the AWS APIs, the registry below /v2/ and the admin
// endpoints below /_bookctl/. Every other Host than a loopback name is refused, so
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
		c.admin.ServeHTTP(w, r)
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

// adminHandler serves what is not AWS's: health, the faults in force, and what stands in
// for other accounts and for the readers of mails. A HEAD request is answered as an
// unknown path, although its route with GET exists.
func (c *Cloud) adminHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /_bookctl/health", c.serveHealth)
	mux.HandleFunc("GET /_bookctl/faults", c.serveFaults)
	mux.HandleFunc("PUT /_bookctl/faults", c.serveNewFaults)
	mux.HandleFunc("POST /_bookctl/snapshot", c.serveMovedSnapshot)
	mux.HandleFunc("POST /_bookctl/secret", c.serveReplica)
	mux.HandleFunc("POST /_bookctl/interrupt", c.serveInterrupt)
	mux.HandleFunc("GET /_bookctl/"+ecs.CredentialsPath+"{id...}", c.serveCredentials)
	mux.HandleFunc("GET /_bookctl/confirm/{token...}", c.serveConfirm)
	mux.HandleFunc("GET /_bookctl/unsubscribe/{arn...}", c.serveUnsubscribe)
	mux.HandleFunc("/_bookctl/", http.NotFound) // without it, another method would be a 405
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodHead {
			http.NotFound(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // the client may be gone
}

func (c *Cloud) serveHealth(w http.ResponseWriter, _ *http.Request) { writeJSON(w, c.info()) }

func (c *Cloud) serveFaults(w http.ResponseWriter, _ *http.Request) { writeJSON(w, c.kernel.Faults()) }

func (c *Cloud) serveNewFaults(w http.ResponseWriter, r *http.Request) {
	f, err := ParseFaults(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	c.kernel.SetFaults(f)
	writeJSON(w, f)
}

// serveMovedSnapshot moves a snapshot to another account or region.
func (c *Cloud) serveMovedSnapshot(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	arn, err := c.databases.MoveSnapshot(q.Get("id"), rds.Location{
		Account: q.Get("account"), Region: q.Get("region"), Denied: q.Get("denied") == "true", Gone: q.Get("gone") == "true",
	})
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	writeJSON(w, map[string]string{"arn": arn})
}

// serveReplica makes a secret a replica of one in another region.
func (c *Cloud) serveReplica(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if err := c.secretValues.MakeReplica(q.Get("id"), q.Get("primary")); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	writeJSON(w, map[string]string{"replica": q.Get("id")})
}

// serveInterrupt interrupts a task on Fargate Spot.
func (c *Cloud) serveInterrupt(w http.ResponseWriter, r *http.Request) {
	id, err := c.tasks.Interrupt(r.URL.Query().Get("task"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	writeJSON(w, map[string]string{"task": id})
}

// serveCredentials returns the credentials of a task's role.
func (c *Cloud) serveCredentials(w http.ResponseWriter, r *http.Request) {
	credentials, ok := c.tasks.Credentials(r.PathValue("id"))
	if !ok {
		http.NotFound(w, r)
		return
	}
	writeJSON(w, credentials)
}

// serveConfirm confirms a subscription by the link in a mail, which its reader opens in a
// browser.
func (c *Cloud) serveConfirm(w http.ResponseWriter, r *http.Request) {
	endpoint, ok := c.topics.Confirm(r.PathValue("token"))
	if !ok {
		http.Error(w, "no subscription waits for this confirmation", http.StatusNotFound)
		return
	}
	writeJSON(w, map[string]string{"confirmed": endpoint})
}

// serveUnsubscribe ends a subscription by the link at the end of each mail.
func (c *Cloud) serveUnsubscribe(w http.ResponseWriter, r *http.Request) {
	endpoint, ok := c.topics.Unsubscribe(r.PathValue("arn"))
	if !ok {
		http.Error(w, "there is no such subscription", http.StatusNotFound)
		return
	}
	writeJSON(w, map[string]string{"unsubscribed": endpoint})
}
