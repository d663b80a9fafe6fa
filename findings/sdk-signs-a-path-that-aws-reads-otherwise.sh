#!/bin/sh
# A Go program that joins "https://…/prod/" and "/orders" and signs the request is refused by
# an API of AWS with another signature, and the same URL signed in JavaScript is let in.
#
# Package:   github.com/aws/aws-sdk-go-v2 v1.48.0 (aws/signer/v4) and
#            github.com/aws/smithy-go/aws-http-auth v1.2.2; @smithy/signature-v4 5.7.5
#            and aws4 1.13.2 (npm)
# Expected:  AWS's signers, which share a specification, give one signature for one request.
# Behaviour: for all services but S3, what is signed is the path without empty, "." and ".."
#            segments, and AWS computes it so from the path that it gets. Both of Go's
#            signers sign the path as it is. SDK clients make no such paths, so that it is
#            met by those who sign by themselves: for an API Gateway or a function's
#            URL with IAM, for OpenSearch or AppSync. The answer is 403 with "The request
#            signature we calculated does not match", which sends one looking at
#            secrets and clocks. The caller has to clean URL.Path.
# Source:    "Canonical URI" in
#            https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html;
#            buildCanonicalString in aws/signer/v4/v4.go;
#            https://github.com/aws/aws-sdk-js-v3/pull/3408 and
#            https://github.com/smithy-lang/smithy-rs/issues/1308, where others changed it
set -eu
dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund @smithy/signature-v4@5.7.5 @aws-crypto/sha256-js@5.2.0 aws4@1.13.2
cat > sign.mjs <<'JS'
import { SignatureV4 } from "@smithy/signature-v4";
import { Sha256 } from "@aws-crypto/sha256-js";
import aws4 from "aws4";
const credentials = { accessKeyId: "AKIDEXAMPLE", secretAccessKey: "secret" };
const hostname = "api.example.com";
const signature = (headers) => (headers.authorization ?? headers.Authorization).split("Signature=")[1].slice(0, 8);
const signer = new SignatureV4({ service: "execute-api", region: "eu-west-1", credentials, sha256: Sha256, applyChecksum: false });
for (const path of ["/prod/orders", "/prod//orders", "/prod/./orders"]) {
  const signed = await signer.sign({ method: "GET", protocol: "https:", hostname, path, query: {}, headers: { host: hostname } },
    { signingDate: new Date("2026-11-01T10:00:00Z") });
  const other = aws4.sign({ host: hostname, path, service: "execute-api", region: "eu-west-1", headers: { "X-Amz-Date": "20261101T100000Z" } }, credentials);
  console.log(path, "smithy", signature(signed.headers), "aws4", signature(other.headers));
}
JS
export GOPATH="$dir/go" GOFLAGS='-mod=mod -trimpath' GOWORK=off CGO_ENABLED=0
cat > go.mod <<'MOD'
module finding

go 1.26
MOD
cat > main.go <<'GO'
package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/smithy-go/aws-http-auth/credentials"
	"github.com/aws/smithy-go/aws-http-auth/sigv4"
)

func main() {
	at := time.Date(2026, 11, 1, 10, 0, 0, 0, time.UTC)
	empty := sha256.Sum256(nil)
	for _, path := range []string{"/prod/orders", "/prod//orders", "/prod/./orders"} {
		sdk, smithy := request(path), request(path)
		err := v4.NewSigner().SignHTTP(context.Background(), aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "secret"},
			sdk, hex.EncodeToString(empty[:]), "execute-api", "eu-west-1", at)
		if err != nil {
			panic(err)
		}
		err = sigv4.New().SignRequest(&sigv4.SignRequestInput{
			Request: smithy, PayloadHash: empty[:], Service: "execute-api", Region: "eu-west-1", Time: at,
			Credentials: credentials.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "secret"},
		})
		if err != nil {
			panic(err)
		}
		fmt.Println(path, "sdk", signature(sdk), "smithy-go", signature(smithy))
	}
}

func request(path string) *http.Request {
	r, err := http.NewRequest(http.MethodGet, "https://api.example.com"+path, nil)
	if err != nil {
		panic(err)
	}
	return r
}

func signature(r *http.Request) string {
	_, s, _ := strings.Cut(r.Header.Get("Authorization"), "Signature=")
	return s[:8]
}
GO
go get github.com/aws/aws-sdk-go-v2@v1.48.0 github.com/aws/smithy-go/aws-http-auth@v1.2.2
go build -o try .
node sign.mjs | tee seen
./try | tee -a seen
diff seen - <<'WANT'
/prod/orders smithy 371aaa34 aws4 371aaa34
/prod//orders smithy 371aaa34 aws4 371aaa34
/prod/./orders smithy 371aaa34 aws4 371aaa34
/prod/orders sdk 371aaa34 smithy-go 371aaa34
/prod//orders sdk 52dfa867 smithy-go 52dfa867
/prod/./orders sdk 8f0b94ee smithy-go 8f0b94ee
WANT
# Seen: the six lines above
