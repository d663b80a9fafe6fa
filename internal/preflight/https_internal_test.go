package preflight

import (
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/acm"

	"github.com/bookctl/bookctl/internal/provision"
)

// TestACertificateIsForItsDomain has certificates of all kinds of names: only one that a client
// accepts for the domain may be used for it.
func TestACertificateIsForItsDomain(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		certificate, domain string
		want                string // the names in the error; "" for none
	}{
		{`"DomainName":"api.example.com","SubjectAlternativeNames":["api.example.com"]`, "api.example.com", ""},
		{`"DomainName":"api.example.com","SubjectAlternativeNames":["api.example.com"]`, "", ""},
		{`"DomainName":"api.example.com"`, "api.example.com", ""},
		{`"DomainName":"API.Example.com","SubjectAlternativeNames":["API.Example.com"]`, "api.example.com", ""},
		{`"DomainName":"example.com","SubjectAlternativeNames":["example.com","api.example.com"]`, "api.example.com", ""},
		{`"DomainName":"*.Example.com","SubjectAlternativeNames":["*.Example.com"]`, "api.example.com", ""},
		{`"DomainName":"*.example.com","SubjectAlternativeNames":["*.example.com"]`, "example.com", "*.example.com"},
		{`"DomainName":"*.example.com","SubjectAlternativeNames":["*.example.com"]`, "v1.api.example.com", "*.example.com"},
		{`"DomainName":"*.com","SubjectAlternativeNames":["*.com"]`, "api.example.com", "*.com"},
		{`"DomainName":"example.com","SubjectAlternativeNames":["example.com"]`, "api.example.com", "example.com"},
		{`"DomainName":"www.example.com","SubjectAlternativeNames":["www.example.com","*.example.org"]`, "api.example.com", "www.example.com, *.example.org"},
	} {
		client := acm.NewFromConfig(answering(func(*http.Request, string) (int, string) {
			return http.StatusOK, `{"Certificate":{"Status":"ISSUED",` + c.certificate + `}}`
		}).config())
		in := Intent{Settings: provision.Settings{Domain: c.domain, Certificate: "arn:c"}, Deployed: provision.Deployed{Settings: provision.Settings{}}}
		if c.domain != "" { // which is deployed, so that no zone is looked for
			in.Deployed.Domain = c.domain
		}
		err := checkHTTPS(t.Context(), provision.Clients{ACM: client}, in)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), "certificate arn:c is for "+c.want+", and not for "+c.domain) {
			t.Errorf("%s for %q: %v", c.certificate, c.domain, err)
		}
	}
}
