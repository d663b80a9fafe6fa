#!/bin/sh
# A program that gives the AWS SDK an *http.Client works everywhere but where the user
# has set AWS_CA_BUNDLE: there it can't load its configuration.
#
# Package:   github.com/aws/aws-sdk-go-v2/config v1.32.2
# Expected:  the bundle is added to the client's roots, or is ignored with a warning.
# Behaviour: LoadDefaultConfig fails, before any call. It can add the bundle to its own
#            BuildableClient only; limits and proxies have to be set on one of those
#            (awshttp.NewBuildableClient().WithTransportOptions).
# Source:    config/resolve.go (resolveCustomCABundle) of that version.
set -eu
dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
cd "$dir"
export GOPATH="$dir/go" GOFLAGS=-mod=mod GOWORK=off
cat > go.mod <<'MOD'
module finding

go 1.26
MOD
cat > main.go <<'GO'
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"time"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
)

// bundle writes a certificate authority to a file.
func bundle() string {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	if err := os.WriteFile("ca.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		panic(err)
	}
	return "ca.pem"
}

func main() {
	load := func(client config.HTTPClient) error {
		_, err := config.LoadDefaultConfig(context.Background(), config.WithRegion("eu-west-1"), config.WithHTTPClient(client))
		return err
	}
	without := load(&http.Client{})
	os.Setenv("AWS_CA_BUNDLE", bundle())
	with, buildable := load(&http.Client{}), load(awshttp.NewBuildableClient())
	fmt.Printf("an http.Client without AWS_CA_BUNDLE: %v\nwith it: %v\na BuildableClient with it: %v\n", without, with, buildable)
	if without != nil || with == nil || buildable != nil {
		fmt.Println("the behaviour has changed: only the second was expected to fail")
		os.Exit(1)
	}
}
GO
go get github.com/aws/aws-sdk-go-v2/config@v1.32.2
env -u AWS_CA_BUNDLE -u AWS_PROFILE AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null go run .
# Seen: an http.Client without AWS_CA_BUNDLE: <nil>
#       with it: unable to add custom RootCAs HTTPClient, has no WithTransportOptions, *http.Client
#       a BuildableClient with it: <nil>
