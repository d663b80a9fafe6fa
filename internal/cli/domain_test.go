package cli_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	dns "github.com/aws/aws-sdk-go-v2/service/route53/types"
	"github.com/google/go-cmp/cmp"
)

// TestADomainAndACertificateFitEachOther gives a stack a certificate of the user's own first, and
// a domain later. A certificate of another name is refused before anything is written: browsers
// would be sent to HTTPS, and keep that, where they refuse the certificate.
func TestADomainAndACertificateFitEachOther(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("slow")
	}
	s := newShell(t)
	s.must("local", "start")
	zone := s.hostedZone("example.org")
	books, others := s.issuedCertificate(zone, "books.example.org"), s.issuedCertificate(zone, "*.other.example.org")
	account := s.inventory()
	up := func(args ...string) result {
		t.Helper()
		return s.run(append(append([]string{"up", "--local", "--no-database"}, args...), imageless()...)...)
	}

	up("--domain", "api.example.org", "--certificate", books).says(t, 1, books+" is for books.example.org, and not for api.example.org")
	up("--domain", "a.b.other.example.org", "--certificate", others).says(t, 1, others+" is for *.other.example.org, and not for a.b.other.example.org")
	if diff := cmp.Diff(account, s.inventory()); diff != "" {
		t.Errorf("something was made all the same (-before +after):\n%s", diff)
	}

	up("--certificate", books).says(t, 0)
	before, proofs := s.listeners(), s.records(zone)
	s.run("up", "--local", "--domain", "api.example.org").says(t, 1, books+" is for books.example.org, and not for api.example.org")
	s.run("up", "--local", "--certificate", "").says(t, 1, "this stack serves HTTPS with certificate "+books)
	s.run("up", "--local", "--domain", "books.example.org", "--wait=false").says(t, 0, "1 created")
	if diff := cmp.Diff(before, s.listeners(), cmp.Exporter(func(reflect.Type) bool { return true })); diff != "" {
		t.Errorf("the listeners were changed (-before +after):\n%s", diff)
	}
	if r := s.records(zone); r["A"] != "books.example.org." {
		t.Errorf("the zone has %v", r)
	}
	s.run("up", "--local", "--wait=false").says(t, 0, "0 changed")
	s.run("up", "--local", "--domain", "www.example.org").says(t, 1, `this stack serves HTTPS as "books.example.org"`)
	s.run("up", "--local", "--certificate", others).says(t, 1, others+" is for *.other.example.org, and not for books.example.org")
	s.run("destroy", "--local", "--yes").says(t, 0, " 0 left")
	if r := s.records(zone); len(r) != len(proofs) || r["A"] != "" {
		t.Errorf("the zone had %v before the domain, and has %v after destroy", proofs, r)
	}
}

// TestADomainThatTheZoneDelegatesIsRefused has other name servers asked for a domain than those
// of the zone in this account: its certificate would be waited for in vain.
func TestADomainThatTheZoneDelegatesIsRefused(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("slow")
	}
	s := newShell(t)
	h := s.byHand(t, nil)
	zone := s.hostedZone("example.com")
	s.createRecord(zone, "NS", "dev.example.com", "ns.elsewhere.test.")
	account := s.inventory()
	up := func(domain string, args ...string) result {
		t.Helper()
		return s.run(append(append([]string{"up", "--local", "--no-database", "--domain", domain}, args...), imageless()...)...)
	}
	for _, domain := range []string{"dev.example.com", "api.dev.example.com", "a.b.dev.example.com"} {
		up(domain).says(t, 1, "domain "+domain+": dev.example.com is delegated to ns.elsewhere.test, whose zone is not in this account", "take the NS record dev.example.com out of hosted zone "+zone)
	}
	if diff := cmp.Diff(account, s.inventory()); diff != "" {
		t.Errorf("something was made all the same (-before +after):\n%s", diff)
	}

	// A delegation that comes after a run that failed.
	h.faults(map[string]any{"certificatesFail": true})
	up("api.example.com").says(t, 1, "FAILED CAA_ERROR")
	h.faults(map[string]any{})
	s.createRecord(zone, "NS", "api.example.com", "ns.elsewhere.test.")
	up("api.example.com").says(t, 1, "domain api.example.com: api.example.com is delegated to ns.elsewhere.test, whose zone is not in this account")
	s.run("destroy", "--local", "--yes").says(t, 0, " 0 left")

	// Nothing in this account tells that the world does not ask this zone.
	child, servers := s.createZone("app.example.com")
	const waiting = "waiting for ACM to see the record "
	up("api.app.example.com", "--timeout", "30s").says(t, 1, waiting, ".api.app.example.com. in hosted zone app.example.com ("+child+"), which the world asks if 'dig NS app.example.com' prints "+strings.Join(servers, ", "))
	s.createRecord(zone, "NS", "app.example.com", servers[0])
	up("api.app.example.com").says(t, 0)
	s.run("up", "--local", "--wait=false").says(t, 0, "0 changed")
	s.run("destroy", "--local", "--yes").says(t, 0, " 0 left")
	s.noRecords(child)
}

