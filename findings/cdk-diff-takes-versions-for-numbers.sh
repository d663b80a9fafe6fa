#!/bin/sh
# "cdk diff" shows no difference between PostgreSQL 17.1 and 17.10, and the deploy that
# follows upgrades the database.
#
# Package:   aws-cdk 2.1148.1 (npm), which has @aws-cdk/cloudformation-diff in it
# Expected:  two different strings in a template are a difference.
# Behaviour: two values of which one is a string are equal if both are the same number as
#            JavaScript reads them, since CloudFormation takes 20 and "20" for the same. It
#            does so too where both are strings: 17.1 is 17.10, the phone number or account
#            012345678901 is 12345678901, and of ids with more than 16 digits the last ones
#            do not count. With --fail the exit code is 0, so a pipeline that asks for
#            an approval when something changes asks for none. What is deployed is the
#            new template, which differs. 17.9 beside 17.1 is shown, so that nobody
#            suspects the tool.
# Source:    deepEqual in lib/diff/util.js of @aws-cdk/cloudformation-diff; versions such as
#            1.2.3 were told apart after https://github.com/aws/aws-cdk/issues/13016
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund aws-cdk@2.1148.1
export HOME="$dir" AWS_EC2_METADATA_DISABLED=true CDK_DISABLE_CLI_TELEMETRY=true CI=true
unset AWS_PROFILE
mkdir new
cat > new/manifest.json <<'JSON'
{"version": "36.0.0", "artifacts": {"Shop": {"type": "aws:cloudformation:stack",
 "environment": "aws://unknown-account/unknown-region", "properties": {"templateFile": "Shop.json"}}}}
JSON
template() {
	printf '{"Resources": {"Database": {"Type": "AWS::RDS::DBInstance", "Properties": {"Engine": "postgres", "EngineVersion": "%s"}}}}' "$1"
}
template 17.1 > deployed.json
for version in 17.10 17.9; do
	template $version > new/Shop.json
	code=0
	node_modules/.bin/cdk diff --no-notices --app new --template deployed.json --fail Shop > out 2>&1 || code=$?
	echo "17.1 -> $version: exit code $code, $(sed -n 's/.*Number of stacks/number of stacks/p' out)"
done | tee seen
diff seen - <<'WANT'
17.1 -> 17.10: exit code 0, number of stacks with differences: 0
17.1 -> 17.9: exit code 1, number of stacks with differences: 1
WANT
# Seen: the two lines above
