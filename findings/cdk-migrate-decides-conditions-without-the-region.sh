#!/bin/sh
# The app that "cdk migrate" writes for a stack that runs leaves out the stack's database, and
# its first deploy removes it.
#
# Package:   cdk-from-cfn 0.336.0 (npm), by which "cdk migrate" writes its code, with
#            aws-cdk-lib 2.276.0, constructs 10.8.1 and typescript 5.9.3
# Expected:  the app's template says what the old one said, with its conditions, or the tool
#            refuses it.
# Behaviour: a condition becomes a comparison in TypeScript, that is made when the app is
#            synthesized, and a resource under it an expression that makes it or not. The
#            app that is written does not set an environment, so that the region is a
#            token then, and no token equals "eu-west-1": what there is only in one
#            region is there in none. And parameters have become properties of the stack,
#            with the defaults of the template, not with the values that the stack was
#            deployed with: production, by a parameter, becomes the default's
#            development. Neither says anything; in the new template there is no condition
#            left that one could see. "cdk diff" before the first deploy, which shows the
#            deletions, is all there is.
# Source:    what transmute() of that version writes; tokens:
#            https://docs.aws.amazon.com/cdk/v2/guide/tokens.html
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund cdk-from-cfn@0.336.0 aws-cdk-lib@2.276.0 constructs@10.8.1 typescript@5.9.3
cat > template.json <<'JSON'
{"Parameters": {"Stage": {"Type": "String", "Default": "development"}},
 "Conditions": {
  "InIreland": {"Fn::Equals": [{"Ref": "AWS::Region"}, "eu-west-1"]},
  "InProduction": {"Fn::Equals": [{"Ref": "Stage"}, "production"]}},
 "Resources": {
  "Always": {"Type": "AWS::SQS::Queue"},
  "OnlyInIreland": {"Type": "AWS::RDS::DBInstance", "Condition": "InIreland", "Properties": {"Engine": "postgres"}},
  "OnlyInProduction": {"Type": "AWS::RDS::DBInstance", "Condition": "InProduction", "Properties": {"Engine": "postgres"}}}}
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
new Shop(app, "placed", { env: { account: "123456789012", region: "eu-west-1" } });
const assembly = app.synth();
const names = (template) => Object.keys(template.Resources).filter((name) => name !== "CDKMetadata").join(" ");
console.log("the template:", names(JSON.parse(old)));
console.log("the app as it is written:", names(assembly.getStackByName("shop").template));
console.log("the app with a region:", names(assembly.getStackByName("placed").template));
JS
node try.mjs 2> problems | tee seen
[ -s seen ] || cat problems
diff seen - <<'WANT'
the template: Always OnlyInIreland OnlyInProduction
the app as it is written: Always
the app with a region: Always OnlyInIreland
WANT
# Seen: the three lines above
