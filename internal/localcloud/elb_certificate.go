package localcloud

import "crypto/tls"

// certificateFor is the certificate of an HTTPS listener; there are none before
// ACM is served.
func (c *Cloud) certificateFor(arn string) (tls.Certificate, error) {
	return tls.Certificate{}, fail("CertificateNotFound", "Certificate '%s' not found", arn)
}
