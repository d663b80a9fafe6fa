package secretsmanager

import (
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
)

// replica is where else a secret is. The local cloud has one region: a replica in another
// one is only noted.
type replica struct {
	Region string `json:"region"`
	KMSKey string `json:"kmsKey,omitempty"`
}

// primary is usable for what has to be called in the region of the primary secret.
// https://github.com/gruntwork-io/cloud-nuke/issues/435
func (a tx) primary(id *string) (*secret, error) {
	s, err := a.usable(id)
	if err == nil {
		err = s.notReplica()
	}
	return s, err
}

func (s *secret) notReplica() error {
	if s.Primary == "" {
		return nil
	}
	return kernel.Fail("InvalidParameterException", "Operation not permitted on a replica secret. Call must be made in primary secret's region.")
}

// deletable refuses to delete a secret that has replicas, or is one.
// https://github.com/rebuy-de/aws-nuke/issues/1127
func (s *secret) deletable() error {
	if err := s.notReplica(); err != nil || len(s.Replicas) == 0 {
		return err
	}
	var regions []string
	for _, r := range s.Replicas {
		regions = append(regions, r.Region)
	}
	return kernel.Fail("InvalidParameterException", "You can't delete secret %s that still has replica regions [%s].", s.ARN, strings.Join(regions, ", "))
}

// primaryRegion is set only for a secret that is replicated.
func (a tx) primaryRegion(s *secret) *string {
	if s.Primary == "" && len(s.Replicas) > 0 {
		return aws.String(a.Region())
	}
	return kernel.NonEmpty(s.Primary)
}

func (s *secret) replication() []types.ReplicationStatusType {
	var out []types.ReplicationStatusType
	for _, r := range s.Replicas {
		out = append(out, types.ReplicationStatusType{Region: aws.String(r.Region), KmsKeyId: kernel.NonEmpty(r.KMSKey), Status: types.StatusTypeInSync})
	}
	return out
}

func (a tx) ReplicateSecretToRegions(in *secretsmanager.ReplicateSecretToRegionsInput) (*secretsmanager.ReplicateSecretToRegionsOutput, error) {
	s, err := a.primary(in.SecretId)
	if err != nil {
		return nil, err
	}
	if err := a.replicate(s, in.AddReplicaRegions); err != nil {
		return nil, err
	}
	return &secretsmanager.ReplicateSecretToRegionsOutput{ARN: aws.String(s.ARN), ReplicationStatus: s.replication()}, nil
}

func (a tx) replicate(s *secret, regions []types.ReplicaRegionType) error {
	for _, r := range regions {
		region := aws.ToString(r.Region)
		if region == a.Region() || slices.ContainsFunc(s.Replicas, func(x replica) bool { return x.Region == region }) {
			return kernel.Fail("InvalidParameterException", "Invalid replica region: %s", region)
		}
		s.Replicas = append(s.Replicas, replica{region, aws.ToString(r.KmsKeyId)})
	}
	return nil
}

func (a tx) RemoveRegionsFromReplication(in *secretsmanager.RemoveRegionsFromReplicationInput) (*secretsmanager.RemoveRegionsFromReplicationOutput, error) {
	s, err := a.primary(in.SecretId)
	if err != nil {
		return nil, err
	}
	s.Replicas = slices.DeleteFunc(s.Replicas, func(r replica) bool { return slices.Contains(in.RemoveReplicaRegions, r.Region) })
	return &secretsmanager.RemoveRegionsFromReplicationOutput{ARN: aws.String(s.ARN), ReplicationStatus: s.replication()}, nil
}

// StopReplicationToReplica makes a replica a secret of its own, which has the region of a
// replica no more.
// https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_StopReplicationToReplica.html
func (a tx) StopReplicationToReplica(in *secretsmanager.StopReplicationToReplicaInput) (*secretsmanager.StopReplicationToReplicaOutput, error) {
	s, err := a.usable(in.SecretId)
	if err != nil {
		return nil, err
	}
	if s.Primary == "" {
		return nil, kernel.Fail("InvalidRequestException", "%s is not a replica.", s.ARN)
	}
	s.Primary = ""
	return &secretsmanager.StopReplicationToReplicaOutput{ARN: aws.String(s.ARN)}, nil
}

// MakeReplica has a secret be the replica of one in another region, as if it had been made
// there.
func (s *Service) MakeReplica(name, primary string) (err error) {
	s.Update(func(t *kernel.Tx) {
		var found *secret
		if found, err = s.in(t).secret(&name); err == nil {
			found.Primary = primary
		}
	})
	return err
}
