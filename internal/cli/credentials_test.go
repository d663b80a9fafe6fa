package cli_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// account is a user's AWS configuration, with an AWS of its own that signs in.
type account struct {
	*shell
	aws string // the address that answers as STS and IMDS do
}

// newAccount makes one. Answers are by path or, of STS, by action; what has none is
// 404.
func newAccount(t *testing.T, files map[string]string, answers map[string]func(http.ResponseWriter)) *account {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		name := r.URL.Path
		if action := r.Form.Get("Action"); action != "" {
			name = action
		}
		if answer, ok := answers[name]; ok {
			answer(w)
			return
		}
		http.NotFound(w, r)
	}))
	t.Cleanup(server.Close)
	dir := t.TempDir()
	a := &account{&shell{t: t, dir: dir, program: program, env: []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "AWS_REGION=eu-central-1", "AWS_ENDPOINT_URL=" + server.URL, "AWS_EC2_METADATA_DISABLED=true",
	}}, server.URL}
	for name, text := range files {
		path := filepath.Join(dir, ".aws", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, "AWS", server.URL)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return a
}

// identity is the answer to GetCallerIdentity.
func identity(w http.ResponseWriter) {
	fmt.Fprint(w, `<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult><Arn>arn:aws:iam::111122223333:user/ann</Arn><UserId>A</UserId><Account>111122223333</Account></GetCallerIdentityResult><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></GetCallerIdentityResponse>`)
}

const keys = "[source]\naws_access_key_id = AKIAEXAMPLE\naws_secret_access_key = wJalrXUtnFEMI\n"

