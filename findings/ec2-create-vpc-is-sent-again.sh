#!/usr/bin/env bash
# @aws-sdk/client-ec2 3.1169.0 (npm)
#
# CreateVpc has no client token, and the SDK retries it all the same: when the
# answers of EC2 are lost on the way (here a 503 of a proxy in front of it, after
# EC2 did the work), one send() is three requests that each make a VPC, and the
# caller is told of an error only. The default retry strategy does not ask whether an
# operation can be repeated; maxAttempts: 1 is the caller's to set.
#
# Source: https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
# and the parameters of https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateVpc.html
# Seen: CreateVpc: 3 made, the caller has an error, tokens sent: 0
#       CreateVpc with maxAttempts 1: 1 made, the caller has an error, tokens sent: 0
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund @aws-sdk/client-ec2@3.1169.0
cat >try.mjs <<'JS'
import http from "node:http";
import { EC2Client, CreateVpcCommand } from "@aws-sdk/client-ec2";
let made = 0, tokens = 0;
const server = http.createServer((request, response) => {
  let body = "";
  request.on("data", (part) => (body += part));
  request.on("end", () => {
    made++; // the work is done, and the answer lost
    if (body.includes("ClientToken")) tokens++;
    response.statusCode = 503;
    response.end();
  });
});
await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
for (const [name, more] of [["CreateVpc", {}], ["CreateVpc with maxAttempts 1", { maxAttempts: 1 }]]) {
  made = tokens = 0;
  const client = new EC2Client({
    endpoint: `http://127.0.0.1:${server.address().port}`, region: "us-east-1",
    credentials: { accessKeyId: "a", secretAccessKey: "b" }, ...more,
  });
  let told = "an answer";
  await client.send(new CreateVpcCommand({ CidrBlock: "10.0.0.0/16" })).catch(() => (told = "an error"));
  console.log(`${name}: ${made} made, the caller has ${told}, tokens sent: ${tokens}`);
  client.destroy();
}
server.close();
JS
env -u AWS_MAX_ATTEMPTS -u AWS_RETRY_MODE node try.mjs | tee seen
diff seen - <<'WANT'
CreateVpc: 3 made, the caller has an error, tokens sent: 0
CreateVpc with maxAttempts 1: 1 made, the caller has an error, tokens sent: 0
WANT
