package provision

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	rdstypes "github.com/aws/aws-sdk-go-v2/service/rds/types"

	"github.com/bookctl/bookctl/internal/naming"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// Deployed is what there is of a stack.
type Deployed struct {
	// Found reports whether something of the stack exists that settings are read
	// from. Without it Settings are the defaults.
	Found bool
	// HasLoadBalancer reports whether there is a load balancer.
	HasLoadBalancer bool
	// ServedHTTPS reports whether the stack was served by HTTPS, so that clients may know it by its
	// domain. A domain whose certificate was never issued is only recorded.
	ServedHTTPS bool
	// PortRecorded reports whether Settings have the port that the stack was last given.
	PortRecorded bool
	// Database reports whether there is a database of the stack, and DatabaseDeleting whether it
	// is being deleted, which RDS does not take back.
	Database, DatabaseDeleting bool
	// Paused is when the stack was paused; zero for one that is not.
	Paused time.Time
	// DatabaseStarts is when RDS starts a stopped database by itself; zero where it
	// does not.
	DatabaseStarts time.Time
	// Settings are those that the stack was last given.
	Settings
	// Running is the reference of the image that tasks run, built or ready.
	Running string
	// Zones are the two availability zones of the subnets; empty where there
	// are none yet.
	Zones [2]string

	stack  string
	exists liveParts
	// observation has what was read, for the resources of the same run.
	observation *observation
	// unserved is the version of the values that AddUnservedSecrets has read; nil for none.
	unserved *string
	// hints are what PreloadTags has read, by ARN.
	hints map[string]map[string]string
}

// alarmed reports whether somebody was to be notified of failures.
func (d *Deployed) alarmed() bool { return d != nil && (d.AlarmEmail != "" || d.AlarmTopic != "") }

// NoteVPCs notes all VPCs that the region has, which were just read, so that the run does not
// read those of the stack again.
func (d Deployed) NoteVPCs(all []ec2types.Vpc) {
	if d.observation == nil {
		return
	}
	d.observation.vpcs.preload(slices.DeleteFunc(slices.Clone(all), func(v ec2types.Vpc) bool { return fromEC2Tags(v.Tags)[TagStack] != d.stack }))
}

// Service reports whether there is a service of the stack.
func (d Deployed) Service() bool { return d.exists.service }

// serviceGoing reports whether the service is being deleted, which ECS does not take back.
func (d Deployed) serviceGoing() bool {
	return d.exists.liveService != nil && aws.ToString(d.exists.liveService.Status) == serviceDraining
}

// hasService reports whether there is a service of the stack that stays.
func (d Deployed) hasService() bool { return d.Service() && !d.serviceGoing() }

// EngineVersion is the full version of PostgreSQL that the database has, "" for none.
func (d Deployed) EngineVersion() string { return d.exists.version }

// SupportDisabled reports whether somebody has taken the database out of extended support: it costs
// nothing then, and RDS upgrades the database by itself.
func (d Deployed) SupportDisabled() bool { return d.exists.supportDisabled }

func supportDisabled(db *rdstypes.DBInstance) bool {
	return aws.ToString(db.EngineLifecycleSupport) == "open-source-rds-extended-support-disabled"
}

// DatabaseSubnets are the subnets of its DB subnet group that the database may be in, by their ids.
func (d Deployed) DatabaseSubnets() []string { return d.exists.usedSubnets }

// subnetsInUse are those of a DB subnet group that an instance may be in: all of its zone and of
// that of its standby, since RDS does not say which.
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_VPC.WorkingWithRDSInstanceinaVPC.html
func subnetsInUse(db *rdstypes.DBInstance, group []rdstypes.Subnet) []string {
	zones := []string{aws.ToString(db.AvailabilityZone)}
	if aws.ToBool(db.MultiAZ) {
		zones = append(zones, aws.ToString(db.SecondaryAvailabilityZone))
	}
	var ids []string
	for _, s := range group {
		in := ""
		if s.SubnetAvailabilityZone != nil {
			in = aws.ToString(s.SubnetAvailabilityZone.Name)
		}
		if in == "" || slices.Contains(zones, "") || slices.Contains(zones, in) {
			ids = append(ids, aws.ToString(s.SubnetIdentifier))
		}
	}
	return ids
}

