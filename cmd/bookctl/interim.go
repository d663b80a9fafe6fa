package main

import (
	"context"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/bookctl/bookctl/internal/localcloud"
	"github.com/bookctl/bookctl/internal/picture"
	"github.com/bookctl/bookctl/internal/provision"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

func zonesOf(ctx context.Context, c provision.Clients) ([2]string, error) {
	out, err := c.EC2.DescribeAvailabilityZones(ctx, &ec2.DescribeAvailabilityZonesInput{})
	if err != nil {
		return [2]string{}, err
	}
	return [2]string{*out.AvailabilityZones[0].ZoneName, *out.AvailabilityZones[1].ZoneName}, nil
}

func diagnosed(ctx context.Context, s streams, stack *provision.Stack, err error) error { return err }

var _ = time.Now

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

func typicalLatencies() localcloud.Latencies { return localcloud.Latencies{} }
