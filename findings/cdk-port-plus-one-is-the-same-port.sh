#!/bin/sh
# A stack opens the port after the database's, or the larger of two ports, and its template opens
# the database's.
#
# Package:   aws-cdk-lib 2.276.0 with constructs 10.8.1 (npm)
# Expected:  arithmetic with a value that is known at the deploy only is refused when the
#            app is synthesized, or becomes an expression in the template.
# Behaviour: such a number is a double below -1.8e289 until then, in which the CDK finds the
#            reference again. Doubles of that size are so far apart that adding a port, or
#            a thousand, gives the same double, so "port + 1" is "port". It is less
#            than all others, so Math.max(port, 1024) is always 1024, and "port > 0", or a check
#            that a number of tasks is at least two, is always false. There is
#            neither an error nor a warning. Token.isUnresolved(n) tells them apart.
# Source:    createTokenDouble in core/lib/private/encoding.js of that version;
#            https://docs.aws.amazon.com/cdk/v2/guide/tokens.html (number-encoded tokens)
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund aws-cdk-lib@2.276.0 constructs@10.8.1
cat > try.js <<'JS'
const { App, Stack, CfnOutput, CfnParameter, Token } = require("aws-cdk-lib");
const { DatabaseInstance, DatabaseInstanceEngine } = require("aws-cdk-lib/aws-rds");
const { Vpc, CfnSecurityGroupIngress } = require("aws-cdk-lib/aws-ec2");
const app = new App({ analyticsReporting: false, outdir: "out" });
const stack = new Stack(app, "Shop");
const database = new DatabaseInstance(stack, "Database", { engine: DatabaseInstanceEngine.POSTGRES, vpc: new Vpc(stack, "Vpc") });
const port = database.instanceEndpoint.port;
const tasks = new CfnParameter(stack, "Tasks", { type: "Number", default: 4 }).valueAsNumber;
const ingress = (id, fromPort) => new CfnSecurityGroupIngress(stack, id, { ipProtocol: "tcp", cidrIp: "10.0.0.0/8", fromPort, toPort: fromPort });
ingress("Same", port);
ingress("Next", port + 1);
ingress("Larger", Math.max(port, 1024));
const { Resources } = app.synth().getStackByName("Shop").template;
for (const id of ["Same", "Next", "Larger"]) {
  const from = Resources[id].Properties.FromPort;
  console.log(id + ":", JSON.stringify(from).replace(/"Database\w+"/, '"Database"'));
}
console.log("a parameter of 4 is at least 2:", tasks >= 2);
JS
node try.js 2> log > seen || { cat log; exit 1; }
cat seen
diff seen - <<'WANT'
Same: {"Fn::GetAtt":["Database","Endpoint.Port"]}
Next: {"Fn::GetAtt":["Database","Endpoint.Port"]}
Larger: 1024
a parameter of 4 is at least 2: false
WANT
# Seen: the four lines above
