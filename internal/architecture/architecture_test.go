package architecture_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const (
	module = "github.com/bookctl/bookctl/"
	sdk    = "github.com/aws/aws-sdk-go-v2/"
)

// rule forbids every package below of, and what it imports in turn, to import
// any package below one of the prefixes.
type rule struct {
	of     string
	not    []string
	but    []string // and packages that may be imported all the same
	except []string // packages below of that the rule spares
	why    string
}

var rules = []rule{
	{
		of: module + "internal/provision", not: []string{module + "internal/localcloud"},
		why: "the target is an endpoint: provisioning must not know whether it is the local cloud or AWS",
	},
	{
		of: module + "internal/localcloud", not: []string{module + "internal/provision"},
		why: "an emulator that shares code with what it tests agrees with its mistakes",
	},
	{
		of: module + "internal/provision/graph", not: []string{"github.com/aws/"},
		why: "the engine knows order and waiting, and nothing of AWS",
	},
	{
		of: module + "internal/provision", not: []string{module + "internal/image", "github.com/google/go-containerregistry"},
		why: "what is deployed is an interface to it: a ready image needs no builder",
	},
	{
		of: module + "internal/api", not: []string{"github.com/aws/", "github.com/spf13/cobra", module + "internal/provision", module + "internal/localcloud"},
		why: "the service runs anywhere that has PostgreSQL, and its image stays small",
	},
	{
		of: module + "cmd/bookapi", not: []string{sdk + "service", sdk + "config", "github.com/spf13/cobra", module + "internal/provision", module + "internal/localcloud"},
		but: []string{sdk + "service/secretsmanager"},
		why: "the service runs anywhere that has PostgreSQL, knows of AWS only where a secret may say its address, and its image stays small",
	},
	{
		of: module + "internal/naming", not: []string{"github.com/aws/", module},
		but: []string{module + "internal/pattern"},
		why: "what things are called depends on nothing else, so that everybody may ask it",
	},
	{
		of: module + "internal/partition", not: []string{"github.com/aws/", module},
		but:    []string{module + "internal/pattern"},
		except: []string{module + "internal/partition/partitiontest"},
		why:    "regions and partitions are facts about AWS that need no client",
	},
	{
		of: module + "internal/runlock", not: []string{"github.com/aws/", module + "internal/provision", module + "internal/cli"},
		but:    []string{module + "internal/provision/graph"},
		except: []string{module + "internal/runlock/parameterstore"},
		why:    "the protocol is a matter of a small store, so that a model can be explored; AWS is one of its stores",
	},
	{
		of: module + "internal/iampolicy", not: []string{"github.com/aws/", module + "internal/provision", module + "internal/cli"},
		why: "a policy is made of names and rules: whoever reviews it need not read what it is for",
	},
	{
		of: module + "internal/pricing", not: []string{sdk + "service", module + "internal/provision", module + "internal/cli"},
		but: []string{sdk + "service/pricing"},
		why: "what something costs is a matter of quantities, and of no resource",
	},
	{
		of: module + "internal/pattern", not: []string{"github.com/"},
		why: "a pattern is text: everything may have one",
	},
	{
		of: module + "internal/sorted", not: []string{"github.com/"},
		why: "what is sorted is the caller's: everything may sort",
	},
	{
		of: module + "internal/hint", not: []string{"github.com/", module},
		why: "a message is text and commands: everything may carry one",
	},
	{
		of: module + "internal/appfile", not: []string{"github.com/", module},
		but: []string{module + "internal/hint", module + "internal/pattern"},
		why: "a file is keys and values: which keys there are, the command line says",
	},
	{
		of: module + "internal/diagnosis", not: []string{"github.com/aws/", module},
		but: []string{module + "internal/hint", module + "internal/pattern"},
		why: "an explanation is a function of evidence: a test of it needs no cloud",
	},
	{
		of: module + "internal/dbproxy", not: []string{"github.com/aws/", module + "internal/provision", module + "internal/cli"},
		why: "a database that is reached is PostgreSQL, whoever runs it",
	},
	{
		of: module + "internal/ui", not: []string{sdk + "service", module},
		but: []string{module + "internal/ui", module + "internal/diagnosis", module + "internal/hint", module + "internal/pattern", module + "internal/picture", module + "internal/pricing", module + "internal/provision/graph", module + "internal/sorted", sdk + "service/pricing"},
		why: "a page is a function of what was seen: a test of it needs no cloud, and it can change none",
	},
	{
		of: module + "internal/preflight", not: []string{module + "internal/cli"},
		why: "what is checked is no matter of how it is shown",
	},
	{
		of: module + "internal/provision", not: []string{module + "internal/preflight", module + "internal/cli"},
		why: "a check comes before a run and looks at it from outside",
	},
	{
		of: module + "internal/requestbody", not: []string{sdk + "service", module}, but: []string{module + "internal/requestbody"},
		why: "how a request is sent is the same for the product, the tests of the local cloud and bookapi",
	},
	{
		of: module + "internal/inventory", not: []string{"github.com/aws/", module + "internal/cli"},
		why: "how a kind of thing is listed and deleted is registered by what makes it",
	},
	{
		of: module + "internal", not: []string{"github.com/spf13/cobra", "charm.land/bubbletea"},
		except: []string{module + "internal/cli"},
		why:    "only the command line knows of terminals and flags",
	},
	{
		of: module + "internal/localcloud/kernel",
		not: []string{
			module + "internal/localcloud/service", module + "internal/localcloud/network", module + "internal/localcloud/postgres", module + "internal/localcloud/task", module + "internal/localcloud/container",
			module + "internal/localcloud/balancer", module + "internal/localcloud/registry", module + "internal/localcloud/authority",
		},
		why: "services stand on the kernel, and it knows neither them nor what runs behind them",
	},
	{
		of: module + "internal/localcloud/postgres", not: []string{module + "internal/localcloud/kernel", module + "internal/localcloud/service"},
		why: "what runs behind a service knows nothing of AWS, so that another may stand in for it",
	},
	{
		of: module + "internal/localcloud/task", not: []string{module + "internal/localcloud/kernel", module + "internal/localcloud/service"},
		why: "what runs behind a service knows nothing of AWS, so that another may stand in for it",
	},
	{
		of: module + "internal/localcloud/container", not: []string{module + "internal/localcloud/kernel", module + "internal/localcloud/service", "github.com/docker/docker", "github.com/moby/moby", "github.com/containers"},
		why: "what runs behind a service knows nothing of AWS, so that another may stand in for it; an engine's own client library would be half of bookctl",
	},
	{
		of: module + "internal/localcloud/balancer", not: []string{module + "internal/localcloud/kernel", module + "internal/localcloud/service"},
		why: "what runs behind a service knows nothing of AWS, so that another may stand in for it",
	},
	{
		of: module + "internal/localcloud/registry", not: []string{module + "internal/localcloud/kernel", module + "internal/localcloud/service"},
		why: "what runs behind a service knows nothing of AWS, so that another may stand in for it",
	},
	{
		of: module + "internal/localcloud/authority", not: []string{module + "internal/localcloud/kernel", module + "internal/localcloud/service"},
		why: "what runs behind a service knows nothing of AWS, so that another may stand in for it",
	},
	{
		of: module + "internal/localcloud/network", not: []string{module + "internal", "github.com/aws/"}, but: []string{module + "internal/localcloud/network"},
		why: "values that services share, and nothing that they could reach into",
	},
}

