package provision

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/bookctl/bookctl/internal/diagnosis"
)

// Status is the state of a stack. What does not exist is zero.
type Status struct {
	URL      string             `json:"url,omitempty"`
	Service  ServiceStatus      `json:"service"`
	Tasks    []diagnosis.Task   `json:"tasks"`
	Targets  []diagnosis.Target `json:"targets" doc:"What the load balancer thinks of the tasks."`
	Database *DatabaseStatus    `json:"database,omitempty"`
	Spot     *SpotStatus        `json:"spot,omitempty" doc:"With --spot: what AWS took back, and could not give."`
	Alarms   *AlarmsStatus      `json:"alarms,omitempty" doc:"Left out where nobody is to be notified."`
	ReleaseStatus
}

// AlarmsStatus is who is notified of failures, and which alarms are raised.
type AlarmsStatus struct {
	// To is an address or the ARN of a topic.
	To string `json:"to" doc:"An address, or the ARN of a topic."`
	AlarmAudience
	// Raised are the alarms in the state ALARM.
	Raised []string `json:"raised" doc:"The alarms in the state ALARM."`
}

// ReleaseStatus is which release the service runs, or rolls out.
type ReleaseStatus struct {
	Image ImageStatus `json:"image" doc:"What the service runs, or rolls out."`
	// RolledBackFrom is the revision that was left by the rollback to the current one, or
	// "".
	RolledBackFrom string `json:"rolledBackFrom,omitempty" doc:"The revision that 'bookctl rollback' left."`
	// Newer is the newest release where the service runs an older one.
	Newer *NewerRelease `json:"newer,omitempty" doc:"The newest release, where the service runs an older one."`
}

// ServiceStatus is the state of the service.
type ServiceStatus struct {
	Found   bool  `json:"found"`
	Desired int32 `json:"desired"`
	Running int32 `json:"running"`
	Pending int32 `json:"pending"`
	// Min and Max are what scaling keeps the tasks between; zero without it.
	Min int32 `json:"min,omitempty" doc:"The fewest tasks that scaling keeps; left out without scaling."`
	Max int32 `json:"max,omitempty" doc:"The most, likewise."`
	// Revision is the task definition of the newest rollout.
	Revision string `json:"revision,omitempty" doc:"The task definition of the newest rollout."`
	// Rollout is IN_PROGRESS, COMPLETED or FAILED, and Reason ECS's words.
	Rollout string `json:"rollout,omitempty" doc:"ECS's word: IN_PROGRESS, COMPLETED or FAILED."`
	Reason  string `json:"reason,omitempty"`
	// Started is when the newest rollout was.
	Started time.Time `json:"started,omitzero"`
	// Deployments are those that have tasks, or are to have them, the newest first.
	Deployments []diagnosis.Deployment `json:"deployments,omitempty" doc:"Those that have tasks, or are to have them, newest first."`
	// Events are the last ones, the newest first.
	Events []diagnosis.Event `json:"events,omitempty" doc:"The last ones, newest first."`
	// Shifting is the release to which the traffic is being shifted; nil for none.
	Shifting *Shifting `json:"shifting,omitempty" doc:"The release to which the traffic is being shifted, or from which it is taken back; left out where there is none."`
	// Held is the lifecycle hook that holds the newest rollout; nil for none.
	Held *diagnosis.Hold `json:"held,omitempty" doc:"The lifecycle hook that holds the newest rollout; left out where there is none."`
}

// SpotStatus is the state of the tasks on Fargate Spot.
type SpotStatus struct {
	// Base is how many tasks run on demand.
	Base int32 `json:"base" doc:"How many tasks run on demand."`
	// Interrupted are the tasks that AWS took back within the last hour, the last one first.
	Interrupted []diagnosis.Task `json:"interrupted" doc:"The tasks that AWS took back in the last hour, the last one first."`
	// Unplaced is why a task that is missing could not be placed, "" for none.
	Unplaced string `json:"unplaced,omitempty" doc:"Why a task that is missing could not be placed, in ECS's words."`
}

// DatabaseStatus is the state of the database.
type DatabaseStatus struct {
	// State is RDS's word, such as "available".
	State string `json:"state" doc:"RDS's word."`
	Class string `json:"class"`
	// Version is the version of PostgreSQL.
	Version string `json:"version"`
	// SupportEnds is when RDS's standard support of the version ends and extended support,
	// which costs extra, begins; zero if unknown.
	SupportEnds time.Time `json:"standardSupportEnds,omitzero" doc:"When extended support of the version begins, which costs extra; left out where nobody says."`
	// SupportDisabled reports whether RDS upgrades the database instead of charging for
	// extended support.
	SupportDisabled bool `json:"extendedSupportDisabled,omitempty" doc:"Somebody has disabled extended support: RDS upgrades the database by itself when the standard support has ended."`
	// Storage is in GiB.
	Storage  int32  `json:"storage" doc:"In GiB."`
	MultiAZ  bool   `json:"multiAZ"`
	Endpoint string `json:"endpoint,omitempty"`
	Port     int32  `json:"port,omitempty"`
	// BackupDays is how long automated backups are kept.
	BackupDays int32 `json:"backupDays"`
	// BackupWindow is when they are made, in UTC: "hh:mm-hh:mm".
	BackupWindow string `json:"backupWindow,omitempty" doc:"In UTC."`
	// Restorable is the latest time that the data can be restored to.
	Restorable time.Time `json:"restorable,omitzero"`
	Protected  bool      `json:"protected"`
}

