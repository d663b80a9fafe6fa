package partition

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bookctl/bookctl/internal/partition/partitiontest"
)

func TestPartitionsAreTheSDKs(t *testing.T) {
	t.Parallel()
	var want, got [][3]string
	for _, p := range partitiontest.Partitions(t) {
		want = append(want, [3]string{p.ID, p.RegionRegex, p.Outputs.DNSSuffix})
		for region := range p.Regions {
			if strings.HasSuffix(region, "-global") {
				continue
			}
			if got := Of(region).Name; got != p.ID {
				t.Errorf("region %s is taken to be in %s, and is in %s", region, got, p.ID)
			}
			if !IsRegion(region) {
				t.Errorf("region %s is refused", region)
			}
		}
	}
	for _, p := range partitions {
		got = append(got, [3]string{p.Name, p.regions.String(), p.Suffix})
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("partitions (-the SDK's +ours):\n%s", diff)
	}
}
