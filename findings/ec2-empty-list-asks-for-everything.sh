#!/usr/bin/env bash
# @aws-sdk/client-ec2 3.1169.0 and @aws-sdk/client-elastic-load-balancing-v2 3.1142.0 (npm)
#
# An empty list of ids is not "none of them". EC2's client leaves an empty list out
# of the request, which then is the request for everything in the region; the
# client of Elastic Load Balancing sends the parameter without a value. "Describe
# what is left to delete, and delete what was described" turns on somebody else's
# things in the one case in which nothing is left, and only for EC2 does the request
# not show it.
#
# Source: https://smithy.io/2.0/aws/protocols/aws-ec2-query-protocol.html (lists) and
# https://smithy.io/2.0/aws/protocols/aws-query-protocol.html (an empty list is
# written as a key with an empty value)
# Seen: DescribeVpcs with no ids: Action=DescribeVpcs&Version=2016-11-15
#       DescribeLoadBalancers with no ARNs: Action=DescribeLoadBalancers&LoadBalancerArns=&Version=2015-12-01
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund @aws-sdk/client-ec2@3.1169.0 @aws-sdk/client-elastic-load-balancing-v2@3.1142.0
cat >try.mjs <<'JS'
import http from "node:http";
import { EC2Client, DescribeVpcsCommand } from "@aws-sdk/client-ec2";
import { ElasticLoadBalancingV2Client, DescribeLoadBalancersCommand } from "@aws-sdk/client-elastic-load-balancing-v2";
let sent;
const server = http.createServer((request, response) => {
  let body = "";
  request.on("data", (part) => (body += part));
  request.on("end", () => {
    sent = body.split("&").filter((pair) => pair !== "").sort().join("&");
    response.setHeader("content-type", "text/xml");
    response.end("<Response><DescribeLoadBalancersResult/></Response>");
  });
});
await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
const options = {
  endpoint: `http://127.0.0.1:${server.address().port}`, region: "us-east-1",
  credentials: { accessKeyId: "a", secretAccessKey: "b" },
};
const ec2 = new EC2Client(options), elb = new ElasticLoadBalancingV2Client(options);
await ec2.send(new DescribeVpcsCommand({ VpcIds: [] }));
console.log(`DescribeVpcs with no ids: ${sent}`);
await elb.send(new DescribeLoadBalancersCommand({ LoadBalancerArns: [] }));
console.log(`DescribeLoadBalancers with no ARNs: ${sent}`);
server.close();
ec2.destroy();
elb.destroy();
JS
node try.mjs | tee seen
diff seen - <<'WANT'
DescribeVpcs with no ids: Action=DescribeVpcs&Version=2016-11-15
DescribeLoadBalancers with no ARNs: Action=DescribeLoadBalancers&LoadBalancerArns=&Version=2015-12-01
WANT
