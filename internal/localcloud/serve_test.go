package localcloud_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go"

	"github.com/bookctl/bookctl/internal/localcloud"
)

// once points an SDK client at the cloud that does not try again.
func once(c *localcloud.Cloud) aws.Config {
	cfg := clientConfig(c)
	cfg.Retryer = func() aws.Retryer { return aws.NopRetryer{} }
	return cfg
}

// code is that of an API's error, "" for none and "lost" for no answer at all.
func code(err error) string {
	var api smithy.APIError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &api):
		return api.ErrorCode()
	}
	return "lost"
}

func createRole(t *testing.T, cfg aws.Config, name string) error {
	t.Helper()
	_, err := iam.NewFromConfig(cfg).CreateRole(t.Context(), &iam.CreateRoleInput{
		RoleName: &name, AssumeRolePolicyDocument: aws.String(trust),
		Tags: []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}},
	})
	return err
}

// request sends a hand-made request and returns its status and body.
func request(t *testing.T, c *localcloud.Cloud, method, path, body string, change func(*http.Request)) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, c.Endpoint()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	change(req)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// signed is an Authorization header for a service of a region.
func signed(region, service string) string {
	return fmt.Sprintf("AWS4-HMAC-SHA256 Credential=key/20260101/%s/%s/aws4_request, SignedHeaders=host, Signature=0", region, service)
}

func TestRequestsThatNobodyServesAreExplained(t *testing.T) {
	t.Parallel()
	c := openCloud(t, localcloud.Config{})
	for _, tc := range []struct {
		name, authorization, body string
		status                    int
		says                      string
	}{
		{"unsigned", "", "Action=DescribeVpcs", 403, "MissingAuthenticationToken"},
		{"half signed", "AWS4-HMAC-SHA256 Credential=key", "Action=DescribeVpcs", 403, "IncompleteSignature"},
		{"another region", signed("eu-west-1", "ec2"), "Action=DescribeVpcs", 403, "the local cloud is us-east-1, the request is for eu-west-1"},
		{"unknown service", signed("us-east-1", "sqs"), "Action=ListQueues", 400, "The local cloud has no service &#34;sqs&#34;"},
		{"unknown operation", signed("us-east-1", "ec2"), "Action=RunInstances", 400, "<Code>InvalidAction</Code><Message>The action RunInstances"},
		{"no operation", signed("us-east-1", "ec2"), "", 400, "MissingAction"},
		{"unknown parameter", signed("us-east-1", "sts"), "Action=GetCallerIdentity&Who=me", 400, "The parameter Who is not recognized"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			status, body := request(t, c, http.MethodPost, "/", tc.body, func(r *http.Request) {
				if tc.authorization != "" {
					r.Header.Set("Authorization", tc.authorization)
				}
			})
			if status != tc.status || !strings.Contains(body, tc.says) {
				t.Errorf("the answer is %d %s; want %d that says %q", status, body, tc.status, tc.says)
			}
		})
	}
}

// TestASignatureOfAnotherTimeIsRefused signs by a clock that is an hour off.
func TestASignatureOfAnotherTimeIsRefused(t *testing.T) {
	t.Parallel()
	c := openCloud(t, localcloud.Config{})
	for _, tc := range []struct {
		service, body, target string
		off                   time.Duration
		status                int
		says                  string
	}{
		{"ec2", "Action=DescribeVpcs&Version=2016-11-15", "", -time.Hour, 400, "<Code>RequestExpired</Code>"},
		{"ec2", "Action=DescribeVpcs&Version=2016-11-15", "", time.Hour, 401, "<Code>AuthFailure</Code>"},
		{"ec2", "Action=DescribeVpcs&Version=2016-11-15", "", -4 * time.Minute, 200, "vpc-"},
		{"sts", "Action=GetCallerIdentity&Version=2011-06-15", "", -time.Hour, 403, "Signature expired: "},
		{"iam", "Action=ListRoles&Version=2010-05-08", "", time.Hour, 403, "Signature not yet current: "},
		{"ecs", "{}", "AmazonEC2ContainerServiceV20141113.ListClusters", -time.Hour, 400, "InvalidSignatureException"},
	} {
		status, body := request(t, c, http.MethodPost, "/", tc.body, func(r *http.Request) {
			r.Header.Set("Authorization", signed("us-east-1", tc.service))
			r.Header.Set("X-Amz-Date", time.Now().Add(tc.off).UTC().Format("20060102T150405Z"))
			if tc.target != "" {
				r.Header.Set("X-Amz-Target", tc.target)
				r.Header.Set("Content-Type", "application/x-amz-json-1.1")
			}
		})
		if status != tc.status || !strings.Contains(body, tc.says) {
			t.Errorf("%s, %s off: the answer is %d %s; want %d that says %q", tc.service, tc.off, status, body, tc.status, tc.says)
		}
	}
}

