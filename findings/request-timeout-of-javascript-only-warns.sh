#!/usr/bin/env bash
# A deploy script gives each request of the AWS SDK one second, and a request that is not
# answered keeps it waiting for minutes all the same.
#
# Package:   @smithy/node-http-handler 4.14.2 with @aws-sdk/client-ecs 3.1164.0 (npm)
# Expected:  a request that takes longer than requestTimeout is given up, and retried or
#            reported, as the option did for years.
# Behaviour: requestTimeout writes a warning to the console, and the request goes on. It had
#            been a limit on the socket's silence until October 2025 (4.4.0), when it got the
#            meaning of its name; it ends nothing since then unless throwOnRequestTimeout is set
#            as well, and the old limit is called socketTimeout. An update by a minor
#            version takes the limit away from those who had set one, and gives them a line in a
#            log that nobody reads.
# Source:    setRequestTimeout in dist-cjs/index.js of that version;
#            https://github.com/smithy-lang/smithy-typescript/pull/1745
# Seen: requestTimeout alone: answered after 3 s, 1 attempt, 1 warning
#       with throwOnRequestTimeout: TimeoutError, 1 attempt, 0 warnings
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund @smithy/node-http-handler@4.14.2 @aws-sdk/client-ecs@3.1164.0
cat >try.mjs <<'JS'
import http from "node:http";
import { NodeHttpHandler } from "@smithy/node-http-handler";
import { ECSClient, ListClustersCommand } from "@aws-sdk/client-ecs";
let attempts;
const server = http.createServer((request, response) => {
  attempts++;
  setTimeout(() => {
    response.setHeader("content-type", "application/x-amz-json-1.1");
    response.end('{"clusterArns": []}');
  }, 3000);
});
await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
for (const [name, more] of [["requestTimeout alone", {}], ["with throwOnRequestTimeout", { throwOnRequestTimeout: true }]]) {
  let warnings = 0;
  attempts = 0;
  const logger = { ...console, warn: () => warnings++ };
  const client = new ECSClient({
    endpoint: `http://127.0.0.1:${server.address().port}`, region: "eu-west-1", maxAttempts: 1,
    credentials: { accessKeyId: "a", secretAccessKey: "b" },
    requestHandler: new NodeHttpHandler({ requestTimeout: 1000, logger, ...more }),
  });
  const begun = Date.now();
  const end = await client.send(new ListClustersCommand({})).then(
    () => `answered after ${Math.floor((Date.now() - begun) / 1000)} s`, (error) => error.name);
  console.log(`${name}: ${end}, ${attempts} attempt, ${warnings} warning${warnings === 1 ? "" : "s"}`);
  client.destroy();
}
server.closeAllConnections();
server.close();
JS
node try.mjs | tee seen
diff seen - <<'WANT'
requestTimeout alone: answered after 3 s, 1 attempt, 1 warning
with throwOnRequestTimeout: TimeoutError, 1 attempt, 0 warnings
WANT
