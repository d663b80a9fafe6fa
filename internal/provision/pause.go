package provision

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	scaling "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling"
	scalingtypes "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling/types"
	alarmtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	rdstypes "github.com/aws/aws-sdk-go-v2/service/rds/types"

	"github.com/bookctl/bookctl/internal/diagnosis"
	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// tagPaused is on the service of a paused stack, and says since when it is. It is
// written first of all, so that a pause that was cut off is distinguished from drift, and taken
// off by the run that makes the stack serve again.
const tagPaused = "bookctl:paused"

// dbStopped is RDS's word.
const dbStopped = "stopped"

// isStopped reports whether a database is stopped, or about to be.
func isStopped(db *rdstypes.DBInstance) bool {
	status := aws.ToString(db.DBInstanceStatus)
	return status == dbStopped || status == "stopping"
}

// pausedSince reads tagPaused.
func pausedSince(tags map[string]string) time.Time {
	at, err := time.Parse(time.RFC3339, tags[tagPaused])
	if err != nil {
		return time.Time{}
	}
	return at
}

// errReplicated is wrapped by the error of a pause that RDS refuses for its replicas.
var errReplicated = errors.New("RDS does not stop a database with read replicas")

// Pause is a stack being paused: its tasks go to zero, and its database is stopped. It
// takes up where one that was cut off has ended, and changes nothing of a paused stack.
type Pause struct {
	Clients Clients
	Stack   string
	// Settings are those of the stack: ECS waits for the requests at its tasks as long as they say.
	Settings Settings
	// Guard is asked before each change.
	Guard func(context.Context) error
	// Progress is called with what is waited for.
	Progress func(string)
}

// Run pauses the stack. The database goes after the last task, which would otherwise be
// replaced for not being healthy without it.
func (p Pause) Run(ctx context.Context) error {
	ident := identity{stack: p.Stack, region: p.Clients.IAM.Options().Region}
	s := ecsAccess{identity: ident, ecs: p.Clients.ECS}.service()
	live, err := s.describe(ctx)
	switch {
	case err != nil:
		return err
	case live == nil:
		return hint.With(fmt.Errorf("stack %s has no service", p.Stack), "%s makes it", hint.Command("up"))
	case fromECSTags(live.Tags)[TagStack] != p.Stack:
		return fmt.Errorf("service %s: %w %s", s.serviceName(), graph.ErrUnmanaged, p.Stack)
	}
	data := rdsAccess{identity: ident, rds: p.Clients.RDS}
	db, err := data.instance(ctx)
	if err != nil {
		return err
	}
	if db != nil && fromRDSTags(db.TagList)[TagStack] != p.Stack {
		return fmt.Errorf("database %s: %w %s", data.databaseName(), graph.ErrUnmanaged, p.Stack)
	}
	if err := data.stoppable(db); err != nil {
		return err
	}
	if err := s.unshifted(ctx, live); err != nil {
		return err
	}
	if db != nil && !isStopped(db) {
		if err := s.alone(ctx); err != nil {
			return err
		}
	}
	if err := p.note(ctx, s, live); err != nil {
		return err
	}
	if err := p.suspend(ctx, ident); err != nil {
		return err
	}
	if err := p.silence(ctx, ident); err != nil {
		return err
	}
	if err := p.empty(ctx, s, live); err != nil || db == nil {
		return err
	}
	return p.stop(ctx, data)
}

// stoppable returns the reason why RDS would refuse to stop a database, unless it passes within
// minutes; nil is for none, too. One with a standby is stopped with that.
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_StopInstance.html#USER_StopInstance.Limitations
func (d rdsAccess) stoppable(db *rdstypes.DBInstance) error {
	if db == nil {
		return nil
	}
	name := aws.ToString(db.DBInstanceIdentifier)
	if source := aws.ToString(db.ReadReplicaSourceDBInstanceIdentifier); source != "" {
		return hint.With(fmt.Errorf("database %s is a read replica of %s: RDS stops none", name, source), "promote it first, or scale the stack down with %s", hint.Command("up", "--count", "1"))
	}
	if replicas := db.ReadReplicaDBClusterIdentifiers; len(replicas) > 0 {
		return hint.With(fmt.Errorf("database %s has %s: %w", name, strings.Join(replicas, ", "), errReplicated), "delete or promote them first: %s", hint.AWS("rds", "promote-read-replica-db-cluster", "--db-cluster-identifier", replicas[0]))
	}
	if replicas := db.ReadReplicaDBInstanceIdentifiers; len(replicas) > 0 {
		return hint.With(fmt.Errorf("database %s has %s: %w", name, strings.Join(replicas, ", "), errReplicated), "delete or promote them first: %s", hint.AWS("rds", "promote-read-replica", "--db-instance-identifier", replicas[0]))
	}
	switch status := aws.ToString(db.DBInstanceStatus); {
	case status == dbStopped:
		return nil
	case databasePhase(status) == graph.Terminating, databasePhase(status) == graph.Unrecoverable:
		return hint.Add(fmt.Errorf("database %s is %q, and can't be stopped", name, status), d.remedy(db, ""))
	case status == "storage-optimization", status == "storage-initialization":
		// The latter is after a restore, while its data is still loaded.
		// https://repost.aws/knowledge-center/rds-stuck-in-storage-optimization
		// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/accessing-monitoring.html
		return hint.With(fmt.Errorf("database %s is %q, which may take RDS a day: it stops one that is available", name, status),
			"run the same command again when %s shows it as available", hint.Command("status"))
	}
	return nil
}

