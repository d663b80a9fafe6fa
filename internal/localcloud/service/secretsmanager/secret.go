package secretsmanager

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
	"github.com/bookctl/bookctl/internal/pattern"
)

// state is what Secrets Manager keeps.
type state struct {
	Secrets []*secret `json:"secrets,omitempty"`
	// Gone are those that a list shows although they were deleted.
	Gone []*secret `json:"gone,omitempty"`
}

type secret struct {
	ARN         string            `json:"arn"`
	Name        string            `json:"name"`
	Description string            `json:"description,omitempty"`
	KMSKey      string            `json:"kmsKey,omitempty"`
	Policy      string            `json:"policy,omitempty"`
	Tags        map[string]string `json:"tags,omitempty"`
	Created     time.Time         `json:"created"`
	Changed     time.Time         `json:"changed"`
	// Deletion is when it goes for good; zero: it was not deleted. Of one that is gone it is
	// when it went.
	Deletion time.Time `json:"deletion,omitzero"`
	// Rotating reports whether Rotation, the ARN of a function, is to replace its value.
	Rotating bool   `json:"rotating,omitempty"`
	Rotation string `json:"rotation,omitempty"`
	// Token is the client token it was created with.
	Token string `json:"token,omitempty"`
	// Replicas are where else it is. Primary is the region of the secret that it is a replica
	// of, or "".
	Replicas []replica        `json:"replicas,omitempty"`
	Primary  string           `json:"primary,omitempty"`
	Versions []*secretVersion `json:"versions,omitempty"`
}

// The staging labels that Secrets Manager moves by itself:
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/whats-in-a-secret.html#term_version
const (
	stageCurrent  = "AWSCURRENT"
	stagePrevious = "AWSPREVIOUS"
)

// API is the service's operations.
func (s *Service) API() kernel.Service {
	return kernel.Service{Model: "secretsmanager", Signing: "secretsmanager", Protocol: kernel.JSON, Limits: limits, Operations: kernel.Operations(s.in,
		kernel.Op("CancelRotateSecret", tx.CancelRotateSecret),
		kernel.Op("CreateSecret", tx.CreateSecret),
		kernel.Op("DeleteResourcePolicy", tx.DeleteResourcePolicy),
		kernel.Op("DeleteSecret", tx.DeleteSecret),
		kernel.Op("DescribeSecret", tx.DescribeSecret),
		kernel.Op("GetRandomPassword", tx.GetRandomPassword),
		kernel.Op("GetResourcePolicy", tx.GetResourcePolicy),
		kernel.Op("GetSecretValue", tx.GetSecretValue),
		kernel.Op("ListSecretVersionIds", tx.ListSecretVersionIds),
		kernel.Op("ListSecrets", tx.ListSecrets),
		kernel.Op("PutResourcePolicy", tx.PutResourcePolicy),
		kernel.Op("PutSecretValue", tx.PutSecretValue),
		kernel.Op("RemoveRegionsFromReplication", tx.RemoveRegionsFromReplication),
		kernel.Op("ReplicateSecretToRegions", tx.ReplicateSecretToRegions),
		kernel.Op("RestoreSecret", tx.RestoreSecret),
		kernel.Op("RotateSecret", tx.RotateSecret),
		kernel.Op("StopReplicationToReplica", tx.StopReplicationToReplica),
		kernel.Op("TagResource", tx.TagResource),
		kernel.Op("UntagResource", tx.UntagResource),
		kernel.Op("UpdateSecret", tx.UpdateSecret),
		kernel.Op("UpdateSecretVersionStage", tx.UpdateSecretVersionStage),
	)}
}

// secretSuffix ends an ARN: a hyphen and six random characters, so that a new
// secret of an old name has another ARN.
var secretSuffix = pattern.New(`-[A-Za-z0-9]{6}$`)

