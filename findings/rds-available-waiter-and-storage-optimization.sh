#!/usr/bin/env bash
# @aws-sdk/client-rds 3.1169.0 (npm)
#
# waitUntilDBInstanceAvailable does not end while an instance is in the status
# storage-optimization, in which RDS may keep it for hours after its storage grew,
# and in which, as RDS's own table of statuses says, it is operational. The waiter
# takes the word available only, so a pipeline that grows a disk and then waits
# times out on a database that serves all the time.
#
# Source: https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/accessing-monitoring.html
# and the waiter in aws/aws-sdk-js-v3,
# clients/client-rds/src/waiters/waitForDBInstanceAvailable.ts
# Seen: available: SUCCESS
#       storage-optimization: TIMEOUT
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund @aws-sdk/client-rds@3.1169.0
cat >try.mjs <<'JS'
import http from "node:http";
import { RDSClient, waitUntilDBInstanceAvailable } from "@aws-sdk/client-rds";
let status;
const server = http.createServer((request, response) => {
  request.resume().on("end", () => {
    response.setHeader("content-type", "text/xml");
    response.end(`<DescribeDBInstancesResponse xmlns="http://rds.amazonaws.com/doc/2014-10-31/"><DescribeDBInstancesResult><DBInstances><DBInstance>` +
      `<DBInstanceIdentifier>books</DBInstanceIdentifier><DBInstanceStatus>${status}</DBInstanceStatus></DBInstance></DBInstances>` +
      `</DescribeDBInstancesResult><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></DescribeDBInstancesResponse>`);
  });
});
await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
const client = new RDSClient({
  endpoint: `http://127.0.0.1:${server.address().port}`, region: "us-east-1",
  credentials: { accessKeyId: "a", secretAccessKey: "b" },
});
for (status of ["available", "storage-optimization"]) {
  let state;
  try {
    state = (await waitUntilDBInstanceAvailable({ client, minDelay: 1, maxDelay: 1, maxWaitTime: 5 }, { DBInstanceIdentifier: "books" })).state;
  } catch (error) {
    state = error.name === "TimeoutError" ? "TIMEOUT" : String(error);
  }
  console.log(`${status}: ${state}`);
}
server.close();
client.destroy();
JS
node try.mjs | tee seen
diff seen - <<'WANT'
available: SUCCESS
storage-optimization: TIMEOUT
WANT
