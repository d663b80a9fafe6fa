package cli_test

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// workflow is what the test reads of docs/examples/deploy.yml.
type workflow struct {
	Env  map[string]string
	Jobs map[string]struct {
		Steps []struct {
			Name, Uses, Run string
			Env             map[string]string
		}
	}
}

// releases are the settings of .goreleaser.yaml by which an archive gets its name and address.
type releases struct {
	Project  string `yaml:"project_name"`
	Archives []struct {
		Name string `yaml:"name_template"`
	}
	Checksum struct {
		Name string `yaml:"name_template"`
	}
	Release struct {
		GitHub struct{ Owner, Name string }
	}
}

func readYAML(t *testing.T, path string, into any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// asset is the address of the archive for Linux on amd64 of a release, without the file, and
// the names of the archive and of the checksums.
func (r releases) asset(version string) (address, archive, checksums string) {
	archive = strings.NewReplacer("{{ .ProjectName }}", r.Project, "{{ .Version }}", version, "{{ .Os }}", "linux", "{{ .Arch }}", "amd64").Replace(r.Archives[0].Name) + ".tar.gz"
	return "https://github.com/" + r.Release.GitHub.Owner + "/" + r.Release.GitHub.Name + "/releases/download/v" + version + "/", archive, r.Checksum.Name
}

// TestTheExampleWorkflowDeploysAnApp runs the commands of docs/examples/deploy.yml in an app's
// own directory, which is no clone of bookctl: it installs a release under the names that
// .goreleaser.yaml gives, from a curl that finds it on this machine, and deploys the app to the
// local cloud. A release that is not the one of the checksums is not installed.
func TestTheExampleWorkflowDeploysAnApp(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	var w workflow
	readYAML(t, "../../docs/examples/deploy.yml", &w)
	var made releases
	readYAML(t, "../../.goreleaser.yaml", &made)
	address, archive, checksums := made.asset(w.Env["RELEASE"])

	page, err := os.ReadFile("../../docs/ci.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), `RELEASE: "`+w.Env["RELEASE"]+`"`) {
		t.Error("docs/ci.md installs another release in GitLab CI")
	}

	s := newShell(t, "BOOKCTL_LOCAL=true")
	app := shop(t, "hello")
	appFile(t, app, "stack: shop\nsource: .\npackage: ./cmd/server\n")
	work := t.TempDir()
	released, bin, temp := filepath.Join(work, "released"), filepath.Join(work, "stub"), filepath.Join(work, "temp")
	for _, dir := range []string{released, bin, temp} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	sh := func(script string) {
		t.Helper()
		if out, err := exec.Command("bash", "-ec", script).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", script, err, out)
		}
	}
	sh("cd '" + released + "'; tar -czf " + archive + " -C '" + filepath.Dir(program) + "' bookctl; sha256sum " + archive + " > " + checksums + "; echo '" + strings.Repeat("0", 64) + "  another_archive.tar.gz' >> " + checksums)
	// curl -fsSLO ADDRESS/FILE
	stub := "#!/bin/sh\ncase $2 in '" + address + "'*) cp '" + released + "'/\"${2##*/}\" . ;; *) echo \"404: $2\" >&2; exit 22 ;; esac\n"
	if err := os.WriteFile(filepath.Join(bin, "curl"), []byte(stub), 0o755); err != nil {
		t.Fatal(err)
	}

	vars := strings.NewReplacer("${{ vars.AWS_ACCOUNT }}", "000000000000", "${{ vars.AWS_REGION }}", "us-east-1")
	path, summary := filepath.Join(work, "path"), filepath.Join(work, "summary")
	env := map[string]string{"RUNNER_TEMP": temp, "GITHUB_PATH": path, "GITHUB_STEP_SUMMARY": summary}
	maps.Copy(env, w.Env)
	run := func(script string, of map[string]string) (string, error) {
		cmd := exec.Command("bash", "-e", "-c", script) // as GitHub runs it
		cmd.Dir = app
		search := bin
		if added, err := os.ReadFile(path); err == nil {
			search = strings.TrimSpace(string(added)) + ":" + search
		}
		cmd.Env = append(s.env[:len(s.env):len(s.env)], "PATH="+search+":"+os.Getenv("PATH"))
		for _, variables := range []map[string]string{env, of} {
			for name, value := range variables {
				cmd.Env = append(cmd.Env, name+"="+vars.Replace(value))
			}
		}
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	var ran []string
	for _, step := range w.Jobs["deploy"].Steps {
		if step.Run == "" {
			continue
		}
		ran = append(ran, step.Name)
		if out, err := run(step.Run, step.Env); err != nil {
			t.Fatalf("step %q: %v\n%s", step.Name, err, out)
		}
	}
	if strings.Join(ran, ", ") != "Install bookctl, Deploy" {
		t.Fatalf("the steps with commands are %v", ran)
	}
	said, err := os.ReadFile(summary)
	if err != nil {
		t.Fatal(err)
	}
	at, ok := strings.CutPrefix(strings.TrimSpace(string(said)), "Deployed: ")
	if !ok {
		t.Fatalf("the summary is %q", said)
	}
	if code, body := call(t, "GET", at, ""); code != 200 || body != "hello" {
		t.Errorf("the app answers %d %q", code, body)
	}

	sh("echo more >> '" + filepath.Join(released, archive) + "'; rm -r '" + filepath.Join(temp, "bin") + "'")
	if out, err := run(w.Jobs["deploy"].Steps[2].Run, nil); err == nil || !strings.Contains(out, archive+": FAILED") {
		t.Errorf("a release that does not have its checksum: %v\n%s", err, out)
	}
	if _, err := os.Stat(filepath.Join(temp, "bin", "bookctl")); err == nil {
		t.Error("a release that does not have its checksum is installed")
	}
}
