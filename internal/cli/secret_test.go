package cli_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// TestASecretThatPeopleEditIsTaken puts into the secret what AWS's own pages show and
// what goes wrong when people type.
func TestASecretThatPeopleEditIsTaken(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	h := s.byHand(t, nil)
	url := s.up()
	was := s.secret(t)
	put := func(value string) {
		t.Helper()
		h.must(ok(secretsmanager.NewFromConfig(h.Config).PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: aws.String("book/database"), SecretString: &value})))
	}
	raw := func() (fields map[string]any) {
		t.Helper()
		out, err := secretsmanager.NewFromConfig(h.Config).GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("book/database")})
		h.must(err)
		h.must(json.Unmarshal([]byte(*out.SecretString), &fields))
		return fields
	}
	// taken reports that the whole stack works with the password.
	taken := func(password string) {
		t.Helper()
		if r := s.run("status", "--local"); r.code != 0 {
			t.Errorf("status: exit code %d\n%s%s", r.code, r.out, r.err)
		}
		if r := s.run("plan", "--local"); r.code != 2 || strings.Contains(r.out+r.err, password) {
			t.Errorf("plan: exit code %d\n%s%s", r.code, r.out, r.err)
		}
		r := s.run("up", "--local")
		r.says(t, 0, "updated")
		if strings.Contains(r.out+r.err, password) {
			t.Error("up printed the password")
		}
		if raw()["password"] != password {
			t.Error("the password is another one")
		}
		by := was
		by.Password = password
		if got := s.psql(t, by, "select 1"); got != "1" {
			t.Errorf("psql: %q", got)
		}
		s.run("up", "--local").says(t, 0, "0 changed")
		if code, _ := call(t, "GET", url+"/books", ""); code != http.StatusOK {
			t.Errorf("the service answers %d", code)
		}
	}
	put(fmt.Sprintf(`{"engine":"postgres","host":%q,"port":"%d","dbname":"books","username":%q,"password":"By-hand-as-AWS-shows-it","masterarn":"arn:x","tags":["a"]}`, was.Host, was.Port, was.Username))
	taken("By-hand-as-AWS-shows-it")
	put("Plain-text-by-the-console")
	taken("Plain-text-by-the-console")
	value := raw()
	value["note"] = "kept"
	text, err := json.Marshal(value)
	h.must(err)
	put(string(text))
	s.must("db", "rotate-password", "--local")
	if value := raw(); value["note"] != "kept" || value["password"] == "Plain-text-by-the-console" {
		t.Errorf("after a rotation the note is %v", value["note"])
	}

	refused := func(value, why string) {
		t.Helper()
		put(value)
		if r := s.run("status", "--local"); !strings.Contains(r.out, "password") || strings.Contains(r.out+r.err, value) {
			t.Errorf("status: exit code %d\n%s%s", r.code, r.out, r.err)
		}
		s.run("up", "--local").says(t, 1, why, "\nnext: 'bookctl db rotate-password --local' gives secret and database a new password")
		s.must("db", "rotate-password", "--local")
		s.run("up", "--local").says(t, 0, "0 changed")
		if got := s.psql(t, s.secret(t), "select 1"); got != "1" {
			t.Errorf("psql after the rotation: %q", got)
		}
	}
	refused(`with/slash@"and spaces"`, `RDS takes no / @ "`)
	refused(`{"password": "cut off`, "it is not valid JSON")

	// A destroy needs nothing of it.
	put(`{"password": "cut off`)
	h.faults(map[string]any{"deny": []string{"secretsmanager:GetSecretValue"}})
	s.run("destroy", "--local", "--yes").says(t, 0, " 0 left", "a final snapshot taken")
}

// TestAStoppedDatabaseLeavesItsSnapshot stops the database by hand before a destroy.
func TestAStoppedDatabaseLeavesItsSnapshot(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	h := s.byHand(t, nil)
	s.up(imageless()...)
	client, name := rds.NewFromConfig(h.Config), aws.String("book-database")
	stop := func() {
		t.Helper()
		h.database()
		h.must(ok(client.StopDBInstance(t.Context(), &rds.StopDBInstanceInput{DBInstanceIdentifier: name})))
		until(t, "the database is stopped", func() bool {
			return strings.Contains(strings.Join(h.inventory(), "\n"), "database book-database stopped")
		})
	}
	h.modify(rds.ModifyDBInstanceInput{CopyTagsToSnapshot: aws.Bool(false)})
	stop()
	before := h.inventory()
	s.run("destroy", "--local", "--yes").says(t, 1, "is stopped", "'bookctl up --local' starts it")
	h.same("a destroy that was refused", before)
	s.run("up", "--local", "--wait=false").says(t, 0, "state: stopped → running", "updated")
	stop()
	s.run("destroy", "--local", "--yes").says(t, 0, " 0 left", "a final snapshot taken")
}

// TestARotationOfNothingLeavesNothing: the run lock is a parameter that stays.
func TestARotationOfNothingLeavesNothing(t *testing.T) {
	t.Parallel()
	s := newShell(t)
	h := s.byHand(t, nil)
	before := h.inventory()
	s.run("db", "rotate-password", "--local").says(t, 1, "there is no stack book", "'bookctl up --local' creates it")
	h.same("a rotation of nothing has left something", before)
}

// TestARotationGivesTheDatabaseThePasswordThatItStored rotates a password while Secrets Manager still
// returns the one before.
func TestARotationGivesTheDatabaseThePasswordThatItStored(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	s := newShell(t)
	h := s.byHand(t, nil)
	s.up()
	until(t, "the database is available", func() bool { return h.databaseStatus() == "available" })
	before := s.secret(t)
	h.faults(map[string]any{"secretValueSeconds": 8})
	s.run("db", "rotate-password", "--local", "--timeout", "2m").says(t, 0, "all tasks use it")
	h.faults(nil)
	after := s.secret(t)
	if after.Password == before.Password {
		t.Error("the secret has the password from before")
	}
	if got := s.psql(t, after, "select 1"); got != "1" {
		t.Errorf("psql with the password of the secret: %q", got)
	}
	s.run("up", "--local").says(t, 0, "0 changed")
}
