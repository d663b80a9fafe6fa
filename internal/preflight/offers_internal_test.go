package preflight

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	rdstypes "github.com/aws/aws-sdk-go-v2/service/rds/types"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/provision"
)

// offer is what a region offers of one version: "17.4 gp3 a b c".
func offer(text string) rdstypes.OrderableDBInstanceOption {
	f := strings.Fields(text)
	o := rdstypes.OrderableDBInstanceOption{EngineVersion: &f[0], StorageType: &f[1], MultiAZCapable: aws.Bool(true), MaxStorageSize: aws.Int32(65536)}
	for _, z := range f[2:] {
		o.AvailabilityZones = append(o.AvailabilityZones, rdstypes.AvailabilityZone{Name: aws.String("r-1" + z)})
	}
	return o
}

func TestVersionAndZonesAreChosenFromWhatIsOffered(t *testing.T) {
	t.Parallel()
	open := []string{"r-1a", "r-1b", "r-1c"}
	for name, c := range map[string]struct {
		offered []string
		want    string // version asked for
		have    [2]string
		zones   [2]string
		version string
		err     string
		present string // version of the data
		change  func(*provision.Settings)
		others  []string
	}{
		"the default version":       {offered: []string{"15.9 gp3 a b", "17.4 gp3 a b", "18.1 gp3 a b"}, zones: [2]string{"r-1a", "r-1b"}, version: "17"},
		"the newest where no 17":    {offered: []string{"9.6 gp3 a b", "15.9 gp3 a b", "14.2 gp3 a b"}, zones: [2]string{"r-1a", "r-1b"}, version: "15"},
		"the version asked for":     {offered: []string{"15.9 gp3 a b", "17.4 gp3 a b"}, want: "15", zones: [2]string{"r-1a", "r-1b"}, version: "15"},
		"a zone without the class":  {offered: []string{"17.4 gp3 b c"}, zones: [2]string{"r-1b", "r-1c"}, version: "17"},
		"zones that are closed":     {offered: []string{"17.4 gp3 a d e c"}, zones: [2]string{"r-1a", "r-1c"}, version: "17"},
		"one zone only":             {offered: []string{"17.4 gp3 b"}, err: "one zone"},
		"gp3 in one zone only":      {offered: []string{"17.4 gp3 b", "17.4 gp2 a b c"}, err: "one zone"},
		"no such class":             {others: []string{"db.m5.large", "db.t4g.small", "db.r6g.large"}, err: "that is: db.t4g.small, db.m5.large, db.r6g.large"},
		"no common zone":            {offered: []string{"17.4 gp3 d e"}, err: "in no zone of r-1 that a stack can use: it is offered in r-1d, r-1e, and available are r-1a, r-1b, r-1c"},
		"no such version":           {offered: []string{"15.9 gp3 a b", "17.4 gp3 a b"}, want: "16", err: "that is: 17, 15"},
		"no such minor":             {offered: []string{"17.4 gp3 a b"}, want: "17.9", err: "not offered"},
		"a minor that was outgrown": {offered: []string{"17.9 gp3 a b"}, want: "17.4", present: "17.9", zones: [2]string{"r-1a", "r-1b"}, version: "17.4"},
		"a minor that is withdrawn": {offered: []string{"17.9 gp3 a b"}, want: "17.4", present: "17.4", zones: [2]string{"r-1a", "r-1b"}, version: "17.4"},
		"the data's own minor":      {offered: []string{"17.4 gp3 a", "17.9 gp3 a b"}, want: "17.4", present: "17.4", err: "one zone"},
		"a newer minor":             {offered: []string{"17.4 gp3 a b"}, want: "17.9", present: "17.4", err: "not offered"},
		"another major version":     {offered: []string{"17.4 gp3 a b"}, want: "18.1", present: "17.4", err: "not offered"},
		"zones of a deployed stack": {offered: []string{"17.4 gp3 a b"}, have: [2]string{"r-1b", "r-1c"}, zones: [2]string{"r-1b", "r-1c"}, version: "17"},
		"half a deployed stack":     {offered: []string{"17.4 gp3 a b"}, have: [2]string{"r-1b", ""}, zones: [2]string{"r-1b", "r-1a"}, version: "17"},
		"no insights":               {offered: []string{"17.4 gp3 a b"}, change: func(s *provision.Settings) { s.DBInsights = true }, err: "--db-insights"},
		"too much storage":          {offered: []string{"17.4 gp3 a b"}, change: func(s *provision.Settings) { s.DBMaxStorage = 70000 }, err: "at most 65536"},
	} {
		o := offers{class: "db.t4g.micro", others: c.others}
		for _, x := range c.offered {
			o.options = append(o.options, offer(x))
		}
		s := provision.DefaultSettings()
		if c.change != nil {
			c.change(&s)
		}
		env := Environment{Region: "r-1", Zones: c.have, DBVersion: c.want}
		err := o.choose(&env, s, open, c.present, "")
		switch {
		case c.err != "":
			if err == nil || !strings.Contains(err.Error()+"; "+hint.Of(err).String(), c.err) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s: error %v (next: %s), want one line with %q", name, err, hint.Of(err).String(), c.err)
			}
		case err != nil:
			t.Errorf("%s: %v", name, err)
		case env.Zones != c.zones || env.DBVersion != c.version:
			t.Errorf("%s: %v, %s", name, env.Zones, env.DBVersion)
		}
	}
}

func TestSilenceAboutOffersIsSaid(t *testing.T) {
	t.Parallel()
	env := Environment{Region: "r-1"}
	if err := (offers{noneListed: true}).choose(&env, provision.DefaultSettings(), []string{"r-1a", "r-1b"}, "", ""); err != nil {
		t.Fatal(err)
	}
	if env.Zones != [2]string{"r-1a", "r-1b"} || env.DBVersion != provision.DefaultDBVersion || len(env.Warnings) != 1 {
		t.Errorf("%+v", env)
	}
}

// TestANewDatabaseGetsTheVersionThatRDSCallsItsDefault has a class that is not offered for
// it, too.
func TestANewDatabaseGetsTheVersionThatRDSCallsItsDefault(t *testing.T) {
	t.Parallel()
	var o offers
	for _, version := range []string{"14.22", "16.10", "18.1"} {
		o.options = append(o.options, rdstypes.OrderableDBInstanceOption{EngineVersion: &version})
	}
	for standard, want := range map[string]string{"16": "16", "14": "14", "17": "18", "": "18"} {
		if got := o.preferred(standard); got != want {
			t.Errorf("where RDS says %q, it is %s and not %s", standard, got, want)
		}
	}
}
