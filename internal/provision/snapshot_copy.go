package provision

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"
	"github.com/aws/smithy-go"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/partition"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// SnapshotCopy is the copy of a snapshot of another region or account, from which a
// database is made: RDS restores a snapshot only in its own region, and none that is both
// shared and encrypted. The copy is encrypted with the account's own key for RDS. It is a
// part only of the run that restores, and stays as other snapshots of the stack do: so a
// restore can be repeated when its source is gone or no longer shared.
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_ShareSnapshot.html
type SnapshotCopy struct {
	graph.NodeOf[*liveSnapshot]
	rdsAccess
	from Snapshot
	// asked reports whether this run has asked for it.
	asked bool
	// deleted reports whether this run has deleted one that failed.
	deleted bool
}

// rdsKey is the key that each account has for RDS.
const rdsKey = "alias/aws/rds"

func newSnapshotCopy(d rdsAccess, from Snapshot) *SnapshotCopy {
	s := &SnapshotCopy{rdsAccess: d, from: from}
	s.NodeOf = graph.Of(s, "snapshot-copy", 6*time.Hour) // between regions that may take hours
	return s
}

// Expect returns the usual time of a small database.
func (s *SnapshotCopy) Expect() time.Duration { return 5 * time.Minute }

func (s *SnapshotCopy) copyName() string {
	return s.names().SnapshotCopy(s.from.elsewhere, s.from.stored)
}

// Read looks the copy up by its name. One that failed before this run is as none: Create
// puts another in its place.
func (s *SnapshotCopy) Read(ctx context.Context) (*liveSnapshot, graph.State, error) {
	out, err := s.rds.DescribeDBSnapshots(ctx, &rds.DescribeDBSnapshotsInput{DBSnapshotIdentifier: aws.String(s.copyName())})
	if IsCode(err, "DBSnapshotNotFound") || err == nil && len(out.DBSnapshots) == 0 {
		return nil, absent, nil
	}
	if err != nil {
		return nil, graph.State{}, fmt.Errorf("describe snapshot %s: %w", s.copyName(), err)
	}
	live := out.DBSnapshots[0]
	tags := fromRDSTags(live.TagList)
	st := graph.State{ID: s.copyName(), Owner: tags[TagStack], Note: aws.ToString(live.Status), Phase: graph.Pending}
	switch st.Note {
	case "available":
		st.Phase = graph.Ready
	case snapshotFailed:
		if !s.asked && st.Owner == s.stack {
			return nil, absent, nil
		}
		st.Phase = graph.Unrecoverable
		st.Next = hint.New("see that the snapshot is still there and still shared; the same command then copies it again")
		if why, err := s.why(ctx); err != nil {
			return nil, graph.State{}, err
		} else if why != "" {
			st.Note += ": " + why
		}
	default:
		if n := aws.ToInt32(live.PercentProgress); n > 0 {
			st.Note += fmt.Sprintf(", %d %%", n)
		}
	}
	return &liveSnapshot{tags: tags}, st, nil
}

// snapshotFailed is the status of a snapshot that RDS could not make.
const snapshotFailed = "failed"

// why is the last that RDS reports of the copy.
func (s *SnapshotCopy) why(ctx context.Context) (string, error) {
	out, err := s.rds.DescribeEvents(ctx, &rds.DescribeEventsInput{SourceType: types.SourceTypeDbSnapshot, SourceIdentifier: aws.String(s.copyName())})
	if err != nil {
		return "", fmt.Errorf("describe the events of snapshot %s: %w", s.copyName(), err)
	}
	if len(out.Events) == 0 {
		return "", nil
	}
	return aws.ToString(out.Events[len(out.Events)-1].Message), nil
}

// Wanted implements graph.Shape.
func (s *SnapshotCopy) Wanted(live *liveSnapshot) *liveSnapshot { return live }

// Attributes implements graph.Shape: a snapshot has none that are set later.
func (s *SnapshotCopy) Attributes() graph.Attributes[*liveSnapshot] { return nil }

