package cli_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	acmtypes "github.com/aws/aws-sdk-go-v2/service/acm/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/aws/aws-sdk-go-v2/service/route53"
	dns "github.com/aws/aws-sdk-go-v2/service/route53/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// trusting is a client that trusts the local cloud's authority, follows no
// redirect, and finds every name on this machine.
func (s *shell) trusting(t *testing.T, limits *tls.Config) *http.Client {
	t.Helper()
	var info struct{ TrustBundle string }
	decode(t, s.must("local", "status", "--output", "json"), &info)
	bundle, err := os.ReadFile(info.TrustBundle)
	if err != nil {
		t.Fatal(err)
	}
	limits.RootCAs = x509.NewCertPool()
	limits.RootCAs.AppendCertsFromPEM(bundle)
	dialled := &net.Dialer{}
	return &http.Client{
		Transport: &http.Transport{TLSClientConfig: limits, DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			_, port, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			return dialled.DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port)) // in place of DNS
		}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// TestACertificateThatIsThereServesHTTPS brings a certificate of the user's own,
// which the stack uses and leaves alone.
func TestACertificateThatIsThereServesHTTPS(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("slow")
	}
	s := newShell(t)
	s.must("local", "start")
	const domain = "books.example.org"
	zone := s.hostedZone("example.org")
	arn := s.requestCertificate(domain)

	if r := s.run("up", "--local", "--certificate", arn); r.code == 0 {
		t.Errorf("a certificate that is not issued is taken: %s%s", r.out, r.err)
	}
	proof := s.proveDomain(zone, arn)

	at := s.up("--certificate", arn)
	u, err := url.Parse(at)
	if err != nil || u.Scheme != "https" {
		t.Fatalf("up says %q: %v", at, err)
	}
	u.Host = net.JoinHostPort(domain, u.Port()) // which the user's own record leads there
	resp, err := s.trusting(t, &tls.Config{MinVersion: tls.VersionTLS12}).Get(u.String() + "/books")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.TLS == nil || resp.TLS.PeerCertificates[0].VerifyHostname(domain) != nil {
		t.Errorf("GET %s/books: %+v", u, resp)
	}
	if r := s.run("up", "--local", "--output", "json"); !strings.Contains(r.out, `"apiWrites":0`) {
		t.Errorf("a second up without flags writes: %s%s", r.out, r.err)
	}
	s.must("destroy", "--local", "--yes", "--purge-snapshots")
	if r := s.records(zone); len(r) != 1 || r["CNAME"] != proof {
		t.Errorf("the user's zone has %v after destroy", r)
	}
	if left := s.certificates(); len(left) != 1 || *left[0].CertificateArn != arn {
		t.Errorf("destroy took the user's certificate: %+v", left)
	}
}

func TestADomainIsServedByHTTPSAndLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("slow")
	}
	s := newShell(t)
	s.must("local", "start")
	const domain = "api.example.com"
	if r := s.run("up", "--local", "--domain", domain); r.code == 0 || !strings.Contains(r.err, "no public hosted zone") {
		t.Fatalf("without a hosted zone: exit code %d\n%s", r.code, r.err)
	}
	zone := s.hostedZone("example.com")

	at := s.up("--domain", domain)
	u, err := url.Parse(at)
	if err != nil || u.Scheme != "https" || u.Hostname() != domain {
		t.Fatalf("up says %q: %v", at, err)
	}
	client := func(limits *tls.Config) *http.Client { return s.trusting(t, limits) }
	get := func(c *http.Client, url string) (*http.Response, error) {
		resp, err := c.Get(url)
		if err != nil {
			return nil, err
		}
		defer resp.Body.Close()
		_, err = io.Copy(io.Discard, resp.Body)
		return resp, err
	}
	resp, err := get(client(&tls.Config{MinVersion: tls.VersionTLS12}), at+"/books") //nolint:bodyclose // get does
	if err != nil || resp.StatusCode != http.StatusOK || resp.TLS == nil || resp.TLS.PeerCertificates[0].VerifyHostname(domain) != nil {
		t.Fatalf("GET %s/books: %+v %v", at, resp, err)
	}
	if _, err := get(client(&tls.Config{MaxVersion: tls.VersionTLS11}), at+"/books"); err == nil { //nolint:bodyclose // get does; it must be refused
		t.Error("TLS 1.1 is spoken")
	}
	plain := ""
	for _, l := range s.listeners() {
		if l.Protocol == elbtypes.ProtocolEnumHttp {
			plain = fmt.Sprintf("http://%s:%d/books?author=x", domain, *l.Port)
		} else if *l.SslPolicy != "ELBSecurityPolicy-TLS13-1-2-2021-06" {
			t.Errorf("the TLS policy is %q", *l.SslPolicy)
		}
	}
	resp, err = get(client(&tls.Config{MinVersion: tls.VersionTLS12}), plain) //nolint:bodyclose // get does
	if err != nil || resp.StatusCode != http.StatusMovedPermanently || resp.Header.Get("Location") != at+"/books?author=x" {
		t.Errorf("GET %s: %+v %v", plain, resp, err)
	}
	if r := s.records(zone); r["A"] != domain+"." || !strings.HasPrefix(r["CNAME"], "_") {
		t.Errorf("the zone has %v", r)
	}
	asked := regexp.MustCompile(`(?m)^\S+ aws ACM \S+`)
	alone := s.run("up", "--local", "--verbose")
	alone.says(t, 0, "0 changed")
	count := len(asked.FindAllString(alone.err, -1))
	if count == 0 {
		t.Errorf("the certificate is not looked at:\n%s", alone.err)
	}
	// Certificates of others are not looked at, however many there are.
	others := []string{"a.example.com", "b.example.com", "c.example.com"}
	for _, name := range others {
		s.requestCertificate(name)
	}
	among := s.run("up", "--local", "--verbose")
	if got := len(asked.FindAllString(among.err, -1)); got != count {
		t.Errorf("alongside other certificates, up asks ACM %d times instead of %d:\n%s", got, count, among.err)
	}
	if r := s.run("up", "--local", "--domain", "other.example.com"); r.code == 0 || !strings.Contains(r.err, "can't be changed") {
		t.Errorf("another domain: exit code %d\n%s", r.code, r.err)
	}
	s.must("destroy", "--local", "--yes", "--purge-snapshots")
	s.noRecords(zone)
	var left []string
	for _, c := range s.certificates() {
		left = append(left, *c.DomainName)
	}
	if slices.Sort(left); !slices.Equal(left, others) {
		t.Errorf("destroy leaves the certificates of %v", left)
	}
}

