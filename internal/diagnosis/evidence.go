// Package diagnosis explains why a release does not come up. It turns evidence,
// which somebody else has read, into an explanation and a hint, and calls nobody.
package diagnosis

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bookctl/bookctl/internal/hint"
)

// Task is one task of the service.
type Task struct {
	ID string `json:"id"`
	// Revision is its task definition, such as "book-app:7".
	Revision string `json:"revision"`
	// Deployment is that of the service which started it, or who did.
	Deployment string `json:"-"`
	// Status is ECS's word: PENDING, RUNNING, STOPPED …
	Status string `json:"status" doc:"ECS's word."`
	// Health is HEALTHY, UNHEALTHY or UNKNOWN, by the container's own check.
	Health  string    `json:"health" doc:"By the container's own check: HEALTHY, UNHEALTHY or UNKNOWN."`
	Zone    string    `json:"zone,omitempty"`
	Started time.Time `json:"started,omitzero"`
	Stopped time.Time `json:"stopped,omitzero"`
	// Stopping is when its end began, which ECS reports before it has stopped.
	Stopping time.Time `json:"-"`
	// Spot reports whether it runs on Fargate Spot.
	Spot bool `json:"spot,omitempty" doc:"It runs on Fargate Spot."`
	// StopCode is ECS's word for who stopped it.
	StopCode string `json:"stopCode,omitempty" doc:"ECS's word for who stopped it, such as SpotInterruption."`
	// Reason is why ECS stopped it, or why it can't start.
	Reason string `json:"reason,omitempty"`
	// ContainerReason is what the container's runtime says, for one that an
	// image can't be pulled.
	ContainerReason string `json:"containerReason,omitempty"`
	// ExitCode is nil while the container runs, and when it never did.
	ExitCode *int32 `json:"exitCode,omitempty"`
}

// ShortID is as much of the id as people need.
func (t Task) ShortID() string { return t.ID[:min(8, len(t.ID))] }

// End is when the task stopped or, if it still stops, when that began.
func (t Task) End() time.Time {
	if t.Stopped.IsZero() {
		return t.Stopping
	}
	return t.Stopped
}

// String describes a stopped task in one line.
func (t Task) String() string {
	out := "task " + t.ShortID()
	if t.ExitCode != nil {
		out += fmt.Sprintf(" exited %d", *t.ExitCode)
		if !t.Started.IsZero() && t.Stopped.After(t.Started) {
			out += " after " + t.Stopped.Sub(t.Started).Round(time.Second).String()
		}
		out += prefixed(", ", t.killed())
	}
	for _, reason := range []string{t.Reason, t.ContainerReason} {
		// That a container ended is all that this one says.
		if reason != "" && (t.ExitCode == nil || !strings.HasPrefix(reason, "Essential container")) {
			out += ", " + reason
		}
	}
	return out
}

// killed returns how a program ended that SIGKILL did, or "". One that ECS stops gets it
// when its stop timeout is over: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_StopTask.html
func (t Task) killed() string {
	switch {
	case t.ExitCode == nil || *t.ExitCode != 137 || strings.Contains(t.Reason+t.ContainerReason, "emory"):
		return ""
	case t.Reason != "" && !strings.HasPrefix(t.Reason, "Essential container"):
		return "killed since it did not end after SIGTERM"
	}
	return "killed (SIGKILL)"
}

// ScaledIn reports whether ECS stopped the task because it wanted fewer of its
// release: that is a consequence, and the cause of nothing.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html
func (t Task) ScaledIn() bool { return strings.HasPrefix(t.Reason, "Scaling activity initiated by") }

// Interrupted reports whether Fargate Spot took the task's place, which is no fault of its.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-capacity-providers.html
func (t Task) Interrupted() bool { return t.StopCode == "SpotInterruption" }

// FailedChecks reports whether ECS stopped the task because a health check failed,
// the load balancer's or the container's own; its program then ends with any code.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html
func (t Task) FailedChecks() bool { return strings.Contains(t.Reason, "health checks") }

// Target is one address that the load balancer sends requests to.
type Target struct {
	Address string `json:"address"`
	// Health is the load balancer's word: initial, healthy, unhealthy, draining.
	Health string `json:"health"`
	// Reason is a code such as Target.ResponseCodeMismatch.
	Reason      string `json:"reason,omitempty"`
	Description string `json:"description,omitempty"`
}

// Deployment is a rollout of a release to the service.
type Deployment struct {
	ID string `json:"id"`
	// Revision is its task definition, such as "book-app:7".
	Revision string `json:"revision"`
	// Status is PRIMARY for the newest one, and ACTIVE while its tasks are replaced.
	Status string `json:"status" doc:"ECS's word: PRIMARY for the newest, ACTIVE while its tasks are being replaced."`
	// Rollout is IN_PROGRESS, COMPLETED or FAILED, and Reason ECS's words.
	Rollout string `json:"rollout,omitempty" doc:"ECS's word: IN_PROGRESS, COMPLETED or FAILED."`
	Reason  string `json:"reason,omitempty"`
	Desired int32  `json:"desired"`
	Running int32  `json:"running"`
	Pending int32  `json:"pending"`
	// Failed is how many of its tasks failed in a row.
	Failed int32 `json:"failed" doc:"How many of its tasks failed in a row."`
	// Created is when it began, and Updated when it last changed.
	Created time.Time `json:"created"`
	Updated time.Time `json:"updated"`
}

