package kernel

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// scope is the credential scope of a signed request
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-signing-elements.html).
// The signature itself is not checked, and every access key is accepted. Those of a
// task, and of a caller that assumed a role, have the permissions of the role.
type scope struct{ key, region, service string }

func credentialScope(r *http.Request) (scope, error) {
	header := r.Header.Get("Authorization")
	if header == "" {
		return scope{}, &Error{Status: http.StatusForbidden, Code: "MissingAuthenticationToken", Message: "Request is missing Authentication Token"}
	}
	incomplete := &Error{
		Status: http.StatusForbidden, Code: "IncompleteSignature",
		Message: "Authorization header requires 'Credential' parameter of the form KEY/DATE/REGION/SERVICE/aws4_request.",
	}
	rest, ok := strings.CutPrefix(header, "AWS4-HMAC-SHA256 ")
	if !ok {
		return scope{}, incomplete
	}
	for field := range strings.SplitSeq(rest, ",") {
		value, ok := strings.CutPrefix(strings.TrimSpace(field), "Credential=")
		if !ok {
			continue
		}
		parts := strings.Split(value, "/")
		if len(parts) != 5 || parts[4] != "aws4_request" || slices.Contains(parts, "") {
			return scope{}, incomplete
		}
		return scope{key: parts[0], region: parts[2], service: parts[3]}, nil
	}
	return scope{}, incomplete
}

// stale returns an error if a request was signed more than five minutes ago, or for a
// time more than five minutes ahead. The error is that of the protocol's services.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-signing-elements.html
func (p Protocol) stale(signed string, now time.Time) error {
	const form, tolerance = "20060102T150405Z", 5 * time.Minute
	at, err := time.Parse(form, signed)
	if err != nil || now.Sub(at).Abs() <= tolerance {
		return nil // also without a valid date, which then can't be checked
	}
	past := now.After(at)
	if p == EC2 && past {
		return &Error{http.StatusBadRequest, "RequestExpired", "Request has expired."}
	}
	if p == EC2 {
		// https://github.com/aws/aws-sdk-java/issues/519
		return &Error{http.StatusUnauthorized, "AuthFailure", "AWS was not able to validate the provided access credentials"}
	}
	// https://github.com/EngineerBetter/control-tower/issues/51
	message := fmt.Sprintf("Signature expired: %s is now earlier than %s (%s - 5 min.)", signed, now.Add(-tolerance).UTC().Format(form), now.UTC().Format(form))
	if !past {
		message = fmt.Sprintf("Signature not yet current: %s is still later than %s (%s + 5 min.)", signed, now.Add(tolerance).UTC().Format(form), now.UTC().Format(form))
	}
	if p == JSON {
		return &Error{http.StatusBadRequest, "InvalidSignatureException", message}
	}
	return &Error{http.StatusForbidden, "SignatureDoesNotMatch", message}
}
