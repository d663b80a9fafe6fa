#!/usr/bin/env bash
# @aws-sdk/client-ecs 3.1164.0 (npm)
#
# waitUntilServicesStable ends with SUCCESS for a service whose new release was
# rolled back by the deployment circuit breaker. The waiter looks at the number of
# deployments and of running tasks, and not at which task definition they have: as
# soon as the rollback is the only deployment left, the service is stable, with the
# old release. A deploy script that trusts the waiter reports a failed release as
# deployed.
#
# Source: the acceptors of ServicesStable in aws/aws-sdk-js-v3,
# clients/client-ecs/src/waiters/waitForServicesStable.ts; what DescribeServices
# shows after a rollback:
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-circuit-breaker.html
# Seen: asked for app:8, the waiter says SUCCESS while app:7 runs
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund @aws-sdk/client-ecs@3.1164.0
cat >try.mjs <<'JS'
import http from "node:http";
import { ECSClient, UpdateServiceCommand, waitUntilServicesStable, DescribeServicesCommand } from "@aws-sdk/client-ecs";
const definition = (revision) => `arn:aws:ecs:us-east-1:123456789012:task-definition/app:${revision}`;
// What ECS shows when the circuit breaker has brought the old release back.
const rolledBack = {
  serviceName: "app", status: "ACTIVE", desiredCount: 2, runningCount: 2, pendingCount: 0, taskDefinition: definition(7),
  deployments: [{
    id: "ecs-svc/1", status: "PRIMARY", taskDefinition: definition(7), desiredCount: 2, runningCount: 2, pendingCount: 0, failedTasks: 0,
    rolloutState: "COMPLETED", rolloutStateReason: "ECS deployment circuit breaker: rolling back to deploymentId ecs-svc/1.",
  }],
};
const server = http.createServer((request, response) => {
  request.resume().on("end", () => {
    response.setHeader("content-type", "application/x-amz-json-1.1");
    response.end(JSON.stringify({ services: [rolledBack], failures: [] }));
  });
});
await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
const client = new ECSClient({
  endpoint: `http://127.0.0.1:${server.address().port}`, region: "us-east-1",
  credentials: { accessKeyId: "a", secretAccessKey: "b" },
});
await client.send(new UpdateServiceCommand({ service: "app", taskDefinition: "app:8" }));
const result = await waitUntilServicesStable({ client, maxWaitTime: 20 }, { services: ["app"] });
const now = (await client.send(new DescribeServicesCommand({ services: ["app"] }))).services[0].taskDefinition;
server.close();
client.destroy();
console.log(`asked for app:8, the waiter says ${result.state} while ${now.split("/")[1]} runs`);
JS
node try.mjs | tee seen
diff seen - <<'WANT'
asked for app:8, the waiter says SUCCESS while app:7 runs
WANT
