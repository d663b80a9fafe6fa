package logs

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	logs "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
	"github.com/bookctl/bookctl/internal/pattern"
	"github.com/bookctl/bookctl/internal/sorted"
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

// event is a line of a stream's file.
type event struct {
	Time     int64  `json:"t"`
	Ingested int64  `json:"i"`
	Message  string `json:"m"`

	stream string
	id     string
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
	a.state().Groups[name] = &group{Name: name, Created: a.Now().UnixMilli(), Tags: maps.Clone(in.Tags), Streams: map[string]*stream{}}
	a.Born(a.GroupARN(name))
	return &logs.CreateLogGroupOutput{}, nil
}

// DeleteLogGroup deletes a group with what it holds.
func (a tx) DeleteLogGroup(in *logs.DeleteLogGroupInput) (*logs.DeleteLogGroupOutput, error) {
	g, err := a.logGroup(aws.ToString(in.LogGroupName))
	if err != nil {
		return nil, err
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
			CreationTime: aws.Int64(g.Created), MetricFilterCount: aws.Int32(0), StoredBytes: aws.Int64(0), LogGroupClass: types.LogGroupClassStandard,
		}
		if g.Retention != 0 {
			described.RetentionInDays = aws.Int32(g.Retention)
		}
		out.LogGroups = append(out.LogGroups, described)
	}
	return out, nil
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

// PutLogEvents appends events, which have to be in order.
func (a tx) PutLogEvents(in *logs.PutLogEventsInput) (*logs.PutLogEventsOutput, error) {
	g, s, err := a.logStream(in.LogGroupName, in.LogStreamName)
	if err != nil {
		return nil, err
	}
	var last int64
	for _, e := range in.LogEvents {
		if aws.ToInt64(e.Timestamp) < last {
			return nil, kernel.Fail("InvalidParameterException", "Log events in a single PutLogEvents request must be in chronological order.")
		}
		last = aws.ToInt64(e.Timestamp)
	}
	for _, e := range in.LogEvents {
		if err := a.appendEvent(g, s, aws.ToString(in.LogStreamName), aws.ToInt64(e.Timestamp), aws.ToString(e.Message)); err != nil {
			return nil, err
		}
	}
	return &logs.PutLogEventsOutput{NextSequenceToken: aws.String("1")}, nil
}

func (s *Service) logDir(group string) string {
	return filepath.Join(s.StateDir(), "logs", digestName(group))
}

// logFiles are the files of a stream, the one set aside first.
func (s *Service) logFiles(group, stream string) []string {
	file := filepath.Join(s.logDir(group), digestName(stream))
	return []string{file + ".old", file}
}

// digestName is a file name for any text.
func digestName(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:16])
}

func (a tx) appendEvent(g *group, s *stream, stream string, at int64, message string) error {
	event := event{Time: at, Ingested: a.Now().UnixMilli(), Message: message}
	text, err := json.Marshal(event)
	if err != nil {
		return err
	}
	files := a.logFiles(g.Name, stream)
	if err := os.MkdirAll(filepath.Dir(files[1]), 0o700); err != nil {
		return fmt.Errorf("write log stream %s: %w", stream, err)
	}
	if info, err := os.Stat(files[1]); err == nil && info.Size() > maxLogFile {
		if err := os.Rename(files[1], files[0]); err != nil {
			return fmt.Errorf("set aside log stream %s: %w", stream, err)
		}
	}
	file, err := os.OpenFile(files[1], os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("write log stream %s: %w", stream, err)
	}
	_, err = file.Write(append(text, '\n'))
	if err := errors.Join(err, file.Close()); err != nil {
		return fmt.Errorf("write log stream %s: %w", stream, err)
	}
	if s.First == 0 {
		s.First = at
	}
	s.Last, s.Ingested = max(s.Last, at), event.Ingested
	return nil
}

// events reads a stream. A line that a crash cut off is skipped, and so are
// those that the group's retention has ended.
func (a tx) events(g *group, stream string) ([]event, error) {
	var oldest int64
	if g.Retention > 0 {
		oldest = a.Now().AddDate(0, 0, -int(g.Retention)).UnixMilli()
	}
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(stream)) // never fails
	var list []event
	for _, file := range a.logFiles(g.Name, stream) {
		text, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read log stream %s: %w", stream, err)
		}
		lines := bufio.NewScanner(bytes.NewReader(text))
		lines.Buffer(nil, maxLogFile)
		for lines.Scan() {
			e := event{stream: stream}
			if json.Unmarshal(lines.Bytes(), &e) != nil || e.Time < oldest {
				continue
			}
			// As AWS's, an id sorts by time and is a number of 56 digits.
			e.id = fmt.Sprintf("%020d%012d%024d", e.Time, hash.Sum32(), len(list))
			list = append(list, e)
		}
	}
	sorted.By(list, func(x, y event) int { return cmp.Compare(x.Time, y.Time) })
	return list, nil
}

