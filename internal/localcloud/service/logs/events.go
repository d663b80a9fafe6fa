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

// event is a line of a stream's file.
type event struct {
	Time     int64  `json:"t"`
	Ingested int64  `json:"i"`
	Message  string `json:"m"`

	stream string
	id     string
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
	if err == nil {
		err = g.readable("GetLogEvents")
	}
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
	if err == nil {
		err = g.readable("FilterLogEvents")
	}
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
