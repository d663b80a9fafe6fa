package iampolicy_test

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bookctl/bookctl/internal/iampolicy"
	"github.com/bookctl/bookctl/internal/partition/partitiontest"
)

const boundary = "arn:aws:iam::123456789012:policy/limits"

// policyScopes are the kinds of policies that there are for stack book.
func policyScopes() map[string]iampolicy.Scope {
	base := iampolicy.Scope{Account: "123456789012", Region: "us-east-1", Stack: "book"}
	named, bounded, given, restored, copied, imaged, working := base, base, base, base, base, base, base
	imaged.Repository = "arn:aws:ecr:us-east-1:123456789012:repository/shop"
	working.TaskPolicies = []string{"arn:aws:iam::123456789012:policy/queues", "arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"}
	restored.Snapshot, copied.Snapshot = "other", "arn:aws:rds:eu-west-1:111122223333:snapshot:books"
	given.VPC = "vpc-0123456789abcdef0"
	named.Domain, named.Zone = "api.example.com", "Z1D633PJN98FT9"
	bounded.Boundary, bounded.TaskPolicies = boundary, working.TaskPolicies
	return map[string]iampolicy.Scope{
		"plain": base, "with a domain": named, "with a boundary": bounded, "in an existing VPC": given,
		"restored from another stack": restored, "restored from another account": copied,
		"with images of another repository": imaged,
		"with policies of the tasks":        working,
	}
}

func policyOf(t *testing.T, scope iampolicy.Scope) iampolicy.Document {
	t.Helper()
	doc, err := iampolicy.For(scope)
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// allowedActions are those of all kinds of policies.
func allowedActions(t *testing.T) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	for _, scope := range policyScopes() {
		for _, s := range policyOf(t, scope).Statement {
			for _, a := range s.Action {
				out[a] = true
			}
		}
	}
	return out
}

// iamNames maps the SDK's packages to IAM's names for the services.
var iamNames = map[string]string{
	"acm": "acm", "route53": "route53", "applicationautoscaling": "application-autoscaling", "cloudwatch": "cloudwatch", "cloudwatchlogs": "logs", "eventbridge": "events", "sns": "sns", "elasticloadbalancingv2": "elasticloadbalancing",
	"ec2": "ec2", "ecr": "ecr", "ecs": "ecs", "iam": "iam", "pricing": "pricing", "rds": "rds", "resourcegroupstaggingapi": "tag", "secretsmanager": "secretsmanager", "ssm": "ssm", "sts": "sts",
}

// implied are the actions that AWS checks and that are no calls of the code: tags
// given on creation, a role passed to a task, the registry's protocol, and what
// services and programs ask for with the caller's permissions.
var implied = []string{
	"ssm:AddTagsToResource", "application-autoscaling:TagResource", "iam:PassRole", "rds:CreateDBSnapshot",
	"ec2:DescribeAccountAttributes", "ec2:DescribeAddresses", "ec2:GetSecurityGroupsForVpc", // by the load balancer
	"cloudwatch:DeleteAlarms", "cloudwatch:DescribeAlarms", "cloudwatch:PutMetricAlarm", // by target tracking
	"ssm:ResumeSession", "ssm:TerminateSession", "ssmmessages:OpenDataChannel", // by the session-manager-plugin
	// by the copy of a snapshot that another account has encrypted
	"kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:ReEncryptFrom", "kms:ReEncryptTo",
	"ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:BatchImportUpstreamImage", "ecr:CompleteLayerUpload", "ecr:GetDownloadUrlForLayer",
	"ecr:InitiateLayerUpload", "ecr:PutImage", "ecr:UploadLayerPart",
}

// untold are repairs that the policy leaves out, because it can't limit them to the
// stack. A run asks by a dry run whether it may, and otherwise reports what stays.
var untold = []string{"ec2:CreateNetworkAclEntry", "ec2:DeleteNetworkAclEntry", "ec2:ReplaceNetworkAclAssociation"}

