package provision

import (
	"bufio"
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/pattern"
)

// AnswerGuard bounds how long AWS may take to answer, and refuses what is no answer.
// The SDK waits without an end for one that does not come, and takes an empty
// document for an answer. The zero value works.
type AnswerGuard struct {
	// Limit is how long an answer to one attempt may take. Zero means 30 s: AWS
	// answers the slowest of the calls that bookctl makes within a few.
	Limit time.Duration
	// Slow, which may be nil, is called for a call that is not answered yet, after a
	// third of the limit and then as often again.
	Slow func(service, operation string, waited time.Duration)
	// Credentials, which may be nil, are those of the calls, with a cache. They are asked for
	// before a call is sent, so that the time in which somebody types a code, or signs in, is
	// none of the answer's.
	Credentials aws.CredentialsProvider

	mu     sync.Mutex
	silent map[string]bool // hosts that let all attempts of a call wait
}

const (
	answerLimit = 30 * time.Second
	// unansweredTries is how often a call is sent that gets no answer. Behind one
	// that got none, the host's other calls are sent once.
	unansweredTries = 3
)

// SignInTimeout is how long getting credentials may take, including the time to type a code.
const SignInTimeout = 3 * time.Minute

func (a *AnswerGuard) limit() time.Duration {
	if a.Limit == 0 {
		return answerLimit
	}
	return a.Limit
}

// tries counts the attempts of one call, for all who see it.
type tries struct {
	n       int
	cut     error           // with which reading the last attempt's answer ended early, or nil
	refused smithy.APIError // the last answer, if it was one and an error
}

type triesKey struct{}

// Watch is the SDK middleware that does it, for aws.Config.APIOptions.
func (a *AnswerGuard) Watch(stack *middleware.Stack) error {
	const retries = "Retry" // what the SDK calls its own
	if _, there := stack.Finalize.Get(retries); !there {
		return nil // presigning, which sends nothing
	}
	whole := middleware.FinalizeMiddlewareFunc("bookctl-answers", func(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
		if a.Credentials != nil {
			// In bounds of its own: a run holds its lock meanwhile, and waits for no one without end.
			limited, cancel := context.WithTimeout(ctx, SignInTimeout)
			_, err := a.Credentials.Retrieve(limited)
			cancel()
			if err != nil {
				return middleware.FinalizeOutput{}, middleware.Metadata{}, fmt.Errorf("get identity: get credentials: %w", err) // as the SDK says it
			}
		}
		defer a.watch(awsmiddleware.GetServiceID(ctx), awsmiddleware.GetOperationName(ctx))()
		attempts := &tries{}
		out, meta, err := next.HandleFinalize(context.WithValue(ctx, triesKey{}, attempts), in)
		if attempts.refused != nil && errors.Is(err, context.DeadlineExceeded) {
			err = &RefusedUntilError{Code: attempts.refused.ErrorCode(), Message: attempts.refused.ErrorMessage(), err: err}
		}
		return out, meta, err
	})
	attempt := middleware.FinalizeMiddlewareFunc("bookctl-answer", a.attempt)
	complete := middleware.InitializeMiddlewareFunc("bookctl-complete", func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
		out, meta, err := next.HandleInitialize(ctx, in)
		if err == nil {
			if member := missing(out.Result); member != "" {
				err = incomplete("the answer lacks " + member)
			} else {
				err = unfiltered(in.Parameters, out.Result)
			}
		}
		return out, meta, err
	})
	return errors.Join(
		stack.Initialize.Add(complete, middleware.After),
		stack.Finalize.Insert(whole, retries, middleware.Before),
		stack.Finalize.Insert(attempt, retries, middleware.After),
		stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("bookctl-document", document), middleware.After),
	)
}