// TestWhyThereAreNoCredentials fails to sign in, in each of the ways that need no
// answer of STS, and holds what is said of it. The STS client that the SDK assumes
// roles with takes no endpoint from the environment, so that TestWhatSTSRefuses is
// for the rest.
func TestWhyThereAreNoCredentials(t *testing.T) {
	t.Parallel()
	expired := time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
	role := "[profile p]\nrole_arn = arn:aws:iam::111122223333:role/deploy\nsource_profile = source\n"
	for name, c := range map[string]struct {
		files   map[string]string
		answers map[string]func(http.ResponseWriter)
		env     []string
		want    string // the error
		next    string // where it begins
		not     string
	}{
		"none": {
			want: "bookctl: There are no AWS credentials: neither the environment, nor the profile, nor this machine gives any.", next: "sign in with 'aws login', 'aws sso login' or 'aws configure'",
		},
		"device without a terminal": {
			files: map[string]string{"config": role + "mfa_serial = arn:aws:iam::111122223333:mfa/ann\n", "credentials": keys}, env: []string{"AWS_PROFILE=p"},
			want: "bookctl: The AWS profile asks for the code of an MFA device (mfa_serial), and there is no terminal to ask on.",
			next: "in CI use a role that needs no device",
		},
		"program that fails": {
			files: map[string]string{"config": "[profile p]\ncredential_process = sh -c 'exit 3'\n"}, env: []string{"AWS_PROFILE=p"},
			want: "bookctl: The program that credential_process names gives no credentials: exit status 3.", next: "run it by hand",
		},
		"program that prints something else": {
			files: map[string]string{"config": "[profile p]\ncredential_process = echo SecretAccessKey wJalrXUtnFEMI\n"}, env: []string{"AWS_PROFILE=p"},
			want: "bookctl: The program that credential_process names gives no credentials: it prints something else than JSON.", next: "run it by hand", not: "wJalrXUtnFEMI",
		},
		"old SSO session": {
			files: map[string]string{"config": "[profile p]\nsso_start_url = https://example.awsapps.com/start\nsso_region = eu-central-1\nsso_account_id = 111122223333\nsso_role_name = deploy\n"},
			env:   []string{"AWS_PROFILE=p"},
			want:  "bookctl: The AWS SSO session has expired, or was never begun.", next: "'aws sso login --profile p'",
		},
		"SSO session": {
			files: map[string]string{
				"config": "[profile p]\nsso_session = s\nsso_account_id = 111122223333\nsso_role_name = deploy\n[sso-session s]\nsso_start_url = https://example.awsapps.com/start\nsso_region = eu-central-1\n",
				// The name is the SHA-1 of the session's.
				"sso/cache/a0f1490a20d0211c997b44bc357e1972deab8ae3.json": `{"accessToken":"secret-token","expiresAt":"` + expired + `"}`,
			},
			env:  []string{"AWS_PROFILE=p"},
			want: "bookctl: The AWS SSO session has expired, or was never begun.", next: "'aws sso login --profile p'", not: "secret-token",
		},
		"login session": {
			files: map[string]string{"config": "[profile p]\nlogin_session = arn:aws:iam::111122223333:user/ann\n"}, env: []string{"AWS_PROFILE=p"},
			want: "bookctl: The session of 'aws login' has expired, or was never begun.", next: "'aws login --profile p'",
		},
		"no web identity": {
			env:  []string{"AWS_ROLE_ARN=arn:aws:iam::111122223333:role/deploy", "AWS_WEB_IDENTITY_TOKEN_FILE=/nowhere/token"},
			want: "bookctl: The web identity token can't be read: unable to read file at /nowhere/token: open /nowhere/token: no such file or directory.", next: "AWS_WEB_IDENTITY_TOKEN_FILE",
		},
		"no bundle": {
			env:  []string{"AWS_CA_BUNDLE=/nowhere/ca.pem", "AWS_ACCESS_KEY_ID=a", "AWS_SECRET_ACCESS_KEY=b"},
			want: "bookctl: AWS_CA_BUNDLE names /nowhere/ca.pem, which holds no certificates that can be read: ", next: "name a file of certificates in PEM",
		},
		"empty bundle": {
			files: map[string]string{"ca.pem": "nothing"},
			env:   []string{"AWS_CA_BUNDLE=HOME/.aws/ca.pem", "AWS_ACCESS_KEY_ID=a", "AWS_SECRET_ACCESS_KEY=b"},
			want:  "bookctl: AWS_CA_BUNDLE names HOME/.aws/ca.pem, which holds no certificates that can be read: ", next: "name a file of certificates in PEM",
		},
		"metadata without a role": {
			env: []string{"AWS_EC2_METADATA_DISABLED=false", "AWS_EC2_METADATA_SERVICE_ENDPOINT=AWS"},
			answers: map[string]func(http.ResponseWriter){"/latest/api/token": func(w http.ResponseWriter) {
				w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "21600")
				fmt.Fprint(w, "token")
			}},
			want: "bookctl: There are no AWS credentials: neither the environment nor the profile gives any, and this EC2 instance has no role.", next: "give the instance a role",
		},
		"no metadata": {
			env:  []string{"AWS_EC2_METADATA_DISABLED=false", "AWS_EC2_METADATA_SERVICE_ENDPOINT=http://127.0.0.1:1"},
			want: "bookctl: There are no AWS credentials: neither the environment nor the profile gives any, and this machine has no metadata service (IMDS) that would.", next: "sign in with",
		},
		"container": {
			env:  []string{"AWS_CONTAINER_CREDENTIALS_FULL_URI=AWS/creds"},
			want: "bookctl: The credentials endpoint of this container (AWS_CONTAINER_CREDENTIALS_FULL_URI or …_RELATIVE_URI) gives none: ", next: "check the task's role",
		},
		"profile that is not there": {
			env:  []string{"AWS_PROFILE=my name"},
			want: `bookctl: There is no AWS profile "my name", which AWS_PROFILE names, in the AWS configuration of this user.`, next: "set AWS_PROFILE to one",
		},
		"wrong number": {
			env:  []string{"AWS_MAX_ATTEMPTS=many", "AWS_ACCESS_KEY_ID=a", "AWS_SECRET_ACCESS_KEY=b"},
			want: "bookctl: read the AWS configuration: invalid value AWS_MAX_ATTEMPTS=many", next: "fix what it names",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAccount(t, c.files, c.answers)
			for _, e := range c.env {
				a.env = append(a.env, strings.NewReplacer("HOME", a.dir, "=AWS", "="+a.aws).Replace(e))
			}
			r := a.run("status")
			want := strings.ReplaceAll(c.want, "HOME", a.dir)
			if r.code != 4 || !strings.HasPrefix(r.err, want) || !strings.Contains(r.err, "\nnext: "+c.next) {
				t.Errorf("exit code %d, want 4 and\n%s\nnext: %s\ngot\n%s", r.code, want, c.next, r.err)
			}
			if c.not != "" && strings.Contains(r.out+r.err, c.not) {
				t.Errorf("a secret is printed: %s", r.err)
			}
		})
	}
}

