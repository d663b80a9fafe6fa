package rds

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
)

const (
	// logFile is the one log file of an instance. RDS begins a new one each
	// hour, error/postgresql.log.2026-11-29-10.
	logFile = "error/postgresql.log"
	// logType is that log as an export to CloudWatch calls it.
	logType = "postgresql"
	// upgradeLogType is the log of upgrades.
	upgradeLogType = "upgrade"
	// exportTick is how often a log is looked at for new lines. RDS takes seconds.
	exportTick = 500 * time.Millisecond
	// mostExported is what is read of a log at once.
	mostExported = 1 << 20
	// logPage is how much of a log an answer has, as RDS's
	// (https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DownloadDBLogFilePortion.html).
	logPage = 1 << 20
)

// logGroupOf is where RDS sends a log of an instance: the instance's name and the
// log's, with a stream for the instance
// (https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_LogAccess.Concepts.PostgreSQL.html).
func logGroupOf(db *instance, log string) (group, stream string) {
	return "/aws/rds/instance/" + db.ID + "/" + log, db.ID + ".0"
}

// runExports sends the logs of the instances that export them, until ctx ends.
func (s *Service) runExports(ctx context.Context) {
	tick := time.NewTicker(exportTick)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.view(tx.exportLogs)
		}
	}
}

// logFileOf is the file that an instance's server writes its log to, "" for one
// that can have no server.
func (s *Service) logFileOf(db *instance) string {
	server, err := s.needs.Engine.Server(db.Resource)
	if err != nil {
		return ""
	}
	return server.LogFile()
}

// exportLogs sends what has been written since the last look.
func (a tx) exportLogs() {
	for _, db := range a.state().Instances {
		file := a.logFileOf(db)
		info, err := os.Stat(file)
		if err != nil || info.Size() == db.Exported {
			continue
		}
		if !slices.Contains(db.Logs, logType) {
			// What is written before it is exported never is.
			db.Exported = info.Size()
			continue
		}
		if info.Size() < db.Exported {
			db.Exported = 0 // a new file
		}
		text, err := readPart(file, db.Exported, mostExported)
		if err != nil {
			a.Log().Error("a database's log could not be read", "database", db.ID, "error", err)
			continue
		}
		text = text[:bytes.LastIndexByte(text, '\n')+1] // a line that is not whole comes next time
		if len(text) == 0 {
			continue
		}
		db.Exported += int64(len(text))
		a.Changed()
		group, stream := logGroupOf(db, logType)
		for _, record := range logRecords(string(text)) {
			if err := a.needs.Logs.Append(a.Tx, group, stream, cmp.Or(recordTime(record), a.Now().UnixMilli()), record); err != nil {
				a.Log().Error("a line of a database's log was lost", "database", db.ID, "error", err)
			}
		}
	}
}

// logRecords are a log's lines, of which those that begin with a tab belong to
// the one before.
func logRecords(text string) (records []string) {
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if strings.HasPrefix(line, "\t") && len(records) > 0 {
			records[len(records)-1] += "\n" + line
			continue
		}
		if line != "" {
			records = append(records, line)
		}
	}
	return records
}

// recordTime is when a record was written, 0 if it does not say.
func recordTime(record string) int64 {
	const layout = "2006-01-02 15:04:05 MST"
	if len(record) < len(layout) {
		return 0
	}
	t, err := time.Parse(layout, record[:len(layout)])
	if err != nil {
		return 0
	}
	return t.UnixMilli()
}

func readPart(file string, from, most int64) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	return io.ReadAll(io.NewSectionReader(f, from, most))
}

// DescribeDBLogFiles lists the log of an instance.
func (a tx) DescribeDBLogFiles(in *rds.DescribeDBLogFilesInput) (*rds.DescribeDBLogFilesOutput, error) {
	db, err := a.instance(in.DBInstanceIdentifier)
	if err != nil {
		return nil, err
	}
	out := &rds.DescribeDBLogFilesOutput{DescribeDBLogFiles: []types.DescribeDBLogFilesDetails{}}
	for _, r := range db.Reports {
		if strings.Contains(r.Name, aws.ToString(in.FilenameContains)) && int64(len(r.Text)) >= aws.ToInt64(in.FileSize) && r.Time.UnixMilli() >= aws.ToInt64(in.FileLastWritten) {
			out.DescribeDBLogFiles = append(out.DescribeDBLogFiles, types.DescribeDBLogFilesDetails{
				LogFileName: aws.String(r.Name), LastWritten: aws.Int64(r.Time.UnixMilli()), Size: aws.Int64(int64(len(r.Text))),
			})
		}
	}
	info, err := os.Stat(a.logFileOf(db))
	if err != nil || !strings.Contains(logFile, aws.ToString(in.FilenameContains)) || info.Size() < aws.ToInt64(in.FileSize) || info.ModTime().UnixMilli() < aws.ToInt64(in.FileLastWritten) {
		return out, nil
	}
	out.DescribeDBLogFiles = append(out.DescribeDBLogFiles, types.DescribeDBLogFilesDetails{
		LogFileName: aws.String(logFile), LastWritten: aws.Int64(info.ModTime().UnixMilli()), Size: aws.Int64(info.Size()),
	})
	return out, nil
}

// DownloadDBLogFilePortion reads a log from a marker on: "0" is its beginning,
// and without one only the last lines are sent.
func (a tx) DownloadDBLogFilePortion(in *rds.DownloadDBLogFilePortionInput) (*rds.DownloadDBLogFilePortionOutput, error) {
	db, err := a.instance(in.DBInstanceIdentifier)
	if err != nil {
		return nil, err
	}
	missing := kernel.Fail("DBLogFileNotFoundFault", "DBLog File: %s, is not found on the DB instance", aws.ToString(in.LogFileName))
	if at := slices.IndexFunc(db.Reports, func(r report) bool { return r.Name == aws.ToString(in.LogFileName) }); at >= 0 {
		text := db.Reports[at].Text
		return &rds.DownloadDBLogFilePortionOutput{LogFileData: &text, Marker: aws.String(strconv.Itoa(len(text))), AdditionalDataPending: aws.Bool(false)}, nil
	}
	if aws.ToString(in.LogFileName) != logFile {
		return nil, missing
	}
	file := a.logFileOf(db)
	info, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, missing
	}
	if err != nil {
		return nil, err
	}
	lines := 10000
	if in.NumberOfLines != nil {
		lines = int(*in.NumberOfLines)
	}
	from := max(0, info.Size()-logPage)
	if in.Marker != nil {
		if from, err = strconv.ParseInt(*in.Marker, 10, 64); err != nil || from < 0 {
			return nil, kernel.Fail("InvalidParameterValue", "Invalid marker: %s", *in.Marker)
		}
	}
	text, err := readPart(file, min(from, info.Size()), logPage)
	if err != nil {
		return nil, err
	}
	parts := strings.SplitAfter(string(text), "\n")
	if in.Marker == nil {
		parts = parts[max(0, len(parts)-1-lines):] // the last is what follows the last line
		from = info.Size() - int64(len(strings.Join(parts, "")))
	} else if len(parts) > lines {
		parts = parts[:lines]
	}
	data := strings.Join(parts, "")
	end := min(from, info.Size()) + int64(len(data))
	return &rds.DownloadDBLogFilePortionOutput{
		LogFileData: aws.String(data), Marker: aws.String(strconv.FormatInt(end, 10)), AdditionalDataPending: aws.Bool(end < info.Size()),
	}, nil
}
