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
	"github.com/bookctl/bookctl/internal/provision"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// The documents that commands print with --output json, beside a plan's and a
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
	State string    `json:"state"`
	Arch  string    `json:"arch"`
	// Seconds is nil when the build has only begun.
	Seconds *float64 `json:"seconds,omitempty"`
	Digest  string   `json:"digest,omitempty"`
	Error   string   `json:"error,omitempty"`
}

type eventDocument struct {
	head
	Time           time.Time      `json:"time"`
	Resource       string         `json:"resource"`
	Resources      int            `json:"resources,omitempty"`
	Kind           graph.Kind     `json:"kind"`
	ElapsedSeconds float64        `json:"elapsedSeconds"`
	ID             string         `json:"id,omitempty"`
	Note           string         `json:"note,omitempty"`
	Changes        []graph.Change `json:"changes,omitempty"`
	Error          string         `json:"error,omitempty"`
}

type errorDocument struct {
	head
	Error    string              `json:"error"`
	Next     string              `json:"next"`
	Exit     int                 `json:"exit"`
	Cause    string              `json:"cause,omitempty"`
	Evidence *diagnosis.Evidence `json:"evidence,omitempty"`
}

type upDocument struct {
	head
	place
	Command   string  `json:"command"`
	URL       string  `json:"url"`
	Created   int     `json:"created"`
	Updated   int     `json:"updated"`
	Checked   int     `json:"checked"`
	APIReads  int     `json:"apiReads"`
	APIWrites int     `json:"apiWrites"`
	Seconds   float64 `json:"seconds"`
}

type destroyDocument struct {
	head
	Command          string               `json:"command"`
	Stack            string               `json:"stack"`
	Deleted          int                  `json:"deleted"`
	Left             []inventory.Item     `json:"left"`
	KeptByAWS        []inventory.Item     `json:"keptByAWS"`
	SnapshotsDeleted []provision.Snapshot `json:"snapshotsDeleted"`
	SnapshotsKept    []provision.Snapshot `json:"snapshotsKept"`
	Seconds          float64              `json:"seconds"`
}

type rollbackDocument struct {
	head
	place
	Command string `json:"command"`
	URL     string `json:"url"`
	Image   string `json:"image"`
	Of      int32  `json:"of"`
	From    string `json:"from"`
	// Changes are what its tasks have otherwise than those that were left.
	Changes []graph.Change `json:"changes"`
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

type policyDocument struct {
	head
	place
	Policy  iampolicy.Document `json:"policy"`
	Managed []managedPolicy    `json:"managed"`
}

type runDocument struct {
	head
	Stack string `json:"stack"`
	// Task is the task's id, and Release its task definition and revision.
	Task    string `json:"task"`
	Release string `json:"release"`
	// Exit is the exit code of the command; nil where it was not waited for.
	Exit *int32 `json:"exit,omitempty"`
}

type rotateDocument struct {
	head
	Command string  `json:"command"`
	Stack   string  `json:"stack"`
	Seconds float64 `json:"seconds"`
}

// secretDocument is the result of a change of a secret variable.
type secretDocument struct {
	head
	Command string `json:"command"`
	Stack   string `json:"stack"`
	Name    string `json:"name"`
	// Released says that the tasks are new; there is no service else.
	Released bool    `json:"released"`
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
	Secret  string `json:"secret"`
	SSLMode string `json:"sslmode"`
	// Authorities is the file, or the address of it, to verify the server by.
	Authorities string `json:"authorities"`
	Password    string `json:"password,omitempty"`
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

type versionDocument struct {
	head
	Version  string `json:"version"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
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
	Dir     string `json:"dir"`
}

type localStoppedDocument struct {
	head
	Running bool   `json:"running"`
	Stopped bool   `json:"stopped"`
	Dir     string `json:"dir"`
}

type localLogDocument struct {
	head
	Text string `json:"text"`
}

type environmentDocument struct {
	head
	Variables map[string]string `json:"variables"`
	Unset     []string          `json:"unset,omitempty"`
}