// secret finds a secret by its name, its ARN or its ARN without the suffix. An ARN that ends
// as if it had one is taken for the full one:
// https://docs.aws.amazon.com/secretsmanager/latest/userguide/troubleshoot.html#ARN_secretnamehyphen
func (a tx) secret(id *string) (*secret, error) {
	a.expire()
	partial := !secretSuffix.MatchString(*id)
	for _, s := range a.state().Secrets {
		if (s.Name == *id || s.ARN == *id || partial && secretSuffix.ReplaceAllString(s.ARN, "") == *id) && a.Visible(s.ARN) {
			return s, nil
		}
	}
	return nil, kernel.Fail("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
}

// usable is secret for what a deleted one does not allow.
func (a tx) usable(id *string) (*secret, error) {
	s, err := a.secret(id)
	if err == nil && !s.Deletion.IsZero() {
		return nil, kernel.Fail("InvalidRequestException", "You can't perform this operation on the secret because it was marked for deletion.")
	}
	return s, err
}

// expire removes the secrets whose recovery window is over, and those that are gone and
// listed no more.
func (a tx) expire() {
	a.state().Gone = slices.DeleteFunc(a.state().Gone, func(s *secret) bool { return !a.listedLate(s.Deletion) && !a.keepsName(s) })
	a.state().Secrets = slices.DeleteFunc(a.state().Secrets, func(s *secret) bool {
		return !s.Deletion.IsZero() && a.Now().After(s.Deletion)
	})
}

var secretName = pattern.New(`^[A-Za-z0-9/_+=.@!-]{1,512}$`)

// CreateSecret creates a secret, with a first version if it is given a value.
func (a tx) CreateSecret(in *secretsmanager.CreateSecretInput) (*secretsmanager.CreateSecretOutput, error) {
	a.expire()
	name := aws.ToString(in.Name)
	if !secretName.MatchString(name) {
		return nil, kernel.Fail("ValidationException", "Invalid name. Must be a valid name containing alphanumeric characters, or any of the following: -/_+=.@!")
	}
	tags := map[string]string{}
	if err := addSecretTags(tags, in.Tags); err != nil {
		return nil, err
	}
	value, err := a.value(in.SecretString, in.SecretBinary)
	if err != nil {
		return nil, err
	}
	token := aws.ToString(in.ClientRequestToken)
	// Not ResourceExistsException, as LocalStack once answered (its #6530).
	deleted := kernel.Fail("InvalidRequestException", "You can't create this secret because a secret with this name is already scheduled for deletion.")
	if slices.ContainsFunc(a.state().Gone, func(s *secret) bool { return s.Name == name && a.keepsName(s) }) {
		return nil, deleted
	}
	for _, s := range a.state().Secrets {
		if s.Name != name {
			continue
		}
		if !s.Deletion.IsZero() {
			return nil, deleted
		}
		if token == "" || s.Token != token || value != nil && a.repeated(s, token, value) != nil {
			return nil, kernel.Fail("ResourceExistsException", "The operation failed because the secret %s already exists.", name)
		}
		return created(s), nil // a repeated request
	}
	s := &secret{
		ARN: a.ARN("secretsmanager", "secret:"+name+"-"+kernel.RandomText(6, kernel.Letters+kernel.Capitals+kernel.Digits)), Name: name, Tags: tags, Token: token,
		Description: aws.ToString(in.Description), KMSKey: aws.ToString(in.KmsKeyId), Created: a.Now(), Changed: a.Now(),
	}
	if err := a.replicate(s, in.AddReplicaRegions); err != nil {
		return nil, err
	}
	if value != nil {
		a.addVersion(s, token, value, nil)
	}
	a.state().Secrets = append(a.state().Secrets, s)
	a.Created(s.ARN)
	return created(s), nil
}

func created(s *secret) *secretsmanager.CreateSecretOutput {
	out := &secretsmanager.CreateSecretOutput{ARN: aws.String(s.ARN), Name: aws.String(s.Name)}
	if v := s.staged(stageCurrent); v != nil {
		out.VersionId = aws.String(v.ID)
	}
	return out
}

func (s *secret) deletion() *time.Time {
	if s.Deletion.IsZero() {
		return nil
	}
	return aws.Time(s.Deletion)
}

func (a tx) DescribeSecret(in *secretsmanager.DescribeSecretInput) (*secretsmanager.DescribeSecretOutput, error) {
	s, err := a.secret(in.SecretId)
	if err != nil {
		return nil, err
	}
	return &secretsmanager.DescribeSecretOutput{
		ARN: aws.String(s.ARN), Name: aws.String(s.Name), Description: kernel.NonEmpty(s.Description), KmsKeyId: kernel.NonEmpty(s.KMSKey), CreatedDate: aws.Time(s.Created),
		LastChangedDate: aws.Time(s.Changed), DeletedDate: s.deletion(), Tags: secretTags(s.Tags), VersionIdsToStages: s.stages(),
		RotationEnabled: aws.Bool(s.Rotating), RotationLambdaARN: kernel.NonEmpty(s.Rotation), PrimaryRegion: a.primaryRegion(s), ReplicationStatus: s.replication(),
	}, nil
}

// RotateSecret notes by what function a secret is to be rotated. The local cloud has
// no functions, so none runs.
func (a tx) RotateSecret(in *secretsmanager.RotateSecretInput) (*secretsmanager.RotateSecretOutput, error) {
	s, err := a.primary(in.SecretId)
	if err != nil {
		return nil, err
	}
	if in.RotationLambdaARN == nil && s.Rotation == "" {
		return nil, kernel.Fail("InvalidRequestException", "No Lambda rotation function ARN is associated with this secret.")
	}
	if aws.ToBool(in.RotateImmediately) || in.RotateImmediately == nil {
		return nil, kernel.Fail("InvalidRequestException", "The local cloud has no functions: say RotateImmediately false")
	}
	s.Rotating, s.Rotation = true, aws.ToString(cmp.Or(in.RotationLambdaARN, &s.Rotation))
	return &secretsmanager.RotateSecretOutput{ARN: aws.String(s.ARN), Name: aws.String(s.Name)}, nil
}

// CancelRotateSecret turns the rotation off, and remembers the function.
func (a tx) CancelRotateSecret(in *secretsmanager.CancelRotateSecretInput) (*secretsmanager.CancelRotateSecretOutput, error) {
	s, err := a.primary(in.SecretId)
	if err != nil {
		return nil, err
	}
	s.Rotating = false
	return &secretsmanager.CancelRotateSecretOutput{ARN: aws.String(s.ARN), Name: aws.String(s.Name)}, nil
}

// listedLate reports whether a list does not show yet what was at a time.
func (a tx) listedLate(at time.Time) bool {
	return a.Now().Before(at.Add(a.Scaled(a.Latencies().SecretList)))
}

// keepsName reports whether the name of a secret that was deleted by force can't be used yet:
// "If you delete a secret and then immediately create a secret with the same name, use
// appropriate back off and retry logic."
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_DeleteSecret.html
func (a tx) keepsName(s *secret) bool {
	return a.Now().Before(s.Deletion.Add(max(a.Scaled(a.Latencies().SecretName), kernel.Seconds(a.Faults().SecretSeconds))))
}

// ListSecrets "might not reflect changes from the last five minutes":
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_ListSecrets.html
func (a tx) ListSecrets(in *secretsmanager.ListSecretsInput) (*secretsmanager.ListSecretsOutput, error) {
	a.expire()
	var all []types.SecretListEntry
	for _, s := range slices.Concat(a.state().Secrets, a.state().Gone) {
		gone := slices.Contains(a.state().Gone, s)
		if gone && !a.listedLate(s.Deletion) {
			continue
		}
		planned := !s.Deletion.IsZero() && !gone
		if planned && !aws.ToBool(in.IncludePlannedDeletion) || a.listedLate(s.Created) || !a.Visible(s.ARN) {
			continue
		}
		match := true
		for _, f := range in.Filters {
			ok, err := s.matches(f, a.Region())
			if err != nil {
				return nil, err
			}
			match = match && ok
		}
		if match {
			all = append(all, types.SecretListEntry{
				ARN: aws.String(s.ARN), Name: aws.String(s.Name), Description: kernel.NonEmpty(s.Description), KmsKeyId: kernel.NonEmpty(s.KMSKey), CreatedDate: aws.Time(s.Created),
				LastChangedDate: aws.Time(s.Changed), DeletedDate: s.deletion(), Tags: secretTags(s.Tags), SecretVersionsToStages: s.stages(), PrimaryRegion: a.primaryRegion(s),
			})
		}
	}
	if in.SortOrder == types.SortOrderTypeDesc {
		slices.Reverse(all)
	}
	page, next, err := secretsPage(all, in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	return &secretsmanager.ListSecretsOutput{SecretList: page, NextToken: next}, nil
}

// matches applies a filter: its values are prefixes, one of which is enough, and
// ! negates one: https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_Filter.html
func (s *secret) matches(f types.Filter, region string) (bool, error) {
	var have []string
	fold := true // the case does not matter, except in names and tags
	switch f.Key {
	case types.FilterNameStringTypeName:
		have, fold = []string{s.Name}, false
	case types.FilterNameStringTypeDescription:
		have = strings.Fields(s.Description)
	case types.FilterNameStringTypeTagKey:
		have, fold = slices.Collect(maps.Keys(s.Tags)), false
	case types.FilterNameStringTypeTagValue:
		have, fold = slices.Collect(maps.Values(s.Tags)), false
	case types.FilterNameStringTypePrimaryRegion:
		have = []string{cmp.Or(s.Primary, region)}
	case types.FilterNameStringTypeOwningService:
	case types.FilterNameStringTypeAll:
		have = append(strings.Fields(s.Description), s.Name)
		have = slices.AppendSeq(slices.AppendSeq(have, maps.Keys(s.Tags)), maps.Values(s.Tags))
	default:
		return false, kernel.Fail("InvalidParameterException", "Invalid filter key: %s", f.Key)
	}
	return slices.ContainsFunc(f.Values, func(want string) bool {
		want, negated := strings.CutPrefix(want, "!")
		return negated != slices.ContainsFunc(have, func(h string) bool {
			if fold {
				h, want = strings.ToLower(h), strings.ToLower(want)
			}
			return strings.HasPrefix(h, want)
		})
	}), nil
}

// DeleteSecret schedules the deletion, or removes the secret at once by force:
// then even one that does not exist is no error.
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_DeleteSecret.html
func (a tx) DeleteSecret(in *secretsmanager.DeleteSecretInput) (*secretsmanager.DeleteSecretOutput, error) {
	force, days := aws.ToBool(in.ForceDeleteWithoutRecovery), int64(30)
	if in.RecoveryWindowInDays != nil {
		days = *in.RecoveryWindowInDays
		if force {
			return nil, kernel.Fail("InvalidParameterException", "You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.")
		}
		if days < 7 || days > 30 {
			return nil, kernel.Fail("InvalidParameterException", "The RecoveryWindowInDays value must be between 7 and 30 days (inclusive).")
		}
	}
	s, err := a.secret(in.SecretId)
	if force {
		if err != nil {
			arn := *in.SecretId
			if !strings.HasPrefix(arn, "arn:") {
				arn = a.ARN("secretsmanager", "secret:"+arn)
			}
			return &secretsmanager.DeleteSecretOutput{ARN: &arn, Name: in.SecretId, DeletionDate: aws.Time(a.Now())}, nil
		}
		if err := s.deletable(); err != nil {
			return nil, err
		}
		a.state().Secrets = slices.DeleteFunc(a.state().Secrets, func(x *secret) bool { return x == s })
		s.Deletion = a.Now()
		s.Versions = nil
		a.state().Gone = append(a.state().Gone, s)
		return &secretsmanager.DeleteSecretOutput{ARN: aws.String(s.ARN), Name: aws.String(s.Name), DeletionDate: s.deletion()}, nil
	}
	if err != nil {
		return nil, err
	}
	if err := s.deletable(); err != nil {
		return nil, err
	}
	if !s.Deletion.IsZero() {
		return nil, kernel.Fail("InvalidRequestException", "You can't perform this operation on the secret because it was already scheduled for deletion.")
	}
	s.Deletion = a.Now().AddDate(0, 0, int(days))
	return &secretsmanager.DeleteSecretOutput{ARN: aws.String(s.ARN), Name: aws.String(s.Name), DeletionDate: s.deletion()}, nil
}

func (a tx) RestoreSecret(in *secretsmanager.RestoreSecretInput) (*secretsmanager.RestoreSecretOutput, error) {
	s, err := a.secret(in.SecretId)
	if err != nil {
		return nil, err
	}
	if err := s.notReplica(); err != nil {
		return nil, err
	}
	s.Deletion = time.Time{}
	return &secretsmanager.RestoreSecretOutput{ARN: aws.String(s.ARN), Name: aws.String(s.Name)}, nil
}

// GetRandomPassword creates a password of the character types that are not
// excluded, with one of each unless that is not required.
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetRandomPassword.html
func (a tx) GetRandomPassword(in *secretsmanager.GetRandomPasswordInput) (*secretsmanager.GetRandomPasswordOutput, error) {
	length := int64(32)
	if in.PasswordLength != nil {
		length = *in.PasswordLength
	}
	if length < 1 || length > 4096 {
		return nil, kernel.Fail("InvalidParameterException", "InvalidPasswordLength: the password length must be between 1 and 4096.")
	}
	var kinds []string
	for _, k := range []struct {
		exclude    *bool
		characters string
	}{
		{in.ExcludeLowercase, kernel.Letters}, {in.ExcludeUppercase, kernel.Capitals}, {in.ExcludeNumbers, kernel.Digits}, {in.ExcludePunctuation, kernel.Punctuation},
		{aws.Bool(!aws.ToBool(in.IncludeSpace)), " "},
	} {
		left := strings.Map(func(r rune) rune {
			if strings.ContainsRune(aws.ToString(in.ExcludeCharacters), r) {
				return -1
			}
			return r
		}, k.characters)
		if !aws.ToBool(k.exclude) && left != "" {
			kinds = append(kinds, left)
		}
	}
	if len(kinds) == 0 {
		return nil, kernel.Fail("InvalidParameterException", "You can't exclude all character types and characters.")
	}
	var password []byte
	if in.RequireEachIncludedType == nil || *in.RequireEachIncludedType {
		if int(length) < len(kinds) {
			return nil, kernel.Fail("InvalidParameterException", "The password length is too short to include each of the %d included types.", len(kinds))
		}
		for _, k := range kinds {
			password = append(password, kernel.RandomText(1, k)...)
		}
	}
	password = append(password, kernel.RandomText(int(length)-len(password), strings.Join(kinds, ""))...)
	for i := len(password) - 1; i > 0; i-- { // the required ones are not at the front
		j := kernel.RandomBelow(i + 1)
		password[i], password[j] = password[j], password[i]
	}
	return &secretsmanager.GetRandomPasswordOutput{RandomPassword: aws.String(string(password))}, nil
}
