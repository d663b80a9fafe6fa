package localcloud

import (
	"context"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// regions are those that every account has switched on:
// https://docs.aws.amazon.com/global-infrastructure/latest/regions/aws-regions.html
func (c *Cloud) regions() []string {
	all := []string{
		"ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1", "ap-southeast-1", "ap-southeast-2", "ca-central-1",
		"eu-central-1", "eu-north-1", "eu-west-1", "eu-west-2", "eu-west-3", "sa-east-1", "us-east-1", "us-east-2", "us-west-1", "us-west-2",
	}
	if !slices.Contains(all, c.cfg.Region) {
		all = append(all, c.cfg.Region)
	}
	return all
}

func (a ec2API) DescribeRegions(_ context.Context, in *ec2.DescribeRegionsInput) (*ec2.DescribeRegionsOutput, error) {
	all := a.regions()
	for _, name := range in.RegionNames {
		if !slices.Contains(all, name) {
			return nil, fail("InvalidParameterValue", "Invalid region: %s", name)
		}
	}
	out := &ec2.DescribeRegionsOutput{Regions: []types.Region{}}
	for _, name := range all {
		endpoint := "ec2." + name + ".amazonaws.com"
		fields := map[string][]string{"region-name": {name}, "endpoint": {endpoint}, "opt-in-status": {"opt-in-not-required"}}
		if err := knownFilters(in.Filters, fields); err != nil {
			return nil, err
		}
		if len(in.RegionNames) > 0 && !slices.Contains(in.RegionNames, name) || !ec2Match(in.Filters, nil, fields) {
			continue
		}
		out.Regions = append(out.Regions, types.Region{RegionName: aws.String(name), Endpoint: aws.String(endpoint), OptInStatus: aws.String("opt-in-not-required")})
	}
	return out, nil
}

func knownFilters(filters []types.Filter, fields map[string][]string) error {
	for _, f := range filters {
		if _, ok := fields[aws.ToString(f.Name)]; !ok {
			return fail("InvalidParameterValue", "The filter '%s' is invalid", aws.ToString(f.Name))
		}
	}
	return nil
}

// zoneID is the account-independent name of a zone: us-east-1a is use1-az1 here.
func (c *Cloud) zoneID(zone string) string {
	n := slices.Index(c.zones(), zone)
	r := c.cfg.Region
	return fmt.Sprintf("%s%s-az%d", shortRegion(r), r[len(r)-1:], n+1)
}

// shortRegion makes us-east-1 to use, and ap-southeast-2 to apse.
func shortRegion(region string) string {
	out, part := "", ""
	flush := func() {
		switch part {
		case "northeast", "northwest", "southeast", "southwest":
			out += part[:1] + part[5:6]
		case "us", "eu", "ap", "ca", "sa", "me", "af", "il", "mx", "cn":
			out += part
		default:
			out += part[:min(1, len(part))]
		}
		part = ""
	}
	for _, r := range region {
		if r == '-' {
			flush()
			continue
		}
		if r < '0' || r > '9' {
			part += string(r)
		}
	}
	flush()
	return out
}

func (a ec2API) DescribeAvailabilityZones(_ context.Context, in *ec2.DescribeAvailabilityZonesInput) (*ec2.DescribeAvailabilityZonesOutput, error) {
	for _, name := range in.ZoneNames {
		if !slices.Contains(a.zones(), name) {
			return nil, fail("InvalidParameterValue", "Invalid availability zone: [%s]", name)
		}
	}
	out := &ec2.DescribeAvailabilityZonesOutput{AvailabilityZones: []types.AvailabilityZone{}}
	for _, name := range a.zones() {
		id, region := a.zoneID(name), a.cfg.Region
		fields := map[string][]string{
			"zone-name": {name}, "zone-id": {id}, "region-name": {region}, "state": {"available"}, "zone-type": {"availability-zone"},
			"opt-in-status": {"opt-in-not-required"}, "group-name": {region + "-zg-1"}, "group-long-name": {}, "message": {},
			"parent-zone-id": {}, "parent-zone-name": {},
		}
		if err := knownFilters(in.Filters, fields); err != nil {
			return nil, err
		}
		if len(in.ZoneNames) > 0 && !slices.Contains(in.ZoneNames, name) || len(in.ZoneIds) > 0 && !slices.Contains(in.ZoneIds, id) || !ec2Match(in.Filters, nil, fields) {
			continue
		}
		out.AvailabilityZones = append(out.AvailabilityZones, types.AvailabilityZone{
			ZoneName: aws.String(name), ZoneId: aws.String(id), RegionName: aws.String(region), State: types.AvailabilityZoneStateAvailable,
			ZoneType: aws.String("availability-zone"), OptInStatus: types.AvailabilityZoneOptInStatusOptInNotRequired,
			GroupName: aws.String(region + "-zg-1"), NetworkBorderGroup: aws.String(region),
		})
	}
	return out, nil
}
