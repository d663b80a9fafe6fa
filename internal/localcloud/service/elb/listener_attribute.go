package elb

import (
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
)

// answerHeaders are the header fields that a listener can set on its answers, by
// their attributes
// (https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_ListenerAttribute.html).
var answerHeaders = map[string]string{
	"routing.http.response.strict_transport_security.header_value":        "Strict-Transport-Security",
	"routing.http.response.access_control_allow_origin.header_value":      "Access-Control-Allow-Origin",
	"routing.http.response.access_control_allow_methods.header_value":     "Access-Control-Allow-Methods",
	"routing.http.response.access_control_allow_headers.header_value":     "Access-Control-Allow-Headers",
	"routing.http.response.access_control_allow_credentials.header_value": "Access-Control-Allow-Credentials",
	"routing.http.response.access_control_expose_headers.header_value":    "Access-Control-Expose-Headers",
	"routing.http.response.access_control_max_age.header_value":           "Access-Control-Max-Age",
	"routing.http.response.content_security_policy.header_value":          "Content-Security-Policy",
	"routing.http.response.x_content_type_options.header_value":           "X-Content-Type-Options",
	"routing.http.response.x_frame_options.header_value":                  "X-Frame-Options",
}

const serverEnabled = "routing.http.response.server.enabled"

// askedHeaders are the fields that an HTTPS listener adds to requests. Their
// names can't be changed here: the listeners send none of them.
var askedHeaders = map[string]string{
	"routing.http.request.x_amzn_mtls_clientcert_serial_number.header_name": "X-Amzn-Mtls-Clientcert-Serial-Number",
	"routing.http.request.x_amzn_mtls_clientcert_issuer.header_name":        "X-Amzn-Mtls-Clientcert-Issuer",
	"routing.http.request.x_amzn_mtls_clientcert_subject.header_name":       "X-Amzn-Mtls-Clientcert-Subject",
	"routing.http.request.x_amzn_mtls_clientcert_validity.header_name":      "X-Amzn-Mtls-Clientcert-Validity",
	"routing.http.request.x_amzn_mtls_clientcert_leaf.header_name":          "X-Amzn-Mtls-Clientcert-Leaf",
	"routing.http.request.x_amzn_mtls_clientcert.header_name":               "X-Amzn-Mtls-Clientcert",
	"routing.http.request.x_amzn_tls_version.header_name":                   "X-Amzn-Tls-Version",
	"routing.http.request.x_amzn_tls_cipher_suite.header_name":              "X-Amzn-Tls-Cipher-Suite",
}

// attributes are all attributes of a listener, by what it is.
func (l *listener) attributes() map[string]string {
	all := map[string]string{serverEnabled: "true"}
	for key := range answerHeaders {
		all[key] = ""
	}
	if l.Protocol == types.ProtocolEnumHttps {
		maps.Copy(all, askedHeaders)
	}
	for key, value := range l.Attributes {
		if _, known := all[key]; known {
			all[key] = value
		}
	}
	return all
}

// header is what the listener sets on its answers.
func (l *listener) header() map[string]string {
	set := map[string]string{}
	for key, value := range l.Attributes {
		if name := answerHeaders[key]; name != "" && value != "" {
			set[name] = value
		}
	}
	return set
}

func listenerAttributes(l *listener) (out []types.ListenerAttribute) {
	all := l.attributes()
	for _, k := range slices.Sorted(maps.Keys(all)) {
		out = append(out, types.ListenerAttribute{Key: aws.String(k), Value: aws.String(all[k])})
	}
	return out
}

// DescribeListenerAttributes lists all attributes.
func (a tx) DescribeListenerAttributes(in *elb.DescribeListenerAttributesInput) (*elb.DescribeListenerAttributesOutput, error) {
	l, err := a.listener(in.ListenerArn)
	if err != nil {
		return nil, err
	}
	return &elb.DescribeListenerAttributesOutput{Attributes: listenerAttributes(l)}, nil
}

// ModifyListenerAttributes changes the given ones, or none if one is wrong.
func (a tx) ModifyListenerAttributes(in *elb.ModifyListenerAttributesInput) (*elb.ModifyListenerAttributesOutput, error) {
	l, err := a.listener(in.ListenerArn)
	if err != nil {
		return nil, err
	}
	known := l.attributes()
	for _, t := range in.Attributes {
		key, value := aws.ToString(t.Key), aws.ToString(t.Value)
		if err := checkListenerAttribute(known, key, value); err != nil {
			return nil, err
		}
	}
	next := maps.Clone(l.Attributes)
	if next == nil {
		next = map[string]string{}
	}
	for _, t := range in.Attributes {
		next[*t.Key] = aws.ToString(t.Value)
	}
	l.Attributes = next
	a.configureListeners()
	return &elb.ModifyListenerAttributesOutput{Attributes: listenerAttributes(l)}, nil
}

// checkListenerAttribute follows
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/header-modification.html.
func checkListenerAttribute(known map[string]string, key, value string) error {
	if _, ok := known[key]; !ok {
		return kernel.Fail("ValidationError", "Listener attribute key '%s' is not recognized", key)
	}
	bad := kernel.Fail("ValidationError", "Listener attribute value '%s' is not valid for the key '%s'", value, key)
	if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' }) {
		return bad
	}
	oneOf := func(values ...string) error {
		if !slices.Contains(values, value) {
			return bad
		}
		return nil
	}
	switch {
	case key == serverEnabled:
		return oneOf("true", "false")
	case askedHeaders[key] != "" && value != askedHeaders[key]:
		return kernel.Fail("ValidationError", "The local cloud's listeners send no header field '%s' that could be renamed", askedHeaders[key])
	case value == "":
		return nil // unset
	case strings.HasSuffix(key, ".x_content_type_options.header_value"):
		return oneOf("nosniff")
	case strings.HasSuffix(key, ".x_frame_options.header_value"):
		return oneOf("DENY", "SAMEORIGIN")
	case strings.HasSuffix(key, ".access_control_allow_credentials.header_value"):
		return oneOf("true")
	}
	return nil
}
