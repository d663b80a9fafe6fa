package provision

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/inventory"
	"github.com/bookctl/bookctl/internal/partition"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// LogGroup takes the output of the tasks and forgets it after some days:
// CloudWatch keeps, and bills, for ever unless a retention is set.
type LogGroup struct {
	graph.NodeOf[*liveLogGroup]
	logsAccess
	group string
	want  logRetention
	isNew bool // this run has created it

	// writer is the database whose log RDS writes into the group; nil for tasks.
	writer *rdsAccess
}

// logRetention is how long a group is to keep what it holds. What a group keeps for
// longer is left as it is, unless the run was given a time: a shorter one deletes.
type logRetention struct {
	days  int32
	given bool
}

// logRetentions are the days that CloudWatch Logs takes:
// https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html
var logRetentions = []int32{1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653}

// logsAccess is the client and the identity of a stack's log groups.
type logsAccess struct {
	identity
	logs   *cloudwatchlogs.Client
	caller *caller
}

// list returns those of the stack's groups that are there, of those that RDS makes, and that of
// Container Insights.
func (g logsAccess) list(ctx context.Context) ([]types.LogGroup, error) {
	names := []string{g.names().LogGroup(), g.names().DatabaseLogGroup(exportedLog), g.names().InsightsLogGroup()}
	for _, log := range otherLogs {
		names = append(names, g.names().DatabaseLogGroup(log))
	}
	var out []types.LogGroup
	pages := cloudwatchlogs.NewDescribeLogGroupsPaginator(g.logs, &cloudwatchlogs.DescribeLogGroupsInput{LogGroupIdentifiers: names})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("describe log groups %s: %w", strings.Join(names, ", "), err)
		}
		for _, x := range page.LogGroups {
			if slices.Contains(names, aws.ToString(x.LogGroupName)) { // emulators list all
				out = append(out, x)
			}
		}
	}
	return out, nil
}

// arnOf is the ARN of a group for tagging: the one without the trailing ":*".
func arnOf(g types.LogGroup) string { return strings.TrimSuffix(aws.ToString(g.Arn), ":*") }

func newLogGroup(g logsAccess, want logRetention) *LogGroup {
	l := &LogGroup{logsAccess: g, group: g.names().LogGroup(), want: want}
	l.NodeOf = graph.Of(l, "log-group", 5*time.Minute)
	return l
}

// newDatabaseLogGroup creates the group to which RDS sends PostgreSQL's log. Left
// to itself RDS makes the group, without tags, to be kept for ever, and leaves
// it behind: https://github.com/hashicorp/terraform-provider-aws/issues/5348
func newDatabaseLogGroup(g logsAccess, writer rdsAccess, want logRetention) *LogGroup {
	l := &LogGroup{logsAccess: g, group: g.names().DatabaseLogGroup(exportedLog), want: want, writer: &writer}
	l.NodeOf = graph.Of(l, "db-log-group", 5*time.Minute)
	return l
}

func (l *LogGroup) groupName() string { return l.group }

// liveLogGroup is a log group as far as it is compared.
type liveLogGroup struct {
	tags  map[string]string
	days  int32 // 0 is for ever
	class types.LogGroupClass
}

// Read looks the group up by its name.
func (l *LogGroup) Read(ctx context.Context) (*liveLogGroup, graph.State, error) {
	all, err := l.observed().logGroups.readShared(ctx, l.list)
	if err != nil {
		return nil, graph.State{}, err
	}
	at := slices.IndexFunc(all, func(g types.LogGroup) bool { return aws.ToString(g.LogGroupName) == l.groupName() })
	if at < 0 {
		return nil, absent, nil
	}
	arn := arnOf(all[at])
	tags, hinted := l.hinted(&arn)
	if !hinted {
		if tags, err = l.tagsOf(ctx, arn); tags == nil || err != nil {
			return nil, absent, err
		}
	}
	live := &liveLogGroup{tags: tags, days: aws.ToInt32(all[at].RetentionInDays), class: all[at].LogGroupClass}
	st := graph.State{Phase: graph.Ready, ID: arn, Owner: tags[TagStack]}
	if untouched := len(tags) == 0 && all[at].RetentionInDays == nil && all[at].KmsKeyId == nil; untouched && l.writer != nil && !l.destroying {
		db, err := l.writer.instance(ctx)
		if err != nil {
			return nil, graph.State{}, err
		}
		// RDS has created the group: again, after somebody deleted it, or for the last lines of a
		// database that was deleted. RDS sets nothing of it, so one that has more is somebody's. The
		// name is the stack's, unless another database has it.
		if db == nil || fromRDSTags(db.TagList)[TagStack] == l.stack {
			st.Owner, st.Note = l.stack, "created by RDS, without tags"
		}
	}
	return live, st, nil
}

