package provision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"github.com/bookctl/bookctl/internal/naming"
	"github.com/bookctl/bookctl/internal/partition"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// Connection is where the stack's database is, and as whom to ask for it.
type Connection struct {
	Host     string `json:"host"`
	Port     int32  `json:"port"`
	Database string `json:"database"`
	Username string `json:"username"`
	// Version is the version of PostgreSQL, and State RDS's word.
	Version string `json:"version" doc:"Of PostgreSQL."`
	State   string `json:"state" doc:"RDS's word."`
}

// ReadConnection reads where a stack's database is. It makes one read, and not
// of the secret.
func ReadConnection(ctx context.Context, c Clients, stack string) (Connection, error) {
	d := rdsAccess{identity: identity{stack: stack}, rds: c.RDS}
	db, err := d.instance(ctx)
	if err != nil {
		return Connection{}, err
	}
	if db == nil {
		return Connection{}, fmt.Errorf("stack %s has no database", stack)
	}
	if fromRDSTags(db.TagList)[TagStack] != stack {
		return Connection{}, fmt.Errorf("database %s: %w %s", d.databaseName(), graph.ErrUnmanaged, stack)
	}
	out := Connection{
		Database: aws.ToString(db.DBName), Username: aws.ToString(db.MasterUsername),
		Version: aws.ToString(db.EngineVersion), State: aws.ToString(db.DBInstanceStatus),
	}
	if e := db.Endpoint; e != nil {
		out.Host, out.Port = aws.ToString(e.Address), aws.ToInt32(e.Port)
	}
	return out, nil
}

// ReadPassword reads the database's password from the secret, for a person who
// asked to see it.
func ReadPassword(ctx context.Context, c Clients, stack string) (string, error) {
	found, _, err := readCredentials(ctx, c.Secrets, naming.Names{Stack: stack}.Secret())
	return found.Password, err
}

// Session is a way into a task, which AWS's session-manager-plugin walks.
type Session struct {
	// Response is AWS's answer as the plugin takes it. It holds a token.
	Response string
	// Request is what was asked for, as the plugin takes it.
	Request string
	// Region is where, and Endpoint the address of Systems Manager there.
	Region, Endpoint string
	// Stream is the address of the session itself, and ID what the plugin calls it.
	Stream, ID string
}

// String hides the token.
func (s Session) String() string { return s.Request }

// answer is what the plugin needs of AWS's answer.
type answer struct {
	SessionID  *string `json:"SessionId"`
	TokenValue *string
	StreamURL  *string `json:"StreamUrl"`
}

// ErrNoExec is wrapped by the error for a stack whose tasks do not allow ECS Exec, and
// ErrNoAgent by that for tasks whose agent of ECS Exec does not run.
var (
	ErrNoExec  = errors.New("its tasks do not allow ECS Exec")
	ErrNoAgent = errors.New("the agent of ECS Exec does not run")
)

// Exec starts a command in a running task: the one whose id begins with task, or
// any for "". It waits for one whose agent is about to run, after a note. ECS takes one
// string, which the agent in the container takes apart by quotes and backslashes, and runs
// without a shell.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/ecs-exec.html
// https://github.com/aws/amazon-ssm-agent/blob/mainline/agent/session/shell/shell_unix.go (ContainerMode)
func Exec(ctx context.Context, c Clients, stack, task string, command []string, note func(string)) (Session, error) {
	s, t, err := enter(ctx, c, stack, task, note)
	if err != nil {
		return Session{}, err
	}
	out, err := c.ECS.ExecuteCommand(ctx, &ecs.ExecuteCommandInput{
		Cluster: aws.String(s.cluster.clusterName()), Task: t.TaskArn, Container: aws.String(containerName), Command: aws.String(joinWords(command)), Interactive: true,
	})
	if err != nil {
		return Session{}, fmt.Errorf("run a command in task %s: %w", nameInARN(aws.ToString(t.TaskArn)), err)
	}
	if out.Session == nil {
		return Session{}, fmt.Errorf("run a command in task %s: ECS gave no session", nameInARN(aws.ToString(t.TaskArn)))
	}
	return newSession(c, answer{out.Session.SessionId, out.Session.TokenValue, out.Session.StreamUrl}, ssm.StartSessionInput{Target: s.target(t)})
}

// Tunnel forwards a port of this machine through a running task to the stack's
// database. Like Exec it waits for a task whose agent is about to run.
// https://docs.aws.amazon.com/systems-manager/latest/userguide/session-manager-working-with-sessions-start.html#sessions-remote-port-forwarding
func Tunnel(ctx context.Context, c Clients, stack, task string, to Connection, port int, note func(string)) (Session, error) {
	s, t, err := enter(ctx, c, stack, task, note)
	if err != nil {
		return Session{}, err
	}
	in := ssm.StartSessionInput{
		Target: s.target(t), DocumentName: aws.String("AWS-StartPortForwardingSessionToRemoteHost"),
		Parameters: map[string][]string{
			"host": {to.Host}, "portNumber": {strconv.Itoa(int(to.Port))}, "localPortNumber": {strconv.Itoa(port)},
		},
	}
	out, err := c.SSM.StartSession(ctx, &in)
	if err != nil {
		return Session{}, fmt.Errorf("open a tunnel through task %s: %w", nameInARN(aws.ToString(t.TaskArn)), err)
	}
	return newSession(c, answer{out.SessionId, out.TokenValue, out.StreamUrl}, in)
}

