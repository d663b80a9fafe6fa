// Package partitiontest reads the SDK's own list of partitions and regions, which
// no package exports, for tests.
package partitiontest

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Partition is a partition in the SDK's data.
type Partition struct {
	ID      string
	Outputs struct{ DNSSuffix string }
	// RegionRegex matches the partition's regions, future ones too.
	RegionRegex string
	// Regions are keyed by name. They include one that ends with "-global".
	Regions map[string]any
}

// Partitions returns all partitions. It fails the test when the SDK's file can't
// be read.
func Partitions(tb testing.TB) []Partition {
	tb.Helper()
	dir, err := exec.CommandContext(tb.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/aws/aws-sdk-go-v2").Output()
	if err != nil {
		tb.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), "internal", "endpoints", "awsrulesfn", "partitions.json"))
	if err != nil {
		tb.Fatal(err)
	}
	var data struct{ Partitions []Partition }
	if err := json.Unmarshal(text, &data); err != nil {
		tb.Fatal(err)
	}
	if len(data.Partitions) < 8 {
		tb.Fatalf("%d partitions", len(data.Partitions))
	}
	return data.Partitions
}

// Regions returns the regions of all partitions.
func Regions(tb testing.TB) []string {
	tb.Helper()
	var out []string
	for _, p := range Partitions(tb) {
		for region := range p.Regions {
			if !strings.HasSuffix(region, "-global") {
				out = append(out, region)
			}
		}
	}
	return out
}