// alone fails where tasks run that are not the service's, as those of 'bookctl run' are: one
// that migrates data must not lose its database.
func (s *Service) alone(ctx context.Context) error {
	tasks, err := s.oneOffTasks(ctx, ecstypes.DesiredStatusRunning)
	if err != nil || len(tasks) == 0 {
		return err
	}
	var running []string
	for _, t := range tasks {
		id := nameInARN(aws.ToString(t.TaskArn))
		running = append(running, fmt.Sprintf("task %s of %s, started by %s", id, nameInARN(aws.ToString(t.TaskDefinitionArn)), cmp.Or(aws.ToString(t.StartedBy), "hand")))
	}
	return hint.With(fmt.Errorf("a pause would stop the database of what runs alongside the service, and nothing was touched: %s", strings.Join(running, "; ")),
		"run the same command again when it has ended; or stop it: %s", hint.AWS("ecs", "stop-task", "--cluster", s.cluster.clusterName(), "--task", nameInARN(aws.ToString(tasks[0].TaskArn))))
}

// note writes since when the stack is paused, unless that is written.
func (p Pause) note(ctx context.Context, s *Service, live *ecstypes.Service) error {
	if fromECSTags(live.Tags)[tagPaused] != "" {
		return nil
	}
	if err := p.Guard(ctx); err != nil {
		return err
	}
	_, err := s.ecs.TagResource(ctx, &ecs.TagResourceInput{
		ResourceArn: live.ServiceArn, Tags: toECSTags(map[string]string{tagPaused: time.Now().UTC().Format(time.RFC3339)}),
	})
	if err != nil {
		return fmt.Errorf("note on service %s that the stack is paused: %w", s.serviceName(), err)
	}
	return nil
}

// suspend keeps scaling, where there is any, from starting tasks: nothing moves it, and no
// bound is broken by there being none.
func (p Pause) suspend(ctx context.Context, ident identity) error {
	id := aws.String(ident.names().ScalableTarget())
	out, err := p.Clients.Scaling.DescribeScalableTargets(ctx, &scaling.DescribeScalableTargetsInput{
		ServiceNamespace: scalingtypes.ServiceNamespaceEcs, ResourceIds: []string{*id}, ScalableDimension: scalingtypes.ScalableDimensionECSServiceDesiredCount,
	})
	if err != nil {
		return fmt.Errorf("describe the scaling of %s: %w", *id, err)
	}
	all := suspension(true)
	if len(out.ScalableTargets) == 0 {
		return nil
	}
	if t := out.ScalableTargets[0]; boundsOf(t).min == 0 && describeSuspension(t.SuspendedState) == describeSuspension(all) {
		return nil
	}
	if err := p.Guard(ctx); err != nil {
		return err
	}
	_, err = p.Clients.Scaling.RegisterScalableTarget(ctx, &scaling.RegisterScalableTargetInput{
		ServiceNamespace: scalingtypes.ServiceNamespaceEcs, ResourceId: id, ScalableDimension: scalingtypes.ScalableDimensionECSServiceDesiredCount,
		SuspendedState: all, MinCapacity: aws.Int32(0),
	})
	if err != nil {
		return fmt.Errorf("suspend the scaling of %s: %w", *id, err)
	}
	return nil
}

// silence disables the actions of the alarms: nobody is to be notified that there are no
// tasks.
func (p Pause) silence(ctx context.Context, ident identity) error {
	alarms := newAlarmAccess(ident, p.Clients, Settings{})
	all, err := alarms.all(ctx)
	if err != nil {
		return err
	}
	enabled := maps.Clone(all) // what was read is shared
	maps.DeleteFunc(enabled, func(_ string, x alarmtypes.MetricAlarm) bool { return !aws.ToBool(x.ActionsEnabled) })
	if len(enabled) == 0 {
		return nil
	}
	if err := p.Guard(ctx); err != nil {
		return err
	}
	return alarms.act(ctx, false, enabled)
}

