#!/bin/sh
# A stack whose database is kept or copied whenever CloudFormation replaces it becomes an app
# of the CDK in which a replacement deletes the database.
#
# Package:   cdk-from-cfn 0.336.0 (npm), by which "cdk migrate" writes its code, with
#            aws-cdk-lib 2.276.0, constructs 10.8.1 and typescript 5.9.3
# Expected:  an attribute of a resource arrives in the new template, or is refused.
# Behaviour: DeletionPolicy arrives, which is what one looks for. UpdateReplacePolicy
#            and CreationPolicy do not, and neither the tool nor the synthesis says so.
#            The default of UpdateReplacePolicy is Delete; DeletionPolicy counts for a
#            resource that leaves the stack only. The first change of a property that needs a
#            replacement, as a database's name, then takes the data with it. And an
#            update never waits for the signals that CreationPolicy asked for. By
#            hand, cfnOptions.updateReplacePolicy sets it, as applyRemovalPolicy does for both.
# Source:    what transmute() of that version writes; https://github.com/aws/aws-cdk/issues/29635,
#            which is closed;
#            https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-attribute-updatereplacepolicy.html
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund cdk-from-cfn@0.336.0 aws-cdk-lib@2.276.0 constructs@10.8.1 typescript@5.9.3
cat > template.json <<'JSON'
{"Resources": {
  "Database": {"Type": "AWS::RDS::DBInstance", "DeletionPolicy": "Retain", "UpdateReplacePolicy": "Snapshot", "Properties": {"Engine": "postgres"}},
  "Group": {"Type": "AWS::AutoScaling::AutoScalingGroup", "CreationPolicy": {"ResourceSignal": {"Count": 1}},
   "UpdatePolicy": {"AutoScalingRollingUpdate": {"WaitOnResourceSignals": true}}, "Properties": {"MinSize": "1", "MaxSize": "2"}}}}
JSON
cat > try.mjs <<'JS'
import fs from "node:fs";
import ts from "typescript";
import * as cdk from "aws-cdk-lib";
import { transmute } from "cdk-from-cfn";
const old = fs.readFileSync("template.json", "utf8");
const code = transmute(old, "typescript", "Shop", "stack");
fs.writeFileSync("shop.mjs", ts.transpileModule(code, { compilerOptions: { module: "ESNext", target: "ES2022" } }).outputText);
const { Shop } = await import("./shop.mjs");
const app = new cdk.App();
new Shop(app, "shop", {});
const made = app.synth().getStackByName("shop").template;
for (const [name, resource] of Object.entries(JSON.parse(old).Resources)) {
  for (const attribute of Object.keys(resource)) {
    console.log(name, attribute, attribute in made.Resources[name] ? "is kept" : "is gone");
  }
}
JS
node try.mjs 2> problems | tee seen
[ -s seen ] || cat problems
diff seen - <<'WANT'
Database Type is kept
Database DeletionPolicy is kept
Database UpdateReplacePolicy is gone
Database Properties is kept
Group Type is kept
Group CreationPolicy is gone
Group UpdatePolicy is kept
Group Properties is kept
WANT
# Seen: the eight lines above
