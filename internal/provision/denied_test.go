package provision_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	rdstypes "github.com/aws/aws-sdk-go-v2/service/rds/types"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/moto"
	"github.com/bookctl/bookctl/internal/provision"
)

// refusing answers requests whose body has a text as IAM has them answered that
// allows them not.
type refusing struct{ text, answer string }

func (r refusing) RoundTrip(req *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	if text := req.Header.Get("X-Amz-Target") + string(body); strings.Contains(text, r.text) {
		return &http.Response{
			StatusCode: http.StatusForbidden, Header: http.Header{"Content-Type": {"application/x-amz-json-1.1"}},
			Body: io.NopCloser(strings.NewReader(r.answer)), Request: req,
		}, nil
	}
	req.Body = io.NopCloser(bytes.NewReader(body))
	return fresh.RoundTrip(req)
}

func refusingClients(endpoint string, r refusing) provision.Clients {
	cfg := (&wire{}).config(endpoint)
	cfg.HTTPClient = &http.Client{Transport: r}
	return provision.NewClients(cfg)
}

// TestListGoesOnWithoutWhatItMayNotSee lists a stack whose service the caller may
// not describe, as under another stack's policy.
func TestListGoesOnWithoutWhatItMayNotSee(t *testing.T) {
	t.Parallel()
	endpoint := moto.Start(t)
	_, err := (&wire{}).clients(endpoint).EC2.CreateVpc(t.Context(), &ec2.CreateVpcInput{CidrBlock: aws.String("10.0.0.0/16"), TagSpecifications: []ec2types.TagSpecification{{
		ResourceType: ec2types.ResourceTypeVpc, Tags: []ec2types.Tag{{Key: aws.String(provision.TagStack), Value: aws.String("other")}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	c := refusingClients(endpoint, refusing{"DescribeServices", `{"__type":"AccessDeniedException","message":"User: u is not authorized to perform: ecs:DescribeServices"}`})
	found, err := provision.Stacks(t.Context(), c, true)
	if err != nil || len(found) != 1 || found[0].Stack != "other" || found[0].State != "unknown" || found[0].Denied != "ecs:DescribeServices" {
		t.Errorf("the list is %+v, %v", found, err)
	}
}

// TestAPurgeGoesOnPastWhatItMayNotDelete has a copy without tags of the stack's own
// snapshot, which the policy does not name, or which is still being written.
func TestAPurgeGoesOnPastWhatItMayNotDelete(t *testing.T) {
	t.Parallel()
	endpoint, ctx := moto.Start(t), t.Context()
	c := (&wire{}).clients(endpoint)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	tags := []rdstypes.Tag{{Key: aws.String(provision.TagStack), Value: aws.String("book")}}
	_, err := c.RDS.CreateDBInstance(ctx, &rds.CreateDBInstanceInput{
		DBInstanceIdentifier: aws.String("book-database"), DBInstanceClass: aws.String("db.t4g.micro"), Engine: aws.String("postgres"), AllocatedStorage: aws.Int32(20),
		MasterUsername: aws.String("bookapi"), MasterUserPassword: aws.String("password-of-a-test"), Tags: tags,
	})
	must(err)
	_, err = c.RDS.CreateDBSnapshot(ctx, &rds.CreateDBSnapshotInput{DBInstanceIdentifier: aws.String("book-database"), DBSnapshotIdentifier: aws.String("a-copy")})
	must(err)
	for gone, refusal := range map[string]string{
		"b-own": `<Code>AccessDenied</Code><Message>not authorized to perform: rds:DeleteDBSnapshot</Message>`,
		"c-own": `<Code>InvalidDBSnapshotState</Code><Message>Cannot delete the snapshot because it is not currently in the available or failed state.</Message>`,
	} {
		_, err := c.RDS.CreateDBSnapshot(ctx, &rds.CreateDBSnapshotInput{DBInstanceIdentifier: aws.String("book-database"), DBSnapshotIdentifier: &gone, Tags: tags})
		must(err)
		answer := `<ErrorResponse><Error>` + refusal + `</Error></ErrorResponse>`
		removed, err := provision.PurgeSnapshots(ctx, refusingClients(endpoint, refusing{"Action=DeleteDBSnapshot&DBSnapshotIdentifier=a-copy", answer}).RDS, "book", nil)
		if len(removed) != 1 || removed[0].ID != gone || err == nil || !strings.Contains(err.Error(), "a-copy") {
			t.Errorf("where the answer for another is %s, removed %+v, %v", refusal, removed, err)
		}
	}
}

// TestARetainedBackupThatStaysHasANextStep has RDS list what it retains only without the name of
// the instance, which is gone, and refuse to delete it in the state that it has.
func TestARetainedBackupThatStaysHasANextStep(t *testing.T) {
	t.Parallel()
	c := answering(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		form, _ := url.ParseQuery(string(body))
		action := form.Get("Action")
		refuse := func(code string) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = fmt.Fprintf(w, `<ErrorResponse><Error><Code>%s</Code><Message>no</Message></Error></ErrorResponse>`, code)
		}
		backup := func(instance string) string {
			return `<DBInstanceAutomatedBackup><DBInstanceAutomatedBackupsArn>arn:aws:rds:us-east-1:123456789012:auto-backup:ab-` + instance + `</DBInstanceAutomatedBackupsArn><Status>retained</Status><DBInstanceIdentifier>` + instance + `</DBInstanceIdentifier><DbiResourceId>db-` + instance +
				`</DbiResourceId><Region>us-east-1</Region><TagList><Tag><Key>` + provision.TagStack + `</Key><Value>book</Value></Tag></TagList></DBInstanceAutomatedBackup>`
		}
		switch {
		case action == "DescribeDBInstances":
			refuse("DBInstanceNotFound")
		case action == "DescribeDBInstanceAutomatedBackups" && form.Get("DBInstanceIdentifier") != "":
			refuse("DBInstanceAutomatedBackupNotFound")
		case action == "DescribeDBInstanceAutomatedBackups":
			_, _ = fmt.Fprint(w, `<R><DescribeDBInstanceAutomatedBackupsResult><DBInstanceAutomatedBackups>`+backup("book-database")+backup("other-database")+`</DBInstanceAutomatedBackups></DescribeDBInstanceAutomatedBackupsResult></R>`)
		case action == "DeleteDBInstanceAutomatedBackup":
			refuse("InvalidDBInstanceAutomatedBackupState")
		default:
			_, _ = fmt.Fprintf(w, `<R><%sResult><DBSnapshots/></%sResult></R>`, action, action)
		}
	})
	_, err := provision.PurgeSnapshots(t.Context(), c.RDS, "book", nil)
	if err == nil || !strings.Contains(hint.Of(err).String(), "aws rds describe-db-instance-automated-backups --dbi-resource-id db-book-database") || strings.Contains(err.Error(), "other") {
		t.Errorf("%v; next: %s", err, hint.Of(err))
	}
}