// TestACertificateIsRenewedOrReplaced takes away the record by which ACM renews the
// certificate: up puts it back. Where that comes too late, up requests another one.
func TestACertificateIsRenewedOrReplaced(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("slow")
	}
	s := newShell(t)
	h := s.byHand(t, nil)
	zone := s.hostedZone("example.com")
	app := newVersioned(t)
	app.is(t, "v1", "")
	at := s.up("--no-database", "--source", app.dir, "--domain", "api.example.com")
	serves := func() {
		t.Helper()
		resp, err := s.trusting(t, &tls.Config{MinVersion: tls.VersionTLS12}).Get(at)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Errorf("GET %s: %s", at, resp.Status)
		}
	}
	proof := s.records(zone)["CNAME"]
	unproved := func() {
		t.Helper()
		s.deleteRecord(zone, "CNAME", proof)
		s.run("plan", "--local").shows(t, 2, "validation-record: (none) → "+proof)
	}
	unproved()
	h.faults(map[string]any{"certificateSeconds": 3600}) // of which ACM takes all to renew
	s.run("status", "--local").shows(t, 3, "the certificate of api.example.com: ACM has not renewed it: PENDING_VALIDATION, and it expires on ")
	s.must("up", "--local")
	if r := s.records(zone); r["CNAME"] != proof {
		t.Errorf("up leaves %v in the zone", r)
	}
	s.run("plan", "--local").shows(t, 0)
	if r := s.run("status", "--local"); strings.Contains(r.out, "renewed") {
		t.Errorf("status after the record is back:\n%s", r.out)
	}

	unproved()
	h.faults(map[string]any{"certificateSeconds": 0.1})
	until(t, "the certificate has expired", func() bool { return len(s.certificates(acmtypes.CertificateStatusExpired)) > 0 })
	h.faults(map[string]any{})
	s.run("plan", "--local").shows(t, 2, "is EXPIRED", "a new certificate")
	s.run("status", "--local").shows(t, 3, "certificate is missing: ", "is EXPIRED")
	h.faults(map[string]any{"certificatesFail": true})
	var failed [2]string
	for i := range failed {
		s.run("up", "--local").says(t, 1, "FAILED CAA_ERROR", "remove the cause")
		now := s.certificates(acmtypes.CertificateStatusFailed)
		if len(now) != 1 {
			t.Fatalf("up %d leaves the failed certificates %+v", i+1, now)
		}
		failed[i] = *now[0].CertificateArn
		s.run("plan", "--local").shows(t, 2, "is EXPIRED", failed[i]+" is FAILED CAA_ERROR")
	}
	if failed[0] == failed[1] {
		t.Errorf("up does not request another certificate than %s", failed[0])
	}
	h.faults(map[string]any{})
	s.must("up", "--local")
	serves()
	s.run("plan", "--local").shows(t, 0)
	s.run("up", "--local").says(t, 0, "0 changed")
	used := slices.DeleteFunc(s.certificates(), func(c acmtypes.CertificateSummary) bool { return !aws.ToBool(c.InUse) })
	if len(used) != 1 || used[0].Status != acmtypes.CertificateStatusIssued {
		t.Errorf("the listener has the certificates %+v", used)
	}
	s.run("destroy", "--local", "--yes").says(t, 0, " 0 left")
	s.noRecords(zone)
}

// TestADestroyThatKnowsNoDomainLeavesNothingOfIt ends a destroy when nothing is left but the
// certificate, and makes a load balancer fail, which records the domain: the certificate
// and its record in the user's zone go all the same, and so do those of other domains.
func TestADestroyThatKnowsNoDomainLeavesNothingOfIt(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("slow")
	}
	s := newShell(t)
	h := s.byHand(t, nil)
	zone := s.hostedZone("example.com")
	up := func(domain string) result {
		t.Helper()
		return s.run(append([]string{"up", "--local", "--no-database", "--domain", domain}, imageless()...)...)
	}
	destroyed := func() {
		t.Helper()
		s.destroyed(t, zone)
	}

	up("api.example.com").says(t, 0)
	h.faults(map[string]any{"deny": []string{"acm:DeleteCertificate"}})
	s.run("destroy", "--local", "--yes").says(t, 4, "acm:DeleteCertificate")
	h.faults(map[string]any{})
	destroyed()

	h.faults(map[string]any{"deny": []string{"elasticloadbalancing:CreateLoadBalancer"}})
	for _, domain := range []string{"api.example.com", "www.example.com"} {
		up(domain).says(t, 4, "elasticloadbalancing:CreateLoadBalancer")
		if r := s.records(zone); !strings.HasSuffix(r["CNAME"], domain+".") {
			t.Errorf("after a failed up for %s the zone has %v", domain, r)
		}
	}
	h.faults(map[string]any{})
	destroyed()

	// Without the zone, its records are gone, too.
	up("api.example.com").says(t, 0)
	for kind, name := range s.records(zone) {
		s.deleteRecord(zone, kind, name)
	}
	h.must(ok(route53.NewFromConfig(h.Config).DeleteHostedZone(t.Context(), &route53.DeleteHostedZoneInput{Id: &zone})))
	s.run("destroy", "--local", "--yes").says(t, 0, " 0 left")
}

