package provision

import (
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	rdstypes "github.com/aws/aws-sdk-go-v2/service/rds/types"
	"github.com/google/go-cmp/cmp"
)

func TestAChangeOfStorageNamesIOPSWhereItMust(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind          string
		storage, have int32
		want          int32 // 0 for none
	}{
		{"gp3", 399, 3000, 0},
		{"gp3", 400, 3000, 12000},
		{"gp3", 65536, 12000, 12000},
		{"gp3", 500, 16000, 16000},
		{"", 399, 0, 0},
		{"gp2", 500, 0, 0},
		{"io1", 100, 1000, 1000},
		{"io2", 500, 20000, 20000},
	} {
		got := int32(0)
		if p := iopsFor(c.kind, c.storage, c.have); p != nil {
			got = *p
		}
		if got != c.want {
			t.Errorf("%s of %d GiB with %d IOPS: %d, want %d", c.kind, c.storage, c.have, got, c.want)
		}
	}
	for have, want := range map[int32]int32{20: 22, 25: 28, 30: 33, 100: 110, 65536: 72090} {
		if got := nextStorage(have); got != want || got*10 < have*11 || (got-1)*10 >= have*11 {
			t.Errorf("after %d GiB: %d, want %d", have, got, want)
		}
	}
}

// TestWhatIsKeptIsNotTurnedBack goes over what a database may be in addition to what is
// recorded, without and with a run that was given it.
func TestWhatIsKeptIsNotTurnedBack(t *testing.T) {
	t.Parallel()
	all := map[string]bool{"backup-days": true, "db-multi-az": true, "protect": true, "db-insights": true, "db-storage": true, "db-max-storage": true}
	for name, c := range map[string]struct {
		live    func(*liveDatabase)
		want    func(*databaseSpec)
		kept    string // fields
		drift   string
		given   string // the drift where the run was given all flags
		refused string // what a refused drift names then
	}{
		"as recorded":           {},
		"longer backups":        {live: func(d *liveDatabase) { d.backups = 30 }, kept: "backup-retention", given: "backup-retention"},
		"shorter backups":       {live: func(d *liveDatabase) { d.backups = 1 }, drift: "backup-retention", given: "backup-retention"},
		"a standby":             {live: func(d *liveDatabase) { d.multiAZ = true }, kept: "multi-az", given: "multi-az"},
		"protected":             {live: func(d *liveDatabase) { d.protected = true }, kept: "deletion-protection", given: "deletion-protection"},
		"insights":              {live: func(d *liveDatabase) { d.insights = true }, kept: "insights", given: "insights"},
		"longer backups coming": {live: func(d *liveDatabase) { d.scheduled = spec30Days(d.databaseSpec) }, kept: "backup-retention", given: "backup-retention"},
		"recorded and wanted otherwise": {
			live: func(d *liveDatabase) { d.backups, d.tags[settingTag("backup-days")] = 30, "30" }, drift: "backup-retention tag bookctl:backup-days", given: "backup-retention tag bookctl:backup-days",
		},
		"grown by hand":      {live: func(d *liveDatabase) { d.storage = 30 }, given: "storage", refused: "can't shrink"},
		"grown by RDS":       {live: func(d *liveDatabase) { d.storage, d.maxStorage = 90, 100 }, want: func(d *databaseSpec) { d.maxStorage = 100 }},
		"grown to its limit": {live: func(d *liveDatabase) { d.storage, d.maxStorage = 100, 100 }, want: func(d *databaseSpec) { d.maxStorage = 100 }},
		// RDS dropped the change, or somebody put a smaller one in its place.
		"smaller than recorded":   {live: func(d *liveDatabase) { d.storage = 15 }, drift: "storage", given: "storage"},
		"a little too small":      {want: func(d *databaseSpec) { d.storage = 21 }, given: "storage", refused: "--db-storage 22"},
		"more than a tenth more":  {want: func(d *databaseSpec) { d.storage = 22 }, drift: "storage", given: "storage"},
		"grown past its limit":    {live: func(d *liveDatabase) { d.storage, d.maxStorage = 60, 200 }, want: func(d *databaseSpec) { d.maxStorage = 50 }, given: "storage storage-limit", refused: "--db-max-storage 66"},
		"another class scheduled": {live: func(d *liveDatabase) { d.scheduled = specClass(d.databaseSpec, "db.t4g.small") }, drift: "class", given: "class"},
	} {
		for _, said := range []map[string]bool{nil, all} {
			base := databaseSpec{version: "17.4", class: "db.t4g.micro", storage: 20, backups: 7}
			tags := func() map[string]string {
				return map[string]string{settingTag("backup-days"): "7", settingTag("db-multi-az"): "false", settingTag("protect"): "false", settingTag("db-insights"): "false", settingTag("db-storage"): "20", settingTag("db-max-storage"): "0"}
			}
			live, want := liveDatabase{databaseSpec: base, tags: tags(), encrypted: true}, liveDatabase{databaseSpec: base, tags: tags()}
			if c.live != nil {
				c.live(&live)
			}
			if c.want != nil {
				c.want(&want.databaseSpec)
			}
			d := &Database{options: databaseOptions{given: said}}
			var kept, drift []string
			refused := ""
			for _, x := range d.retain(&live, &want) {
				kept = append(kept, x.Field)
				if x.Blocked == "" || !strings.Contains(x.Blocked, "--") {
					t.Errorf("%s: %s is kept, and no flag is named: %q", name, x.Field, x.Blocked)
				}
			}
			for _, x := range databaseChanges(&live, &want) {
				drift, refused = append(drift, x.Field), refused+x.Blocked
			}
			wantKept, wantDrift := c.kept, c.drift
			if said != nil {
				wantKept, wantDrift = "", c.given
			}
			if got := strings.Join(kept, " "); got != wantKept {
				t.Errorf("%s (reported: %t): kept %q, want %q", name, said != nil, got, wantKept)
			}
			if got := strings.Join(drift, " "); got != wantDrift {
				t.Errorf("%s (reported: %t): drift %q, want %q", name, said != nil, got, wantDrift)
			}
			if said == nil && refused != "" || said != nil && !strings.Contains(refused, c.refused) || said != nil && c.refused == "" && refused != "" {
				t.Errorf("%s (reported: %t): refused %q, want %q where it was given", name, said != nil, refused, c.refused)
			}
		}
	}
}

