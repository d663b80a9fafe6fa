package logs

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	logs "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
	"github.com/bookctl/bookctl/internal/pattern"
)

// state is what CloudWatch Logs keeps, apart from the events: those are in
// a file per stream.
type state struct {
	Groups map[string]*group `json:"groups,omitempty"`
}

type group struct {
	Name      string             `json:"name"`
	Created   int64              `json:"created"` // milliseconds since 1970, as all times here
	Retention int32              `json:"retention,omitempty"`
	Protected bool               `json:"protected,omitempty"` // against deletion
	Class     string             `json:"class,omitempty"`     // "" is STANDARD
	Tags      map[string]string  `json:"tags,omitempty"`
	Streams   map[string]*stream `json:"streams,omitempty"`
}

// stream's times may be stale after a crash, as AWS's may be for an hour.
type stream struct {
	Created  int64 `json:"created"`
	First    int64 `json:"first,omitempty"`
	Last     int64 `json:"last,omitempty"`
	Ingested int64 `json:"ingested,omitempty"`
}

const (
	// maxLogFile is where a stream's file is set aside for a new one; the one
	// set aside before is dropped, so a stream takes up to twice as much.
	maxLogFile = 4 << 20
	// maxLogStreams is how many streams of a group are kept, the youngest. AWS
	// has no limit; a service that crashes for a week here must have one.
	maxLogStreams = 500
	// maxLogPage is AWS's limit for an answer
	// (https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html).
	maxLogPage = 10_000
)

// API is the service's operations.
func (s *Service) API() kernel.Service {
	return kernel.Service{Model: "logs", Signing: "logs", Protocol: kernel.JSON, Limits: limits, Operations: kernel.Operations(s.in,
		kernel.Op("CreateLogGroup", tx.CreateLogGroup), kernel.Op("DeleteLogGroup", tx.DeleteLogGroup), kernel.Op("DescribeLogGroups", tx.DescribeLogGroups),
		kernel.Op("PutLogGroupDeletionProtection", tx.PutLogGroupDeletionProtection),
		kernel.Op("PutRetentionPolicy", tx.PutRetentionPolicy), kernel.Op("DeleteRetentionPolicy", tx.DeleteRetentionPolicy),
		kernel.Op("CreateLogStream", tx.CreateLogStream), kernel.Op("DeleteLogStream", tx.DeleteLogStream), kernel.Op("DescribeLogStreams", tx.DescribeLogStreams),
		kernel.Op("PutLogEvents", tx.PutLogEvents), kernel.Op("GetLogEvents", tx.GetLogEvents), kernel.Op("FilterLogEvents", tx.FilterLogEvents),
		kernel.Op("TagResource", tx.TagResource), kernel.Op("UntagResource", tx.UntagResource), kernel.Op("ListTagsForResource", tx.ListTagsForResource),
		kernel.Op("TagLogGroup", tx.TagLogGroup), kernel.Op("UntagLogGroup", tx.UntagLogGroup), kernel.Op("ListTagsLogGroup", tx.ListTagsLogGroup),
	)}
}

// GroupARN is the ARN of the group of that name.
func (s *Service) GroupARN(name string) string { return s.ARN("logs", "log-group:"+name) }

// group finds a group by its name or ARN, with or without the ":*" at its end.
func (a tx) logGroup(nameOrARN string) (*group, error) {
	name := strings.TrimPrefix(strings.TrimSuffix(nameOrARN, ":*"), a.GroupARN(""))
	if g := a.state().Groups[name]; g != nil && a.Visible(a.GroupARN(name)) {
		return g, nil
	}
	return nil, kernel.Fail("ResourceNotFoundException", "The specified log group does not exist.")
}

func (a tx) logStream(group, name *string) (*group, *stream, error) {
	g, err := a.logGroup(aws.ToString(group))
	if err != nil {
		return nil, nil, err
	}
	s := g.Streams[aws.ToString(name)]
	if s == nil {
		return nil, nil, kernel.Fail("ResourceNotFoundException", "The specified log stream does not exist.")
	}
	return g, s, nil
}

// readable is an error for a group whose class has only CloudWatch Logs Insights read it.
// https://github.com/aws/karpenter-provider-aws/pull/9567
func (g *group) readable(operation string) error {
	if g.Class == "" || g.Class == string(types.LogGroupClassStandard) {
		return nil
	}
	return kernel.Fail("InvalidOperationException", "The log group %s is of log-group-class %s. %s is not supported for this log class.", g.Name, g.Class, operation)
}

var logGroupName = pattern.New(`^[.\-_/#A-Za-z0-9]{1,512}$`)

