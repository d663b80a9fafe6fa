package preflight

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/partition"
	"github.com/bookctl/bookctl/internal/provision"
)

// defaultVPCs is the default quota of VPCs in a region. Reading the actual quota would
// need permissions for another service.
// https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html
const defaultVPCs = 5

// readVPCs returns all VPCs, those that are being deleted among them.
func readVPCs(ctx context.Context, client *ec2.Client) ([]ec2types.Vpc, error) {
	var all []ec2types.Vpc
	pages := ec2.NewDescribeVpcsPaginator(client, &ec2.DescribeVpcsInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("count the VPCs: %w", err)
		}
		all = append(all, page.Vpcs...)
	}
	return all, nil
}

// blockedMode returns the mode of VPC Block Public Access where it is on, of all VPCs. The
// account has one in each region, and each VPC of the account shows it, but
// perhaps not one that is excluded. A VPC of the stack, which a run that failed has left, may
// be excluded; so none is returned then, and the VPC itself is checked when it is read. Where
// the account has no VPC, it is asked for the mode itself; without an answer a run goes on.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_BlockPublicAccessStates.html
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeVpcBlockPublicAccessOptions.html
func blockedMode(ctx context.Context, client *ec2.Client, all []ec2types.Vpc, account, stack string) (blocked string, err error) {
	own := false
	ofStack := func(t ec2types.Tag) bool {
		return aws.ToString(t.Key) == provision.TagStack && aws.ToString(t.Value) == stack
	}
	for _, v := range all {
		if v.OwnerId != nil && *v.OwnerId != account {
			continue
		}
		if own = true; slices.ContainsFunc(v.Tags, ofStack) {
			return "", nil
		}
		if b := v.BlockPublicAccessStates; b != nil && b.InternetGatewayBlockMode != "" && b.InternetGatewayBlockMode != ec2types.BlockPublicAccessModeOff {
			blocked = string(b.InternetGatewayBlockMode)
		}
	}
	if own {
		return blocked, nil
	}
	out, err := client.DescribeVpcBlockPublicAccessOptions(ctx, &ec2.DescribeVpcBlockPublicAccessOptionsInput{})
	switch {
	case err != nil && (provision.Expired(err) || ctx.Err() != nil):
		return "", fmt.Errorf("ask for VPC Block Public Access: %w", err)
	case err != nil || out.VpcBlockPublicAccessOptions == nil || out.VpcBlockPublicAccessOptions.InternetGatewayBlockMode == ec2types.InternetGatewayBlockModeOff:
		return "", nil //nolint:nilerr // without it a run goes on
	}
	return string(out.VpcBlockPublicAccessOptions.InternetGatewayBlockMode), nil
}

// openZones returns the availability zones that a stack can use, without Local and
// Wavelength Zones, which are listed once an account has opted in to them, and
// without those that Fargate does not serve.
func openZones(ctx context.Context, client *ec2.Client, region string) ([]string, error) {
	out, err := client.DescribeAvailabilityZones(ctx, &ec2.DescribeAvailabilityZonesInput{Filters: []ec2types.Filter{
		{Name: aws.String("zone-type"), Values: []string{"availability-zone"}},
	}})
	if provision.IsCode(err, "OptInRequired", "AuthFailure") {
		return nil, hint.With(fmt.Errorf("region %s can't be used: %w", region, err), "enable it for the account (AWS console, Account, AWS Regions), or choose another with --region")
	}
	if err != nil {
		return nil, fmt.Errorf("list the zones of %s: %w", region, err)
	}
	var names, unserved []string
	for _, z := range out.AvailabilityZones {
		name, id := aws.ToString(z.ZoneName), aws.ToString(z.ZoneId)
		// An endpoint that does not support the filter lists all zones.
		ordinary := z.ZoneType == nil || *z.ZoneType == "availability-zone"
		switch {
		case z.State != ec2types.AvailabilityZoneStateAvailable || !ordinary:
		case !partition.FargateServes(region, id):
			unserved = append(unserved, name+" ("+id+")")
		default:
			names = append(names, name)
		}
	}
	slices.Sort(names)
	if len(names) < 2 && unserved != nil {
		return nil, hint.With(fmt.Errorf("region %s has %d open zones that Fargate serves, and a stack needs two; it does not serve %s", region, len(names), strings.Join(unserved, ", ")), "choose another with --region")
	}
	if len(names) < 2 {
		return nil, hint.With(fmt.Errorf("region %s has %d open zones, and a stack needs two", region, len(names)), "choose another with --region")
	}
	return names, nil
}

// pickZones chooses the zones that are not deployed yet. Deployed zones stay,
// whatever they offer today.
func pickZones(env *Environment, zones []string, class, version string) error {
	for i := range env.Zones {
		if env.Zones[i] != "" {
			continue
		}
		for _, z := range zones {
			if z != env.Zones[1-i] {
				env.Zones[i] = z
				break
			}
		}
		if env.Zones[i] == "" {
			return hint.With(fmt.Errorf("database class %s with PostgreSQL %s is offered in one zone of %s only (%s), and a stack needs two", class, version, env.Region, strings.Join(zones, ", ")), "choose another --db-class or --region")
		}
	}
	return nil
}