// TestADomainThatNeverServedIsChanged has ACM refuse the certificate of a first domain, in a new
// stack and in one that serves by HTTP: it can have another, and nothing of the first is left
// after a destroy.
func TestADomainThatNeverServedIsChanged(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("slow")
	}
	s := newShell(t)
	h := s.byHand(t, nil)
	zone := s.hostedZone("example.com")
	up := func(args ...string) result {
		t.Helper()
		return s.run(append(append([]string{"up", "--local", "--no-database"}, args...), imageless()...)...)
	}
	destroyed := func() {
		t.Helper()
		s.destroyed(t, zone)
	}
	for _, before := range []bool{false, true} {
		if before {
			up().says(t, 0)
		}
		h.faults(map[string]any{"certificatesFail": true})
		up("--domain", "mistyped.example.com").says(t, 1, "FAILED CAA_ERROR")
		h.faults(map[string]any{})
		if r := s.records(zone); r["A"] != "" {
			t.Errorf("a domain without a certificate has the record %v", r)
		}
		if !before {
			s.run("up", "--local", "--domain", "").says(t, 1, `this stack is to serve HTTPS as "mistyped.example.com"`)
		}
		up("--domain", "api.example.com").says(t, 0)
		if r := s.records(zone); r["A"] != "api.example.com." {
			t.Errorf("the zone has %v", r)
		}
		s.run("up", "--local", "--wait=false").says(t, 0, "0 changed")
		up("--domain", "www.example.com").says(t, 1, `this stack serves HTTPS as "api.example.com", which can't be changed or removed`)
		if before { // as versions of bookctl did that made the record before the certificate was issued
			alias := s.record(zone, "A", "api.example.com.")
			alias.Name = aws.String("mistyped.example.com")
			s.changeRecord(zone, dns.ChangeActionCreate, alias)
		}
		destroyed()
	}
}

// TestASecondZoneOfTheNameIsNoObstacle creates another zone of the same name, as people do who do
// not know of the first, after a stack serves in one of them.
func TestASecondZoneOfTheNameIsNoObstacle(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("slow")
	}
	s := newShell(t)
	s.must("local", "start")
	first, servers := s.createZone("example.com")
	s.run(append([]string{"up", "--local", "--no-database", "--domain", "api.example.com"}, imageless()...)...).says(t, 0)
	twin, others := s.createZone("example.com")
	s.run("up", "--local", "--wait=false").says(t, 0, "0 changed")
	s.run("plan", "--local").shows(t, 0)
	refused := s.run(append([]string{"up", "--local", "--stack", "other", "--no-database", "--domain", "www.example.com"}, imageless()...)...)
	refused.says(t, 1, "there are 2 public hosted zones example.com", first+" with the name servers "+strings.Join(servers, ", "), twin+" with the name servers "+strings.Join(others, ", "), "'dig NS example.com'")
	if strings.Contains(refused.err, "delete the others") {
		t.Errorf("the zone that serves may be deleted by this advice:\n%s", refused.err)
	}

	// The record is repaired in the zone that the certificate was proved in.
	s.deleteRecord(first, "A", "api.example.com.")
	s.run("up", "--local", "--wait=false").says(t, 0, "1 created")
	if r := s.records(first); r["A"] != "api.example.com." {
		t.Errorf("the zone has %v", r)
	}
	// Somebody has moved everything.
	for kind, name := range s.records(first) {
		s.changeRecord(twin, dns.ChangeActionCreate, s.record(first, kind, name))
	}
	s.run("up", "--local", "--wait=false").says(t, 0, "0 changed")
	s.run("destroy", "--local", "--yes").says(t, 0, " 0 left")
	for _, zone := range []string{first, twin} {
		if r := s.records(zone); len(r) > 0 {
			t.Errorf("destroy leaves %v in zone %s", r, zone)
		}
	}
}
