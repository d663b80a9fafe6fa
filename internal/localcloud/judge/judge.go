// Package judge knows what AWS asks of IAM for each API call: the action on each
// of the call's resources, with its condition keys, and the actions that AWS
// checks besides. The rules are a table (rules.go), from the service
// authorization reference:
// https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
//
// Where two sources name a resource differently, the call asks for both, so that
// a policy which passes here is right under either.
package judge

import (
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/bookctl/bookctl/internal/localcloud/access"
)

// World is what a call alone does not say: how things are at that moment.
type World interface {
	// ARN names a thing of the account and region.
	ARN(service, resource string) string
	// Tags are those of what exists, nil for what does not.
	Tags(arn string) map[string]string
	// Boundary is the permissions boundary of a role, "" without one.
	Boundary(role string) string
	// Lacks says whether a service's own role is missing, and its ARN.
	Lacks(service string) (arn string, missing bool)
	// Secret is the ARN of the secret of that name, Target that of the scalable
	// target of that resource id, Backups that of the automated backups of a
	// database; "" if there is none. Association are the ARNs of both ends of a
	// route table's association.
	Secret(name string) string
	Target(resource string) string
	Backups(database string) string
	Association(id string) []string
	// Roles are those of a task definition.
	Roles(definition string) []string
}

// Requests are what a call asks of IAM. The action is as in "ec2:CreateVpc", the
// input the SDK's input struct. known is false for an action that has no rule.
func Requests(w World, action string, input any) (requests []access.Request, known bool) {
	asks, known := table[action]
	a := ask{World: w, input: reflect.Indirect(reflect.ValueOf(input))}
	a.service, a.operation, _ = strings.Cut(action, ":")
	for _, r := range asks {
		r(&a)
	}
	return a.requests, known
}

// Registry is the ECR action behind a request of the OCI distribution protocol,
// and the repository that it is about; "" for one that needs none
// (https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-push-iam.html).
func Registry(r *http.Request) (action, repository string) {
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

// RegistryRequest is what such an action asks of IAM.
func RegistryRequest(w World, action, repository string) access.Request {
	a := ask{World: w}
	a.add(action, w.ARN("ecr", "repository/"+repository), nil)
	return a.requests[0]
}

// Refusal is a denial in the words of
// https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html.
func Refusal(caller string, r access.Request, d access.Decision) string {
	on := " on resource: " + r.Resource
	if r.Resource == "*" && (strings.HasPrefix(r.Action, "ec2:") || strings.HasPrefix(r.Action, "elasticloadbalancing:")) {
		on = "" // these two leave it out
	}
	why := "because no identity-based policy allows the " + r.Action + " action"
	if d == access.Denied {
		why = "with an explicit deny in an identity-based policy"
	}
	return fmt.Sprintf("User: %s is not authorized to perform: %s%s %s", caller, r.Action, on, why)
}

// ask collects what one call asks.
type ask struct {
	World
	service, operation string
	input              reflect.Value // a struct
	requests           []access.Request
}

// keys are condition keys with their values.
type keys = map[string][]string

// add asks for an action on a resource. The tags of the resource come to the
// condition keys of the request.
func (a *ask) add(action, resource string, of keys) {
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
		case "ec2", "ecr", "ecs", "elasticloadbalancing", "iam": // have a key of their own for the same
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

// own asks for the call's own action.
func (a *ask) own(resource string, of keys) { a.add(a.service+":"+a.operation, resource, of) }

// arn is the ARN of what a value names: "kind/" or "kind:" and the value, unless
// it is an ARN already.
func (a *ask) arn(service, kind, value string) string {
	if strings.HasPrefix(value, "arn:") {
		return value
	}
	return a.ARN(service, kind+value)
}

// field finds what a path of field names leads to, through pointers and lists. A
// field that the input does not have is a mistake in the table.
func (a *ask) field(path string) []reflect.Value {
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

// texts are the values of a field that is a string or a list of strings.
func (a *ask) texts(path string) []string {
	var out []string
	for _, v := range a.field(path) {
		if s := fmt.Sprint(v.Interface()); s != "" {
			out = append(out, s)
		}
	}
	return out
}

func (a *ask) text(path string) string {
	for _, s := range a.texts(path) {
		return s
	}
	return ""
}

func (a *ask) has(field string) bool { return a.input.FieldByName(field).IsValid() }

// given are the condition keys of the tags that a request gives or takes.
func (a *ask) given() keys {
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
