package ec2

import (
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
)

// regions are those that every account has switched on:
// https://docs.aws.amazon.com/global-infrastructure/latest/regions/aws-regions.html
func (s *Service) regions() []string {
	all := []string{
		"ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1", "ap-southeast-1", "ap-southeast-2", "ca-central-1",
		"eu-central-1", "eu-north-1", "eu-west-1", "eu-west-2", "eu-west-3", "sa-east-1", "us-east-1", "us-east-2", "us-west-1", "us-west-2",
	}
	if !slices.Contains(all, s.Region()) {
		all = append(all, s.Region())
	}
	return all
}

func (a tx) DescribeRegions(in *ec2.DescribeRegionsInput) (*ec2.DescribeRegionsOutput, error) {
	all := a.regions()
	for _, name := range in.RegionNames {
		if !slices.Contains(all, name) {
			return nil, kernel.Fail("InvalidParameterValue", "Invalid region: %s", name)
		}
	}
	if len(in.RegionNames) == 0 && !aws.ToBool(in.AllRegions) {
		all = []string{a.Region()} // the one that this account has enabled
	}
	out := &ec2.DescribeRegionsOutput{Regions: []types.Region{}}
	for _, name := range all {
		endpoint := "ec2." + name + ".amazonaws.com"
		fields := map[string][]string{"region-name": {name}, "endpoint": {endpoint}, "opt-in-status": {"opt-in-not-required"}}
		if err := knownFilters(in.Filters, fields); err != nil {
			return nil, err
		}
		if len(in.RegionNames) > 0 && !slices.Contains(in.RegionNames, name) || !matches(in.Filters, nil, fields) {
			continue
		}
		out.Regions = append(out.Regions, types.Region{RegionName: aws.String(name), Endpoint: aws.String(endpoint), OptInStatus: aws.String("opt-in-not-required")})
	}
	return out, nil
}

func knownFilters(filters []types.Filter, fields map[string][]string) error {
	for _, f := range filters {
		if _, ok := fields[aws.ToString(f.Name)]; !ok {
			return kernel.Fail("InvalidParameterValue", "The filter '%s' is invalid", aws.ToString(f.Name))
		}
	}
	return nil
}

// Zones are the availability zones of the region.
func (s *Service) Zones() []string {
	return []string{s.Region() + "a", s.Region() + "b", s.Region() + "c"}
}

// zoneNumbers are the numbers in the ids of the zones a, b and c where they are not
// 1, 2 and 3: which zone has which name differs by account.
// https://docs.aws.amazon.com/ram/latest/userguide/working-with-az-ids.html
var zoneNumbers = map[string][]int{"us-west-1": {2, 1, 3}, "ap-northeast-1": {3, 1, 4}, "cn-north-1": {4, 2, 1}}

// ZoneID is the account-independent name of a zone: us-east-1a is use1-az1 here.
func (s *Service) ZoneID(zone string) string {
	r, numbers := s.Region(), zoneNumbers[s.Region()]
	if numbers == nil {
		numbers = []int{1, 2, 3}
	}
	return fmt.Sprintf("%s%s-az%d", shortRegion(r), r[len(r)-1:], numbers[slices.Index(s.Zones(), zone)])
}

// extension is a zone that is no availability zone, and shown where an account has
// opted in to it.
type extension struct{ name, id, kind string }

// extensions are those of the account.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_AvailabilityZone.html
func (s *Service) extensions() []extension {
	if s.Region() != "us-west-2" {
		return nil
	}
	return []extension{{"us-west-2-lax-1a", "usw2-lax1-az1", "local-zone"}, {"us-west-2-wl1-las-wlz-1", "usw2-wl1-las-wlz1", "wavelength-zone"}}
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

func (a tx) DescribeAvailabilityZones(in *ec2.DescribeAvailabilityZonesInput) (*ec2.DescribeAvailabilityZonesOutput, error) {
	all := []types.AvailabilityZone{}
	add := func(name, id, kind, group string, opted types.AvailabilityZoneOptInStatus) {
		all = append(all, types.AvailabilityZone{
			ZoneName: aws.String(name), ZoneId: aws.String(id), RegionName: aws.String(a.Region()), State: types.AvailabilityZoneStateAvailable,
			ZoneType: aws.String(kind), OptInStatus: opted, GroupName: aws.String(group), NetworkBorderGroup: aws.String(a.Region()),
		})
	}
	for _, name := range a.Zones() {
		add(name, a.ZoneID(name), "availability-zone", a.Region()+"-zg-1", types.AvailabilityZoneOptInStatusOptInNotRequired)
	}
	for _, x := range a.extensions() {
		add(x.name, x.id, x.kind, x.name[:len(x.name)-1], types.AvailabilityZoneOptInStatusOptedIn)
	}
	for _, name := range in.ZoneNames {
		if !slices.ContainsFunc(all, func(z types.AvailabilityZone) bool { return *z.ZoneName == name }) {
			return nil, kernel.Fail("InvalidParameterValue", "Invalid availability zone: [%s]", name)
		}
	}
	out := &ec2.DescribeAvailabilityZonesOutput{AvailabilityZones: []types.AvailabilityZone{}}
	for _, z := range all {
		fields := map[string][]string{
			"zone-name": {*z.ZoneName}, "zone-id": {*z.ZoneId}, "region-name": {a.Region()}, "state": {"available"}, "zone-type": {*z.ZoneType},
			"opt-in-status": {string(z.OptInStatus)}, "group-name": {*z.GroupName}, "group-long-name": {}, "message": {},
			"parent-zone-id": {}, "parent-zone-name": {},
		}
		if err := knownFilters(in.Filters, fields); err != nil {
			return nil, err
		}
		if len(in.ZoneNames) > 0 && !slices.Contains(in.ZoneNames, *z.ZoneName) || len(in.ZoneIds) > 0 && !slices.Contains(in.ZoneIds, *z.ZoneId) || !matches(in.Filters, nil, fields) {
			continue
		}
		out.AvailabilityZones = append(out.AvailabilityZones, z)
	}
	return out, nil
}
