package balancer

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

const (
	// connectTimeout is how long a target may take to accept a connection.
	connectTimeout = 10 * time.Second
	// keepAlive is how long an idle connection to a target is kept. It is far
	// below the idle timeout of any sensible server, so that it is this side
	// that closes it: a request sent into a connection that the other side is
	// closing is lost.
	keepAlive = 15 * time.Second
	// replayLimit is the largest body that is kept to be sent again, when a
	// connection turns out to be closed before anything of it was written.
	replayLimit = 64 << 10
	// closeTimeout is how long requests may go on after their listener went.
	closeTimeout = 5 * time.Second
)

// Options are the attributes of a load balancer and of its listener, and the
// listener's rules.
type Options struct {
	// IdleTimeout is how long a target may take to begin its answer, and a
	// client's connection may be idle. AWS's default is 60 s.
	IdleTimeout time.Duration
	// DropInvalidHeaders removes header fields whose names hold anything but
	// letters, digits and hyphens.
	DropInvalidHeaders bool
	// Header is set on every answer, over what the target says.
	Header map[string]string
	// HideServer removes the header field Server from every answer.
	HideServer bool
	// Rules are tried in their order before the listener's action.
	Rules []Rule
}

// Action is what a listener does with a request; exactly one field is set.
type Action struct {
	Forward  *Group
	Split    []Share
	Redirect *Redirect
	Fixed    *Fixed
}

// Share is the part of the requests that a group gets, among others.
type Share struct {
	Group  Backend
	Weight int
}

// Backend is a Group, or what stands for one where nothing listens for real: a
// Listener forwards to groups only.
type Backend interface {
	// Health is that of every target.
	Health() []Health
}

// group is where a request is forwarded to, nil for nowhere.
func (a Action) group() *Group {
	total := 0
	for _, s := range a.Split {
		total += s.Weight
	}
	if total == 0 {
		return a.Forward
	}
	at := mathrand.IntN(total) //nolint:gosec // which target answers is no secret
	for _, s := range a.Split {
		if at -= s.Weight; at < 0 {
			group, _ := s.Group.(*Group)
			return group
		}
	}
	return nil // not reached: the weights are more than what was drawn
}

// Redirect sends the client elsewhere. The fields may hold AWS's placeholders
// #{protocol}, #{host}, #{port}, #{path} and #{query}; empty ones keep what the
// request has.
type Redirect struct {
	Protocol, Host, Port, Path, Query string
	// Code is 301 or 302.
	Code int
}

// Fixed answers by itself.
type Fixed struct {
	Code              int
	ContentType, Body string
}

// Listener is a bound port.
type Listener struct {
	server   *http.Server
	listener net.Listener
	secure   bool
	port     string
	config   atomic.Pointer[config]
	certs    atomic.Pointer[[]*tls.Certificate]

	requests, byTasks, byItself atomic.Int64
}

// Counts are what a listener has done so far.
type Counts struct {
	// Requests are those that targets were given, ByTasks those of them that were
	// answered by 5xx, and ByItself what the listener answered so.
	Requests, ByTasks, ByItself int64
}

// Counts are those of the listener.
func (l *Listener) Counts() Counts {
	return Counts{l.requests.Load(), l.byTasks.Load(), l.byItself.Load()}
}

type config struct {
	action  Action
	options Options
}

// Listen binds 127.0.0.1:port, for HTTPS when cert is not nil. A port in use is
// an error that wraps syscall.EADDRINUSE.
func Listen(port int, cert *tls.Certificate, action Action, options Options) (*Listener, error) {
	bound, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return nil, fmt.Errorf("bind the listener's port: %w", err)
	}
	l := &Listener{listener: bound, secure: cert != nil}
	_, l.port, _ = net.SplitHostPort(bound.Addr().String()) // an address of net's own making
	l.Configure(action, options)
	quiet := log.New(io.Discard, "", 0) // clients' broken connections are no news
	l.server = &http.Server{
		Handler:           l,
		ErrorLog:          quiet,
		ReadHeaderTimeout: time.Minute,
		IdleTimeout:       options.IdleTimeout,
		MaxHeaderBytes:    64 << 10,
	}
	if cert != nil {
		l.SetCertificates(cert)
		l.server.TLSConfig = &tls.Config{
			MinVersion:     tls.VersionTLS12,
			GetCertificate: l.certificate,
		}
		go func() { _ = l.server.ServeTLS(bound, "", "") }() // ends by Close, with http.ErrServerClosed
	} else {
		go func() { _ = l.server.Serve(bound) }() // the same
	}
	return l, nil
}

// Configure changes what is done with the requests to come.
func (l *Listener) Configure(action Action, options Options) {
	l.config.Store(&config{action, options})
}

// SetCertificates replaces an HTTPS listener's certificates. The first one is
// for the clients whose name no other one has.
func (l *Listener) SetCertificates(certs ...*tls.Certificate) { l.certs.Store(&certs) }