func TestAGlobalServiceIsSignedForUsEast1FromEveryRegion(t *testing.T) {
	t.Parallel()
	c := openCloud(t, localcloud.Config{Region: "eu-west-1"})
	for region, want := range map[string]int{"us-east-1": 200, "eu-west-1": 200, "eu-west-2": 403} {
		status, body := request(t, c, http.MethodPost, "/", "Action=ListRoles&Version=2010-05-08", func(r *http.Request) {
			r.Header.Set("Authorization", signed(region, "iam"))
		})
		if status != want {
			t.Errorf("signed for %s the answer is %d %s; want %d", region, status, body, want)
		}
	}
}

func TestAWebPageCantReachTheCloudByAnotherName(t *testing.T) {
	t.Parallel()
	c := openCloud(t, localcloud.Config{})
	for host, want := range map[string]int{
		"evil.example": 403, "127.0.0.1.evil.example": 403, "localhost.evil.example": 403,
		"localhost": 200, "127.0.0.1:80": 200, "[::1]:80": 200, "iam.localhost:80": 200,
	} {
		status, _ := request(t, c, http.MethodGet, "/_bookctl/health", "", func(r *http.Request) { r.Host = host })
		if status != want {
			t.Errorf("as %s the answer is %d, want %d", host, status, want)
		}
	}
}

func TestTheJournalHasEveryCall(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var calls []string
	c := openCloud(t, localcloud.Config{Journal: func(call localcloud.Call) {
		mu.Lock()
		defer mu.Unlock()
		calls = append(calls, fmt.Sprintf("%s writes=%t code=%s", call.Action, call.Writes, call.Code))
	}})
	if err := createRole(t, once(c), "a"); err != nil {
		t.Fatal(err)
	}
	if got := code(createRole(t, once(c), "a")); got != "EntityAlreadyExists" {
		t.Errorf("the second role of a name: %q", got)
	}
	if _, err := sts.NewFromConfig(once(c)).GetCallerIdentity(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	want := "iam:CreateRole writes=true code=\niam:CreateRole writes=true code=EntityAlreadyExists\nsts:GetCallerIdentity writes=false code="
	if got := strings.Join(calls, "\n"); got != want {
		t.Errorf("the journal is\n%s\nwant\n%s", got, want)
	}
}

func TestAClientCanBeCutOffBeforeAndAfterTheWork(t *testing.T) {
	t.Parallel()
	cut := func(on string) func(localcloud.Call) error {
		return func(call localcloud.Call) error {
			if call.Writes && on == call.Action {
				return errors.New("cut")
			}
			return nil
		}
	}
	for _, tc := range []struct {
		name string
		cfg  localcloud.Config
		left string
	}{
		{"before", localcloud.Config{Before: cut("iam:CreateRole")}, "NoSuchEntityException"},
		{"after", localcloud.Config{After: cut("iam:CreateRole")}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := openCloud(t, tc.cfg)
			if got := code(createRole(t, once(c), "a")); got != "lost" {
				t.Errorf("the client got %q", got)
			}
			_, err := iam.NewFromConfig(once(c)).GetRole(t.Context(), &iam.GetRoleInput{RoleName: aws.String("a")})
			if got := code(err); got != tc.left && got+"Exception" != tc.left {
				t.Errorf("the role: %q, want %q", got, tc.left)
			}
		})
	}
}

func TestFaultsHitAsTheyAreSet(t *testing.T) {
	t.Parallel()
	c := openCloud(t, localcloud.Config{})
	cfg := once(c)
	secrets := func() error {
		_, err := secretsmanager.NewFromConfig(cfg).ListSecrets(t.Context(), nil)
		return err
	}
	roles := func() error {
		_, err := iam.NewFromConfig(cfg).ListRoles(t.Context(), nil)
		return err
	}
	for _, tc := range []struct {
		name, faults   string
		secrets, roles string // the codes
	}{
		{"none", `{}`, "", ""},
		{"throttled", `{"throttle":1}`, "ThrottlingException", "Throttling"},
		{"throttled on one action", `{"throttle":1,"only":["iam:ListRoles"]}`, "", "Throttling"},
		{"broken", `{"serverErrors":1}`, "InternalFailure", "InternalFailure"},
		{"lost", `{"lostResponses":1}`, "lost", "lost"},
		{"denied", `{"deny":["secretsmanager:ListSecrets"]}`, "AccessDeniedException", ""},
		{"expired", `{"expireAfter":1}`, "", "ExpiredToken"},
	} {
		status, body := request(t, c, http.MethodPut, "/_bookctl/faults", tc.faults, func(*http.Request) {})
		if status != http.StatusOK {
			t.Fatalf("set %s: %d %s", tc.faults, status, body)
		}
		if got := code(secrets()); got != tc.secrets {
			t.Errorf("%s: secrets are answered with %q, want %q", tc.name, got, tc.secrets)
		}
		if got := code(roles()); got != tc.roles {
			t.Errorf("%s: roles are answered with %q, want %q", tc.name, got, tc.roles)
		}
	}
	for _, wrong := range []string{`{"throtle":1}`, `{"throttle":2}`, `{"hiddenReads":-1}`, `{}{}`, `[]`} {
		if status, _ := request(t, c, http.MethodPut, "/_bookctl/faults", wrong, func(*http.Request) {}); status != http.StatusBadRequest {
			t.Errorf("faults %s were taken: %d", wrong, status)
		}
	}
}

