package localcloud_test

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/acm"
	acmtypes "github.com/aws/aws-sdk-go-v2/service/acm/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/route53/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/bookctl/bookctl/internal/localcloud"
)

// TestASessionsCredentialsAreGoodForItsTime asks for credentials that end, and calls
// with them.
func TestASessionsCredentialsAreGoodForItsTime(t *testing.T) {
	t.Parallel()
	cfg := once(openCloud(t, localcloud.Config{}))
	client := sts.NewFromConfig(cfg)
	for seconds, good := range map[int32]bool{899: false, 900: true, 129600: true, 129601: false} {
		out, err := client.GetSessionToken(t.Context(), &sts.GetSessionTokenInput{DurationSeconds: aws.Int32(seconds)})
		if (err == nil) != good {
			t.Errorf("%d s: %v", seconds, err)
		}
		if err != nil {
			continue
		}
		c := out.Credentials
		if left := time.Until(*c.Expiration); left < time.Duration(seconds-60)*time.Second || left > time.Duration(seconds)*time.Second || !strings.HasPrefix(*c.AccessKeyId, "ASIA") {
			t.Errorf("%d s: %s ends in %s", seconds, *c.AccessKeyId, left)
		}
		session := cfg.Copy()
		session.Credentials = credentials.NewStaticCredentialsProvider(*c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken)
		if _, err := sts.NewFromConfig(session).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{}); err != nil {
			t.Error(err)
		}
	}
}

