package rds

import (
	"context"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
	"github.com/bookctl/bookctl/internal/pattern"
)

// state is what RDS keeps.
type state struct {
	Instances       []*instance       `json:"instances,omitempty"`
	Snapshots       []*snapshot       `json:"snapshots,omitempty"`
	Retained        []*instance       `json:"retained,omitempty"` // deleted, with their automated backups kept
	SubnetGroups    []*subnetGroup    `json:"subnetGroups,omitempty"`
	ParameterGroups []*parameterGroup `json:"parameterGroups,omitempty"`
	Events          []event           `json:"events,omitempty"`
}

// running is what runs behind RDS.
type running struct {
	// work is what is under way for an instance, by its resource id.
	work map[string]*work
	// prepared reports whether new databases' files are made or being made.
	prepared bool
}

// API is the service's operations.
func (s *Service) API() kernel.Service {
	return kernel.Service{Model: "rds", Signing: "rds", Protocol: kernel.Query, CrossRegion: []string{"DescribeDBSnapshots", "StartDBInstanceAutomatedBackupsReplication"}, Operations: kernel.Operations(s.in,
		kernel.Op("AddTagsToResource", tx.AddTagsToResource),
		kernel.Op("CopyDBSnapshot", tx.CopyDBSnapshot),
		kernel.Op("CreateDBInstance", tx.CreateDBInstance),
		kernel.Op("CreateDBParameterGroup", tx.CreateDBParameterGroup),
		kernel.Op("CreateDBSnapshot", tx.CreateDBSnapshot),
		kernel.Op("CreateDBSubnetGroup", tx.CreateDBSubnetGroup),
		kernel.Op("DeleteDBInstance", tx.DeleteDBInstance),
		kernel.Op("DeleteDBInstanceAutomatedBackup", tx.DeleteDBInstanceAutomatedBackup),
		kernel.Op("DeleteDBParameterGroup", tx.DeleteDBParameterGroup),
		kernel.Op("DeleteDBSnapshot", tx.DeleteDBSnapshot),
		kernel.Op("DeleteDBSubnetGroup", tx.DeleteDBSubnetGroup),
		kernel.Op("DescribeAccountAttributes", tx.DescribeAccountAttributes),
		kernel.Op("DescribeCertificates", tx.DescribeCertificates),
		kernel.Op("DescribeDBEngineVersions", tx.DescribeDBEngineVersions),
		kernel.Op("DescribeDBInstanceAutomatedBackups", tx.DescribeDBInstanceAutomatedBackups),
		kernel.Op("DescribeDBInstances", tx.DescribeDBInstances),
		kernel.Op("DescribeDBLogFiles", tx.DescribeDBLogFiles),
		kernel.Op("DescribeDBMajorEngineVersions", tx.DescribeDBMajorEngineVersions),
		kernel.Op("DescribeDBParameterGroups", tx.DescribeDBParameterGroups),
		kernel.Op("DescribeDBParameters", tx.DescribeDBParameters),
		kernel.Op("DescribeDBSnapshotAttributes", tx.DescribeDBSnapshotAttributes),
		kernel.Op("DescribeDBSnapshots", tx.DescribeDBSnapshots),
		kernel.Op("DescribeDBSubnetGroups", tx.DescribeDBSubnetGroups),
		kernel.Op("DescribeEngineDefaultParameters", tx.DescribeEngineDefaultParameters),
		kernel.Op("DescribeEvents", tx.DescribeEvents),
		kernel.Op("DescribeOrderableDBInstanceOptions", tx.DescribeOrderableDBInstanceOptions),
		kernel.Op("DescribePendingMaintenanceActions", tx.DescribePendingMaintenanceActions),
		kernel.Op("DescribeValidDBInstanceModifications", tx.DescribeValidDBInstanceModifications),
		kernel.Op("DownloadDBLogFilePortion", tx.DownloadDBLogFilePortion),
		kernel.Op("ListTagsForResource", tx.ListTagsForResource),
		kernel.Op("ModifyDBInstance", tx.ModifyDBInstance),
		kernel.Op("ModifyDBParameterGroup", tx.ModifyDBParameterGroup),
		kernel.Op("ModifyDBSnapshot", tx.ModifyDBSnapshot),
		kernel.Op("ModifyDBSubnetGroup", tx.ModifyDBSubnetGroup),
		kernel.Op("RebootDBInstance", tx.RebootDBInstance),
		kernel.Op("RemoveTagsFromResource", tx.RemoveTagsFromResource),
		kernel.Op("ResetDBParameterGroup", tx.ResetDBParameterGroup),
		kernel.Op("RestoreDBInstanceFromDBSnapshot", tx.RestoreDBInstanceFromDBSnapshot),
		kernel.Op("StartDBInstance", tx.StartDBInstance),
		kernel.Op("StartDBInstanceAutomatedBackupsReplication", tx.StartDBInstanceAutomatedBackupsReplication),
		kernel.Op("StopDBInstance", tx.StopDBInstance),
	)}
}

