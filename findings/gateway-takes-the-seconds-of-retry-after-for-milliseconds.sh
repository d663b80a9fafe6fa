#!/bin/sh
# A service that is overloaded asks for ten seconds of rest, and for each request that it refuses
# it gets ten more within a quarter of a second.
#
# Package:   @fastify/http-proxy 11.6.3 with @fastify/reply-from 12.6.5 in front, and
#            @fastify/under-pressure 9.2.0 with fastify 5.12.8 (npm) behind
# Expected:  a proxy that nobody told to retry passes 503 on; one that looks at Retry-After
#            waits for as many seconds.
# Behaviour: every GET that is answered with 503 is sent again up to ten times. The
#            pause is the value of Retry-After, in seconds, which is given to setTimeout as
#            it is, in milliseconds: what under-pressure answers, 10, is a hundredth of a
#            second. A date, the header's other form, is one millisecond. Without the
#            header the pauses are longer: who asks for rest is asked faster. In the
#            gateway's log it's one request. A maxRetriesOn503 of 0 is read as "not given";
#            retryMethods without GET, or a retryDelay that returns null, ends it.
# Source:    getDefaultDelay and createRequestRetry in index.js of that version of reply-from;
#            https://github.com/fastify/fastify-reply-from/issues/193;
#            https://www.rfc-editor.org/rfc/rfc9110#field.retry-after
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --ignore-scripts @fastify/http-proxy@11.6.3 @fastify/reply-from@12.6.5 @fastify/under-pressure@9.2.0 fastify@5.12.8
cat > try.mjs <<'JS'
import Fastify from 'fastify'
import proxy from '@fastify/http-proxy'
import underPressure from '@fastify/under-pressure'

// asked is how often the service is asked for one GET at the gateway, and within a second
// or not, where the service's answer has that Retry-After.
async function asked (retryAfter, options = {}) {
  let requests = 0
  const service = Fastify()
  service.addHook('onRequest', async () => { requests++ })
  if (retryAfter === 'under-pressure') {
    await service.register(underPressure, { healthCheck: async () => false, healthCheckInterval: 1000 })
  } else {
    service.addHook('onRequest', async (_, reply) => reply.code(503).headers(retryAfter ? { 'retry-after': retryAfter } : {}).send())
  }
  service.get('/orders', async () => [])
  const gateway = Fastify()
  await gateway.register(proxy, { upstream: await service.listen(), ...options })
  const url = await gateway.listen()
  const start = performance.now()
  const answer = await fetch(url + '/orders')
  await answer.arrayBuffer()
  const took = performance.now() - start < 1000 ? 'less than a second' : 'longer'
  await gateway.close()
  await service.close()
  return `${answer.status} after ${requests} requests, in ${took}; Retry-After: ${answer.headers.get('retry-after')}`
}

console.log('under-pressure:', await asked('under-pressure'))
console.log('a minute:      ', await asked('60'))
console.log('nobody to wait:', await asked('60', { replyOptions: { maxRetriesOn503: 0, retriesCount: 0 } }))
console.log('without GET:   ', await asked('60', { retryMethods: ['HEAD'] }))
JS
node try.mjs | tee seen
diff seen - <<'WANT'
under-pressure: 503 after 11 requests, in less than a second; Retry-After: 10
a minute:       503 after 11 requests, in less than a second; Retry-After: 60
nobody to wait: 503 after 11 requests, in less than a second; Retry-After: 60
without GET:    503 after 1 requests, in less than a second; Retry-After: 60
WANT
# Seen: the four lines above
