// Package iampolicy makes the least IAM policy with which a stack can be deployed,
// looked at and destroyed. It knows AWS's names and rules, and calls nobody.
package iampolicy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/bookctl/bookctl/internal/naming"
	"github.com/bookctl/bookctl/internal/partition"
	"github.com/bookctl/bookctl/internal/pattern"
)

// Scope describes where a policy holds and what for. Account, Region and Stack are
// required.
type Scope struct {
	Account, Region, Stack string
	// Boundary is the ARN of a policy that the stack's roles must have as their
	// permissions boundary; "" for none. Without one, whoever holds the policy can
	// give the roles any permission, and assume them.
	Boundary string
	// TaskPolicies are the ARNs of the managed policies that may be attached to the role of
	// the stack's tasks; nil for none.
	TaskPolicies []string
	// Domain is the name that the stack is served under, and Zone the id of its
	// hosted zone; both are empty for a stack without.
	Domain, Zone string
	// VPC is the id of the VPC that the stack is given; "" for one of its own.
	VPC string
	// Snapshot is the id or ARN of a snapshot that is not the stack's own, and that its
	// database may be restored from; "" for none. One of another region or account is
	// copied, with the permission of its key.
	Snapshot string
	// Repository is the ARN of an ECR repository with images that the stack is to run, which is
	// not its own; "" for none.
	Repository string
}

// Document is an IAM policy.
type Document struct {
	Version   string      `json:"Version"`
	Statement []Statement `json:"Statement"`
}

// Statement is a statement of an IAM policy.
type Statement struct {
	Sid       string                         `json:"Sid"`
	Effect    string                         `json:"Effect"`
	Action    []string                       `json:"Action"`
	Resource  []string                       `json:"Resource"`
	Condition map[string]map[string][]string `json:"Condition,omitempty"`
}

// JSON is the policy as IAM takes it, indented.
func (d Document) JSON() []byte {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(d); err != nil {
		panic(err) // strings, lists and maps of strings always encode
	}
	return text.Bytes()
}

// Size is the policy's number of characters as IAM counts them, without white
// space.
func (d Document) Size() int {
	n := len(`{"Version":"2012-10-17","Statement":[]}`) + max(len(d.Statement)-1, 0)
	for _, s := range d.Statement {
		n += s.size()
	}
	return n
}

func (s Statement) size() int {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		panic(err) // as in JSON
	}
	return text.Len() - len("\n") // names, ARNs and tags: there is no other
}

// MaxSize is how many characters a managed policy may have; see Document.Size.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
const MaxSize = 6144

// Managed returns the statements as documents that each fit into a managed policy,
// as few as it takes: each is filled as far as it goes before the next is begun.
func (d Document) Managed() []Document {
	var out []Document
	for left := d.Statement; len(left) > 0; {
		chosen := chooseToFill(left, MaxSize-Document{}.Size())
		doc := Document{Version: d.Version}
		var rest []Statement
		for i, s := range left {
			if chosen[i] {
				doc.Statement = append(doc.Statement, s)
			} else {
				rest = append(rest, s)
			}
		}
		if doc.Statement == nil { // larger than any document
			doc.Statement, rest = left[:1], left[1:]
		}
		out, left = append(out, doc), rest
	}
	return out
}

// chooseToFill chooses the statements whose total size comes closest to the room without
// exceeding it.
func chooseToFill(statements []Statement, room int) map[int]bool {
	// last[n] is the last of some statements whose total size is n.
	const none, nothing = -1, -2
	last := slices.Repeat([]int{none}, room+1)
	last[0] = nothing
	size := make([]int, len(statements))
	for i, s := range statements {
		size[i] = s.size() + len(",")
		for n := room; n >= size[i]; n-- {
			if last[n] == none && last[n-size[i]] != none {
				last[n] = i
			}
		}
	}
	n := room
	for last[n] == none {
		n--
	}
	chosen := map[int]bool{}
	for ; last[n] != nothing; n -= size[last[n]] {
		chosen[last[n]] = true
	}
	return chosen
}

