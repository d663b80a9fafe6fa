package localcloud

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"

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

// administrator is the access key of who is not judged.
const administrator = "root"

func (c *Cloud) judged(key string) bool {
	return (c.cfg.Policies != nil || c.cfg.Watch != nil) && key != administrator && !strings.HasPrefix(key, taskKey)
}

// mayDeploy is nil when the policies allow a call and all that AWS checks
// besides. The lock is held.
func (c *Cloud) mayDeploy(key string, s service, call Call, input any) error {
	if !c.judged(key) {
		return nil
	}
	requests, known := judge.Requests(world{c}, call.Action, input)
	if !known {
		c.log.Warn("the policies have no say: what AWS asks for this action is not known here", "action", call.Action)
	}
	refused, message := c.verdict(requests)
	if c.cfg.Watch != nil {
		c.cfg.Watch(Asked{Call: call, Input: input, Requests: requests, Refused: refused})
	}
	switch {
	case refused == nil:
		return nil
	case s.signing == "application-autoscaling" && strings.HasPrefix(refused.Action, "cloudwatch:"):
		// Target tracking makes its alarms in the caller's name, and reports what
		// it may not as a mistake in the request.
		return fail("ValidationException", "%s", message)
	}
	return s.protocol.refused(message)
}

// verdict finds the first request that the policies don't allow. Without
// policies there is none.
func (c *Cloud) verdict(requests []access.Request) (*access.Request, string) {
	if c.cfg.Policies == nil {
		return nil, ""
	}
	for _, r := range requests {
		of := access.Request{Action: r.Action, Resource: r.Resource, Context: map[string][]string{
			"aws:userid": {localUserID}, "aws:username": {"local"}, "aws:PrincipalArn": {c.callerARN()}, "aws:PrincipalAccount": {c.cfg.Account},
		}}
		maps.Copy(of.Context, r.Context)
		if d := access.Decide(c.cfg.Policies, of); d != access.Allowed {
			return &r, judge.Refusal(c.callerARN(), r, d)
		}
	}
	return nil, ""
}

// mayTransfer judges a request to the registry, and answers it when it is
// refused.
func (c *Cloud) mayTransfer(w http.ResponseWriter, r *http.Request) bool {
	action, repository := judge.Registry(r)
	// Tasks come without a login: what they may is asked before they come.
	if action == "" || !c.judged("") || r.Header.Get("Authorization") == "" {
		return true
	}
	var refused *access.Request
	var message string
	c.read(func() {
		requests := []access.Request{judge.RegistryRequest(world{c}, action, repository)}
		refused, message = c.verdict(requests)
		if c.cfg.Watch != nil {
			_, operation, _ := strings.Cut(action, ":")
			call := Call{Service: "ecr", Operation: operation, Action: action, Writes: r.Method != http.MethodGet && r.Method != http.MethodHead, Started: c.now()}
			c.cfg.Watch(Asked{Call: call, Requests: requests, Refused: refused})
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

// world is how things are, for the judge. The lock is held.
type world struct{ c *Cloud }

var _ judge.World = world{}

func (w world) ARN(service, resource string) string { return w.c.arn(service, resource) }

func (w world) Tags(arn string) map[string]string {
	if role, ok := w.c.roleByARN(arn); ok {
		return role.Tags
	}
	for _, t := range w.c.state.AutoScaling.Targets {
		if aws.ToString(t.ScalableTargetARN) == arn {
			return t.TagMap
		}
	}
	return w.c.taggedNow()[arn]
}

func (w world) Boundary(arn string) string {
	role, _ := w.c.roleByARN(arn)
	return role.Boundary
}

func (w world) Lacks(service string) (string, bool) {
	return w.c.arn("iam", "role/aws-service-role/"+service+"/"+serviceLinkedRoles[service]), !w.c.hasServiceLinkedRole(service)
}

func (w world) Secret(name string) string {
	if s, err := (secretsAPI{w.c}).secret(&name); err == nil {
		return s.ARN
	}
	return ""
}

func (w world) Target(resource string) string {
	if t := w.c.state.AutoScaling.Targets[resource]; t != nil {
		return aws.ToString(t.ScalableTargetARN)
	}
	return ""
}

func (w world) Backups(database string) string {
	a := rdsAPI{w.c}
	for _, db := range slices.Concat(w.c.state.RDS.Instances, w.c.state.RDS.Retained) {
		if arn := a.backupARN(db); db.Resource == database || arn == database {
			return arn
		}
	}
	return ""
}

func (w world) Association(id string) []string {
	var ends []string
	for _, t := range w.c.state.EC2.Tables {
		for _, x := range t.Associations {
			if x.ID != id {
				continue
			}
			ends = append(ends, w.c.arn("ec2", "route-table/"+t.ID))
			if x.Subnet != "" {
				ends = append(ends, w.c.arn("ec2", "subnet/"+x.Subnet))
			}
		}
	}
	return ends
}

func (w world) Roles(definition string) []string {
	d, err := (ecsAPI{w.c}).usable(&definition)
	if definition == "" || err != nil {
		return nil
	}
	return slices.DeleteFunc([]string{aws.ToString(d.ExecutionRoleArn), aws.ToString(d.TaskRoleArn)}, func(arn string) bool { return arn == "" })
}
