#!/usr/bin/env bash
# A pipeline registers the task definition that lies in the repository, and a setting of it
# never reaches ECS: the SDK for JavaScript of last spring leaves it out and says nothing.
#
# Package:   @aws-sdk/client-ecs 3.1000.0 and 3.925.0 (npm)
# Expected:  what the client doesn't know is sent, so that the service decides, as all versions
#            of v3 did before, or is refused, as by v2 and the AWS CLI ("Unexpected key").
# Behaviour: since the schemas of November 2025 (3.929.0) a client writes the members that
#            it knows and drops the others, and so it does when it reads, where all that
#            stood in a container got through before. A file with a new setting is
#            registered without it, and "describe, put in the new image, register" takes
#            away what the console or a newer tool had set, at each deploy. Nothing
#            fails; the task runs otherwise than the file says. Deploy actions with a bundled
#            SDK do just this. Both settings below came in the autumn of 2026.
# Source:    https://github.com/aws/aws-sdk-js-v3/pull/7483; the SDK of v2 in an issue:
#            https://github.com/aws-actions/amazon-ecs-deploy-task-definition/issues/810;
#            https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RegisterTaskDefinition.html
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
cat >try.mjs <<'JS'
import http from "node:http";
import { readFileSync } from "node:fs";
import { ECSClient, DescribeTaskDefinitionCommand, RegisterTaskDefinitionCommand } from "@aws-sdk/client-ecs";
const file = JSON.parse(readFileSync("task-definition.json", "utf8"));
const answer = { family: "web", containerDefinitions: [{ name: "web", image: "web:1", resourceRequirements: [{ type: "GPU", sharingStrategy: { nvidiaMps: { memory: 4096 } } }] }] };
let sent;
const server = http.createServer((request, response) => {
  let body = "";
  request.on("data", (part) => (body += part));
  request.on("end", () => {
    sent = JSON.parse(body);
    response.setHeader("content-type", "application/x-amz-json-1.1");
    response.end(JSON.stringify({ taskDefinition: answer }));
  });
});
await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
const client = new ECSClient({
  endpoint: `http://127.0.0.1:${server.address().port}`, region: "eu-west-1",
  credentials: { accessKeyId: "a", secretAccessKey: "b" },
});
const { taskDefinition } = await client.send(new DescribeTaskDefinitionCommand({ taskDefinition: "web" }));
await client.send(new RegisterTaskDefinitionCommand(file));
console.log(`described: ${JSON.stringify(taskDefinition.containerDefinitions[0].resourceRequirements)}`);
console.log(`registered: ${Object.keys(sent).sort().join(" ")}`);
server.close();
client.destroy();
JS
cat >task-definition.json <<'JSON'
{"family": "web", "cpu": "1024", "trustedExecutionConfiguration": {"isolationMode": "ISOLATED_SANDBOX"},
 "containerDefinitions": [{"name": "web", "image": "123456789012.dkr.ecr.eu-west-1.amazonaws.com/web:1"}]}
JSON
for version in 3.925.0 3.1000.0; do
  npm install --silent --no-audit --no-fund @aws-sdk/client-ecs@$version
  echo "$version"
  node try.mjs 2>log || { cat log; exit 1; }
done | tee seen
diff seen - <<'WANT'
3.925.0
described: [{"type":"GPU","sharingStrategy":{"nvidiaMps":{"memory":4096}}}]
registered: containerDefinitions cpu family trustedExecutionConfiguration
3.1000.0
described: [{"type":"GPU"}]
registered: containerDefinitions cpu family
WANT
# Seen: the six lines above