// Create asks for the copy, whose name follows from what it is of, so that a repeated call
// makes no second one. One that failed is deleted first. The SDK signs what the other region
// is asked.
// https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CopyDBSnapshot.html
func (s *SnapshotCopy) Create(ctx context.Context) (string, error) {
	tags := s.tags(s.Name())
	for _, row := range Table() { // what a restore of the copy takes over
		if value, known := s.from.tags[row.Tag()]; known && row.Restored != "" {
			tags[row.Tag()] = value
		}
	}
	in := &rds.CopyDBSnapshotInput{
		SourceDBSnapshotIdentifier: &s.from.elsewhere, TargetDBSnapshotIdentifier: aws.String(s.copyName()), KmsKeyId: aws.String(rdsKey), Tags: toRDSTags(tags),
	}
	of, err := arn.Parse(s.from.elsewhere)
	if err != nil {
		return "", fmt.Errorf("snapshot %s: %w", s.from.elsewhere, err)
	}
	if err := s.deleteFailed(ctx); err != nil {
		return "", err
	}
	if of.Region != s.region {
		in.SourceRegion = &of.Region
	}
	_, err = s.rds.CopyDBSnapshot(ctx, in)
	if IsCode(err, "DBSnapshotAlreadyExists") && s.deleted {
		there, found := s.status(ctx)
		if found != nil {
			return "", found
		}
		if there == "" || there == snapshotFailed || strings.HasPrefix(there, "delet") {
			return "", fmt.Errorf("copy snapshot %s: %w", s.from.elsewhere, &smithy.GenericAPIError{
				Code: "DBSnapshotAlreadyExists", Message: s.copyName() + ", which failed, is still being deleted",
			})
		}
	}
	if err != nil && !IsCode(err, "DBSnapshotAlreadyExists") {
		err = fmt.Errorf("copy snapshot %s: %w", s.from.elsewhere, err)
		switch {
		case IsCode(err, "KMSKeyNotAccessibleFault"):
			err = hint.With(err, "%s", keyHint(of.AccountID))
		case IsCode(err, "DBSnapshotNotFound"):
			err = hint.With(err, "it was there when this run began: see that it still is, and is still shared")
		}
		return "", err
	}
	s.asked = true
	return s.copyName(), nil
}

// deleteFailed deletes a copy of this name that an earlier run asked for, and that failed.
func (s *SnapshotCopy) deleteFailed(ctx context.Context) error {
	name := aws.String(s.copyName())
	out, err := s.rds.DescribeDBSnapshots(ctx, &rds.DescribeDBSnapshotsInput{DBSnapshotIdentifier: name})
	if IsCode(err, "DBSnapshotNotFound") {
		return nil
	}
	if err != nil {
		return fmt.Errorf("describe snapshot %s: %w", *name, err)
	}
	for _, live := range out.DBSnapshots {
		if s.deleted || aws.ToString(live.Status) != snapshotFailed || fromRDSTags(live.TagList)[TagStack] != s.stack {
			continue
		}
		if _, err := s.rds.DeleteDBSnapshot(ctx, &rds.DeleteDBSnapshotInput{DBSnapshotIdentifier: name}); err != nil && !IsCode(err, "DBSnapshotNotFound") {
			return fmt.Errorf("delete snapshot %s, which failed: %w", *name, err)
		}
		s.deleted = true
	}
	return nil
}

// status is RDS's word for how the copy is, "" for none.
func (s *SnapshotCopy) status(ctx context.Context) (string, error) {
	out, err := s.rds.DescribeDBSnapshots(ctx, &rds.DescribeDBSnapshotsInput{DBSnapshotIdentifier: aws.String(s.copyName())})
	if IsCode(err, "DBSnapshotNotFound") || err == nil && len(out.DBSnapshots) == 0 {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("describe snapshot %s: %w", s.copyName(), err)
	}
	return aws.ToString(out.DBSnapshots[0].Status), nil
}

