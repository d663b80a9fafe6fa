package acm

import (
	"encoding/pem"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/acm"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
)

// GetCertificate returns what was issued, the certificate before those of its chain.
// https://docs.aws.amazon.com/acm/latest/APIReference/API_GetCertificate.html
func (a tx) GetCertificate(in *acm.GetCertificateInput) (*acm.GetCertificateOutput, error) {
	a.issuePending()
	cert, err := a.certificate(in.CertificateArn)
	if err != nil {
		return nil, err
	}
	if cert.Issued.IsZero() {
		return nil, kernel.Fail("RequestInProgressException", "The certificate %s is not yet issued.", cert.ARN)
	}
	own, chain := pem.Decode([]byte(cert.Chain))
	if own == nil {
		return nil, kernel.Fail("ResourceNotFoundException", "Could not find the text of certificate %s.", cert.ARN)
	}
	out := &acm.GetCertificateOutput{Certificate: aws.String(string(pem.EncodeToMemory(own)))}
	if len(chain) > 0 {
		out.CertificateChain = aws.String(string(chain))
	}
	return out, nil
}