func newSession(c Clients, a answer, in ssm.StartSessionInput) (Session, error) {
	response, err := json.Marshal(a)
	if err != nil {
		return Session{}, err
	}
	request, err := json.Marshal(in)
	if err != nil {
		return Session{}, err
	}
	region := c.SSM.Options().Region
	return Session{Stream: aws.ToString(a.StreamURL), ID: aws.ToString(a.SessionID), Response: string(response), Request: string(request), Region: region, Endpoint: "https://ssm." + region + "." + partition.Of(region).Suffix}, nil
}

// agentStarts is how long the agent of ECS Exec in a running task may take to run.
const agentStarts = 30 * time.Second

// enter finds a running task that takes commands: the agent in it runs some seconds later
// than the task, or not at all.
// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ManagedAgent.html
func enter(ctx context.Context, c Clients, stack, prefix string, note func(string)) (*Service, types.Task, error) {
	in := ecsAccess{identity: identity{stack: stack}, ecs: c.ECS}
	s := &Service{ecsAccess: in, cluster: &Cluster{ecsAccess: in}}
	for begun, noted := time.Now(), false; ; {
		all, err := s.describedTasks(ctx, types.DesiredStatusRunning)
		if err != nil {
			return nil, types.Task{}, err
		}
		if len(all) == 0 {
			return nil, types.Task{}, fmt.Errorf("no task of stack %s is running", stack)
		}
		t, err := choose(all, stack, prefix)
		if err == nil {
			return s, t, nil
		}
		if !errors.Is(err, errAgentPending) || time.Since(begun) > agentStarts {
			return nil, types.Task{}, err
		}
		if !noted {
			note(fmt.Sprintf("waiting up to %s for the agent of ECS Exec in task %s", agentStarts, nameInARN(aws.ToString(t.TaskArn))))
			noted = true
		}
		if err := graph.Sleep(ctx, time.Second); err != nil {
			return nil, types.Task{}, err
		}
	}
}

// errAgentPending is an ErrNoAgent that may pass by itself.
var errAgentPending = fmt.Errorf("%w yet", ErrNoAgent)

// choose takes the task whose agent runs, of those with an id that begins with prefix; or,
// with an error, one whose agent does not.
func choose(all []types.Task, stack, prefix string) (types.Task, error) {
	running := slices.DeleteFunc(slices.Clone(all), func(t types.Task) bool {
		return aws.ToString(t.LastStatus) != "RUNNING" || !strings.HasPrefix(nameInARN(aws.ToString(t.TaskArn)), prefix)
	})
	switch {
	case len(running) == 0 && prefix != "":
		return types.Task{}, fmt.Errorf("no running task of stack %s has an id that begins with %q", stack, prefix)
	case len(running) == 0:
		return types.Task{}, fmt.Errorf("no task of stack %s is running yet", stack)
	}
	running = slices.DeleteFunc(running, func(t types.Task) bool { return !t.EnableExecuteCommand })
	if len(running) == 0 {
		return types.Task{}, fmt.Errorf("stack %s: %w", stack, ErrNoExec)
	}
	var best types.Task
	var err error
	for _, t := range running {
		status, reason := execAgent(t)
		switch {
		case status == "RUNNING":
			return t, nil
		case status == "PENDING" && !errors.Is(err, errAgentPending):
			best, err = t, fmt.Errorf("task %s: %w: it is %s", nameInARN(aws.ToString(t.TaskArn)), errAgentPending, status+reason)
		case err == nil:
			best, err = t, fmt.Errorf("task %s: %w: it is %s", nameInARN(aws.ToString(t.TaskArn)), ErrNoAgent, status+reason)
		}
	}
	return best, err
}

// execAgent is the state of the agent of ECS Exec in a task's container, and the reason, to
// be appended. Who does not report agents is asked for a session.
func execAgent(t types.Task) (status, reason string) {
	for _, c := range t.Containers {
		if aws.ToString(c.Name) != containerName {
			continue
		}
		for _, a := range c.ManagedAgents {
			if a.Name == types.ManagedAgentNameExecuteCommandAgent {
				if a.Reason != nil {
					reason = ": " + *a.Reason
				}
				return aws.ToString(a.LastStatus), reason
			}
		}
	}
	return "RUNNING", ""
}

// target is a task's container as Systems Manager calls it.
func (s *Service) target(t types.Task) *string {
	for _, k := range t.Containers {
		if aws.ToString(k.Name) == containerName {
			return aws.String(fmt.Sprintf("ecs:%s_%s_%s", s.cluster.clusterName(), nameInARN(aws.ToString(t.TaskArn)), aws.ToString(k.RuntimeId)))
		}
	}
	return nil
}