func TestARecordOfTheDomainThatLeadsElsewhereIsLeftAlone(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("slow")
	}
	s := newShell(t)
	s.must("local", "start")
	zone := s.hostedZone("example.com")
	s.createRecord(zone, "A", "api.example.com", "192.0.2.1")
	before := s.recordSets(zone)
	account := append(s.inventory(), "parameter /bookctl/book/lock/first") // which a refused run leaves
	slices.Sort(account)
	if r := s.run("up", "--local", "--domain", "api.example.com"); r.code == 0 || !strings.Contains(r.err, "is not managed by this stack") {
		t.Errorf("exit code %d\n%s", r.code, r.err)
	}
	if diff := cmp.Diff(before, s.recordSets(zone), cmpopts.IgnoreUnexported(dns.ResourceRecordSet{}, dns.ResourceRecord{})); diff != "" {
		t.Errorf("the zone was changed (-before +after):\n%s", diff)
	}
	// One that leads to a load balancer of that name may be another account's.
	s.deleteRecord(zone, "A", "api.example.com.")
	s.leadToFormer(zone, "api.example.com")
	if r := s.run("up", "--local", "--domain", "api.example.com"); r.code == 0 || !strings.Contains(r.err, "is not managed by this stack") {
		t.Errorf("exit code %d\n%s", r.code, r.err)
	}
	if diff := cmp.Diff(account, s.inventory()); diff != "" {
		t.Errorf("something was made all the same (-before +after):\n%s", diff)
	}
}

// TestTheRecordOfALoadBalancerThatIsGoneIsTheStacksOwn has the domain lead to a load balancer
// that somebody has deleted: up leads it to the new one, and destroy deletes it. Neither
// does while the stack's own load balancer is there, nor once a destroy has removed that.
func TestTheRecordOfALoadBalancerThatIsGoneIsTheStacksOwn(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("slow")
	}
	s := newShell(t)
	s.must("local", "start")
	zone := s.hostedZone("example.com")
	up := func() {
		t.Helper()
		s.run(append([]string{"up", "--local", "--no-database", "--domain", "api.example.com"}, imageless()...)...).says(t, 0)
	}
	up()
	unbalanced := func() {
		t.Helper()
		s.deleteBalancer()
		s.leadToFormer(zone, "api.example.com")
	}
	leadsTo := func(want string) {
		t.Helper()
		if got := *s.record(zone, "A", "api.example.com.").AliasTarget.DNSName; got != want+"." {
			t.Fatalf("the domain leads to %s, and not to %s", got, want)
		}
	}
	elsewhere := func() {
		t.Helper()
		leadsTo(formerBalancer) // it was not taken from the other account
		s.deleteRecord(zone, "A", "api.example.com.")
	}
	// While the stack's own is there, that is the load balancer of another account's stack,
	// which took the domain over: production.
	s.leadToFormer(zone, "api.example.com")
	s.run("plan", "--local").shows(t, 1, "is not managed by this stack")
	s.run(append([]string{"up", "--local"}, imageless()...)...).says(t, 1, "is not managed by this stack")
	s.leadToFormer(zone, "api.example.com")
	s.run("destroy", "--local", "--yes").says(t, 0, " 0 left")
	elsewhere()
	up()
	unbalanced()
	done[*ecs.DeleteServiceOutput](t)(ecs.NewFromConfig(s.config()).DeleteService(t.Context(), &ecs.DeleteServiceInput{
		Cluster: aws.String("book-cluster"), Service: aws.String("book-service"), Force: aws.Bool(true), // as a destroy does first
	}))
	s.run("destroy", "--local", "--yes").says(t, 0, " 0 left")
	elsewhere()
	up()

	unbalanced()
	s.run("plan", "--local").shows(t, 2, "alias: book-lb-1234567890.us-east-1.elb.amazonaws.com. → the new load balancer")
	s.run(append([]string{"up", "--local"}, imageless()...)...).says(t, 0)
	leadsTo("localhost")
	s.run("plan", "--local").shows(t, 0)
	unbalanced()
	s.run("destroy", "--local", "--yes").says(t, 0, " 0 left")
	s.noRecords(zone)
}

// destroyed destroys the stack, after which no record is in the zone and no certificate exists.
func (s *shell) destroyed(t *testing.T, zone string) {
	t.Helper()
	s.run("destroy", "--local", "--yes").says(t, 0, " 0 left")
	s.noRecords(zone)
	if left := s.certificates(); len(left) > 0 {
		t.Errorf("destroy leaves the certificates %+v", left)
	}
}