func TestASeedDecidesWhichCallsAreHit(t *testing.T) {
	t.Parallel()
	c := openCloud(t, localcloud.Config{})
	run := func(seed uint64) string {
		c.SetFaults(localcloud.Faults{Seed: seed, Throttle: 0.2})
		var pattern strings.Builder
		for range 200 {
			_, err := sts.NewFromConfig(once(c)).GetCallerIdentity(t.Context(), nil)
			pattern.WriteString(map[bool]string{true: "x", false: "."}[err != nil])
		}
		return pattern.String()
	}
	first := run(1)
	if again := run(1); again != first {
		t.Errorf("seed 1 gave\n%s and then\n%s", first, again)
	}
	if other := run(2); other == first {
		t.Error("seed 2 hits the same calls as seed 1")
	}
	if n := strings.Count(first, "x"); n < 20 || n > 60 { // 7 standard deviations wide
		t.Errorf("%d of 200 calls were hit, of a share of 0.2", n)
	}
}

func TestTheSDKGetsThroughThrottlingAndLostResponses(t *testing.T) {
	t.Parallel()
	c := openCloud(t, localcloud.Config{Faults: localcloud.Faults{Seed: 7, Throttle: 0.3, ServerErrors: 0.1, LostResponses: 0.1}})
	cfg := clientConfig(c)
	cfg.Retryer = func() aws.Retryer {
		return retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxAttempts, o.MaxBackoff = 10, time.Millisecond
			o.RateLimiter = noLimit{}
		})
	}
	for range 30 {
		if _, err := sts.NewFromConfig(cfg).GetCallerIdentity(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
}

// noLimit lets the SDK retry as often as it wants.
type noLimit struct{}

func (noLimit) GetToken(ctx context.Context, cost uint) (func() error, error) {
	return func() error { return nil }, nil
}
func (noLimit) AddTokens(uint) error { return nil }

func TestANewRoleStaysHiddenForAWhile(t *testing.T) {
	t.Parallel()
	c := openCloud(t, localcloud.Config{Faults: localcloud.Faults{HiddenReads: 2}})
	if err := createRole(t, once(c), "a"); err != nil {
		t.Fatal(err)
	}
	var seen []string
	for range 4 {
		_, err := iam.NewFromConfig(once(c)).GetRole(t.Context(), &iam.GetRoleInput{RoleName: aws.String("a")})
		seen = append(seen, map[bool]string{true: "hidden", false: "there"}[err != nil])
	}
	if got := strings.Join(seen, " "); got != "hidden hidden there there" {
		t.Errorf("four reads: %s", got)
	}
}

// TestTheAWSCommandLineWorks runs Amazon's own client against the cloud.
func TestTheAWSCommandLineWorks(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("slow")
	}
	program, err := exec.LookPath("aws")
	if err != nil {
		t.Skip("the AWS command line is not installed")
	}
	c := openCloud(t, localcloud.Config{})
	run := func(args ...string) string {
		cmd := exec.CommandContext(t.Context(), program, append([]string{"--endpoint-url", c.Endpoint(), "--output", "text"}, args...)...)
		cmd.Env = append(cmd.Environ(), "AWS_ACCESS_KEY_ID=key", "AWS_SECRET_ACCESS_KEY=secret", "AWS_DEFAULT_REGION=us-east-1", "AWS_REGION=us-east-1", "AWS_EC2_METADATA_DISABLED=true")
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		_ = cmd.Run() // its message is in the output
		return strings.Join(strings.Fields(out.String()), " ")
	}
	if err := createRole(t, once(c), "cli"); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ want, args string }{ // one per protocol
		{"ecs-tasks.amazonaws.com", "iam get-role --role-name cli --query Role.AssumeRolePolicyDocument.Statement[0].Principal.Service"},
		{"An error occurred (NoSuchEntity) when calling the GetRole operation: The role with name none cannot be found.", "iam get-role --role-name none"},
		{"0", "logs describe-log-groups --query length(logGroups)"},
		{"172.31.0.0/16", "ec2 describe-vpcs --query Vpcs[].CidrBlock"},
	} {
		t.Run(tc.args, func(t *testing.T) {
			t.Parallel()
			if got := run(strings.Fields(tc.args)...); !strings.HasSuffix(got, tc.want) {
				t.Errorf("aws %s says %s; want %s", tc.args, got, tc.want)
			}
		})
	}
}
