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
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	rdstypes "github.com/aws/aws-sdk-go-v2/service/rds/types"
	tagapi "github.com/aws/aws-sdk-go-v2/service/resourcegroupstaggingapi"
	tagtypes "github.com/aws/aws-sdk-go-v2/service/resourcegroupstaggingapi/types"

	"github.com/bookctl/bookctl/internal/naming"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// Summary is one stack among all of an account and region.
type Summary struct {
	Stack string `json:"stack"`
	// State is "ready", "deploying", "failed", "partial" (some resources are missing),
	// "paused", "destroying", "destroyed" (only snapshots are left), or "unknown" (the
	// caller may not read it).
	State string `json:"state" enum:"ready|deploying|failed|partial|paused|destroying|destroyed|unknown"`
	// Created is the creation time of its oldest resource that has one; otherwise zero.
	Created  time.Time `json:"created,omitzero"`
	Running  int32     `json:"running"`
	Desired  int32     `json:"desired"`
	Database string    `json:"database,omitempty" doc:"RDS's word for its state."`
	// Paused is when the stack was paused; zero for one that is not.
	Paused time.Time `json:"paused,omitzero" doc:"Since when it is."`
	// DatabaseStarts is when RDS starts the stopped database by itself.
	DatabaseStarts time.Time `json:"databaseStarts,omitzero" doc:"When RDS starts the stopped database by itself."`
	// Snapshots are those that exist without the stack, with the backups that RDS retains of
	// deleted instances, and GiB their size.
	Snapshots int   `json:"snapshots" doc:"How many persist without the stack."`
	GiB       int32 `json:"snapshotGib"`
	// Deployed is what exists of it and costs money.
	Deployed Deployed `json:"-"`
	// Denied is the action that the caller needs, and does not have, to know the state.
	Denied string `json:"denied,omitempty" doc:"The IAM action that is not allowed, where the state is unknown."`
}

// noteDenied sets the state to unknown if the error is that the caller may not read the stack. It
// reports whether that was the error.
func (s *Summary) noteDenied(err error) bool {
	action, denied := Denied(err)
	if denied {
		s.State, s.Denied = "unknown", action
	}
	return denied
}

// Stacks lists the stacks of the account and region. They are found by the tag
// of their VPC, which is made first and goes last, of the snapshots that outlive
// them, and of the cluster and the secret, which are made alongside the VPC and may
// be all there is. What lists the resources of all stacks is called once for all; see
// sharedReads. Costs says that Summary.Deployed is needed whole, which takes one call
// for each stack.
func Stacks(ctx context.Context, c Clients, costs bool) ([]Summary, error) {
	all, err := findStacks(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := readStacks(ctx, c, all, costs); err != nil {
		return nil, err
	}
	backups, err := keptBackups(ctx, c.RDS)
	if err != nil {
		return nil, err
	}
	addBackups(all, backups)
	var out []Summary
	for _, name := range slices.Sorted(maps.Keys(all)) {
		out = append(out, *all[name])
	}
	return out, nil
}

// findStacks returns the stacks of which more than backups exists, by name. The state is set
// of those alone that the caller may not read.
func findStacks(ctx context.Context, c Clients) (map[string]*Summary, error) {
	all := map[string]*Summary{}
	vpcs := ec2.NewDescribeVpcsPaginator(c.EC2, &ec2.DescribeVpcsInput{
		Filters: []ec2types.Filter{{Name: aws.String("tag-key"), Values: []string{TagStack}}},
	})
	for vpcs.HasMorePages() {
		page, err := vpcs.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("describe the stacks' VPCs: %w", err)
		}
		for _, v := range WithoutDeleting(page.Vpcs) {
			if name := fromEC2Tags(v.Tags)[TagStack]; naming.CheckStack(name) == nil {
				all[name] = &Summary{Stack: name}
			}
		}
	}
	for _, name := range stacksByTag(ctx, c.Tagging) {
		if all[name] != nil {
			continue
		}
		// The tagging API lists deleted resources, too.
		found := &Summary{Stack: name}
		exists, secrets, err := FindRemains(ctx, c, name)
		if err != nil && !found.noteDenied(err) {
			return nil, err
		}
		if exists || secrets != nil || err != nil {
			all[name] = found
		}
	}
	return all, nil
}

