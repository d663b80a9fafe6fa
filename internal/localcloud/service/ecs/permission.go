package ecs

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/bookctl/bookctl/internal/localcloud/task"
)

// fargateAgent acts for a task under one of its roles: the agent itself under the
// execution role, and the task's own programs under the task role.
type fargateAgent struct {
	tx
	role    string // its ARN, "" for none that exists
	session string // what the agent is called in errors
}

func (a tx) agent(role *string, task string) fargateAgent {
	agent := fargateAgent{tx: a}
	if role != nil {
		name, ok := a.needs.Roles.Name(a.Tx, *role)
		if ok {
			agent.role = *role
		}
		agent.session = a.ARN("sts", "assumed-role/"+name+"/"+task)
	}
	return agent
}

// check is nil when the role may do the action on the resource, else an error
// in IAM's words.
func (a fargateAgent) check(action, resource string) error {
	if ok, _ := a.needs.Roles.Allows(a.Tx, a.role, action, resource); !ok {
		return fmt.Errorf("AccessDeniedException: %s", a.refusal(action, resource))
	}
	return nil
}

func (a fargateAgent) refusal(action, resource string) string {
	_, why := a.needs.Roles.Allows(a.Tx, a.role, action, resource)
	return fmt.Sprintf("User: %s is not authorized to perform: %s on resource: %s because %s allows the %s action", a.session, action, resource, why, action)
}

// secret fetches a value for a container's environment.
func (a fargateAgent) secret(valueFrom string) (string, error) {
	parts := strings.SplitN(valueFrom, ":", 8)
	arn := strings.Join(parts[:min(7, len(parts))], ":")
	action, resource := "secretsmanager:GetSecretValue", a.secretARNOf(arn)
	if len(parts) > 2 && parts[2] == "ssm" {
		arn, action, resource = valueFrom, "ssm:GetParameters", valueFrom
	}
	if err := a.check(action, resource); err != nil {
		return "", fmt.Errorf("ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: unable to retrieve secret from asm: service call has been retried 1 time(s): failed to fetch secret %s from secrets manager: %w", arn, err)
	}
	return a.secretField(valueFrom)
}

// secretARNOf is the ARN of a secret against which IAM checks a policy, whether it is asked for by the full one
// or without its suffix (https://github.com/aws/aws-cdk/issues/7994).
func (a tx) secretARNOf(secret string) string {
	return cmp.Or(a.needs.Secrets.SecretARN(a.Tx, secret), secret)
}

// secretField is the value that ECS gives to a container: a secret's or one key
// of its JSON, or an SSM parameter's. Errors are in ECS's words.
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/secrets-envvar-secrets-manager.html
func (a tx) secretField(valueFrom string) (string, error) {
	const doing = "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: "
	if !strings.HasPrefix(valueFrom, "arn:"+a.Partition()+":secretsmanager:") {
		name := valueFrom
		if rest, ok := strings.CutPrefix(valueFrom, a.ARN("ssm", "parameter")); ok {
			name = rest
		}
		value, err := a.needs.Parameters.Value(a.Tx, name)
		if err != nil {
			return "", fmt.Errorf(doing+"unable to retrieve secrets from ssm: invalid parameters: %s", valueFrom)
		}
		return value, nil
	}
	parts := strings.Split(valueFrom, ":")
	id := strings.Join(parts[:min(7, len(parts))], ":")
	parts = append(parts[min(7, len(parts)):], "", "", "") // key, stage and version, none by default
	text, err := a.needs.Secrets.Value(a.Tx, id, parts[2], parts[1])
	if err != nil {
		return "", fmt.Errorf(doing+"unable to retrieve secret from asm: service call has been retried 1 time(s): failed to fetch secret %s from secrets manager: %w", id, err)
	}
	if parts[0] == "" {
		return text, nil
	}
	var fields map[string]any
	if json.Unmarshal([]byte(text), &fields) != nil {
		// AWS's words have the character, which is a piece of the value.
		return "", errors.New(doing + "unable to retrieve secret from asm: invalid character '…' looking for beginning of value")
	}
	switch value := fields[parts[0]].(type) {
	case nil:
		return "", fmt.Errorf(doing+"unable to retrieve secret from asm: service call has been retried 1 time(s): retrieved secret from Secrets Manager did not contain json key %s", parts[0])
	case string:
		return value, nil
	default:
		text, err := json.Marshal(value)
		return string(text), err
	}
}