// ReadDeployed reads what a stack was last given, from the tags and else the
// values of what exists and is the stack's. It makes reads only.
func ReadDeployed(ctx context.Context, c Clients, stack string) (Deployed, error) {
	if err := naming.CheckStack(stack); err != nil {
		return Deployed{}, err
	}
	var (
		d     = Deployed{Settings: DefaultSettings(), stack: stack, observation: &observation{}}
		ident = identity{stack: stack, region: c.IAM.Options().Region, observation: d.observation}
		mu    sync.Mutex
		each  graph.Group
		seen  int
	)
	ctx = graph.WhileObserving(ctx)
	// Each reader looks on its own, and writes when it has all that it needs.
	for _, read := range []func() (deployedWriter, error){
		func() (deployedWriter, error) { return readService(ctx, c, ident, &d) },
		func() (deployedWriter, error) { return readTask(ctx, c, ident, &d) },
		func() (deployedWriter, error) { return readDatabase(ctx, c, ident, &d) },
		func() (deployedWriter, error) { return readLoadBalancer(ctx, c, ident, &d) },
		func() (deployedWriter, error) { return readZones(ctx, c, ident, &d) },
		func() (deployedWriter, error) { return readRole(ctx, c, ident, &d) },
	} {
		each.Go(func() error {
			write, err := read()
			mu.Lock()
			defer mu.Unlock()
			if write != nil {
				d.Found = true
				seen++
				write()
			}
			return err
		})
	}
	err := each.Wait()
	for _, going := range []bool{d.serviceGoing(), d.DatabaseDeleting} {
		if going {
			seen--
		}
	}
	d.exists.remains = seen > 0
	if d.Database { // what is there decides
		d.NoDatabase = false
	}
	if d.VPC == "" && d.Zones == [2]string{} && d.exists.balancerVPC != "" { // the role that records it is gone
		ours, owned := (ec2Access{identity: ident, ec2: c.EC2}).owns(ctx, d.exists.balancerVPC)
		if err = errors.Join(err, owned); owned == nil && !ours {
			d.VPC, d.Subnets, d.DBSubnets = d.exists.balancerVPC, strings.Join(d.exists.subnets, ","), strings.Join(d.exists.dataSubnets, ",")
		}
	}
	d.Tags = d.exists.userTags(nil)
	d.readEnvironment(d.exists.container) // all of it is needed to know which names are bookctl's own
	if err == nil {
		if !d.exists.service {
			d.readCopy(servicePart, d.exists.copyOfService)
		}
		if !d.HasLoadBalancer {
			d.readCopy(balancerPart, d.exists.copyOfBalancer)
			d.ServedHTTPS = wasSecure(d.exists.copyOfBalancer)
			d.PortRecorded = d.exists.copyOfBalancer[settingTag("port")] != ""
		}
	}
	return d, err
}

// wasSecure reports whether HTTPS served, by the copy of the load balancer's settings: a listener
// writes it when it has carried them out.
func wasSecure(copied map[string]string) bool { return copied[settingTag("https-port")] != "" }

// liveParts is what ReadDeployed found, whatever the tags record.
type liveParts struct {
	// remains reports whether some of it exists and is not being deleted.
	remains     bool
	service     bool
	liveService *ecstypes.Service // it
	// container is that of the newest release; its zero value is none.
	container ecstypes.ContainerDefinition
	tasks     int32
	// served reports whether a release of the stack was healthy once, so that all of the
	// stack was there.
	served  bool
	class   string
	version string
	// supportDisabled reports whether the database is not enrolled in extended support.
	supportDisabled bool
	storage         int32
	multiAZ         bool
	backupDays      int32
	stopped         bool // the database
	// tags are those of the parts that were read, by their names.
	tags map[string]map[string]string
	// balancerVPC is the VPC of the load balancer, and subnets are those that it and the database
	// are in.
	balancerVPC          string
	subnets, dataSubnets []string
	// usedSubnets are those of dataSubnets that the database may be in.
	usedSubnets []string
	// The tags of what has a copy of the settings of a part that is gone.
	copyOfService, copyOfBalancer map[string]string
}

// userTags are the tags that the user gave the stack. The service notes them last of all:
// what is there without one was given them by a run that was cut off, or somebody took
// the note off the service. Parts that have ended are not asked.
func (e liveParts) userTags(ended map[string]bool) Pairs {
	for _, from := range []struct {
		part string
		tags map[string]string
	}{
		{servicePart, e.tags[servicePart]},
		{servicePart, e.copyOfService},
		{naming.ExecutionRole, e.tags[naming.ExecutionRole]},
		{balancerPart, e.tags[balancerPart]},
		{databasePart, e.tags[databasePart]},
		{definitionPart, e.tags[definitionPart]},
	} {
		if given := readUserTags(from.tags); given != "" && !ended[from.part] {
			return given
		}
	}
	return ""
}

// noteTags keeps the tags of a part.
func (e *liveParts) noteTags(part string, tags map[string]string) {
	if e.tags == nil {
		e.tags = map[string]map[string]string{}
	}
	e.tags[part] = tags
}