// NewerRelease is a release that is newer than the one that the service runs.
type NewerRelease struct {
	// Revision is its task definition, such as "book-app:8".
	Revision string    `json:"revision"`
	Image    string    `json:"image,omitempty"`
	Created  time.Time `json:"created"`
	// Failed reports whether ECS rolled it back; otherwise its rollout never began.
	Failed bool `json:"failed" doc:"ECS gave its rollout up and went back; else it never began."`
}

// ImageStatus is the image that the service runs, or rolls out; before there is a service,
// the one that it will run.
type ImageStatus struct {
	Reference string `json:"reference,omitempty"`
	// Pushed is when it was pushed to the stack's repository; zero for other images.
	Pushed time.Time `json:"pushed,omitzero"`
	// Gone reports whether it is no longer in the stack's repository, so that no new
	// task can start.
	Gone bool `json:"gone,omitempty" doc:"It is no longer in the stack's repository, and no new task can start."`
}

// statusEvents is how many of the service's events a status shows.
const statusEvents = 5

// Status reads the state of the stack. After graph.Observe on the same Stack it uses what
// that read, and reads only tasks and targets. What can't be read is left out and reported
// in the error.
func (s *Stack) Status(ctx context.Context) (Status, error) {
	var errs []error
	note := func(err error) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	out := Status{URL: s.URL()}
	live := s.service.lastService()
	var err error
	if live == nil {
		live, err = s.service.describe(ctx)
		note(err)
	}
	if live != nil {
		out.Service = serviceStatus(live)
		out.Service.Min, out.Service.Max = s.spec.Min, s.spec.Max
		out.Tasks, err = s.service.tasks(ctx, types.DesiredStatusRunning)
		note(err)
		if s.spec.Spot {
			out.Spot, err = s.spot(ctx, live)
			note(err)
		}
		shifted, err := s.service.shifted(ctx, live)
		if note(err); shifted != nil {
			out.Service.Shifting, out.Service.Held = &shifted.Shifting, shifted.held
		} else {
			out.Service.Held, err = s.service.held(ctx, live)
			note(err)
		}
	}
	out.ReleaseStatus, err = s.released(ctx, live)
	note(err)
	if seen := s.service.Last(); seen != nil && seen.health != nil {
		out.Targets = seen.health
	} else {
		out.Targets, err = s.service.health(ctx)
		note(err)
	}
	db := s.database.lastInstance()
	if db == nil {
		db, err = s.database.instance(ctx)
		note(err)
	}
	if db != nil {
		d := DatabaseStatus{
			State: aws.ToString(db.DBInstanceStatus), Class: aws.ToString(db.DBInstanceClass), Version: aws.ToString(db.EngineVersion),
			Storage: aws.ToInt32(db.AllocatedStorage), MultiAZ: aws.ToBool(db.MultiAZ), BackupDays: aws.ToInt32(db.BackupRetentionPeriod),
			BackupWindow: aws.ToString(db.PreferredBackupWindow), Restorable: aws.ToTime(db.LatestRestorableTime), Protected: aws.ToBool(db.DeletionProtection),
			SupportDisabled: supportDisabled(db),
		}
		if e := db.Endpoint; e != nil {
			d.Endpoint, d.Port = aws.ToString(e.Address), aws.ToInt32(e.Port)
		}
		d.SupportEnds, err = StandardSupportEnds(ctx, s.database.rds, d.Version)
		note(err)
		out.Database = &d
	}
	if s.alarms != nil && s.alarms.wanted() {
		out.Alarms = &AlarmsStatus{To: s.alarms.email + s.alarms.topic, AlarmAudience: AlarmAudience{Pending: s.alarmTopic.Pending() != "", Unsubscribed: s.alarmTopic.Unsubscribed()}, Raised: []string{}}
		if live := s.alarms.Last(); live != nil {
			out.Alarms.Raised, out.Alarms.Silent = live.raised(), live.silent()
		}
		if s.alarms.topic != "" {
			problem, err := s.alarms.topicProblem(ctx)
			note(err)
			out.Alarms.Problem = problem
		}
	}
	return out, errors.Join(errs...)
}

// Released returns which release the service runs, from what graph.Observe read on the same
// Stack.
func (s *Stack) Released(ctx context.Context) (ReleaseStatus, error) {
	return s.released(ctx, s.service.lastService())
}

