package rds

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
)

// Location is the other account or region that a snapshot is in. The local cloud is one account in one
// region; what is elsewhere is shared with the account, or is its own in another region.
type Location struct {
	// Account and Region are where it is; "" is here.
	Account string `json:"account"`
	Region  string `json:"region"`
	// Denied reports whether the policy of its key does not let this account use it, and Gone that
	// its owner deletes it while it is copied.
	Denied bool `json:"denied,omitempty"`
	Gone   bool `json:"gone,omitempty"`
}

// errSourceGone is why a copy fails whose source is deleted before it is available. No page
// has the words of the event.
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_CopySnapshot.html
var errSourceGone = errors.New("the source snapshot was deleted before the copy was available")

// defaultKey is the end of the ARN of the key that each account has for RDS.
const defaultKey = "key/00000000-0000-4000-8000-000000000000"

// MoveSnapshot puts a manual snapshot into another account or region and returns its ARN
// there: it is as if it had been taken there and, of another account, shared with this one.
// Of another account it has a customer managed key: none with the default key is shared.
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/share-encrypted-snapshot.html
func (s *Service) MoveSnapshot(name string, to Location) (arn string, err error) {
	s.update(func(a tx) {
		at := slices.IndexFunc(a.state().Snapshots, func(s *snapshot) bool { return s.ID == name })
		if at < 0 {
			err = kernel.Fail("DBSnapshotNotFound", "DBSnapshot not found: %s", name)
			return
		}
		found := a.state().Snapshots[at]
		if found.Status != dbAvailable || found.Type != snapshotManual {
			err = kernel.Fail("InvalidDBSnapshotState", "%s is no manual snapshot that is available.", name)
			return
		}
		to.Account, to.Region = cmp.Or(to.Account, a.Account()), cmp.Or(to.Region, a.Region())
		found.Location = &to
		key := defaultKey
		if to.Account != a.Account() {
			key = "key/11111111-1111-4111-8111-111111111111"
			found.Tags = nil // another account's tags are its own
		}
		found.Instance.KMSKey = "arn:" + a.Partition() + ":kms:" + to.Region + ":" + to.Account + ":" + key
		arn = a.snapshotARN(found)
	})
	return arn, err
}

// regionOf is the region that a snapshot is in.
func (a tx) regionOf(s *snapshot) string {
	if s.Location != nil {
		return s.Location.Region
	}
	return a.Region()
}

// snapshotARN is where a snapshot is.
func (a tx) snapshotARN(s *snapshot) string {
	if e := s.Location; e != nil {
		return "arn:" + a.Partition() + ":rds:" + e.Region + ":" + e.Account + ":snapshot:" + s.ID
	}
	return a.ARN("rds", "snapshot:"+s.ID)
}

// foreignSnapshot finds a snapshot that is elsewhere by its ARN; nil is for none.
func (a tx) foreignSnapshot(arn *string) *snapshot {
	for _, s := range a.state().Snapshots {
		if s.Location != nil && a.snapshotARN(s) == aws.ToString(arn) {
			return s
		}
	}
	return nil
}

// described finds the snapshot that a request to a region describes. Another account's is
// shown only to who asks for shared ones, by its ARN.
// https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_DescribeDBSnapshots.html
func (a tx) described(in *rds.DescribeDBSnapshotsInput) (*snapshot, error) {
	if s := a.foreignSnapshot(in.DBSnapshotIdentifier); s != nil && s.Location.Region == a.RequestRegion() && (s.Location.Account == a.Account() || aws.ToBool(in.IncludeShared)) {
		return s, nil
	}
	if a.RequestRegion() != a.Region() {
		for _, s := range a.state().Snapshots { // the account's own by its name
			if e := s.Location; e != nil && e.Region == a.RequestRegion() && e.Account == a.Account() && strings.EqualFold(s.ID, aws.ToString(in.DBSnapshotIdentifier)) {
				return s, nil
			}
		}
		return nil, kernel.Fail("DBSnapshotNotFound", "DBSnapshot not found: %s", aws.ToString(in.DBSnapshotIdentifier))
	}
	return a.snapshot(in.DBSnapshotIdentifier)
}

// restorable refuses what RDS restores from no snapshot that is elsewhere. No page has the
// words of the error.
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_ShareSnapshot.html
func (a tx) restorable(name *string) (*snapshot, error) {
	if s := a.foreignSnapshot(name); s != nil && s.Location.Region == a.Region() {
		return nil, kernel.Fail("InvalidParameterCombination", "You can't restore a DB instance from a DB snapshot that is both shared and encrypted: %s", aws.ToString(name))
	}
	return a.snapshot(name)
}

// copied finds what is copied, and checks what a copy from elsewhere has to say. The messages are
// those of https://github.com/1Strategy/rds-oracle-cross-account-cross-region-dr/issues/1,
// https://github.com/awslabs/aurora-snapshot-tool/issues/25 and 26.
func (a tx) copied(in *rds.CopyDBSnapshotInput) (*snapshot, error) {
	s := a.foreignSnapshot(in.SourceDBSnapshotIdentifier)
	if s == nil {
		return a.snapshot(in.SourceDBSnapshotIdentifier)
	}
	other := s.Location.Region != a.Region()
	switch {
	case other && in.KmsKeyId == nil:
		return nil, kernel.Fail("InvalidParameterValue", "Must specify new KMS key for cross region encrypted snapshot copy.")
	case in.KmsKeyId == nil:
		return nil, kernel.Fail("KMSKeyNotAccessibleFault", "Specified KMS key [None] does not exist, is not enabled or you do not have permissions to access it.")
	case other && !strings.Contains(aws.ToString(in.PreSignedUrl), "DestinationRegion="+a.Region()):
		return nil, kernel.Fail("InvalidParameterValue", "PreSignedUrl must be a request to copy the snapshot to %s.", a.Region())
	case s.Location.Denied:
		return nil, kernel.Fail("KMSKeyNotAccessibleFault", "The source snapshot KMS key [%s] does not exist, is not enabled or you do not have permissions to access it.", s.Instance.KMSKey)
	}
	return s, nil
}

// keyARN is the key that a request names.
func (a tx) keyARN(name *string) string {
	if key := aws.ToString(name); strings.HasPrefix(key, "arn:") {
		return key
	}
	return a.ARN("kms", defaultKey)
}
