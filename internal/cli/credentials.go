package cli

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/processcreds"
	"github.com/aws/aws-sdk-go-v2/credentials/ssocreds"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/logging"

	"github.com/bookctl/bookctl/internal/diagnosis"
	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/pattern"
	"github.com/bookctl/bookctl/internal/provision"
)

// authError is an error about the caller's credentials, or about getting them.
type authError struct{ error }

func (e authError) Unwrap() error { return e.error }

// signIn gets the credentials before the first call, so that a failure is reported as one
// of credentials. The SDK caches them.
func signIn(ctx context.Context, cfg aws.Config) error {
	if cfg.Credentials == nil || cfg.Region == "" {
		return nil // a region is asked for first
	}
	ctx, cancel := context.WithTimeout(ctx, provision.SignInTimeout)
	defer cancel()
	if _, err := cfg.Credentials.Retrieve(ctx); err != nil {
		return authError{noAccess{err}}
	}
	return nil
}

// noAccess is the SDK's error of getting credentials.
type noAccess struct{ error }

func (e noAccess) Unwrap() error { return e.error }

// unreached wraps an error of the first call to AWS. If AWS can't be reached, the
// credentials are not at fault.
func unreached(err error) error {
	var (
		unknown *net.DNSError
		trust   *tls.CertificateVerificationError
	)
	if errors.As(err, &unknown) || errors.As(err, &trust) {
		return authError{err}
	}
	return err
}

// loadConfig reads the user's AWS configuration.
func loadConfig(ctx context.Context, s streams, g *globals) (aws.Config, error) {
	options := []func(*config.LoadOptions) error{
		// The SDK's log lines about connections do not help the user.
		config.WithLogger(logging.Nop{}),
		config.WithRetryer(retryer),
		config.WithAppID(appID()),
		config.WithAssumeRoleCredentialOptions(func(o *stscreds.AssumeRoleOptions) { assumeRole(o, s, g) }),
	}
	if g.region != "" {
		options = append(options, config.WithRegion(g.region))
	}
	cfg, err := loadProfile(ctx, profileName(), options)
	var unknown config.SharedConfigProfileNotExistError
	switch {
	case errors.As(err, &unknown):
		return cfg, err // explainCall has the words for it
	case err != nil:
		return cfg, authError{misconfigured(err)}
	}
	return cfg, nil
}

// deviceSession is how long a session lasts that began with a code, unless the profile says
// it. Every role allows an hour, and the SDK asks for the next code after 15 minutes, in the
// middle of a run. https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
const deviceSession = time.Hour

// assumeRole completes what the SDK has read of the profile.
func assumeRole(o *stscreds.AssumeRoleOptions, s streams, g *globals) {
	o.TokenProvider = func() (string, error) {
		if g.unattended.Load() {
			return "", errNoTerminal
		}
		return askForCode(s, aws.ToString(o.SerialNumber), g.printAboveView.Load())
	}
	if o.SerialNumber != nil && o.Duration == 0 {
		o.Duration = deviceSession
	}
}

// profileName is the profile that the environment names; "" is the default one.
func profileName() string { return cmp.Or(os.Getenv("AWS_PROFILE"), os.Getenv("AWS_DEFAULT_PROFILE")) }

// loadProfile reads the configuration. If the name of a profile has a space, 'aws
// configure' quotes it in the configuration and not in the credentials, and the Go SDK
// takes the quotes for a part of the name.
func loadProfile(ctx context.Context, profile string, options []func(*config.LoadOptions) error) (aws.Config, error) {
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	var unknown config.SharedConfigProfileNotExistError
	noProfile := errors.As(err, &unknown)
	if !strings.ContainsAny(profile, " \t") || !noProfile && (err != nil || cfg.Region != "") {
		return cfg, err
	}
	for _, quote := range []string{"'", `"`} {
		quoted, quotedErr := config.LoadDefaultConfig(ctx, append(options, config.WithSharedConfigProfile(quote+profile+quote))...)
		switch {
		case quotedErr != nil:
		case noProfile:
			return quoted, nil
		case quoted.Region != "":
			cfg.Region = quoted.Region
			return cfg, nil
		}
	}
	return cfg, err
}

// misconfigured is an error of reading the configuration, with what to do.
func misconfigured(err error) error {
	bundle := os.Getenv("AWS_CA_BUNDLE")
	var (
		text = err.Error()
		file config.SharedConfigLoadError
		path *os.PathError
	)
	switch {
	case strings.Contains(text, "custom CA bundle"), bundle != "" && errors.As(err, &path) && path.Path == bundle:
		where := cmp.Or(bundle, "ca_bundle of the profile")
		return hint.With(fmt.Errorf("AWS_CA_BUNDLE names %s, which holds no certificates that can be read: %w", where, err),
			"name a file of certificates in PEM with AWS_CA_BUNDLE (or ca_bundle in ~/.aws/config), or unset it")
	case errors.As(err, &file):
		return hint.With(fmt.Errorf("read the AWS configuration: %w", err), "fix %s", file.Filename)
	}
	return hint.With(fmt.Errorf("read the AWS configuration: %w", err), "fix what it names, in the environment (AWS_…) or in ~/.aws/config")
}

