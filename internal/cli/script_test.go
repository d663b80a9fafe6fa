package cli_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/bookctl/bookctl/internal/moto"
)

// TestScripts runs testdata/script: what a command prints, and its exit code.
// UPDATE_SCRIPTS=1 writes the golden files anew, for a person to look at.
//
// The scripts whose name begins with "moto" have an emulated AWS, on which
// 'calls READS WRITES' says how many calls may have been made since the last.
func TestScripts(t *testing.T) {
	t.Parallel()
	scripts(t, "testdata/script/[^m]*.txtar", nil)
}

func TestScriptsAgainstMoto(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("slow")
	}
	image := readyImage(t)
	scripts(t, "testdata/script/moto*.txtar", func(e *testscript.Env) {
		// An account each: they run side by side, on stacks of one name.
		wire := watchWire(t, moto.Start(t))
		e.Setenv("AWS_ENDPOINT_URL", wire.url)
		e.Setenv("IMAGE", image)
		e.Values[wireKey{}] = wire
	})
}

// wireKey is where a script's environment holds what watches its AWS.
type wireKey struct{}

func scripts(t *testing.T, pattern string, prepare func(*testscript.Env)) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts %s: %v", pattern, err)
	}
	testscript.Run(t, testscript.Params{
		Files:         files,
		UpdateScripts: os.Getenv("UPDATE_SCRIPTS") != "",
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", filepath.Dir(program)+string(filepath.ListSeparator)+os.Getenv("PATH"))
			e.Setenv("HOME", e.WorkDir)
			e.Setenv("AWS_ACCESS_KEY_ID", "script")
			e.Setenv("AWS_SECRET_ACCESS_KEY", "script")
			e.Setenv("AWS_REGION", "us-east-1")
			e.Setenv("AWS_DEFAULT_REGION", "us-east-1") // which version 1 of the AWS CLI reads
			e.Setenv("AWS_PAGER", "")
			e.Setenv("AWS_EC2_METADATA_DISABLED", "true")
			if prepare != nil {
				prepare(e)
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			// exits CODE program args: run it, and hold its exit code against CODE.
			"exits": func(ts *testscript.TestScript, _ bool, args []string) {
				want, err := strconv.Atoi(args[0])
				ts.Check(err)
				err = ts.Exec(args[1], args[2:]...)
				var exit *exec.ExitError
				code := 0
				if errors.As(err, &exit) {
					code = exit.ExitCode()
				} else {
					ts.Check(err)
				}
				if code != want {
					ts.Fatalf("exit code %d, want %d", code, want)
				}
			},
			"calls": func(ts *testscript.TestScript, _ bool, args []string) {
				reads, writes := ts.Value(wireKey{}).(*onWire).take()
				for i, made := range [][]string{reads, writes} {
					most, err := strconv.Atoi(args[i])
					ts.Check(err)
					if len(made) > most {
						ts.Fatalf("%d calls, and at most %d are allowed: %s", len(made), most, strings.Join(made, " "))
					}
					ts.Logf("%d calls of at most %d", len(made), most)
				}
			},
			// schema FILE: each of its lines is as docs/output.schema.json says.
			"schema": func(ts *testscript.TestScript, _ bool, args []string) {
				if err := fitsSchema(ts.ReadFile(args[0])); err != nil {
					ts.Fatalf("%v", err)
				}
			},
			// plain FILE: it has no control code.
			"plain": func(ts *testscript.TestScript, _ bool, args []string) {
				if strings.ContainsFunc(ts.ReadFile(args[0]), func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' }) {
					ts.Fatalf("%s has control codes", args[0])
				}
			},
		},
	})
}

// TestNothingCallsMethodsByName holds that the linker can leave out what is not
// used. A package that finds methods by name at run time, as text/template does,
// makes it keep every operation of every AWS client.
func TestNothingCallsMethodsByName(t *testing.T) {
	t.Parallel()
	binary, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	// An operation of EC2 that bookctl has no use for.
	for _, name := range []string{"text/template.(*Template).Execute", "ec2.(*Client).CreateVpnGateway"} {
		if bytes.Contains(binary, []byte(name)) {
			t.Errorf("%s is linked into bookctl, which has %d MB", name, len(binary)>>20)
		}
	}
}