func (l *Listener) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	all := *l.certs.Load()
	for _, cert := range all {
		if hello.SupportsCertificate(cert) == nil {
			return cert, nil
		}
	}
	return all[0], nil
}

// Addr is the bound address.
func (l *Listener) Addr() string { return l.listener.Addr().String() }

// Release gives the port free at once; what is under way goes on until Close.
func (l *Listener) Release() { _ = l.listener.Close() } // nothing is written to it

// Close gives the port free at once and the requests in flight a few seconds.
func (l *Listener) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	if err := l.server.Shutdown(ctx); err != nil {
		_ = l.server.Close() // what did not end in time is cut off
	}
}

// ServeHTTP does with the request what the first rule that it meets says, or
// else the listener's action.
func (l *Listener) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := l.config.Load()
	action := c.action
	for _, rule := range c.options.Rules {
		if rule.Match(r) {
			action = rule.Action
			break
		}
	}
	if c.options.HideServer || len(c.options.Header) > 0 {
		w = &headerWriter{ResponseWriter: w, options: &c.options}
	}
	switch {
	case action.Redirect != nil:
		w.Header().Set("Server", "awselb/2.0")
		http.Redirect(w, r, l.redirect(action.Redirect, r), action.Redirect.Code)
	case action.Fixed != nil:
		w.Header().Set("Server", "awselb/2.0")
		if action.Fixed.ContentType != "" {
			w.Header().Set("Content-Type", action.Fixed.ContentType)
		}
		w.WriteHeader(action.Fixed.Code)
		_, _ = io.WriteString(w, action.Fixed.Body) // the client may have gone
	default:
		if group := action.group(); group != nil {
			l.forward(w, r, group, c.options)
			return
		}
		l.refuse(w, http.StatusServiceUnavailable)
	}
}

// headerWriter changes an answer's header as the listener's attributes say.
type headerWriter struct {
	http.ResponseWriter
	options *Options
	done    bool
}

func (d *headerWriter) WriteHeader(code int) {
	if !d.done && code >= 200 { // the final one
		d.done = true
		for name, value := range d.options.Header {
			d.Header().Set(name, value)
		}
		if d.options.HideServer {
			d.Header().Del("Server")
		}
	}
	d.ResponseWriter.WriteHeader(code)
}

func (d *headerWriter) Write(text []byte) (int, error) {
	if !d.done {
		d.WriteHeader(http.StatusOK)
	}
	return d.ResponseWriter.Write(text)
}

// Unwrap is for http.ResponseController.
func (d *headerWriter) Unwrap() http.ResponseWriter { return d.ResponseWriter }

// refuse answers as AWS's load balancers do of themselves.
func (l *Listener) refuse(w http.ResponseWriter, code int) {
	l.byItself.Add(1) // all of them are 5xx
	w.Header().Set("Server", "awselb/2.0")
	w.Header().Set("Content-Type", "text/html")
	w.WriteHeader(code)
	text := fmt.Sprintf("%d %s", code, http.StatusText(code))
	if code == http.StatusGatewayTimeout {
		text = "504 Gateway Time-out"
	}
	// The client may have gone.
	_, _ = fmt.Fprintf(w, "<html>\r\n<head><title>%[1]s</title></head>\r\n<body>\r\n<center><h1>%[1]s</h1></center>\r\n</body>\r\n</html>\r\n", text)
}

func (l *Listener) redirect(to *Redirect, r *http.Request) string {
	host, port, err := net.SplitHostPort(r.Host)
	if err != nil {
		host, port = r.Host, l.port
	}
	or := func(value, otherwise string) string {
		if value == "" {
			value = otherwise
		}
		return strings.NewReplacer("#{protocol}", l.protocol(), "#{host}", host, "#{port}", port,
			"#{path}", strings.TrimPrefix(r.URL.EscapedPath(), "/"), "#{query}", r.URL.RawQuery).Replace(value)
	}
	scheme := strings.ToLower(or(to.Protocol, "#{protocol}"))
	target := scheme + "://" + or(to.Host, "#{host}")
	if p := or(to.Port, "#{port}"); (scheme != "https" || p != "443") && (scheme != "http" || p != "80") {
		target += ":" + p
	}
	target += or(to.Path, "/#{path}")
	if query := or(to.Query, "#{query}"); query != "" {
		target += "?" + query
	}
	return target
}

func (l *Listener) protocol() string {
	if l.secure {
		return "https"
	}
	return "http"
}

