package provision_test

import (
	"encoding/json"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/bookctl/bookctl/internal/moto"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// TestADatabaseGetsTheNamesOfTheRun finds a secret of a run that created no database, and
// creates one with other names.
func TestADatabaseGetsTheNamesOfTheRun(t *testing.T) {
	t.Parallel()
	endpoint, ctx := moto.Start(t), t.Context()
	c := (&wire{}).clients(endpoint)
	const password = "the-first-runs-password"
	if _, err := c.Secrets.CreateSecret(ctx, &secretsmanager.CreateSecretInput{
		Name: aws.String("book/database"), SecretString: aws.String(`{"engine":"postgres","host":"","port":5432,"dbname":"flags","username":"anadmin","password":"` + password + `","note":"kept"}`),
		Tags: []types.Tag{{Key: aws.String("bookctl:stack"), Value: aws.String("book")}},
	}); err != nil {
		t.Fatal(err)
	}
	want := spec()
	want.DBUser, want.DBName = "clerk", "orders"
	s := wired(t, &wire{}, endpoint, want)
	if _, err := graph.Up(ctx, s.Resources(), soon(s)); err != nil {
		t.Fatal(err)
	}
	out, err := c.RDS.DescribeDBInstances(ctx, &rds.DescribeDBInstancesInput{})
	if err != nil {
		t.Fatal(err)
	}
	if db := out.DBInstances[0]; aws.ToString(db.MasterUsername) != "clerk" || aws.ToString(db.DBName) != "orders" {
		t.Errorf("the database has user %s and name %s", aws.ToString(db.MasterUsername), aws.ToString(db.DBName))
	}
	value, err := c.Secrets.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: aws.String("book/database")})
	if err != nil {
		t.Fatal(err)
	}
	var named struct{ DBName, Username, Password, Host, Note string }
	if err := json.Unmarshal([]byte(*value.SecretString), &named); err != nil {
		t.Fatal(err)
	}
	if named.DBName != "orders" || named.Username != "clerk" || named.Password != password || named.Host == "" || named.Note != "kept" {
		t.Errorf("the secret names %q at %q of user %q", named.DBName, named.Host, named.Username)
	}
}
