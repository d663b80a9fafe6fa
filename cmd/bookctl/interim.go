package main

import (
	"context"
	"os"

	"github.com/bookctl/bookctl/internal/picture"
	"github.com/bookctl/bookctl/internal/provision"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

func diagnosed(ctx context.Context, s streams, stack *provision.Stack, err error) error { return err }

func writeTimeline(file, title string, report graph.Report) error {
	critical := map[string]bool{}
	for _, n := range report.CriticalPath() {
		critical[n] = true
	}
	var spans []picture.Span
	for _, s := range report.Steps {
		spans = append(spans, picture.Span{Name: s.Name, Action: string(s.Action), Start: s.Start, End: s.End, Critical: critical[s.Name], Failed: s.Err != nil})
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer f.Close()
	return picture.Timeline(f, title, spans)
}