// watch reports that a call waits, until what it returns is called.
func (a *AnswerGuard) watch(service, operation string) (end func()) {
	if a.Slow == nil {
		return func() {}
	}
	var (
		begun = time.Now()
		every = a.limit() / 3
		timer *time.Timer
		mu    sync.Mutex
		over  bool
	)
	mu.Lock()
	defer mu.Unlock()
	timer = time.AfterFunc(every, func() {
		mu.Lock()
		defer mu.Unlock()
		if over {
			return
		}
		a.Slow(service, operation, time.Since(begun))
		timer.Reset(every)
	})
	return func() {
		mu.Lock()
		defer mu.Unlock()
		over = true
		timer.Stop()
	}
}

// attempt ends an attempt that is not answered in time.
func (a *AnswerGuard) attempt(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (middleware.FinalizeOutput, middleware.Metadata, error) {
	attempts, _ := ctx.Value(triesKey{}).(*tries)
	if attempts == nil {
		attempts = &tries{}
	}
	attempts.n++
	attempts.cut, attempts.refused = nil, nil
	limited, cancel := context.WithTimeout(ctx, a.limit())
	defer cancel()
	out, meta, err := next.HandleFinalize(limited, in)
	errors.As(err, &attempts.refused)
	if err != nil && limited.Err() == nil && (attempts.cut != nil || endsEarly(err)) {
		return out, meta, &CutOffError{err}
	}
	if err == nil || limited.Err() == nil || errors.Is(ctx.Err(), context.Canceled) {
		return out, meta, err
	}
	host := ""
	if r, ok := in.Request.(*smithyhttp.Request); ok && r.URL != nil {
		host = r.URL.Host
	}
	silence := &noAnswerError{
		Service: awsmiddleware.GetServiceID(ctx), Operation: awsmiddleware.GetOperationName(ctx),
		Host: host, Limit: a.limit(), Tries: attempts.n,
	}
	if ctx.Err() != nil {
		silence.cause = context.Cause(ctx) // a step's time, or the run's, was over before
		return out, meta, silence
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	silence.again = attempts.n < unansweredTries && !a.silent[host]
	if !silence.again {
		if a.silent == nil {
			a.silent = map[string]bool{}
		}
		a.silent[host] = true
	}
	return out, meta, silence
}

// RefusedUntilError is that of a call which AWS refused, as by throttling it, and whose
// time was over before it was to be tried again. The SDK's own error has only the latter:
// see findings/sdk-deadline-hides-the-throttling.sh. The code is for people: earlier
// attempts may have got no answer.
type RefusedUntilError struct {
	Code, Message string
	err           error
}

func (e *RefusedUntilError) Error() string { return e.err.Error() + "; " + e.Answer() }

// Answer is what AWS said.
func (e *RefusedUntilError) Answer() string {
	return fmt.Sprintf("AWS's last answer was %s: %s", e.Code, e.Message)
}

func (e *RefusedUntilError) Unwrap() error { return e.err }

// noAnswerError is that of a call which was sent and not answered in time. Nobody
// knows whether it was carried out.
type noAnswerError struct {
	Service, Operation, Host string
	// Limit is how long each of the Tries was waited for.
	Limit time.Duration
	Tries int

	again bool
	cause error // what ended the wait before the limit, or nil
}

func (e *noAnswerError) Error() string {
	if e.cause != nil {
		return "no answer: " + e.cause.Error()
	}
	text := fmt.Sprintf("no answer from %s within %s", e.Host, e.Limit)
	if e.Tries > 1 {
		text += fmt.Sprintf(", tried %d times", e.Tries)
	}
	return text
}

// Reason is how the engine reports it while it goes on waiting.
func (e *noAnswerError) Reason() string {
	return fmt.Sprintf("no answer from %s to %s", e.Service, e.Operation)
}

// RetryableError reports to the SDK whether to try again.
func (e *noAnswerError) RetryableError() bool { return e.again }

// Unwrap makes it one of the connection's errors, which are ambiguous.
func (e *noAnswerError) Unwrap() []error {
	sent := &smithyhttp.RequestSendError{Err: errors.New("no answer")}
	if e.cause != nil {
		return []error{sent, e.cause}
	}
	return []error{sent, hint.With(errors.New("no answer"),
		"check the network and the endpoint (AWS_ENDPOINT_URL), and run the same command again: it continues where this one stopped")}
}

// CutOffError is that of a call whose answer began and did not come to its end,
// since a connection was closed or a proxy gave up. The SDK takes that for an answer
// that can't be read, and tries some of them again, by the words of the error:
// https://github.com/aws/aws-sdk-go-v2/issues/1717 and 3494. It is as ambiguous as
// one that never came, and is tried again like it.
type CutOffError struct{ err error }

func (e *CutOffError) Error() string { return "the answer was cut off: " + e.err.Error() }

// RetryableError reports to the SDK to try again.
func (e *CutOffError) RetryableError() bool { return true }

// Unwrap is the SDK's error and the next step.
func (e *CutOffError) Unwrap() []error {
	return []error{e.err, hint.With(errors.New("the answer was cut off"),
		"check the network and the endpoint (AWS_ENDPOINT_URL), and run the same command again: it continues where this one stopped")}
}

// endsEarly reports whether an answer's document ends in its middle, where the connection
// did not show it: the document was to be read until the connection is closed, and it was closed.
func endsEarly(err error) bool {
	var (
		unreadable *smithy.DeserializationError
		document   *xml.SyntaxError
	)
	return errors.As(err, &unreadable) && (errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &document) && document.Msg == "unexpected EOF")
}

// cutting notes with which error an answer's body ended early.
type cutting struct {
	io.ReadCloser
	of *tries
}

func (c cutting) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		c.of.cut = err
	}
	return n, err
}

