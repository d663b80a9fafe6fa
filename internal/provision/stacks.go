package provision

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	tagapi "github.com/aws/aws-sdk-go-v2/service/resourcegroupstaggingapi"
	tagtypes "github.com/aws/aws-sdk-go-v2/service/resourcegroupstaggingapi/types"

	"github.com/bookctl/bookctl/internal/naming"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// Summary is one stack among all of an account and region.
type Summary struct {
	Stack string `json:"stack"`
	// State is "ready", "deploying", "failed", "partial" (not all of it is there),
	// "paused", "destroying", "destroyed" when nothing but snapshots is left, or "unknown"
	// when the caller may not look.
	State string `json:"state" enum:"ready|deploying|failed|partial|paused|destroying|destroyed|unknown"`
	// Created is when the oldest part that tells was made; zero when none does.
	Created  time.Time `json:"created,omitzero"`
	Running  int32     `json:"running"`
	Desired  int32     `json:"desired"`
	Database string    `json:"database,omitempty" doc:"RDS's word for its state."`
	// Paused is when the stack was paused; zero for one that is not.
	Paused time.Time `json:"paused,omitzero" doc:"Since when it is."`
	// DatabaseStarts is when RDS starts the stopped database by itself.
	DatabaseStarts time.Time `json:"databaseStarts,omitzero" doc:"When RDS starts the stopped database by itself."`
	// Snapshots are those that persist without the stack, and GiB their size.
	Snapshots int   `json:"snapshots" doc:"How many persist without the stack."`
	GiB       int32 `json:"snapshotGib"`
	// There is what there is of it, as far as it costs.
	There Deployed `json:"-"`
	// Denied is what the caller may not do and would have to, to know the state.
	Denied string `json:"denied,omitempty" doc:"The IAM action that is not allowed, where the state is unknown."`
}

// unseen marks a stack that the caller may not look at; it says whether that was
// the error.
func (s *Summary) unseen(err error) bool {
	action, denied := Denied(err)
	if denied {
		s.State, s.Denied = "unknown", action
	}
	return denied
}

// Stacks lists the stacks of the account and region. They are found by the tag
// of their VPC, which is made first and goes last, of the snapshots that outlive
// them, and of the cluster and the secret, which are made beside the VPC and may
// be all there is: three calls, and five more for each stack.
func Stacks(ctx context.Context, c Clients) ([]Summary, error) {
	all := map[string]*Summary{}
	vpcs := ec2.NewDescribeVpcsPaginator(c.EC2, &ec2.DescribeVpcsInput{
		Filters: []ec2types.Filter{{Name: aws.String("tag-key"), Values: []string{TagStack}}},
	})
	for vpcs.HasMorePages() {
		page, err := vpcs.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("describe the stacks' VPCs: %w", err)
		}
		for _, v := range page.Vpcs {
			if name := tagMap(v.Tags)[TagStack]; naming.CheckStack(name) == nil {
				all[name] = &Summary{Stack: name}
			}
		}
	}
	for _, name := range tagged(ctx, c.Tagging) {
		if all[name] != nil {
			continue
		}
		// The tagging API lists what is gone, too.
		found := &Summary{Stack: name}
		there, secrets, err := Exist(ctx, c, name)
		if err != nil && !found.unseen(err) {
			return nil, err
		}
		if there || secrets != nil || err != nil {
			all[name] = found
		}
	}
	var (
		each graph.Group
		slot = make(chan struct{}, 8) // as many at once as no account minds
	)
	for _, s := range all {
		each.Go(func() error {
			slot <- struct{}{}
			defer func() { <-slot }()
			if s.State != "" {
				return nil // it may not be looked at
			}
			if err := s.read(ctx, c); err != nil && !s.unseen(err) {
				return err
			}
			return nil
		})
	}
	if err := each.Wait(); err != nil {
		return nil, err
	}
	// RDS can't filter by tag.
	snapshots := rds.NewDescribeDBSnapshotsPaginator(c.RDS, &rds.DescribeDBSnapshotsInput{SnapshotType: aws.String("manual")})
	for snapshots.HasMorePages() {
		page, err := snapshots.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("describe the snapshots of all stacks: %w", err)
		}
		for _, x := range page.DBSnapshots {
			name := rdsTagMap(x.TagList)[TagStack]
			if naming.CheckStack(name) != nil {
				continue
			}
			if all[name] == nil {
				all[name] = &Summary{Stack: name, State: "destroyed"}
			}
			all[name].Snapshots++
			all[name].GiB += aws.ToInt32(x.AllocatedStorage)
		}
	}
	var out []Summary
	for _, name := range slices.Sorted(maps.Keys(all)) {
		out = append(out, *all[name])
	}
	return out, nil
}

// tagged are the names of stacks that have a cluster or a secret, or had one not
// long ago. That the tagging API can't be asked is no failure: it only finds what
// has no VPC.
func tagged(ctx context.Context, client *tagapi.Client) []string {
	var out []string
	for _, tags := range taggedThings(ctx, client, tagtypes.TagFilter{Key: aws.String(TagStack)}, "ecs:cluster", "secretsmanager:secret") {
		if name := tags[TagStack]; naming.CheckStack(name) == nil && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// read fills in how the stack is, and its settings as far as they cost.
func (s *Summary) read(ctx context.Context, c Clients) error {
	who := identity{stack: s.Stack, region: c.IAM.Options().Region}
	d := Deployed{Settings: DefaultSettings(), seen: &glances{}}
	for _, read := range []func(context.Context, Clients, identity, *Deployed) (func(), error){readService, readTask, readDatabase} {
		write, err := read(ctx, c, who, &d)
		if err != nil {
			return err
		}
		if write != nil {
			write()
		}
	}
	if d.seen.service.what != nil && d.seen.instance.what == nil {
		// Only the roles record that there is to be none.
		write, err := readRole(ctx, c, who, &d)
		if err != nil {
			return err
		}
		if write != nil {
			write()
		}
	}
	balancer, err := (&LoadBalancer{balancing: balancing{identity: who, elb: c.ELB}}).lookup(ctx)
	if err != nil {
		return err
	}
	d.Balanced = balancer != nil // its name is the stack's own
	s.There = d
	service, db := d.seen.service.what, d.seen.instance.what
	if db != nil {
		s.Database, s.Created = aws.ToString(db.DBInstanceStatus), aws.ToTime(db.InstanceCreateTime)
	}
	s.State = "partial"
	going := s.Database == "deleting" || service != nil && aws.ToString(service.Status) == "DRAINING"
	if going {
		s.State = "destroying"
	}
	if service == nil {
		return nil
	}
	s.Paused, s.DatabaseStarts = d.Paused, d.DatabaseStarts
	s.Running, s.Desired = service.RunningCount, service.DesiredCount
	if at := aws.ToTime(service.CreatedAt); s.Created.IsZero() || at.Before(s.Created) {
		s.Created = at
	}
	p, database := serviceStatus(service), databasePhase(s.Database)
	if db == nil {
		database = graph.Ready // there is to be none
	}
	switch {
	case db == nil && !d.NoDatabase, going:
	case !d.Paused.IsZero():
		s.State = "paused"
	case p.Rollout == "FAILED" || database == graph.Unrecoverable:
		s.State = "failed"
	case p.Rollout == "IN_PROGRESS" || s.Running < s.Desired || database != graph.Ready:
		s.State = "deploying"
	default:
		s.State = "ready"
	}
	return nil
}
