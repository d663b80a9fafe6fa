package rds

import (
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/rds"
	"github.com/aws/aws-sdk-go-v2/service/rds/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
)

type subnetGroup struct {
	Name        string            `json:"name"`
	Description string            `json:"description"`
	VPC         string            `json:"vpc"`
	Subnets     []string          `json:"subnets"`
	Tags        map[string]string `json:"tags,omitempty"`
}

func (g *subnetGroup) key() string { return "subgrp:" + g.Name }

func (a tx) subnetGroup(name *string) (*subnetGroup, error) {
	want := strings.ToLower(aws.ToString(name))
	for _, g := range a.state().SubnetGroups {
		if g.Name == want && a.Visible(g.key()) {
			return g, nil
		}
	}
	return nil, kernel.Fail("DBSubnetGroupNotFoundFault", "DB subnet group '%s' does not exist.", aws.ToString(name))
}

func (a tx) describeSubnetGroup(g *subnetGroup) types.DBSubnetGroup {
	out := types.DBSubnetGroup{
		DBSubnetGroupName: aws.String(g.Name), DBSubnetGroupDescription: aws.String(g.Description), DBSubnetGroupArn: aws.String(a.ARN("rds", g.key())),
		VpcId: aws.String(g.VPC), SubnetGroupStatus: aws.String("Complete"), SupportedNetworkTypes: []string{"IPV4"},
	}
	for _, id := range g.Subnets {
		s, ok := a.needs.Network.Subnet(a.Tx, id)
		if !ok {
			continue // deleted under the group, which RDS allows
		}
		out.Subnets = append(out.Subnets, types.Subnet{
			SubnetIdentifier: aws.String(id), SubnetStatus: aws.String("Active"), SubnetAvailabilityZone: &types.AvailabilityZone{Name: aws.String(s.Zone)},
		})
	}
	return out
}

// checkSubnets wants subnets of one VPC in two zones at least; it returns the VPC.
func (a tx) checkSubnets(ids []string) (string, error) {
	vpc, zones := "", []string{}
	for _, id := range ids {
		s, ok := a.needs.Network.Subnet(a.Tx, id)
		if !ok || !a.Visible(id) {
			return "", kernel.Fail("InvalidParameterValue", "Some input subnets in :[%s] are invalid.", id)
		}
		if vpc != "" && s.VPC != vpc {
			return "", kernel.Fail("InvalidParameterValue", "The DB subnet group contains subnets of different VPCs: %s, %s", vpc, s.VPC)
		}
		vpc = s.VPC
		if !slices.Contains(zones, s.Zone) {
			zones = append(zones, s.Zone)
		}
	}
	if len(zones) < 2 {
		return "", kernel.Fail("DBSubnetGroupDoesNotCoverEnoughAZs", "The DB subnet group doesn't meet Availability Zone (AZ) coverage requirement. Current AZ coverage: %s. Add subnets to cover at least 2 AZs.", strings.Join(zones, ", "))
	}
	return vpc, nil
}

func (a tx) CreateDBSubnetGroup(in *rds.CreateDBSubnetGroupInput) (*rds.CreateDBSubnetGroupOutput, error) {
	if err := a.ready(subnetGroupNeedsRole); err != nil {
		return nil, err
	}
	name := strings.ToLower(aws.ToString(in.DBSubnetGroupName))
	if name == "" || name == "default" || len(name) > 255 || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789._- ") != "" {
		return nil, kernel.Fail("InvalidParameterValue", "The parameter DBSubnetGroupName is not a valid name: %s", aws.ToString(in.DBSubnetGroupName))
	}
	if slices.ContainsFunc(a.state().SubnetGroups, func(g *subnetGroup) bool { return g.Name == name }) {
		return nil, kernel.Fail("DBSubnetGroupAlreadyExists", "The DB subnet group '%s' already exists.", name)
	}
	vpc, err := a.checkSubnets(in.SubnetIds)
	if err != nil {
		return nil, err
	}
	tags, err := addTags(nil, in.Tags)
	if err != nil {
		return nil, err
	}
	g := &subnetGroup{Name: name, Description: aws.ToString(in.DBSubnetGroupDescription), VPC: vpc, Subnets: slices.Clone(in.SubnetIds), Tags: tags}
	a.state().SubnetGroups = append(a.state().SubnetGroups, g)
	a.Created(g.key())
	out := a.describeSubnetGroup(g)
	return &rds.CreateDBSubnetGroupOutput{DBSubnetGroup: &out}, nil
}

