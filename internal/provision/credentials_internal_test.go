package provision

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	rdstypes "github.com/aws/aws-sdk-go-v2/service/rds/types"
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

// TestWhatLeavesAFinalSnapshot goes by the list in RDS's guide.
func TestWhatLeavesAFinalSnapshot(t *testing.T) {
	t.Parallel()
	for status, leaves := range map[string]bool{
		"available": true, "stopped": true, "storage-full": true, "incompatible-parameters": true, "insufficient-capacity": true, "modifying": true,
		"failed": false, "incompatible-restore": false, "incompatible-network": false, "restore-error": false, "inaccessible-encryption-credentials": false,
	} {
		db := &rdstypes.DBInstance{DBInstanceIdentifier: aws.String("book-database"), DBInstanceStatus: &status, CopyTagsToSnapshot: aws.Bool(true)}
		d := databases{identity: identity{stack: "book"}}
		if err := d.removable(db, false); (err == nil) != leaves {
			t.Errorf("%s: %v", status, err)
		}
		if err := d.removable(db, true); err != nil {
			t.Errorf("%s, without a snapshot: %v", status, err)
		}
	}
}