// Lost returns which settings went with a part that somebody deleted, where nothing
// else records them, and what the part is made with in their place. A stack that
// was never whole has lost nothing.
func (d Deployed) Lost(createdWith Settings) []string {
	if !d.exists.served && !d.exists.service && d.exists.copyOfService[settingTag("count")] == "" {
		return nil
	}
	var out []string
	for _, part := range []struct {
		resource, name string
		there          bool
	}{
		{balancerPart, "load balancer", d.PortRecorded},
		{servicePart, "service", d.exists.service || d.exists.copyOfService[settingTag("count")] != ""},
		{databasePart, "database", d.Database},
	} {
		if part.there || part.resource == databasePart && createdWith.NoDatabase {
			continue
		}
		var settings []string
		for _, row := range Table() {
			value := row.Value.Format(createdWith)
			none := value == "" || value == "0"
			if row.recorded.on[0] == part.resource && (row.when == nil || row.when(createdWith) || none) {
				settings = append(settings, row.flagForMessage(createdWith))
			}
		}
		out = append(out, fmt.Sprintf("the %s is gone, and with it the settings that it recorded; it is made with %s", part.name, strings.Join(settings, ", ")))
	}
	return out
}

func tagNumber(tags map[string]string, key string, otherwise int32) int32 {
	if n := number(tags[key]); n != nil {
		return *n
	}
	return otherwise
}

// deployedWriter writes what a reader has found to a Deployed; nil if it has found nothing of
// the stack.
type deployedWriter func()

func (w deployedWriter) apply() {
	if w != nil {
		w()
	}
}

func readService(ctx context.Context, c Clients, ident identity, d *Deployed) (deployedWriter, error) {
	in := ecsAccess{identity: ident, ecs: c.ECS}
	live, err := in.service().describe(ctx)
	if err != nil {
		return nil, err
	}
	if live == nil {
		cluster, err := (&Cluster{ecsAccess: in}).describe(ctx)
		if cluster != nil && fromECSTags(cluster.Tags)[TagStack] == ident.stack {
			d.exists.copyOfService = fromECSTags(cluster.Tags)
		}
		return nil, err
	}
	tags := fromECSTags(live.Tags)
	if tags[TagStack] != ident.stack {
		return nil, nil
	}
	return func() {
		d.exists.liveService = live
		d.exists.service, d.exists.tasks, d.Paused = true, live.DesiredCount, pausedSince(tags)
		d.exists.noteTags(servicePart, tags)
		d.read(servicePart, tags, parts{service: live})
		d.TwoTargetGroups = slices.ContainsFunc(live.LoadBalancers, func(b ecstypes.LoadBalancer) bool { return b.AdvancedConfiguration != nil })
	}, nil
}

func readTask(ctx context.Context, c Clients, ident identity, d *Deployed) (deployedWriter, error) {
	t := TaskDefinition{ecsAccess: ecsAccess{identity: ident, ecs: c.ECS}}
	newest, err := t.newest(ctx)
	if err != nil {
		return nil, err
	}
	live, tags := newest.live, newest.tags
	if live == nil || tags[TagStack] != ident.stack {
		return nil, nil
	}
	return func() {
		d.exists.noteTags(definitionPart, tags)
		d.exists.served = tags[tagServed] != ""
		d.Running = imageOf(live)
		ready := d.Running
		// A built one is in the stack's own repository.
		if strings.Contains(ready, "/"+ident.names().Repository()+"@") {
			ready = ""
		}
		d.readRelease(live, tags, ready)
		d.exists.container = container(live)
	}, nil
}

// readRelease sets the settings that a revision of the task definition records.
func (s *Settings) readRelease(live *ecstypes.TaskDefinition, tags map[string]string, ready string) {
	s.read(definitionPart, tags, parts{definition: live, ready: ready})
	s.Chosen, s.ReadyPath, s.Drain, s.CheckTimes = tags[tagChosen], fromTagText(tags[tagReadyPath]), tagNumber(tags, tagDrain, 0), CheckTimes{}
	if h := container(live).HealthCheck; h != nil {
		s.CheckTimes = CheckTimes{Interval: aws.ToInt32(h.Interval), Timeout: aws.ToInt32(h.Timeout), Retries: aws.ToInt32(h.Retries)}
	}
	s.LocatesDatabase = slices.ContainsFunc(container(live).Environment, func(e ecstypes.KeyValuePair) bool { return aws.ToString(e.Name) == envSecret })
}

// HasData reports whether there is a database of the stack that stays.
func (d Deployed) HasData() bool { return d.Database && !d.DatabaseDeleting }

