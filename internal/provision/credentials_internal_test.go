package provision

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	rdstypes "github.com/aws/aws-sdk-go-v2/service/rds/types"

	"github.com/bookctl/bookctl/internal/hint"
)

func TestASecretIsReadInEveryFormThatAWSShows(t *testing.T) {
	t.Parallel()
	whole := credentials{Engine: "postgres", Host: "h", Port: 5433, DBName: "books", Username: "u", Password: "Pass-word1"}
	for text, want := range map[string]credentials{
		`{"engine":"postgres","host":"h","port":5433,"dbname":"books","username":"u","password":"Pass-word1"}`:                              whole,
		`{"engine":"postgres","host":"h","port":"5433","dbname":"books","username":"u","password":"Pass-word1"}`:                            whole,
		` {"engine":"postgres","host":"h","port":5433,"dbname":"books","username":"u","password":"Pass-word1","masterarn":"a","n":{"x":1}}`: whole,
		`{"username":"u","password":"Pass-word1"}`: {Username: "u", Port: 5432, Password: "Pass-word1"},
		`{"port":null,"password":12345678}`:        {Port: 5432, Password: "12345678"},
		`{"port":"no number","password":"p"}`:      {Password: "p"},
		"Plain-text\n":                             {Password: "Plain-text"},
	} {
		got, err := parseCredentials(text)
		got.extra = nil
		if err != nil || fmt.Sprint(got, got.Password) != fmt.Sprint(want, want.Password) || got.Port != want.Port {
			t.Errorf("%s: %v with %q, %v; want %v", text, got, got.Password, err, want)
		}
	}
	for _, text := range []string{"", " \n", "{}", `{"password":""}`, `{"password":"Pass-word1"`, `{"password":["Pass-word1"]}`} {
		if _, err := parseCredentials(text); !errors.Is(err, errNoPassword) || strings.Contains(err.Error(), "Pass") {
			t.Errorf("%q: %v", text, err)
		}
	}
	c, err := parseCredentials(`{"password":"Pass-word1","port":"1","masterarn":"a","n":{"x":1}}`)
	if err != nil {
		t.Fatal(err)
	}
	c.Host, c.Password = "new", "New-word1"
	text, err := c.value()
	if err != nil {
		t.Fatal(err)
	}
	var back map[string]any
	if err := json.Unmarshal([]byte(text), &back); err != nil {
		t.Fatal(err)
	}
	if back["masterarn"] != "a" || back["host"] != "new" || back["port"] != 1.0 || back["password"] != "New-word1" || fmt.Sprint(back["n"]) != "map[x:1]" {
		t.Errorf("written: %v", back)
	}
}

func TestPasswordsThatRDSRefusesAreKnown(t *testing.T) {
	t.Parallel()
	for password, good := range map[string]bool{
		"Pass-word1": true, strings.Repeat("a", 8): true, strings.Repeat("a", 128): true, `!#$%&'()*+,-.:;<=>?[\]^_{|}~`: true,
		strings.Repeat("a", 7): false, strings.Repeat("a", 129): false, "with/slash": false, "with@sign": false, `with"quote`: false, "with space": false, "wíth-accent": false, "": false,
	} {
		if why := badPassword(password); (why == "") != good {
			t.Errorf("%q: %q", password, why)
		}
	}
}

// TestWhatLeavesAFinalSnapshot goes by the list in RDS's guide. Without capacity, RDS has created
// no instance, of which there could be a snapshot, unless it has run before.
func TestWhatLeavesAFinalSnapshot(t *testing.T) {
	t.Parallel()
	for state, leaves := range map[string]bool{
		"available": true, "stopped": true, "storage-full": true, "incompatible-parameters": true, "insufficient-capacity that ran": true, "modifying": true,
		"failed": false, "incompatible-restore": false, "incompatible-network": false, "restore-error": false, "inaccessible-encryption-credentials": false,
		"insufficient-capacity": false,
	} {
		status, ran := strings.CutSuffix(state, " that ran")
		db := &rdstypes.DBInstance{DBInstanceIdentifier: aws.String("book-database"), DBInstanceStatus: &status, CopyTagsToSnapshot: aws.Bool(true)}
		if ran {
			db.InstanceCreateTime = aws.Time(time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC))
		}
		d := rdsAccess{identity: identity{stack: "book"}}
		if err := d.removable(db, false); (err == nil) != leaves {
			t.Errorf("%s: %v", state, err)
		}
		if err := d.removable(db, true); err != nil {
			t.Errorf("%s, without a snapshot: %v", state, err)
		}
	}
}

