package provision

import (
	"maps"
	"testing"

	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	rdstypes "github.com/aws/aws-sdk-go-v2/service/rds/types"

	"github.com/bookctl/bookctl/internal/naming"
)

// TestARecordedSettingIsReadBack records every setting as another one than the
// default, and reads it from the tags of things that differ from them.
func TestARecordedSettingIsReadBack(t *testing.T) {
	t.Parallel()
	var want Settings
	for _, row := range Table() {
		if !row.Value.Parse(&want, row.Example) {
			t.Fatalf("--%s %q can't be read", row.Flag, row.Example)
		}
	}
	record := want.record()
	got, recorded := DefaultSettings(), 0
	for resource, live := range map[string]parts{
		servicePart:  {service: &ecstypes.Service{DesiredCount: 9}},
		balancerPart: {port: 4242},
		databasePart: {database: &rdstypes.DBInstance{EngineVersion: &want.DBVersion}}, naming.ExecutionRole: {role: &iamtypes.Role{}},
		definitionPart: {definition: &ecstypes.TaskDefinition{}}, networkPart: {},
	} {
		tags := maps.Clone(record[resource])
		if tags == nil {
			tags = map[string]string{}
		}
		maps.Copy(tags, record[resource+" by scaling"])
		maps.Copy(tags, record[resource+" by listener"])
		got.read(resource, tags, live)
		recorded += len(tags)
	}
	for _, row := range Table() {
		have, wanted := row.Value.Format(got), row.Value.Format(want)
		if row.recorded.untagged {
			recorded++
		} else if have != wanted {
			t.Errorf("--%s %s is read back as %s", row.Flag, wanted, have)
		}
	}
	if recorded != len(Table()) {
		t.Errorf("%d of %d settings are recorded", recorded, len(Table()))
	}
}
