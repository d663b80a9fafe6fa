#!/bin/sh
# A download is cut off while its file is replaced, as by a deployment. It ends without an error, with
# the first part of the old file and the rest of the new one.
#
# Package:   undici 7.30.2 (interceptors.retry) from express.static of express 5.3.0 (npm)
# Expected:  a retry asks for the whole once more, or for the rest on the condition that the
#            file is still the same (If-Range).
# Behaviour: it asks for the rest. Its condition is a strong ETag; without one, it has none:
#            Last-Modified is neither remembered nor compared. The ETags of
#            express.static are always weak, and Go's http.FileServer has none, so that
#            both send the rest of what is there by then. Only the length is compared, which
#            is the same for what has records of a fixed size. Nothing turns this
#            off but to turn off retries; a server helps with an ETag of the content.
# Source:    onResponseStart and retry in lib/handler/retry-handler.js of that version;
#            https://www.rfc-editor.org/rfc/rfc9110#section-13.1.5 (If-Range)
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --ignore-scripts undici@7.30.2 express@5.3.0
cat > try.mjs <<'JS'
import { mkdirSync, renameSync, writeFileSync } from 'node:fs'
import express from 'express'
import { Agent, interceptors, request } from 'undici'

const size = 4 << 20
mkdirSync('public')
const release = letter => {
  writeFileSync('next', letter.repeat(size))
  renameSync('next', 'public/prices')
}

// download is what a client gets that is cut off in the middle, at which the file is replaced.
async function download (headers) {
  release('a')
  let requests = 0
  const app = express()
  app.use((_, answer, next) => {
    if (++requests > 1) return next()
    const write = answer.write
    let sent = 0
    answer.write = function (chunk, ...rest) {
      if (sent > size / 2) return false
      sent += chunk.length
      const more = write.call(this, chunk, ...rest)
      if (sent > size / 2) setTimeout(() => { release('b'); answer.destroy() }, 200)
      return more
    }
    next()
  })
  app.use(express.static('public', { setHeaders: headers }))
  const server = app.listen(0, '127.0.0.1')
  await new Promise(resolve => server.once('listening', resolve))
  const dispatcher = new Agent().compose(interceptors.retry({ minTimeout: 10 }))
  let said
  try {
    const answer = await request(`http://127.0.0.1:${server.address().port}/prices`, { dispatcher })
    const text = await answer.body.text()
    said = `${answer.statusCode}, ${text.length === size ? 'whole' : 'not whole'}, of ${[...new Set(text)].join(' and ')}`
  } catch (error) {
    said = error.code
  }
  await dispatcher.close()
  server.close()
  return `${said}, after ${requests} requests`
}

console.log('weak ETag:  ', await download())
console.log('strong ETag:', await download((answer, path, stat) => answer.setHeader('etag', `"${stat.mtimeMs}"`)))
JS
NODE_ENV=test node try.mjs | tee seen
diff seen - <<'WANT'
weak ETag:   200, whole, of a and b, after 2 requests
strong ETag: UND_ERR_REQ_RETRY, after 2 requests
WANT
# Seen: the two lines above
