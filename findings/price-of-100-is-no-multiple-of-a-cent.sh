#!/bin/sh
# A price that must be a multiple of 0.01 is checked by three validators with one schema:
# one takes all prices, one refuses some, and one refuses 100.00.
#
# Package:   github.com/danielgtaylor/huma/v2 v2.37.2, ajv 8.20.0 (npm), and
#            github.com/santhosh-tekuri/jsonschema/v6 v6.0.2
# Expected:  a client that checks by the server's document sends what the server takes. At
#            worst the prices that a float can't hold, as 19.99, make trouble.
# Behaviour: the float 0.01 is a bit more than a hundredth. huma takes the remainder of the
#            division by it, which for 100.00 is nearly 0.01, and answers 422 to all but 15
#            of the prices up to 100.00. ajv divides and asks for a whole number: 100.00
#            passes, and one price in seven does not; its option multipleOfPrecision
#            repairs that. santhosh-tekuri reads the digits as fractions and is right. Cents as
#            integers, or a string with a pattern, are the same everywhere, and so is a step
#            that a float holds, as 0.25.
# Source:    "math.Mod(num, *s.MultipleOf)" in validate.go of that version of huma, the newest,
#            https://github.com/danielgtaylor/huma/issues/988; lib/vocabularies/validation/multipleOf.ts
#            of ajv; https://json-schema.org/draft/2020-12/json-schema-validation#section-6.2.1
set -eu
dir=$(mktemp -d)
trap 'chmod -R u+w "$dir"; rm -rf "$dir"' EXIT
cd "$dir"
npm install --silent --no-audit --no-fund ajv@8.20.0
export GOPATH="$dir/go" GOFLAGS=-mod=mod GOWORK=off
cat > go.mod <<'MOD'
module finding

go 1.26
MOD
cat > main.go <<'GO'
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

type offer struct {
	Body struct {
		Price float64 `json:"price" multipleOf:"0.01"`
	}
}

func main() {
	mux := http.NewServeMux()
	api := humago.New(mux, huma.DefaultConfig("shop", "1"))
	huma.Post(api, "/offer", func(context.Context, *offer) (*struct{}, error) { return nil, nil })
	document, err := json.Marshal(api.OpenAPI().Components.Schemas.Map()["OfferBody"])
	if err != nil {
		panic(err)
	}
	if err := os.WriteFile("schema.json", document, 0o600); err != nil {
		panic(err)
	}
	read, err := jsonschema.UnmarshalJSON(strings.NewReader(string(document)))
	if err != nil {
		panic(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource("offer.json", read); err != nil {
		panic(err)
	}
	schema := compiler.MustCompile("offer.json")
	took := map[string]int{}
	verdict := func(name string, n int, ok bool) {
		if ok {
			took[name]++
		}
		if n == 10000 || n == 1999 {
			fmt.Printf("%s takes %d.%02d: %t\n", name, n/100, n%100, ok)
		}
	}
	for n := range 10001 { // 0.00 to 100.00
		body := fmt.Sprintf(`{"price":%d.%02d}`, n/100, n%100)
		r := httptest.NewRequest("POST", "/offer", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		verdict("huma", n, w.Code == http.StatusNoContent)
		value, err := jsonschema.UnmarshalJSON(strings.NewReader(body))
		if err != nil {
			panic(err)
		}
		verdict("santhosh-tekuri", n, schema.Validate(value) == nil)
	}
	fmt.Println("of 10001 prices huma takes", took["huma"], "and santhosh-tekuri", took["santhosh-tekuri"])
}
GO
go get github.com/danielgtaylor/huma/v2@v2.37.2 github.com/santhosh-tekuri/jsonschema/v6@v6.0.2
go run . | tee seen
node -e '
const Ajv = require("ajv/dist/2020")
const valid = new Ajv({ strict: false, validateFormats: false }).compile(require("./schema.json"))
const prices = Array.from({ length: 10001 }, (_, n) => JSON.parse(`{"price":${Math.floor(n / 100)}.${String(n % 100).padStart(2, "0")}}`))
console.log(`ajv takes 19.99: ${valid(prices[1999])}, 100.00: ${valid(prices[10000])}, and ${prices.filter((p) => valid(p)).length} of them`)' | tee -a seen
diff seen - <<'WANT'
huma takes 19.99: false
santhosh-tekuri takes 19.99: true
huma takes 100.00: false
santhosh-tekuri takes 100.00: true
of 10001 prices huma takes 15 and santhosh-tekuri 10001
ajv takes 19.99: false, 100.00: true, and 8638 of them
WANT
# Seen: the six lines above