// askForCode asks for the code of the device that a profile's mfa_serial names. The code is shown
// while it is typed, because it is worthless after its use. If note is not nil, it prints a line above
// the live view of a run.
func askForCode(s streams, serial string, note *func(string, ...any)) (string, error) {
	if !isTerminal(s.in) {
		return "", errNoTerminal
	}
	if note != nil {
		(*note)("Code of the MFA device %s: the run waits until it is typed, with Enter", serial)
	} else {
		fmt.Fprintf(s.err, "Code of the MFA device %s: ", serial)
	}
	var code []byte
	for one := make([]byte, 1); ; { // and no more than the line: what follows is for others
		n, err := s.in.Read(one)
		if n == 1 && one[0] != '\n' {
			code = append(code, one[0])
			continue
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return "", fmt.Errorf("read the code of the MFA device: %w", err)
		}
		break
	}
	text := strings.TrimSpace(string(code))
	if !mfaCode.MatchString(text) {
		return "", errNoCode
	}
	return text, nil
}

var (
	// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
	mfaCode       = pattern.New(`^[0-9]{6}$`)
	errNoTerminal = errors.New("the AWS profile asks for the code of an MFA device (mfa_serial), and there is no terminal to ask on")
	errNoCode     = errors.New("that is not the code of an MFA device: it has six digits")
)

// noCredentials recognises the SDK's errors of getting credentials; it has no type
// for them.
func noCredentials(err error) bool {
	var none noAccess
	return errors.As(err, &none) || strings.Contains(err.Error(), "failed to refresh cached credentials") ||
		strings.Contains(err.Error(), "get credentials:") || strings.Contains(err.Error(), "failed to retrieve credentials")
}

