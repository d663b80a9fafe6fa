package provision

import "testing"

func TestPoliciesAreComparedByWhatTheyMean(t *testing.T) {
	t.Parallel()
	const have = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["b:B","a:A"],"Resource":["*"],"Condition":{"StringEquals":{"aws:SourceAccount":["1"]}}}]}`
	for name, tc := range map[string]struct {
		document string
		same     bool
	}{
		"as it was given":      {have, true},
		"with elements":        {`{"Version":"2012-10-17","Statement":{"Sid":"","Effect":"Allow","Action":["b:B","a:A"],"Resource":"*","Condition":{"StringEquals":{"aws:SourceAccount":"1"}}}}`, true},
		"in another order":     {`{"Statement":[{"Condition":{"StringEquals":{"aws:SourceAccount":["1"]}},"Resource":["*"],"Action":["a:A","b:B"],"Effect":"Allow"}],"Version":"2012-10-17"}`, true},
		"with another action":  {`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["b:B","a:C"],"Resource":["*"],"Condition":{"StringEquals":{"aws:SourceAccount":["1"]}}}]}`, false},
		"with one action less": {`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"b:B","Resource":["*"],"Condition":{"StringEquals":{"aws:SourceAccount":["1"]}}}]}`, false},
		"without a condition":  {`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["b:B","a:A"],"Resource":["*"]}]}`, false},
		"with one more":        {`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["b:B","a:A"],"Resource":["*"],"Condition":{"StringEquals":{"aws:SourceAccount":["1"]}}},{"Effect":"Allow","Action":"*","Resource":"*"}]}`, false},
		"none":                 {"", false},
	} {
		if samePolicy(have, tc.document) != tc.same || samePolicy(tc.document, have) != tc.same {
			t.Errorf("%s: the same: %t", name, !tc.same)
		}
	}
}
