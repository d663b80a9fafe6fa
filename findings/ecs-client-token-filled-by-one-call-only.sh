#!/usr/bin/env bash
# @aws-sdk/client-ecs 3.1164.0 (npm)
#
# RunTask and CreateService both have a clientToken that makes a retry safe. The
# SDK fills it in by itself for RunTask, and leaves it out of CreateService: only
# the first one carries the idempotencyToken trait in ECS's API model. Who relies
# on the SDK for both makes a service that a retry can't recognise.
#
# Source: the model of the two operations in aws/aws-sdk-js-v3,
# codegen/sdk-codegen/aws-models/ecs.json, RunTaskRequest and CreateServiceRequest.
# Seen: RunTask sends clientToken: true, CreateService sends clientToken: false
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund @aws-sdk/client-ecs@3.1164.0
cat >try.mjs <<'JS'
import http from "node:http";
import { ECSClient, RunTaskCommand, CreateServiceCommand } from "@aws-sdk/client-ecs";
const seen = [];
const server = http.createServer((request, response) => {
  let body = "";
  request.on("data", (part) => (body += part));
  request.on("end", () => {
    const name = request.headers["x-amz-target"].split(".")[1];
    seen.push(`${name} sends clientToken: ${"clientToken" in JSON.parse(body)}`);
    response.setHeader("content-type", "application/x-amz-json-1.1");
    response.end("{}");
  });
});
await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
const client = new ECSClient({
  endpoint: `http://127.0.0.1:${server.address().port}`, region: "us-east-1",
  credentials: { accessKeyId: "a", secretAccessKey: "b" },
});
await client.send(new RunTaskCommand({ taskDefinition: "t" }));
await client.send(new CreateServiceCommand({ serviceName: "s", taskDefinition: "t" }));
server.close();
client.destroy();
console.log(seen.join("\n"));
JS
node try.mjs | tee seen
diff seen - <<'WANT'
RunTask sends clientToken: true
CreateService sends clientToken: false
WANT