// free are calls that need no permission.
var free = []string{"sts:GetCallerIdentity"}

// TestThePolicyIsWhatTheCodeCanSend reads from the sources every input of a call
// that the code makes: the policy has each, and no other.
func TestThePolicyIsWhatTheCodeCanSend(t *testing.T) {
	t.Parallel()
	want := map[string]bool{}
	for _, a := range implied {
		want[a] = true
	}
	err := filepath.WalkDir("..", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && slices.Contains(others, d.Name()) {
			return fs.SkipDir
		}
		if strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") {
			for _, action := range inputs(t, name) {
				want[action] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range slices.Concat(free, untold) {
		delete(want, a)
	}
	got := allowedActions(t)
	if diff := cmp.Diff(slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got))); diff != "" {
		t.Errorf("the policy differs from what the code can send (-sent +allowed):\n%s", diff)
	}
}

// others are the packages below internal whose calls no run sends.
var others = []string{"localcloud", "moto", "awsaccount", "conformance", "testdata"}

// inputs are the actions whose inputs a source file makes.
func inputs(t *testing.T, name string) (out []string) {
	t.Helper()
	source, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), name, source, 0)
	if err != nil {
		t.Fatal(err)
	}
	services := map[string]string{}
	for _, i := range file.Imports {
		path, ok := strings.CutPrefix(strings.Trim(i.Path.Value, `"`), "github.com/aws/aws-sdk-go-v2/service/")
		if !ok || strings.Contains(path, "/") {
			continue
		}
		local := path
		if i.Name != nil {
			local = i.Name.Name
		}
		services[local] = path
	}
	ast.Inspect(file, func(n ast.Node) bool {
		lit, ok := n.(*ast.CompositeLit)
		if !ok {
			return true
		}
		sel, ok := lit.Type.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		pkg, ok := sel.X.(*ast.Ident)
		if !ok || services[pkg.Name] == "" {
			return true
		}
		if op, ok := strings.CutSuffix(sel.Sel.Name, "Input"); ok {
			service, known := iamNames[services[pkg.Name]]
			if !known {
				t.Errorf("%s: IAM's name of service %s is not known here", name, services[pkg.Name])
			}
			out = append(out, service+":"+op)
		}
		return true
	})
	return out
}

// reading are the actions that may be allowed on everything.
var reading = regexp.MustCompile(`:(Describe|List|Get)`)

// ofNobody is all that may be changed of EC2's that has no stack's tag, by type of resource.
var ofNobody = map[string][]string{
	// EC2 asks for AssociateDhcpOptions on the VPC as well.
	"dhcp-options": {"ec2:AssociateDhcpOptions"},
	// The default group of a new VPC is emptied. Nothing is added to any.
	"security-group": {"ec2:RevokeSecurityGroupEgress", "ec2:RevokeSecurityGroupIngress"},
}

// knows reports whether EC2 asks for an action on a type of resource, where a statement
// has several of both.
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html
func knows(kind, action string) bool {
	noun := map[string]string{"dhcp-options": "DhcpOptions", "security-group": "SecurityGroup", "network-acl": "NetworkAcl"}[kind]
	return strings.Contains(action, noun)
}

// TestWhatHasNoTagIsLeftToItsOwners holds every change that is allowed on what is neither
// tagged nor named as the stack's.
func TestWhatHasNoTagIsLeftToItsOwners(t *testing.T) {
	t.Parallel()
	for name, scope := range policyScopes() {
		got := map[string][]string{}
		for _, s := range policyOf(t, scope).Statement {
			is := s.Condition["StringEquals"]
			ours := is["aws:ResourceTag/bookctl:stack"] != nil || is["aws:RequestTag/bookctl:stack"] != nil || is["ec2:CreateAction"] != nil
			for _, r := range s.Resource {
				kind, id, _ := strings.Cut(strings.TrimPrefix(r, "arn:aws:ec2:us-east-1:123456789012:"), "/")
				if ours || !strings.Contains(r, ":ec2:") || kind == "vpc" && id == scope.VPC {
					continue
				}
				for _, a := range s.Action {
					if strings.HasPrefix(a, "ec2:") && !reading.MatchString(a) && knows(kind, a) {
						got[kind] = append(got[kind], a)
					}
				}
			}
		}
		want := ofNobody
		if scope.VPC != "" {
			want = map[string][]string{}
		}
		for _, actions := range got {
			slices.Sort(actions)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: changes of what is nobody's (-want +got):\n%s", name, diff)
		}
	}
}

