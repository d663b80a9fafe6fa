package cli

import (
	"errors"
	"fmt"
	"os"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/picture"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// timeline is the file for a run's timeline; without a file, its methods do nothing.
type timeline struct {
	file *os.File
	// made reports whether this run made the file, and drawn that it holds a picture.
	made, drawn bool
}

// openTimeline opens the file before the run begins, so that a file that can't be written
// fails at once, and not after minutes.
func openTimeline(file string) (*timeline, error) {
	if file == "" {
		return &timeline{}, nil
	}
	_, before := os.Stat(file)
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE, 0o666)
	if err != nil {
		return nil, hint.With(usageError{fmt.Errorf("write the timeline: %w", err)}, "name a file that can be written with --timeline")
	}
	return &timeline{file: f, made: errors.Is(before, os.ErrNotExist)}, nil
}

// drop removes the empty file if there was no run to draw.
func (t *timeline) drop() {
	if t.file == nil || t.drawn {
		return
	}
	_ = t.file.Close() // nothing was written
	if t.made {
		_ = os.Remove(t.file.Name())
	}
}

// draw draws how long each resource of the run took, if it had any.
func (t *timeline) draw(title string, report graph.Report, before ...picture.Span) (err error) {
	if t.file == nil || len(report.Steps) == 0 {
		return nil
	}
	critical := map[string]bool{}
	for _, name := range report.CriticalPath() {
		critical[name] = true
	}
	spans := before
	for i := range spans { // the image waits for its build
		spans[i].Critical = critical["image"]
	}
	for _, s := range report.Steps {
		spans = append(spans, picture.Span{
			Name: s.Name, Action: string(s.Action), Start: s.Start, End: s.End, Critical: critical[s.Name], Failed: s.Err != nil,
		})
	}
	t.drawn = true
	defer func() {
		if err = errors.Join(err, t.file.Close()); err != nil {
			err = fmt.Errorf("write the timeline: %w", err)
		}
	}()
	if info, err := t.file.Stat(); err == nil && info.Mode().IsRegular() { // and no pipe
		if err := t.file.Truncate(0); err != nil { // an earlier run's may be longer
			return err
		}
	}
	return picture.Timeline(t.file, title, spans)
}