// readStacks reads the state of each stack, several at once.
func readStacks(ctx context.Context, c Clients, all map[string]*Summary, costs bool) error {
	shared, err := newSharedReads(ctx, c, slices.Collect(maps.Keys(all)))
	if err != nil {
		return err
	}
	var (
		each graph.Group
		slot = make(chan struct{}, 8) // as many at once as no account minds
	)
	for _, s := range all {
		if s.State != "" {
			continue // it may not be read
		}
		each.Go(func() error {
			slot <- struct{}{}
			defer func() { <-slot }()
			if err := s.read(ctx, c, shared, costs); err != nil && !s.noteDenied(err) {
				return err
			}
			return nil
		})
	}
	return each.Wait()
}

// addBackups counts the backups of each stack, and adds the stacks of which nothing else exists.
func addBackups(all map[string]*Summary, backups []keptBackup) {
	for _, x := range backups {
		if naming.CheckStack(x.stack) != nil {
			continue
		}
		if all[x.stack] == nil {
			all[x.stack] = &Summary{Stack: x.stack, State: "destroyed"}
		}
		all[x.stack].Snapshots++
		all[x.stack].GiB += x.gib
	}
}

// keptBackup is a snapshot or a backup that outlives its stack.
type keptBackup struct {
	stack string
	gib   int32
	// resource is the id of the instance that a retained backup is of.
	resource string
}

// keptBackups lists the snapshots that people and tools took of all stacks, those of AWS Backup,
// and the automated backups that RDS retains of deleted instances. RDS can't filter by tag.
func keptBackups(ctx context.Context, client *rds.Client) ([]keptBackup, error) {
	var (
		reads     graph.Group
		found     [2][]keptBackup
		retained  []keptBackup
		snapshots = func(of string) (out []keptBackup, err error) {
			pages := rds.NewDescribeDBSnapshotsPaginator(client, &rds.DescribeDBSnapshotsInput{SnapshotType: &of})
			for pages.HasMorePages() {
				page, err := pages.NextPage(ctx)
				if err != nil {
					return nil, fmt.Errorf("describe the snapshots of all stacks: %w", err)
				}
				for _, x := range page.DBSnapshots {
					out = append(out, keptBackup{stack: fromRDSTags(x.TagList)[TagStack], gib: aws.ToInt32(x.AllocatedStorage)})
				}
			}
			return out, nil
		}
	)
	for i, of := range []string{"manual", "awsbackup"} {
		reads.Go(func() (err error) {
			found[i], err = snapshots(of)
			return err
		})
	}
	reads.Go(func() error {
		pages := rds.NewDescribeDBInstanceAutomatedBackupsPaginator(client, &rds.DescribeDBInstanceAutomatedBackupsInput{})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil && (Expired(err) || ctx.Err() != nil) {
				return fmt.Errorf("describe the automated backups of all stacks: %w", err)
			}
			if err != nil {
				return nil // without them the list goes on
			}
			for _, b := range page.DBInstanceAutomatedBackups {
				if aws.ToString(b.Status) == "retained" { // else it is part of its instance
					retained = append(retained, keptBackup{fromRDSTags(b.TagList)[TagStack], aws.ToInt32(b.AllocatedStorage), aws.ToString(b.DbiResourceId)})
				}
			}
		}
		return findOwners(ctx, client, retained)
	})
	if err := reads.Wait(); err != nil {
		return nil, err
	}
	return slices.Concat(found[0], found[1], retained), nil
}

