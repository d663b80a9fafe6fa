package cli

import (
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/bookctl/bookctl/internal/provision/graph"
)

// lend gives a program the credentials of this run, until end is called. The program's own SDK may not know
// where they are from, such as from 'aws login', or from a device whose code was typed. The environment has it
// ask for them at an address of this machine, by a token, and again whenever they are about to expire. It finds
// none elsewhere.
// https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
func lend(from aws.CredentialsProvider) (environment []string, end func(), err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, fmt.Errorf("listen for the program that needs the credentials: %w", err)
	}
	token := rand.Text()
	server := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte(token)) != 1 {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		c, err := from.Retrieve(r.Context())
		if err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		lent := lentCredentials{AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey, Token: c.SessionToken}
		if c.CanExpire {
			lent.Expiration = c.Expires.UTC()
		}
		_ = encode(w, lent) // whoever is gone needs none
	})}
	graph.Start(func() error { return server.Serve(listener) })
	return []string{
		"AWS_CONTAINER_CREDENTIALS_FULL_URI=http://" + listener.Addr().String() + "/", "AWS_CONTAINER_AUTHORIZATION_TOKEN=" + token,
		"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI=",
		"AWS_PROFILE=", "AWS_DEFAULT_PROFILE=", "AWS_CONFIG_FILE=" + os.DevNull, "AWS_SHARED_CREDENTIALS_FILE=" + os.DevNull,
		"AWS_ACCESS_KEY_ID=", "AWS_ACCESS_KEY=", "AWS_SECRET_ACCESS_KEY=", "AWS_SECRET_KEY=", "AWS_SESSION_TOKEN=",
		"AWS_ROLE_ARN=", "AWS_WEB_IDENTITY_TOKEN_FILE=",
	}, func() { _ = server.Close() }, nil
}

// lentCredentials are credentials as the SDKs read them.
type lentCredentials struct {
	AccessKeyID     string `json:"AccessKeyId"`
	SecretAccessKey string
	Token           string
	Expiration      time.Time `json:"Expiration,omitzero"`
}