// tagsOf lists the tags of a group; nil is for one that is gone.
func (g logsAccess) tagsOf(ctx context.Context, arn string) (map[string]string, error) {
	out, err := g.logs.ListTagsForResource(ctx, &cloudwatchlogs.ListTagsForResourceInput{ResourceArn: &arn})
	if IsCode(err, "ResourceNotFoundException") {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list the tags of %s: %w", arn, err)
	}
	if out.Tags == nil {
		return map[string]string{}, nil
	}
	return out.Tags, nil
}

// Wanted implements graph.Shape.
func (l *LogGroup) Wanted(*liveLogGroup) *liveLogGroup {
	return &liveLogGroup{tags: l.tags(l.Name()), days: l.want.days, class: types.LogGroupClassStandard}
}

// Attributes implements graph.Shape.
func (l *LogGroup) Attributes() graph.Attributes[*liveLogGroup] {
	return graph.Attributes[*liveLogGroup]{
		tagAttribute(func(l *liveLogGroup) map[string]string { return l.tags }, graph.SetBy(l.retag)),
		graph.Field("retention", func(l *liveLogGroup) string { return retentionText(l.days) }, graph.SetBy(l.retain)).
			Retain(func(live, want *liveLogGroup) string {
				// A group that was never given a time keeps for ever, too.
				if byHand := live.days > want.days || live.days == 0 && live.tags[settingTag("log-days")] != ""; !byHand || l.want.given {
					return ""
				}
				return fmt.Sprintf("it deletes what is older; --log-days %d allows it", want.days)
			}),
		graph.Field("class", func(l *liveLogGroup) string { return string(l.class) },
			graph.Fixed("it takes no output of tasks, and a log group keeps its class").
				Hint(hint.New("delete it, and the next %s creates it again", hint.Command("up")))).
			When(func(live, _ *liveLogGroup) bool { return live.class == types.LogGroupClassDelivery }),
	}
}

func retentionText(n int32) string {
	if n == 0 {
		return "for ever"
	}
	return days(n)
}

// Create creates the group, which then keeps for ever until Update. Its tag says that
// no time was set yet, also where an emulator has kept the tags of an earlier group
// of that name.
//
// The call returns nothing. What it leaves out has a default: the class is STANDARD, and a
// group keeps for ever. https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_CreateLogGroup.html
func (l *LogGroup) Create(ctx context.Context) (string, error) {
	tags := l.tags(l.Name())
	tags[settingTag("log-days")] = ""
	account, err := l.caller.accountID(ctx)
	if err != nil {
		return "", err
	}
	_, err = l.logs.CreateLogGroup(ctx, &cloudwatchlogs.CreateLogGroupInput{LogGroupName: aws.String(l.groupName()), Tags: tags})
	if err != nil {
		return "", fmt.Errorf("create log group %s: %w", l.groupName(), err)
	}
	arn := l.arn(account)
	l.rememberTags(arn, tags)
	l.isNew = true
	l.Answer(&liveLogGroup{tags: tags, class: types.LogGroupClassStandard}, graph.State{Phase: graph.Ready, Owner: l.stack})
	return arn, nil
}

// arn is the ARN for tagging.
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoncloudwatchlogs.html
func (l *LogGroup) arn(account string) string {
	return fmt.Sprintf("arn:%s:logs:%s:%s:log-group:%s", partition.Of(l.region).Name, l.region, account, l.groupName())
}

func (l *LogGroup) retag(ctx context.Context, changes []graph.Change) error {
	if drop := l.toDrop(l.Name(), changes); drop != nil {
		if _, err := l.logs.UntagResource(ctx, &cloudwatchlogs.UntagResourceInput{ResourceArn: aws.String(l.ID()), TagKeys: drop}); err != nil {
			return fmt.Errorf("untag log group %s: %w", l.groupName(), err)
		}
	}
	return l.tag(ctx, l.tags(l.Name()))
}

func (l *LogGroup) tag(ctx context.Context, tags map[string]string) error {
	if _, err := l.logs.TagResource(ctx, &cloudwatchlogs.TagResourceInput{ResourceArn: aws.String(l.ID()), Tags: tags}); err != nil {
		return fmt.Errorf("tag log group %s: %w", l.groupName(), err)
	}
	l.rememberTags(l.ID(), tags)
	return nil
}