func spec30Days(d databaseSpec) *databaseSpec {
	d.backups = 30
	return &d
}

func specClass(d databaseSpec, class string) *databaseSpec {
	d.class = class
	return &d
}

func TestPendingValuesAreWhatAnInstanceWillBe(t *testing.T) {
	t.Parallel()
	live := databaseSpec{version: "17.4", class: "db.t4g.micro", storage: 20, backups: 7}
	next := coming(live, &rdstypes.PendingModifiedValues{
		DBInstanceClass: aws.String("db.t4g.small"), AllocatedStorage: aws.Int32(30), MultiAZ: aws.Bool(true), BackupRetentionPeriod: aws.Int32(9),
	})
	if want := (databaseSpec{version: "17.4", class: "db.t4g.small", storage: 30, backups: 9, multiAZ: true}); next != want {
		t.Errorf("it will be %+v, want %+v", next, want)
	}
	if got, want := pendingText(live, next), "db.t4g.micro → db.t4g.small, 20 GiB → 30 GiB, 7 days → 9 days, multi-az false → true"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if same := coming(live, nil); same != live {
		t.Errorf("with nothing pending: %+v", same)
	}
}

// TestOnlyWhatIsAskedForTakesEffectAtOnce has all kinds of changes scheduled: one that needs
// immediate effect is refused for what it would take along.
func TestOnlyWhatIsAskedForTakesEffectAtOnce(t *testing.T) {
	t.Parallel()
	live := func(p rdstypes.PendingModifiedValues) *liveDatabase {
		db := &rdstypes.DBInstance{
			DBInstanceIdentifier: aws.String("book-database"), EngineVersion: aws.String("17.4"), DBInstanceClass: aws.String("db.t4g.micro"), AllocatedStorage: aws.Int32(400), Iops: aws.Int32(12000),
			MultiAZ: aws.Bool(false), BackupRetentionPeriod: aws.Int32(7), CACertificateIdentifier: aws.String("rds-ca-rsa2048-g1"), PendingModifiedValues: &p,
		}
		out := &liveDatabase{databaseSpec: databaseSpec{version: "17.4", class: "db.t4g.micro", storage: 400, backups: 7}, instance: db, pending: pendingValues(db)}
		next := coming(out.databaseSpec, &p)
		out.scheduled = &next
		return out
	}
	for _, x := range []struct {
		pending rdstypes.PendingModifiedValues
		want    databaseSpec
		along   string   // what is taken along
		revert  []string // and how that is reverted
	}{
		{rdstypes.PendingModifiedValues{MasterUserPassword: aws.String("****"), PendingCloudwatchLogsExports: &rdstypes.PendingCloudwatchLogsExports{}}, databaseSpec{version: "17", storage: 400}, "", nil},
		{rdstypes.PendingModifiedValues{DBInstanceClass: aws.String("db.t4g.large"), MultiAZ: aws.Bool(true), BackupRetentionPeriod: aws.Int32(9)}, databaseSpec{version: "17", storage: 400}, "", nil},
		{rdstypes.PendingModifiedValues{EngineVersion: aws.String("18.1")}, databaseSpec{version: "17", storage: 400}, "EngineVersion 18.1", []string{"--engine-version", "17.4"}},
		{rdstypes.PendingModifiedValues{EngineVersion: aws.String("18.1")}, databaseSpec{version: "18", storage: 400}, "", nil},
		{rdstypes.PendingModifiedValues{AllocatedStorage: aws.Int32(500), Iops: aws.Int32(13000)}, databaseSpec{version: "17", storage: 400}, "AllocatedStorage 500, Iops 13000", []string{"--allocated-storage", "400", "--iops", "12000"}},
		{rdstypes.PendingModifiedValues{AllocatedStorage: aws.Int32(500), Iops: aws.Int32(13000)}, databaseSpec{version: "17", storage: 600}, "", nil},
		{rdstypes.PendingModifiedValues{CACertificateIdentifier: aws.String("rds-ca-ecc384-g1"), MultiAZ: aws.Bool(true)}, databaseSpec{version: "17", storage: 400}, "CACertificateIdentifier rds-ca-ecc384-g1", []string{"--ca-certificate-identifier", "rds-ca-rsa2048-g1", "--no-multi-az"}},
		{rdstypes.PendingModifiedValues{DBInstanceIdentifier: aws.String("other")}, databaseSpec{version: "17", storage: 400}, "DBInstanceIdentifier other", nil},
	} {
		have := live(x.pending)
		along, revert := takenAlong(have, &liveDatabase{databaseSpec: x.want}), reverting(have.pending)
		if strings.Join(along, ", ") != x.along || x.along != "" && !slices.Equal(revert, x.revert) {
			t.Errorf("pending %+v, wanted %+v: takes along %q, reverted by %q", have.pending, x.want, along, revert)
		}
	}
}

