package elb

import (
	"crypto/tls"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
)

// maxExtraCertificates of a load balancer, default ones aside
// (https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-limits.html).
const maxExtraCertificates = 25

// DescribeListenerCertificates lists the default certificate and those that are
// chosen by the name that the client asks for.
func (a tx) DescribeListenerCertificates(in *elb.DescribeListenerCertificatesInput) (*elb.DescribeListenerCertificatesOutput, error) {
	l, err := a.listener(in.ListenerArn)
	if err != nil {
		return nil, err
	}
	all := []types.Certificate{}
	for _, c := range l.Certificates {
		all = append(all, types.Certificate{CertificateArn: c.CertificateArn, IsDefault: aws.Bool(true)})
	}
	for _, arn := range l.Extra {
		all = append(all, types.Certificate{CertificateArn: aws.String(arn), IsDefault: aws.Bool(false)})
	}
	page, next, err := page(all, in.Marker, in.PageSize)
	return &elb.DescribeListenerCertificatesOutput{Certificates: page, NextMarker: next}, err
}

// AddListenerCertificates adds a certificate to an HTTPS listener; one that it
// has is no error.
func (a tx) AddListenerCertificates(in *elb.AddListenerCertificatesInput) (*elb.AddListenerCertificatesOutput, error) {
	l, arns, err := a.namedCertificates(in.ListenerArn, in.Certificates)
	if err != nil {
		return nil, err
	}
	extra := slices.Clone(l.Extra)
	out := &elb.AddListenerCertificatesOutput{}
	for _, arn := range arns {
		if _, err := a.needs.Certificates.Certificate(a.Tx, arn); err != nil {
			return nil, err
		}
		if !slices.Contains(extra, arn) {
			extra = append(extra, arn)
		}
		out.Certificates = append(out.Certificates, types.Certificate{CertificateArn: aws.String(arn), IsDefault: aws.Bool(false)})
	}
	if len(extra) > maxExtraCertificates {
		return nil, kernel.Fail("TooManyCertificates", "The maximum number of certificates per load balancer has been reached")
	}
	l.Extra = extra
	return out, a.showCertificates(l)
}

// RemoveListenerCertificates is the opposite; the default certificate can't go
// this way.
func (a tx) RemoveListenerCertificates(in *elb.RemoveListenerCertificatesInput) (*elb.RemoveListenerCertificatesOutput, error) {
	l, arns, err := a.namedCertificates(in.ListenerArn, in.Certificates)
	if err != nil {
		return nil, err
	}
	for _, arn := range arns {
		if aws.ToString(l.Certificates[0].CertificateArn) == arn && !slices.Contains(l.Extra, arn) {
			return nil, kernel.Fail("OperationNotPermitted", "Default certificate '%s' cannot be removed", arn)
		}
	}
	l.Extra = slices.DeleteFunc(slices.Clone(l.Extra), func(arn string) bool { return slices.Contains(arns, arn) })
	return &elb.RemoveListenerCertificatesOutput{}, a.showCertificates(l)
}

func (a tx) namedCertificates(listener *string, certificates []types.Certificate) (*listener, []string, error) {
	l, err := a.listener(listener)
	if err != nil {
		return nil, nil, err
	}
	if l.Protocol != types.ProtocolEnumHttps {
		return nil, nil, kernel.Fail("OperationNotPermitted", "Certificates cannot be specified for %s listeners", l.Protocol)
	}
	if len(certificates) != 1 {
		// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_AddListenerCertificates.html
		return nil, nil, kernel.Fail("ValidationError", "You can specify one certificate per call")
	}
	c := certificates[0]
	if c.IsDefault != nil {
		return nil, nil, kernel.Fail("ValidationError", "Do not set IsDefault")
	}
	return l, []string{aws.ToString(c.CertificateArn)}, nil
}

// showCertificates has a running listener use what it was given.
func (a tx) showCertificates(l *listener) error {
	running := a.running().listeners[*l.ListenerArn]
	if running == nil {
		return nil
	}
	var all []*tls.Certificate
	for _, arn := range append([]string{aws.ToString(l.Certificates[0].CertificateArn)}, l.Extra...) {
		cert, err := a.needs.Certificates.Certificate(a.Tx, arn)
		if err != nil {
			return err
		}
		all = append(all, &cert)
	}
	running.SetCertificates(all...)
	return nil
}
