package localcloud_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	tagapi "github.com/aws/aws-sdk-go-v2/service/resourcegroupstaggingapi"

	"github.com/bookctl/bookctl/internal/localcloud"
)

// Terraform applies, changes and destroys a stack of its own on the local cloud,
// and after each apply it finds nothing that differs. It needs terraform and, in
// TF_PLUGIN_DIR, a file system mirror with hashicorp/aws; it was last seen to
// pass with 1.11 and 5.100, and waits for minutes at a time: -timeout 30m.
func TestTerraformMakesChangesAndDestroysAStack(t *testing.T) {
	t.Parallel()
	program, err := exec.LookPath("terraform")
	plugins := os.Getenv("TF_PLUGIN_DIR")
	if err != nil || plugins == "" {
		t.Skip("terraform is not installed, or TF_PLUGIN_DIR does not say where its AWS provider is")
	}
	var (
		mu      sync.Mutex
		missing []string
	)
	c := openCloud(t, localcloud.Config{Journal: func(call localcloud.Call) {
		if call.Code == "InvalidAction" || call.Code == "UnknownOperationException" {
			mu.Lock()
			defer mu.Unlock()
			missing = append(missing, call.Action)
		}
	}})
	client := rds.NewFromConfig(clientConfig(c))
	engines := must[*rds.DescribeDBEngineVersionsOutput](t)(client.DescribeDBEngineVersions(t.Context(), &rds.DescribeDBEngineVersionsInput{Engine: aws.String("postgres")}))
	dir := t.TempDir()
	config := must[[]byte](t)(os.ReadFile("testdata/terraform/main.tf"))
	if err := os.WriteFile(filepath.Join(dir, "main.tf"), config, 0o600); err != nil {
		t.Fatal(err)
	}
	environment := append(os.Environ(), "CHECKPOINT_DISABLE=1", "TF_IN_AUTOMATION=1", "TF_VAR_endpoint="+c.Endpoint(), fmt.Sprintf("TF_VAR_port=%d", freePort(t)),
		"TF_VAR_engine="+*engines.DBEngineVersions[0].MajorEngineVersion)
	run := func(want int, args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), program, append(args, "-no-color")...)
		cmd.Dir, cmd.Env = dir, environment
		out, err := cmd.CombinedOutput()
		code := 0
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			code = exit.ExitCode()
		} else if err != nil {
			t.Fatal(err)
		}
		if code != want {
			t.Fatalf("terraform %s ended with %d, want %d:\n%s", strings.Join(args, " "), code, want, out)
		}
	}
	run(0, "init", "-plugin-dir="+plugins)
	run(0, "apply", "-auto-approve")
	run(0, "plan", "-detailed-exitcode") // 2 is a difference
	environment = append(environment, "TF_VAR_idle_timeout=90", "TF_VAR_memory=1024", "TF_VAR_retention=30", "TF_VAR_log_statement=mod", "TF_VAR_path=/manage/*", "TF_VAR_most=4")
	run(2, "plan", "-detailed-exitcode")
	run(0, "apply", "-auto-approve")
	run(0, "plan", "-detailed-exitcode")
	run(0, "destroy", "-auto-approve")

	left := must[*tagapi.GetResourcesOutput](t)(tagapi.NewFromConfig(clientConfig(c)).GetResources(t.Context(), &tagapi.GetResourcesInput{}))
	for _, r := range left.ResourceTagMappingList {
		// A task definition can't be deleted by Terraform, which deregisters it.
		if !strings.Contains(*r.ResourceARN, ":task-definition/") {
			t.Errorf("%s is left", *r.ResourceARN)
		}
	}
	slices.Sort(missing)
	if missing = slices.Compact(missing); len(missing) > 0 {
		t.Errorf("Terraform asked for operations that the local cloud does not serve: %v", missing)
	}
}
