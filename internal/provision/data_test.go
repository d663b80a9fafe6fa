package provision_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	secrettypes "github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/inventory"
	"github.com/bookctl/bookctl/internal/moto"
	"github.com/bookctl/bookctl/internal/provision"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// data is what the tests of the data share: the stack's things, read with
// AWS's own calls.
type data struct {
	*testing.T
	endpoint string
	c        provision.Clients
}

func (d data) must(err error) {
	d.Helper()
	if err != nil {
		d.Fatal(err)
	}
}

// secret is the secret's fields and its version.
func (d data) secret() (fields map[string]any, version string) {
	d.Helper()
	out, err := d.c.Secrets.GetSecretValue(d.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("book/database")})
	d.must(err)
	d.must(json.Unmarshal([]byte(*out.SecretString), &fields))
	return fields, *out.VersionId
}

// applied is the version of the secret that the database notes.
func (d data) applied() string {
	d.Helper()
	out, err := d.c.RDS.DescribeDBInstances(d.Context(), &rds.DescribeDBInstancesInput{DBInstanceIdentifier: aws.String("book-database")})
	d.must(err)
	for _, t := range out.DBInstances[0].TagList {
		if *t.Key == provision.TagSecretVersion {
			return *t.Value
		}
	}
	return ""
}

func (d data) snapshots() (ids []string) {
	d.Helper()
	out, err := d.c.RDS.DescribeDBSnapshots(d.Context(), &rds.DescribeDBSnapshotsInput{SnapshotType: aws.String("manual")})
	d.must(err)
	for _, s := range out.DBSnapshots {
		ids = append(ids, *s.DBSnapshotIdentifier)
	}
	slices.Sort(ids)
	return ids
}

func (d data) end(spec provision.Spec) error {
	d.Helper()
	s := wired(d.T, &wire{}, d.endpoint, spec)
	_, err := graph.Destroy(d.Context(), s.Resources(), soon(s))
	return err
}

