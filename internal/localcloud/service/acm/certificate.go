package acm

import (
	"cmp"
	"crypto/sha256"
	"crypto/tls"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/acm"
	"github.com/aws/aws-sdk-go-v2/service/acm/types"

	"github.com/bookctl/bookctl/internal/localcloud/authority"
	"github.com/bookctl/bookctl/internal/localcloud/kernel"
	"github.com/bookctl/bookctl/internal/pattern"
)

// state is what ACM keeps.
type state struct {
	Certificates map[string]*certificate `json:"certificates,omitempty"` // by ARN
	// Requests are those of the last hour that had a token.
	Requests []request `json:"requests,omitempty"`
}

// request is a request for a certificate, which may be deleted by now. No page says that the
// deletion frees the token.
// https://docs.aws.amazon.com/acm/latest/APIReference/API_RequestCertificate.html
type request struct {
	Token string    `json:"token"`
	Names []string  `json:"names"`
	ARN   string    `json:"arn"`
	At    time.Time `json:"at"`
}

// tokenLife is how long a token stands for the certificate that was requested with it.
const tokenLife = time.Hour

// certificate is requested, validated when all its records are in a hosted zone,
// and then issued.
type certificate struct {
	ARN    string   `json:"arn"`
	Domain string   `json:"domain"`
	Names  []string `json:"names"` // the domain among them
	// Key is the kind of key that was asked for, RSA_2048 when empty. The local
	// cloud's own are all of one kind.
	Key       types.KeyAlgorithm `json:"key,omitempty"`
	Tags      map[string]string  `json:"tags,omitempty"`
	Created   time.Time          `json:"created"`
	Validated time.Time          `json:"validated,omitzero"`
	Issued    time.Time          `json:"issued,omitzero"`
	Expires   time.Time          `json:"expires,omitzero"`
	Expired   bool               `json:"expired,omitempty"` // which nothing undoes
	// Failure is why it was refused, which nothing undoes either; "" if it was not.
	Failure types.FailureReason `json:"failure,omitempty"`
	// Renewal is how far the last renewal got, since when; "" before the first.
	Renewal      types.RenewalStatus `json:"renewal,omitempty"`
	RenewalSince time.Time           `json:"renewalSince,omitzero"`
	Chain        string              `json:"chain,omitempty"` // PEM
	Sealed       string              `json:"sealed,omitempty"`
}

// API is the service's operations.
func (s *Service) API() kernel.Service {
	return kernel.Service{Model: "acm", Signing: "acm", Protocol: kernel.JSON, Operations: kernel.Operations(s.in,
		kernel.Op("AddTagsToCertificate", tx.AddTagsToCertificate),
		kernel.Op("DeleteCertificate", tx.DeleteCertificate),
		kernel.Op("DescribeCertificate", tx.DescribeCertificate),
		kernel.Op("GetCertificate", tx.GetCertificate),
		kernel.Op("ListCertificates", tx.ListCertificates),
		kernel.Op("ListTagsForCertificate", tx.ListTagsForCertificate),
		kernel.Op("RemoveTagsFromCertificate", tx.RemoveTagsFromCertificate),
		kernel.Op("RequestCertificate", tx.RequestCertificate),
	)}
}

// maxTags of a certificate: https://docs.aws.amazon.com/acm/latest/APIReference/API_AddTagsToCertificate.html
const maxTags = 50

var domainName = pattern.New(`^(\*\.)?(([A-Za-z0-9-]{0,62}[A-Za-z0-9])\.)+([A-Za-z0-9-]{1,62}[A-Za-z0-9])$`)

func (a tx) certificate(arn *string) (*certificate, error) {
	cert, ok := a.state().Certificates[aws.ToString(arn)]
	if !ok || !a.Visible(cert.ARN) {
		return nil, kernel.Fail("ResourceNotFoundException", "Could not find certificate %s.", aws.ToString(arn))
	}
	return cert, nil
}