// identifier checks the name of an instance, group or snapshot, and makes it
// lower case as RDS stores it.
func identifier(parameter string, value *string) (string, error) {
	name := strings.ToLower(aws.ToString(value))
	if !identifierPattern.MatchString(name) || strings.Contains(name, "--") || strings.HasSuffix(name, "-") || len(name) > 255 || parameter == "DBInstanceIdentifier" && len(name) > 63 {
		return "", kernel.Fail("InvalidParameterValue", "The parameter %s is not a valid identifier. Identifiers must begin with a letter; must contain only ASCII letters, digits, and hyphens; and must not end with a hyphen or contain two consecutive hyphens.", parameter)
	}
	return name, nil
}

var identifierPattern = pattern.New(`^[a-z][a-z0-9-]*$`)

// page is a page of a Describe call: 20 to 100 resources, 100 by default.
func page[T any](all []T, limit *int32, marker *string) ([]T, *string, error) {
	n := 100
	if limit != nil {
		if *limit < 20 || *limit > 100 {
			return nil, nil, kernel.Fail("InvalidParameterValue", "Invalid value %d for MaxRecords. Must be between 20 and 100", *limit)
		}
		n = int(*limit)
	}
	return kernel.PageOf(all, marker, n, kernel.Fail("InvalidParameterValue", "The marker is not valid: %s", aws.ToString(marker)))
}

// matches applies filters to a resource's values; it knows the filters that are in
// the map.
func matches(filters []types.Filter, fields map[string]string) (bool, error) {
	match := true
	for _, f := range filters {
		value, known := fields[aws.ToString(f.Name)]
		if !known {
			return false, kernel.Fail("InvalidParameterValue", "Unrecognized filter name: %s", aws.ToString(f.Name))
		}
		match = match && slices.Contains(f.Values, value)
	}
	return match, nil
}

// onlyKnown refuses the fields of a request that the local cloud would ignore.
func onlyKnown(input any, known ...string) error {
	v := reflect.ValueOf(input).Elem()
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		if v.Type().Field(i).IsExported() && !v.Field(i).IsZero() && !slices.Contains(known, name) {
			return kernel.Fail("InvalidParameterCombination", "The local cloud does not serve the parameter %s", name)
		}
	}
	return nil
}

// How RDS refuses an instance and a DB subnet group in an account that lacks its role:
// https://github.com/aws-samples/eks-workshop-v2/issues/1609
// https://github.com/crossplane-contrib/provider-aws/issues/479
const (
	instanceNeedsRole    = "Unable to create the resource. Verify that you have permission to create service linked role. Otherwise wait and try again later"
	subnetGroupNeedsRole = "Missing necessary credentials. Please check http://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAM.ServiceLinkedRoles.html"
)

// ready checks the service-linked role, without which a new account can make
// nothing in RDS, and lets the files of new databases be made ahead.
func (a tx) ready(needsRole string) error {
	if !a.needs.Roles.LinkedRoleUsable(a.Tx, "rds.amazonaws.com") {
		return kernel.Fail("InvalidParameterValue", "%s", needsRole)
	}
	a.prepare()
	return nil
}

func (a tx) prepare() {
	if a.running().prepared {
		return
	}
	a.running().prepared = true
	a.Go(func(ctx context.Context) {
		// Making the database says what is wrong.
		_ = a.needs.Engine.Prepare(ctx)
	})
}

func addTags(tags map[string]string, add []types.Tag) (map[string]string, error) {
	out := maps.Clone(tags)
	if out == nil {
		out = map[string]string{}
	}
	for _, t := range add {
		k := aws.ToString(t.Key)
		if k == "" || strings.HasPrefix(strings.ToLower(k), "aws:") || strings.HasPrefix(strings.ToLower(k), "rds:") {
			return nil, kernel.Fail("InvalidParameterValue", "Tag keys must not be empty or start with aws: or rds:")
		}
		out[k] = aws.ToString(t.Value)
	}
	if len(out) > 50 {
		return nil, kernel.Fail("InvalidParameterValue", "The number of tags exceeds the limit of 50")
	}
	return out, nil
}

// newTag returns a tag of that key and value.
func newTag(key, value *string) types.Tag { return types.Tag{Key: key, Value: value} }

