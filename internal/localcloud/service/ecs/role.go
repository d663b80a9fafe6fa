package ecs

import (
	"crypto/subtle"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
)

// taskRole is what a task may be under its task role: a path to fetch
// credentials by, and the access key that they have
// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html).
type taskRole struct {
	arn, path, key string
}

// credentialsLife is how long credentials are good for; tasks fetch new ones.
const credentialsLife = 6 * time.Hour

// CredentialsPath is the path of Credentials below the admin endpoints.
const CredentialsPath = "credentials/"

// taskKey begins the access keys of tasks, which end with their tasks.
const taskKey = "ASIATASK"

// newTaskRole creates what a task of the definition gets, nothing without a role.
func newTaskRole(arn *string) taskRole {
	if arn == nil {
		return taskRole{}
	}
	return taskRole{arn: *arn, path: kernel.UUID(), key: taskKey + strings.ToUpper(kernel.HexDigits(12))}
}

// roleEnvironment is by which the AWS SDKs in a container find the credentials, and
// the cloud itself.
func (s *Service) roleEnvironment(r taskRole) map[string]string {
	if r.arn == "" {
		return nil
	}
	return map[string]string{
		"AWS_CONTAINER_CREDENTIALS_FULL_URI": s.Endpoint() + "/_bookctl/" + CredentialsPath + r.path,
		"AWS_ENDPOINT_URL":                   s.Endpoint(),
	}
}

// Credentials answers a container that asks for its role's at that path below
// CredentialsPath.
func (s *Service) Credentials(path string) (answer map[string]string, ok bool) {
	s.view(func(a tx) {
		for _, t := range a.running().tasks {
			if t.role.arn != "" && subtle.ConstantTimeCompare([]byte(t.role.path), []byte(path)) == 1 {
				ok = true
				answer = map[string]string{
					"RoleArn": t.role.arn, "AccessKeyId": t.role.key, "SecretAccessKey": kernel.HexDigits(40), "Token": kernel.HexDigits(64),
					"Expiration": a.Now().Add(credentialsLife).UTC().Format(time.RFC3339),
				}
			}
		}
	})
	return answer, ok
}

var _ kernel.TaskSessions = (*Service)(nil)

// Principal is the task that has the access key, under its task role.
func (s *Service) Principal(t *kernel.Tx, key string) (p kernel.Principal, known bool) {
	c := s.in(t)
	for id, t := range c.running().tasks {
		if t.role.arn != "" && t.role.key == key {
			return c.needs.Roles.Principal(c.Tx, t.role.arn, id), true
		}
	}
	return p, false
}

// May reports whether the key is a task's, and what its role says.
func (s *Service) May(t *kernel.Tx, key, action string, input any) (known bool, err error) {
	c := s.in(t)
	for id, t := range c.running().tasks {
		if t.role.arn == "" || t.role.key != key {
			continue
		}
		if action == "sts:GetCallerIdentity" || action == "sts:AssumeRole" {
			return true, nil // the one needs no permission, the other asks for itself
		}
		resource := "*"
		if in, ok := input.(*secretsmanager.GetSecretValueInput); ok {
			resource = c.secretARNOf(aws.ToString(in.SecretId))
		}
		program := c.agent(&t.role.arn, id)
		if c.needs.Roles.Usable(c.Tx, t.role.arn) && program.check(action, resource) == nil {
			return true, nil
		}
		return true, &kernel.Error{Status: http.StatusBadRequest, Code: "AccessDeniedException", Message: program.refusal(action, resource)}
	}
	if strings.HasPrefix(key, taskKey) {
		return true, &kernel.Error{Status: http.StatusBadRequest, Code: "UnrecognizedClientException", Message: "The security token included in the request is invalid."}
	}
	return false, nil
}