// CreateLogGroup creates a group that keeps for ever.
func (a tx) CreateLogGroup(in *logs.CreateLogGroupInput) (*logs.CreateLogGroupOutput, error) {
	name := aws.ToString(in.LogGroupName)
	if !logGroupName.MatchString(name) {
		return nil, kernel.Fail("InvalidParameterException", "1 validation error detected: Value '%s' at 'logGroupName' failed to satisfy constraint: Member must satisfy regular expression pattern: [\\.\\-_/#A-Za-z0-9]+", name)
	}
	if a.state().Groups[name] != nil {
		return nil, kernel.Fail("ResourceAlreadyExistsException", "The specified log group already exists")
	}
	if a.state().Groups == nil {
		a.state().Groups = map[string]*group{}
	}
	a.state().Groups[name] = &group{Name: name, Created: a.Now().UnixMilli(), Protected: aws.ToBool(in.DeletionProtectionEnabled), Class: string(in.LogGroupClass), Tags: maps.Clone(in.Tags), Streams: map[string]*stream{}}
	a.Created(a.GroupARN(name))
	return &logs.CreateLogGroupOutput{}, nil
}

// DeleteLogGroup deletes a group with what it holds.
func (a tx) DeleteLogGroup(in *logs.DeleteLogGroupInput) (*logs.DeleteLogGroupOutput, error) {
	g, err := a.logGroup(aws.ToString(in.LogGroupName))
	if err != nil {
		return nil, err
	}
	if g.Protected {
		// https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/protecting-log-groups-from-deletion.html
		return nil, kernel.Fail("ValidationException", "Cannot delete log group with deletion protection enabled. Disable deletion protection first.")
	}
	if err := os.RemoveAll(a.logDir(g.Name)); err != nil {
		return nil, fmt.Errorf("remove the events of log group %s: %w", g.Name, err)
	}
	delete(a.state().Groups, g.Name)
	return &logs.DeleteLogGroupOutput{}, nil
}

// DescribeLogGroups lists groups by prefix or pattern, or those that are named.
func (a tx) DescribeLogGroups(in *logs.DescribeLogGroupsInput) (*logs.DescribeLogGroupsOutput, error) {
	var names []string
	if len(in.LogGroupIdentifiers) > 0 && (in.LogGroupNamePrefix != nil || in.LogGroupNamePattern != nil) {
		return nil, kernel.Fail("InvalidParameterException", "LogGroupIdentifiers can't be combined with another filter.")
	}
	for _, name := range slices.Sorted(maps.Keys(a.state().Groups)) {
		if len(in.LogGroupIdentifiers) > 0 && !slices.Contains(in.LogGroupIdentifiers, name) {
			continue
		}
		if strings.HasPrefix(name, aws.ToString(in.LogGroupNamePrefix)) &&
			strings.Contains(strings.ToLower(name), strings.ToLower(aws.ToString(in.LogGroupNamePattern))) && a.Visible(a.GroupARN(name)) {
			names = append(names, name)
		}
	}
	names, next := kernel.PageAfter(names, in.NextToken, in.Limit, 50)
	out := &logs.DescribeLogGroupsOutput{NextToken: next}
	for _, name := range names {
		g := a.state().Groups[name]
		described := types.LogGroup{
			Arn: aws.String(a.GroupARN(name) + ":*"), LogGroupArn: aws.String(a.GroupARN(name)), LogGroupName: aws.String(name),
			DeletionProtectionEnabled: aws.Bool(g.Protected), CreationTime: aws.Int64(g.Created), MetricFilterCount: aws.Int32(0), StoredBytes: aws.Int64(0), LogGroupClass: types.LogGroupClass(cmp.Or(g.Class, string(types.LogGroupClassStandard))),
		}
		if g.Retention != 0 {
			described.RetentionInDays = aws.Int32(g.Retention)
		}
		out.LogGroups = append(out.LogGroups, described)
	}
	return out, nil
}

// PutLogGroupDeletionProtection protects a group against its deletion, or no longer.
func (a tx) PutLogGroupDeletionProtection(in *logs.PutLogGroupDeletionProtectionInput) (*logs.PutLogGroupDeletionProtectionOutput, error) {
	g, err := a.logGroup(aws.ToString(in.LogGroupIdentifier))
	if err != nil {
		return nil, err
	}
	g.Protected = aws.ToBool(in.DeletionProtectionEnabled)
	return &logs.PutLogGroupDeletionProtectionOutput{}, nil
}

// retentions that AWS takes
// (https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html).
var retentions = []int32{1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653}

// PutRetentionPolicy sets how many days a group keeps.
func (a tx) PutRetentionPolicy(in *logs.PutRetentionPolicyInput) (*logs.PutRetentionPolicyOutput, error) {
	g, err := a.logGroup(aws.ToString(in.LogGroupName))
	if err != nil {
		return nil, err
	}
	days := aws.ToInt32(in.RetentionInDays)
	if !slices.Contains(retentions, days) {
		return nil, kernel.Fail("InvalidParameterException", "1 validation error detected: Value '%d' at 'retentionInDays' failed to satisfy constraint: Member must satisfy enum value set: %v", days, retentions)
	}
	g.Retention = days
	return &logs.PutRetentionPolicyOutput{}, nil
}