var (
	accountNumber = pattern.New(`^[0-9]{12}$`)
	vpcID         = pattern.New(`^vpc-[0-9a-f]{8,17}$`)
	zoneID        = pattern.New(`^[A-Z0-9]{1,32}$`)
	snapshotName  = pattern.New(`^[A-Za-z][A-Za-z0-9:-]{0,254}$`)
	snapshotARN   = pattern.New(`^arn:aws[a-z-]*:rds:[a-z0-9-]+:[0-9]{12}:snapshot:[A-Za-z][A-Za-z0-9:-]{0,254}$`)
	repositoryARN = pattern.New(`^arn:aws[a-z-]*:ecr:[a-z0-9-]+:[0-9]{12}:repository/[a-z0-9][a-z0-9._/-]{0,255}$`)
	boundaryARN   = pattern.New(`^arn:aws[a-z-]*:iam::(aws|[0-9]{12}):policy/[A-Za-z0-9+=.@_/-]+$`)
)

// CheckBoundary returns an error that says what is wrong with the ARN of a
// permissions boundary, or nil; "" is none and right. The ARN is recorded in a
// tag, which takes 256 characters and no comma.
func CheckBoundary(arn string) error {
	if arn != "" && (!boundaryARN.MatchString(arn) || len(arn) > 256) {
		return fmt.Errorf("permissions boundary %q: give the ARN of a policy (arn:aws:iam::ACCOUNT:policy/NAME) of at most 256 characters and without a comma", arn)
	}
	return nil
}

// mostPolicies is how many managed policies a role has, unless the quota was raised.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
const mostPolicies = 10

// CheckPolicies returns an error that says what is wrong with the ARNs of the policies of a
// stack's tasks, or nil.
func CheckPolicies(arns []string) error {
	for _, arn := range arns {
		if !boundaryARN.MatchString(arn) {
			return fmt.Errorf("%q: give the ARN of a managed policy (arn:aws:iam::ACCOUNT:policy/NAME, or arn:aws:iam::aws:policy/NAME for one of AWS) without a comma", arn)
		}
	}
	if len(arns) > mostPolicies {
		return fmt.Errorf("%d policies: IAM attaches %d to a role; one policy can allow what several do", len(arns), mostPolicies)
	}
	return nil
}

func (s Scope) check() error {
	if err := naming.CheckStack(s.Stack); err != nil {
		return err
	}
	if !accountNumber.MatchString(s.Account) {
		return fmt.Errorf("account %q: give its 12 digits", s.Account)
	}
	if !partition.IsRegion(s.Region) {
		return fmt.Errorf("region %q: name one such as eu-central-1", s.Region)
	}
	if err := CheckBoundary(s.Boundary); err != nil {
		return err
	}
	if err := CheckPolicies(s.TaskPolicies); err != nil {
		return err
	}
	if s.Snapshot != "" && !snapshotName.MatchString(s.Snapshot) && !snapshotARN.MatchString(s.Snapshot) {
		return fmt.Errorf("snapshot %q: give its id, or its ARN (arn:aws:rds:REGION:ACCOUNT:snapshot:NAME)", s.Snapshot)
	}
	if s.Repository != "" && !repositoryARN.MatchString(s.Repository) {
		return fmt.Errorf("repository %q: give the ARN of one in ECR (arn:aws:ecr:REGION:ACCOUNT:repository/NAME)", s.Repository)
	}
	if (s.Domain == "") != (s.Zone == "") {
		return errors.New("a domain needs the id of its hosted zone, and a zone the domain")
	}
	if s.Domain != "" && !naming.IsDomain(s.Domain) {
		return fmt.Errorf("domain %q: give a name such as api.example.com", s.Domain)
	}
	if s.VPC != "" && !vpcID.MatchString(s.VPC) {
		return fmt.Errorf("VPC %q: give its id, such as vpc-0123456789abcdef0", s.VPC)
	}
	if s.Zone != "" && !zoneID.MatchString(s.Zone) {
		return fmt.Errorf("hosted zone %q: give its id, such as Z1D633PJN98FT9", s.Zone)
	}
	return nil
}

// snapshot is the ARN of Snapshot, and whether that is copied from elsewhere.
func (s Scope) snapshot() (arn string, copied bool) {
	if s.Snapshot == "" {
		return "", false
	}
	here := "arn:" + partition.Of(s.Region).Name + ":rds:" + s.Region + ":" + s.Account + ":snapshot:"
	if !strings.HasPrefix(s.Snapshot, "arn:") {
		return here + s.Snapshot, false
	}
	return s.Snapshot, !strings.HasPrefix(s.Snapshot, here)
}

