package provision

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"

	"github.com/bookctl/bookctl/internal/provision/graph"
)

// LogGroup takes the output of the tasks and forgets it after some days:
// CloudWatch keeps, and bills, for ever unless it is told not to.
type LogGroup struct {
	graph.Node
	identity
	logs  *cloudwatchlogs.Client
	group string
	days  int32
}

func newLogGroup(i identity, logs *cloudwatchlogs.Client, days int32) *LogGroup {
	return &LogGroup{Node: graph.Named("log-group", 5*time.Minute), identity: i, logs: logs, group: "/bookctl/" + i.stack, days: days}
}

// newDatabaseLogGroup makes the group to which RDS sends PostgreSQL's log. Left
// to itself RDS makes the group, without tags, to be kept for ever, and leaves
// it behind: https://github.com/hashicorp/terraform-provider-aws/issues/5348
func newDatabaseLogGroup(i identity, logs *cloudwatchlogs.Client, days int32) *LogGroup {
	return &LogGroup{
		Node: graph.Named("db-log-group", 5*time.Minute), identity: i, logs: logs,
		group: "/aws/rds/instance/" + i.name("database") + "/postgresql", days: days,
	}
}

func (l *LogGroup) groupName() string { return l.group }

// Find looks the group up by its name.
func (l *LogGroup) Find(ctx context.Context) (graph.State, error) {
	name := l.groupName()
	pages := cloudwatchlogs.NewDescribeLogGroupsPaginator(l.logs, &cloudwatchlogs.DescribeLogGroupsInput{LogGroupNamePrefix: &name})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return graph.State{}, fmt.Errorf("describe log group %s: %w", name, err)
		}
		for _, g := range page.LogGroups {
			if aws.ToString(g.LogGroupName) != name {
				continue
			}
			// The ARN for tagging is the one without the trailing ":*".
			arn := strings.TrimSuffix(aws.ToString(g.Arn), ":*")
			tags, hinted := l.hinted(&arn)
			if !hinted {
				out, err := l.logs.ListTagsForResource(ctx, &cloudwatchlogs.ListTagsForResourceInput{ResourceArn: &arn})
				if isCode(err, "ResourceNotFoundException") {
					return absent, nil
				}
				if err != nil {
					return graph.State{}, fmt.Errorf("list the tags of %s: %w", name, err)
				}
				tags = out.Tags
			}
			return graph.State{
				Phase: graph.Ready, ID: arn, Owner: tags[TagStack],
				Drift: logGroupDrift(tags, aws.ToInt32(g.RetentionInDays), l.tags(l.Name()), l.days),
			}, nil
		}
	}
	return absent, nil
}

func logGroupDrift(tags map[string]string, days int32, wantTags map[string]string, want int32) []graph.Change {
	out := tagDrift(tags, wantTags)
	if days != want {
		have := "for ever"
		if days != 0 {
			have = strconv.Itoa(int(days)) + " days"
		}
		out = append(out, graph.Change{Field: "retention", Have: have, Want: strconv.Itoa(int(want)) + " days"})
	}
	sortChanges(out)
	return out
}

// Create makes the group, which then keeps for ever until Update.
func (l *LogGroup) Create(ctx context.Context) (string, error) {
	_, err := l.logs.CreateLogGroup(ctx, &cloudwatchlogs.CreateLogGroupInput{LogGroupName: aws.String(l.groupName()), Tags: l.tags(l.Name())})
	if err != nil {
		return "", fmt.Errorf("create log group %s: %w", l.groupName(), err)
	}
	return "", nil // the call does not return the ARN; the next Find does
}

// Update mends tags and retention.
func (l *LogGroup) Update(ctx context.Context, changes []graph.Change) error {
	if hasTagDrift(changes) {
		if _, err := l.logs.TagResource(ctx, &cloudwatchlogs.TagResourceInput{ResourceArn: aws.String(l.ID()), Tags: l.tags(l.Name())}); err != nil {
			return fmt.Errorf("tag log group %s: %w", l.groupName(), err)
		}
	}
	if hasField(changes, "retention") {
		_, err := l.logs.PutRetentionPolicy(ctx, &cloudwatchlogs.PutRetentionPolicyInput{LogGroupName: aws.String(l.groupName()), RetentionInDays: &l.days})
		if err != nil {
			return fmt.Errorf("set the retention of log group %s: %w", l.groupName(), err)
		}
	}
	return nil
}

// Delete removes the group with what it holds.
func (l *LogGroup) Delete(ctx context.Context) error {
	_, err := l.logs.DeleteLogGroup(ctx, &cloudwatchlogs.DeleteLogGroupInput{LogGroupName: aws.String(l.groupName())})
	if err != nil && !isCode(err, "ResourceNotFoundException") {
		return fmt.Errorf("delete log group %s: %w", l.groupName(), err)
	}
	return nil
}
