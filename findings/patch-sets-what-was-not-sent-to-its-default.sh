#!/bin/sh
# A service validates a PATCH by the schema of a POST with all fields optional. Who changes the title of a
# published article makes it a draft without tags.
#
# Package:   zod 4.6.7 beside its own zod/v3, arktype 2.2.10, fastify 5.12.8 with
#            @sinclair/typebox 0.34.52, and valibot 1.5.0 (npm)
# Expected:  partial() makes a field that may be missing, and one that's missing stays away, as
#            in zod 3, so that "update … set" of what was parsed changes what was sent.
# Behaviour: a default is for what is missing, and three of the four fill it in, though
#            partial() has said that the field may be. zod did not until version 4. Each
#            PATCH then writes the defaults over what the database has. The types say
#            "string or undefined" as before, and a test that sends all fields,
#            or looks only at the one that it has sent, is right. Defaults belong to the schema of the POST
#            alone: the other one needs fields without them.
# Source:    https://zod.dev/v4/changelog ("Defaults applied within optional fields");
#            https://github.com/colinhacks/zod/issues/5315
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-save --no-audit --no-fund --ignore-scripts zod@4.6.7 arktype@2.2.10 fastify@5.12.8 @sinclair/typebox@0.34.52 valibot@1.5.0
cat > try.mjs <<'JS'
import { Type } from '@sinclair/typebox'
import { type } from 'arktype'
import Fastify from 'fastify'
import * as v from 'valibot'
import * as z from 'zod'
import * as z3 from 'zod/v3'

const app = Fastify()
app.patch('/', { schema: { body: Type.Partial(Type.Object({ title: Type.String(), status: Type.String({ default: 'draft' }) })) } }, request => request.body)
const sent = { title: 'new' }
const show = (name, got) => console.log(`${name}: ${JSON.stringify(got)}`)
show('zod 3', z3.object({ title: z3.string(), status: z3.string().default('draft') }).partial().parse(sent))
show('zod 4', z.object({ title: z.string(), status: z.string().default('draft') }).partial().parse(sent))
show('arktype', type({ title: 'string', status: "string = 'draft'" }).partial()(sent))
show('fastify with typebox', (await app.inject({ method: 'PATCH', url: '/', payload: sent })).json())
show('valibot', v.parse(v.partial(v.object({ title: v.string(), status: v.optional(v.string(), 'draft') })), sent))
JS
node try.mjs | tee seen
diff seen - <<'WANT'
zod 3: {"title":"new"}
zod 4: {"title":"new","status":"draft"}
arktype: {"title":"new","status":"draft"}
fastify with typebox: {"title":"new","status":"draft"}
valibot: {"title":"new"}
WANT
# Seen: the five lines above
