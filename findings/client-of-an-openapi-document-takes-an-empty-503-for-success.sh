#!/bin/sh
# A service refuses a request with 503, and the client that is made from its OpenAPI document
# says that there was no error; by its types the data is there.
#
# Package:   openapi-fetch 0.17.0 with openapi-react-query 0.5.4, @tanstack/react-query 5.108.4,
#            react 19.2.0 and typescript 5.9.3 (npm)
# Expected:  "const { data, error } = await client.GET(...)" has an error where the status is
#            none of 2xx: to test "if (error)" is what its documentation shows.
# Behaviour: an answer with "Content-Length: 0" gives neither data nor an error. A Go service that
#            says no more than w.WriteHeader(503) answers so, as does a load balancer's rule
#            with a fixed response without text. In chunks, as through a proxy that
#            streams, the error is "", which is as false. To the compiler, no error means
#            data: it doesn't warn of "data.title". openapi-react-query tests in the same
#            way: with a length of 0 the query succeeds with null, and is not tried again.
#            What's needed is a middleware that throws unless response.ok.
# Source:    coreFetch in src/index.js of openapi-fetch, queryFn in src/index.ts of the other;
#            https://github.com/openapi-ts/openapi-typescript/issues/2530 and /issues/2463
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund --ignore-scripts openapi-fetch@0.17.0 openapi-react-query@0.5.4 @tanstack/react-query@5.108.4 react@19.2.0 typescript@5.9.3
cat > typed.ts <<'TS'
import createClient from 'openapi-fetch'
import type { paths } from './api'
export async function title (id: string): Promise<string> {
  const client = createClient<paths>()
  const { data, error } = await client.GET('/books/{id}', { params: { path: { id } } })
  if (error) throw new Error(error.detail)
  return data.title
}
TS
cat > api.d.ts <<'TS'
type JSON<Status extends number, T> = { [status in Status]: { headers: {}, content: { 'application/json': T } } }
export interface paths {
  '/books/{id}': { get: { parameters: { path: { id: string } }, responses: JSON<200, { title: string }> & JSON<503, { detail: string }> } }
}
TS
cat > try.mjs <<'JS'
import { createServer } from 'node:http'
import createClient from 'openapi-fetch'
import createQueries from 'openapi-react-query'
import { QueryClient } from '@tanstack/react-query'

const answers = {
  '/books/text': answer => answer.writeHead(503, { 'content-type': 'application/json' }).end('{"detail":"overloaded"}'),
  '/books/none': answer => answer.writeHead(503, { 'content-length': 0 }).end(),
  '/books/chunks': answer => answer.writeHead(503, { 'transfer-encoding': 'chunked' }).end()
}
const server = createServer((request, answer) => answers[request.url](answer))
await new Promise(resolve => server.listen(0, '127.0.0.1', resolve))
const client = createClient({ baseUrl: `http://127.0.0.1:${server.address().port}` })
for (const id of ['text', 'none', 'chunks']) {
  const request = { params: { path: { id } } }
  const { data, error, response } = await client.GET('/books/{id}', request)
  const query = await new QueryClient().fetchQuery(createQueries(client).queryOptions('get', '/books/{id}', request)).then(
    data => `succeeds with ${JSON.stringify(data)}`, () => 'fails')
  console.log(`${id}: ${response.status}, ${error ? 'an error' : 'no error'}, ${data ? 'data' : 'no data'}; the query ${query}`)
}
server.closeAllConnections()
server.close()
JS
{
  node try.mjs 2>/dev/null
  node_modules/.bin/tsc --noEmit --strict --skipLibCheck --module nodenext --target esnext typed.ts && echo "the types: data is there if there's no error"
} | tee seen
diff seen - <<'WANT'
text: 503, an error, no data; the query fails
none: 503, no error, no data; the query succeeds with null
chunks: 503, no error, no data; the query fails
the types: data is there if there's no error
WANT
# Seen: the four lines above