// findOwners sets the stacks of retained backups without tags, which are "independent of source DB
// instance tags". The automated snapshots in such a backup have the tags of their instance.
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_Tagging.html
func findOwners(ctx context.Context, client *rds.Client, retained []keptBackup) error {
	var resources []string
	for _, b := range retained {
		if b.stack == "" {
			resources = append(resources, b.resource)
		}
	}
	if resources == nil {
		return nil
	}
	pages := rds.NewDescribeDBSnapshotsPaginator(client, &rds.DescribeDBSnapshotsInput{
		SnapshotType: aws.String("automated"), Filters: []rdstypes.Filter{{Name: aws.String("dbi-resource-id"), Values: resources}},
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil && (Expired(err) || ctx.Err() != nil) {
			return fmt.Errorf("describe the snapshots in retained backups: %w", err)
		}
		if err != nil {
			return nil // without them the list goes on
		}
		for _, x := range page.DBSnapshots {
			at := slices.IndexFunc(retained, func(b keptBackup) bool { return b.stack == "" && b.resource == aws.ToString(x.DbiResourceId) })
			if at >= 0 {
				retained[at].stack = fromRDSTags(x.TagList)[TagStack]
			}
		}
	}
	return nil
}

// stacksByTag returns the names of stacks that have a cluster or a secret, or had one recently. It
// is no failure if the tagging API can't be called: it only finds stacks without a VPC.
func stacksByTag(ctx context.Context, client *tagapi.Client) []string {
	var out []string
	for _, tags := range taggedThings(ctx, client, tagtypes.TagFilter{Key: aws.String(TagStack)}, "ecs:cluster", "secretsmanager:secret") {
		if name := tags[TagStack]; naming.CheckStack(name) == nil && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// sharedReads are the resources of all stacks that one call lists. If the caller may not
// list them, as with the policy of one stack, each stack is read by itself.
type sharedReads struct {
	clusters  map[string]ecstypes.Cluster
	instances map[string]rdstypes.DBInstance
	balancers map[string]bool
}

// newSharedReads reads the resources of several stacks.
func newSharedReads(ctx context.Context, c Clients, stacks []string) (*sharedReads, error) {
	var (
		shared sharedReads
		each   graph.Group
	)
	if len(stacks) == 0 {
		return &shared, nil
	}
	unlessDenied := func(read func() error) {
		each.Go(func() error {
			err := read()
			if _, denied := Denied(err); denied {
				return nil
			}
			return err
		})
	}
	unlessDenied(func() error {
		all := map[string]ecstypes.Cluster{}
		// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeClusters.html
		const mostClusters = 100
		for some := range slices.Chunk(mapped(stacks, func(stack string) string { return naming.Names{Stack: stack}.Cluster() }), mostClusters) {
			out, err := c.ECS.DescribeClusters(ctx, &ecs.DescribeClustersInput{Clusters: some, Include: []ecstypes.ClusterField{ecstypes.ClusterFieldTags}})
			if err != nil {
				return fmt.Errorf("describe the stacks' clusters: %w", err)
			}
			for _, x := range out.Clusters {
				all[aws.ToString(x.ClusterName)] = x
			}
		}
		shared.clusters = all
		return nil
	})
	unlessDenied(func() error {
		found, err := allInstances(ctx, c.RDS)
		if err != nil {
			return err
		}
		all := map[string]rdstypes.DBInstance{}
		for _, x := range found {
			all[aws.ToString(x.DBInstanceIdentifier)] = x
		}
		shared.instances = all
		return nil
	})
	unlessDenied(func() error {
		all := map[string]bool{}
		pages := elb.NewDescribeLoadBalancersPaginator(c.ELB, &elb.DescribeLoadBalancersInput{})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return fmt.Errorf("describe the load balancers of all stacks: %w", err)
			}
			for _, x := range page.LoadBalancers {
				all[aws.ToString(x.LoadBalancerName)] = true
			}
		}
		shared.balancers = all
		return nil
	})
	return &shared, each.Wait()
}

// readStableService reads the settings of a stack's service from their copy on its cluster, if the
// counts of the cluster show that the service is stable: one service, and as many running
// tasks as it wants, with none pending. This saves a call for each stack, because ECS
// describes services by cluster.
func (n *sharedReads) readStableService(ident identity, d *Deployed) bool {
	if _, dated := n.instances[ident.names().Database()]; !dated {
		return false // only the service shows how old the stack is
	}
	cluster, ok := n.clusters[ident.names().Cluster()]
	tags := fromECSTags(cluster.Tags)
	count := number(tags[settingTag("count")])
	if !ok || count == nil || aws.ToString(cluster.Status) != "ACTIVE" || tags[TagStack] != ident.stack ||
		cluster.ActiveServicesCount != 1 || cluster.PendingTasksCount != 0 || cluster.RunningTasksCount != *count {
		return false
	}
	var recorded Settings
	recorded.readCopy(servicePart, tags)
	if recorded.Max != 0 {
		return false // scaling sets how many there are to be
	}
	d.readCopy(servicePart, tags)
	d.exists.service, d.exists.tasks = true, *count
	return true
}

// database returns the stack's instance, nil for none.
func (n *sharedReads) database(ctx context.Context, of rdsAccess) (*rdstypes.DBInstance, error) {
	if n.instances == nil {
		return of.instance(ctx)
	}
	if x, ok := n.instances[of.names().Database()]; ok {
		return &x, nil
	}
	return nil, nil
}

// hasLoadBalancer reports whether there is a load balancer, whose name is the stack's own.
func (n *sharedReads) hasLoadBalancer(ctx context.Context, of elbAccess) (bool, error) {
	if n.balancers != nil {
		return n.balancers[of.names().LoadBalancer()], nil
	}
	found, err := (&LoadBalancer{elbAccess: of}).lookup(ctx)
	return found != nil, err
}

// read sets the state of a stack, and its settings as far as they cost money.
func (s *Summary) read(ctx context.Context, c Clients, shared *sharedReads, costs bool) error {
	ident := identity{stack: s.Stack, region: c.IAM.Options().Region}
	d := Deployed{Settings: DefaultSettings(), observation: &observation{}}
	ident.observation = d.observation
	ctx = graph.WhileObserving(ctx)
	var service *ecstypes.Service
	stable := shared.readStableService(ident, &d)
	if !stable {
		write, err := readService(ctx, c, ident, &d)
		if err != nil {
			return err
		}
		write.apply()
		if service, err = (ecsAccess{identity: ident, ecs: c.ECS}).service().describe(ctx); err != nil {
			return err
		}
	}
	if costs {
		write, err := readTask(ctx, c, ident, &d)
		if err != nil {
			return err
		}
		write.apply()
	}
	db, err := shared.database(ctx, rdsAccess{identity: ident, rds: c.RDS})
	if err != nil {
		return err
	}
	databaseWriter(ident, db, &d).apply()
	if service != nil && db == nil {
		// Only the roles record --no-database.
		write, err := readRole(ctx, c, ident, &d)
		if err != nil {
			return err
		}
		write.apply()
	}
	if d.HasLoadBalancer, err = shared.hasLoadBalancer(ctx, elbAccess{identity: ident, elb: c.ELB}); err != nil {
		return err
	}
	s.Deployed = d
	if db != nil {
		s.Database, s.Created = aws.ToString(db.DBInstanceStatus), aws.ToTime(db.InstanceCreateTime)
	}
	rollout := ""
	switch {
	case stable:
		s.Running, s.Desired, rollout = d.exists.tasks, d.exists.tasks, "COMPLETED"
	case service != nil:
		s.Running, s.Desired, rollout = service.RunningCount, service.DesiredCount, serviceStatus(service).Rollout
		if at := aws.ToTime(service.CreatedAt); s.Created.IsZero() || at.Before(s.Created) {
			s.Created = at
		}
	}
	if stable || service != nil {
		s.Paused, s.DatabaseStarts = d.Paused, d.DatabaseStarts
	}
	s.State = s.stateBy(service, stable, rollout)
	return nil
}

// stateBy returns the state by the service, which is nil where it is missing or known to be
// stable, by its rollout, and by what is read of the database.
func (s *Summary) stateBy(service *ecstypes.Service, stable bool, rollout string) string {
	database := databasePhase(s.Database)
	if s.Database == "" {
		database = graph.Ready // there is to be none
	}
	switch {
	case s.Database == "deleting" || service != nil && aws.ToString(service.Status) == serviceDraining:
		return "destroying"
	case service == nil && !stable, s.Database == "" && !s.Deployed.NoDatabase:
		return "partial"
	case !s.Paused.IsZero():
		return "paused"
	case rollout == "FAILED" || database == graph.Unrecoverable:
		return "failed"
	case rollout == "IN_PROGRESS" || s.Running < s.Desired || database != graph.Ready:
		return "deploying"
	}
	return "ready"
}