func TestPackagesImportWhatTheyMay(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("go", "list", "-f", "{{.ImportPath}} {{join .Deps \" \"}}", module+"...")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, out)
	}
	seen := 0
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		for _, r := range rules {
			if !below(fields[0], r.of) || slices.ContainsFunc(r.except, func(p string) bool { return below(fields[0], p) }) {
				continue
			}
			seen++
			for _, dep := range fields[1:] {
				inside := func(p string) bool { return below(dep, p) }
				if slices.ContainsFunc(r.not, inside) && !slices.ContainsFunc(r.but, inside) {
					t.Errorf("%s imports %s: %s", fields[0], dep, r.why)
				}
			}
		}
	}
	if seen < len(rules) {
		t.Errorf("%d packages were held against %d rules: the module's layout and the rules have parted", seen, len(rules))
	}
}

func below(path, prefix string) bool {
	return path == prefix || strings.HasPrefix(path, strings.TrimSuffix(prefix, "/")+"/")
}

// TestPrintingAndExitingAreTheCommands keeps packages from writing to the
// process's own streams or ending it: only programs, tools and the command line may.
func TestPrintingAndExitingAreTheCommands(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("grep", "-rnE", `os\.Exit\(|fmt\.Print(f|ln)?\(|os\.Std(out|err)\b`, "--include=*.go", "--exclude=*_test.go", "--exclude-dir=testdata", "--exclude-dir=wiregen", "--exclude-dir=cli", "..")
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Errorf("printing or exiting outside the command line:\n%s", out)
	} else if cmd.ProcessState.ExitCode() != 1 {
		t.Fatalf("grep: %v\n%s", err, out)
	}
}

