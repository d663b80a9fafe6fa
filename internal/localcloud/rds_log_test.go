package localcloud_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	logs "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"

	"github.com/bookctl/bookctl/internal/localcloud"
)

// raise has PostgreSQL write a line, and a statement of two lines with it.
const raise = "DO $$ BEGIN\nRAISE WARNING '%s'; END $$"

func TestADatabasesLogArrivesInCloudWatchWhileItIsExported(t *testing.T) {
	t.Parallel()
	d := newDatabases(t, localcloud.Config{})
	ctx := t.Context()
	d.create(t, wanted("logged"))
	conn := d.login(t, "logged")
	runSQL(t, conn, strings.Replace(raise, "%s", "before the export", 1))
	// It is not exported yet, and is written by the time that it is.
	awaitLine := func(text string) string {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
			out := must[*rds.DownloadDBLogFilePortionOutput](t)(d.DownloadDBLogFilePortion(ctx, &rds.DownloadDBLogFilePortionInput{
				DBInstanceIdentifier: aws.String("logged"), LogFileName: aws.String("error/postgresql.log"), Marker: aws.String("0"),
			}))
			if strings.Contains(*out.LogFileData, text) {
				return *out.LogFileData
			}
		}
		t.Fatalf("the log never has %q", text)
		return ""
	}
	awaitLine("before the export")
	time.Sleep(500 * time.Millisecond) // more than a look of the exporter's
	watch := logs.NewFromConfig(clientConfig(d.cloud))
	find := func(pattern string) []string {
		t.Helper()
		out, err := watch.FilterLogEvents(ctx, &logs.FilterLogEventsInput{LogGroupName: aws.String("/aws/rds/instance/logged/postgresql"), FilterPattern: &pattern})
		if err != nil {
			refused(t, err, "ResourceNotFoundException", "")
			return nil
		}
		var found []string
		for _, e := range out.Events {
			if *e.LogStreamName != "logged.0" {
				t.Errorf("a line is in the stream %s, want logged.0", *e.LogStreamName)
			}
			if age := time.Since(time.UnixMilli(*e.Timestamp)); age < -time.Second || age > time.Minute {
				t.Errorf("a line of now is said to be %s old", age)
			}
			found = append(found, *e.Message)
		}
		return found
	}
	if got := find(""); got != nil {
		t.Errorf("without an export the group has %q", got)
	}
	must[*rds.ModifyDBInstanceOutput](t)(d.ModifyDBInstance(ctx, &rds.ModifyDBInstanceInput{
		DBInstanceIdentifier: aws.String("logged"), ApplyImmediately: aws.Bool(true),
		CloudwatchLogsExportConfiguration: &types.CloudwatchLogsExportConfiguration{EnableLogTypes: []string{"postgresql"}},
	}))
	for deadline := time.Now().Add(time.Minute); len(d.describe(t, "logged").EnabledCloudwatchLogsExports) == 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the export is not shown")
		}
	}
	runSQL(t, conn, strings.Replace(raise, "%s", "after the export", 1))
	awaitLine("after the export")
	var got []string
	for deadline := time.Now().Add(30 * time.Second); len(got) == 0 && time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		got = find(`"after the export"`)
	}
	if len(got) != 1 {
		t.Fatalf("the group has %q, want the one line that was written", got)
	}
	// RDS's prefix: time, client, user and database, process.
	if !strings.Contains(got[0], ":boss@books:[") || !strings.Contains(got[0], "WARNING:  after the export") {
		t.Errorf("the line is %q", got[0])
	}
	if old := find(`"before the export"`); len(old) != 0 {
		t.Errorf("what was written before the export arrived: %q", old)
	}
	listed := must[*rds.DescribeDBLogFilesOutput](t)(d.DescribeDBLogFiles(ctx, &rds.DescribeDBLogFilesInput{DBInstanceIdentifier: aws.String("logged")}))
	if f := listed.DescribeDBLogFiles; len(f) != 1 || *f[0].LogFileName != "error/postgresql.log" || *f[0].Size == 0 {
		t.Errorf("the log files are %+v", f)
	}
}

