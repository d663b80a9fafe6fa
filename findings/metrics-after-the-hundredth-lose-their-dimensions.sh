#!/bin/sh
# A function measures each record of a batch for the tenant whose batch it is. From the hundred and
# first record on the measurements belong to no tenant.
#
# Package:   @aws-lambda-powertools/metrics 2.36.0 (npm)
# Expected:  dimensions and metadata that were added count until publishStoredMetrics.
# Behaviour: CloudWatch takes a hundred values of a metric in one line of the log, so that with the hundredth
#            the library writes the line by itself, and by the same function with which one
#            ends an invocation: dimensions and metadata are forgotten. What follows is counted
#            under "service" alone. An alarm on the tenant's dimension misses it, and it makes a metric
#            that nobody has asked for, and that is paid for. Batches of a test are smaller;
#            a hundred names of metrics in one invocation do the same. setDefaultDimensions
#            are kept, and so is what a metric of its own has (singleMetric).
# Source:    storeMetric and publishStoredMetrics in lib/esm/Metrics.js of that version;
#            https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-save --no-audit --no-fund --ignore-scripts @aws-lambda-powertools/metrics@2.36.0
cat > try.mjs <<'JS'
import { Metrics } from '@aws-lambda-powertools/metrics'

for (const [name, add] of [['addDimension', m => m.addDimension('tenant', 'acme')], ['setDefaultDimensions', m => m.setDefaultDimensions({ tenant: 'acme' })]]) {
  const lines = []
  const metrics = new Metrics({ namespace: 'shop', serviceName: 'orders', logger: { debug () {}, info () {}, warn () {}, error () {} } })
  metrics.console = { log: line => lines.push(JSON.parse(line)) }
  add(metrics)
  metrics.addMetadata('batch', 'b-1')
  for (let i = 0; i < 150; i++) metrics.addMetric('taken', 'Milliseconds', i)
  metrics.publishStoredMetrics()
  for (const line of lines) {
    console.log(`${name}: ${line.taken.length} values under ${line._aws.CloudWatchMetrics[0].Dimensions[0].join(' and ')}, batch ${line.batch}`)
  }
}
JS
POWERTOOLS_DEV=false node try.mjs | tee seen
diff seen - <<'WANT'
addDimension: 100 values under service and tenant, batch b-1
addDimension: 50 values under service, batch undefined
setDefaultDimensions: 100 values under service and tenant, batch b-1
setDefaultDimensions: 50 values under service and tenant, batch undefined
WANT
# Seen: the four lines above
