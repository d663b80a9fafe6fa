package secretsmanager

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
)

// secretVersion is a value, kept sealed.
type secretVersion struct {
	ID      string    `json:"id"`
	Sealed  string    `json:"sealed"`
	Binary  bool      `json:"binary,omitempty"`
	Stages  []string  `json:"stages,omitempty"`
	Created time.Time `json:"created"`
}

// secretValue is what a caller gives, in clear.
type secretValue struct {
	text   string // base64 if binary
	binary bool
}

func (a tx) value(text *string, binary []byte) (*secretValue, error) {
	const most = 65536 // bytes: https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html
	switch {
	case text != nil && binary != nil:
		return nil, kernel.Fail("InvalidParameterException", "You can't specify both a binary secret value and a string secret value in the same secret.")
	case text != nil && len(*text) > most || len(binary) > most:
		return nil, kernel.Fail("InvalidParameterException", "The secret value can't be larger than %d bytes.", most)
	case text != nil:
		return &secretValue{text: *text}, nil
	case binary != nil:
		return &secretValue{text: base64.StdEncoding.EncodeToString(binary), binary: true}, nil
	}
	return nil, nil
}

// repeated returns what is wrong with a value that comes with a token used before:
// nothing, if it is the same value.
func (a tx) repeated(s *secret, token string, value *secretValue) error {
	for _, v := range s.Versions {
		if v.ID != token {
			continue
		}
		text, err := a.Unseal(v.Sealed)
		if err != nil {
			return fmt.Errorf("unseal secret %s: %w", s.Name, err)
		}
		if text == value.text && v.Binary == value.binary {
			return nil
		}
	}
	return kernel.Fail("ResourceExistsException", "You can't use ClientRequestToken %s because that value is already in use for a version of secret %s.", token, s.ARN)
}

// addVersion puts a value in, as the current one unless other stages are given.
// Without a token it gets an id of its own.
func (a tx) addVersion(s *secret, token string, value *secretValue, stages []string) *secretVersion {
	if token == "" {
		h := kernel.HexDigits(32)
		token = strings.Join([]string{h[:8], h[8:12], h[12:16], h[16:20], h[20:]}, "-")
	}
	v := &secretVersion{ID: token, Sealed: a.Seal(value.text), Binary: value.binary, Created: a.Now()}
	s.Versions = append(s.Versions, v)
	if len(stages) == 0 || len(s.Versions) == 1 && !slices.Contains(stages, stageCurrent) {
		stages = append([]string{stageCurrent}, stages...)
	}
	for _, stage := range stages {
		s.stage(stage, v)
	}
	s.Changed = a.Now()
	// Versions without a stage are deprecated and go in time.
	for len(s.Versions) > 100 {
		at := slices.IndexFunc(s.Versions, func(v *secretVersion) bool { return len(v.Stages) == 0 })
		if at < 0 {
			break
		}
		s.Versions = slices.Delete(s.Versions, at, at+1)
	}
	return v
}

func (s *secret) staged(stage string) *secretVersion {
	for _, v := range s.Versions {
		if slices.Contains(v.Stages, stage) {
			return v
		}
	}
	return nil
}

// stage moves a staging label. What AWSCURRENT leaves becomes AWSPREVIOUS.
func (s *secret) stage(stage string, to *secretVersion) {
	from := s.staged(stage)
	if from == to {
		return
	}
	if from != nil {
		from.Stages = slices.DeleteFunc(slices.Clone(from.Stages), func(x string) bool { return x == stage })
		if stage == stageCurrent {
			s.stage(stagePrevious, from)
		}
	}
	to.Stages = append(slices.Clone(to.Stages), stage)
	if stage == stageCurrent {
		to.Stages = slices.DeleteFunc(to.Stages, func(x string) bool { return x == stagePrevious })
	}
}

// PutSecretValue adds a version. Its id is the client token, so that a repeated
// request does nothing.
func (a tx) PutSecretValue(in *secretsmanager.PutSecretValueInput) (*secretsmanager.PutSecretValueOutput, error) {
	s, err := a.primary(in.SecretId)
	if err != nil {
		return nil, err
	}
	v, err := a.put(s, in.ClientRequestToken, in.SecretString, in.SecretBinary, in.VersionStages)
	if err != nil {
		return nil, err
	}
	if v == nil {
		return nil, kernel.Fail("InvalidRequestException", "You must provide either SecretString or SecretBinary.")
	}
	return &secretsmanager.PutSecretValueOutput{ARN: aws.String(s.ARN), Name: aws.String(s.Name), VersionId: aws.String(v.ID), VersionStages: slices.Clone(v.Stages)}, nil
}

// put adds a version, or finds the one that the token has added; nil without a value.
func (a tx) put(s *secret, token, text *string, binary []byte, stages []string) (*secretVersion, error) {
	value, err := a.value(text, binary)
	if value == nil || err != nil {
		return nil, err
	}
	id := aws.ToString(token)
	for _, v := range s.Versions {
		if v.ID == id {
			return v, a.repeated(s, id, value)
		}
	}
	return a.addVersion(s, id, value, stages), nil
}

func (a tx) UpdateSecret(in *secretsmanager.UpdateSecretInput) (*secretsmanager.UpdateSecretOutput, error) {
	s, err := a.primary(in.SecretId)
	if err != nil {
		return nil, err
	}
	v, err := a.put(s, in.ClientRequestToken, in.SecretString, in.SecretBinary, nil)
	if err != nil {
		return nil, err
	}
	if in.Description != nil {
		s.Description = *in.Description
	}
	if in.KmsKeyId != nil {
		s.KMSKey = *in.KmsKeyId
	}
	s.Changed = a.Now()
	out := &secretsmanager.UpdateSecretOutput{ARN: aws.String(s.ARN), Name: aws.String(s.Name)}
	if v != nil {
		out.VersionId = aws.String(v.ID)
	}
	return out, nil
}

