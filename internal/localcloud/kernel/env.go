package kernel

import (
	"context"
	"crypto/cipher"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// Env is what may be used with and without the lock: the account, region and endpoint
// of the cloud, its clock, faults and latencies, and the key of its secrets.
type Env struct {
	stateDir, account, region, endpoint string
	latencies                           Latencies
	log                                 *slog.Logger
	stateCipher                         cipher.AEAD // encrypts the secrets in the state

	faultsMu sync.Mutex // guards the fields below
	faults   Faults
	calls    map[string]uint64 // by action, since the faults were set
	total    int
}

// Account is the number of the account.
func (e *Env) Account() string { return e.account }

// Region is the only region.
func (e *Env) Region() string { return e.region }

// Endpoint is the address of all services, such as "http://127.0.0.1:4567". It is
// empty until Kernel.SetEndpoint.
func (e *Env) Endpoint() string { return e.endpoint }

// StateDir is the directory of everything that survives a restart.
func (e *Env) StateDir() string { return e.stateDir }

// Log is the log of the cloud itself.
func (e *Env) Log() *slog.Logger { return e.log }

// Now is the current time. It has no monotonic clock reading, which a saved state
// would lose.
func (e *Env) Now() time.Time { return time.Now().UTC().Truncate(time.Millisecond) }

// ARN returns the ARN of a resource in this account and region.
func (e *Env) ARN(service, resource string) string {
	region, account := e.region, e.account
	switch service {
	case "iam", "sts":
		region = "" // they are global
	case "route53":
		region, account = "", ""
	}
	return fmt.Sprintf("arn:%s:%s:%s:%s:%s", e.Partition(), service, region, account, resource)
}

// The name and id of the only user. Every caller that is not a session of a role is
// this user.
const (
	LocalUser   = "local"
	LocalUserID = "AIDALOCALCLOUDUSER000"
)

// CallerARN is the ARN of that user.
func (e *Env) CallerARN() string { return e.ARN("iam", "user/"+LocalUser) }

// Partition is the partition of the region, such as "aws-cn".
func (e *Env) Partition() string { return partitionOf(e.region).name }

// partition is a partition of AWS.
type partition struct {
	name string
	// global is the region in the signatures for services without regions.
	global string
}

// partitions are the partitions by the beginning of their regions' names
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html). All other
// regions belong to the partition "aws".
var partitions = map[string]partition{
	"cn-":      {"aws-cn", "cn-north-1"},
	"eusc-":    {"aws-eusc", "eusc-de-east-1"},
	"us-gov-":  {"aws-us-gov", "us-gov-west-1"},
	"us-iso-":  {"aws-iso", "us-iso-east-1"},
	"us-isob-": {"aws-iso-b", "us-isob-east-1"},
	"eu-isoe-": {"aws-iso-e", "eu-isoe-west-1"},
	"us-isof-": {"aws-iso-f", "us-isof-south-1"},
}

func partitionOf(region string) partition {
	for prefix, p := range partitions {
		if strings.HasPrefix(region, prefix) {
			return p
		}
	}
	return partition{"aws", "us-east-1"}
}

// Latencies returns the latencies without Scale applied.
func (e *Env) Latencies() Latencies { return e.latencies }

// Scaled is a duration multiplied by Latencies.Scale.
func (e *Env) Scaled(d time.Duration) time.Duration {
	if e.latencies.Scale == 0 {
		return d
	}
	return time.Duration(float64(d) * e.latencies.Scale)
}

// ScaledTo is Scaled, but not shorter than least, or than d itself if d is shorter
// still. It is for real programs, which need their real time.
func (e *Env) ScaledTo(least, d time.Duration) time.Duration {
	return max(e.Scaled(d), min(d, least))
}

// Pause waits for a latency. It returns false if ctx ends before.
func (e *Env) Pause(ctx context.Context, d time.Duration) bool { return Wait(ctx, nil, e.Scaled(d)) }

// Wait waits for d. It returns false if, before that, ctx ends or stop is closed,
// which may be nil.
func Wait(ctx context.Context, stop <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-stop:
	case <-ctx.Done():
	}
	return false
}

// Seal encrypts a secret that is saved in the state.
func (e *Env) Seal(secret string) string {
	return base64.StdEncoding.EncodeToString(e.stateCipher.Seal(nil, nil, []byte(secret), nil)) //nolint:gosec // the AEAD generates a random nonce itself
}

// Unseal decrypts a text that Seal returned.
func (e *Env) Unseal(sealed string) (string, error) {
	text, err := base64.StdEncoding.DecodeString(sealed)
	if err != nil {
		return "", fmt.Errorf("a secret in the state is damaged: %w", err)
	}
	secret, err := e.stateCipher.Open(nil, nil, text, nil)
	if err != nil {
		return "", errors.New("a secret in the state was encrypted with another key")
	}
	return string(secret), nil
}