func readDatabase(ctx context.Context, c Clients, ident identity, d *Deployed) (deployedWriter, error) {
	live, err := rdsAccess{identity: ident, rds: c.RDS}.instance(ctx)
	if err != nil {
		return nil, err
	}
	return databaseWriter(ident, live, d), nil
}

// databaseWriter returns the function that notes an instance, or nil if it is not the stack's.
func databaseWriter(ident identity, live *rdstypes.DBInstance, d *Deployed) deployedWriter {
	if live == nil {
		return nil
	}
	tags := fromRDSTags(live.TagList)
	if tags[TagStack] != ident.stack {
		return nil
	}
	return func() {
		d.Database, d.DatabaseDeleting = true, databasePhase(aws.ToString(live.DBInstanceStatus)) == graph.Terminating
		d.exists.class, d.exists.storage = aws.ToString(live.DBInstanceClass), aws.ToInt32(live.AllocatedStorage)
		d.exists.stopped, d.DatabaseStarts = isStopped(live), aws.ToTime(live.AutomaticRestartTime)
		d.exists.version, d.exists.supportDisabled = aws.ToString(live.EngineVersion), supportDisabled(live)
		d.exists.multiAZ, d.exists.backupDays = aws.ToBool(live.MultiAZ), aws.ToInt32(live.BackupRetentionPeriod)
		if g := live.DBSubnetGroup; g != nil {
			for _, s := range g.Subnets {
				d.exists.dataSubnets = append(d.exists.dataSubnets, aws.ToString(s.SubnetIdentifier))
			}
			d.exists.usedSubnets = subnetsInUse(live, g.Subnets)
		}
		d.exists.noteTags(databasePart, tags)
		d.read(databasePart, tags, parts{database: live})
	}
}

func readLoadBalancer(ctx context.Context, c Clients, ident identity, d *Deployed) (deployedWriter, error) {
	found, err := elbAccess{identity: ident, elb: c.ELB}.all(ctx)
	if err != nil {
		return nil, err
	}
	live, tags := found.balancer, found.balancerTags()
	if live == nil && found.targetTags()[TagStack] == ident.stack {
		d.exists.copyOfBalancer = found.targetTags()
	}
	if tags[TagStack] != ident.stack {
		return nil, nil
	}
	var port int32 // of one that does not record it
	if !positive(tags[settingTag("port")]) {
		for _, l := range found.listeners {
			port = aws.ToInt32(l.Port)
		}
	}
	return func() {
		d.exists.balancerVPC = aws.ToString(live.VpcId)
		for _, zone := range live.AvailabilityZones {
			d.exists.subnets = append(d.exists.subnets, aws.ToString(zone.SubnetId))
		}
		d.HasLoadBalancer, d.PortRecorded = true, true
		d.ServedHTTPS = wasSecure(found.targetTags()) || slices.ContainsFunc(found.listeners, func(l elbtypes.Listener) bool { return l.Protocol == elbtypes.ProtocolEnumHttps })
		d.exists.noteTags(balancerPart, tags)
		d.read(balancerPart, tags, parts{port: port})
	}, nil
}

// readRole reads the boundary of the roles from the tag, so that one that was
// taken off by hand is put back.
func readRole(ctx context.Context, c Clients, ident identity, d *Deployed) (deployedWriter, error) {
	live, err := (&Role{identity: ident, iam: c.IAM, name: naming.ExecutionRole}).describe(ctx)
	if err != nil {
		return nil, err
	}
	if live == nil || ident.ownerOfRole(fromRoleTags(live)) != ident.stack {
		return nil, nil
	}
	return func() {
		d.exists.noteTags(naming.ExecutionRole, fromRoleTags(live))
		d.read(naming.ExecutionRole, fromRoleTags(live), parts{role: live})
	}, nil
}

func readZones(ctx context.Context, c Clients, ident identity, d *Deployed) (deployedWriter, error) {
	all, err := ec2Access{identity: ident, ec2: c.EC2}.allSubnets(ctx)
	if err != nil {
		return nil, err
	}
	var zones [2]string
	for _, s := range all {
		switch name := fromEC2Tags(s.Tags)[TagResource]; {
		case strings.HasSuffix(name, "-a"):
			zones[0] = aws.ToString(s.AvailabilityZone)
		case strings.HasSuffix(name, "-b"):
			zones[1] = aws.ToString(s.AvailabilityZone)
		}
	}
	if zones == [2]string{} {
		return nil, nil
	}
	return func() {
		d.Zones = zones
		for _, s := range all { // each has the record
			d.read(networkPart, fromEC2Tags(s.Tags), parts{})
		}
	}, nil
}
