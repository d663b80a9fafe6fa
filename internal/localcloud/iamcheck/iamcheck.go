// Package iamcheck lists what IAM checks for each API call: the action on each
// resource of the call, with its condition keys, and the other actions that AWS
// checks. The rules are a table (rules.go) of functions (rule_kinds.go), from the
// service authorization reference:
// https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
//
// If two sources name a resource differently, both names must be allowed, so that a
// policy that passes here is right in either case.
package iamcheck

import (
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/bookctl/bookctl/internal/localcloud/access"
)

// Account is the current state of the account, as far as rules need it.
type Account interface {
	// ARN returns the ARN of a resource in the account and region.
	ARN(service, resource string) string
	// Tags returns the tags of a resource, or nil if it does not exist.
	Tags(arn string) map[string]string
	// Boundary returns the permissions boundary of a role, or "".
	Boundary(role string) string
	// LinkedRole returns the ARN of a service-linked role, and whether it is missing.
	LinkedRole(service string) (arn string, missing bool)
	// Secret returns the ARN of the secret with that name, Target that of the scalable
	// target of that resource id, and Backups that of the automated backups of a
	// database, or "" if it does not exist. Association returns the ARNs of both ends of
	// a route table association.
	Secret(name string) string
	Target(resource string) string
	Backups(database string) string
	Association(id string) []string
	// Roles returns the ARNs of the roles of a task definition.
	Roles(definition string) []string
}

// Requests returns the requests to IAM for a call. The action is, for example,
// "ec2:CreateVpc", and the input is the SDK's input struct. Known is false if the
// action has no rule.
func Requests(w Account, action string, input any) (requests []access.Request, known bool) {
	rules, known := table()[action]
	a := collector{Account: w, input: reflect.Indirect(reflect.ValueOf(input))}
	a.service, a.operation, _ = strings.Cut(action, ":")
	for _, r := range rules {
		r(&a)
	}
	return a.requests, known
}

// RegistryAction returns the ECR action and the repository of a request in the OCI
// distribution protocol. The action is "" if the request needs no permission
// (https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-push-iam.html).
func RegistryAction(r *http.Request) (action, repository string) {
	path := strings.TrimPrefix(r.URL.Path, "/v2/")
	if name, _, ok := strings.Cut(path, "/manifests/"); ok {
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			return "ecr:BatchGetImage", name
		}
		return "ecr:PutImage", name
	}
	name, rest, ok := strings.Cut(path, "/blobs/")
	if !ok {
		return "", ""
	}
	uploads := strings.HasPrefix(rest, "uploads")
	switch {
	case r.Method == http.MethodHead:
		return "ecr:BatchCheckLayerAvailability", name
	case r.Method == http.MethodGet && !uploads:
		return "ecr:GetDownloadUrlForLayer", name
	case r.Method == http.MethodPost:
		return "ecr:InitiateLayerUpload", name
	case r.Method == http.MethodPatch:
		return "ecr:UploadLayerPart", name
	case r.Method == http.MethodPut:
		return "ecr:CompleteLayerUpload", name
	}
	return "", ""
}

// RegistryRequest returns the request to IAM for such an action.
func RegistryRequest(w Account, action, repository string) access.Request {
	a := collector{Account: w}
	a.add(action, w.ARN("ecr", "repository/"+repository), nil)
	return a.requests[0]
}

// DenialMessage returns the message of a denial, as in
// https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html.
func DenialMessage(caller string, r access.Request, d access.Decision) string {
	on := " on resource: " + r.Resource
	if r.Resource == "*" && (strings.HasPrefix(r.Action, "ec2:") || strings.HasPrefix(r.Action, "elasticloadbalancing:")) {
		on = "" // these two services leave it out
	}
	why := "because no identity-based policy allows the " + r.Action + " action"
	if d == access.Denied {
		why = "with an explicit deny in an identity-based policy"
	}
	return fmt.Sprintf("User: %s is not authorized to perform: %s%s %s", caller, r.Action, on, why)
}

// collector collects the requests to IAM for a call.
type collector struct {
	Account
	service, operation string
	input              reflect.Value // a struct
	requests           []access.Request
}

// keys are condition keys with their values.
type keys = map[string][]string