func (a tx) DescribeDBSubnetGroups(in *rds.DescribeDBSubnetGroupsInput) (*rds.DescribeDBSubnetGroupsOutput, error) {
	all := []types.DBSubnetGroup{}
	if in.DBSubnetGroupName != nil {
		g, err := a.subnetGroup(in.DBSubnetGroupName)
		if err != nil {
			return nil, err
		}
		all = append(all, a.describeSubnetGroup(g))
	} else {
		for _, g := range a.state().SubnetGroups {
			if a.Visible(g.key()) {
				all = append(all, a.describeSubnetGroup(g))
			}
		}
	}
	page, next, err := page(all, in.MaxRecords, in.Marker)
	if err != nil {
		return nil, err
	}
	return &rds.DescribeDBSubnetGroupsOutput{DBSubnetGroups: page, Marker: next}, nil
}

// ModifyDBSubnetGroup replaces the subnets. One that an instance is in stays.
func (a tx) ModifyDBSubnetGroup(in *rds.ModifyDBSubnetGroupInput) (*rds.ModifyDBSubnetGroupOutput, error) {
	g, err := a.subnetGroup(in.DBSubnetGroupName)
	if err != nil {
		return nil, err
	}
	vpc, err := a.checkSubnets(in.SubnetIds)
	if err != nil {
		return nil, err
	}
	if vpc != g.VPC {
		return nil, kernel.Fail("InvalidParameterValue", "The new subnets are in another VPC than the DB subnet group: %s, %s", vpc, g.VPC)
	}
	for _, db := range a.state().Instances {
		if i, ok := a.needs.Network.Interface(a.Tx, db.Interface); ok && db.SubnetGroup == g.Name && !slices.Contains(in.SubnetIds, i.SubnetID) {
			return nil, kernel.Fail("SubnetAlreadyInUse", "Some of the subnets to be deleted are currently in use: %s by %s", i.SubnetID, db.ID)
		}
	}
	g.Subnets = slices.Clone(in.SubnetIds)
	if in.DBSubnetGroupDescription != nil {
		g.Description = *in.DBSubnetGroupDescription
	}
	out := a.describeSubnetGroup(g)
	return &rds.ModifyDBSubnetGroupOutput{DBSubnetGroup: &out}, nil
}

func (a tx) DeleteDBSubnetGroup(in *rds.DeleteDBSubnetGroupInput) (*rds.DeleteDBSubnetGroupOutput, error) {
	g, err := a.subnetGroup(in.DBSubnetGroupName)
	if err != nil {
		return nil, err
	}
	for _, db := range a.state().Instances {
		if db.SubnetGroup == g.Name {
			return nil, kernel.Fail("InvalidDBSubnetGroupStateFault", "Cannot delete the subnet group '%s' because at least one database instance: %s is still using it.", g.Name, db.ID)
		}
	}
	a.state().SubnetGroups = slices.DeleteFunc(a.state().SubnetGroups, func(x *subnetGroup) bool { return x == g })
	return &rds.DeleteDBSubnetGroupOutput{}, nil
}

// defaultSubnetGroup is the one of the default VPC, made when it is first needed.
func (a tx) defaultSubnetGroup() (*subnetGroup, error) {
	name := "default"
	if g, err := a.subnetGroup(&name); err == nil {
		return g, nil
	}
	g := &subnetGroup{Name: name, Description: "default"}
	for _, s := range a.needs.Network.DefaultSubnets(a.Tx) {
		g.VPC = s.VPC
		g.Subnets = append(g.Subnets, s.ID)
	}
	if g.VPC == "" {
		return nil, kernel.Fail("InvalidVPCNetworkStateFault", "No default subnet detected in VPC. Please contact AWS Support to recreate default Subnets.")
	}
	a.state().SubnetGroups = append(a.state().SubnetGroups, g)
	return g, nil
}
