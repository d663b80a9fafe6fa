package cli_test

import (
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/google/go-cmp/cmp"
)

// twoMajors makes a shell whose local cloud has another major version of PostgreSQL
// besides the machine's, to which that can be upgraded.
func twoMajors(t *testing.T) (s *shell, older, newer string) {
	t.Helper()
	if testing.Short() {
		t.Skip("slow")
	}
	bin, err := filepath.Abs("../../.tools/postgres/14/bin")
	if err != nil {
		t.Fatal(err)
	}
	if bin, err = filepath.EvalSymlinks(bin); err != nil {
		lacks(t, runtime.GOOS == "linux" && runtime.GOARCH == "amd64", fmt.Sprintf("no second major version of PostgreSQL here: %v: .ci/setup installs it", err))
	}
	return newShell(t, "BOOKCTL_LOCAL_POSTGRES="+bin), "14", postgresHere(t)
}

// addBook writes a row through the API, and readBook looks for it.
func addBook(t *testing.T, url, name string) {
	t.Helper()
	if code, body := call(t, "POST", url+"/books", fmt.Sprintf(`{"name":%q,"author":"A"}`, name)); code != 201 {
		t.Fatalf("POST: %d %s", code, body)
	}
}

func readBook(t *testing.T, url, name string) {
	t.Helper()
	if code, body := call(t, "GET", url+"/books/"+name, ""); code != 200 {
		t.Errorf("GET %s: %d %s", name, code, body)
	}
}

// groupsOf are the names of the stack's parameter groups.
func (s *shell) groupsOf(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, g := range done[*rds.DescribeDBParameterGroupsOutput](t)(rds.NewFromConfig(s.config()).DescribeDBParameterGroups(t.Context(), &rds.DescribeDBParameterGroupsInput{})).DBParameterGroups {
		if !strings.HasPrefix(*g.DBParameterGroupName, "default.") {
			names = append(names, *g.DBParameterGroupName)
		}
	}
	return names
}

// TestADatabaseIsUpgradedToAnotherMajorVersion has what is in the way reported, and data
// that outlives it all.
func TestADatabaseIsUpgradedToAnotherMajorVersion(t *testing.T) {
	t.Parallel()
	s, older, newer := twoMajors(t)
	s.must("local", "start")
	before := s.inventory()
	url := s.up("--db-version", older)
	addBook(t, url, "Dune")
	known := s.secret(t)
	version := func(want string) {
		t.Helper()
		if got := s.psql(t, known, "show server_version"); !strings.HasPrefix(got, want) {
			t.Errorf("the server is PostgreSQL %s, not %s", got, want)
		}
	}
	version(older)

	plan := s.run("plan", "--local", "--db-version", newer)
	plan.err += plan.out
	plan.says(t, 2, "version: "+older+".", " → "+newer+" (the database is unavailable during the upgrade, usually for about ten minutes, and the only way back is the snapshot",
		"upgrade-snapshot", "parameter-group: book-database → book-database-postgres"+newer)
	s.run("plan", "--local", "--db-version", "99").says(t, 1, "RDS does not upgrade PostgreSQL "+older+".", "to 99", "choose one of --db-version "+newer)

	// What pg_upgrade can't move.
	s.psql(t, known, "create table calls (what regproc)")
	s.run("up", "--local", "--db-version", newer).says(t, 1, "the database stays PostgreSQL "+older+".", "RDS did not upgrade it to "+newer+".", "reg* data types", "public.calls.what")
	version(older)
	readBook(t, url, "Dune")
	if got := s.groupsOf(t); !cmp.Equal(got, []string{"book-database", "book-database-postgres" + newer}) {
		t.Errorf("the groups are %v", got)
	}
	s.psql(t, known, "drop table calls")

	s.up("--db-version", newer)
	version(newer)
	readBook(t, url, "Dune")
	addBook(t, url, "Emma")
	if got := s.groupsOf(t); !cmp.Equal(got, []string{"book-database-postgres" + newer}) {
		t.Errorf("the groups are %v", got)
	}
	if r := s.run("plan", "--local"); r.code != 0 || !strings.Contains(r.out, "Nothing to do") {
		t.Errorf("plan: exit code %d\n%s%s", r.code, r.out, r.err)
	}
	s.run("plan", "--local", "--db-version", older).says(t, 1, "can't be downgraded to "+older)
	if r := s.run("status", "--local"); r.code != 0 || !strings.Contains(r.out, "PostgreSQL "+newer+".") {
		t.Errorf("status: exit code %d\n%s%s", r.code, r.out, r.err)
	}
	snapshots := s.must("db", "snapshots", "--local")
	if !strings.Contains(snapshots, "book-final-of-") {
		t.Errorf("the snapshots are\n%s", snapshots)
	}
	at := strings.Index(snapshots, "book-final-of-")
	snapshot := strings.Fields(snapshots[at:])[0]

	// The way back: the snapshot of the older version, in a stack of its own.
	s.run("plan", "--local", "--stack", "old", "--restore", snapshot, "--db-version", newer).says(t, 1, "it is restored into its own version", "once it serves")
	old := s.up("--stack", "old", "--restore", snapshot)
	readBook(t, old, "Dune")
	s.must("destroy", "--local", "--stack", "old", "--yes", "--purge-snapshots")

	s.run("destroy", "--local", "--yes").says(t, 0, "Kept, with your data", snapshot)
	s.must("destroy", "--local", "--yes", "--purge-snapshots")
	if diff := cmp.Diff(before, s.inventory()); diff != "" {
		t.Errorf("the account differs after destroy (-before +after):\n%s", diff)
	}
}

