package provision_test

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/google/go-cmp/cmp"

	"github.com/bookctl/bookctl/internal/moto"
	"github.com/bookctl/bookctl/internal/partition/partitiontest"
	"github.com/bookctl/bookctl/internal/provision"
	"github.com/bookctl/bookctl/internal/provision/graph"
	"github.com/bookctl/bookctl/internal/runlock"
	"github.com/bookctl/bookctl/internal/runlock/parameterstore"
)

const boundary = "arn:aws:iam::123456789012:policy/limits"

// policyScopes are the kinds of policies that there are for stack book.
func policyScopes() map[string]provision.PolicyScope {
	base := provision.PolicyScope{Account: "123456789012", Region: "us-east-1", Stack: "book"}
	named, bounded := base, base
	named.Domain, named.Zone = "api.example.com", "Z1D633PJN98FT9"
	bounded.Boundary = boundary
	return map[string]provision.PolicyScope{"plain": base, "with a domain": named, "with a boundary": bounded}
}

func policyOf(t *testing.T, scope provision.PolicyScope) provision.PolicyDocument {
	t.Helper()
	doc, err := provision.Policy(scope)
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
	"acm": "acm", "route53": "route53", "applicationautoscaling": "application-autoscaling", "cloudwatchlogs": "logs", "elasticloadbalancingv2": "elasticloadbalancing",
	"ec2": "ec2", "ecr": "ecr", "ecs": "ecs", "iam": "iam", "pricing": "pricing", "rds": "rds", "resourcegroupstaggingapi": "tag", "secretsmanager": "secretsmanager", "ssm": "ssm", "sts": "sts",
}

// implied are the actions that AWS checks and that are no calls of the code: tags
// given on creation, a role passed to a task, the registry's protocol, and what
// services and programs ask for with the caller's permissions.
var implied = []string{
	"ssm:AddTagsToResource", "application-autoscaling:TagResource", "iam:PassRole", "rds:CreateDBSnapshot",
	"ec2:DescribeAccountAttributes", "ec2:DescribeAddresses", // by the load balancer
	"cloudwatch:DeleteAlarms", "cloudwatch:DescribeAlarms", "cloudwatch:PutMetricAlarm", // by target tracking
	"ssm:ResumeSession", "ssm:TerminateSession", "ssmmessages:OpenDataChannel", // by the session-manager-plugin
	"ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:CompleteLayerUpload", "ecr:GetDownloadUrlForLayer",
	"ecr:InitiateLayerUpload", "ecr:PutImage", "ecr:UploadLayerPart",
}

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
	var files []string
	for _, pattern := range []string{"*.go", "../cli/*.go", "../runlock/*/*.go"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
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
				want[service+":"+op] = true
			}
			return true
		})
	}
	for _, a := range free {
		delete(want, a)
	}
	got := allowedActions(t)
	if diff := cmp.Diff(slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got))); diff != "" {
		t.Errorf("the policy differs from what the code can send (-sent +allowed):\n%s", diff)
	}
}

// auditor notes every action that is sent, by IAM's name.
type auditor struct {
	mu   sync.Mutex
	sent map[string]bool
}

var scope = regexp.MustCompile(`Credential=[^/]+/[0-9]+/[^/]+/([^/]+)/aws4_request`)

func (a *auditor) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	_, action, ok := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	if !ok {
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return nil, err
		}
		action = form.Get("Action")
	}
	if m := scope.FindStringSubmatch(r.Header.Get("Authorization")); m != nil {
		a.mu.Lock()
		a.sent[strings.Replace(m[1], "tagging", "tag", 1)+":"+action] = true // IAM's name of the service
		a.mu.Unlock()
	}
	return http.DefaultTransport.RoundTrip(r)
}