// explainCredentials explains why there are no credentials: by the type of the SDK's error if it
// has one, otherwise by its text.
func explainCredentials(err error) diagnosis.Explanation {
	var (
		text     = err.Error()
		profile  = profileName()
		apiErr   smithy.APIError
		call     *smithy.OperationError
		process  *processcreds.ProviderError
		sso      *ssocreds.InvalidTokenError
		unknown  *net.DNSError
		trust    *tls.CertificateVerificationError
		awsError string
	)
	ofProfile := func(words ...string) hint.Invocation {
		if profile != "" {
			words = append(words, "--profile", shellWord(profile))
		}
		return hint.AWS(words...)
	}
	if errors.As(err, &apiErr) {
		awsError = apiErr.ErrorCode() + wrapIfAny(": ", sentence(apiErr.ErrorMessage()), "")
	}
	operation := ""
	if errors.As(err, &call) {
		operation = call.Operation()
	}
	has := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(text, w) {
				return true
			}
		}
		return false
	}
	switch {
	case errors.Is(err, errNoTerminal):
		return explanation(capital(errNoTerminal.Error())+".",
			hint.New("in CI use a role that needs no device, for example by OpenID Connect (AWS_WEB_IDENTITY_TOKEN_FILE); or get a session where there is a terminal, %s, and hand it on as AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN", hint.AWS("sts", "assume-role", "--serial-number", "…", "--token-code", "…")))
	case errors.Is(err, errNoCode):
		return explanation(capital(errNoCode.Error())+".", hint.New("run the same command again, and type the code that the device shows"))
	case errors.As(err, &process):
		return explanation("The program that credential_process names gives no credentials: "+processFault(process)+".",
			hint.New("run it by hand: it has to print JSON with Version 1, AccessKeyId and SecretAccessKey, and to exit with 0; it is configured in ~/.aws/config"))
	case errors.As(err, &unknown):
		return explanation(fmt.Sprintf("The AWS credentials can't be loaded: there is no address for %s.", unknown.Name),
			hint.New("check the network and DNS, and the region in --region, AWS_REGION or ~/.aws/config"))
	case errors.As(err, &trust):
		return explainCertificate(trust)
	case operation == "GetRoleCredentials" && has("ForbiddenException"):
		return explanation("AWS SSO does not give this user the role of the profile: "+awsError+".",
			hint.New("check sso_account_id and sso_role_name in ~/.aws/config; %s lists what there is", ofProfile("configure", "sso")))
	case errors.As(err, &sso), has("SSO token"), operation == "GetRoleCredentials", operation == "CreateToken":
		return explanation("The AWS SSO session has expired, or was never begun.", hint.New("%s, and run the same command again", ofProfile("sso", "login")))
	case has("please reauthenticate", "load login token", "validate login token"), operation == "CreateOAuth2Token":
		return explanation("The session of 'aws login' has expired, or was never begun.", hint.New("%s, and run the same command again", ofProfile("login")))
	case has("failed to retrieve jwt"):
		_, why, _ := strings.Cut(text, "from provide source, ")
		return explanation("The web identity token can't be read: "+sentence(why)+".",
			hint.New("AWS_WEB_IDENTITY_TOKEN_FILE, or web_identity_token_file in ~/.aws/config, has to name a file that EKS or CI puts there; or unset it"))
	case operation == "AssumeRoleWithWebIdentity":
		return explanation("AWS does not take the web identity token: "+sentence(cmp.Or(awsError, text))+".",
			hint.New("the role's trust policy has to allow the token's issuer, audience and subject, and the token has to be fresh"))
	case operation == "AssumeRole" && has("MultiFactorAuthentication"):
		return explanation("AWS does not take the code of the MFA device: "+awsError+".", hint.New("run the same command again with a new code: each can be used only once"))
	case operation == "AssumeRole" && awsError != "":
		return explanation("AWS does not let these credentials assume the role of the profile: "+awsError+".",
			hint.New("check role_arn and source_profile in ~/.aws/config: the role's trust policy and the source's permissions both have to allow sts:AssumeRole"))
	case has("access disabled to EC2 IMDS"):
	case has("EC2 IMDS role found") && !has("StatusCode: 404"):
		return explanation("There are no AWS credentials: neither the environment nor the profile gives any, and this machine has no metadata service (IMDS) that would.",
			hint.New("sign in with %s, %s or %s, or set AWS_PROFILE; in a container on EC2, raise the instance's metadata hop limit to 2; %s needs no account", hint.AWS("login"), hint.AWS("sso", "login"), hint.AWS("configure"), hint.Command("up", "--local")))
	case has("EC2 IMDS role found"):
		return explanation("There are no AWS credentials: neither the environment nor the profile gives any, and this EC2 instance has no role.",
			hint.New("give the instance a role (instance profile), or set AWS_PROFILE; %s needs no account", hint.Command("up", "--local")))
	case has("EC2 IMDS"):
		return explanation("The metadata service (IMDS) of this EC2 instance does not give the credentials of its role: "+sentence(cmp.Or(awsError, shorten(lastCause(text), longestQuote)))+".",
			hint.New("try again; then check the instance's role and AWS_EC2_METADATA_SERVICE_ENDPOINT"))
	case has("failed to load credentials"):
		return explanation("The credentials endpoint of this container (AWS_CONTAINER_CREDENTIALS_FULL_URI or …_RELATIVE_URI) gives none: "+sentence(cmp.Or(awsError, shorten(lastCause(text), longestQuote)))+".",
			hint.New("check the task's role, or unset the variable"))
	case errors.Is(err, context.DeadlineExceeded):
		return explanation("The AWS credentials did not come within "+provision.SignInTimeout.String()+".", hint.New("check the network, and what AWS_PROFILE names"))
	default:
		return explanation("The AWS credentials can't be loaded: "+sentence(shorten(strings.TrimPrefix(text, "failed to refresh cached credentials, "), 2*longestQuote))+".",
			hint.New("check AWS_PROFILE and ~/.aws/config; %s asks the same", hint.AWS("sts", "get-caller-identity")))
	}
	return explanation("There are no AWS credentials: neither the environment, nor the profile, nor this machine gives any.",
		hint.New("sign in with %s, %s or %s, or set AWS_PROFILE; %s needs no account", hint.AWS("login"), hint.AWS("sso", "login"), hint.AWS("configure"), hint.Command("up", "--local")))
}

// processFault describes how a credential process failed, without its output, which may
// contain credentials.
func processFault(err *processcreds.ProviderError) string {
	text := err.Err.Error()
	if strings.HasPrefix(text, "parse failed") {
		return "it prints something else than JSON"
	}
	return strings.TrimPrefix(text, "error in credential_process: ")
}

// lastCause is the innermost of the SDK's errors, which it joins by commas.
func lastCause(text string) string { return text[strings.LastIndex(text, ", ")+1:] }

// explainCertificate explains an error about a certificate that this machine does not trust.
func explainCertificate(trust *tls.CertificateVerificationError) diagnosis.Explanation {
	whom := "the server"
	if len(trust.UnverifiedCertificates) > 0 {
		whom = cmp.Or(trust.UnverifiedCertificates[0].Subject.CommonName, whom)
		if names := trust.UnverifiedCertificates[0].DNSNames; len(names) > 0 {
			whom = names[0]
		}
	}
	return explanation(fmt.Sprintf("The certificate of %s is not trusted: %s.", whom, sentence(trust.Err.Error())),
		hint.New("where a proxy of your network signs it, AWS_CA_BUNDLE has to name a file with its authority (PEM) and AWS's; else unset AWS_CA_BUNDLE"))
}