func TestALogIsReadPartByPart(t *testing.T) {
	t.Parallel()
	d := newDatabases(t, localcloud.Config{})
	d.create(t, wanted("read"))
	conn := d.login(t, "read")
	for _, text := range []string{"one", "two", "three"} {
		runSQL(t, conn, "DO $$ BEGIN RAISE WARNING 'line "+text+"'; END $$")
	}
	read := func(marker *string, lines int32) *rds.DownloadDBLogFilePortionOutput {
		t.Helper()
		return must[*rds.DownloadDBLogFilePortionOutput](t)(d.DownloadDBLogFilePortion(t.Context(), &rds.DownloadDBLogFilePortionInput{
			DBInstanceIdentifier: aws.String("read"), LogFileName: aws.String("error/postgresql.log"), Marker: marker, NumberOfLines: &lines,
		}))
	}
	var all strings.Builder
	page := read(aws.String("0"), 2)
	for n := 0; ; n++ {
		all.WriteString(*page.LogFileData)
		if strings.Count(*page.LogFileData, "\n") > 2 || n > 100 {
			t.Fatalf("page %d of two lines is %q", n, *page.LogFileData)
		}
		if !*page.AdditionalDataPending {
			break
		}
		page = read(page.Marker, 2)
	}
	for _, text := range []string{"line one", "line two", "line three"} {
		if strings.Count(all.String(), text) != 1 {
			t.Errorf("the pages have %q %d times, want once:\n%s", text, strings.Count(all.String(), text), all.String())
		}
	}
	if last := read(nil, 1); strings.Count(*last.LogFileData, "\n") != 1 || *last.AdditionalDataPending {
		t.Errorf("the last line is %+v", last)
	}
	_, err := d.DownloadDBLogFilePortion(t.Context(), &rds.DownloadDBLogFilePortionInput{DBInstanceIdentifier: aws.String("read"), LogFileName: aws.String("error/other.log")})
	refused(t, err, "DBLogFileNotFoundFault", "error/other.log")
}

func TestAParameterReadsBackWithTheMethodItWasSetBy(t *testing.T) {
	t.Parallel()
	d := newDatabases(t, localcloud.Config{})
	ctx := t.Context()
	families := must[*rds.DescribeDBEngineVersionsOutput](t)(d.DescribeDBEngineVersions(ctx, &rds.DescribeDBEngineVersionsInput{Engine: aws.String("postgres")}))
	must[*rds.CreateDBParameterGroupOutput](t)(d.CreateDBParameterGroup(ctx, &rds.CreateDBParameterGroupInput{
		DBParameterGroupName: aws.String("set"), DBParameterGroupFamily: families.DBEngineVersions[0].DBParameterGroupFamily, Description: aws.String("x"),
	}))
	must[*rds.ModifyDBParameterGroupOutput](t)(d.ModifyDBParameterGroup(ctx, &rds.ModifyDBParameterGroupInput{DBParameterGroupName: aws.String("set"), Parameters: []types.Parameter{
		{ParameterName: aws.String("log_statement"), ParameterValue: aws.String("ddl"), ApplyMethod: types.ApplyMethodImmediate},
		{ParameterName: aws.String("work_mem"), ParameterValue: aws.String("8192"), ApplyMethod: types.ApplyMethodPendingReboot},
	}}))
	out := must[*rds.DescribeDBParametersOutput](t)(d.DescribeDBParameters(ctx, &rds.DescribeDBParametersInput{DBParameterGroupName: aws.String("set"), Source: aws.String("user")}))
	got := map[string]types.ApplyMethod{}
	for _, p := range out.Parameters {
		got[*p.ParameterName] = p.ApplyMethod
	}
	if len(got) != 2 || got["log_statement"] != types.ApplyMethodImmediate || got["work_mem"] != types.ApplyMethodPendingReboot {
		t.Errorf("the parameters read back as %v, want each with the method it was set by", got)
	}
}