func between(e event, start, end *int64, endIncluded bool) bool {
	if start != nil && e.Time < *start {
		return false
	}
	return end == nil || e.Time < *end || endIncluded && e.Time == *end
}

// GetLogEvents pages through one stream, in either direction. At its end the
// token is the one that was given, as the API's page says.
func (a tx) GetLogEvents(in *logs.GetLogEventsInput) (*logs.GetLogEventsOutput, error) {
	g, _, err := a.logStream(aws.String(cmp.Or(aws.ToString(in.LogGroupName), aws.ToString(in.LogGroupIdentifier))), in.LogStreamName)
	if err != nil {
		return nil, err
	}
	list, err := a.events(g, aws.ToString(in.LogStreamName))
	if err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(e event) bool { return !between(e, in.StartTime, in.EndTime, false) })
	limit := maxLogPage
	if in.Limit != nil && *in.Limit > 0 {
		limit = min(int(*in.Limit), maxLogPage)
	}
	from, to := max(0, len(list)-limit), len(list)
	switch token := aws.ToString(in.NextToken); {
	case strings.HasPrefix(token, "f/"):
		n, err := strconv.Atoi(token[2:])
		if err != nil || n < 0 {
			return nil, kernel.Fail("InvalidParameterException", "The specified nextToken is invalid.")
		}
		from = min(n, len(list))
		to = min(from+limit, len(list))
	case strings.HasPrefix(token, "b/"):
		n, err := strconv.Atoi(token[2:])
		if err != nil || n < 0 {
			return nil, kernel.Fail("InvalidParameterException", "The specified nextToken is invalid.")
		}
		to = min(n, len(list))
		from = max(0, to-limit)
	case token != "":
		return nil, kernel.Fail("InvalidParameterException", "The specified nextToken is invalid.")
	case aws.ToBool(in.StartFromHead):
		from, to = 0, min(limit, len(list))
	}
	out := &logs.GetLogEventsOutput{
		Events: []types.OutputLogEvent{}, NextForwardToken: aws.String(fmt.Sprintf("f/%056d", to)), NextBackwardToken: aws.String(fmt.Sprintf("b/%056d", from)),
	}
	for _, e := range list[from:to] {
		out.Events = append(out.Events, types.OutputLogEvent{Timestamp: aws.Int64(e.Time), IngestionTime: aws.Int64(e.Ingested), Message: aws.String(e.Message)})
	}
	return out, nil
}

// FilterLogEvents searches the streams of a group, interleaved by time as AWS
// has done since 2019 whatever is asked.
func (a tx) FilterLogEvents(in *logs.FilterLogEventsInput) (*logs.FilterLogEventsOutput, error) {
	g, err := a.logGroup(cmp.Or(aws.ToString(in.LogGroupName), aws.ToString(in.LogGroupIdentifier)))
	if err != nil {
		return nil, err
	}
	matches, err := filterPattern(aws.ToString(in.FilterPattern))
	if err != nil {
		return nil, err
	}
	if len(in.LogStreamNames) > 0 && in.LogStreamNamePrefix != nil {
		return nil, kernel.Fail("InvalidParameterException", "You cannot specify both logStreamNames and logStreamNamePrefix.")
	}
	for _, name := range in.LogStreamNames {
		if g.Streams[name] == nil {
			return nil, kernel.Fail("ResourceNotFoundException", "The specified log stream does not exist.")
		}
	}
	after, err := base64.RawURLEncoding.DecodeString(aws.ToString(in.NextToken))
	if err != nil {
		return nil, kernel.Fail("InvalidParameterException", "The specified nextToken is invalid.")
	}
	var list []event
	for _, name := range slices.Sorted(maps.Keys(g.Streams)) {
		if len(in.LogStreamNames) > 0 && !slices.Contains(in.LogStreamNames, name) || !strings.HasPrefix(name, aws.ToString(in.LogStreamNamePrefix)) {
			continue
		}
		if s := g.Streams[name]; in.StartTime != nil && s.Last != 0 && s.Last < *in.StartTime {
			continue // spares reading what is too old
		}
		events, err := a.events(g, name)
		if err != nil {
			return nil, err
		}
		for _, e := range events {
			if between(e, in.StartTime, in.EndTime, true) && matches(e.Message) && e.id > string(after) {
				list = append(list, e)
			}
		}
	}
	sorted.By(list, func(x, y event) int { return cmp.Compare(x.id, y.id) })
	limit := maxLogPage
	if in.Limit != nil && *in.Limit > 0 {
		limit = min(int(*in.Limit), maxLogPage)
	}
	out := &logs.FilterLogEventsOutput{Events: []types.FilteredLogEvent{}, SearchedLogStreams: []types.SearchedLogStream{}}
	if len(list) > limit {
		list = list[:limit]
		out.NextToken = aws.String(base64.RawURLEncoding.EncodeToString([]byte(list[limit-1].id)))
	}
	for _, e := range list {
		out.Events = append(out.Events, types.FilteredLogEvent{
			EventId: aws.String(e.id), LogStreamName: aws.String(e.stream), Timestamp: aws.Int64(e.Time), IngestionTime: aws.Int64(e.Ingested), Message: aws.String(e.Message),
		})
	}
	return out, nil
}

