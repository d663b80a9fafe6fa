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
	"github.com/bookctl/bookctl/internal/provision"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

type policyDocument struct {
	Statement []provision.PolicyStatement
}

func policyOf(t *testing.T) policyDocument {
	t.Helper()
	text, err := provision.Policy("123456789012", "us-east-1", "book")
	if err != nil {
		t.Fatal(err)
	}
	var doc policyDocument
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

func (p policyDocument) actions() map[string]bool {
	out := map[string]bool{}
	for _, s := range p.Statement {
		for _, a := range s.Action {
			out[a] = true
		}
	}
	return out
}

// iamNames maps the SDK's packages to IAM's names for the services.
var iamNames = map[string]string{
	"acm": "acm", "route53": "route53", "applicationautoscaling": "application-autoscaling", "cloudwatchlogs": "logs", "elasticloadbalancingv2": "elasticloadbalancing",
	"ec2": "ec2", "ecr": "ecr", "ecs": "ecs", "iam": "iam", "pricing": "pricing", "rds": "rds", "resourcegroupstaggingapi": "tag", "secretsmanager": "secretsmanager", "ssm": "ssm", "sts": "sts",
}

// implied are the actions that AWS checks and that are no calls of their own:
// tags given on creation, a role passed to a task, the registry's protocol.
var implied = []string{
	"ssm:AddTagsToResource", "application-autoscaling:TagResource", "iam:PassRole",
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
	for _, pattern := range []string{"*.go", "../../cmd/bookctl/*.go"} {
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
	got := policyOf(t).actions()
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
	lock, err := provision.AcquireLock(ctx, c.SSM, "book", "test", provision.LockOptions{})
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
	allowed := policyOf(t).actions()
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
	text, err := provision.Policy("123456789012", "us-east-1", "book")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range policyOf(t).Statement {
		for _, a := range s.Action {
			if strings.Contains(a, "*") {
				t.Errorf("%s: wildcard action %s", s.Sid, a)
			}
			// ECS knows no resource for DeregisterTaskDefinition, and ACM none for a
			// certificate that is only asked for, but the tag that it will have.
			asked := a == "acm:RequestCertificate" && s.Condition["StringEquals"]["aws:RequestTag/bookctl:stack"] != nil
			if slices.Contains(s.Resource, "*") && !reading.MatchString(a) && a != "ecs:DeregisterTaskDefinition" && !asked {
				t.Errorf("%s allows %s on everything", s.Sid, a)
			}
			if a == "iam:PassRole" && s.Condition["StringEquals"]["iam:PassedToService"] == nil {
				t.Errorf("%s passes roles to any service", s.Sid)
			}
			if a == "secretsmanager:GetSecretValue" && !cmp.Equal(s.Resource, []string{"arn:aws:secretsmanager:us-east-1:123456789012:secret:book/database-*"}) {
				t.Errorf("%s reads secrets %v", s.Sid, s.Resource)
			}
		}
	}
	if bytes.Contains(text, []byte("{")) && regexp.MustCompile(`\{[pras]\}`).Match(text) {
		t.Error("a placeholder was left in the policy")
	}
	// An inline policy of a role may have 10240 characters without white space:
	// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
	var dense bytes.Buffer
	if err := json.Compact(&dense, text); err != nil {
		t.Fatal(err)
	}
	if dense.Len() > 10240 {
		t.Errorf("the policy has %d characters", dense.Len())
	}
	for _, bad := range [][3]string{{"123", "us-east-1", "book"}, {"123456789012", "here", "book"}, {"123456789012", "us-east-1", "Book"}} {
		if _, err := provision.Policy(bad[0], bad[1], bad[2]); err == nil {
			t.Errorf("%v was accepted", bad)
		}
	}
}
