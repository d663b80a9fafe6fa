package localcloud

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/bookctl/bookctl/internal/localcloud/wire"
)

// maxBody bounds an API request. The largest that AWS takes are log events, 1 MiB.
const maxBody = 4 << 20

// Call is one API call, for Config.Journal, Before and After.
type Call struct {
	// Service is the name that requests are signed for, such as
	// "elasticloadbalancing"; Operation is as in "CreateVpc".
	Service, Operation string
	// Action is what a policy must allow for it, such as "ec2:CreateVpc".
	Action string
	// Writes says whether the operation can change anything.
	Writes bool
	// Code is AWS's error code, "" after a success and before the work.
	Code string
	// Lost says that the client never got the answer.
	Lost bool
	// Started and Duration are when and how long.
	Started  time.Time
	Duration time.Duration
}

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
		if c.mayTransfer(w, r) {
			c.registry.ServeHTTP(w, r)
		}
	case strings.HasPrefix(r.URL.Path, "/_bookctl/"):
		c.control(w, r)
	default:
		c.serveAPI(w, r)
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

// scope is the credential scope of a signed request
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-signing-elements.html).
// The signature itself is not checked: every credential is good here, but for
// those of a task, which may do what its role may.
type scope struct{ key, region, service string }

func credentialScope(r *http.Request) (scope, error) {
	header := r.Header.Get("Authorization")
	if header == "" {
		return scope{}, &apiError{status: http.StatusForbidden, code: "MissingAuthenticationToken", message: "Request is missing Authentication Token"}
	}
	incomplete := &apiError{
		status: http.StatusForbidden, code: "IncompleteSignature",
		message: "Authorization header requires 'Credential' parameter of the form KEY/DATE/REGION/SERVICE/aws4_request.",
	}
	rest, ok := strings.CutPrefix(header, "AWS4-HMAC-SHA256 ")
	if !ok {
		return scope{}, incomplete
	}
	for field := range strings.SplitSeq(rest, ",") {
		value, ok := strings.CutPrefix(strings.TrimSpace(field), "Credential=")
		if !ok {
			continue
		}
		parts := strings.Split(value, "/")
		if len(parts) != 5 || parts[4] != "aws4_request" || slices.Contains(parts, "") {
			return scope{}, incomplete
		}
		return scope{key: parts[0], region: parts[2], service: parts[3]}, nil
	}
	return scope{}, incomplete
}

// stale refuses a request that was signed more than five minutes ago, or in the
// future, in the words of the service's kind.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-signing-elements.html
func (p protocol) stale(signed string, now time.Time) error {
	const form, tolerance = "20060102T150405Z", 5 * time.Minute
	at, err := time.Parse(form, signed)
	if err != nil || now.Sub(at).Abs() <= tolerance {
		return nil // without a date there is nothing to go by
	}
	past := now.After(at)
	if p == protocolEC2 && past {
		return &apiError{http.StatusBadRequest, "RequestExpired", "Request has expired."}
	}
	if p == protocolEC2 {
		// https://github.com/aws/aws-sdk-java/issues/519
		return &apiError{http.StatusUnauthorized, "AuthFailure", "AWS was not able to validate the provided access credentials"}
	}
	// https://github.com/EngineerBetter/control-tower/issues/51
	message := fmt.Sprintf("Signature expired: %s is now earlier than %s (%s - 5 min.)", signed, now.Add(-tolerance).UTC().Format(form), now.UTC().Format(form))
	if !past {
		message = fmt.Sprintf("Signature not yet current: %s is still later than %s (%s + 5 min.)", signed, now.Add(tolerance).UTC().Format(form), now.UTC().Format(form))
	}
	if p == protocolJSON {
		return &apiError{http.StatusBadRequest, "InvalidSignatureException", message}
	}
	return &apiError{http.StatusForbidden, "SignatureDoesNotMatch", message}
}

// global are the services with one endpoint for all regions of a partition,
// which sign for one of them wherever the client is; STS has both kinds.
var global = []string{"iam", "route53", "pricing", "sts"}