func (l *LogGroup) retain(ctx context.Context, _ []graph.Change) error {
	_, err := l.logs.PutRetentionPolicy(ctx, &cloudwatchlogs.PutRetentionPolicyInput{LogGroupName: aws.String(l.groupName()), RetentionInDays: &l.want.days})
	if err != nil {
		return fmt.Errorf("set the retention of log group %s: %w", l.groupName(), err)
	}
	// This tag distinguishes "for ever" that was set by hand from what was never set.
	return l.tag(ctx, map[string]string{settingTag("log-days"): strconv.Itoa(int(l.want.days))})
}

// removable returns the reason why one of the stack's groups must not be deleted.
func (g logsAccess) removable(ctx context.Context) error {
	all, err := g.observed().logGroups.readShared(ctx, g.list)
	if err != nil {
		return err
	}
	for _, x := range all {
		if !aws.ToBool(x.DeletionProtectionEnabled) {
			continue
		}
		tags, err := g.tagsOf(ctx, arnOf(x))
		if err != nil {
			return err
		}
		if name := aws.ToString(x.LogGroupName); tags[TagStack] == g.stack {
			return hint.Add(fmt.Errorf("log group %s: %w, and nothing was touched", name, ErrProtected), unprotectedLog(name))
		}
	}
	return nil
}

// unprotectedLog returns how somebody turns the deletion protection of a log group off, which
// bookctl never turns on.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/protecting-log-groups-from-deletion.html
func unprotectedLog(name string) hint.Message {
	return hint.New("%s turns it off; then run the same command again",
		hint.AWS("logs", "put-log-group-deletion-protection", "--log-group-identifier", name, "--no-deletion-protection-enabled"))
}

// Delete deletes the group with what it holds.
func (l *LogGroup) Delete(ctx context.Context) error {
	_, err := l.logs.DeleteLogGroup(ctx, &cloudwatchlogs.DeleteLogGroupInput{LogGroupName: aws.String(l.groupName())})
	if says(err, "ValidationException", "deletion protection") {
		return hint.Add(fmt.Errorf("delete log group %s: %w", l.groupName(), err), unprotectedLog(l.groupName()))
	}
	if err != nil && !IsCode(err, "ResourceNotFoundException") {
		return fmt.Errorf("delete log group %s: %w", l.groupName(), err)
	}
	return nil
}

// DeletesSynchronously implements graph.DeletesSynchronously.
func (l *LogGroup) DeletesSynchronously() {}

// UpdatesSynchronously implements graph.UpdatesSynchronously.
func (*LogGroup) UpdatesSynchronously([]graph.Change) bool { return true }

// logGroupKind lists the stack's log groups.
func (i identity) logGroupKind(client *cloudwatchlogs.Client) inventory.Kind {
	return inventory.Kind{Service: "logs", Type: "log group", List: func(ctx context.Context) ([]inventory.Item, error) {
		var out []inventory.Item
		groups := logsAccess{identity: i, logs: client}
		all, err := groups.list(ctx)
		if err != nil {
			return nil, err
		}
		for _, g := range all {
			name := aws.ToString(g.LogGroupName)
			if name == i.names().InsightsLogGroup() {
				// No stack made it, and another cluster may have had that name.
				out = append(out, inventory.Item{ID: name, HeldBy: fmt.Sprintf("nobody: Container Insights, which somebody turned on for a cluster of that name, wrote to it; if no other cluster had that name, %s removes it",
					hint.AWS("logs", "delete-log-group", "--log-group-name", name))})
				continue
			}
			tags, err := groups.tagsOf(ctx, arnOf(g))
			if err != nil {
				return out, err
			}
			switch owner := tags[TagStack]; {
			case tags == nil:
			case owner == i.stack:
				out = append(out, inventory.Item{ID: name})
			case owner == "" && strings.HasPrefix(name, "/aws/rds/"):
				// Whose it is can't be known, so it is named and not removed.
				why := "RDS writes the end of a log after the group was removed, into a new one without tags"
				if name != i.names().DatabaseLogGroup(exportedLog) {
					why = "somebody had RDS export this log, into a group without tags that is kept for ever"
				}
				out = append(out, inventory.Item{ID: name, HeldBy: fmt.Sprintf("nobody: %s; if no other database had that name, %s removes it",
					why, hint.AWS("logs", "delete-log-group", "--log-group-name", name))})
			}
		}
		return out, nil
	}}
}