// TestAnUpgradeThatIsKilledGoesOn kills the run, and then the cloud with pg_upgrade at
// work.
func TestAnUpgradeThatIsKilledGoesOn(t *testing.T) {
	t.Parallel()
	s, older, newer := twoMajors(t)
	s.must("local", "start")
	url := s.up("--db-version", older)
	addBook(t, url, "Dune")
	atWork := func() bool {
		return slices.ContainsFunc(slices.Collect(maps.Values(s.programs(t))), func(line string) bool { return strings.Contains(line, "pg_upgrade") })
	}
	up := s.begin(t, "up", "--local", "--db-version", newer)
	until(t, "pg_upgrade is at work", atWork)
	var info struct{ PID int }
	decode(t, s.must("local", "status", "--output", "json"), &info)
	if err := up.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	up.end(t)
	kill(t, info.PID)
	until(t, "the cloud is gone", func() bool { return syscall.Kill(info.PID, 0) != nil })
	s.must("local", "start")
	// The killed run's lock is known to be dead; what it asked for goes on meanwhile.
	s.up("--db-version", newer)
	if got := s.psql(t, s.secret(t), "show server_version"); !strings.HasPrefix(got, newer) {
		t.Errorf("the server is PostgreSQL %s, not %s", got, newer)
	}
	until(t, "the service answers", func() bool {
		code, _ := call(t, "GET", url+"/books/Dune", "")
		return code == 200
	})
	if got := s.groupsOf(t); !cmp.Equal(got, []string{"book-database-postgres" + newer}) {
		t.Errorf("the groups are %v", got)
	}
	if found := strings.Count(s.must("db", "snapshots", "--local"), "book-final-of-"); found != 1 {
		t.Errorf("there are %d snapshots of before the upgrade", found)
	}
}

// TestExtendedSupportIsAnnouncedBeforeItBegins has a version whose standard support ends
// within a year, or is over, and one whose support lasts.
func TestExtendedSupportIsAnnouncedBeforeItBegins(t *testing.T) {
	t.Parallel()
	s, older, newer := twoMajors(t)
	s.must("local", "start")
	s.run("plan", "--local", "--db-version", older).says(t, 2, "the standard support of PostgreSQL "+older, "on 2027-02-28", "extended support, about $146.00 a month for db.t4g.micro", "'bookctl up --local --db-version N' upgrades it")
	if r := s.run("plan", "--local", "--db-version", newer); strings.Contains(r.err, "extended support") {
		t.Errorf("of PostgreSQL %s:\n%s", newer, r.err)
	}
	s.up(append(imageless(), "--db-version", older)...)
	if out := s.run("status", "--local").out; !strings.Contains(out, "on 2027-02-28") {
		t.Errorf("status:\n%s", out)
	}

	// As of AWS, with prices: a line from a year before, that costs nothing yet.
	cfg := s.config()
	s.env = append(s.env, "AWS_ENDPOINT_URL="+*cfg.BaseEndpoint, "AWS_REGION="+cfg.Region, "AWS_ACCESS_KEY_ID=hand", "AWS_SECRET_ACCESS_KEY=hand")
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"plan", "--stack", "another", "--db-version", older, "--db-multi-az"}, `extended support +0\.00 +0\.00 +292\.00 from 2027-03-01, unless the database is upgraded before; 584\.00 from 2029-03-01`},
		{[]string{"plan"}, `extended support +0\.00 +0\.00 +146\.00 from 2027-03-01`},
		{[]string{"plan", "--db-version", newer}, `extended support +0\.00 +0\.00`},
		{[]string{"status"}, `the standard support of PostgreSQL ` + older + ` ends on 2027-02-28: from then on RDS charges extended support, about \$146\.00 a month`},
	} {
		if out := s.run(tc.args...).out; !regexp.MustCompile(tc.want).MatchString(out) {
			t.Errorf("%v does not show %s:\n%s", tc.args, tc.want, out)
		}
	}
	const without = "'aws rds modify-db-instance --db-instance-identifier book-database --engine-lifecycle-support open-source-rds-extended-support-disabled' disables extended support"
	if out := s.run("status").out; !strings.Contains(out, without) {
		t.Errorf("status does not show %s:\n%s", without, out)
	}
	done[*rds.ModifyDBInstanceOutput](t)(rds.NewFromConfig(cfg).ModifyDBInstance(t.Context(), &rds.ModifyDBInstanceInput{
		DBInstanceIdentifier: aws.String("book-database"), EngineLifecycleSupport: aws.String("open-source-rds-extended-support-disabled"),
	}))
	const byItself = "extended support is disabled, and RDS upgrades the database to a later major version by itself"
	for _, command := range []string{"plan", "status"} {
		if r := s.run(command); !strings.Contains(r.out+r.err, byItself) || strings.Contains(r.out+r.err, "charges") || regexp.MustCompile(`extended support +0\.00`).MatchString(r.out) {
			t.Errorf("%s of a database that is not enrolled:\n%s%s", command, r.out, r.err)
		}
	}

	if out := s.run("plan", "--stack", "another", "--db-version", newer).out; strings.Contains(out, "extended support") || !strings.Contains(out, "database storage") {
		t.Errorf("a plan of PostgreSQL %s:\n%s", newer, out)
	}
}
