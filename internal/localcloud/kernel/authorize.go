package kernel

import (
	"fmt"
	"maps"
	"net/http"
	"strings"

	"github.com/bookctl/bookctl/internal/localcloud/access"
	"github.com/bookctl/bookctl/internal/localcloud/judge"
)

// Asked is one call with what IAM is asked because of it, for Config.Watch.
type Asked struct {
	Call
	// Input is the SDK's input struct, nil for what speaks the registry's
	// protocol.
	Input any
	// Requests are the action itself, on each of its resources, and the actions
	// that AWS checks besides. Tags are as they stand before the call.
	Requests []access.Request
	// Refused is the first of them that the policies don't allow, if any.
	Refused *access.Request
}

// Sessions know the callers that are under a role. May says whether the access key
// is of such a session, and is an error when its role does not allow the call.
type Sessions interface {
	May(tx *Tx, key, action string, input any) (known bool, err error)
}

// Authorizes sets what calls are checked with: the sessions of roles, and how the
// account stands, which conditions of policies depend on.
func (k *Kernel) Authorizes(sessions Sessions, world func(*Tx) judge.World) {
	k.sessions, k.world = sessions, world
}

// administrator is the access key of who is not checked.
const administrator = "root"

// authorize is nil when the caller may do the call, and all that AWS checks
// besides.
func (k *Kernel) authorize(tx *Tx, key string, s Service, call Call, input any) error {
	if k.sessions != nil {
		if known, err := k.sessions.May(tx, key, call.Action, input); known || err != nil {
			return err
		}
	}
	if !k.checks(key) {
		return nil
	}
	requests, known := judge.Requests(k.world(tx), call.Action, input)
	if !known {
		k.log.Warn("the policies have no say: what AWS asks for this action is not known here", "action", call.Action)
	}
	refused, message := k.decide(requests)
	if k.cfg.Watch != nil {
		k.cfg.Watch(Asked{Call: call, Input: input, Requests: requests, Refused: refused})
	}
	switch {
	case refused == nil:
		return nil
	case s.Signing == "application-autoscaling" && strings.HasPrefix(refused.Action, "cloudwatch:"):
		// Target tracking makes its alarms in the caller's name, and reports what
		// it may not as a mistake in the request.
		return Fail("ValidationException", "%s", message)
	}
	return s.Protocol.refused(message)
}

// checks says whether the policies are for this caller.
func (k *Kernel) checks(key string) bool {
	return (k.cfg.Policies != nil || k.cfg.Watch != nil) && key != administrator
}

// decide finds the first request that the policies don't allow. Without policies
// there is none.
func (k *Kernel) decide(requests []access.Request) (*access.Request, string) {
	if k.cfg.Policies == nil {
		return nil, ""
	}
	for _, r := range requests {
		of := access.Request{Action: r.Action, Resource: r.Resource, Context: map[string][]string{
			"aws:userid": {LocalUserID}, "aws:username": {LocalUser}, "aws:PrincipalArn": {k.CallerARN()}, "aws:PrincipalAccount": {k.account},
		}}
		maps.Copy(of.Context, r.Context)
		if d := access.Decide(k.cfg.Policies, of); d != access.Allowed {
			return &r, judge.Refusal(k.CallerARN(), r, d)
		}
	}
	return nil, ""
}

// AuthorizeTransfer checks a request to the registry, and answers it when it is
// refused.
func (k *Kernel) AuthorizeTransfer(w http.ResponseWriter, r *http.Request) bool {
	action, repository := judge.Registry(r)
	// Tasks come without a login: what they may is asked before they come.
	if action == "" || !k.checks("") || r.Header.Get("Authorization") == "" {
		return true
	}
	var refused *access.Request
	var message string
	k.View(func(tx *Tx) {
		requests := []access.Request{judge.RegistryRequest(k.world(tx), action, repository)}
		refused, message = k.decide(requests)
		if k.cfg.Watch != nil {
			_, operation, _ := strings.Cut(action, ":")
			call := Call{Service: "ecr", Operation: operation, Action: action, Writes: r.Method != http.MethodGet && r.Method != http.MethodHead, Started: k.Now()}
			k.cfg.Watch(Asked{Call: call, Requests: requests, Refused: refused})
		}
	})
	if refused == nil {
		return true
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusForbidden)
	_, _ = fmt.Fprintf(w, `{"errors":[{"code":"DENIED","message":%q}]}`, message) // the client may be gone
	return false
}
