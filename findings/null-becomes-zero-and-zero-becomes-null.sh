#!/bin/sh
# A service takes "price: null or a number" by its schema, and stores 0 for each null; with the
# two in the other order it stores null for each 0.
#
# Package:   fastify 5.12.8 with @sinclair/typebox 0.34.52 (npm)
# Expected:  what is valid by the schema arrives as it was sent. Text is made a number where a
#            number is asked for, as in a query.
# Behaviour: fastify's validator (ajv) converts before it has looked at all of anyOf, which a
#            union of TypeBox, and of other generators, becomes. The first form that the
#            value can be converted to wins, for JSON bodies as for queries: null is 0,
#            "" or false, and 0, "" and false are null. So a PATCH with null, which clears a
#            field, makes it free of charge, and "" clears a name. No order of the two
#            is right. { type: ['number', 'null'] } is, since there all types are looked at
#            before anything is converted; or coerceTypes: false for bodies.
# Source:    "coerceTypes: 'array'" in https://fastify.dev/docs/latest/Reference/Validation-and-Serialization/;
#            https://ajv.js.org/coercion.html (null to number, number to null)
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-save --no-audit --no-fund --ignore-scripts fastify@5.12.8 @sinclair/typebox@0.34.52
cat > try.mjs <<'JS'
import { Type } from '@sinclair/typebox'
import Fastify from 'fastify'

for (const [name, price] of Object.entries({
  'a number or null': Type.Union([Type.Number(), Type.Null()]),
  'null or a number': Type.Union([Type.Null(), Type.Number()]),
  'two types': { type: ['number', 'null'] }
})) {
  const app = Fastify()
  app.patch('/', { schema: { body: Type.Object({ price }) } }, request => request.body)
  const echo = async sent => (await app.inject({ method: 'PATCH', url: '/', payload: { price: sent } })).json().price
  console.log(`${name}: null arrives as ${await echo(null)}, 0 as ${await echo(0)}, 5 as ${await echo(5)}`)
}
JS
node try.mjs | tee seen
diff seen - <<'WANT'
a number or null: null arrives as 0, 0 as 0, 5 as 5
null or a number: null arrives as null, 0 as null, 5 as 5
two types: null arrives as null, 0 as 0, 5 as 5
WANT
# Seen: the three lines above