// tagsOf are the tags of the resource with that ARN.
func (a tx) tagsOf(arn *string) (*map[string]string, error) {
	parts := strings.SplitN(aws.ToString(arn), ":", 7)
	if len(parts) < 7 || parts[2] != "rds" {
		return nil, kernel.Fail("InvalidParameterValue", "Invalid resource name: %s", aws.ToString(arn))
	}
	switch name := parts[6]; parts[5] {
	case "db":
		db, err := a.instance(&name)
		if err != nil {
			return nil, err
		}
		return &db.Tags, nil
	case "snapshot":
		s, err := a.snapshot(&name)
		if err != nil {
			return nil, err
		}
		return &s.Tags, nil
	case "subgrp":
		g, err := a.subnetGroup(&name)
		if err != nil {
			return nil, err
		}
		return &g.Tags, nil
	case "pg":
		g, err := a.parameterGroup(&name)
		if err != nil {
			return nil, err
		}
		return &g.Tags, nil
	}
	for _, db := range slices.Concat(a.state().Instances, a.state().Retained) {
		if a.backupARN(db) == *arn {
			return &db.BackupTags, nil
		}
	}
	return nil, kernel.Fail("InvalidParameterValue", "Invalid resource name: %s", *arn)
}

func (a tx) AddTagsToResource(in *rds.AddTagsToResourceInput) (*rds.AddTagsToResourceOutput, error) {
	tags, err := a.tagsOf(in.ResourceName)
	if err != nil {
		return nil, err
	}
	all, err := addTags(*tags, in.Tags)
	if err != nil {
		return nil, err
	}
	*tags = all
	return &rds.AddTagsToResourceOutput{}, nil
}

func (a tx) RemoveTagsFromResource(in *rds.RemoveTagsFromResourceInput) (*rds.RemoveTagsFromResourceOutput, error) {
	tags, err := a.tagsOf(in.ResourceName)
	if err != nil {
		return nil, err
	}
	for _, k := range in.TagKeys {
		delete(*tags, k)
	}
	return &rds.RemoveTagsFromResourceOutput{}, nil
}

func (a tx) ListTagsForResource(in *rds.ListTagsForResourceInput) (*rds.ListTagsForResourceOutput, error) {
	tags, err := a.tagsOf(in.ResourceName)
	if err != nil {
		return nil, err
	}
	return &rds.ListTagsForResourceOutput{TagList: kernel.TagList(*tags, newTag)}, nil
}

// event is what DescribeEvents returns.
type event struct {
	Source   string           `json:"source"`
	Type     types.SourceType `json:"type"`
	Category string           `json:"category"`
	Message  string           `json:"message"`
	Time     time.Time        `json:"time"`
}

// event notes one. The messages are RDS's:
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_Events.Messages.html
func (a tx) event(kind types.SourceType, source, category, message string) {
	s := a.state()
	s.Events = append(s.Events, event{source, kind, category, message, a.Now()})
	if len(s.Events) > 500 {
		s.Events = slices.Clone(s.Events[len(s.Events)-500:])
	}
}

// DescribeEvents returns the events of the last hour unless another time is asked
// for; RDS keeps them for two weeks.
func (a tx) DescribeEvents(in *rds.DescribeEventsInput) (*rds.DescribeEventsOutput, error) {
	minutes := int32(60)
	if in.Duration != nil {
		minutes = *in.Duration
	}
	from := a.Now().Add(-time.Duration(minutes) * time.Minute)
	if in.StartTime != nil {
		from = *in.StartTime
	}
	var all []types.Event
	for _, e := range a.state().Events {
		if e.Time.Before(from) || in.EndTime != nil && e.Time.After(*in.EndTime) || in.SourceIdentifier != nil && *in.SourceIdentifier != e.Source ||
			in.SourceType != "" && in.SourceType != e.Type || len(in.EventCategories) > 0 && !slices.Contains(in.EventCategories, e.Category) {
			continue
		}
		kind := "db:"
		if e.Type == types.SourceTypeDbSnapshot {
			kind = "snapshot:"
		}
		all = append(all, types.Event{
			SourceIdentifier: aws.String(e.Source), SourceType: e.Type, SourceArn: aws.String(a.ARN("rds", kind+e.Source)),
			EventCategories: []string{e.Category}, Message: aws.String(e.Message), Date: aws.Time(e.Time),
		})
	}
	page, next, err := page(all, in.MaxRecords, in.Marker)
	if err != nil {
		return nil, err
	}
	return &rds.DescribeEventsOutput{Events: page, Marker: next}, nil
}
