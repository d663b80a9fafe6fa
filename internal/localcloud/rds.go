package localcloud

import (
	"context"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
)

// rdsState is what RDS keeps.
type rdsState struct {
	Instances       []*dbInstance       `json:"instances,omitempty"`
	Snapshots       []*dbSnapshot       `json:"snapshots,omitempty"`
	Retained        []*dbInstance       `json:"retained,omitempty"` // deleted, with their automated backups kept
	SubnetGroups    []*dbSubnetGroup    `json:"subnetGroups,omitempty"`
	ParameterGroups []*dbParameterGroup `json:"parameterGroups,omitempty"`
	Events          []dbEvent           `json:"events,omitempty"`
}

// rdsLive is what runs behind RDS.
type rdsLive struct {
	// work is what is under way for an instance, by its resource id.
	work map[string]*dbWork
	// prepared says that new databases' files are made or being made.
	prepared bool
}

type rdsAPI struct{ tx }

func (c *Cloud) rdsService() kernel.Service {
	return kernel.Service{Model: "rds", Signing: "rds", Protocol: kernel.Query, Operations: kernel.Operations(func(t *kernel.Tx) rdsAPI { return rdsAPI{tx{t, c}} },
		kernel.Op("AddTagsToResource", rdsAPI.AddTagsToResource),
		kernel.Op("CopyDBSnapshot", rdsAPI.CopyDBSnapshot),
		kernel.Op("CreateDBInstance", rdsAPI.CreateDBInstance),
		kernel.Op("CreateDBParameterGroup", rdsAPI.CreateDBParameterGroup),
		kernel.Op("CreateDBSnapshot", rdsAPI.CreateDBSnapshot),
		kernel.Op("CreateDBSubnetGroup", rdsAPI.CreateDBSubnetGroup),
		kernel.Op("DeleteDBInstance", rdsAPI.DeleteDBInstance),
		kernel.Op("DeleteDBInstanceAutomatedBackup", rdsAPI.DeleteDBInstanceAutomatedBackup),
		kernel.Op("DeleteDBParameterGroup", rdsAPI.DeleteDBParameterGroup),
		kernel.Op("DeleteDBSnapshot", rdsAPI.DeleteDBSnapshot),
		kernel.Op("DeleteDBSubnetGroup", rdsAPI.DeleteDBSubnetGroup),
		kernel.Op("DescribeAccountAttributes", rdsAPI.DescribeAccountAttributes),
		kernel.Op("DescribeCertificates", rdsAPI.DescribeCertificates),
		kernel.Op("DescribeDBEngineVersions", rdsAPI.DescribeDBEngineVersions),
		kernel.Op("DescribeDBInstanceAutomatedBackups", rdsAPI.DescribeDBInstanceAutomatedBackups),
		kernel.Op("DescribeDBInstances", rdsAPI.DescribeDBInstances),
		kernel.Op("DescribeDBLogFiles", rdsAPI.DescribeDBLogFiles),
		kernel.Op("DescribeDBParameterGroups", rdsAPI.DescribeDBParameterGroups),
		kernel.Op("DescribeDBParameters", rdsAPI.DescribeDBParameters),
		kernel.Op("DescribeDBSnapshotAttributes", rdsAPI.DescribeDBSnapshotAttributes),
		kernel.Op("DescribeDBSnapshots", rdsAPI.DescribeDBSnapshots),
		kernel.Op("DescribeDBSubnetGroups", rdsAPI.DescribeDBSubnetGroups),
		kernel.Op("DescribeEngineDefaultParameters", rdsAPI.DescribeEngineDefaultParameters),
		kernel.Op("DescribeEvents", rdsAPI.DescribeEvents),
		kernel.Op("DescribeOrderableDBInstanceOptions", rdsAPI.DescribeOrderableDBInstanceOptions),
		kernel.Op("DescribePendingMaintenanceActions", rdsAPI.DescribePendingMaintenanceActions),
		kernel.Op("DescribeValidDBInstanceModifications", rdsAPI.DescribeValidDBInstanceModifications),
		kernel.Op("DownloadDBLogFilePortion", rdsAPI.DownloadDBLogFilePortion),
		kernel.Op("ListTagsForResource", rdsAPI.ListTagsForResource),
		kernel.Op("ModifyDBInstance", rdsAPI.ModifyDBInstance),
		kernel.Op("ModifyDBParameterGroup", rdsAPI.ModifyDBParameterGroup),
		kernel.Op("ModifyDBSnapshot", rdsAPI.ModifyDBSnapshot),
		kernel.Op("ModifyDBSubnetGroup", rdsAPI.ModifyDBSubnetGroup),
		kernel.Op("RebootDBInstance", rdsAPI.RebootDBInstance),
		kernel.Op("RemoveTagsFromResource", rdsAPI.RemoveTagsFromResource),
		kernel.Op("ResetDBParameterGroup", rdsAPI.ResetDBParameterGroup),
		kernel.Op("RestoreDBInstanceFromDBSnapshot", rdsAPI.RestoreDBInstanceFromDBSnapshot),
		kernel.Op("StartDBInstance", rdsAPI.StartDBInstance),
		kernel.Op("StopDBInstance", rdsAPI.StopDBInstance),
	)}
}