func (a tx) RequestCertificate(in *acm.RequestCertificateInput) (*acm.RequestCertificateOutput, error) {
	if in.ValidationMethod != types.ValidationMethodDns {
		return nil, kernel.Fail("InvalidParameterException", "The local cloud validates by DNS only")
	}
	names := append([]string{aws.ToString(in.DomainName)}, in.SubjectAlternativeNames...)
	for i, name := range names {
		if !domainName.MatchString(name) {
			return nil, kernel.Fail("InvalidDomainValidationOptionsException", "The domain name %s is not valid", name)
		}
		names[i] = strings.ToLower(name)
	}
	names = slices.Compact(names)
	token := aws.ToString(in.IdempotencyToken)
	a.state().Requests = slices.DeleteFunc(a.state().Requests, func(r request) bool { return a.Now().Sub(r.At) >= tokenLife })
	for _, r := range a.state().Requests {
		if token != "" && r.Token == token && slices.Equal(r.Names, names) {
			return &acm.RequestCertificateOutput{CertificateArn: aws.String(r.ARN)}, nil
		}
	}
	cert := &certificate{ARN: a.ARN("acm", "certificate/"+kernel.RequestID()), Domain: names[0], Names: names, Key: in.KeyAlgorithm, Created: a.Now(), Tags: map[string]string{}}
	if token != "" {
		a.state().Requests = append(a.state().Requests, request{token, names, cert.ARN, cert.Created})
	}
	for _, t := range in.Tags {
		cert.Tags[aws.ToString(t.Key)] = aws.ToString(t.Value)
	}
	if a.state().Certificates == nil {
		a.state().Certificates = map[string]*certificate{}
	}
	a.state().Certificates[cert.ARN] = cert
	a.Created(cert.ARN)
	a.issuePending() // the records may be there from an earlier one
	return &acm.RequestCertificateOutput{CertificateArn: aws.String(cert.ARN)}, nil
}

// validation is the record that proves the control of a name. It is the same for
// every certificate of the account, as ACM's is.
func (s *Service) validation(name string) *types.ResourceRecord {
	name = strings.TrimPrefix(name, "*.")
	sum := sha256.Sum256([]byte(s.Account() + " " + name))
	return &types.ResourceRecord{
		Name:  aws.String("_" + hex.EncodeToString(sum[:16]) + "." + name + "."),
		Type:  types.RecordTypeCname,
		Value: aws.String("_" + hex.EncodeToString(sum[16:]) + ".acm-validations.aws."),
	}
}

// issuePending issues, renews and ends the certificates whose time has come; whoever looks
// at one calls it first.
func (a tx) issuePending() {
	for _, cert := range a.state().Certificates {
		if cert.Failure != "" {
			continue
		}
		if !cert.Issued.IsZero() {
			a.renew(cert)
			continue
		}
		if cert.Validated.IsZero() && a.proved(cert) {
			cert.Validated = a.Now()
			a.Changed()
		}
		if cert.Validated.IsZero() || time.Since(cert.Validated) < a.Scaled(a.Latencies().Certificate) {
			continue
		}
		if a.Faults().CertificatesFail {
			cert.Failure = types.FailureReasonCaaError
			a.Changed()
			continue
		}
		if a.issue(cert) {
			cert.Issued = a.Now()
		}
	}
}

// proved reports whether all records of a certificate are there.
func (a tx) proved(cert *certificate) bool {
	return !slices.ContainsFunc(cert.Names, func(name string) bool {
		record := a.validation(name)
		return a.records.CNAME(a.Tx, *record.Name) != *record.Value
	})
}

// issue issues a certificate, or issues it anew.
func (a tx) issue(cert *certificate) bool {
	// localhost too: that is the name of every load balancer here.
	issued, err := a.authority.Issue(append(slices.Clone(cert.Names), "localhost")...)
	if err != nil {
		a.Log().Error("a certificate could not be issued", "certificate", cert.ARN, "error", err)
		return false
	}
	cert.Expires, cert.Chain, cert.Sealed = a.Now().Add(a.validity()), string(issued.Cert), a.Seal(string(issued.Key))
	a.Changed()
	return true
}

// validity is how long a certificate is valid.
func (s *Service) validity() time.Duration {
	if f := s.Faults().CertificateSeconds; f > 0 {
		return time.Duration(f * float64(time.Second))
	}
	return 395 * 24 * time.Hour
}

// renewalBegins is how long before the end ACM begins to renew what is used and whose records
// are there: https://docs.aws.amazon.com/acm/latest/userguide/dns-renewal-validation.html
const renewalBegins = 60 * 24 * time.Hour

