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

// addressFromSecret returns a function that reads the database's host and port from the secret.
// The secret has the keys that AWS gives the secrets of RDS. Its password is not read: ECS
// provides that.
func (e *environment) addressFromSecret() func(context.Context) (string, int, error) {
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
	credentialsURL := e.get("AWS_CONTAINER_CREDENTIALS_FULL_URI")
	if relative := e.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"); relative != "" {
		credentialsURL = agentAddress + relative
	}
	if credentialsURL == "" {
		e.problems = append(e.problems, "DB_SECRET_ARN needs the credentials that ECS gives to tasks: AWS_CONTAINER_CREDENTIALS_RELATIVE_URI is not set")
		return nil
	}
	config := aws.Config{Region: secret.Region, Credentials: aws.NewCredentialsCache(endpointcreds.New(credentialsURL)), APIOptions: []func(*middleware.Stack) error{requestbody.Readable}}
	if url := cmp.Or(e.get("AWS_ENDPOINT_URL_SECRETS_MANAGER"), e.get("AWS_ENDPOINT_URL")); url != "" {
		config.BaseEndpoint = &url
	}
	s := &secretAddress{client: secretsmanager.NewFromConfig(config), id: id}
	return s.read
}

// secretAddress reads the address of the database from a secret, until it has one.
type secretAddress struct {
	client *secretsmanager.Client
	id     string

	mu   sync.Mutex
	host string // empty until it is known
	port int
}

func (s *secretAddress) read(ctx context.Context) (host string, port int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.host != "" {
		return s.host, s.port, nil
	}
	out, err := s.client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &s.id})
	if err != nil {
		var refused smithy.APIError
		if errors.As(err, &refused) { // without the id of the request, which differs each time
			err = fmt.Errorf("%s: %s", refused.ErrorCode(), refused.ErrorMessage())
		}
		return "", 0, fmt.Errorf("read DB_SECRET_ARN: %w", err)
	}
	s.host, s.port, err = parseAddress(aws.ToString(out.SecretString))
	return s.host, s.port, err
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