// TestTheCodeOfAnMFADeviceIsAskedForOnATerminal types something that is no code, so
// that it ends before STS is asked.
func TestTheCodeOfAnMFADeviceIsAskedForOnATerminal(t *testing.T) {
	t.Parallel()
	const device = "arn:aws:iam::111122223333:mfa/ann"
	a := newAccount(t, map[string]string{
		"config":      "[profile p]\nrole_arn = arn:aws:iam::111122223333:role/deploy\nsource_profile = source\nmfa_serial = " + device + "\n",
		"credentials": keys,
	}, nil)
	a.env = append(a.env, "AWS_PROFILE=p", "TERM=xterm")
	for command, asks := range map[string]string{"status": "Code of the MFA device " + device + ":", "destroy": "Code of the MFA device " + device + ": the run waits until it is typed, with Enter"} {
		m := openTerminal(t, a.command(command), 160, 24)
		until(t, "the code is asked for:\n"+m.screen(), func() bool { return strings.Contains(m.screen(), asks) })
		m.press("12345\n")
		if code := m.wait(); code != 4 || !strings.Contains(m.text(), "not the code of an MFA device: it has six digits") || !strings.Contains(m.text(), "next: ") {
			t.Errorf("%s: exit code %d, want 4, and what is wrong with the code:\n%s", command, code, m.text())
		}
	}
}

// TestAProfileWithASpaceIsFound writes profiles as 'aws configure' does: their names
// are in quotes in the configuration, and without in the credentials.
func TestAProfileWithASpaceIsFound(t *testing.T) {
	t.Parallel()
	own := strings.Replace(keys, "source", "my name", 1)
	for name, files := range map[string]map[string]string{
		"in the configuration alone": {"config": strings.Replace(keys, "source", "profile 'my name'", 1)},
		"double quotes":              {"config": strings.Replace(keys, "source", `profile "my name"`, 1)},
		"in both":                    {"config": "[profile 'my name']\nregion = eu-west-3\n", "credentials": own},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := newAccount(t, files, map[string]func(http.ResponseWriter){"GetCallerIdentity": identity})
			a.env = append(a.env, "AWS_PROFILE=my name")
			region := "the environment's region"
			if name == "in both" {
				region = "eu-west-3"
				a.env = append(a.env, "AWS_REGION=")
			}
			// Another account is asked for, so that it ends when it knows this one.
			if r := a.run("status", "--account", "999999999999"); r.code != 64 || !strings.Contains(r.err, "the credentials are for account 111122223333") {
				t.Errorf("exit code %d in %s:\n%s", r.code, region, r.err)
			}
		})
	}
}

// TestTheDevelopersAWSConfigurationIsNothingToTheLocalCloud runs with all that can
// be wrong in it.
func TestTheDevelopersAWSConfigurationIsNothingToTheLocalCloud(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	s.must("local", "start")
	dir := filepath.Join(s.dir, ".aws")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config"), []byte("[profile x\nregion\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	usual := s.env
	for _, variable := range []string{
		"AWS_PROFILE=nobody", "AWS_RETRY_MODE=legacy", "AWS_MAX_ATTEMPTS=many", "AWS_CA_BUNDLE=/nowhere/ca.pem", "AWS_ENDPOINT_URL=http://127.0.0.1:1",
		"AWS_ENDPOINT_URL_ECS=http://127.0.0.1:1", "AWS_USE_FIPS_ENDPOINT=true", "AWS_USE_FIPS_ENDPOINT=perhaps", "AWS_USE_DUALSTACK_ENDPOINT=true",
		"AWS_REGION=mars", "AWS_ROLE_ARN=x", "AWS_DEFAULTS_MODE=odd", "AWS_S3_US_EAST_1_REGIONAL_ENDPOINT=x", "AWS_CONFIG_FILE=/nowhere", "AWS_SDK_UA_APP_ID=" + strings.Repeat("x", 100),
	} {
		s.env = append(usual[:len(usual):len(usual)], variable)
		for _, args := range [][]string{{"status", "--local"}, {"list", "--local"}, {"plan", "--local", "--image", noImage}} {
			if r := s.run(args...); r.code != 0 && r.code != 2 && r.code != 3 {
				t.Errorf("%s bookctl %s: exit code %d\n%s", variable, strings.Join(args, " "), r.code, r.err)
			}
		}
	}
	s.env = usual
}
