package provision

import (
	"slices"
	"strings"
	"testing"

	"github.com/bookctl/bookctl/internal/pricing"
)

// whole is a stack of two tasks that serves.
func whole() Deployed {
	d := Deployed{Found: true, HasLoadBalancer: true, PortRecorded: true, Database: true, Settings: DefaultSettings()}
	d.Count = 2
	d.exists = liveParts{service: true, tasks: 2, served: true, class: d.DBClass, storage: d.DBStorage, backupDays: d.BackupDays}
	return d
}

func TestUsageIsWhatExists(t *testing.T) {
	t.Parallel()
	cost := func(change func(*Deployed)) map[string]pricing.Line {
		d := whole()
		change(&d)
		lines, err := pricing.Cost(d.Usage(), "us-east-1")
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]pricing.Line{}
		for _, l := range lines {
			out[l.Item] = l
		}
		return out
	}
	all := cost(func(*Deployed) {})
	if plain, err := pricing.Cost(whole().Settings.Usage(), "us-east-1"); err != nil || len(plain) != len(all) || pricing.Total(plain) == 0 {
		t.Fatalf("a whole stack costs %v, want %v (%v)", all, plain, err)
	}
	noDatabase := cost(func(d *Deployed) { d.Database, d.exists.class, d.exists.storage = false, "", 0 })
	if _, there := noDatabase["database storage"]; there || len(noDatabase) != len(all)-3 {
		t.Errorf("without a database: %v", noDatabase)
	}
	noBalancer := cost(func(d *Deployed) { d.HasLoadBalancer = false })
	if _, there := noBalancer["load balancer"]; there || noBalancer["public addresses"].Monthly != all["public addresses"].Monthly/2 {
		t.Errorf("without a load balancer: %v", noBalancer)
	}
	if none := cost(func(d *Deployed) { d.exists.service, d.exists.tasks = false, 0 }); none["tasks"].Monthly != 0 || none["public addresses"].Monthly != all["public addresses"].Monthly/2 {
		t.Errorf("without a service: %v", none)
	}
	if wide := cost(func(d *Deployed) { d.Subnets = "subnet-1,subnet-2,subnet-3" })["public addresses"]; wide.Monthly != all["public addresses"].Monthly/4*5 || !strings.Contains(wide.Note, "3 of the load balancer") {
		t.Errorf("with a load balancer in three subnets: %+v", wide)
	}
	grown := cost(func(d *Deployed) { d.exists.storage = 2 * d.DBStorage })
	if grown["database storage"].Monthly != 2*all["database storage"].Monthly {
		t.Errorf("with twice the storage that is recorded: %v", grown["database storage"])
	}
}

func TestWhatADeletedPartRecordedIsSaidToBeLost(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*Deployed)
		want   []string // what each line has
	}{
		"whole": {func(*Deployed) {}, nil},
		"never whole": {func(d *Deployed) {
			d.HasLoadBalancer, d.PortRecorded, d.exists.served, d.exists.service = false, false, false, false
		}, nil},
		"no load balancer": {func(d *Deployed) { d.HasLoadBalancer, d.PortRecorded = false, false }, []string{"the load balancer is gone, and with it the settings that it recorded; it is made with --port 80, no --domain, no --certificate"}},
		"no service":       {func(d *Deployed) { d.exists.service = false }, []string{"--count 1, no --max"}},
		"no database":      {func(d *Deployed) { d.Database = false }, []string{"--db-class db.t4g.micro"}},
	} {
		d := whole()
		c.change(&d)
		if got := d.Lost(DefaultSettings()); !slices.EqualFunc(got, c.want, strings.Contains) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
