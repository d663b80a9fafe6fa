package localcloud

import (
	"crypto/subtle"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// taskRole is what a task may be under its task role: a path to fetch
// credentials by, and the access key that they have
// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html).
type taskRole struct {
	arn, path, key string
}

// credentialsLife is how long credentials are good for; tasks fetch new ones.
const credentialsLife = 6 * time.Hour

const credentialsPath = "credentials/"

// taskKey begins the access keys of tasks, which end with their tasks.
const taskKey = "ASIATASK"

// newTaskRole makes what a task of the definition gets, nothing without a role.
func newTaskRole(arn *string) taskRole {
	if arn == nil {
		return taskRole{}
	}
	return taskRole{arn: *arn, path: uuid(), key: taskKey + strings.ToUpper(hexDigits(12))}
}

// roleEnvironment is by which the AWS SDKs in a container find the credentials, and
// the cloud itself.
func (c *Cloud) roleEnvironment(r taskRole) map[string]string {
	if r.arn == "" {
		return nil
	}
	return map[string]string{
		"AWS_CONTAINER_CREDENTIALS_FULL_URI": c.endpoint() + "/_bookctl/" + credentialsPath + r.path,
		"AWS_ENDPOINT_URL":                   c.endpoint(),
	}
}

// serveCredentials answers a container that asks for its role's.
func (c *Cloud) serveCredentials(path string) (answer map[string]string, ok bool) {
	c.read(func() {
		for _, t := range c.live.ECS.tasks {
			if t.role.arn != "" && subtle.ConstantTimeCompare([]byte(t.role.path), []byte(path)) == 1 {
				ok = true
				answer = map[string]string{
					"RoleArn": t.role.arn, "AccessKeyId": t.role.key, "SecretAccessKey": hexDigits(40), "Token": hexDigits(64),
					"Expiration": c.now().Add(credentialsLife).UTC().Format(time.RFC3339),
				}
			}
		}
	})
	return answer, ok
}

// mayCall is nil when a call is not a task's, or its role allows it. The lock is
// held.
func (c *Cloud) mayCall(key, action string, input any) error {
	for id, t := range c.live.ECS.tasks {
		if t.role.arn == "" || t.role.key != key {
			continue
		}
		resource := "*"
		if in, ok := input.(*secretsmanager.GetSecretValueInput); ok {
			resource = aws.ToString(in.SecretId)
			if s, err := (secretsAPI{c}).secret(in.SecretId); err == nil {
				resource = s.ARN
			}
		}
		program := c.agent(&t.role.arn, id)
		if c.roleUsable(t.role.arn) && program.check(action, resource) == nil {
			return nil
		}
		return &apiError{status: http.StatusBadRequest, code: "AccessDeniedException", message: program.refusal(action, resource)}
	}
	if strings.HasPrefix(key, taskKey) {
		return &apiError{status: http.StatusBadRequest, code: "UnrecognizedClientException", message: "The security token included in the request is invalid."}
	}
	return nil
}