// keyHint returns what lets a run copy a snapshot that another account has encrypted.
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/share-encrypted-snapshot.html
func keyHint(account string) string {
	return "the policy of the snapshot's key in account " + account + " has to let this account use it (kms:DescribeKey, kms:Decrypt, kms:CreateGrant, kms:GenerateDataKey*, kms:ReEncrypt*), and so has the policy of whoever runs this"
}

// otherPlace is another region or account that the ARN of a snapshot names.
type otherPlace struct {
	arn.ARN
	otherRegion, otherAccount bool
	region, account           string // the caller's
}

// elsewhere parses which, which may be no ARN, and says whether that is in another place.
func elsewhere(which, region, account string) (otherPlace, error) {
	of, err := arn.Parse(which)
	if err != nil {
		return otherPlace{}, nil
	}
	if of.Service != "rds" || !strings.HasPrefix(of.Resource, "snapshot:") {
		return otherPlace{}, hint.With(fmt.Errorf("%s is not a snapshot of a database instance", which), "give an ARN such as arn:aws:rds:eu-central-1:111122223333:snapshot:NAME")
	}
	return otherPlace{ARN: of, region: region, account: account, otherRegion: of.Region != region, otherAccount: account != "" && of.AccountID != account}, nil
}

func (f otherPlace) is() bool { return f.otherRegion || f.otherAccount }

// find describes the snapshot where it is.
func (f otherPlace) find(ctx context.Context, client *rds.Client) (*types.DBSnapshot, error) {
	id, name := f.String(), f.String()
	if !f.otherAccount {
		name = strings.TrimPrefix(f.Resource, "snapshot:")
	}
	if here := partition.Of(f.region).Name; f.otherRegion && (f.Partition != here || here == "aws-cn") {
		// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_CopySnapshot.html
		return nil, hint.With(fmt.Errorf("snapshot %s: RDS copies none to or from another region in China, nor between the regions of GovCloud and others", id),
			"%s and %s carry the data", hint.Command("db", "dump", "FILE"), hint.Command("db", "load", "FILE"))
	}
	out, err := client.DescribeDBSnapshots(ctx, &rds.DescribeDBSnapshotsInput{DBSnapshotIdentifier: &name, IncludeShared: aws.Bool(f.otherAccount)},
		func(o *rds.Options) { o.Region = f.Region })
	if IsCode(err, "DBSnapshotNotFound") || err == nil && len(out.DBSnapshots) == 0 {
		if !f.otherAccount {
			return nil, hint.With(fmt.Errorf("there is no snapshot %s", id), "%s lists those of the stack in its region, and %s also what was copied here", hint.Command("db", "snapshots", "--region", f.Region), hint.Command("db", "snapshots"))
		}
		return nil, hint.With(fmt.Errorf("there is no snapshot %s, or it is not shared with account %s", id, f.account),
			"its owner shares it with %s; RDS shares none that has the account's own key for RDS: such a one is copied first, with a customer managed key whose policy lets account %s use it; %s lists what was copied here before",
			hint.AWS("rds", "modify-db-snapshot-attribute", "--attribute-name", "restore", "--values-to-add", f.account, "--db-snapshot-identifier", strings.TrimPrefix(f.Resource, "snapshot:")), f.account, hint.Command("db", "snapshots"))
	}
	if err != nil {
		return nil, fmt.Errorf("describe snapshot %s: %w", id, err)
	}
	return &out.DBSnapshots[0], nil
}

// Copied returns what becomes of a snapshot that is elsewhere before a database is made of it,
// and what that may fail by; empty for one that is restored as it is.
func (s Snapshot) Copied() hint.Message {
	of, err := arn.Parse(s.elsewhere)
	if err != nil {
		return hint.Message{}
	}
	unless := ""
	if s.shared {
		unless = "; KMS may forbid that, and nothing else is made then: " + keyHint(of.AccountID)
	}
	return hint.New("snapshot %s is copied into this account and region first, with this account's key for RDS%s; the copy stays, so that this can be repeated, and is billed as other snapshots of the stack are, until %s deletes it",
		s.elsewhere, unless, hint.Command("destroy", "--purge-snapshots"))
}
