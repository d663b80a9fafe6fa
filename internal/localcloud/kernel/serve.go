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

// request is an API call while it is served.
type request struct {
	http      *http.Request
	body      []byte
	scope     scope
	service   Service
	operation Operation // zero if the local cloud does not have it
	call      Call
	input     any
}

// ServeAPI serves one AWS call.
func (k *Kernel) ServeAPI(w http.ResponseWriter, r *http.Request) {
	id := RequestID()
	q := &request{http: r, call: Call{Started: k.Now()}}
	if err := k.resolve(q); err != nil {
		k.answerError(w, k.errorModel(q.service, r), err, id)
		return
	}
	table := q.service.table
	if err := k.findOperation(w, q); err != nil {
		k.answerError(w, table, err, id)
		return
	}
	done := k.perform(q)
	if done.err != nil {
		q.call.Code = CodeOf(done.err)
	}
	q.call.Lost, q.call.Duration = done.lost, time.Since(q.call.Started)
	k.report(q.call, done.err)
	if done.lost {
		closeConnection(w)
		return
	}
	if done.err != nil {
		k.answerError(w, table, done.err, id)
		return
	}
	answer, err := table.Encode(q.call.Operation, done.output, id, w.Header())
	if err != nil {
		k.log.Error("a response could not be encoded", "action", q.call.Action, "error", err)
		k.answerError(w, table, err, id)
		return
	}
	_, _ = w.Write(answer) // the client may have disconnected
}

// resolve sets the credential scope and the service of a request, and checks its region and
// the time of its signature.
func (k *Kernel) resolve(q *request) (err error) {
	if q.scope, err = credentialScope(q.http); err != nil {
		return err
	}
	s, known := k.services[q.scope.service]
	q.service = s
	if !known {
		return Fail("UnknownService", "The local cloud has no service %q; it has %s", q.scope.service, strings.Join(k.serviceNames(), ", "))
	}
	region := q.scope.region
	if region != k.region && len(s.CrossRegion) == 0 && (region != partitionOf(k.region).global || !slices.Contains(global, q.scope.service)) {
		return k.otherRegion(q.scope)
	}
	if err := s.Protocol.stale(q.http.Header.Get("X-Amz-Date"), q.call.Started); err != nil {
		return err
	}
	q.service.table = s.table.For(q.http)
	return nil
}

// findOperation reads the body of a request and sets its operation.
func (k *Kernel) findOperation(w http.ResponseWriter, q *request) (err error) {
	s := q.service
	if q.body, err = io.ReadAll(http.MaxBytesReader(w, q.http.Body, maxBody)); err != nil {
		return &Error{
			Status: http.StatusRequestEntityTooLarge, Code: "RequestEntityTooLarge",
			Message: fmt.Sprintf("the request can't be read: %v", err),
		}
	}
	q.call.Service = s.Signing
	if q.call.Operation, err = s.table.OperationName(q.http, q.body); err != nil {
		return err
	}
	if q.scope.region != k.region && len(s.CrossRegion) > 0 && !slices.Contains(s.CrossRegion, q.call.Operation) {
		return k.otherRegion(q.scope)
	}
	q.call.Action = s.Action(q.call.Operation)
	o, known := s.Operations[q.call.Operation]
	q.operation, q.call.Writes = o, known && o.writes()
	return nil
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
func (k *Kernel) perform(q *request) outcome {
	ctx, s := q.http.Context(), q.service
	if d := k.latencies.Call; d > 0 && !k.Pause(ctx, d) {
		return outcome{err: ctx.Err(), lost: true}
	}
	if k.cfg.Before != nil {
		if err := k.cfg.Before(q.call); err != nil {
			return outcome{err: fmt.Errorf("closed the connection before the call: %w", err), lost: true}
		}
	}
	fault := k.inject(s.Protocol, q.call.Action)
	if fault.err != nil {
		return outcome{err: fault.err}
	}
	if q.operation.name == "" {
		return outcome{err: Fail(unknownOperation(s.Protocol), "The action %s is not valid for this web service: the local cloud does not serve it.", q.call.Operation)}
	}
	q.input = q.operation.newInput()
	if err := s.table.Decode(q.call.Operation, q.http, q.body, q.input); err != nil {
		return outcome{err: err}
	}
	if !k.take(s, q.call.Operation, q.input) {
		return outcome{err: s.Protocol.throttled()}
	}
	output, err := k.run(q)
	if k.cfg.After != nil {
		done := q.call
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
func (k *Kernel) run(q *request) (output any, err error) {
	k.View(func(tx *Tx) {
		tx.key, tx.requestRegion = q.scope.key, q.scope.region
		defer func() {
			if p := recover(); p != nil {
				k.log.Error("an operation panicked", "operation", q.operation.name, "panic", p, "stack", string(debug.Stack()))
				err = fmt.Errorf("the local cloud failed in %s: %v", q.operation.name, p)
			}
		}()
		if err = k.authorize(tx, q); err != nil {
			return
		}
		output, err = q.operation.call(tx, q.input)
		if q.operation.writes() {
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