// Event is something that the service reports of itself.
type Event struct {
	Time    time.Time `json:"time"`
	Message string    `json:"message"`
}

// Zone is an availability zone.
type Zone struct {
	Name string `json:"name"`
	// ID means the same zone in every account; the name does not.
	ID string `json:"id"`
	// Unserved reports whether Fargate places no tasks there.
	Unserved bool `json:"unserved,omitempty"`
}

func (z Zone) String() string { return z.Name + " (" + z.ID + ")" }

// Hold is a lifecycle hook that holds a deployment. Somebody else has set it: bookctl sets none.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-lifecycle-hooks.html
type Hold struct {
	Hook string `json:"hook"`
	// Function is the ARN of the one that is waited for; "" where somebody is waited for.
	Function string `json:"function,omitempty" doc:"The ARN of the function that is waited for; left out where somebody is waited for."`
	// Stage is ECS's word for where it holds the deployment.
	Stage string `json:"stage,omitempty" doc:"ECS's word for where it holds the deployment."`
	// Until is when it times out, and Then what ECS does by then: CONTINUE or ROLLBACK.
	Until time.Time `json:"until,omitzero" doc:"When it times out."`
	Then  string    `json:"then,omitempty" doc:"What ECS does by then: CONTINUE or ROLLBACK."`
	// Deployment is the ARN of ECS's record.
	Deployment string `json:"deployment" doc:"The ARN of the deployment."`
}

// String is the hook in words that follow "held by".
func (h Hold) String() string {
	out := "the lifecycle hook " + h.Hook
	if h.Function != "" {
		out += " (" + h.Function + ")"
	}
	out += prefixed(" in the stage ", h.Stage)
	if !h.Until.IsZero() {
		out += " until " + h.Until.UTC().Format("2006-01-02 15:04") + " UTC" + prefixed(", when ECS does ", h.Then)
	}
	return out
}

// Next is how the deployment goes on. A function has to answer by itself.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/continue-service-deployment.html
func (h Hold) Next() hint.Message {
	if h.Function != "" {
		return hint.New("see why the function does not answer SUCCEEDED; %s ends the deployment", hint.AWS("ecs", "stop-service-deployment", "--service-deployment-arn", h.Deployment))
	}
	return hint.New("%s has it go on, and with ROLLBACK go back", hint.AWS("ecs", "continue-service-deployment", "--service-deployment-arn", h.Deployment, "--hook-id", h.Hook, "--action", "CONTINUE"))
}

// Evidence is what AWS shows of why a service does not come up.
type Evidence struct {
	// Wanted is the task definition that does not come up, such as
	// "book-app:7", and Serving the one that serves meanwhile; "" is none.
	Wanted  string `json:"wanted,omitempty"`
	Serving string `json:"serving,omitempty"`
	// Complete reports whether ECS calls the rollout of the wanted one complete: what keeps
	// it from serving came later, or is seen by the load balancer alone.
	Complete bool `json:"complete,omitempty"`
	// Restart reports whether the release served before, and new tasks of it do not come up.
	Restart bool `json:"restart,omitempty"`
	// TakenBack is why the release was taken back that the traffic was being shifted to,
	// although its tasks did not fail.
	TakenBack string `json:"takenBack,omitempty"`
	// Held is the hook that holds the deployment; nil for none.
	Held *Hold `json:"held,omitempty"`
	// HealthPath is what the load balancer asks a task for; "" where it is not known.
	HealthPath string `json:"healthPath,omitempty"`
	// Database is the database's state in RDS's word; "" where it is not known.
	Database string `json:"database,omitempty"`
	// Spot and OnDemand report whether some of the tasks are to run on Fargate Spot, and
	// whether some are not.
	Spot     bool `json:"-"`
	OnDemand bool `json:"-"`
	// User is who the container runs as, "" for root or who the image says; Port is what it
	// is to listen on, and ReadOnly reports whether its root file system can't be written.
	User     string `json:"-"`
	Port     int32  `json:"-"`
	ReadOnly bool   `json:"-"`
	// Zones are those that tasks are placed in.
	Zones []Zone `json:"zones,omitempty"`
	// Stopped are the tasks that stopped lately, the last one first. ECS
	// forgets them after an hour.
	Stopped []Task `json:"stopped,omitempty"`
	// Events are the service's last events, the last one first.
	Events  []Event  `json:"events,omitempty"`
	Targets []Target `json:"targets,omitempty"`
	// Output are the last lines of the Culprit, or else of the release's last
	// task.
	Output []string `json:"output,omitempty"`
}

// Culprit is the last task of the wanted release that stopped for a reason of its
// own, or nil. Those of the release before stop in the course of every rollout.
func (e Evidence) Culprit() *Task { return Culprit(e.Stopped, e.Wanted) }

// Culprit is the last of some stopped tasks that belongs to a revision, such as
// "book-app:7", and stopped for a reason of its own, or nil. The tasks are
// sorted, the one that stopped last first.
func Culprit(stopped []Task, revision string) *Task {
	if i := slices.IndexFunc(stopped, func(t Task) bool { return t.Revision == revision && !t.ScaledIn() && !t.Interrupted() }); i >= 0 {
		return &stopped[i]
	}
	return nil
}
