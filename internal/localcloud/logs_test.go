package localcloud_test

import (
	"context"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	logs "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/google/go-cmp/cmp"

	"github.com/bookctl/bookctl/internal/localcloud"
)

func TestLogsAreFoundByTimeStreamAndWords(t *testing.T) {
	t.Parallel()
	dir := stateDir(t)
	c, err := localcloud.Open(t.Context(), localcloud.Config{StateDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	client := logs.NewFromConfig(clientConfig(c))
	ctx := t.Context()
	group := aws.String("/bookctl/book")
	worked(client.CreateLogGroup(ctx, &logs.CreateLogGroupInput{LogGroupName: group, Tags: map[string]string{"a": "b"}}))(t)
	_, err = client.CreateLogGroup(ctx, &logs.CreateLogGroupInput{LogGroupName: group})
	refused(t, err, "ResourceAlreadyExistsException", "already exists")
	_, err = client.PutRetentionPolicy(ctx, &logs.PutRetentionPolicyInput{LogGroupName: group, RetentionInDays: aws.Int32(8)})
	refused(t, err, "InvalidParameterException", "retentionInDays")
	worked(client.PutRetentionPolicy(ctx, &logs.PutRetentionPolicyInput{LogGroupName: group, RetentionInDays: aws.Int32(7)}))(t)
	now := time.Now().UnixMilli()
	put := func(stream string, events ...types.InputLogEvent) {
		t.Helper()
		_, err := client.CreateLogStream(ctx, &logs.CreateLogStreamInput{LogGroupName: group, LogStreamName: &stream})
		if err != nil {
			t.Fatal(err)
		}
		worked(client.PutLogEvents(ctx, &logs.PutLogEventsInput{LogGroupName: group, LogStreamName: &stream, LogEvents: events}))(t)
	}
	event := func(after int64, text string) types.InputLogEvent {
		return types.InputLogEvent{Timestamp: aws.Int64(now + after), Message: &text}
	}
	put("api/one", event(-8*24*3600*1000, "forgotten by now"), event(1, "start"), event(3, "error: no database"))
	put("api/two", event(2, "start"), event(4, "error: no disk"))
	put("other", event(5, "start"))

	// The rest is read from another cloud with the same state.
	if err := c.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	client = logs.NewFromConfig(clientConfig(openCloud(t, localcloud.Config{StateDir: dir})))
	find := func(in logs.FilterLogEventsInput) (found []string) {
		t.Helper()
		in.LogGroupName, in.Limit = group, aws.Int32(2) // so that there are several pages
		for pages := logs.NewFilterLogEventsPaginator(client, &in); pages.HasMorePages(); {
			for _, e := range worked(pages.NextPage(ctx))(t).Events {
				found = append(found, *e.LogStreamName+" "+*e.Message)
			}
		}
		return found
	}
	for _, try := range []struct {
		name string
		in   logs.FilterLogEventsInput
		want []string
	}{
		{"all", logs.FilterLogEventsInput{}, []string{"api/one start", "api/two start", "api/one error: no database", "api/two error: no disk", "other start"}},
		{"time", logs.FilterLogEventsInput{StartTime: aws.Int64(now + 2), EndTime: aws.Int64(now + 3)}, []string{"api/two start", "api/one error: no database"}},
		{"prefix and word", logs.FilterLogEventsInput{LogStreamNamePrefix: aws.String("api/"), FilterPattern: aws.String("start")}, []string{"api/one start", "api/two start"}},
		{"phrase", logs.FilterLogEventsInput{FilterPattern: aws.String(`"no disk"`)}, []string{"api/two error: no disk"}},
		{"all words but one", logs.FilterLogEventsInput{FilterPattern: aws.String("error no -disk")}, []string{"api/one error: no database"}},
		{"any word", logs.FilterLogEventsInput{FilterPattern: aws.String("?disk ?database")}, []string{"api/one error: no database", "api/two error: no disk"}},
	} {
		if diff := cmp.Diff(try.want, find(try.in)); diff != "" {
			t.Errorf("%s, want → got:\n%s", try.name, diff)
		}
	}
	got := worked(client.GetLogEvents(ctx, &logs.GetLogEventsInput{LogGroupName: group, LogStreamName: aws.String("api/one"), StartFromHead: aws.Bool(true), Limit: aws.Int32(1)}))(t)
	next := worked(client.GetLogEvents(ctx, &logs.GetLogEventsInput{LogGroupName: group, LogStreamName: aws.String("api/one"), NextToken: got.NextForwardToken}))(t)
	end := worked(client.GetLogEvents(ctx, &logs.GetLogEventsInput{LogGroupName: group, LogStreamName: aws.String("api/one"), NextToken: next.NextForwardToken}))(t)
	if *got.Events[0].Message != "start" || *next.Events[0].Message != "error: no database" || len(end.Events) != 0 || *end.NextForwardToken != *next.NextForwardToken {
		t.Errorf("pages of a stream: %v, %v, %v", got.Events, next.Events, end.Events)
	}
	described := worked(client.DescribeLogGroups(ctx, &logs.DescribeLogGroupsInput{LogGroupNamePrefix: group}))(t).LogGroups
	if len(described) != 1 || *described[0].RetentionInDays != 7 {
		t.Fatalf("groups %+v", described)
	}
	tags := worked(client.ListTagsForResource(ctx, &logs.ListTagsForResourceInput{ResourceArn: described[0].LogGroupArn}))(t).Tags
	if tags["a"] != "b" {
		t.Errorf("tags %v", tags)
	}
	worked(client.DeleteLogGroup(ctx, &logs.DeleteLogGroupInput{LogGroupName: group}))(t)
	_, err = client.FilterLogEvents(ctx, &logs.FilterLogEventsInput{LogGroupName: group})
	refused(t, err, "ResourceNotFoundException", "log group does not exist")
}
