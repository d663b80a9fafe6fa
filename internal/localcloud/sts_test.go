package localcloud_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/acm"
	acmtypes "github.com/aws/aws-sdk-go-v2/service/acm/types"
	"github.com/aws/aws-sdk-go-v2/service/route53/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/bookctl/bookctl/internal/localcloud"
)

// TestASessionsCredentialsAreGoodForItsTime asks for credentials that end, and calls
// with them.
func TestASessionsCredentialsAreGoodForItsTime(t *testing.T) {
	t.Parallel()
	cfg := once(openCloud(t, localcloud.Config{}))
	client := sts.NewFromConfig(cfg)
	for seconds, good := range map[int32]bool{899: false, 900: true, 129600: true, 129601: false} {
		out, err := client.GetSessionToken(t.Context(), &sts.GetSessionTokenInput{DurationSeconds: aws.Int32(seconds)})
		if (err == nil) != good {
			t.Errorf("%d s: %v", seconds, err)
		}
		if err != nil {
			continue
		}
		c := out.Credentials
		if left := time.Until(*c.Expiration); left < time.Duration(seconds-60)*time.Second || left > time.Duration(seconds)*time.Second || !strings.HasPrefix(*c.AccessKeyId, "ASIA") {
			t.Errorf("%d s: %s ends in %s", seconds, *c.AccessKeyId, left)
		}
		session := cfg.Copy()
		session.Credentials = credentials.NewStaticCredentialsProvider(*c.AccessKeyId, *c.SecretAccessKey, *c.SessionToken)
		if _, err := sts.NewFromConfig(session).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{}); err != nil {
			t.Error(err)
		}
	}
}

// TestACertificateIsReadOnceItIsIssued reads the text of a certificate.
func TestACertificateIsReadOnceItIsIssued(t *testing.T) {
	t.Parallel()
	c := openCloud(t, localcloud.Config{})
	d, certificates := newDNS(t, c), acm.NewFromConfig(once(c))
	asked, err := certificates.RequestCertificate(t.Context(), &acm.RequestCertificateInput{DomainName: aws.String("api.example.com"), ValidationMethod: acmtypes.ValidationMethodDns})
	if err != nil {
		t.Fatal(err)
	}
	read := &acm.GetCertificateInput{CertificateArn: asked.CertificateArn}
	if _, err := certificates.GetCertificate(t.Context(), read); err == nil || !strings.Contains(err.Error(), "RequestInProgressException") {
		t.Errorf("before it is issued: %v", err)
	}
	about, err := certificates.DescribeCertificate(t.Context(), &acm.DescribeCertificateInput{CertificateArn: asked.CertificateArn})
	if err != nil {
		t.Fatal(err)
	}
	record := about.Certificate.DomainValidationOptions[0].ResourceRecord
	if err := d.change(types.ChangeActionCreate, *record.Name, types.RRTypeCname, *record.Value); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		var out *acm.GetCertificateOutput
		if out, err = certificates.GetCertificate(t.Context(), read); err == nil {
			if !strings.HasPrefix(*out.Certificate, "-----BEGIN CERTIFICATE-----") || strings.Count(*out.Certificate, "BEGIN") != 1 {
				t.Errorf("it is %s", *out.Certificate)
			}
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Errorf("it is never issued: %v", err)
}