func (l *Listener) forward(w http.ResponseWriter, r *http.Request, group *Group, options Options) {
	before := ""
	if c, err := r.Cookie(stickyCookie); err == nil {
		before = c.Value
	}
	t, access, cookie := group.pick(before)
	if t == nil {
		l.refuse(w, http.StatusServiceUnavailable)
		return
	}
	defer group.release(t)
	l.requests.Add(1)
	if access == Filtered {
		l.waitFiltered(w, r)
		return
	}
	// A request that outlives the deregistration delay of its target is broken off: by 502, if
	// it is not answered yet.
	// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-troubleshooting.html#http-502-issues
	ctx, end := context.WithCancel(r.Context())
	defer end()
	defer context.AfterFunc(t.requests, end)()
	r = r.WithContext(ctx)
	if t.Addr == "" {
		l.refuse(w, http.StatusBadGateway)
		return
	}
	if options.DropInvalidHeaders {
		for name := range r.Header {
			if !validHeader(name) {
				delete(r.Header, name)
			}
		}
	}
	// Else net/http closes the client's body when the answer begins, and a target
	// that answers before it has all of the body loses its connection under the
	// answer: https://github.com/golang/go/issues/40747. HTTP/2 needs it not.
	if err := http.NewResponseController(w).EnableFullDuplex(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		l.refuse(w, http.StatusBadGateway)
		return
	}
	l.proxyTo(t, cookie, options).ServeHTTP(w, r)
}

// waitFiltered answers a request to a target that security groups keep the load balancer
// from: it can't connect.
func (l *Listener) waitFiltered(w http.ResponseWriter, r *http.Request) {
	select {
	case <-r.Context().Done():
	case <-time.After(connectTimeout):
	}
	l.refuse(w, http.StatusGatewayTimeout)
}

// proxyTo returns the proxy that sends a request to a target. Its response sets the cookie,
// which may be nil.
func (l *Listener) proxyTo(t *target, cookie *http.Cookie, options Options) *httputil.ReverseProxy {
	return &httputil.ReverseProxy{
		Transport: responseTimeout{t.transport, options.IdleTimeout},
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(&url.URL{Scheme: "http", Host: t.Addr})
			p.Out.Host = p.In.Host // a load balancer passes it on
			// Appended to what the client sent, as is AWS's default.
			p.Out.Header["X-Forwarded-For"] = p.In.Header["X-Forwarded-For"]
			p.SetXForwarded()
			p.Out.Header.Del("X-Forwarded-Host") // not sent by AWS
			p.Out.Header.Set("X-Forwarded-Proto", l.protocol())
			p.Out.Header.Set("X-Forwarded-Port", l.port)
			if p.Out.Header.Get("X-Amzn-Trace-Id") == "" {
				p.Out.Header.Set("X-Amzn-Trace-Id", traceID())
			}
			if err := replayable(p.Out); err != nil {
				p.Out.Body = io.NopCloser(errorReader{err})
			}
		},
		ModifyResponse: func(resp *http.Response) error {
			if resp.StatusCode >= http.StatusInternalServerError {
				l.byTasks.Add(1)
			}
			if cookie != nil {
				resp.Header.Add("Set-Cookie", cookie.String())
			}
			return nil
		},
		ErrorLog: log.New(io.Discard, "", 0), // the code says what happened
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			var timeout interface{ Timeout() bool }
			if errors.Is(err, errSlow) || (errors.As(err, &timeout) && timeout.Timeout()) {
				l.refuse(w, http.StatusGatewayTimeout)
				return
			}
			l.refuse(w, http.StatusBadGateway)
		},
	}
}

// replayable lets the transport send a small body again over a new connection
// when the old one turns out to be closed.
func replayable(r *http.Request) error {
	if r.Body == nil || r.ContentLength <= 0 || r.ContentLength > replayLimit {
		return nil
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	r.Body, err = r.GetBody()
	return err
}

type errorReader struct{ err error }

func (f errorReader) Read([]byte) (int, error) { return 0, f.err }

func validHeader(name string) bool {
	for _, r := range name {
		if r != '-' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') {
			return false
		}
	}
	return name != ""
}

// traceID is in the form of
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-request-tracing.html.
func traceID() string {
	random := make([]byte, 12)
	_, _ = rand.Read(random) // never fails, says package crypto/rand
	return fmt.Sprintf("Root=1-%08x-%s", time.Now().Unix(), hex.EncodeToString(random))
}

func newTransport() *http.Transport {
	return &http.Transport{
		DialContext:         (&net.Dialer{Timeout: connectTimeout}).DialContext,
		MaxIdleConnsPerHost: 256,
		IdleConnTimeout:     keepAlive,
		DisableCompression:  true, // answers pass as they are
	}
}

var errSlow = errors.New("the target's answer did not begin in time")

// responseTimeout limits the time until an answer begins, but not the answer itself.
type responseTimeout struct {
	http.RoundTripper
	limit time.Duration
}

func (t responseTimeout) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(r.Context())
	timer := time.AfterFunc(t.limit, func() { cancel(errSlow) })
	resp, err := t.RoundTripper.RoundTrip(r.WithContext(ctx))
	inTime := timer.Stop()
	if err != nil {
		cancel(nil)
		if !inTime {
			return nil, errSlow
		}
		return nil, err
	}
	// The context ends with the client's request, which outlives the body.
	context.AfterFunc(r.Context(), func() { cancel(nil) })
	return resp, nil
}