// ARN is the ARN of a managed policy of the account.
func (s Scope) ARN(name string) string {
	return "arn:" + partition.Of(s.Region).Name + ":iam::" + s.Account + ":policy/" + name
}

// For returns the least policy with which a stack can be created, changed, looked
// at and destroyed. It allows nothing on what belongs to other stacks, except for
// reads that IAM can't narrow. The error says what is wrong with the scope.
func For(scope Scope) (Document, error) {
	if err := scope.check(); err != nil {
		return Document{}, err
	}
	fill := scope.placeholders().Replace
	fillAll := func(text string) []string {
		if text == taskPolicies {
			return scope.TaskPolicies
		}
		return []string{fill(text)}
	}
	// Whatever knows no resource is one statement, which saves room.
	everywhere := Statement{Sid: "Everywhere", Effect: "Allow", Resource: []string{"*"}}
	doc := Document{Version: "2012-10-17", Statement: []Statement{everywhere}}
	for _, g := range grants {
		if g.only != nil && !g.only(scope) {
			continue
		}
		s := Statement{Sid: g.sid, Effect: "Allow", Resource: []string{"*"}}
		for _, a := range strings.Fields(g.actions) {
			s.Action = append(s.Action, g.service+":"+a)
		}
		if g.resources == nil && g.condition == nil {
			doc.Statement[0].Action = append(doc.Statement[0].Action, s.Action...)
			continue
		}
		slices.Sort(s.Action)
		if g.resources != nil {
			s.Resource = nil
			for _, r := range g.resources {
				s.Resource = append(s.Resource, fillAll(r)...)
			}
		}
		s.Condition = g.condition.filled(fillAll)
		if i := 1 + slices.IndexFunc(doc.Statement[1:], s.canMerge); i > 0 {
			doc.Statement[i] = doc.Statement[i].merge(s)
		} else {
			doc.Statement = append(doc.Statement, s)
		}
	}
	slices.Sort(doc.Statement[0].Action)
	return doc, nil
}

// placeholders replaces the placeholders of the grants by the values of the scope.
func (s Scope) placeholders() *strings.Replacer {
	snapshot, _ := s.snapshot()
	from := "" // region and account of the snapshot
	if part := strings.Split(snapshot, ":"); len(part) > 4 {
		from = part[3] + ":" + part[4]
	}
	return strings.NewReplacer(
		"{p}", partition.Of(s.Region).Name, "{r}", s.Region, "{a}", s.Account, "{s}", s.Stack,
		"{snapshot}", snapshot, "{from}", from, "{boundary}", s.Boundary, "{domain}", s.Domain, "{zone}", s.Zone, "{vpc}", s.VPC, "{repository}", s.Repository,
	)
}

// maxMerged limits the size of merged statements: small statements fill documents better.
const maxMerged = 3000

// canMerge reports whether two statements can be one, which saves characters: they have the
// same condition, and different services. An action applies only to resources of its own
// service, so that the merged statement allows no more than the two.
func (s Statement) canMerge(other Statement) bool {
	if slices.Contains(s.Resource, "*") || slices.Contains(other.Resource, "*") || !reflect.DeepEqual(s.Condition, other.Condition) {
		return false
	}
	services := other.services()
	return !slices.ContainsFunc(s.services(), func(service string) bool { return slices.Contains(services, service) }) && s.size()+other.size() < maxMerged
}

// services are those that a statement's actions and resources are of.
func (s Statement) services() []string {
	var out []string
	for _, a := range s.Action {
		service, _, _ := strings.Cut(a, ":")
		out = append(out, service)
	}
	for _, r := range s.Resource {
		out = append(out, strings.SplitN(r, ":", 4)[2])
	}
	return out
}

// merge adds the actions and resources of another statement; see canMerge.
func (s Statement) merge(other Statement) Statement {
	s.Sid += other.Sid
	s.Action, s.Resource = slices.Concat(s.Action, other.Action), slices.Concat(s.Resource, other.Resource)
	return s
}

// filled is the condition with its placeholders replaced, nil for none.
func (c conditionBlock) filled(fill func(string) []string) conditionBlock {
	if c == nil {
		return nil
	}
	out := conditionBlock{}
	for operator, keys := range c {
		out[operator] = map[string][]string{}
		for key, values := range keys {
			for _, v := range values {
				out[operator][key] = append(out[operator][key], fill(v)...)
			}
		}
	}
	return out
}
