#!/bin/sh
# A gateway asks a service once for what several users want at the same time. One of them closes
# the page, and the others get an error.
#
# Package:   undici 7.30.2 (interceptors.deduplicate, of 2026) under fastify 5.12.8 (npm)
# Expected:  a signal ends the request that it was given to; what is shared goes on as long as
#            somebody waits for it.
# Behaviour: the first of the requests is the real one, and the others hang on it. Its signal ends the
#            connection, and all reject with its error: an AbortError for who has given no
#            signal, a TimeoutError for who has all of his time left. What is
#            asked for most fails most, and the retries of undici do not take these errors
#            for ones to retry. Who passes signals on has to keep them out of the
#            shared request, and race its answer with them.
# Source:    onResponseError in lib/handler/deduplication-handler.js of that version;
#            https://github.com/nodejs/undici/issues/5711
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --ignore-scripts undici@7.30.2 fastify@5.12.8
cat > try.mjs <<'JS'
import { setTimeout as pause } from 'node:timers/promises'
import Fastify from 'fastify'
import { Agent, interceptors, request } from 'undici'

let asked = 0
const service = Fastify()
service.get('/prices', async () => { asked++; await pause(500); return 'prices' })
const prices = await service.listen() + '/prices'
const dispatcher = new Agent().compose(interceptors.retry(), interceptors.deduplicate())

const gateway = Fastify()
const answer = async signal => (await request(prices, { dispatcher, signal })).body.text()
gateway.setErrorHandler((error, _, reply) => reply.code(502).send(error.name))
gateway.get('/prices', (incoming, reply) => { // ends with the user's connection
  const left = new AbortController()
  reply.raw.once('close', () => reply.raw.writableFinished || left.abort())
  return answer(left.signal)
})
gateway.get('/patient', () => answer())
gateway.get('/deadline/:ms', incoming => answer(AbortSignal.timeout(Number(incoming.params.ms))))
const url = await gateway.listen()

const get = async (path, options) => { const got = await fetch(url + path, options); return `${got.status} ${await got.text()}` }
// second is what the second user gets, who comes 100 ms after the first.
async function second (path, first, options) {
  asked = 0
  const ended = get(first, options).catch(() => {})
  await pause(100)
  const said = await get(path)
  await ended
  await pause(600)
  return `${said} (the service was asked ${asked} times)`
}
console.log('both wait:          ', await second('/patient', '/patient'))
console.log('the first leaves:   ', await second('/patient', '/prices', { signal: AbortSignal.timeout(250) }))
console.log('its time is over:   ', await second('/deadline/5000', '/deadline/300'))
await gateway.close()
await service.close()
await dispatcher.close()
JS
node try.mjs | tee seen
diff seen - <<'WANT'
both wait:           200 prices (the service was asked 1 times)
the first leaves:    502 AbortError (the service was asked 1 times)
its time is over:    502 TimeoutError (the service was asked 1 times)
WANT
# Seen: the three lines above