// TestDataOutlivesTheStack follows a database from its first password to the
// last snapshot.
func TestDataOutlivesTheStack(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	endpoint := moto.Start(t)
	d := data{t, endpoint, (&wire{}).clients(endpoint)}
	ctx := t.Context()
	up(t, endpoint)

	// The secret says where the database is, and the database has its password.
	first, version := d.secret()
	if host, _ := first["host"].(string); !strings.HasPrefix(host, "book-database.") || d.applied() != version {
		t.Fatalf("the secret names host %q, and the database notes version %q of %q", host, d.applied(), version)
	}
	left, err := provision.Inventory(ctx, d.c, "book")
	d.must(err)
	kinds := map[string]int{}
	for _, l := range left {
		kinds[l.Type]++
	}
	for kind, n := range map[string]int{
		"vpc": 1, "subnet": 4, "internet gateway": 1, "route table": 2, "security group": 3, "load balancer": 1, "target group": 1, "cluster": 1,
		"task definition": 1, "database": 1, "DB subnet group": 1, "DB parameter group": 1, "secret": 1, "log group": 2, "repository": 1, "role": 2,
	} {
		if kinds[kind] != n {
			t.Errorf("of a whole stack %d %s are listed, want %d", kinds[kind], kind, n)
		}
	}

	// Rotation: a new password in both, the rest as it was, nothing to repair.
	d.must(provision.RotatePassword(ctx, d.c, "book", func(string) {}))
	second, version := d.secret()
	if second["password"] == first["password"] || second["host"] != first["host"] || d.applied() != version {
		t.Error("after a rotation secret and database don't fit, or the password is the old one")
	}
	// The rotation was cut off here: new tasks are still to come.
	restart := []string{"UpdateService", "TagResource"}
	if writes := up(t, endpoint); !slices.Equal(writes, restart) {
		t.Errorf("after half a rotation up wrote %v", writes)
	}
	if writes := up(t, endpoint); writes != nil {
		t.Errorf("after a rotation up wrote %v", writes)
	}
	// A secret changed by hand is the truth.
	second["password"] = "changedbyhand"
	text, err := json.Marshal(second)
	d.must(err)
	_, err = d.c.Secrets.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: aws.String("book/database"), SecretString: aws.String(string(text))})
	d.must(err)
	if writes := up(t, endpoint); !slices.Equal(writes, append([]string{"ModifyDBInstance", "AddTagsToResource"}, restart...)) {
		t.Errorf("the new password was given to the database by %v", writes)
	}
	third, version := d.secret()
	if third["password"] != "changedbyhand" || d.applied() != version {
		t.Error("the secret was not taken for the truth")
	}

	// Protected: refused before anything is touched.
	protect := func(on bool) {
		t.Helper()
		_, err := d.c.RDS.ModifyDBInstance(ctx, &rds.ModifyDBInstanceInput{DBInstanceIdentifier: aws.String("book-database"), DeletionProtection: &on})
		d.must(err)
	}
	protect(true)
	if err := provision.CheckDestroy(ctx, d.c, "book", provision.Deployed{}, false); !errors.Is(err, provision.ErrProtected) || !strings.Contains(hint.Of(err).String(), "--protect=false") {
		t.Errorf("a protected database: %v", err)
	}
	protect(false)
	d.must(provision.CheckDestroy(ctx, d.c, "book", provision.Deployed{}, false))
	// Stopped: it leaves a final snapshot all the same. That one does is for the local
	// cloud to show (TestAStoppedDatabaseLeavesItsSnapshot): moto has no rule for it.
	_, err = d.c.RDS.StopDBInstance(ctx, &rds.StopDBInstanceInput{DBInstanceIdentifier: aws.String("book-database")})
	d.must(err)
	for _, purge := range []bool{false, true} {
		if err := provision.CheckDestroy(ctx, d.c, "book", provision.Deployed{}, purge); err != nil {
			t.Errorf("a stopped database (purge: %v): %v", purge, err)
		}
	}
	_, err = d.c.RDS.StartDBInstance(ctx, &rds.StartDBInstanceInput{DBInstanceIdentifier: aws.String("book-database")})
	d.must(err)

	// Snapshots: one that somebody took of it, and one that is another stack's.
	for name, tags := range map[string][]types.Tag{"by-hand": nil, "of-another": {{Key: aws.String(provision.TagStack), Value: aws.String("other")}}} {
		_, err := d.c.RDS.CreateDBSnapshot(ctx, &rds.CreateDBSnapshotInput{DBInstanceIdentifier: aws.String("book-database"), DBSnapshotIdentifier: &name, Tags: tags})
		d.must(err)
	}
	d.must(d.end(spec()))
	all, err := provision.Snapshots(ctx, d.c.RDS, "book")
	d.must(err)
	var final []string
	for _, s := range all {
		if s.Kind == provision.FinalSnapshot {
			final = append(final, s.ID)
		}
	}
	if len(final) != 1 || len(all) != 2 || all[0].GiB != 20 || time.Since(all[1].Created) > time.Hour {
		t.Errorf("after destroy the snapshots are %+v", all)
	}
	if left, err = provision.Inventory(ctx, d.c, "book"); err != nil || slices.ContainsFunc(left, func(l inventory.Item) bool { return !l.Kept }) {
		t.Errorf("destroy left %v, %v", left, err)
	}

	// Restored: the data is back, with the password of a new secret.
	again := spec()
	again.Restore = "latest"
	s := wired(t, &wire{}, endpoint, again)
	if _, err := graph.Up(ctx, s.Resources(), soon(s)); err != nil {
		t.Fatal(err)
	}
	fourth, version := d.secret()
	if fourth["password"] == third["password"] || d.applied() != version {
		t.Error("the restored database has not the new secret's password")
	}
	if writes := up(t, endpoint); writes != nil {
		t.Errorf("after a restore up wrote %v", writes)
	}

	// Purged: all that is the stack's, and nothing else.
	lose := spec()
	lose.SkipFinalSnapshot = true
	d.must(d.end(lose))
	removed, err := provision.PurgeSnapshots(ctx, d.c.RDS, "book", nil)
	d.must(err)
	if ids := d.snapshots(); len(removed) != 2 || !slices.Equal(ids, []string{"of-another"}) {
		t.Errorf("purge removed %v and left %v", removed, ids)
	}

	// Strays of a create whose answer was lost go; another stack's stay.
	for _, owner := range []string{"book", "other"} {
		tags := func(kind ec2types.ResourceType, resource string) []ec2types.TagSpecification {
			return []ec2types.TagSpecification{{ResourceType: kind, Tags: []ec2types.Tag{
				{Key: aws.String(provision.TagStack), Value: &owner}, {Key: aws.String(provision.TagResource), Value: &resource},
			}}}
		}
		vpc, err := d.c.EC2.CreateVpc(ctx, &ec2.CreateVpcInput{CidrBlock: aws.String("10.0.0.0/16"), TagSpecifications: tags(ec2types.ResourceTypeVpc, "vpc")})
		d.must(err)
		_, err = d.c.EC2.CreateSubnet(ctx, &ec2.CreateSubnetInput{VpcId: vpc.Vpc.VpcId, CidrBlock: aws.String("10.0.0.0/24"), TagSpecifications: tags(ec2types.ResourceTypeSubnet, "subnet-public-a")})
		d.must(err)
		gateway, err := d.c.EC2.CreateInternetGateway(ctx, &ec2.CreateInternetGatewayInput{TagSpecifications: tags(ec2types.ResourceTypeInternetGateway, "internet-gateway")})
		d.must(err)
		_, err = d.c.EC2.AttachInternetGateway(ctx, &ec2.AttachInternetGatewayInput{VpcId: vpc.Vpc.VpcId, InternetGatewayId: gateway.InternetGateway.InternetGatewayId})
		d.must(err)
	}
	swept, left, err := provision.Sweep(ctx, d.c, "book", time.Second, nil)
	if err != nil || len(swept) != 3 || slices.ContainsFunc(left, func(l inventory.Item) bool { return !l.Kept }) {
		t.Errorf("swept %v, left %v: %v", swept, left, err)
	}
	if others, err := provision.Inventory(ctx, d.c, "other"); err != nil || len(others) != 3 {
		t.Errorf("of another stack there are %v, %v", others, err)
	}
}