// TestACertificateIsReadOnceItIsIssued reads the text of a certificate.
func TestACertificateIsReadOnceItIsIssued(t *testing.T) {
	t.Parallel()
	c := openCloud(t, localcloud.Config{})
	d, certificates := newDNS(t, c), acm.NewFromConfig(once(c))
	asked, err := certificates.RequestCertificate(t.Context(), &acm.RequestCertificateInput{DomainName: aws.String("api.example.com"), ValidationMethod: acmtypes.ValidationMethodDns})
	if err != nil {
		t.Fatal(err)
	}
	read := &acm.GetCertificateInput{CertificateArn: asked.CertificateArn}
	if _, err := certificates.GetCertificate(t.Context(), read); err == nil || !strings.Contains(err.Error(), "RequestInProgressException") {
		t.Errorf("before it is issued: %v", err)
	}
	about, err := certificates.DescribeCertificate(t.Context(), &acm.DescribeCertificateInput{CertificateArn: asked.CertificateArn})
	if err != nil {
		t.Fatal(err)
	}
	record := about.Certificate.DomainValidationOptions[0].ResourceRecord
	if err := d.change(types.ChangeActionCreate, *record.Name, types.RRTypeCname, *record.Value); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		var out *acm.GetCertificateOutput
		if out, err = certificates.GetCertificate(t.Context(), read); err == nil {
			if !strings.HasPrefix(*out.Certificate, "-----BEGIN CERTIFICATE-----") || strings.Count(*out.Certificate, "BEGIN") != 1 {
				t.Errorf("it is %s", *out.Certificate)
			}
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Errorf("it is never issued: %v", err)
}

// TestASessionOfARoleMayDoWhatItsRoleMay assumes roles that trust the user, the account,
// nobody, and one who has to say an external id.
func TestASessionOfARoleMayDoWhatItsRoleMay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := localcloud.Config{StateDir: dir}
	c, err := localcloud.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	cfg := once(c)
	roles, client := iam.NewFromConfig(cfg), sts.NewFromConfig(cfg)
	role := func(name, principal, condition, policy string) *string {
		t.Helper()
		trusts := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":` + principal + `,"Action":"sts:AssumeRole"` + condition + `}]}`
		created, err := roles.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: &trusts})
		if err != nil {
			t.Fatal(err)
		}
		if policy != "" {
			must[*iam.PutRolePolicyOutput](t)(roles.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: &name, PolicyName: aws.String("p"), PolicyDocument: &policy}))
		}
		return created.Role.Arn
	}
	const reads = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["ec2:DescribeVpcs","ssm:PutParameter","sts:AssumeRole"],"Resource":["*"]},
		{"Effect":"Deny","Action":"ssm:PutParameter","Resource":"arn:aws:ssm:us-east-1:000000000000:parameter/others/*"}]}`
	user := role("user", `{"AWS":"arn:aws:iam::000000000000:user/local"}`, "", reads)
	account := role("account", `{"AWS":"000000000000"}`, "", "")
	tasks := role("tasks", `{"Service":"ecs-tasks.amazonaws.com"}`, "", reads)
	outside := role("outside", `{"AWS":"arn:aws:iam::000000000000:root"}`, `,"Condition":{"StringEquals":{"sts:ExternalId":"x"}}`, reads)
	assume := func(client *sts.Client, role *string, more func(*sts.AssumeRoleInput)) (aws.Config, error) {
		in := &sts.AssumeRoleInput{RoleArn: role, RoleSessionName: aws.String("me")}
		if more != nil {
			more(in)
		}
		session := cfg.Copy()
		out, err := client.AssumeRole(t.Context(), in)
		if err == nil {
			given := out.Credentials
			session.Credentials = credentials.NewStaticCredentialsProvider(*given.AccessKeyId, *given.SecretAccessKey, *given.SessionToken)
		}
		return session, err
	}
	for name, c := range map[string]struct {
		role *string
		more func(*sts.AssumeRoleInput)
		code string
	}{
		"that trusts tasks":        {tasks, nil, "AccessDenied"},
		"that is not there":        {aws.String("arn:aws:iam::000000000000:role/none"), nil, "AccessDenied"},
		"without the external id":  {outside, nil, "AccessDenied"},
		"with the external id":     {outside, func(in *sts.AssumeRoleInput) { in.ExternalId = aws.String("x") }, ""},
		"that trusts the account":  {account, nil, ""},
		"for two hours":            {user, func(in *sts.AssumeRoleInput) { in.DurationSeconds = aws.Int32(7200) }, "ValidationError"},
		"for a minute":             {user, func(in *sts.AssumeRoleInput) { in.DurationSeconds = aws.Int32(60) }, "ValidationError"},
		"under a name with spaces": {user, func(in *sts.AssumeRoleInput) { in.RoleSessionName = aws.String("a b") }, "ValidationError"},
	} {
		if _, err := assume(client, c.role, c.more); code(err) != c.code {
			t.Errorf("a role %s: %v, want %q", name, err, c.code)
		}
	}

	session, err := assume(client, user, nil)
	if err != nil {
		t.Fatal(err)
	}
	who, err := sts.NewFromConfig(session).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	if err != nil || *who.Arn != "arn:aws:sts::000000000000:assumed-role/user/me" || !strings.HasPrefix(*who.UserId, "AROA") || !strings.HasSuffix(*who.UserId, ":me") {
		t.Errorf("the caller is %+v: %v", who, err)
	}
	if _, err := sts.NewFromConfig(session).GetSessionToken(t.Context(), &sts.GetSessionTokenInput{}); code(err) != "AccessDenied" {
		t.Errorf("a session asks for another: %v", err)
	}
	may := func(session aws.Config) (codes []string) {
		put := func(name string) error {
			_, err := ssm.NewFromConfig(session).PutParameter(t.Context(), &ssm.PutParameterInput{Name: &name, Value: aws.String("v"), Type: ssmtypes.ParameterTypeString, Overwrite: aws.Bool(true)})
			return err
		}
		_, read := ec2.NewFromConfig(session).DescribeVpcs(t.Context(), &ec2.DescribeVpcsInput{})
		_, write := ec2.NewFromConfig(session).CreateVpc(t.Context(), &ec2.CreateVpcInput{CidrBlock: aws.String("10.0.0.0/16")})
		return []string{code(read), code(write), code(put("/own/a")), code(put("/others/a"))}
	}
	if got := may(session); !slices.Equal(got, []string{"", "UnauthorizedOperation", "", "AccessDeniedException"}) {
		t.Errorf("a session may %q", got)
	}
	less, err := assume(client, user, func(in *sts.AssumeRoleInput) {
		in.Policy = aws.String(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ec2:*","Resource":"*"}]}`)
	})
	if got := may(less); err != nil || !slices.Equal(got, []string{"", "UnauthorizedOperation", "AccessDeniedException", "AccessDeniedException"}) {
		t.Errorf("a session with a policy of its own may %q, %v", got, err)
	}
	if _, err := assume(sts.NewFromConfig(session), account, nil); err != nil {
		t.Errorf("a session that may assume a role that trusts the account: %v", err)
	}
	if _, err := assume(sts.NewFromConfig(less), account, nil); code(err) != "AccessDenied" {
		t.Errorf("a session that may not: %v", err)
	}
	if _, err := assume(sts.NewFromConfig(session), account, func(in *sts.AssumeRoleInput) { in.DurationSeconds = aws.Int32(3601) }); code(err) != "ValidationError" {
		t.Errorf("a role that a role assumes for more than an hour: %v", err)
	}

	// It outlives a restart, ends, and ends with its role.
	if err := c.Close(context.WithoutCancel(t.Context())); err != nil {
		t.Fatal(err)
	}
	state := filepath.Join(dir, "state.json")
	text, err := os.ReadFile(state)
	if err != nil {
		t.Fatal(err)
	}
	ends := regexp.MustCompile(`("Policy": ?"(?:[^"\\]|\\.)+",\s*"Ends": ?")[^"]+`) // of the session with a policy of its own
	if !ends.Match(text) {
		t.Fatal("the session is not in the state")
	}
	if err := os.WriteFile(state, ends.ReplaceAll(text, []byte("${1}2026-01-01T00:00:00Z")), 0o600); err != nil {
		t.Fatal(err)
	}
	c = openCloud(t, config)
	cfg = once(c)
	session.BaseEndpoint, less.BaseEndpoint = cfg.BaseEndpoint, cfg.BaseEndpoint
	if got := may(session)[0]; got != "" {
		t.Errorf("after a restart: %s", got)
	}
	if got := may(less); !slices.Equal(got, []string{"RequestExpired", "RequestExpired", "ExpiredTokenException", "ExpiredTokenException"}) {
		t.Errorf("a session that is over: %q", got)
	}
	roles = iam.NewFromConfig(cfg)
	must[*iam.DeleteRolePolicyOutput](t)(roles.DeleteRolePolicy(t.Context(), &iam.DeleteRolePolicyInput{RoleName: aws.String("user"), PolicyName: aws.String("p")}))
	must[*iam.DeleteRoleOutput](t)(roles.DeleteRole(t.Context(), &iam.DeleteRoleInput{RoleName: aws.String("user")}))
	role("user", `{"AWS":"arn:aws:iam::000000000000:user/local"}`, "", reads)
	if got := may(session)[0]; got != "UnauthorizedOperation" {
		t.Errorf("a session of a role that was made anew: %q", got)
	}
}