// TestNamesComeFromNaming keeps resources from building the names of things by
// themselves: package naming has them all, and its test checks them against AWS's
// rules.
func TestNamesComeFromNaming(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("grep", "-rnEi", `stack ?\+ ?"[-/][a-z]|"[-/a-z]+[-/]" ?\+ ?([a-z]+\.)?stack\b`, "--include=*.go", "--exclude=*_test.go", "../provision")
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Errorf("use a method of naming.Names:\n%s", out)
	} else if cmd.ProcessState.ExitCode() != 1 {
		t.Fatalf("grep: %v\n%s", err, out)
	}
}

// TestResourcesAskTheEngine keeps resources from storing what was read where others look
// for it: a resource's node has what was read last (Last), and the run's observation what
// was read before anything was changed. What a step has sent is its own, and needs no
// atomics.
func TestResourcesAskTheEngine(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../provision/*.go")
	if err != nil || len(files) < 50 {
		t.Fatalf("%d files of resources, %v", len(files), err)
	}
	files = slices.DeleteFunc(files, func(f string) bool { return strings.HasSuffix(f, "_test.go") })
	cmd := exec.Command("grep", append([]string{"-nE", `"sync/atomic"|\bcached\[|\bsync\.Map\b`}, files...)...)
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Errorf("return what was read from Read and ask for it with Last, or read it through the observation:\n%s", out)
	} else if cmd.ProcessState.ExitCode() != 1 {
		t.Fatalf("grep: %v\n%s", err, out)
	}
	// Only what is no resource, and a whole run shares, is guarded.
	guarded := []string{"answers.go", "caller.go", "hosted_zone.go", "observation.go", "tag_hints.go"}
	field := regexp.MustCompile(`(?m)^\t(\w+ +)?sync\.(RW)?Mutex`)
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if field.Match(text) && !slices.Contains(guarded, filepath.Base(f)) {
			t.Errorf("%s guards something: what others need of a resource, its node has", f)
		}
	}
}

// TestGoroutinesAreGuarded keeps bare goroutines out of provisioning and the command
// line: a panic in one ends the program with exit code 2, which a plan means changes by.
func TestGoroutinesAreGuarded(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("grep", "-rnE", `^\s*go [A-Za-z_.]+\(|\bsync\.WaitGroup\b`, "--include=*.go", "--exclude=*_test.go", "--exclude-dir=graph", "--exclude-dir=testdata", "../provision", "../cli")
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Errorf("use graph.Group or graph.Start:\n%s", out)
	} else if cmd.ProcessState.ExitCode() != 1 {
		t.Fatalf("grep: %v\n%s", err, out)
	}
}