// incompleteError is that of a call whose answer is none.
type incompleteError struct{ text string }

func (e *incompleteError) Error() string { return e.text }

func incomplete(text string) error {
	return hint.With(&incompleteError{text},
		"AWS does not answer so: check the endpoint (AWS_ENDPOINT_URL) and what is between it and this machine; then run the same command again, which finds what was made")
}

var (
	webPage = pattern.New(`(?i)^(<\?xml[^>]*\?>)?\s*(<!doctype html|<html|<head|<body)`)
	// childless is a document of a root alone. The answers of EC2 and of the Query
	// protocol have at least a request id:
	// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/making-api-requests.html
	// Those of the JSON services have a list, be it empty, or what was asked for.
	childless = pattern.New(`^((<\?xml[^>]*\?>)?\s*<[^>]+?(/>|>\s*</[^>]+>)|\{\s*\})\s*$`)
	reads     = pattern.New(`^(Describe|Get|List)`)
)

// document refuses a body that is no answer: a web page, and for a read nothing
// at all. Where there are no resources, AWS says so by an empty list.
func document(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (middleware.DeserializeOutput, middleware.Metadata, error) {
	out, meta, err := next.HandleDeserialize(ctx, in)
	response, ok := out.RawResponse.(*smithyhttp.Response)
	if err != nil || !ok || response.Body == nil {
		return out, meta, err
	}
	if attempts, _ := ctx.Value(triesKey{}).(*tries); attempts != nil {
		response.Body = cutting{response.Body, attempts}
	}
	const enough = 512 // to see what it is
	body := bufio.NewReaderSize(response.Body, enough)
	begin, short := body.Peek(enough)
	response.Body = struct {
		io.Reader
		io.Closer
	}{body, response.Body}
	begin = bytes.TrimSpace(begin)
	switch {
	case webPage.Match(begin):
		return out, meta, incomplete("the answer is a web page (" + strings.TrimSpace(response.Status) + ")")
	case response.StatusCode >= http.StatusMultipleChoices || !errors.Is(short, io.EOF):
	case reads.MatchString(awsmiddleware.GetOperationName(ctx)) && (len(begin) == 0 || childless.Match(begin)):
		return out, meta, incomplete("the answer is empty")
	}
	return out, meta, nil
}