// TestTheDataOfABrokenDatabaseIsKept goes by what RDS's guide says of these states: what is
// said next must not delete the snapshots and backups that the data is in, and says so of what
// does.
func TestTheDataOfABrokenDatabaseIsKept(t *testing.T) {
	t.Parallel()
	const (
		alone = "'aws rds delete-db-instance --db-instance-identifier book-database --skip-final-snapshot --no-delete-automated-backups' deletes it alone"
		all   = "'bookctl destroy --purge-snapshots' deletes it with every snapshot and backup of the stack"
		pitr  = "first recover its data of 2026-11-30T12:00:00Z: 'aws rds restore-db-instance-to-point-in-time --source-db-instance-identifier book-database " +
			"--target-db-instance-identifier book-database-recovered --use-latest-restorable-time --no-publicly-accessible --db-subnet-group-name book-database'; " +
			"once that is available, 'aws rds create-db-snapshot --db-instance-identifier book-database-recovered --db-snapshot-identifier book-database-recovered'"
		key        = "enable its KMS key, without which no snapshot or backup of it can be restored; "
		start      = "enable the key, or cancel its deletion; then, within seven days of that state, 'aws rds start-db-instance --db-instance-identifier book-database'"
		protection = "'aws rds modify-db-instance --db-instance-identifier book-database --no-deletion-protection' turns its protection off"
		latest     = "once it is gone, 'bookctl up --restore latest' starts from the newest snapshot"
	)
	d := rdsAccess{identity: identity{stack: "book"}}
	for _, c := range []struct {
		status           string
		backups, protect bool
		restore          string
		up, destroy      []string
	}{
		{status: "restore-error", up: []string{alone, latest}, destroy: []string{alone, "then 'bookctl destroy' deletes the rest", all}},
		{status: "restore-error", restore: "old", up: []string{alone, "once it is gone, the same command restores old again"}},
		{status: "incompatible-restore", up: []string{alone, latest}, destroy: []string{alone, all}},
		{status: "incompatible-restore", protect: true, up: []string{protection, alone}},
		{status: "failed", up: []string{alone, latest}, destroy: []string{alone, all}},
		{status: "failed", backups: true, up: []string{pitr, alone, "once it is gone, 'bookctl up --restore book-database-recovered' starts from what was recovered"}, destroy: []string{pitr, alone, all}},
		{status: "inaccessible-encryption-credentials-recoverable", up: []string{start, "run the same command again"}, destroy: []string{start, all}},
		{status: "inaccessible-encryption-credentials", up: []string{key, alone, latest}, destroy: []string{key, alone, all}},
		{status: "inaccessible-encryption-credentials", backups: true, up: []string{key + pitr, alone, "'bookctl up --restore book-database-recovered' starts from what was recovered"}, destroy: []string{key + pitr, alone, all}},
		{status: "insufficient-capacity", up: []string{alone, "'bookctl up --db-class CLASS'"}, destroy: []string{alone, "then 'bookctl destroy' deletes the rest", all}},
		{status: "incompatible-network", up: []string{"describe-events"}, destroy: []string{"describe-events", all}},
	} {
		db := &rdstypes.DBInstance{
			DBInstanceIdentifier: aws.String("book-database"), DBInstanceStatus: &c.status, CopyTagsToSnapshot: aws.Bool(true), DeletionProtection: &c.protect,
			DBSubnetGroup: &rdstypes.DBSubnetGroup{DBSubnetGroupName: aws.String("book-database")},
		}
		if c.backups {
			db.LatestRestorableTime = aws.Time(time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC))
		}
		up := d.remedy(db, c.restore).String()
		for _, says := range c.up {
			if !strings.Contains(up, says) {
				t.Errorf("%s: up says\n\t%s\nwithout\n\t%s", c.status, up, says)
			}
		}
		destroy := hint.Of(d.removable(db, false)).String()
		for _, says := range c.destroy {
			if !strings.Contains(destroy, says) {
				t.Errorf("%s: destroy says\n\t%s\nwithout\n\t%s", c.status, destroy, says)
			}
		}
	}
}

// TestAPasswordIsReadWhereTheSystemHasIt has the next steps with a password on Windows, where no
// file is the input of a program.
func TestAPasswordIsReadWhereTheSystemHasIt(t *testing.T) {
	t.Parallel()
	ident := identity{stack: "book"}
	for system, want := range map[string]string{"windows": "file://password.txt", "linux": "file:///dev/stdin", "darwin": "file:///dev/stdin"} {
		in := passwordsOn(system)
		for _, said := range []string{rdsAccess{identity: ident}.unmanaged(in).String(), (&Secret{identity: ident}).filled(in).String()} {
			if !strings.Contains(said, want+"'") || strings.Contains(said, "/dev/stdin") != (want != "file://password.txt") || strings.Contains(said, "openssl") && system == "windows" {
				t.Errorf("on %s: %s", system, said)
			}
		}
	}
}