// serveAPI answers one AWS call.
func (c *Cloud) serveAPI(w http.ResponseWriter, r *http.Request) {
	started := c.now()
	id := requestID()
	sc, err := credentialScope(r)
	s, known := c.handlers[sc.service]
	if err == nil && !known {
		err = fail("UnknownService", "The local cloud has no service %q; it has %s", sc.service, strings.Join(c.serviceNames(), ", "))
	}
	if err == nil && sc.region != c.cfg.Region && (sc.region != partitionOf(c.cfg.Region).global || !slices.Contains(global, sc.service)) {
		err = &apiError{
			status: http.StatusForbidden, code: "SignatureDoesNotMatch",
			message: fmt.Sprintf("Credential should be scoped to a valid region: the local cloud is %s, the request is for %s.", c.cfg.Region, sc.region),
		}
	}
	if err == nil {
		err = s.protocol.stale(r.Header.Get("X-Amz-Date"), started)
	}
	if err != nil {
		c.answerError(w, c.guess(s, r), err, id)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		c.answerError(w, s.table, &apiError{
			status: http.StatusRequestEntityTooLarge, code: "RequestEntityTooLarge",
			message: fmt.Sprintf("the request can't be read: %v", err),
		}, id)
		return
	}
	call := Call{Service: s.signing, Started: started}
	call.Operation, err = s.table.OperationName(r, body)
	if err != nil {
		c.answerError(w, s.table, err, id)
		return
	}
	call.Action = iamPrefix(s.signing) + ":" + call.Operation
	o, known := s.operations[call.Operation]
	call.Writes = known && o.writes()
	done := c.perform(r, sc, s, o, &call, body)
	if done.err != nil {
		call.Code = codeOf(done.err)
	}
	call.Lost, call.Duration = done.lost, time.Since(started)
	c.report(call, done.err)
	if done.lost {
		hangUp(w)
		return
	}
	if done.err != nil {
		c.answerError(w, s.table, done.err, id)
		return
	}
	answer, err := s.table.Encode(call.Operation, done.output, id, w.Header())
	if err != nil {
		c.log.Error("an answer could not be written", "action", call.Action, "error", err)
		c.answerError(w, s.table, err, id)
		return
	}
	_, _ = w.Write(answer) //nolint:gosec // XML or JSON for an SDK, and the client may be gone
}

// outcome is how a call ended.
type outcome struct {
	output any
	err    error
	lost   bool // the client must not get an answer
}

// perform does the work of a call between the faults around it.
func (c *Cloud) perform(r *http.Request, sc scope, s service, o operation, call *Call, body []byte) outcome {
	ctx := r.Context()
	if d := c.cfg.Latencies.Call; d > 0 && !c.pause(ctx, d) {
		return outcome{err: ctx.Err(), lost: true}
	}
	if c.cfg.Before != nil {
		if err := c.cfg.Before(*call); err != nil {
			return outcome{err: fmt.Errorf("cut off before the work: %w", err), lost: true}
		}
	}
	verdict := c.judge(s, *call)
	if verdict.err != nil {
		return outcome{err: verdict.err}
	}
	if o.name == "" {
		return outcome{err: fail(unknownOperation(s.protocol), "The action %s is not valid for this web service: the local cloud does not serve it.", call.Operation)}
	}
	input := o.newInput()
	if err := s.table.Decode(call.Operation, r, body, input); err != nil {
		return outcome{err: err}
	}
	output, err := c.run(ctx, sc, s, o, *call, input)
	if c.cfg.After != nil {
		done := *call
		if err != nil {
			done.Code = codeOf(err)
		}
		if after := c.cfg.After(done); after != nil {
			return outcome{err: fmt.Errorf("cut off after the work: %w", after), lost: true}
		}
	}
	return outcome{output: output, err: err, lost: verdict.lose}
}