// allowedOnAll are the actions that change something and are allowed on all resources.
var allowedOnAll = []string{"ecs:DeregisterTaskDefinition", "ssmmessages:OpenDataChannel", "sns:Unsubscribe", "acm:RequestCertificate"}

// TestEachActionThatIsAllowedOnAllIsExplained holds docs/security.md against the policies: who
// reads it is to know of each exception, and of none that is not there.
func TestEachActionThatIsAllowedOnAllIsExplained(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	allowed := map[string]bool{}
	for _, scope := range policyScopes() {
		for _, s := range policyOf(t, scope).Statement {
			for _, a := range s.Action {
				allowed[a] = allowed[a] || slices.Contains(s.Resource, "*")
			}
		}
	}
	for _, a := range allowedOnAll {
		if !strings.Contains(string(text), "\n- `"+a+"` ") {
			t.Errorf("docs/security.md does not say that %s is allowed on all resources, and why", a)
		}
		if !allowed[a] {
			t.Errorf("no policy allows %s on all resources", a)
		}
	}
}

func TestThePolicyIsNarrow(t *testing.T) {
	t.Parallel()
	for name, scope := range policyScopes() {
		doc := policyOf(t, scope)
		for _, s := range doc.Statement {
			for _, r := range s.Resource {
				if part := strings.SplitN(r, ":", 6); len(part) == 6 {
					if kind, _, named := strings.Cut(part[5], "/"); named && strings.ContainsAny(kind, "*?") && !strings.Contains(kind, ":") {
						t.Errorf("%s, %s: a wildcard stands for the type of resource %s", name, s.Sid, r)
					}
				}
			}
			for _, a := range s.Action {
				if strings.Contains(a, "*") {
					t.Errorf("%s, %s: wildcard action %s", name, s.Sid, a)
				}
				// ECS knows no resource for DeregisterTaskDefinition, ACM none for a
				// certificate that is only asked for, but the tag that it will have, and
				// a channel can be opened only with its session's token. SNS knows none for
				// Unsubscribe, since only the topic has the subscription's ARN.
				free := slices.Contains(allowedOnAll, a) && (a != "acm:RequestCertificate" || s.Condition["StringEquals"]["aws:RequestTag/bookctl:stack"] != nil)
				if slices.Contains(s.Resource, "*") && !reading.MatchString(a) && !free {
					t.Errorf("%s, %s: %s is allowed on everything", name, s.Sid, a)
				}
				if a == "iam:PassRole" && s.Condition["StringEquals"]["iam:PassedToService"] == nil {
					t.Errorf("%s, %s: roles are passed to any service", name, s.Sid)
				}
				if a == "secretsmanager:GetSecretValue" {
					for _, r := range s.Resource {
						if service := strings.Split(r, ":")[2]; service != "secretsmanager" && !strings.ContainsAny(service, "*?") {
							continue // of another service, whose resources are no secrets
						}
						name, own := strings.CutPrefix(r, "arn:aws:secretsmanager:us-east-1:123456789012:secret:book/")
						if !own || !slices.Contains([]string{"database", "environment"}, strings.TrimSuffix(name, "-??????")) {
							t.Errorf("%s, %s: reads secret %s", name, s.Sid, r)
						}
					}
				}
				// Of an existing VPC nothing is changed: a group is created in it.
				for _, r := range s.Resource {
					if scope.VPC == "" || !strings.HasPrefix(a, "ec2:") || reading.MatchString(a) || !strings.Contains(r, ":ec2:") {
						continue // of another service, which statements share
					}
					in := a == "ec2:CreateSecurityGroup" && r == "arn:aws:ec2:us-east-1:123456789012:vpc/"+scope.VPC
					if group := r == "arn:aws:ec2:us-east-1:123456789012:security-group/*"; !in && (!group || s.Condition["StringEquals"] == nil) {
						t.Errorf("%s, %s: %s is allowed on %s", name, s.Sid, a, r)
					}
				}
				if strings.HasPrefix(a, "route53:") && scope.Domain == "" || a == "acm:RequestCertificate" && scope.Domain == "" {
					t.Errorf("%s, %s: %s is allowed without a domain", name, s.Sid, a)
				}
				// A snapshot is copied where it was named, into the copies of the stack, and only
				// RDS uses its key.
				if foreign := a == "rds:CopyDBSnapshot" || strings.HasPrefix(a, "kms:"); foreign && !strings.HasPrefix(scope.Snapshot, "arn:") {
					t.Errorf("%s, %s: %s is allowed without a snapshot elsewhere", name, s.Sid, a)
				}
				if of := slices.DeleteFunc(slices.Clone(s.Resource), func(r string) bool {
					return !strings.Contains(r, ":ecr:") || r == "arn:aws:ecr:us-east-1:123456789012:repository/book/app"
				}); len(of) > 0 && strings.HasPrefix(a, "ecr:") && (!slices.Equal(of, []string{scope.Repository}) || !slices.Contains([]string{"ecr:BatchGetImage", "ecr:BatchImportUpstreamImage", "ecr:GetDownloadUrlForLayer"}, a)) {
					t.Errorf("%s, %s: %s is allowed on %s", name, s.Sid, a, of)
				}
				if a == "rds:CopyDBSnapshot" {
					of := slices.DeleteFunc(slices.Clone(s.Resource), func(r string) bool { return !strings.Contains(r, ":rds:") }) // others share the statement
					if want := []string{scope.Snapshot, "arn:aws:rds:us-east-1:123456789012:snapshot:book-final-copy-*"}; !slices.Equal(of, want) {
						t.Errorf("%s, %s: %s is allowed on %s", name, s.Sid, a, of)
					}
				}
				if strings.HasPrefix(a, "kms:") && (!slices.Equal(s.Resource, []string{"arn:aws:kms:eu-west-1:111122223333:key/*"}) || s.Condition["StringLike"]["kms:ViaService"] == nil) {
					t.Errorf("%s, %s: %s is allowed on %s, if %v", name, s.Sid, a, s.Resource, s.Condition)
				}
				if strings.HasPrefix(a, "route53:Change") {
					if diff := cmp.Diff([]string{"arn:aws:route53:::hostedzone/" + scope.Zone}, s.Resource); diff != "" {
						t.Errorf("%s, %s: records of other zones:\n%s", name, s.Sid, diff)
					}
				}
			}
		}
		if m := regexp.MustCompile(`[^$]\{[a-z]+\}`).FindString(string(doc.JSON())); m != "" {
			t.Errorf("%s: the placeholder %s was left", name, m)
		}
	}
	good := policyScopes()["plain"]
	for what, spoil := range map[string]func(*iampolicy.Scope){
		"a short account":       func(s *iampolicy.Scope) { s.Account = "123" },
		"no region":             func(s *iampolicy.Scope) { s.Region = "here" },
		"a stack's name":        func(s *iampolicy.Scope) { s.Stack = "Book" },
		"a VPC":                 func(s *iampolicy.Scope) { s.VPC = "vpc-*" },
		"a snapshot":            func(s *iampolicy.Scope) { s.Snapshot = "book*" },
		"a snapshot's ARN":      func(s *iampolicy.Scope) { s.Snapshot = "arn:aws:rds:*:111122223333:snapshot:books" },
		"a repository":          func(s *iampolicy.Scope) { s.Repository = "arn:aws:ecr:us-east-1:123456789012:repository/*" },
		"a boundary":            func(s *iampolicy.Scope) { s.Boundary = "limits" },
		"a task policy":         func(s *iampolicy.Scope) { s.TaskPolicies = []string{"arn:aws:iam::aws:policy/*"} },
		"a domain without zone": func(s *iampolicy.Scope) { s.Domain = "api.example.com" },
		"a zone's path":         func(s *iampolicy.Scope) { s.Domain, s.Zone = "api.example.com", "/hostedzone/Z1" },
	} {
		bad := good
		spoil(&bad)
		if _, err := iampolicy.For(bad); err == nil {
			t.Errorf("%s that is wrong was accepted: %+v", what, bad)
		}
	}
}