// TestEverythingSentIsAllowed makes, looks at and destroys a stack, and holds
// what went over the wire against the policy.
func TestEverythingSentIsAllowed(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	endpoint := moto.Start(t)
	a := &auditor{sent: map[string]bool{}}
	c := provision.NewClients(aws.Config{
		Region: "us-east-1", BaseEndpoint: &endpoint, HTTPClient: &http.Client{Transport: a},
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
	})
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := provision.Preflight(ctx, c, provision.Intent{Stack: "book", Settings: provision.DefaultSettings(), Region: "us-east-1"})
	must(err)
	lock, err := runlock.Acquire(ctx, parameterstore.New(c.SSM, "book", "test"), "book", "test", runlock.Options{})
	must(err)
	s, err := provision.NewStack(c, spec())
	must(err)
	_, err = graph.Up(ctx, s.Resources(), s.Options())
	must(err)
	_, err = provision.ReadDeployed(ctx, c, "book")
	must(err)
	_, err = provision.Stacks(ctx, c)
	must(err)
	must(provision.RotatePassword(ctx, c, "book"))
	_, err = graph.Destroy(ctx, s.Resources(), s.Options())
	must(err)
	_, err = provision.PurgeSnapshots(ctx, c.RDS, "book", nil)
	must(err)
	_, err = provision.Leftovers(ctx, c, "book")
	must(err)
	must(lock.Release(ctx))
	allowed := allowedActions(t)
	if len(a.sent) < 80 {
		t.Errorf("only %d actions were sent", len(a.sent))
	}
	for _, action := range slices.Sorted(maps.Keys(a.sent)) {
		if !allowed[action] && !slices.Contains(free, action) {
			t.Errorf("%s was sent and is not in the policy", action)
		}
	}
}

// reading are the actions that may be allowed on everything.
var reading = regexp.MustCompile(`:(Describe|List|Get)`)

func TestThePolicyIsNarrow(t *testing.T) {
	t.Parallel()
	for name, scope := range policyScopes() {
		doc := policyOf(t, scope)
		for _, s := range doc.Statement {
			for _, a := range s.Action {
				if strings.Contains(a, "*") {
					t.Errorf("%s, %s: wildcard action %s", name, s.Sid, a)
				}
				// ECS knows no resource for DeregisterTaskDefinition, ACM none for a
				// certificate that is only asked for, but the tag that it will have, and
				// a channel can be opened only with its session's token.
				free := a == "ecs:DeregisterTaskDefinition" || a == "ssmmessages:OpenDataChannel" ||
					a == "acm:RequestCertificate" && s.Condition["StringEquals"]["aws:RequestTag/bookctl:stack"] != nil
				if slices.Contains(s.Resource, "*") && !reading.MatchString(a) && !free {
					t.Errorf("%s, %s: %s is allowed on everything", name, s.Sid, a)
				}
				if a == "iam:PassRole" && s.Condition["StringEquals"]["iam:PassedToService"] == nil {
					t.Errorf("%s, %s: roles are passed to any service", name, s.Sid)
				}
				if a == "secretsmanager:GetSecretValue" {
					for _, r := range s.Resource {
						if !strings.HasPrefix(r, "arn:aws:secretsmanager:us-east-1:123456789012:secret:book/database") {
							t.Errorf("%s, %s: reads secret %s", name, s.Sid, r)
						}
					}
				}
				if strings.HasPrefix(a, "route53:") && scope.Domain == "" || a == "acm:RequestCertificate" && scope.Domain == "" {
					t.Errorf("%s, %s: %s is allowed without a domain", name, s.Sid, a)
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
	for what, spoil := range map[string]func(*provision.PolicyScope){
		"a short account":       func(s *provision.PolicyScope) { s.Account = "123" },
		"no region":             func(s *provision.PolicyScope) { s.Region = "here" },
		"a stack's name":        func(s *provision.PolicyScope) { s.Stack = "Book" },
		"a boundary":            func(s *provision.PolicyScope) { s.Boundary = "limits" },
		"a domain without zone": func(s *provision.PolicyScope) { s.Domain = "api.example.com" },
		"a zone's path":         func(s *provision.PolicyScope) { s.Domain, s.Zone = "api.example.com", "/hostedzone/Z1" },
	} {
		bad := good
		spoil(&bad)
		if _, err := provision.Policy(bad); err == nil {
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
	if found != 4 {
		t.Errorf("%d actions that give permissions, want 4", found)
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
					scope := provision.PolicyScope{Account: "123456789012", Region: region, Stack: stack, Domain: domain, Boundary: limits}
					if domain != "" {
						scope.Zone = strings.Repeat("Z", 32)
					}
					doc, err := provision.Policy(scope)
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
					frame := provision.PolicyDocument{}.Size() + 1 // what another document takes by itself
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

// dense is how many characters of a policy IAM counts.
func dense(t *testing.T, d provision.PolicyDocument) int {
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
		for _, s := range policyOf(t, provision.PolicyScope{Account: "123456789012", Region: "us-east-1", Stack: stack}).Statement {
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