// empty takes the service's tasks to zero and waits until the last has ended.
func (p Pause) empty(ctx context.Context, s *Service, live *ecstypes.Service) error {
	if live.DesiredCount > 0 {
		if err := p.Guard(ctx); err != nil {
			return err
		}
		_, err := s.ecs.UpdateService(ctx, &ecs.UpdateServiceInput{
			Cluster: aws.String(s.cluster.clusterName()), Service: aws.String(s.serviceName()), DesiredCount: aws.Int32(0),
		})
		if err != nil {
			return fmt.Errorf("take service %s to no tasks: %w", s.serviceName(), err)
		}
	}
	return goesOn(p.await(ctx, "service "+s.serviceName(), rolloutTimeout+longDrain(p.Settings.drainTime()), func() (string, error) {
		live, err := s.describe(ctx)
		switch {
		case err != nil:
			return "", err
		case live == nil:
			return "", fmt.Errorf("service %s is gone", s.serviceName())
		case live.DesiredCount > 0:
			return "", fmt.Errorf("service %s: somebody wants %d tasks of it again", s.serviceName(), live.DesiredCount)
		case live.RunningCount+live.PendingCount > 0:
			return plural(live.RunningCount+live.PendingCount, "task") + " still running", nil
		}
		// One that ends is not counted any more, and may still serve its last requests.
		ending, err := s.tasks(ctx, ecstypes.DesiredStatusStopped)
		ending = slices.DeleteFunc(ending, func(t diagnosis.Task) bool { return t.Status == "STOPPED" })
		if len(ending) > 0 {
			return plural(int32(len(ending)), "task") + " stopping", err
		}
		return "", err
	}))
}

// stop stops the database, as soon as RDS is not busy with it, and waits until it is.
func (p Pause) stop(ctx context.Context, data rdsAccess) error {
	name, refused := data.databaseName(), refusals{}
	return goesOn(p.await(ctx, "database "+name, stopTimeout, func() (string, error) {
		db, err := data.instance(ctx)
		if err != nil {
			return "", err
		}
		if db == nil {
			return "", fmt.Errorf("database %s is gone", name)
		}
		if err := data.stoppable(db); err != nil {
			return "", err
		}
		status := aws.ToString(db.DBInstanceStatus)
		switch {
		case status == dbStopped:
			return "", nil
		case status != "available":
			refused.end()
			return "database " + status, nil
		}
		if err := p.Guard(ctx); err != nil {
			return "", err
		}
		_, err = data.rds.StopDBInstance(ctx, &rds.StopDBInstanceInput{DBInstanceIdentifier: &name})
		switch busy := IsCode(err, "InvalidDBInstanceState"); {
		case err == nil:
			return "database stopping", nil
		case busy && !refused.lasts(longestRefusal): // it may be, since a moment ago
			return "database " + status + ", and RDS does not stop it yet: " + err.Error(), nil
		}
		return "", fmt.Errorf("stop database %s: %w", name, err)
	}))
}

// longestRefusal is how long RDS may refuse to stop a database that it shows as available, as
// it does for a moment after a change.
const longestRefusal = 3 * time.Minute

// goesOn is an error of a stack whose tasks were taken to none already, with what becomes of it.
func goesOn(err error) error {
	if err == nil {
		return nil
	}
	return hint.Add(err, hint.Join("; ", hint.Of(err), hint.New("the tasks have ended already: %s starts them again, and %s goes on", hint.Command("resume"), hint.Command("pause"))))
}

// stopTimeout is how long RDS may take to stop a database; one with a standby takes long.
const stopTimeout = 60 * time.Minute

// await looks until look says that nothing is left to wait for. A look that gets no answer is
// repeated.
func (p Pause) await(ctx context.Context, what string, most time.Duration, look func() (string, error)) error {
	begun, lastNote := time.Now(), ""
	for pause := 100 * time.Millisecond; ; pause = min(pause*3/2, 10*time.Second) {
		note, err := look()
		if silence := unanswered(err); silence != "" {
			note, err = silence, nil
		}
		if note == "" || err != nil {
			return err
		}
		if note != lastNote {
			p.Progress(note)
			lastNote = note
		}
		if time.Since(begun) > most {
			return fmt.Errorf("%s: %w: %s after %s", what, graph.ErrTimeout, note, most)
		}
		if err := graph.Sleep(ctx, pause); err != nil {
			return fmt.Errorf("%s: %s: %w", what, note, err)
		}
	}
}
