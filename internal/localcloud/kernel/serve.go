package kernel

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/bookctl/bookctl/internal/localcloud/wire"
)

// maxBody limits the size of an API request. The largest that AWS accepts are log
// events, with 1 MiB.
const maxBody = 4 << 20

// scope is the credential scope of a signed request
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-signing-elements.html).
// The signature itself is not checked, and every access key is accepted. Those of a
// task, and of a caller that assumed a role, have the permissions of the role.
type scope struct{ key, region, service string }

func credentialScope(r *http.Request) (scope, error) {
	header := r.Header.Get("Authorization")
	if header == "" {
		return scope{}, &Error{Status: http.StatusForbidden, Code: "MissingAuthenticationToken", Message: "Request is missing Authentication Token"}
	}
	incomplete := &Error{
		Status: http.StatusForbidden, Code: "IncompleteSignature",
		Message: "Authorization header requires 'Credential' parameter of the form KEY/DATE/REGION/SERVICE/aws4_request.",
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

// stale returns an error if a request was signed more than five minutes ago, or for a
// time more than five minutes ahead. The error is that of the protocol's services.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-signing-elements.html
func (p Protocol) stale(signed string, now time.Time) error {
	const form, tolerance = "20060102T150405Z", 5 * time.Minute
	at, err := time.Parse(form, signed)
	if err != nil || now.Sub(at).Abs() <= tolerance {
		return nil // also without a valid date, which then can't be checked
	}
	past := now.After(at)
	if p == EC2 && past {
		return &Error{http.StatusBadRequest, "RequestExpired", "Request has expired."}
	}
	if p == EC2 {
		// https://github.com/aws/aws-sdk-java/issues/519
		return &Error{http.StatusUnauthorized, "AuthFailure", "AWS was not able to validate the provided access credentials"}
	}
	// https://github.com/EngineerBetter/control-tower/issues/51
	message := fmt.Sprintf("Signature expired: %s is now earlier than %s (%s - 5 min.)", signed, now.Add(-tolerance).UTC().Format(form), now.UTC().Format(form))
	if !past {
		message = fmt.Sprintf("Signature not yet current: %s is still later than %s (%s + 5 min.)", signed, now.Add(tolerance).UTC().Format(form), now.UTC().Format(form))
	}
	if p == JSON {
		return &Error{http.StatusBadRequest, "InvalidSignatureException", message}
	}
	return &Error{http.StatusForbidden, "SignatureDoesNotMatch", message}
}

// global are the services with one endpoint for all regions of a partition. Requests
// to them are signed for one fixed region. STS has regional endpoints too.
var global = []string{"iam", "route53", "pricing", "sts"}

// Serve adds services. Their operations must be in the table of package wire.
func (k *Kernel) Serve(services ...Service) error {
	for _, s := range services {
		table, err := wire.Load(s.Model)
		if err != nil {
			return err
		}
		for name := range s.Operations {
			if _, ok := table.Operations[name]; !ok {
				return fmt.Errorf("operation %s of %s is missing in the wire table: add it to its list (see package wire)", name, s.Model)
			}
		}
		s.table = table
		k.services[s.Signing] = s
	}
	return nil
}

// ServeAPI serves one AWS call.
func (k *Kernel) ServeAPI(w http.ResponseWriter, r *http.Request) {
	started := k.Now()
	id := RequestID()
	sc, err := credentialScope(r)
	s, known := k.services[sc.service]
	if err == nil && !known {
		err = Fail("UnknownService", "The local cloud has no service %q; it has %s", sc.service, strings.Join(k.serviceNames(), ", "))
	}
	if err == nil && sc.region != k.region && len(s.CrossRegion) == 0 && (sc.region != partitionOf(k.region).global || !slices.Contains(global, sc.service)) {
		err = k.otherRegion(sc)
	}
	if err == nil {
		err = s.Protocol.stale(r.Header.Get("X-Amz-Date"), started)
	}
	if err != nil {
		k.answerError(w, k.errorModel(s, r), err, id)
		return
	}
	s.table = s.table.For(r)
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		k.answerError(w, s.table, &Error{
			Status: http.StatusRequestEntityTooLarge, Code: "RequestEntityTooLarge",
			Message: fmt.Sprintf("the request can't be read: %v", err),
		}, id)
		return
	}
	call := Call{Service: s.Signing, Started: started}
	call.Operation, err = s.table.OperationName(r, body)
	if err != nil {
		k.answerError(w, s.table, err, id)
		return
	}
	if sc.region != k.region && len(s.CrossRegion) > 0 && !slices.Contains(s.CrossRegion, call.Operation) {
		k.answerError(w, s.table, k.otherRegion(sc), id)
		return
	}
	call.Action = s.Action(call.Operation)
	o, known := s.Operations[call.Operation]
	call.Writes = known && o.writes()
	done := k.perform(r, sc, s, o, &call, body)
	if done.err != nil {
		call.Code = CodeOf(done.err)
	}
	call.Lost, call.Duration = done.lost, time.Since(started)
	k.report(call, done.err)
	if done.lost {
		closeConnection(w)
		return
	}
	if done.err != nil {
		k.answerError(w, s.table, done.err, id)
		return
	}
	answer, err := s.table.Encode(call.Operation, done.output, id, w.Header())
	if err != nil {
		k.log.Error("a response could not be encoded", "action", call.Action, "error", err)
		k.answerError(w, s.table, err, id)
		return
	}
	_, _ = w.Write(answer) //nolint:gosec // XML or JSON for an SDK; the client may have disconnected
}

// otherRegion is the error of a request that is for another region.
func (k *Kernel) otherRegion(sc scope) error {
	return &Error{
		Status: http.StatusForbidden, Code: "SignatureDoesNotMatch",
		Message: fmt.Sprintf("Credential should be scoped to a valid region: the local cloud is %s, the request is for %s.", k.region, sc.region),
	}
}

// outcome is the result of a call.
type outcome struct {
	output any
	err    error
	lost   bool // the client must not get a response
}

// perform carries out a call and injects the faults.
func (k *Kernel) perform(r *http.Request, sc scope, s Service, o Operation, call *Call, body []byte) outcome {
	ctx := r.Context()
	if d := k.latencies.Call; d > 0 && !k.Pause(ctx, d) {
		return outcome{err: ctx.Err(), lost: true}
	}
	if k.cfg.Before != nil {
		if err := k.cfg.Before(*call); err != nil {
			return outcome{err: fmt.Errorf("closed the connection before the call: %w", err), lost: true}
		}
	}
	fault := k.inject(s.Protocol, call.Action)
	if fault.err != nil {
		return outcome{err: fault.err}
	}
	if o.name == "" {
		return outcome{err: Fail(unknownOperation(s.Protocol), "The action %s is not valid for this web service: the local cloud does not serve it.", call.Operation)}
	}
	input := o.newInput()
	if err := s.table.Decode(call.Operation, r, body, input); err != nil {
		return outcome{err: err}
	}
	if !k.take(s, call.Operation, input) {
		return outcome{err: s.Protocol.throttled()}
	}
	output, err := k.run(sc, s, o, *call, input)
	if k.cfg.After != nil {
		done := *call
		if err != nil {
			done.Code = CodeOf(err)
		}
		if after := k.cfg.After(done); after != nil {
			return outcome{err: fmt.Errorf("closed the connection after the call: %w", after), lost: true}
		}
	}
	return outcome{output: output, err: err, lost: fault.lose}
}

// run calls the operation in a transaction of its own.
func (k *Kernel) run(sc scope, s Service, o Operation, call Call, input any) (output any, err error) {
	k.View(func(tx *Tx) {
		tx.key, tx.requestRegion = sc.key, sc.region
		defer func() {
			if p := recover(); p != nil {
				k.log.Error("an operation panicked", "operation", o.name, "panic", p, "stack", string(debug.Stack()))
				err = fmt.Errorf("the local cloud failed in %s: %v", o.name, p)
			}
		}()
		if err = k.authorize(tx, sc.key, s, call, input); err != nil {
			return
		}
		output, err = o.call(tx, input)
		if o.writes() {
			tx.rememberTags()
			tx.Changed() // a write that failed may have changed something too
		}
	})
	return output, err
}

func unknownOperation(p Protocol) string {
	if p == JSON {
		return "UnknownOperationException"
	}
	return "InvalidAction"
}

// errorModel returns the table with which an error is encoded if the service is not known.
func (k *Kernel) errorModel(s Service, r *http.Request) *wire.Model {
	switch {
	case s.table != nil:
		return s.table
	case r.Header.Get("X-Amz-Target") != "":
		return &wire.Model{Protocol: wire.JSON}
	default:
		return &wire.Model{Protocol: wire.Query}
	}
}

func (k *Kernel) serviceNames() []string {
	var names []string
	for name := range k.services {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// answerError writes an error response. An error that is not AWS's is a bug of the
// local cloud. Its text is written unchanged, since the user is a developer.
func (k *Kernel) answerError(w http.ResponseWriter, table *wire.Model, err error, id string) {
	status, message := http.StatusInternalServerError, err.Error()
	var api *Error
	var bad *wire.Error
	code := CodeOf(err)
	switch {
	case errors.As(err, &api):
		status, message = api.Status, api.Message
		// Fail makes every error a 400. If the model has another status, it is right.
		if s, ok := table.Errors[code]; ok && status == http.StatusBadRequest {
			status = s
		}
	case errors.As(err, &bad):
		status, message = http.StatusBadRequest, bad.Message
	}
	body := table.EncodeError(code, message, status, id, w.Header())
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may have disconnected
}

// closeConnection closes the connection without a response.
func closeConnection(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // makes net/http close the connection
	}
	_ = conn.Close()
}

func (k *Kernel) report(call Call, err error) {
	if k.cfg.Journal != nil {
		k.cfg.Journal(call)
	}
	attrs := []any{"action", call.Action, "ms", call.Duration.Milliseconds()}
	if call.Lost {
		attrs = append(attrs, "lost", true)
	}
	if err != nil {
		attrs = append(attrs, "code", call.Code, "error", err)
		if call.Code == "InternalFailure" {
			k.log.Error("call", attrs...)
			return
		}
	}
	k.log.Info("call", attrs...)
}