// TestWhoHoldsABoundedPolicyCannotOutgrowIt holds every action that gives a role
// permissions, or somebody a role, against the boundary.
func TestWhoHoldsABoundedPolicyCannotOutgrowIt(t *testing.T) {
	t.Parallel()
	gives := regexp.MustCompile(`^iam:(CreateRole|PutRole.*|AttachRole.*|UpdateAssumeRolePolicy|UpdateRole|CreatePolicy.*|SetDefault.*|DeleteRolePermissionsBoundary)$`)
	found := 0
	for _, s := range policyOf(t, policyScopes()["with a boundary"]).Statement {
		for _, a := range s.Action {
			if !gives.MatchString(a) {
				continue
			}
			found++
			if diff := cmp.Diff([]string{boundary}, s.Condition["StringEquals"]["iam:PermissionsBoundary"]); diff != "" || a == "iam:DeleteRolePermissionsBoundary" {
				t.Errorf("%s is allowed without the boundary:\n%s", a, diff)
			}
		}
	}
	if found != 5 {
		t.Errorf("%d actions that give permissions, want 5", found)
	}
}

// TestNoPolicyIsAttachedButThoseThatAreNamed looks for what lets the deployer give a role
// the permissions of a policy.
func TestNoPolicyIsAttachedButThoseThatAreNamed(t *testing.T) {
	t.Parallel()
	for name, scope := range policyScopes() {
		found := 0
		for _, s := range policyOf(t, scope).Statement {
			if !slices.Contains(s.Action, "iam:AttachRolePolicy") {
				continue
			}
			found++
			if diff := cmp.Diff([]string{"arn:aws:iam::123456789012:role/book-us-east-1-task-role"}, s.Resource); diff != "" {
				t.Errorf("%s: policies are attached to (-want +got):\n%s", name, diff)
			}
			if diff := cmp.Diff(scope.TaskPolicies, s.Condition["ArnEquals"]["iam:PolicyARN"]); diff != "" {
				t.Errorf("%s: what is attached (-want +got):\n%s", name, diff)
			}
		}
		if want := min(len(scope.TaskPolicies), 1); found != want {
			t.Errorf("%s: %d statements attach policies, want %d", name, found, want)
		}
	}
}

