package api_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go/middleware"

	"github.com/bookctl/bookctl/internal/moto"
	"github.com/bookctl/bookctl/internal/requestbody"
)

// TestItWaitsUntilItsSecretSaysWhereTheDatabaseIs starts bookapi before there is a
// database to be found.
func TestItWaitsUntilItsSecretSaysWhereTheDatabaseIs(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	endpoint := moto.Start(t)
	secrets := secretsmanager.NewFromConfig(aws.Config{
		Region: "eu-west-1", BaseEndpoint: &endpoint, Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
		APIOptions: []func(*middleware.Stack) error{requestbody.Readable},
	})
	value := func(host string, port int) *string {
		text, err := json.Marshal(map[string]any{"engine": "postgres", "host": host, "port": port, "password": "another-secret"})
		if err != nil {
			t.Fatal(err)
		}
		return aws.String(string(text))
	}
	made, err := secrets.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("book/database"), SecretString: value("", db.port)})
	if err != nil {
		t.Fatal(err)
	}
	p := run(t, db, "DB_HOST=", "DB_PORT=", "DB_SECRET_ARN="+*made.ARN, "AWS_ENDPOINT_URL="+endpoint, "AWS_CONTAINER_CREDENTIALS_FULL_URI="+agent(t))
	s := service{url: p.url}
	awaitOK(t, p.url+"/healthz", p.log)
	time.Sleep(2500 * time.Millisecond) // some attempts
	for _, path := range []string{"/startupz", "/readyz", "/books/Dune"} {
		s.send(t, "GET", path, "").want(t, 503)
	}
	s.send(t, "GET", "/healthz", "").want(t, 200)
	if n := strings.Count(p.log.String(), "the database has no address yet"); n != 1 {
		t.Errorf("the reason is logged %d times:\n%s", n, p.log)
	}
	if _, err := secrets.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: made.ARN, SecretString: value("localhost", db.port)}); err != nil {
		t.Fatal(err)
	}
	awaitReady(t, p.url, p.log)
	s.send(t, "POST", "/books", bookJSON("Dune", "Frank Herbert")).want(t, 201)
	if strings.Contains(p.log.String(), "another-secret") {
		t.Error("the log holds the secret's password")
	}

	// What can't be read is no reason to end, and is logged.
	gone := run(t, db, "DB_HOST=", "DB_PORT=", "DB_SECRET_ARN="+*made.ARN+"x", "AWS_ENDPOINT_URL="+endpoint, "AWS_CONTAINER_CREDENTIALS_FULL_URI="+agent(t))
	for began := time.Now(); !strings.Contains(gone.log.String(), "ResourceNotFoundException"); time.Sleep(20 * time.Millisecond) {
		if time.Since(began) > 30*time.Second {
			t.Fatalf("a secret that is not there is not reported:\n%s", gone.log)
		}
	}
}

// agent hands out the credentials of a task's role, as ECS's does, and returns
// where.
func agent(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, `{"RoleArn":"arn:aws:iam::123456789012:role/t","AccessKeyId":"ASIATEST","SecretAccessKey":"s","Token":"t","Expiration":%q}`,
			time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	})}
	go func() { _ = server.Serve(l) }() // until it is closed
	t.Cleanup(func() { _ = server.Close() })
	return "http://" + l.Addr().String() + "/credentials"
}

func TestASecretThatCannotSayWhereTheDatabaseIsIsRefused(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("builds bookapi")
	}
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	const arn = "DB_SECRET_ARN=arn:aws:secretsmanager:eu-west-1:123456789012:secret:book/database-aBcDeF"
	for _, wrong := range [][]string{
		{"DB_SECRET_ARN="}, {"DB_SECRET_ARN=book/database"}, {"DB_SECRET_ARN=arn:aws:ssm:eu-west-1:123456789012:parameter/x"},
		{arn}, // and no credentials
	} {
		cmd := exec.Command(path)
		cmd.Env = append([]string{"DB_NAME=n", "DB_USERNAME=u", "DB_PASSWORD=p"}, wrong...)
		if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "DB_SECRET_ARN") || strings.Count(string(out), "\n") != 1 {
			t.Errorf("%s: %v, %s", wrong, err, out)
		}
	}
}
