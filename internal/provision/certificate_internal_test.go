package provision

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	static "github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/acm"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/route53"
	r53types "github.com/aws/aws-sdk-go-v2/service/route53/types"
	"github.com/aws/smithy-go/middleware"
	"github.com/google/go-cmp/cmp"

	"github.com/bookctl/bookctl/internal/moto"
	"github.com/bookctl/bookctl/internal/provision/graph"
	"github.com/bookctl/bookctl/internal/requestbody"
)

// stub answers every call with what it returns.
type stub func(r *http.Request, body string) (status int, answer string)

func (s stub) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
	}
	status, answer := s(r, string(body))
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(answer)), Request: r}, nil
}

func (s stub) config() aws.Config {
	return aws.Config{
		Region: "us-east-1", HTTPClient: &http.Client{Transport: s}, BaseEndpoint: aws.String("http://stub.test"),
		Credentials: static.NewStaticCredentialsProvider("test", "test", ""), Retryer: func() aws.Retryer { return aws.NopRetryer{} },
		APIOptions: []func(*middleware.Stack) error{requestbody.Readable},
	}
}

// TestAnECDSACertificateSharesTheValidationRecord has ACM list what it does not list
// unasked: the record that renews somebody's certificate may not be deleted.
func TestAnECDSACertificateSharesTheValidationRecord(t *testing.T) {
	t.Parallel()
	client := acm.NewFromConfig(stub(func(_ *http.Request, body string) (int, string) {
		if !strings.Contains(body, "EC_prime256v1") {
			return http.StatusOK, `{"CertificateSummaryList":[]}`
		}
		return http.StatusOK, `{"CertificateSummaryList":[{"CertificateArn":"arn:aws:acm:us-east-1:123456789012:certificate/theirs","DomainName":"api.example.com","KeyAlgorithm":"EC-prime256v1"}]}`
	}).config())
	c := newCertificate(identity{}, client, nil, nil, "api.example.com")
	if why, err := c.shared(t.Context()); err != nil || why != "there is another one in us-east-1" {
		t.Errorf("shared: %q, %v", why, err)
	}
}

// TestTheValidationRecordOutlivesARegionThatMayNeedIt has other regions answer in
// all ways: only where none has a certificate of the domain, the record may go.
func TestTheValidationRecordOutlivesARegionThatMayNeedIt(t *testing.T) {
	t.Parallel()
	const none, domain = `{"CertificateSummaryList":[]}`, "api.example.com"
	list := func(fields string) string {
		return `{"CertificateSummaryList":[{"CertificateArn":"arn:aws:acm:eu-west-1:123456789012:certificate/theirs",` + fields + `}]}`
	}
	regions := `<DescribeRegionsResponse><regionInfo><item><regionName>us-east-1</regionName></item><item><regionName>eu-west-1</regionName></item></regionInfo></DescribeRegionsResponse>`
	const denied = `{"__type":"AccessDeniedException","message":"no identity-based policy allows the acm:ListCertificates action"}`
	for name, test := range map[string]struct {
		regions, there string
		want           string // contained; "" for nothing
	}{
		"no certificate":             {regions, none, ""},
		"of another domain":          {regions, list(`"DomainName":"example.com","SubjectAlternativeNameSummaries":["*.example.com"]`), ""},
		"of the domain":              {regions, list(`"DomainName":"api.example.com"`), "there is another one in eu-west-1"},
		"that stands for the domain": {regions, list(`"DomainName":"*.api.example.com"`), "there is another one in eu-west-1"},
		"with the domain among its names": {
			regions, list(`"DomainName":"example.com","SubjectAlternativeNameSummaries":["example.com","api.example.com"]`), "there is another one in eu-west-1",
		},
		"with more names than are listed": {regions, list(`"DomainName":"example.com","HasAdditionalSubjectAlternativeNames":true`), "there is another one in eu-west-1"},
		"that may not be asked":           {regions, denied, "there may be another one in eu-west-1, which can't be asked: "},
		"of regions that can't be listed": {"<html/>", none, "other regions may have one, and can't be listed: "},
	} {
		c := newCertificate(identity{}, nil, nil, nil, domain)
		config := stub(func(r *http.Request, _ string) (int, string) {
			scope := strings.Split(r.Header.Get("Authorization"), "/") // Credential=KEY/date/region/service/…
			switch {
			case scope[3] == "ec2" && test.regions == regions:
				return http.StatusOK, regions
			case scope[3] == "ec2":
				return http.StatusBadGateway, test.regions
			case scope[2] == "us-east-1":
				return http.StatusOK, none
			case test.there == denied:
				return http.StatusBadRequest, denied
			}
			return http.StatusOK, test.there
		}).config()
		c.acm, c.ec2 = acm.NewFromConfig(config), ec2.NewFromConfig(config)
		why, err := c.shared(t.Context())
		if err != nil || (why == "") != (test.want == "") || !strings.Contains(why, test.want) {
			t.Errorf("%s: %q, %v, want %q", name, why, err, test.want)
		}
	}
}