// TestThePolicyFitsEverywhere makes the policies of every region there is, for the
// shortest and the longest names.
func TestThePolicyFitsEverywhere(t *testing.T) {
	t.Parallel()
	most := 0
	for _, region := range partitiontest.Regions(t) {
		for _, n := range []int{1, 4, 7, 10, 13, 16, 20} {
			stack := strings.Repeat("a", n)
			for _, domain := range []string{"", strings.Repeat("a", 60) + ".com"} {
				for _, limits := range []string{"", "arn:aws-us-gov:iam::123456789012:policy/" + strings.Repeat("a", 200)} {
					scope := iampolicy.Scope{Account: "123456789012", Region: region, Stack: stack, Domain: domain, Boundary: limits}
					if domain != "" {
						scope.Zone = strings.Repeat("Z", 32)
					}
					doc, err := iampolicy.For(scope)
					if err != nil {
						t.Fatal(err)
					}
					split := doc.Managed()
					var sids []string
					for _, d := range split {
						if n := dense(t, d); n > 6144 || n != d.Size() {
							t.Errorf("%+v: a document of %d characters, said to be %d", scope, n, d.Size())
						}
						for _, s := range d.Statement {
							sids = append(sids, s.Sid)
						}
					}
					frame := iampolicy.Document{}.Size() + 1 // what another document takes by itself
					if fewer := len(split) - 1; doc.Size()+(fewer-1)*frame <= fewer*6144 {
						t.Errorf("%+v: %d documents for %d characters", scope, len(split), doc.Size())
					}
					slices.Sort(sids)
					if len(sids) != len(doc.Statement) || len(slices.Compact(sids)) != len(doc.Statement) {
						t.Errorf("%+v: the documents have other statements than the policy: %v", scope, sids)
					}
					most = max(most, doc.Size())
				}
			}
		}
	}
	t.Logf("at most %d characters", most)
}

