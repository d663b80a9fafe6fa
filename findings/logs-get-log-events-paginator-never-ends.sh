#!/usr/bin/env bash
# @aws-sdk/client-cloudwatch-logs 3.1148.0 (npm)
#
# paginateGetLogEvents goes on for ever. At the end of a stream CloudWatch Logs
# answers with the token that it was given, and the paginator takes any token for
# another page, as it does rightly for all other operations: it needs
# stopOnSameToken: true, which is off by default, also for this operation whose
# documentation makes the repeated token the sign of the end.
#
# Source: https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_GetLogEvents.html
# (nextToken in the response)
# Seen: by default: 50 pages and no end
#       with stopOnSameToken: 2 pages
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund @aws-sdk/client-cloudwatch-logs@3.1148.0
cat >try.mjs <<'JS'
import http from "node:http";
import { CloudWatchLogsClient, paginateGetLogEvents } from "@aws-sdk/client-cloudwatch-logs";
const server = http.createServer((request, response) => {
  let body = "";
  request.on("data", (part) => (body += part));
  request.on("end", () => {
    const last = JSON.parse(body).nextToken === "f/2"; // the token of the end
    response.setHeader("content-type", "application/x-amz-json-1.1");
    response.end(JSON.stringify({ events: last ? [] : [{ timestamp: 1, message: "x" }], nextForwardToken: "f/2", nextBackwardToken: "b/1" }));
  });
});
await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
const client = new CloudWatchLogsClient({
  endpoint: `http://127.0.0.1:${server.address().port}`, region: "us-east-1",
  credentials: { accessKeyId: "a", secretAccessKey: "b" },
});
for (const [name, more] of [["by default", {}], ["with stopOnSameToken", { stopOnSameToken: true }]]) {
  let pages = 0;
  for await (const page of paginateGetLogEvents({ client, ...more }, { logGroupName: "g", logStreamName: "s", startFromHead: true })) {
    if (page && ++pages === 50) break;
  }
  console.log(`${name}: ${pages} pages${pages === 50 ? " and no end" : ""}`);
}
server.close();
client.destroy();
JS
node try.mjs | tee seen
diff seen - <<'WANT'
by default: 50 pages and no end
with stopOnSameToken: 2 pages
WANT