func (s *Stack) released(ctx context.Context, live *types.Service) (ReleaseStatus, error) {
	out := ReleaseStatus{Image: ImageStatus{Reference: s.image.ID()}}
	if seen := s.image.Last(); seen != nil {
		out.Image.Pushed = seen.pushed
	} else if _, own := s.image.inRepository(out.Image.Reference); own {
		out.Image.Gone = true
	}
	family := s.service.definition.Last()
	if family == nil || live == nil {
		return out, nil
	}
	newest := family.newest
	arn := aws.ToString(live.TaskDefinition)
	if arn == aws.ToString(newest.live.TaskDefinitionArn) {
		out.RolledBackFrom = newest.tags[tagRolledBack]
		return out, nil
	}
	def, tags, err := s.service.definition.describe(ctx, arn)
	if def == nil || err != nil {
		return out, err
	}
	made := aws.ToTime(newest.live.RegisteredAt)
	out.Newer = &NewerRelease{
		Revision: nameInARN(aws.ToString(newest.live.TaskDefinitionArn)), Image: imageOf(newest.live), Created: made,
		// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-event-messages-list.html
		Failed: slices.ContainsFunc(live.Events, func(e types.ServiceEvent) bool {
			return aws.ToTime(e.CreatedAt).After(made) && strings.Contains(aws.ToString(e.Message), "deployment failed")
		}),
	}
	out.RolledBackFrom = tags[tagRolledBack]
	out.Image = ImageStatus{Reference: imageOf(def)}
	digest, own := s.image.inRepository(out.Image.Reference)
	if !own {
		return out, nil
	}
	detail, err := s.image.describe(ctx, digest)
	if err != nil {
		return out, err
	}
	if out.Image.Gone = detail == nil; detail != nil {
		out.Image.Pushed = aws.ToTime(detail.ImagePushedAt)
	}
	return out, nil
}

// Happenings are the events of the service, the newest first, the tasks that run alongside it,
// and all tasks that stopped within the last hour, from what graph.Observe read on the same
// Stack. Without a service there may be tasks too, such as that of a release command.
func (s *Stack) Happenings(ctx context.Context) (events []diagnosis.Event, alongside, stopped []diagnosis.Task, err error) {
	var ended []types.Task
	if live := s.service.lastService(); live != nil {
		events = lastEvents(live, len(live.Events))
		if ended, err = s.service.describedTasks(ctx, types.DesiredStatusStopped); err != nil {
			return nil, nil, nil, err
		}
	}
	running, err := s.service.oneOffTasks(ctx, types.DesiredStatusRunning)
	if err != nil {
		return nil, nil, nil, err
	}
	others, err := s.service.oneOffTasks(ctx, types.DesiredStatusStopped)
	return events, asTasks(running), asTasks(append(ended, others...)), err
}

// Snapshots lists the snapshots of the stack's database, oldest first, with what
// graph.Observe saw of it. Backups retained of a database that was there before
// are not among them; the function Snapshots lists those too.
func (s *Stack) Snapshots(ctx context.Context) ([]Snapshot, error) {
	return snapshotsOfInstance(ctx, s.database.rds, s.spec.Stack, s.database.lastInstance(), withCopies)
}

// spot reads the interruptions of the tasks on Fargate Spot.
func (s *Stack) spot(ctx context.Context, live *types.Service) (*SpotStatus, error) {
	out := &SpotStatus{Base: s.spec.SpotBase, Interrupted: []diagnosis.Task{}}
	stopped, err := s.service.tasks(ctx, types.DesiredStatusStopped)
	for _, t := range stopped {
		if t.Interrupted() {
			out.Interrupted = append(out.Interrupted, t)
		}
	}
	if live.RunningCount < live.DesiredCount {
		out.Unplaced = unplaced(live)
	}
	return out, err
}

// unplaced is why the last try of a service to place a task failed, or "".
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-event-messages-list.html
func unplaced(live *types.Service) string {
	for _, e := range live.Events { // newest first
		switch text := plainEvent(aws.ToString(e.Message)); {
		case strings.Contains(text, "unable to place a task"):
			why, _, _ := strings.Cut(text, " For more information, see")
			_, why, _ = strings.Cut(why, "Reason: ")
			return strings.TrimSuffix(why, ".")
		case strings.Contains(text, "has started"):
			return ""
		}
	}
	return ""
}

func serviceStatus(live *types.Service) ServiceStatus {
	out := ServiceStatus{
		Found: true, Desired: live.DesiredCount, Running: live.RunningCount, Pending: live.PendingCount,
		Revision: nameInARN(aws.ToString(live.TaskDefinition)), Events: lastEvents(live, statusEvents),
	}
	for _, d := range live.Deployments {
		out.Deployments = append(out.Deployments, diagnosis.Deployment{
			ID: aws.ToString(d.Id), Revision: nameInARN(aws.ToString(d.TaskDefinition)), Status: aws.ToString(d.Status),
			Rollout: string(d.RolloutState), Reason: aws.ToString(d.RolloutStateReason),
			Desired: d.DesiredCount, Running: d.RunningCount, Pending: d.PendingCount, Failed: d.FailedTasks,
			Created: aws.ToTime(d.CreatedAt), Updated: aws.ToTime(d.UpdatedAt),
		})
	}
	if p := newestDeployment(live); p != nil {
		out.Rollout, out.Reason, out.Started = string(p.RolloutState), aws.ToString(p.RolloutStateReason), aws.ToTime(p.CreatedAt)
	}
	return out
}
