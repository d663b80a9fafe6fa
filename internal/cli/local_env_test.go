package cli_test

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
)

// TestAScriptIsPointedAtTheLocalCloud evaluates what 'local env' prints, as a
// script does, in an environment that points elsewhere.
func TestAScriptIsPointedAtTheLocalCloud(t *testing.T) {
	t.Parallel()
	s := newShell(t, "AWS_PROFILE=elsewhere", "AWS_SESSION_TOKEN=of other keys", "AWS_ENDPOINT_URL_ECS=http://192.0.2.1", "AWS_REGION=eu-west-3")
	if r := s.run("local", "env"); r.code != 3 || r.out != "" || !strings.Contains(r.err, "not running") || !strings.Contains(r.err, "\nnext: ") {
		t.Errorf("without a local cloud: exit code %d, %q, %s", r.code, r.out, r.err)
	}
	if r := s.run("local", "env", "--shell", "tcsh"); r.code != 64 || r.out != "" || !strings.Contains(r.err, "fish, powershell, sh") {
		t.Errorf("for another shell: exit code %d, %q, %s", r.code, r.out, r.err)
	}
	s.must("local", "start")
	script := exec.Command("sh", "-euc", `eval "$("$0" local env)"; env`, program)
	script.Env = s.env
	out, err := script.CombinedOutput()
	if err != nil {
		t.Fatalf("sh: %v\n%s", err, out)
	}
	got := map[string]string{}
	for line := range strings.Lines(string(out)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		got[name] = value
	}
	for name, want := range map[string]string{
		"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
	for _, name := range []string{"AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL_ECS"} {
		if value, ok := got[name]; ok {
			t.Errorf("%s is left: %s", name, value)
		}
	}
	var answer struct {
		Variables map[string]string
		Unset     []string
	}
	if err := json.Unmarshal([]byte(s.must("local", "env", "--output", "json")), &answer); err != nil {
		t.Fatal(err)
	}
	if got["AWS_ENDPOINT_URL"] != answer.Variables["AWS_ENDPOINT_URL"] || !strings.HasPrefix(got["AWS_ENDPOINT_URL"], "http://127.0.0.1:") {
		t.Errorf("AWS_ENDPOINT_URL is %q in the shell and %q in JSON", got["AWS_ENDPOINT_URL"], answer.Variables["AWS_ENDPOINT_URL"])
	}
	if !strings.Contains(strings.Join(answer.Unset, " "), "AWS_ENDPOINT_URL_ECS") {
		t.Errorf("JSON says to unset %v", answer.Unset)
	}
	for shell, want := range map[string]string{"fish": "set -gx AWS_REGION 'us-east-1'\n", "powershell": "$Env:AWS_REGION = 'us-east-1'\n"} {
		if text := s.must("local", "env", "--shell", shell); !strings.Contains(text, want) {
			t.Errorf("%s gets:\n%s", shell, text)
		}
	}
	// 'local aws' is pointed there too, whatever the environment says.
	if _, err := exec.LookPath("aws"); err == nil {
		if text := s.must("local", "aws", "rds", "describe-db-instances"); !strings.Contains(text, `"DBInstances": []`) {
			t.Errorf("local aws rds: %s", text)
		}
		if text := s.must("local", "aws", "ecs", "list-clusters"); !strings.Contains(text, `"clusterArns": []`) {
			t.Errorf("local aws ecs: %s", text)
		}
	}
}