var patternTerm = pattern.New(`([-?]?)(?:"((?:[^"\\]|\\.)*)"|(\S+))`)

// filterPattern understands patterns of terms: all of them, -excluded ones, and
// ?optional ones of which one is enough
// (https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html).
// Patterns for JSON, for columns and for regular expressions are refused.
func filterPattern(pattern string) (func(message string) bool, error) {
	pattern = strings.TrimSpace(pattern)
	if pattern != "" && strings.ContainsRune("{[%", rune(pattern[0])) {
		return nil, kernel.Fail("InvalidParameterException", "Invalid filter pattern: the local cloud understands patterns of terms only")
	}
	var all, none, any []string
	for _, m := range patternTerm.FindAllStringSubmatch(pattern, -1) {
		term := m[3]
		if term == "" {
			term = strings.NewReplacer(`\"`, `"`, `\\`, `\`).Replace(m[2])
		}
		switch m[1] {
		case "-":
			none = append(none, term)
		case "?":
			any = append(any, term)
		default:
			all = append(all, term)
		}
	}
	return func(message string) bool {
		has := func(term string) bool { return strings.Contains(message, term) }
		for _, term := range all {
			if !has(term) {
				return false
			}
		}
		return !slices.ContainsFunc(none, has) && (len(any) == 0 || slices.ContainsFunc(any, has))
	}, nil
}

func (a tx) tag(group string, tags map[string]string) error {
	g, err := a.logGroup(group)
	if err != nil {
		return err
	}
	all := maps.Clone(g.Tags)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, tags)
	g.Tags = all
	return nil
}

func (a tx) untag(group string, keys []string) error {
	g, err := a.logGroup(group)
	if err != nil {
		return err
	}
	left := maps.Clone(g.Tags)
	for _, k := range keys {
		delete(left, k)
	}
	g.Tags = left
	return nil
}

func (a tx) listTags(group string) (map[string]string, error) {
	g, err := a.logGroup(group)
	if err != nil {
		return nil, err
	}
	if g.Tags == nil {
		return map[string]string{}, nil
	}
	return maps.Clone(g.Tags), nil
}

// TagResource tags a group by its ARN.
func (a tx) TagResource(in *logs.TagResourceInput) (*logs.TagResourceOutput, error) {
	return &logs.TagResourceOutput{}, a.tag(aws.ToString(in.ResourceArn), in.Tags)
}

// UntagResource removes tags from a group.
func (a tx) UntagResource(in *logs.UntagResourceInput) (*logs.UntagResourceOutput, error) {
	return &logs.UntagResourceOutput{}, a.untag(aws.ToString(in.ResourceArn), in.TagKeys)
}

// ListTagsForResource lists a group's tags.
func (a tx) ListTagsForResource(in *logs.ListTagsForResourceInput) (*logs.ListTagsForResourceOutput, error) {
	tags, err := a.listTags(aws.ToString(in.ResourceArn))
	return &logs.ListTagsForResourceOutput{Tags: tags}, err
}

// TagLogGroup is the older TagResource.
func (a tx) TagLogGroup(in *logs.TagLogGroupInput) (*logs.TagLogGroupOutput, error) {
	return &logs.TagLogGroupOutput{}, a.tag(aws.ToString(in.LogGroupName), in.Tags)
}

// UntagLogGroup is the older UntagResource.
func (a tx) UntagLogGroup(in *logs.UntagLogGroupInput) (*logs.UntagLogGroupOutput, error) {
	return &logs.UntagLogGroupOutput{}, a.untag(aws.ToString(in.LogGroupName), in.Tags)
}

// ListTagsLogGroup is the older ListTagsForResource.
func (a tx) ListTagsLogGroup(in *logs.ListTagsLogGroupInput) (*logs.ListTagsLogGroupOutput, error) {
	tags, err := a.listTags(aws.ToString(in.LogGroupName))
	return &logs.ListTagsLogGroupOutput{Tags: tags}, err
}