// TestTwoRegionsShareAValidationRecord removes the certificates that an account has
// for one domain in two regions: the record goes with the last.
func TestTwoRegionsShareAValidationRecord(t *testing.T) {
	t.Parallel()
	ctx, domain := t.Context(), "api.example.com"
	config := aws.Config{Region: "us-east-1", BaseEndpoint: aws.String(moto.Start(t)), Credentials: static.NewStaticCredentialsProvider("test", "test", ""), APIOptions: []func(*middleware.Stack) error{requestbody.Readable}}
	dns := route53.NewFromConfig(config)
	if _, err := dns.CreateHostedZone(ctx, &route53.CreateHostedZoneInput{Name: aws.String("example.com"), CallerReference: aws.String("1")}); err != nil {
		t.Fatal(err)
	}
	var certificates []*Certificate
	for _, region := range []string{"us-east-1", "eu-west-1"} {
		config.Region = region
		c := newCertificate(identity{stack: "book", region: region}, acm.NewFromConfig(config), ec2.NewFromConfig(config), &hostedZone{client: dns, domain: domain}, domain)
		arn, err := c.Create(ctx)
		if err != nil {
			t.Fatal(err)
		}
		graph.Observe(ctx, []graph.Finder{seenAs{c.Node, arn}}, graph.Options{})
		detail, err := c.describe(ctx, arn)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.zone.change(ctx, r53types.ChangeActionUpsert, validation(detail)); err != nil {
			t.Fatal(err)
		}
		certificates = append(certificates, c)
	}
	for i, c := range certificates {
		detail, err := c.describe(ctx, c.ID())
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Delete(ctx); err != nil {
			t.Fatal(err)
		}
		record, err := c.zone.record(ctx, *validation(detail).Name, r53types.RRTypeCname)
		if err != nil {
			t.Fatal(err)
		}
		spared := (&Stack{certificate: c}).Spared()
		if last := i == 1; last != (record == nil) || last != (len(spared) == 0) || !last && !strings.Contains(spared[0], "another one in eu-west-1") {
			t.Errorf("after the certificate in %s was deleted the record is %+v, and what is reported is %q", c.region, record, spared)
		}
	}
}

// TestACertificateThatExpiredIsDeletedOnceNothingUsesIt has one that expired, and another in its
// place that the listener has for so long. ACM deletes none that is in use.
func TestACertificateThatExpiredIsDeletedOnceNothingUsesIt(t *testing.T) {
	t.Parallel()
	const prefix = "arn:aws:acm:us-east-1:123456789012:certificate/"
	for name, c := range map[string]struct {
		oldUsed, refused bool
		since            time.Duration
		asked            bool
	}{
		"unused for a day":                     {since: 48 * time.Hour, asked: true},
		"unused, and ACM knows of a use":       {since: 48 * time.Hour, refused: true, asked: true},
		"used by something else":               {since: 48 * time.Hour, oldUsed: true},
		"replaced by the run before this one":  {since: time.Minute},
		"replaced by one that nothing has yet": {since: 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			ident := identity{stack: "book", region: "us-east-1"}
			tags, err := json.Marshal(map[string]any{"Tags": toACMTags(ident.tags("certificate"))})
			if err != nil {
				t.Fatal(err)
			}
			there, deletions := map[string]string{"old": "EXPIRED", "new": "ISSUED"}, []string{}
			client := acm.NewFromConfig(stub(func(r *http.Request, body string) (int, string) {
				mu.Lock()
				defer mu.Unlock()
				_, action, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
				var in struct{ CertificateArn string }
				if err := json.Unmarshal([]byte(body), &in); err != nil {
					t.Error(err)
				}
				name := strings.TrimPrefix(in.CertificateArn, prefix)
				switch action {
				case "ListCertificates":
					var all []string
					for name, status := range there {
						used := name == "new" && c.since > 0 || name == "old" && c.oldUsed
						all = append(all, fmt.Sprintf(`{"CertificateArn":"%s%s","DomainName":"api.example.com","Status":"%s","InUse":%t,"CreatedAt":%d}`, prefix, name, status, used, time.Now().Add(-c.since).Unix()))
					}
					return http.StatusOK, `{"CertificateSummaryList":[` + strings.Join(all, ",") + `]}`
				case "ListTagsForCertificate":
					return http.StatusOK, string(tags)
				case "DescribeCertificate":
					return http.StatusOK, fmt.Sprintf(`{"Certificate":{"CertificateArn":"%s%s","DomainName":"api.example.com","Status":"%s"}}`, prefix, name, there[name])
				case "DeleteCertificate":
					if deletions = append(deletions, name); c.refused {
						return http.StatusBadRequest, `{"__type":"ResourceInUseException","message":"Certificate is in use."}`
					}
					delete(there, name)
				}
				return http.StatusOK, `{}`
			}).config())
			certificate := newCertificate(ident, client, nil, nil, "api.example.com")
			if _, err := graph.Up(t.Context(), []graph.Maker{certificate}, graph.Options{Owner: "book"}); err != nil {
				t.Fatal(err)
			}
			want := []string{}
			if c.asked {
				want = []string{"old"}
			}
			if diff := cmp.Diff(want, deletions); diff != "" {
				t.Errorf("certificates that were deleted (-want +got):\n%s", diff)
			}
		})
	}
}