// TestAPasswordThatRDSSetsIsNotRotated has somebody let RDS manage the password, which then
// refuses another one: the secret keeps what it has. Before that, RDS would refuse the password
// that somebody has put into the secret. No password is to be typed into a command line.
func TestAPasswordThatRDSSetsIsNotRotated(t *testing.T) {
	if testing.Short() {
		t.Skip("slow")
	}
	t.Parallel()
	endpoint := moto.Start(t)
	d := data{t, endpoint, (&wire{}).clients(endpoint)}
	secret, err := d.c.Secrets.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{
		Name: aws.String("book/database"), SecretString: aws.String("sh/ort"), Tags: []secrettypes.Tag{{Key: aws.String(provision.TagStack), Value: aws.String("book")}},
	})
	d.must(err)
	stack := wired(t, &wire{}, endpoint, spec())
	const put = "'aws secretsmanager put-secret-value --secret-id book/database --secret-string file:///dev/stdin' reads it from its input"
	if _, err := graph.Up(t.Context(), stack.Resources(), soon(stack)); !strings.Contains(hint.Of(err).String(), put) {
		t.Errorf("with a password that RDS refuses: %v; next: %s", err, hint.Of(err))
	}
	_, err = d.c.Secrets.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: secret.ARN, SecretString: aws.String("Pass-word1")})
	d.must(err)
	up(t, endpoint)
	_, before := d.secret()
	_, err = d.c.RDS.ModifyDBInstance(t.Context(), &rds.ModifyDBInstanceInput{DBInstanceIdentifier: aws.String("book-database"), ManageMasterUserPassword: aws.Bool(true)})
	d.must(err)
	err = provision.RotatePassword(t.Context(), d.c, "book", func(string) {})
	if err == nil || !strings.Contains(err.Error(), "RDS sets its password by itself") {
		t.Errorf("a rotation: %v", err)
	}
	const off = "'aws rds modify-db-instance --db-instance-identifier book-database --no-manage-master-user-password --master-user-password file:///dev/stdin' turns that off"
	if next := hint.Of(err).String(); !strings.Contains(next, off) || !strings.Contains(next, "then 'bookctl db rotate-password'") {
		t.Errorf("next: %s", next)
	}
	if _, version := d.secret(); version != before {
		t.Error("the secret has a new password, which the database has not")
	}
}
