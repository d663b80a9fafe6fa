#!/bin/sh
# A durable function of Lambda charges a list of customers. One card is declined; the execution
# succeeds, and two customers who have been charged are in no result.
#
# Package:   @aws/durable-execution-sdk-js 2.4.0 with @aws/durable-execution-sdk-js-testing 1.1.4 (npm)
# Expected:  context.map is like Promise.all, and rejects, or like Promise.allSettled, and waits for
#            all.
# Behaviour: it's neither. The first failure ends the map, as its default tolerates none, and it
#            resolves, with a status of FAILED inside. Items that run at that moment stay STARTED
#            in it, without a result, while their steps go on: the charge is
#            made, and what follows the map does not know. Items that have not begun are not in
#            the result at all. The execution is SUCCEEDED, so that no alarm on failed ones is raised.
#            It needs results.throwIfError(), and before that a completionConfig that
#            tolerates all failures, so that each item has an end.
# Source:    createMapHandler and what it calls in dist/index.mjs of that version; "Batch
#            Operations" of its README
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-save --no-audit --no-fund --ignore-scripts @aws/durable-execution-sdk-js@2.4.0 @aws/durable-execution-sdk-js-testing@1.1.4
cat > try.mjs <<'JS'
import { setTimeout } from 'node:timers/promises'
import { withDurableExecution } from '@aws/durable-execution-sdk-js'
import { LocalDurableTestRunner } from '@aws/durable-execution-sdk-js-testing'

const once = { retryStrategy: () => ({ shouldRetry: false }) }
await LocalDurableTestRunner.setupTestEnvironment({ skipTime: true })
for (const [name, completionConfig] of [['by default', undefined], ['with all failures tolerated', { toleratedFailurePercentage: 100 }]]) {
  const charged = []
  const handlerFunction = withDurableExecution(async (_, context) => {
    const results = await context.map('charge', ['ann', 'bob', 'cid', 'dan'], (child, customer) => child.step('charge', async () => {
      if (customer === 'bob') throw new Error('declined')
      await setTimeout(50)
      charged.push(customer)
      return customer
    }, once), { maxConcurrency: 3, completionConfig })
    return { items: results.all.map(item => item.status).join(' '), charged: results.succeeded().map(item => item.result) }
  })
  const execution = await new LocalDurableTestRunner({ handlerFunction }).run({ payload: {} })
  await setTimeout(200)
  const { items, charged: known } = execution.getResult()
  console.log(`${name}: ${execution.getStatus()}, items ${items}, charged by the result: ${known.join(' ')}; in truth: ${charged.join(' ')}`)
}
await LocalDurableTestRunner.teardownTestEnvironment()
JS
node try.mjs | tee seen
diff seen - <<'WANT'
by default: SUCCEEDED, items STARTED FAILED STARTED, charged by the result: ; in truth: ann cid
with all failures tolerated: SUCCEEDED, items SUCCEEDED FAILED SUCCEEDED SUCCEEDED, charged by the result: ann cid dan; in truth: ann cid dan
WANT
# Seen: the two lines above