// renew renews a certificate, or ends it, when its time has come.
func (a tx) renew(cert *certificate) {
	expires := cert.Expires
	if last := cert.Issued; a.Faults().CertificateSeconds > 0 { // which may be newer than the certificate
		if cert.Renewal == types.RenewalStatusSuccess {
			last = cert.RenewalSince
		}
		expires = last.Add(a.validity())
	}
	now := a.Now()
	if cert.Expired || now.Before(expires.Add(-renewalBegins)) || cert.Renewal == types.RenewalStatusSuccess && now.Before(cert.RenewalSince.Add(a.validity()/2)) {
		return
	}
	renewal := types.RenewalStatusPendingValidation
	switch {
	case len(a.users.CertificateUsers(a.Tx, cert.ARN)) == 0:
		renewal = cert.Renewal // it is not eligible
	case a.proved(cert) && now.Before(expires) && a.issue(cert):
		renewal = types.RenewalStatusSuccess
	}
	if cert.Expired = now.After(expires) && renewal != types.RenewalStatusSuccess; cert.Expired {
		a.Changed()
	}
	if renewal != cert.Renewal || renewal == types.RenewalStatusSuccess {
		cert.Renewal, cert.RenewalSince = renewal, now
		a.Changed()
	}
}

// IssuePending issues the certificates whose records are there.
func (s *Service) IssuePending(t *kernel.Tx) { s.in(t).issuePending() }

// Certificate is the certificate of an HTTPS listener, in the words of
// Elastic Load Balancing where there is none.
func (s *Service) Certificate(t *kernel.Tx, arn string) (tls.Certificate, error) {
	c := s.in(t)
	c.issuePending()
	cert, ok := c.state().Certificates[arn]
	if !ok {
		return tls.Certificate{}, kernel.Fail("CertificateNotFound", "Certificate '%s' not found", arn)
	}
	if cert.Issued.IsZero() {
		return tls.Certificate{}, kernel.Fail("UnsupportedCertificate", "The certificate '%s' must have a fully-qualified domain name, a supported signature, and a supported key size.", arn)
	}
	key, err := c.Unseal(cert.Sealed)
	if err != nil {
		return tls.Certificate{}, err
	}
	return authority.Certificate{Cert: []byte(cert.Chain), Key: []byte(key)}.TLS()
}

func (a tx) DescribeCertificate(in *acm.DescribeCertificateInput) (*acm.DescribeCertificateOutput, error) {
	a.issuePending()
	cert, err := a.certificate(in.CertificateArn)
	if err != nil {
		return nil, err
	}
	out := &types.CertificateDetail{
		CertificateArn: aws.String(cert.ARN), DomainName: aws.String(cert.Domain), SubjectAlternativeNames: slices.Clone(cert.Names),
		Status: cert.status(), Type: types.CertificateTypeAmazonIssued, CreatedAt: aws.Time(cert.Created),
		KeyAlgorithm: cert.key(), RenewalEligibility: types.RenewalEligibilityIneligible, FailureReason: cert.Failure,
		InUseBy: a.users.CertificateUsers(a.Tx, cert.ARN),
	}
	if len(out.InUseBy) > 0 && cert.status() == types.CertificateStatusIssued {
		out.RenewalEligibility = types.RenewalEligibilityEligible
	}
	if !cert.Issued.IsZero() {
		out.IssuedAt, out.NotBefore, out.NotAfter = aws.Time(cert.Issued), aws.Time(cert.Issued), aws.Time(cert.Expires)
	}
	for _, name := range cert.Names {
		v := types.DomainValidation{
			DomainName: aws.String(name), ValidationDomain: aws.String(name), ValidationMethod: types.ValidationMethodDns,
			ValidationStatus: types.DomainStatusPendingValidation, ResourceRecord: a.validation(name),
		}
		switch {
		case cert.Failure != "":
			v.ValidationStatus = types.DomainStatusFailed
		case !cert.Issued.IsZero():
			v.ValidationStatus = types.DomainStatusSuccess
		}
		out.DomainValidationOptions = append(out.DomainValidationOptions, v)
		if cert.Renewal != "" {
			v.ValidationStatus = types.DomainStatusPendingValidation
			if cert.Renewal == types.RenewalStatusSuccess {
				v.ValidationStatus = types.DomainStatusSuccess
			}
			if out.RenewalSummary == nil {
				out.RenewalSummary = &types.RenewalSummary{RenewalStatus: cert.Renewal, UpdatedAt: aws.Time(cert.RenewalSince)}
			}
			out.RenewalSummary.DomainValidationOptions = append(out.RenewalSummary.DomainValidationOptions, v)
		}
	}
	return &acm.DescribeCertificateOutput{Certificate: out}, nil
}

