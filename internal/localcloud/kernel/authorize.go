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

// Assumed knows the callers that assumed a role. Principal is known for the access key
// of such a session, and without limits of its own, which allow nothing, once it is over.
type Assumed interface {
	Principal(tx *Tx, key string) (p Principal, known bool)
}

// Principal is who calls, and what it may: what all of Limits allow, each of which is
// a set of policies.
type Principal struct {
	ARN, ID string
	// Names are how a trust policy may name it, besides by its account.
	Names  []string
	Limits [][]access.Policy
	// Ended says that the credentials are good no longer.
	Ended bool
	// Session says that it is under a role.
	Session bool
}

// may decides on a request by all limits.
func (p Principal) may(r access.Request) access.Decision {
	for _, policies := range p.Limits {
		if d := access.Decide(policies, r); d != access.Allowed {
			return d
		}
	}
	return access.Allowed
}

// Authorizes sets what calls are checked with: the sessions of tasks and of those who
// assumed a role, and how the account stands, which conditions of policies depend on.
func (k *Kernel) Authorizes(sessions Sessions, assumed Assumed, world func(*Tx) judge.World) {
	k.sessions, k.assumed, k.world = sessions, assumed, world
}

// Caller is who makes the call of the transaction: a session of a role, or the one user.
func (tx *Tx) Caller() Principal { return tx.kernel.principal(tx, tx.key) }

// CallerMay says whether the caller's own policies allow an action on a resource.
func (tx *Tx) CallerMay(action, resource string) bool {
	return tx.key == administrator || tx.kernel.asks(tx.Caller(), access.Request{Action: action, Resource: resource}) == access.Allowed
}

func (k *Kernel) principal(tx *Tx, key string) Principal {
	if k.assumed != nil {
		if p, known := k.assumed.Principal(tx, key); known {
			return p
		}
	}
	p := Principal{ARN: k.CallerARN(), ID: LocalUserID, Names: []string{k.CallerARN()}}
	if k.cfg.Policies != nil {
		p.Limits = [][]access.Policy{k.cfg.Policies}
	}
	return p
}

// asks decides on a request by the policies of who makes it.
func (k *Kernel) asks(p Principal, r access.Request) access.Decision {
	of := access.Request{Action: r.Action, Resource: r.Resource, Context: map[string][]string{
		"aws:userid": {p.ID}, "aws:PrincipalArn": p.Names[:1], "aws:PrincipalAccount": {k.account},
	}}
	if !p.Session {
		of.Context["aws:username"] = []string{LocalUser}
	}
	maps.Copy(of.Context, r.Context)
	return p.may(of)
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
	caller := k.principal(tx, key)
	if caller.Ended {
		return s.Protocol.expired()
	}
	if !caller.Session && !k.checks(key) {
		return nil
	}
	requests, known := judge.Requests(k.world(tx), call.Action, input)
	switch {
	case known:
	case caller.Session: // which may do what it is allowed, and no more
		requests = []access.Request{{Action: call.Action, Resource: "*"}}
	default:
		k.log.Warn("the policies have no say: what AWS asks for this action is not known here", "action", call.Action)
	}
	refused, message := k.decide(caller, requests)
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

// decide finds the first request that the caller's policies don't allow.
func (k *Kernel) decide(caller Principal, requests []access.Request) (*access.Request, string) {
	for _, r := range requests {
		if d := k.asks(caller, r); d != access.Allowed {
			return &r, judge.Refusal(caller.ARN, r, d)
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
		refused, message = k.decide(k.principal(tx, ""), requests)
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