func TestARestoreTakesOverTheSettingsInTheSnapshotsTags(t *testing.T) {
	t.Parallel()
	tags := map[string]string{
		settingTag("db-class"): "db.t4g.small", settingTag("db-storage"): "20", settingTag("db-max-storage"): "100", settingTag("db-multi-az"): "true", settingTag("db-insights"): "true", settingTag("backup-days"): "7", settingTag("protect"): "false", settingTag("db-version"): "17",
	}
	got, unknown := Snapshot{GiB: 30, Version: "17.4", tags: tags, backups: 30}.Restored(DefaultSettings())
	want := DefaultSettings()
	want.DBClass, want.DBStorage, want.DBMaxStorage, want.DBMultiAZ, want.DBInsights, want.BackupDays, want.DBVersion = "db.t4g.small", 30, 100, true, true, 30, "17"
	if diff := cmp.Diff(want, got); diff != "" || unknown != nil {
		t.Errorf("restored (- is wanted):\n%s\nunknown %v", diff, unknown)
	}
	if err := got.Check(); err != nil {
		t.Error(err)
	}
	tags[settingTag("db-max-storage")] = "30"
	if got, _ := (Snapshot{GiB: 30, Version: "17.4", tags: tags}).Restored(DefaultSettings()); got.Check() != nil {
		t.Errorf("a database that had grown to its limit can't be restored: %v", got.Check())
	}
	got, unknown = Snapshot{GiB: 5, Version: "16.3"}.Restored(DefaultSettings())
	want = DefaultSettings()
	want.DBVersion = "16"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("of a snapshot without tags (- is wanted):\n%s", diff)
	}
	if want := []string{"class", "growth to GiB", "standby", "Performance Insights", "days of backups", "deletion protection"}; !slices.Equal(unknown, want) {
		t.Errorf("a snapshot without tags does not say %q, want %q", unknown, want)
	}
}
