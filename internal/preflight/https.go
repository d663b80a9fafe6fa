package preflight

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/acm"
	acmtypes "github.com/aws/aws-sdk-go-v2/service/acm/types"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/provision"
)

// checkHTTPS checks that the hosted zone or the certificate exists, if the stack does
// not have it yet, and that the two fit each other.
func checkHTTPS(ctx context.Context, c provision.Clients, in Intent) error {
	have, want := in.Deployed.Settings, in.Settings
	as := "as " + strconv.Quote(have.Domain)
	if have.Domain == "" {
		as = "with certificate " + have.Certificate
	}
	switch {
	case in.Deployed.ServedHTTPS && (have.Secure() && !want.Secure() || have.Domain != "" && want.Domain != have.Domain):
		return hint.With(fmt.Errorf("this stack serves HTTPS %s, which can't be changed or removed", as), "create another stack for the other name, with --stack")
	case have.Secure() && !want.Secure():
		return hint.With(fmt.Errorf("this stack is to serve HTTPS %s, which can't be removed", as), "give another --domain or --certificate, or destroy the stack and create it again without")
	}
	if want.Domain != "" && want.Domain != have.Domain {
		if _, err := provision.HostedZone(ctx, c, want.Domain); err != nil {
			return err
		}
	}
	if want.Certificate == "" || want.Certificate == have.Certificate && want.Domain == have.Domain {
		return nil
	}
	return checkCertificate(ctx, c.ACM, want)
}

// checkCertificate checks that a load balancer takes the certificate of the settings, and that
// it is for their domain.
func checkCertificate(ctx context.Context, client *acm.Client, want provision.Settings) error {
	out, err := client.DescribeCertificate(ctx, &acm.DescribeCertificateInput{CertificateArn: &want.Certificate})
	switch {
	case provision.IsCode(err, "ResourceNotFoundException"):
		return fmt.Errorf("certificate %s does not exist in this account and region", want.Certificate)
	case err != nil:
		return fmt.Errorf("describe certificate %s: %w", want.Certificate, err)
	case out.Certificate.Status != acmtypes.CertificateStatusIssued:
		return fmt.Errorf("certificate %s is %s: a load balancer takes it when it is ISSUED", want.Certificate, out.Certificate.Status)
	}
	names := out.Certificate.SubjectAlternativeNames
	if name := aws.ToString(out.Certificate.DomainName); !slices.Contains(names, name) {
		names = append([]string{name}, names...)
	}
	if want.Domain != "" && !slices.ContainsFunc(names, func(name string) bool { return covers(name, want.Domain) }) {
		return hint.With(fmt.Errorf("certificate %s is for %s, and not for %s", want.Certificate, strings.Join(names, ", "), want.Domain),
			"give one that is for the domain; with --domain and without a certificate of yours, bookctl requests one")
	}
	return nil
}

// covers reports whether a name of a certificate is the domain, or stands for it: a wildcard
// stands for one label.
// https://docs.aws.amazon.com/acm/latest/userguide/acm-certificate-characteristics.html
func covers(name, domain string) bool {
	if parent, wildcard := strings.CutPrefix(name, "*."); wildcard {
		_, under, _ := strings.Cut(domain, ".")
		return strings.EqualFold(parent, under)
	}
	return strings.EqualFold(name, domain)
}