func (cert *certificate) key() types.KeyAlgorithm { return cmp.Or(cert.Key, types.KeyAlgorithmRsa2048) }

func (cert *certificate) status() types.CertificateStatus {
	switch {
	case cert.Failure != "":
		return types.CertificateStatusFailed
	case cert.Expired:
		return types.CertificateStatusExpired
	case cert.Issued.IsZero():
		return types.CertificateStatusPendingValidation
	}
	return types.CertificateStatusIssued
}

func (a tx) ListCertificates(in *acm.ListCertificatesInput) (*acm.ListCertificatesOutput, error) {
	a.issuePending()
	out := &acm.ListCertificatesOutput{}
	// https://docs.aws.amazon.com/acm/latest/APIReference/API_Filters.html
	keys := []types.KeyAlgorithm{types.KeyAlgorithmRsa1024, types.KeyAlgorithmRsa2048}
	if in.Includes != nil && len(in.Includes.KeyTypes) > 0 {
		keys = in.Includes.KeyTypes
	}
	for _, arn := range slices.Sorted(maps.Keys(a.state().Certificates)) {
		cert := a.state().Certificates[arn]
		if !a.Visible(arn) || !slices.Contains(keys, cert.key()) || len(in.CertificateStatuses) > 0 && !slices.Contains(in.CertificateStatuses, cert.status()) {
			continue
		}
		out.CertificateSummaryList = append(out.CertificateSummaryList, types.CertificateSummary{
			CertificateArn: aws.String(arn), DomainName: aws.String(cert.Domain), Status: cert.status(), CreatedAt: aws.Time(cert.Created),
			SubjectAlternativeNameSummaries: slices.Clone(cert.Names), Type: types.CertificateTypeAmazonIssued,
			KeyAlgorithm: cert.key(), InUse: aws.Bool(len(a.users.CertificateUsers(a.Tx, arn)) > 0),
		})
	}
	return out, nil
}

func (a tx) DeleteCertificate(in *acm.DeleteCertificateInput) (*acm.DeleteCertificateOutput, error) {
	cert, err := a.certificate(in.CertificateArn)
	if err != nil {
		return nil, err
	}
	if users := a.users.CertificateUsers(a.Tx, cert.ARN); len(users) > 0 {
		return nil, kernel.Fail("ResourceInUseException", "Certificate %s in account %s is in use.", cert.ARN, a.Account())
	}
	delete(a.state().Certificates, cert.ARN)
	return &acm.DeleteCertificateOutput{}, nil
}

func (a tx) AddTagsToCertificate(in *acm.AddTagsToCertificateInput) (*acm.AddTagsToCertificateOutput, error) {
	cert, err := a.certificate(in.CertificateArn)
	if err != nil {
		return nil, err
	}
	tags := maps.Clone(cert.Tags)
	for _, t := range in.Tags {
		tags[aws.ToString(t.Key)] = aws.ToString(t.Value)
	}
	if len(tags) > maxTags {
		return nil, kernel.Fail("TooManyTagsException", "A certificate can have %d tags at most", maxTags)
	}
	cert.Tags = tags
	return &acm.AddTagsToCertificateOutput{}, nil
}

func (a tx) RemoveTagsFromCertificate(in *acm.RemoveTagsFromCertificateInput) (*acm.RemoveTagsFromCertificateOutput, error) {
	cert, err := a.certificate(in.CertificateArn)
	if err != nil {
		return nil, err
	}
	for _, t := range in.Tags { // a tag with a value goes only if it has that value
		if have, ok := cert.Tags[aws.ToString(t.Key)]; ok && (t.Value == nil || *t.Value == have) {
			delete(cert.Tags, *t.Key)
		}
	}
	return &acm.RemoveTagsFromCertificateOutput{}, nil
}

func (a tx) ListTagsForCertificate(in *acm.ListTagsForCertificateInput) (*acm.ListTagsForCertificateOutput, error) {
	cert, err := a.certificate(in.CertificateArn)
	if err != nil {
		return nil, err
	}
	out := &acm.ListTagsForCertificateOutput{}
	for _, key := range slices.Sorted(maps.Keys(cert.Tags)) {
		out.Tags = append(out.Tags, types.Tag{Key: aws.String(key), Value: aws.String(cert.Tags[key])})
	}
	return out, nil
}
