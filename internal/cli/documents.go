package cli

import (
	"encoding/json"
	"io"
	"time"

	"github.com/bookctl/bookctl/internal/diagnosis"
	"github.com/bookctl/bookctl/internal/iampolicy"
	"github.com/bookctl/bookctl/internal/inventory"
	"github.com/bookctl/bookctl/internal/localcloud"
	"github.com/bookctl/bookctl/internal/picture"
	"github.com/bookctl/bookctl/internal/pricing"
	"github.com/bookctl/bookctl/internal/provision"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// The documents that commands print with --output json, alongside a plan's and a
// status's; docs/output.schema.json describes each.

// head begins each document: the version of the schema, and which document it is.
type head struct {
	Schema string `json:"schema"`
	Type   string `json:"type"`
}

func headOf(kind string) head { return head{schema, kind} }

// place is the stack that a document is about, and where it is.
type place struct {
	Stack   string `json:"stack"`
	Account string `json:"account"`
	Region  string `json:"region"`
}

func placeOf(g *globals, t *target) place { return place{g.stack, t.account, t.region} }

// orEmpty is the list, or an empty one for nil, which JSON would print as null.
func orEmpty[T any](all []T) []T {
	if all == nil {
		return []T{}
	}
	return all
}

// encode prints a document on a line of its own.
func encode(w io.Writer, document any) error { return json.NewEncoder(w).Encode(document) }

type noteDocument struct {
	head
	Time time.Time `json:"time"`
	Text string    `json:"text"`
}

type buildDocument struct {
	head
	Time  time.Time `json:"time"`
	State string    `json:"state" enum:"begun|done|failed"`
	Arch  string    `json:"arch" enum:"amd64|arm64"`
	// Seconds is nil when the build has only begun.
	Seconds *float64 `json:"seconds,omitempty" doc:"How long it took; not for begun."`
	Digest  string   `json:"digest,omitempty" doc:"The image's, for done."`
	Error   string   `json:"error,omitempty"`
}

type eventDocument struct {
	head
	Time           time.Time      `json:"time"`
	Resource       string         `json:"resource" doc:"The resource's name in the stack, such as 'database'."`
	Resources      int            `json:"resources,omitempty" doc:"How many resources the run is of; each ends with done, unchanged, failed, skipped or stopped."`
	Kind           graph.Kind     `json:"kind" enum:"creating|updating|deleting|waiting|done|unchanged|failed|skipped|stopped"`
	ElapsedSeconds float64        `json:"elapsedSeconds" doc:"Since the resource's step began."`
	ID             string         `json:"id,omitempty" doc:"AWS's id, name or ARN."`
	Note           string         `json:"note,omitempty" doc:"AWS's own words; for skipped: which resource failed, or none when the run was stopped before."`
	Changes        []graph.Change `json:"changes,omitempty"`
	Error          string         `json:"error,omitempty"`
}

type errorDocument struct {
	head
	Error    string              `json:"error"`
	Next     string              `json:"next" doc:"The next step, or empty."`
	Exit     int                 `json:"exit" doc:"The exit code; 'bookctl --help' lists them."`
	Cause    string              `json:"cause,omitempty" doc:"The error in AWS's own words, where 'error' explains it."`
	Evidence *diagnosis.Evidence `json:"evidence,omitempty" doc:"What ECS, RDS and the load balancer say of a release that did not come up."`
}

type upDocument struct {
	head
	place
	Command   string  `json:"command" enum:"up"`
	URL       string  `json:"url" doc:"Where the service answers."`
	Created   int     `json:"created"`
	Updated   int     `json:"updated"`
	Checked   int     `json:"checked" doc:"How many resources there are in all."`
	APIReads  int     `json:"apiReads"`
	APIWrites int     `json:"apiWrites"`
	Seconds   float64 `json:"seconds"`
}

type destroyDocument struct {
	head
	Command          string               `json:"command" enum:"destroy"`
	Stack            string               `json:"stack"`
	Deleted          int                  `json:"deleted"`
	Left             []inventory.Item     `json:"left" doc:"What could not be removed; the exit code is then 6."`
	RetainedByAWS    []inventory.Item     `json:"retainedByAWS" doc:"What AWS retains by its own rules, free of charge."`
	SnapshotsDeleted []provision.Snapshot `json:"snapshotsDeleted"`
	SnapshotsKept    []provision.Snapshot `json:"snapshotsKept"`

	ReplicatedBackups []provision.ReplicatedBackup `json:"replicatedBackups" doc:"Automated backups that RDS keeps in other regions, where it had replicated them."`

	Seconds float64 `json:"seconds"`
}

type rollbackDocument struct {
	head
	place
	Command string `json:"command" enum:"rollback"`
	URL     string `json:"url"`
	Image   string `json:"image" doc:"The image that runs again."`
	Of      int32  `json:"of" doc:"The revision that it is of."`
	From    string `json:"from" doc:"The revision that was left; empty when it was the same."`
	// Changes are the differences between its tasks and those before.
	Changes []graph.Change `json:"changes" doc:"What the tasks have otherwise than those that were left. Variables and secrets are shown by name."`
	Seconds float64        `json:"seconds"`
}

type listDocument struct {
	head
	Account string        `json:"account"`
	Region  string        `json:"region"`
	Stacks  []listedStack `json:"stacks"`
}

type graphDocument struct {
	head
	place
	Parts []picture.Part `json:"parts"`
}

type alarmsDocument struct {
	head
	place
	provision.AlarmList
}

type alarmTestDocument struct {
	head
	place
	To string `json:"to" doc:"Who was notified: an address, or the ARN of a topic."`
	provision.AlarmAudience
	Tested []string `json:"tested" doc:"The alarms that were raised and taken back."`
}

type policyDocument struct {
	head
	place
	Policy  iampolicy.Document `json:"policy"`
	Managed []managedPolicy    `json:"managed" doc:"The same in parts that each fit into a managed policy of IAM."`
}

type runDocument struct {
	head
	Stack string `json:"stack"`
	// Task is the task's id, and Release its task definition and revision.
	Task    string `json:"task" doc:"The id of the task."`
	Release string `json:"release" doc:"The task definition and revision that it ran."`
	// Exit is the exit code of the command; nil where it was not waited for.
	Exit *int32 `json:"exit,omitempty" doc:"The exit code of the command; absent with --detach."`
	// Reason is why the task stopped, in ECS's words.
	Reason string `json:"reason,omitempty" doc:"Why the task stopped, in ECS's words, such as OutOfMemoryError."`
}

// pauseDocument is a stack that is paused.
type pauseDocument struct {
	head
	place
	Command string    `json:"command" enum:"pause"`
	Paused  time.Time `json:"paused" doc:"Since when it is."`
	// DatabaseStarts is when RDS starts the database by itself; zero without one.
	DatabaseStarts time.Time `json:"databaseStarts,omitzero" doc:"When RDS starts the stopped database by itself."`
	// Cost is what still costs money, and Monthly its sum; nil if unknown.
	Cost    []pricing.Line `json:"cost" doc:"What goes on costing."`
	Monthly *float64       `json:"monthlyCost,omitempty" doc:"US dollars; left out where no price is known."`
	Seconds float64        `json:"seconds"`
}

type resumeDocument struct {
	head
	place
	Command string  `json:"command" enum:"resume"`
	URL     string  `json:"url" doc:"Where the service answers."`
	Seconds float64 `json:"seconds"`
}

type restartDocument struct {
	head
	place
	Command string `json:"command" enum:"restart"`
	URL     string `json:"url" doc:"Where the service answers."`
	// Release is the task definition and revision of the tasks.
	Release string  `json:"release" doc:"The task definition and revision of the tasks, before and now."`
	Tasks   int32   `json:"tasks" doc:"How many new tasks serve."`
	Seconds float64 `json:"seconds"`
}

// dumpDocument is a file that has the data of a database.
type dumpDocument struct {
	head
	Command string  `json:"command" enum:"db dump"`
	Stack   string  `json:"stack"`
	File    string  `json:"file" doc:"What was written, in pg_dump's custom format."`
	Bytes   int64   `json:"bytes"`
	Seconds float64 `json:"seconds"`
}

// loadDocument is a file that was read into a database.
type loadDocument struct {
	head
	Command string  `json:"command" enum:"db load"`
	Stack   string  `json:"stack"`
	File    string  `json:"file"`
	Seconds float64 `json:"seconds"`
}

type rotateDocument struct {
	head
	Command string  `json:"command" enum:"db rotate-password"`
	Stack   string  `json:"stack"`
	Seconds float64 `json:"seconds"`
}

// secretDocument is the result of a change of a secret variable.
type secretDocument struct {
	head
	Command string `json:"command" enum:"secret set|secret unset"`
	Stack   string `json:"stack"`
	Name    string `json:"name" doc:"The variable."`
	// Released reports whether new tasks were started; false if there is no service.
	Released bool    `json:"released" doc:"The tasks are new; false where there is no service yet."`
	Seconds  float64 `json:"seconds"`
}

type secretsDocument struct {
	head
	Stack   string                `json:"stack"`
	Secrets []provision.OwnSecret `json:"secrets"`
}

type databaseDocument struct {
	head
	Stack string `json:"stack"`
	provision.Connection
	// Secret is the name of the secret that has the password.
	Secret  string `json:"secret" doc:"Name of the secret that holds the password."`
	SSLMode string `json:"sslmode"`
	// Authorities is the file, or the address of it, to verify the server by.
	Authorities string `json:"authorities" doc:"The certificate authorities to verify the server by: a file, or where to fetch it."`
	Password    string `json:"password,omitempty" doc:"Only for --show-password on a terminal."`
}

type tunnelDocument struct {
	head
	Stack string `json:"stack"`
	Host  string `json:"host"`
	Port  int    `json:"port"`
}

type snapshotsDocument struct {
	head
	Stack     string               `json:"stack"`
	Snapshots []provision.Snapshot `json:"snapshots"`
}

type happeningDocument struct {
	head
	Time    time.Time `json:"time"`
	Message string    `json:"message"`
}

type logDocument struct {
	head
	provision.OutputLine
}

type urlDocument struct {
	head
	Stack string `json:"stack"`
	URL   string `json:"url"`
}

// pageDocument has the address of the page of a stack.
type pageDocument struct {
	head
	place
	URL string `json:"url" doc:"The address of the page; whoever has it can read the page."`
}

type versionDocument struct {
	head
	Version  string `json:"version"`
	Go       string `json:"go"`
	Platform string `json:"platform" doc:"Operating system and architecture, such as linux/amd64."`
}

type initDocument struct {
	head
	File  string `json:"file"`
	Stack string `json:"stack"`
}

type manualDocument struct {
	head
	Dir string `json:"dir"`
}

// localDocument is the local cloud while it runs.
type localDocument struct {
	head
	localcloud.Info
	Running bool   `json:"running"`
	Dir     string `json:"dir" doc:"Its state directory."`
}

type localStoppedDocument struct {
	head
	Running bool   `json:"running"`
	Stopped bool   `json:"stopped" doc:"It ran and was stopped."`
	Dir     string `json:"dir" doc:"Its state directory."`
}

type interruptionDocument struct {
	head
	Task string `json:"task" doc:"The id of the task that is taken back."`
}

type localLogDocument struct {
	head
	Text string `json:"text"`
}

type environmentDocument struct {
	head
	Variables map[string]string `json:"variables"`
	Unset     []string          `json:"unset,omitempty" doc:"Variables that would lead a tool elsewhere."`
}