// add adds a request for an action on a resource. The tags of the resource become
// condition keys of the request.
func (a *collector) add(action, resource string, of keys) {
	r := access.Request{Action: action, Resource: resource, Context: keys{}}
	for key, values := range of {
		if len(values) > 0 {
			r.Context[key] = values
		}
	}
	service, _, _ := strings.Cut(action, ":")
	for key, value := range a.Tags(resource) {
		r.Context["aws:ResourceTag/"+key] = []string{value}
		switch service {
		case "ec2", "ecr", "ecs", "elasticloadbalancing", "iam": // these also have a key of their own
			r.Context[service+":ResourceTag/"+key] = []string{value}
		}
	}
	if service == "iam" && action != "iam:CreateRole" && r.Context["iam:PermissionsBoundary"] == nil {
		if boundary := a.Boundary(resource); boundary != "" {
			r.Context["iam:PermissionsBoundary"] = []string{boundary}
		}
	}
	same := func(had access.Request) bool { return had.Action == action && had.Resource == resource }
	if !slices.ContainsFunc(a.requests, same) {
		a.requests = append(a.requests, r)
	}
}

// addOwnAction adds a request for the call's own action.
func (a *collector) addOwnAction(resource string, of keys) {
	a.add(a.service+":"+a.operation, resource, of)
}

// arn returns the ARN that a value names: "kind/" or "kind:" followed by the value,
// unless the value is an ARN.
func (a *collector) arn(service, kind, value string) string {
	if strings.HasPrefix(value, "arn:") {
		return value
	}
	return a.ARN(service, kind+value)
}

// field returns the values at a path of field names, through pointers and lists. It
// panics if the input has no such field, which is a mistake in the table.
func (a *collector) field(path string) []reflect.Value {
	values := []reflect.Value{a.input}
	for name := range strings.SplitSeq(path, ".") {
		var next []reflect.Value
		for _, v := range values {
			f := v.FieldByName(name)
			if !f.IsValid() {
				panic(fmt.Sprintf("the input of %s:%s has no field %s", a.service, a.operation, path))
			}
			next = append(next, spread(f)...)
		}
		values = next
	}
	return values
}

func spread(v reflect.Value) []reflect.Value {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		return spread(v.Elem())
	case reflect.Slice:
		var out []reflect.Value
		for i := range v.Len() {
			out = append(out, spread(v.Index(i))...)
		}
		return out
	}
	return []reflect.Value{v}
}

// texts returns the values of a field that is a string or a list of strings.
func (a *collector) texts(path string) []string {
	var out []string
	for _, v := range a.field(path) {
		if s := fmt.Sprint(v.Interface()); s != "" {
			out = append(out, s)
		}
	}
	return out
}

func (a *collector) text(path string) string {
	for _, s := range a.texts(path) {
		return s
	}
	return ""
}

func (a *collector) has(field string) bool { return a.input.FieldByName(field).IsValid() }

// tagKeys returns the condition keys for the tags that a request sets or removes.
func (a *collector) tagKeys() keys {
	tags := map[string]string{}
	switch {
	case a.has("Tags") && a.input.FieldByName("Tags").Kind() == reflect.Map:
		for entry := a.input.FieldByName("Tags").MapRange(); entry.Next(); {
			tags[entry.Key().String()] = entry.Value().String()
		}
	case a.has("Tags"):
		tags = pairs(a.field("Tags"))
	case a.has("TagSpecifications"):
		tags = pairs(a.field("TagSpecifications.Tags"))
	}
	out := keys{}
	named := slices.Sorted(maps.Keys(tags))
	for _, key := range named {
		out["aws:RequestTag/"+key] = []string{tags[key]}
	}
	for _, field := range []string{"TagKeys", "TagKeyList"} {
		if a.has(field) {
			named = append(named, a.texts(field)...)
		}
	}
	if len(named) > 0 {
		out["aws:TagKeys"] = named
	}
	return out
}

// pairs reads a list of tags.
func pairs(tags []reflect.Value) map[string]string {
	out := map[string]string{}
	for _, t := range tags {
		value := ""
		for _, v := range spread(t.FieldByName("Value")) {
			value = v.String()
		}
		for _, k := range spread(t.FieldByName("Key")) {
			out[k.String()] = value
		}
	}
	return out
}