func (a tx) UpdateSecretVersionStage(in *secretsmanager.UpdateSecretVersionStageInput) (*secretsmanager.UpdateSecretVersionStageOutput, error) {
	s, err := a.primary(in.SecretId)
	if err != nil {
		return nil, err
	}
	stage := aws.ToString(in.VersionStage)
	from := s.staged(stage)
	if from != nil && (in.RemoveFromVersionId == nil || *in.RemoveFromVersionId != from.ID) {
		return nil, kernel.Fail("InvalidParameterException", "The parameter RemoveFromVersionId can't be empty. Staging label %s is currently attached to version %s, so you must explicitly reference that version in RemoveFromVersionId.", stage, from.ID)
	}
	if in.MoveToVersionId == nil {
		if stage == stageCurrent {
			return nil, kernel.Fail("InvalidParameterException", "You can only move staging label %s to a different secret version. It can't be completely removed.", stage)
		}
		if from != nil {
			from.Stages = slices.DeleteFunc(slices.Clone(from.Stages), func(x string) bool { return x == stage })
		}
	} else {
		at := slices.IndexFunc(s.Versions, func(v *secretVersion) bool { return v.ID == *in.MoveToVersionId })
		if at < 0 {
			return nil, kernel.Fail("ResourceNotFoundException", "Secrets Manager can't find the specified secret version: %s.", *in.MoveToVersionId)
		}
		s.stage(stage, s.Versions[at])
	}
	s.Changed = a.Now()
	return &secretsmanager.UpdateSecretVersionStageOutput{ARN: aws.String(s.ARN), Name: aws.String(s.Name)}, nil
}

func (a tx) GetSecretValue(in *secretsmanager.GetSecretValueInput) (*secretsmanager.GetSecretValueOutput, error) {
	s, v, err := a.version(in.SecretId, in.VersionId, in.VersionStage)
	if err != nil {
		return nil, err
	}
	late := kernel.Seconds(a.Faults().SecretValueSeconds)
	if before := s.staged(stagePrevious); in.VersionId == nil && before != nil && a.Now().Before(v.Created.Add(late)) {
		v = before // the value that is new is not seen yet
	}
	text, err := a.Unseal(v.Sealed)
	if err != nil {
		return nil, fmt.Errorf("unseal secret %s: %w", s.Name, err)
	}
	out := &secretsmanager.GetSecretValueOutput{
		ARN: aws.String(s.ARN), Name: aws.String(s.Name), VersionId: aws.String(v.ID), VersionStages: slices.Clone(v.Stages), CreatedDate: aws.Time(v.Created),
	}
	if !v.Binary {
		out.SecretString = aws.String(text)
		return out, nil
	}
	if out.SecretBinary, err = base64.StdEncoding.DecodeString(text); err != nil {
		return nil, fmt.Errorf("decode secret %s: %w", s.Name, err)
	}
	return out, nil
}

// version is the one of that id, with that stage if both are given, else the
// one with that stage, AWSCURRENT by default.
func (a tx) version(secretID, id, stage *string) (*secret, *secretVersion, error) {
	s, err := a.usable(secretID)
	if err != nil {
		return nil, nil, err
	}
	if id != nil && *id != "" {
		for _, v := range s.Versions {
			if v.ID == *id {
				if stage != nil && !slices.Contains(v.Stages, *stage) {
					return nil, nil, kernel.Fail("InvalidRequestException", "You provided a VersionStage that is not associated to the provided VersionId.")
				}
				return s, v, nil
			}
		}
		return nil, nil, kernel.Fail("ResourceNotFoundException", "Secrets Manager can't find the specified secret value for VersionId: %s", *id)
	}
	label := stageCurrent
	if stage != nil && *stage != "" {
		label = *stage
	}
	v := s.staged(label)
	if v == nil {
		return nil, nil, kernel.Fail("ResourceNotFoundException", "Secrets Manager can't find the specified secret value for staging label: %s", label)
	}
	return s, v, nil
}

func (s *secret) stages() map[string][]string {
	var out map[string][]string
	for _, v := range s.Versions {
		if len(v.Stages) > 0 {
			if out == nil {
				out = map[string][]string{}
			}
			out[v.ID] = slices.Clone(v.Stages)
		}
	}
	return out
}

func (a tx) ListSecretVersionIds(in *secretsmanager.ListSecretVersionIdsInput) (*secretsmanager.ListSecretVersionIdsOutput, error) {
	s, err := a.secret(in.SecretId)
	if err != nil {
		return nil, err
	}
	out := &secretsmanager.ListSecretVersionIdsOutput{ARN: aws.String(s.ARN), Name: aws.String(s.Name)}
	var all []types.SecretVersionsListEntry
	for _, v := range s.Versions {
		if len(v.Stages) > 0 || aws.ToBool(in.IncludeDeprecated) {
			all = append(all, types.SecretVersionsListEntry{VersionId: aws.String(v.ID), VersionStages: slices.Clone(v.Stages), CreatedDate: aws.Time(v.Created)})
		}
	}
	out.Versions, out.NextToken, err = secretsPage(all, in.MaxResults, in.NextToken)
	return out, err
}

func secretsPage[T any](all []T, limit *int32, token *string) ([]T, *string, error) {
	n := 100
	if limit != nil {
		n = int(min(max(*limit, 1), 100))
	}
	return kernel.PageOf(all, token, n, kernel.Fail("InvalidNextTokenException", "The NextToken value is invalid."))
}
