package provision_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bookctl/bookctl/internal/provision"
)

// sdkPartition is a partition in the SDK's own data, which no package exports.
type sdkPartition struct {
	ID      string
	Outputs struct{ DNSSuffix string }
	// RegionRegex matches the partition's regions, those to come too.
	RegionRegex string
	Regions     map[string]any
}

func sdkPartitions(t *testing.T) []sdkPartition {
	t.Helper()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/aws/aws-sdk-go-v2").Output()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "internal", "endpoints", "awsrulesfn", "partitions.json"))
	if err != nil {
		t.Fatal(err)
	}
	var data struct{ Partitions []sdkPartition }
	if err := json.Unmarshal(text, &data); err != nil {
		t.Fatal(err)
	}
	if len(data.Partitions) < 8 {
		t.Fatalf("%d partitions", len(data.Partitions))
	}
	return data.Partitions
}

// sdkRegions are all regions that the SDK knows, of all partitions.
func sdkRegions(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, p := range sdkPartitions(t) {
		for region := range p.Regions {
			if !strings.HasSuffix(region, "-global") {
				out = append(out, region)
			}
		}
	}
	return out
}

func TestPartitionsAreTheSDKs(t *testing.T) {
	t.Parallel()
	var want [][3]string
	for _, p := range sdkPartitions(t) {
		want = append(want, [3]string{p.ID, p.RegionRegex, p.Outputs.DNSSuffix})
		for region := range p.Regions {
			if strings.HasSuffix(region, "-global") {
				continue
			}
			if got := provision.PartitionOf(region); got != p.ID {
				t.Errorf("region %s is taken to be in %s, and is in %s", region, got, p.ID)
			}
			if !provision.IsRegionName(region) {
				t.Errorf("region %s is refused", region)
			}
		}
	}
	if diff := cmp.Diff(want, provision.Partitions()); diff != "" {
		t.Errorf("partitions (-the SDK's +ours):\n%s", diff)
	}
}

// TestRoleNamesFit tries the longest names: IAM takes 64 characters, and no two
// stacks may come to the same name.
func TestRoleNamesFit(t *testing.T) {
	t.Parallel()
	names := map[string]string{}
	regions := sdkRegions(t)
	for _, region := range regions {
		for _, stack := range []string{"a", strings.Repeat("a", 20), "a-" + region, "a-us-gov", "a-eusc"} {
			if provision.CheckStackName(stack) != nil {
				continue
			}
			for _, name := range provision.RoleNames(stack, region) {
				if len(name) > 64 {
					t.Errorf("role %s has %d characters", name, len(name))
				}
				if other := names[name]; other != "" {
					t.Errorf("role %s is of stack %s in %s and of %s", name, stack, region, other)
				}
				names[name] = stack + " in " + region
			}
		}
	}
}

func TestImagesInECRAreKnownByTheirHost(t *testing.T) {
	t.Parallel()
	for ref, want := range map[string]string{
		"111122223333.dkr.ecr.eu-west-1.amazonaws.com/a/b:1":            "arn:aws:ecr:eu-west-1:111122223333:repository/a/b",
		"111122223333.dkr.ecr.eu-west-1.amazonaws.com/a@sha256:0":       "arn:aws:ecr:eu-west-1:111122223333:repository/a",
		"111122223333.dkr-ecr.eu-west-1.on.aws/a":                       "arn:aws:ecr:eu-west-1:111122223333:repository/a",
		"111122223333.dkr.ecr-fips.us-gov-west-1.amazonaws.com/a":       "arn:aws-us-gov:ecr:us-gov-west-1:111122223333:repository/a",
		"111122223333.dkr-ecr-fips.us-east-1.on.aws/a":                  "arn:aws:ecr:us-east-1:111122223333:repository/a",
		"111122223333.dkr.ecr.cn-north-1.amazonaws.com.cn/a":            "arn:aws-cn:ecr:cn-north-1:111122223333:repository/a",
		"111122223333.dkr-ecr.cn-north-1.on.amazonwebservices.com.cn/a": "arn:aws-cn:ecr:cn-north-1:111122223333:repository/a",
		"111122223333.dkr.ecr.eusc-de-east-1.amazonaws.eu/a":            "arn:aws-eusc:ecr:eusc-de-east-1:111122223333:repository/a",
		"111122223333.dkr.ecr.us-iso-east-1.c2s.ic.gov/a":               "arn:aws-iso:ecr:us-iso-east-1:111122223333:repository/a",
		"111122223333.dkr.ecr.eu-west-1.amazonaws.com.example.com/a":    "",
		"111122223333.dkr.ecr.eu-west-1.on.aws/a":                       "",
		"111122223333.dkr-ecr.eu-west-1.amazonaws.com/a":                "",
		"public.ecr.aws/a/b": "",
		"registry.example.com/111122223333.dkr.ecr.eu-west-1.amazonaws.com/a:1.0": "",
	} {
		if got := provision.RepositoryARN(ref); got != want {
			t.Errorf("%s is taken for %q, want %q", ref, got, want)
		}
	}
}
