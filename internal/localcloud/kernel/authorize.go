package kernel

import (
	"fmt"
	"maps"
	"net/http"
	"strings"

	"github.com/bookctl/bookctl/internal/localcloud/access"
	"github.com/bookctl/bookctl/internal/localcloud/iamcheck"
)

// AuthorizedCall is a call with the requests to IAM that it causes, for Config.Watch.
type AuthorizedCall struct {
	Call
	// Input is the SDK's input struct. It is nil for a request in the protocol of
	// image registries.
	Input any
	// Requests are the action itself, on each of its resources, and the other actions
	// that AWS checks for the call. Tags are those before the call.
	Requests []access.Request
}

// TaskSessions knows the sessions of tasks, which have a role. May reports whether the
// access key belongs to such a session. Its error says that the role does not allow
// the call.
type TaskSessions interface {
	May(tx *Tx, key, action string, input any) (known bool, err error)
}

// RoleSessions knows the sessions of callers that assumed a role. Principal reports whether
// the access key belongs to such a session. If the session is over, the principal has
// Ended set and is allowed nothing.
type RoleSessions interface {
	Principal(tx *Tx, key string) (p Principal, known bool)
}

// Principal is a caller. It may do what all of Limits allow; each of them is a set of
// policies.
type Principal struct {
	ARN, ID string
	// Names are the ARNs by which a trust policy can name it. It can also name the
	// account.
	Names  []string
	Limits [][]access.Policy
	// Ended means that its credentials have expired.
	Ended bool
	// Session means that it is a session of a role.
	Session bool
}

// may evaluates a request against all limits.
func (p Principal) may(r access.Request) access.Decision {
	for _, policies := range p.Limits {
		if d := access.Decide(policies, r); d != access.Allowed {
			return d
		}
	}
	return access.Allowed
}

// SetAuthorization sets what is needed to check calls: tasks has the sessions of
// tasks. Roles has the sessions of callers that assumed a role. AccountOf returns the
// state of the account, on which conditions of policies depend.
func (k *Kernel) SetAuthorization(tasks TaskSessions, roles RoleSessions, accountOf func(*Tx) iamcheck.Account) {
	k.taskSessions, k.roleSessions, k.accountOf = tasks, roles, accountOf
}

// Caller returns the caller of the transaction's call: a session of a role, or the
// only user.
func (tx *Tx) Caller() Principal { return tx.kernel.principal(tx, tx.key) }

// CallerMay reports whether the caller's own policies allow an action on a resource.
func (tx *Tx) CallerMay(action, resource string) bool {
	return tx.key == administrator || tx.kernel.evaluate(tx.Caller(), access.Request{Action: action, Resource: resource}) == access.Allowed
}

func (k *Kernel) principal(tx *Tx, key string) Principal {
	if k.roleSessions != nil {
		if p, known := k.roleSessions.Principal(tx, key); known {
			return p
		}
	}
	p := Principal{ARN: k.CallerARN(), ID: LocalUserID, Names: []string{k.CallerARN()}}
	if k.cfg.Policies != nil {
		p.Limits = [][]access.Policy{k.cfg.Policies}
	}
	return p
}

// evaluate evaluates a request against the policies of its caller.
func (k *Kernel) evaluate(p Principal, r access.Request) access.Decision {
	of := access.Request{Action: r.Action, Resource: r.Resource, Context: map[string][]string{
		"aws:userid": {p.ID}, "aws:PrincipalArn": p.Names[:1], "aws:PrincipalAccount": {k.account},
	}}
	if !p.Session {
		of.Context["aws:username"] = []string{LocalUser}
	}
	maps.Copy(of.Context, r.Context)
	return p.may(of)
}

// administrator is the access key of a caller that is not checked.
const administrator = "root"

// authorize returns nil if the caller may make the call, and may do everything else
// that AWS checks for it.
func (k *Kernel) authorize(tx *Tx, q *request) error {
	key := q.scope.key
	if k.taskSessions != nil {
		if known, err := k.taskSessions.May(tx, key, q.call.Action, q.input); known || err != nil {
			return err
		}
	}
	caller := k.principal(tx, key)
	if caller.Ended {
		return q.service.Protocol.expired()
	}
	if !caller.Session && !k.policiesApply(key) {
		return nil
	}
	requests, known := iamcheck.Requests(k.accountOf(tx), q.call.Action, q.input)
	switch {
	case known:
	case caller.Session: // a session may do only what its policies allow
		requests = []access.Request{{Action: q.call.Action, Resource: "*"}}
	default:
		k.log.Warn("an action was allowed without a check: the local cloud does not know what AWS checks for it", "action", q.call.Action)
	}
	refused, message := k.decide(caller, requests)
	if k.cfg.Watch != nil {
		k.cfg.Watch(AuthorizedCall{Call: q.call, Input: q.input, Requests: requests})
	}
	switch {
	case refused == nil:
		return nil
	case q.service.Signing == "application-autoscaling" && strings.HasPrefix(refused.Action, "cloudwatch:"):
		// Target tracking creates its alarms with the caller's permissions, and reports
		// a missing one as an error in the request.
		return Fail("ValidationException", "%s", message)
	}
	return q.service.Protocol.refused(message)
}

// policiesApply reports whether the policies apply to this caller.
func (k *Kernel) policiesApply(key string) bool {
	return (k.cfg.Policies != nil || k.cfg.Watch != nil) && key != administrator
}

// decide returns the first request that the caller's policies don't allow, with a
// message, or nil.
func (k *Kernel) decide(caller Principal, requests []access.Request) (*access.Request, string) {
	for _, r := range requests {
		if d := k.evaluate(caller, r); d != access.Allowed {
			return &r, iamcheck.DenialMessage(caller.ARN, r, d)
		}
	}
	return nil, ""
}

// AuthorizeTransfer checks a request to the image registry. If the policies don't allow
// it, it writes the response and returns false.
func (k *Kernel) AuthorizeTransfer(w http.ResponseWriter, r *http.Request) bool {
	action, repository := iamcheck.RegistryAction(r)
	// Tasks pull without a login; their permissions were checked before.
	if action == "" || !k.policiesApply("") || r.Header.Get("Authorization") == "" {
		return true
	}
	var refused *access.Request
	var message string
	k.View(func(tx *Tx) {
		requests := []access.Request{iamcheck.RegistryRequest(k.accountOf(tx), action, repository)}
		refused, message = k.decide(k.principal(tx, ""), requests)
		if k.cfg.Watch != nil {
			_, operation, _ := strings.Cut(action, ":")
			call := Call{Service: "ecr", Operation: operation, Action: action, Writes: r.Method != http.MethodGet && r.Method != http.MethodHead, Started: k.Now()}
			k.cfg.Watch(AuthorizedCall{Call: call, Requests: requests})
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
