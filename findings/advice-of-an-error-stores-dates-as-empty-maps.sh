#!/bin/sh
# An item with a Date is refused by the SDK for DynamoDB, whose error names an option. With the option
# it is stored, without the date.
#
# Package:   @aws-sdk/util-dynamodb 3.996.9, the marshaller of @aws-sdk/lib-dynamodb, with
#            decimal.js 10.6.0 (npm)
# Expected:  "Pass options.convertClassInstanceToMap=true" leads to something from which the value can be
#            had again, as JSON.stringify makes text of a Date; or the error does not say it for
#            a type for which it can't.
# Behaviour: the option takes the properties that for … in finds. A Date has none, nor has what keeps
#            its data in private fields, with a toJSON or without: each is stored as {}.
#            A number of decimal.js becomes what it is made of inside, and is no number in the
#            table. There is neither an error nor a warning, for this and all other items of the client,
#            and the value is gone. It's seen when somebody reads it. Convert dates
#            before; no option of the marshaller does.
# Source:    convertToAttr and convertToMapAttrFromEnumerableProps in dist-es/convertToAttr.js of that version
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-save --no-audit --no-fund --ignore-scripts @aws-sdk/util-dynamodb@3.996.9 decimal.js@10.6.0
cat > try.mjs <<'JS'
import { marshall, unmarshall } from '@aws-sdk/util-dynamodb'
import { Decimal } from 'decimal.js'

class Money {
  #cents
  constructor (cents) { this.#cents = cents }
  toJSON () { return this.#cents / 100 }
}
const item = { paidAt: new Date('2026-12-01T10:00:00Z'), fee: new Money(150) }
console.log('JSON:', JSON.stringify(item))
try {
  marshall(item)
} catch (error) {
  console.log(/Pass options\.\w+=true/.exec(error.message)[0])
}
const stored = marshall({ ...item, price: new Decimal('19.99') }, { convertClassInstanceToMap: true })
console.log('stored:', JSON.stringify(stored.paidAt), JSON.stringify(stored.fee))
const { price, ...read } = unmarshall(stored)
console.log('read:', JSON.stringify(read), `price: ${typeof price} of ${Object.keys(price).sort()}`)
JS
node try.mjs | tee seen
diff seen - <<'WANT'
JSON: {"paidAt":"2026-12-01T10:00:00.000Z","fee":1.5}
Pass options.convertClassInstanceToMap=true
stored: {"M":{}} {"M":{}}
read: {"paidAt":{},"fee":{}} price: object of d,e,s,toStringTag
WANT
# Seen: the four lines above