// registryLogin fetches the login of a private registry, which is a secret of two
// keys (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/private-auth.html).
func (a fargateAgent) registryLogin(c *types.RepositoryCredentials) (task.Login, error) {
	if c == nil || aws.ToString(c.CredentialsParameter) == "" {
		return task.Login{}, nil
	}
	const failed = "ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: unable to get registry auth from asm: service call has been retried 1 time(s): %w"
	arn := *c.CredentialsParameter
	if err := a.check("secretsmanager:GetSecretValue", a.secretARNOf(arn)); err != nil {
		return task.Login{}, fmt.Errorf(failed, err)
	}
	text, err := a.secretField(arn)
	if err != nil {
		return task.Login{}, err // which says all that
	}
	var login task.Login
	if json.Unmarshal([]byte(text), &login) != nil || login.Username == "" || login.Password == "" {
		return task.Login{}, fmt.Errorf(failed, errors.New("unable to unmarshal secret value, or it has no username and password")) // never the value
	}
	return login, nil
}

// mayPull checks what an image of this registry needs.
func (a fargateAgent) mayPull(image string) error {
	host := strings.TrimPrefix(a.Endpoint(), "http://") + "/"
	repository, ours := strings.CutPrefix(image, host)
	if !ours {
		return nil
	}
	repository, _, _ = strings.Cut(repository, "@")
	repository, _, _ = strings.Cut(repository, ":")
	if err := a.check("ecr:GetAuthorizationToken", "*"); err != nil {
		return fmt.Errorf("ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: unable to retrieve ecr registry auth: service call has been retried 3 time(s): %w", err)
	}
	for _, action := range []string{"ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"} {
		if a.check(action, a.needs.Repositories.RepositoryARN(repository)) != nil {
			return fmt.Errorf("CannotPullContainerError: pull image manifest has been retried 1 time(s): failed to resolve ref %s: pulling from host %s failed with status code [manifests]: 403 Forbidden", image, strings.TrimSuffix(host, "/"))
		}
	}
	return nil
}

// openStream creates a container's log stream, as the log driver does before the
// container starts.
func (a fargateAgent) openStream(group, stream string, create bool) error {
	failed := func(err error) error {
		return fmt.Errorf("ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: failed to create Cloudwatch log stream: %w : exit status 1", err)
	}
	if !a.needs.Logs.HasGroup(a.Tx, group) && create {
		if err := a.check("logs:CreateLogGroup", a.needs.Logs.GroupARN(group)); err != nil {
			return failed(err)
		}
		a.needs.Logs.EnsureGroup(a.Tx, group)
	}
	if err := a.check("logs:CreateLogStream", a.needs.Logs.GroupARN(group)+":log-stream:"+stream); err != nil {
		return failed(err)
	}
	if !a.needs.Logs.HasGroup(a.Tx, group) {
		return failed(fmt.Errorf("ResourceNotFoundException: The specified log group does not exist.")) //nolint:revive,staticcheck // AWS's own words
	}
	a.needs.Logs.EnsureStream(a.Tx, group, stream)
	return nil
}

// trustsTasks reports whether tasks of a cluster can have the role. ECS says for
// whom it asks, and names a task
// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html).
func (a tx) trustsTasks(role, cluster string) bool {
	return a.needs.Roles.Trusts(a.Tx, role, "ecs-tasks.amazonaws.com", map[string][]string{
		"aws:SourceAccount": {a.Account()}, "aws:SourceArn": {a.taskARN(cluster, "new")},
	})
}
