package provision

import (
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"

	"github.com/bookctl/bookctl/internal/provision/graph"
)

// databaseChanges is how a database differs from the wanted one.
func databaseChanges(live, want *liveDatabase) []graph.Change {
	drift, _ := (&Database{}).Attributes().Compare(live, want)
	return drift
}

func TestDatabaseDrift(t *testing.T) {
	t.Parallel()
	base := func() liveDatabase {
		return liveDatabase{
			databaseSpec: databaseSpec{version: "17.4", class: "db.t4g.micro", storage: 20, backups: 7},
			encrypted:    true, copyTags: true, minor: true, groups: []string{"sg-1"}, parameters: "p", subnets: "s",
			logs: []string{"postgresql"}, secretVersion: "v1", connection: "c",
		}
	}
	for name, c := range map[string]struct {
		live, want func(*liveDatabase)
		fields     []string
		refused    bool
	}{
		"as wanted":                     {},
		"class":                         {want: func(d *liveDatabase) { d.class = "db.t4g.small" }, fields: []string{"class"}},
		"storage grows":                 {want: func(d *liveDatabase) { d.storage = 30 }, fields: []string{"storage"}},
		"storage can't shrink":          {live: func(d *liveDatabase) { d.storage = 30 }, fields: []string{"storage"}, refused: true},
		"grown by RDS":                  {live: func(d *liveDatabase) { d.storage, d.maxStorage = 30, 100 }, want: func(d *liveDatabase) { d.maxStorage = 100 }},
		"a growth limit":                {want: func(d *liveDatabase) { d.maxStorage = 100 }, fields: []string{"storage-limit"}},
		"on another port":               {live: func(d *liveDatabase) { d.port = "5433" }, fields: []string{"port"}},
		"a password that RDS sets":      {live: func(d *liveDatabase) { d.managed = "arn" }, fields: []string{"password-managed-by"}, refused: true},
		"made public":                   {live: func(d *liveDatabase) { d.public = true }, fields: []string{"public"}},
		"never encrypted":               {live: func(d *liveDatabase) { d.encrypted = false }, fields: []string{"encrypted"}, refused: true},
		"tags not copied":               {live: func(d *liveDatabase) { d.copyTags = false }, fields: []string{"copy-tags"}},
		"no minor upgrades":             {live: func(d *liveDatabase) { d.minor = false }, fields: []string{"minor-upgrades"}},
		"minor raised by RDS":           {live: func(d *liveDatabase) { d.version = "17.9" }, want: func(d *liveDatabase) { d.version = "17.4" }},
		"major only":                    {want: func(d *liveDatabase) { d.version = "17" }},
		"older minor":                   {want: func(d *liveDatabase) { d.version = "17.10" }, fields: []string{"version"}},
		"another major":                 {want: func(d *liveDatabase) { d.version = "18" }, fields: []string{"version"}, refused: true},
		"secret has a new version":      {want: func(d *liveDatabase) { d.secretVersion = "v2" }, fields: []string{"password"}},
		"no note of a version":          {live: func(d *liveDatabase) { d.secretVersion = "" }, fields: []string{"password"}},
		"secret not read":               {want: func(d *liveDatabase) { d.secretVersion = "" }},
		"secret names another host":     {live: func(d *liveDatabase) { d.connection = "x" }, fields: []string{"address-in-secret"}},
		"groups":                        {live: func(d *liveDatabase) { d.groups = []string{"sg-2", "sg-1"} }, fields: []string{"security-groups"}},
		"moved to another subnets":      {live: func(d *liveDatabase) { d.subnets = "x" }, fields: []string{"subnet-group"}, refused: true},
		"log exports off":               {live: func(d *liveDatabase) { d.logs = nil }, fields: []string{"log-exports"}},
		"unprotected, backups, standby": {live: func(d *liveDatabase) { d.backups = 1 }, want: func(d *liveDatabase) { d.protected, d.multiAZ = true, true }, fields: []string{"backup-retention", "deletion-protection", "multi-az"}},
	} {
		live, want := base(), base()
		if c.live != nil {
			c.live(&live)
		}
		if c.want != nil {
			c.want(&want)
		}
		var fields []string
		refused := false
		for _, d := range databaseChanges(&live, &want) {
			fields = append(fields, d.Field)
			refused = refused || d.Blocked != ""
		}
		if !slices.Equal(fields, c.fields) || refused != c.refused {
			t.Errorf("%s: drift %v, refused %t; want %v, %t", name, fields, refused, c.fields, c.refused)
		}
	}
}

