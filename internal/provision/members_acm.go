package provision

import (
	"github.com/aws/aws-sdk-go-v2/service/acm"
	acmtypes "github.com/aws/aws-sdk-go-v2/service/acm/types"
)

// missingACM is missing for answers of ACM.
func missingACM(answer any) string {
	switch a := answer.(type) {
	case *acm.RequestCertificateOutput:
		return require(has(a.CertificateArn), "CertificateArn")
	case *acm.DescribeCertificateOutput:
		if a.Certificate == nil {
			return "Certificate"
		}
		return require(all(a.Certificate.DomainValidationOptions, func(o acmtypes.DomainValidation) bool {
			return o.ResourceRecord == nil || has(o.ResourceRecord.Name) && has(o.ResourceRecord.Value)
		}), "ResourceRecord.Name")
	case *acm.ListCertificatesOutput:
		return requireList("CertificateSummaryList", a.CertificateSummaryList)
	case *acm.ListTagsForCertificateOutput:
		return requireList("Tags", a.Tags)
	}
	return ""
}
