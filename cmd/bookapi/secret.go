package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/credentials/endpointcreds"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"

	"github.com/bookctl/bookctl/internal/api/database"
	"github.com/bookctl/bookctl/internal/requestbody"
)

// agentAddress is where ECS gives a container the credentials of its task's role
// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-iam-roles.html).
const agentAddress = "http://169.254.170.2"

// addressInSecret creates what asks the secret where the database is. The secret has
// the keys that AWS gives those of RDS, of which only host and port are looked at:
// the password is ECS's to hand over.
func (e *environment) addressInSecret() func(context.Context) (string, int, error) {
	id := e.get("DB_SECRET_ARN")
	if id == "" {
		e.problems = append(e.problems, "DB_HOST is not set, nor DB_SECRET_ARN")
		return nil
	}
	secret, err := arn.Parse(id)
	if err != nil || secret.Service != "secretsmanager" || secret.Region == "" {
		e.problems = append(e.problems, "DB_SECRET_ARN must be the ARN of a secret in Secrets Manager")
		return nil
	}
	role := e.get("AWS_CONTAINER_CREDENTIALS_FULL_URI")
	if relative := e.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"); relative != "" {
		role = agentAddress + relative
	}
	if role == "" {
		e.problems = append(e.problems, "DB_SECRET_ARN needs the credentials that ECS gives to tasks: AWS_CONTAINER_CREDENTIALS_RELATIVE_URI is not set")
		return nil
	}
	config := aws.Config{Region: secret.Region, Credentials: aws.NewCredentialsCache(endpointcreds.New(role)), APIOptions: []func(*middleware.Stack) error{requestbody.Readable}}
	if url := cmp.Or(e.get("AWS_ENDPOINT_URL_SECRETS_MANAGER"), e.get("AWS_ENDPOINT_URL")); url != "" {
		config.BaseEndpoint = &url
	}
	client := secretsmanager.NewFromConfig(config)
	var (
		mu   sync.Mutex
		host string
		port int
	)
	return func(ctx context.Context) (string, int, error) {
		mu.Lock()
		defer mu.Unlock()
		if host != "" {
			return host, port, nil
		}
		out, err := client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &id})
		if err != nil {
			var refused smithy.APIError
			if errors.As(err, &refused) { // without the id of the request, which differs each time
				err = fmt.Errorf("%s: %s", refused.ErrorCode(), refused.ErrorMessage())
			}
			return "", 0, fmt.Errorf("read DB_SECRET_ARN: %w", err)
		}
		host, port, err = parseAddress(aws.ToString(out.SecretString))
		return host, port, err
	}
}

// parseAddress reads host and port from a secret's value. People edit it: the port may
// be a string, as in AWS's own examples, or missing, which means PostgreSQL's, and a
// password in plain text has no address.
func parseAddress(text string) (host string, port int, err error) {
	if !strings.HasPrefix(strings.TrimSpace(text), "{") {
		return "", 0, database.ErrNoAddress
	}
	var value struct {
		Host string
		Port json.RawMessage
	}
	number := 5432
	err = json.Unmarshal([]byte(text), &value)
	if digits := strings.Trim(string(value.Port), `"`); err == nil && digits != "" && digits != "null" {
		number, err = strconv.Atoi(digits)
	}
	if err != nil {
		return "", 0, errors.New("read DB_SECRET_ARN: it is not the JSON that says host and port") // the decoder's error could hold a piece of it
	}
	if value.Host == "" {
		return "", 0, database.ErrNoAddress
	}
	return value.Host, number, nil
}
