package cli_test

import (
	"slices"
	"testing"
)

// requested requests a certificate by hand, proves its names in the zone, and returns its ARN.
func (s *shell) requested(t *testing.T, zone, name string) string {
	t.Helper()
	var made struct{ CertificateArn string }
	decode(t, s.aws("acm", "request-certificate", "--domain-name", name, "--validation-method", "DNS"), &made)
	s.proveDomain(t, zone, made.CertificateArn)
	return made.CertificateArn
}

// listeners are the stack's listeners, one line each.
func (s *shell) listeners(t *testing.T) (out []string) {
	t.Helper()
	var balancers []string
	decode(t, s.aws("elbv2", "describe-load-balancers", "--query", "LoadBalancers[].LoadBalancerArn"), &balancers)
	for _, arn := range balancers {
		var some []string
		decode(t, s.aws("elbv2", "describe-listeners", "--load-balancer-arn", arn, "--query", "Listeners[].join(' ', [ListenerArn, Protocol, to_string(Port), to_string(Certificates), to_string(DefaultActions)])"), &some)
		out = append(out, some...)
	}
	slices.Sort(out)
	return out
}

// made are the resources of the stack, as the tagging API lists them.
func (s *shell) made(t *testing.T) (arns []string) {
	t.Helper()
	decode(t, s.aws("resourcegroupstaggingapi", "get-resources", "--query", "ResourceTagMappingList[?Tags[?Key=='bookctl:stack']].ResourceARN"), &arns)
	return arns
}

// TestADomainAndACertificateFitEachOther gives a stack a certificate of the user's own first, and
// a domain later. A certificate of another name is refused before anything is written: browsers
// would be sent to HTTPS, and keep that, where they refuse the certificate.
func TestADomainAndACertificateFitEachOther(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("slow")
	}
	needAWS(t)
	s := newShell(t)
	s.must("local", "start")
	zone := s.hostedZone(t, "example.org")
	books, others := s.requested(t, zone, "books.example.org"), s.requested(t, zone, "*.other.example.org")
	up := func(args ...string) result {
		t.Helper()
		return s.run(append(append([]string{"up", "--local", "--no-database"}, args...), imageless()...)...)
	}

	up("--domain", "api.example.org", "--certificate", books).says(t, 1, books+" is for books.example.org, and not for api.example.org")
	up("--domain", "a.b.other.example.org", "--certificate", others).says(t, 1, others+" is for *.other.example.org, and not for a.b.other.example.org")
	if made := s.made(t); len(made) > 0 {
		t.Errorf("something was made all the same: %v", made)
	}

	up("--certificate", books).says(t, 0)
	before, proofs := s.listeners(t), s.records(t, zone)
	s.run("up", "--local", "--domain", "api.example.org").says(t, 1, books+" is for books.example.org, and not for api.example.org")
	s.run("up", "--local", "--certificate", "").says(t, 1, "this stack serves HTTPS with certificate "+books)
	s.run("up", "--local", "--domain", "books.example.org", "--wait=false").says(t, 0, "1 created")
	if after := s.listeners(t); !slices.Equal(before, after) {
		t.Errorf("the listeners were changed from\n%v\nto\n%v", before, after)
	}
	if r := s.records(t, zone); r["A"] != "books.example.org." {
		t.Errorf("the zone has %v", r)
	}
	s.run("up", "--local", "--wait=false").says(t, 0, "0 changed")
	s.run("up", "--local", "--domain", "www.example.org").says(t, 1, `this stack serves HTTPS as "books.example.org"`)
	s.run("up", "--local", "--certificate", others).says(t, 1, others+" is for *.other.example.org, and not for books.example.org")
	s.run("destroy", "--local", "--yes").says(t, 0, " 0 left")
	if r := s.records(t, zone); len(r) != len(proofs) || r["A"] != "" {
		t.Errorf("the zone had %v before the domain, and has %v after destroy", proofs, r)
	}
}