// TestWhatTakesTheDatabaseAwayIsSaid goes by the table of settings in RDS's
// guide: what is not named there as an outage must not frighten anybody.
func TestWhatTakesTheDatabaseAwayIsSaid(t *testing.T) {
	t.Parallel()
	base := databaseSpec{version: "17.4", class: "db.t4g.micro", storage: 20, backups: 7}
	for name, c := range map[string]struct {
		live, want func(*databaseSpec)
		says       string
	}{
		"class":                 {want: func(d *databaseSpec) { d.class = "db.t4g.small" }, says: "some minutes"},
		"class with a standby":  {live: func(d *databaseSpec) { d.multiAZ = true }, want: func(d *databaseSpec) { d.multiAZ, d.class = true, "db.t4g.small" }, says: "its standby takes over"},
		"minor version":         {want: func(d *databaseSpec) { d.version = "17.9" }, says: "some minutes"},
		"major version":         {want: func(d *databaseSpec) { d.version = "18" }},
		"backups off":           {want: func(d *databaseSpec) { d.backups = 0 }, says: "some minutes"},
		"more backups":          {want: func(d *databaseSpec) { d.backups = 14 }},
		"storage and its limit": {want: func(d *databaseSpec) { d.storage, d.maxStorage = 30, 100 }},
		"a standby":             {want: func(d *databaseSpec) { d.multiAZ = true }},
		"insights, protection":  {want: func(d *databaseSpec) { d.insights, d.protected = true, true }},
	} {
		live, want := liveDatabase{databaseSpec: base, encrypted: true}, liveDatabase{databaseSpec: base, encrypted: true}
		if c.live != nil {
			c.live(&live.databaseSpec)
		}
		c.want(&want.databaseSpec)
		said := ""
		for _, d := range databaseChanges(&live, &want) {
			said += d.Downtime
		}
		if (said == "") != (c.says == "") || !strings.Contains(said, c.says) {
			t.Errorf("%s: said %q, want %q", name, said, c.says)
		}
	}
}

func TestSnapshotsOfANamesakeAreSpared(t *testing.T) {
	t.Parallel()
	found := []candidate{
		{owner: "book", Snapshot: Snapshot{Resource: "db-LIVE"}}, // the live instance
		{owner: "book", Snapshot: Snapshot{ID: "tagged", Resource: "db-OLD"}},
		{Snapshot: Snapshot{ID: "untagged-of-live", Resource: "db-LIVE"}},
		{Snapshot: Snapshot{ID: "untagged-of-old", Resource: "db-OLD"}},
		{Snapshot: Snapshot{ID: "untagged-namesake", Resource: "db-OTHER"}},
		{Snapshot: Snapshot{ID: "without-resource"}},
		{owner: "other", Snapshot: Snapshot{ID: "other-stack", Resource: "db-LIVE"}},
		// Copied from a stack of the same name in another region, with its tags and without.
		{owner: "book", region: "us-east-1", Snapshot: Snapshot{ID: "far", Resource: "db-FAR"}},
		{owner: "book", region: "us-east-1", Snapshot: Snapshot{ID: "far-backups", Kind: RetainedBackup, Resource: "db-FAR"}},
		{region: "us-east-1", Snapshot: Snapshot{ID: "untagged-far", Resource: "db-FAR"}},
		{Snapshot: Snapshot{ID: "untagged-here", Resource: "db-FAR"}},
		// A copy that the stack was restored from is its own.
		{owner: "book", region: "us-east-1", Snapshot: Snapshot{ID: "book-final-copy-1", Kind: CopiedSnapshot, Resource: "db-FAR"}},
		{owner: "book", region: "eu-west-1", Snapshot: Snapshot{ID: "here", Resource: "db-OLD"}},
	}
	var ids, purged, latest []string
	for _, s := range ofStack("book", "eu-west-1", found) {
		ids = append(ids, s.ID)
		if s.purgeable() {
			purged = append(purged, s.ID)
		}
		if s.Taken() {
			latest = append(latest, s.ID)
		}
	}
	own := []string{"here", "tagged", "untagged-of-live", "untagged-of-old"}
	if want := append([]string{"book-final-copy-1", "far", "far-backups"}, own...); !slices.Equal(ids, want) {
		t.Errorf("of the stack: %v, want %v", ids, want)
	}
	if want := append([]string{"book-final-copy-1"}, own...); !slices.Equal(purged, want) {
		t.Errorf("purged are %v, want %v", purged, want)
	}
	if !slices.Equal(latest, own) {
		t.Errorf("the newest is one of %v, want %v", latest, own)
	}
}

func TestAReplicatedBackupIsOfTheRegionOfItsInstance(t *testing.T) {
	t.Parallel()
	for here, want := range map[string]string{"us-east-1": "us-east-1", "eu-west-1": "us-east-1"} {
		b := types.DBInstanceAutomatedBackup{DBInstanceArn: aws.String("arn:aws:rds:us-east-1:123456789012:db:book-database"), Region: aws.String(here)}
		if got := backupRegion(b, here); got != want {
			t.Errorf("in %s: %s, want %s", here, got, want)
		}
	}
}