// run calls the operation with the lock held and saves what it changed.
func (c *Cloud) run(ctx context.Context, sc scope, s service, o operation, call Call, input any) (output any, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer func() {
		if p := recover(); p != nil {
			c.log.Error("an operation panicked", "operation", o.name, "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("the local cloud failed inside %s: %v", o.name, p)
		}
	}()
	if err := c.mayCall(sc.key, call.Action, input); err != nil {
		return nil, err
	}
	if err := c.mayDeploy(sc.key, s, call, input); err != nil {
		return nil, err
	}
	output, err = o.call(ctx, input)
	if o.writes() {
		c.rememberTagged()
		c.dirty = true // even a failed write may have changed something
		c.save()
	}
	return output, err
}

func unknownOperation(p protocol) string {
	if p == protocolJSON {
		return "UnknownOperationException"
	}
	return "InvalidAction"
}

// guess is the table by which an error is written when the service is not known.
func (c *Cloud) guess(s service, r *http.Request) *wire.Model {
	switch {
	case s.table != nil:
		return s.table
	case r.Header.Get("X-Amz-Target") != "":
		return &wire.Model{Protocol: wire.JSON}
	default:
		return &wire.Model{Protocol: wire.Query}
	}
}

func (c *Cloud) serviceNames() []string {
	var names []string
	for name := range c.handlers {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// iamPrefix is how policies call the service that signs by that name.
func iamPrefix(signing string) string {
	if signing == "tagging" {
		return "tag"
	}
	return signing
}

func codeOf(err error) string {
	var api *apiError
	var bad *wire.Error
	switch {
	case errors.As(err, &api):
		return api.code
	case errors.As(err, &bad):
		return bad.Code
	}
	return "InternalFailure"
}

// answerError writes an error. One that is not AWS's is a defect of the local
// cloud, and is said as it is: its user is its developer.
func (c *Cloud) answerError(w http.ResponseWriter, table *wire.Model, err error, id string) {
	status, message := http.StatusInternalServerError, err.Error()
	var api *apiError
	var bad *wire.Error
	code := codeOf(err)
	switch {
	case errors.As(err, &api):
		status, message = api.status, api.message
		// The model knows better than fail, which makes every error a 400.
		if s, ok := table.Errors[code]; ok && status == http.StatusBadRequest {
			status = s
		}
	case errors.As(err, &bad):
		status, message = http.StatusBadRequest, bad.Message
	}
	body := table.EncodeError(code, message, status, id, w.Header())
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may be gone
}

// hangUp ends the connection without an answer.
func hangUp(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // net/http's own way to hang up
	}
	_ = conn.Close()
}

func (c *Cloud) report(call Call, err error) {
	if c.cfg.Journal != nil {
		c.cfg.Journal(call)
	}
	attrs := []any{"action", call.Action, "ms", call.Duration.Milliseconds()}
	if call.Lost {
		attrs = append(attrs, "lost", true)
	}
	if err != nil {
		attrs = append(attrs, "code", call.Code, "error", err)
		if call.Code == "InternalFailure" {
			c.log.Error("call", attrs...)
			return
		}
	}
	c.log.Info("call", attrs...)
}

// requestID is random like AWS's, in the form of a UUID.
func requestID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails: https://pkg.go.dev/crypto/rand#Read
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// control serves what is not AWS's: health, and the faults in force.
func (c *Cloud) control(w http.ResponseWriter, r *http.Request) {
	answer := func(v any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v) // the client may be gone
	}
	path := strings.TrimPrefix(r.URL.Path, "/_bookctl/")
	if of, ok := strings.CutPrefix(path, credentialsPath); ok && r.Method == http.MethodGet {
		if credentials, ok := c.serveCredentials(of); ok {
			answer(credentials)
			return
		}
	}
	switch r.Method + " " + path {
	case "GET health":
		answer(c.info())
	case "GET faults":
		answer(c.Faults())
	case "PUT faults":
		f, err := ParseFaults(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		c.SetFaults(f)
		answer(f)
	default:
		http.NotFound(w, r)
	}
}