// TestThePolicyHasRoom holds that three managed policies are enough for a stack without a
// domain, whatever its region and name, and that more actions still fit. IAM attaches ten to
// a user or a role.
func TestThePolicyHasRoom(t *testing.T) {
	t.Parallel()
	region := slices.MaxFunc(partitiontest.Regions(t), func(a, b string) int { return len(a) - len(b) })
	for _, limits := range []string{"", boundary} {
		split := policyOf(t, iampolicy.Scope{Account: "123456789012", Region: region, Stack: strings.Repeat("a", 20), Boundary: limits}).Managed()
		room := 0
		for _, d := range split {
			room += iampolicy.MaxSize - d.Size()
		}
		if len(split) != 3 || room < 300 {
			t.Errorf("in %s with the boundary %q the policy takes %d documents, and leaves room for %d characters in them", region, limits, len(split), room)
		}
	}
}

// dense is how many characters of a policy IAM counts.
func dense(t *testing.T, d iampolicy.Document) int {
	t.Helper()
	var text bytes.Buffer
	if err := json.Compact(&text, d.JSON()); err != nil {
		t.Fatal(err)
	}
	return text.Len()
}

// TestNamesEndWhereTheStacksNamesEnd gives stacks names that begin with another's:
// what one's policy names is not the other's.
func TestNamesEndWhereTheStacksNamesEnd(t *testing.T) {
	t.Parallel()
	stacks := []string{"b", "book", "book-a", "book-database", "book-final", "book-final-a", "book-lb", "book-service", "book-us-east-1", "book-us-east-1-task"}
	type named struct{ sid, pattern string }
	of := map[string][]named{}
	for _, stack := range stacks {
		for _, s := range policyOf(t, iampolicy.Scope{Account: "123456789012", Region: "us-east-1", Stack: stack}).Statement {
			if s.Condition["StringEquals"]["aws:ResourceTag/bookctl:stack"] != nil || s.Condition["StringEqualsIfExists"]["aws:ResourceTag/bookctl:stack"] != nil {
				continue // bound by the tag
			}
			for _, r := range s.Resource {
				if strings.Contains(r, stack) {
					of[stack] = append(of[stack], named{s.Sid, r})
				}
			}
		}
	}
	for _, mine := range stacks {
		for _, m := range of[mine] {
			match := regexp.MustCompile("^" + strings.NewReplacer(`\*`, ".*", `\?`, ".").Replace(regexp.QuoteMeta(m.pattern)) + "$")
			for _, theirs := range stacks {
				for _, x := range of[theirs] {
					if name := strings.NewReplacer("*", "x1", "?", "x").Replace(x.pattern); mine != theirs && match.MatchString(name) {
						t.Errorf("stack %s may do %s on %s of stack %s", mine, m.sid, name, theirs)
					}
				}
			}
		}
	}
}