// rdsIdentifier checks the name of an instance, group or snapshot, and makes it
// lower case as RDS stores it.
func rdsIdentifier(parameter string, value *string) (string, error) {
	name := strings.ToLower(aws.ToString(value))
	if !identifierPattern.MatchString(name) || strings.Contains(name, "--") || strings.HasSuffix(name, "-") || len(name) > 255 || parameter == "DBInstanceIdentifier" && len(name) > 63 {
		return "", kernel.Fail("InvalidParameterValue", "The parameter %s is not a valid identifier. Identifiers must begin with a letter; must contain only ASCII letters, digits, and hyphens; and must not end with a hyphen or contain two consecutive hyphens.", parameter)
	}
	return name, nil
}

var identifierPattern = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)

// rdsPage is a page of a Describe call: 20 to 100 things, 100 by default.
func rdsPage[T any](all []T, limit *int32, marker *string) ([]T, *string, error) {
	n := 100
	if limit != nil {
		if *limit < 20 || *limit > 100 {
			return nil, nil, kernel.Fail("InvalidParameterValue", "Invalid value %d for MaxRecords. Must be between 20 and 100", *limit)
		}
		n = int(*limit)
	}
	return kernel.PageOf(all, marker, n, kernel.Fail("InvalidParameterValue", "The marker is not valid: %s", aws.ToString(marker)))
}

// rdsMatch applies filters to a thing's values; it knows the filters that are in
// the map.
func rdsMatch(filters []types.Filter, fields map[string]string) (bool, error) {
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

// ready checks the service-linked role, without which a new account can make
// nothing in RDS (crossplane-contrib/provider-aws #479), and lets the files of
// new databases be made ahead.
func (a rdsAPI) ready() error {
	if !a.roles.LinkedRoleUsable(a.Tx, "rds.amazonaws.com") {
		return kernel.Fail("InvalidParameterValue", "Unable to create the resource. Verify that you have permission to create service linked role. Otherwise wait and try again later")
	}
	a.prepare()
	return nil
}

func (a rdsAPI) prepare() {
	if a.rdsLive().prepared {
		return
	}
	a.rdsLive().prepared = true
	a.Go(func(ctx context.Context) {
		// Making the database says what is wrong.
		_ = a.engine.Prepare(ctx)
	})
}

func addRDSTags(tags map[string]string, add []types.Tag) (map[string]string, error) {
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

func rdsTags(tags map[string]string) []types.Tag {
	out := []types.Tag{}
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		out = append(out, types.Tag{Key: aws.String(k), Value: aws.String(tags[k])})
	}
	return out
}

// tagsOf are the tags of the thing with that ARN.
func (a rdsAPI) tagsOf(arn *string) (*map[string]string, error) {
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
	return nil, kernel.Fail("InvalidParameterValue", "Invalid resource name: %s", *arn)
}

func (a rdsAPI) AddTagsToResource(in *rds.AddTagsToResourceInput) (*rds.AddTagsToResourceOutput, error) {
	tags, err := a.tagsOf(in.ResourceName)
	if err != nil {
		return nil, err
	}
	all, err := addRDSTags(*tags, in.Tags)
	if err != nil {
		return nil, err
	}
	*tags = all
	return &rds.AddTagsToResourceOutput{}, nil
}

func (a rdsAPI) RemoveTagsFromResource(in *rds.RemoveTagsFromResourceInput) (*rds.RemoveTagsFromResourceOutput, error) {
	tags, err := a.tagsOf(in.ResourceName)
	if err != nil {
		return nil, err
	}
	for _, k := range in.TagKeys {
		delete(*tags, k)
	}
	return &rds.RemoveTagsFromResourceOutput{}, nil
}

func (a rdsAPI) ListTagsForResource(in *rds.ListTagsForResourceInput) (*rds.ListTagsForResourceOutput, error) {
	tags, err := a.tagsOf(in.ResourceName)
	if err != nil {
		return nil, err
	}
	return &rds.ListTagsForResourceOutput{TagList: rdsTags(*tags)}, nil
}

// dbEvent is what DescribeEvents tells.
type dbEvent struct {
	Source   string           `json:"source"`
	Type     types.SourceType `json:"type"`
	Category string           `json:"category"`
	Message  string           `json:"message"`
	Time     time.Time        `json:"time"`
}

// event notes one; the lock is held. The messages are RDS's:
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_Events.Messages.html
func (a rdsAPI) event(kind types.SourceType, source, category, message string) {
	s := a.rds()
	s.Events = append(s.Events, dbEvent{source, kind, category, message, a.Now()})
	if len(s.Events) > 500 {
		s.Events = slices.Clone(s.Events[len(s.Events)-500:])
	}
}

// DescribeEvents tells the events of the last hour unless another time is asked
// for; RDS keeps them for two weeks.
func (a rdsAPI) DescribeEvents(in *rds.DescribeEventsInput) (*rds.DescribeEventsOutput, error) {
	minutes := int32(60)
	if in.Duration != nil {
		minutes = *in.Duration
	}
	from := a.Now().Add(-time.Duration(minutes) * time.Minute)
	if in.StartTime != nil {
		from = *in.StartTime
	}
	var all []types.Event
	for _, e := range a.rds().Events {
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
	page, next, err := rdsPage(all, in.MaxRecords, in.Marker)
	if err != nil {
		return nil, err
	}
	return &rds.DescribeEventsOutput{Events: page, Marker: next}, nil
}