// DeleteRetentionPolicy makes a group keep for ever.
func (a tx) DeleteRetentionPolicy(in *logs.DeleteRetentionPolicyInput) (*logs.DeleteRetentionPolicyOutput, error) {
	g, err := a.logGroup(aws.ToString(in.LogGroupName))
	if err != nil {
		return nil, err
	}
	g.Retention = 0
	return &logs.DeleteRetentionPolicyOutput{}, nil
}

// CreateLogStream creates an empty stream.
func (a tx) CreateLogStream(in *logs.CreateLogStreamInput) (*logs.CreateLogStreamOutput, error) {
	g, err := a.logGroup(aws.ToString(in.LogGroupName))
	if err != nil {
		return nil, err
	}
	name := aws.ToString(in.LogStreamName)
	if name == "" || len(name) > 512 || strings.ContainsAny(name, ":*") {
		return nil, kernel.Fail("InvalidParameterException", "1 validation error detected: Value '%s' at 'logStreamName' failed to satisfy constraint: Member must satisfy regular expression pattern: [^:*]*", name)
	}
	if g.Streams[name] != nil {
		return nil, kernel.Fail("ResourceAlreadyExistsException", "The specified log stream already exists")
	}
	a.addStream(g, name)
	return &logs.CreateLogStreamOutput{}, nil
}

// addStream creates a stream and drops the oldest beyond maxLogStreams.
func (a tx) addStream(g *group, name string) *stream {
	if g.Streams == nil {
		g.Streams = map[string]*stream{}
	}
	s := &stream{Created: a.Now().UnixMilli()}
	g.Streams[name] = s
	for len(g.Streams) > maxLogStreams {
		oldest := slices.MinFunc(slices.Collect(maps.Keys(g.Streams)), func(x, y string) int {
			return cmp.Compare(max(g.Streams[x].Created, g.Streams[x].Last), max(g.Streams[y].Created, g.Streams[y].Last))
		})
		a.dropStream(g, oldest)
	}
	return s
}

func (a tx) dropStream(g *group, name string) {
	delete(g.Streams, name)
	for _, file := range a.logFiles(g.Name, name) {
		_ = os.Remove(file) // costs only space
	}
}

// DeleteLogStream deletes a stream with its events.
func (a tx) DeleteLogStream(in *logs.DeleteLogStreamInput) (*logs.DeleteLogStreamOutput, error) {
	g, _, err := a.logStream(in.LogGroupName, in.LogStreamName)
	if err != nil {
		return nil, err
	}
	a.dropStream(g, aws.ToString(in.LogStreamName))
	return &logs.DeleteLogStreamOutput{}, nil
}

// DescribeLogStreams lists a group's streams by name or by their last event.
func (a tx) DescribeLogStreams(in *logs.DescribeLogStreamsInput) (*logs.DescribeLogStreamsOutput, error) {
	g, err := a.logGroup(cmp.Or(aws.ToString(in.LogGroupName), aws.ToString(in.LogGroupIdentifier)))
	if err != nil {
		return nil, err
	}
	if in.OrderBy == types.OrderByLastEventTime && in.LogStreamNamePrefix != nil {
		return nil, kernel.Fail("InvalidParameterException", "Cannot order by LastEventTime with a logStreamNamePrefix.")
	}
	var names []string
	for _, name := range slices.Sorted(maps.Keys(g.Streams)) {
		if strings.HasPrefix(name, aws.ToString(in.LogStreamNamePrefix)) {
			names = append(names, name)
		}
	}
	if in.OrderBy == types.OrderByLastEventTime {
		slices.SortStableFunc(names, func(x, y string) int { return cmp.Compare(g.Streams[x].Last, g.Streams[y].Last) })
	}
	if aws.ToBool(in.Descending) {
		slices.Reverse(names)
	}
	if i := slices.Index(names, aws.ToString(in.NextToken)); i >= 0 {
		names = names[i+1:]
	}
	out := &logs.DescribeLogStreamsOutput{}
	limit := 50
	if in.Limit != nil && *in.Limit > 0 {
		limit = int(*in.Limit)
	}
	if len(names) > limit {
		names = names[:limit]
		out.NextToken = aws.String(names[limit-1])
	}
	for _, name := range names {
		s := g.Streams[name]
		described := types.LogStream{
			Arn: aws.String(a.GroupARN(g.Name) + ":log-stream:" + name), LogStreamName: aws.String(name), CreationTime: aws.Int64(s.Created),
			UploadSequenceToken: aws.String("1"),
		}
		if s.Last != 0 {
			described.FirstEventTimestamp, described.LastEventTimestamp = aws.Int64(s.First), aws.Int64(s.Last)
			described.LastIngestionTime = aws.Int64(s.Ingested)
		}
		out.LogStreams = append(out.LogStreams, described)
	}
	return out, nil
}
