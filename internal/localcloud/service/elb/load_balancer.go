package elb

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
	"github.com/bookctl/bookctl/internal/localcloud/network"
)

type loadBalancer struct {
	types.LoadBalancer
	Interfaces map[string]string // subnet to interface
	Attributes map[string]string
	Tags       map[string]string
}

func (a tx) loadBalancer(arn *string) (*loadBalancer, error) {
	lb := a.state().LoadBalancers[aws.ToString(arn)]
	if lb == nil || !a.Visible(*arn) {
		return nil, kernel.Fail("LoadBalancerNotFound", "Load balancer '%s' not found", aws.ToString(arn))
	}
	return lb, nil
}

// loadBalancerAttributes are those of an Application Load Balancer with their
// defaults
// (https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_LoadBalancerAttribute.html).
var loadBalancerAttributes = map[string]string{
	"access_logs.s3.bucket": "", "access_logs.s3.enabled": "false", "access_logs.s3.prefix": "",
	"connection_logs.s3.bucket": "", "connection_logs.s3.enabled": "false", "connection_logs.s3.prefix": "",
	"client_keep_alive.seconds": "3600", "deletion_protection.enabled": "false", "idle_timeout.timeout_seconds": "60",
	"load_balancing.cross_zone.enabled": "true", "routing.http.desync_mitigation_mode": "defensive",
	"routing.http.drop_invalid_header_fields.enabled": "false", "routing.http.preserve_host_header.enabled": "false",
	"routing.http.x_amzn_tls_version_and_cipher_suite.enabled": "false", "routing.http.xff_client_port.enabled": "false",
	"routing.http.xff_header_processing.mode": "append", "routing.http2.enabled": "true", "waf.fail_open.enabled": "false",
	"zonal_shift.config.enabled": "false",
}

// CreateLoadBalancer creates a load balancer, or returns the one that is the same.
func (a tx) CreateLoadBalancer(in *elb.CreateLoadBalancerInput) (*elb.CreateLoadBalancerOutput, error) {
	name := aws.ToString(in.Name)
	if err := checkName("load balancer", name); err != nil {
		return nil, err
	}
	if in.Type != "" && in.Type != types.LoadBalancerTypeEnumApplication {
		return nil, kernel.Fail("ValidationError", "The local cloud has application load balancers only, not '%s'", in.Type)
	}
	if !a.needs.Roles.LinkedRoleUsable(a.Tx, "elasticloadbalancing.amazonaws.com") {
		// What a deployer without the permission to make the role meets in a new
		// account: https://github.com/kubernetes/kops/issues/16218.
		return nil, &kernel.Error{Status: http.StatusForbidden, Code: "AccessDenied", Message: fmt.Sprintf("User: %s is not authorized to perform: iam:CreateServiceLinkedRole on resource: %s",
			a.CallerARN(), a.ARN("iam", "role/aws-service-role/elasticloadbalancing.amazonaws.com/AWSServiceRoleForElasticLoadBalancing"))}
	}
	subnets := in.Subnets
	for _, m := range in.SubnetMappings {
		subnets = append(subnets, aws.ToString(m.SubnetId))
	}
	zones, vpc, err := a.zonesOf(subnets)
	if err != nil {
		return nil, err
	}
	for _, g := range in.SecurityGroups {
		if !a.needs.Network.HasGroup(a.Tx, g) {
			return nil, kernel.Fail("InvalidSecurityGroup", "The security group '%s' does not exist", g)
		}
	}
	scheme := cmp.Or(in.Scheme, types.LoadBalancerSchemeEnumInternetFacing)
	for _, have := range a.state().LoadBalancers {
		if *have.LoadBalancerName != name {
			continue
		}
		if have.Scheme != scheme || !sameSet(have.SecurityGroups, in.SecurityGroups) || !sameSet(slices.Collect(maps.Keys(have.Interfaces)), subnets) ||
			have.IpAddressType != cmp.Or(in.IpAddressType, types.IpAddressTypeIpv4) {
			return nil, kernel.Fail("DuplicateLoadBalancerName", "A load balancer with the same name '%s' exists, but with different settings", name)
		}
		return &elb.CreateLoadBalancerOutput{LoadBalancers: []types.LoadBalancer{have.LoadBalancer}}, nil
	}
	id := kernel.HexDigits(16)
	lb := &loadBalancer{
		LoadBalancer: types.LoadBalancer{
			LoadBalancerArn: aws.String(a.ARN("elasticloadbalancing", "loadbalancer/app/"+name+"/"+id)), LoadBalancerName: aws.String(name),
			AvailabilityZones: zones, CanonicalHostedZoneId: aws.String("Z35SXDOTRQ7X7K"), CreatedTime: aws.Time(a.Now()), DNSName: aws.String("localhost"),
			IpAddressType: cmp.Or(in.IpAddressType, types.IpAddressTypeIpv4), Scheme: scheme, SecurityGroups: slices.Clone(in.SecurityGroups),
			State: &types.LoadBalancerState{Code: types.LoadBalancerStateEnumProvisioning}, Type: types.LoadBalancerTypeEnumApplication, VpcId: aws.String(vpc),
		},
		Interfaces: map[string]string{}, Attributes: maps.Clone(loadBalancerAttributes), Tags: kernel.TagMap(in.Tags, tagPair),
	}
	for _, subnet := range subnets {
		if err := a.joinSubnet(lb, subnet); err != nil {
			a.leaveSubnets(lb)
			return nil, err
		}
	}
	if a.state().LoadBalancers == nil {
		a.state().LoadBalancers = map[string]*loadBalancer{}
	}
	arn := *lb.LoadBalancerArn
	a.state().LoadBalancers[arn] = lb
	a.Created(arn)
	created := lb.LoadBalancer // still provisioning, as AWS answers
	if a.Latencies().LoadBalancer == 0 {
		a.activate(arn)
	} else {
		a.Go(func(ctx context.Context) {
			if a.Pause(ctx, a.Latencies().LoadBalancer) {
				a.update(func(c tx) { c.activate(arn) })
			}
		})
	}
	return &elb.CreateLoadBalancerOutput{LoadBalancers: []types.LoadBalancer{created}}, nil
}

// activate ends a load balancer's provisioning: from now on its listeners serve
// and its targets are checked.
func (a tx) activate(arn string) {
	lb := a.state().LoadBalancers[arn]
	if lb == nil {
		return // deleted meanwhile
	}
	lb.State = &types.LoadBalancerState{Code: types.LoadBalancerStateEnumActive}
	a.configureListeners()
}

func (a tx) joinSubnet(lb *loadBalancer, subnet string) error {
	_, id, _ := strings.Cut(*lb.LoadBalancerArn, ":loadbalancer/")
	i, err := a.needs.Network.Attach(a.Tx, network.Spec{
		SubnetID: subnet, Groups: lb.SecurityGroups, Description: "ELB " + id, RequesterID: "amazon-elb", InterfaceType: "interface",
		Public: lb.Scheme == types.LoadBalancerSchemeEnumInternetFacing,
	})
	if err != nil {
		return err
	}
	lb.Interfaces[subnet] = i.ID
	return nil
}

func (a tx) leaveSubnets(lb *loadBalancer) {
	for subnet, id := range lb.Interfaces {
		a.needs.Network.Release(a.Tx, id)
		delete(lb.Interfaces, subnet)
	}
}

// zonesOf checks the subnets of a load balancer, which have to be of two zones.
func (a tx) zonesOf(subnets []string) (zones []types.AvailabilityZone, vpc string, err error) {
	seen := map[string]bool{}
	for _, id := range subnets {
		subnet, ok := a.needs.Network.Subnet(a.Tx, id)
		if !ok {
			return nil, "", kernel.Fail("SubnetNotFound", "The subnet ID '%s' does not exist", id)
		}
		if vpc != "" && subnet.VPC != vpc {
			return nil, "", kernel.Fail("InvalidConfigurationRequest", "All subnets must belong to the same VPC: '%s'", vpc)
		}
		if seen[subnet.Zone] {
			return nil, "", kernel.Fail("InvalidConfigurationRequest", "A load balancer cannot be attached to multiple subnets in the same Availability Zone")
		}
		vpc, seen[subnet.Zone] = subnet.VPC, true
		zones = append(zones, types.AvailabilityZone{SubnetId: aws.String(id), ZoneName: aws.String(subnet.Zone), LoadBalancerAddresses: []types.LoadBalancerAddress{}})
	}
	if len(zones) < 2 {
		return nil, "", kernel.Fail("ValidationError", "At least two subnets in two different Availability Zones must be specified")
	}
	return zones, vpc, nil
}

func sameSet(a, b []string) bool {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	return slices.Equal(a, b)
}

// DeleteLoadBalancer deletes a load balancer with its listeners. One that does
// not exist is no error.
func (a tx) DeleteLoadBalancer(in *elb.DeleteLoadBalancerInput) (*elb.DeleteLoadBalancerOutput, error) {
	arn := aws.ToString(in.LoadBalancerArn)
	lb := a.state().LoadBalancers[arn]
	if lb == nil {
		return &elb.DeleteLoadBalancerOutput{}, nil
	}
	if lb.Attributes["deletion_protection.enabled"] == "true" {
		return nil, kernel.Fail("OperationNotPermitted", "Load balancer '%s' cannot be deleted because deletion protection is enabled", arn)
	}
	for listener, l := range a.state().Listeners {
		if *l.LoadBalancerArn == arn {
			a.dropListener(listener)
		}
	}
	a.leaveSubnets(lb)
	delete(a.state().LoadBalancers, arn)
	a.configureListeners()
	return &elb.DeleteLoadBalancerOutput{}, nil
}

// DescribeLoadBalancers lists load balancers, or those asked for.
func (a tx) DescribeLoadBalancers(in *elb.DescribeLoadBalancersInput) (*elb.DescribeLoadBalancersOutput, error) {
	var all []types.LoadBalancer
	found := map[string]bool{}
	for _, arn := range slices.Sorted(maps.Keys(a.state().LoadBalancers)) {
		lb := a.state().LoadBalancers[arn]
		if !kernel.Selected(in.LoadBalancerArns, arn) || !kernel.Selected(in.Names, *lb.LoadBalancerName) || !a.Visible(arn) {
			continue
		}
		found[arn], found[*lb.LoadBalancerName] = true, true
		all = append(all, lb.LoadBalancer)
	}
	if missing := notFound(found, in.LoadBalancerArns, in.Names); len(missing) > 0 {
		return nil, kernel.Fail("LoadBalancerNotFound", "Load balancers '[%s]' not found", strings.Join(missing, ", "))
	}
	page, next, err := page(all, in.Marker, in.PageSize)
	return &elb.DescribeLoadBalancersOutput{LoadBalancers: page, NextMarker: next}, err
}

func lbAttributes(attributes map[string]string) (out []types.LoadBalancerAttribute) {
	for _, k := range slices.Sorted(maps.Keys(attributes)) {
		out = append(out, types.LoadBalancerAttribute{Key: aws.String(k), Value: aws.String(attributes[k])})
	}
	return out
}

// DescribeLoadBalancerAttributes lists all attributes.
func (a tx) DescribeLoadBalancerAttributes(in *elb.DescribeLoadBalancerAttributesInput) (*elb.DescribeLoadBalancerAttributesOutput, error) {
	lb, err := a.loadBalancer(in.LoadBalancerArn)
	if err != nil {
		return nil, err
	}
	return &elb.DescribeLoadBalancerAttributesOutput{Attributes: lbAttributes(lb.Attributes)}, nil
}

// ModifyLoadBalancerAttributes changes the given ones, or none if one is wrong.
func (a tx) ModifyLoadBalancerAttributes(in *elb.ModifyLoadBalancerAttributesInput) (*elb.ModifyLoadBalancerAttributesOutput, error) {
	lb, err := a.loadBalancer(in.LoadBalancerArn)
	if err != nil {
		return nil, err
	}
	for _, t := range in.Attributes {
		if err := checkAttribute("Load balancer", loadBalancerAttributes, aws.ToString(t.Key), aws.ToString(t.Value)); err != nil {
			return nil, err
		}
	}
	for _, t := range in.Attributes {
		lb.Attributes[*t.Key] = aws.ToString(t.Value)
	}
	a.configureListeners()
	return &elb.ModifyLoadBalancerAttributesOutput{Attributes: lbAttributes(lb.Attributes)}, nil
}

// SetSecurityGroups replaces a load balancer's security groups.
func (a tx) SetSecurityGroups(in *elb.SetSecurityGroupsInput) (*elb.SetSecurityGroupsOutput, error) {
	lb, err := a.loadBalancer(in.LoadBalancerArn)
	if err != nil {
		return nil, err
	}
	for _, g := range in.SecurityGroups {
		if !a.needs.Network.HasGroup(a.Tx, g) {
			return nil, kernel.Fail("InvalidSecurityGroup", "The security group '%s' does not exist", g)
		}
	}
	lb.SecurityGroups = slices.Clone(in.SecurityGroups)
	// The interfaces carry the groups, so they are made again.
	for subnet, id := range maps.Clone(lb.Interfaces) {
		if err := a.joinSubnet(lb, subnet); err != nil {
			return nil, err
		}
		a.needs.Network.Release(a.Tx, id)
	}
	a.limitTargets()
	return &elb.SetSecurityGroupsOutput{SecurityGroupIds: lb.SecurityGroups}, nil
}

// SetSubnets replaces a load balancer's subnets.
func (a tx) SetSubnets(in *elb.SetSubnetsInput) (*elb.SetSubnetsOutput, error) {
	lb, err := a.loadBalancer(in.LoadBalancerArn)
	if err != nil {
		return nil, err
	}
	subnets := in.Subnets
	for _, m := range in.SubnetMappings {
		subnets = append(subnets, aws.ToString(m.SubnetId))
	}
	zones, vpc, err := a.zonesOf(subnets)
	if err != nil {
		return nil, err
	}
	if vpc != *lb.VpcId {
		return nil, kernel.Fail("InvalidConfigurationRequest", "All subnets must belong to the same VPC: '%s'", *lb.VpcId)
	}
	for _, subnet := range subnets {
		if lb.Interfaces[subnet] == "" {
			if err := a.joinSubnet(lb, subnet); err != nil {
				return nil, err
			}
		}
	}
	for subnet, id := range lb.Interfaces {
		if !slices.Contains(subnets, subnet) {
			a.needs.Network.Release(a.Tx, id)
			delete(lb.Interfaces, subnet)
		}
	}
	lb.AvailabilityZones = zones
	a.limitTargets()
	return &elb.SetSubnetsOutput{AvailabilityZones: zones, IpAddressType: lb.IpAddressType}, nil
}

// SetIpAddressType changes a load balancer's addresses, of which the local cloud
// has one type.
func (a tx) SetIpAddressType(in *elb.SetIpAddressTypeInput) (*elb.SetIpAddressTypeOutput, error) {
	lb, err := a.loadBalancer(in.LoadBalancerArn)
	if err != nil {
		return nil, err
	}
	switch in.IpAddressType {
	case types.IpAddressTypeIpv4:
	case types.IpAddressTypeDualstack, types.IpAddressTypeDualstackWithoutPublicIpv4:
		// Its subnets have no IPv6 blocks: what AWS says of such ones.
		return nil, kernel.Fail("InvalidSubnet", "You must specify subnets with an associated IPv6 CIDR block.")
	default:
		return nil, kernel.Fail("ValidationError", "'%s' is not a valid IP address type", in.IpAddressType)
	}
	lb.IpAddressType = in.IpAddressType
	return &elb.SetIpAddressTypeOutput{IpAddressType: in.IpAddressType}, nil
}

// DescribeCapacityReservation reports that nothing is reserved.
func (a tx) DescribeCapacityReservation(in *elb.DescribeCapacityReservationInput) (*elb.DescribeCapacityReservationOutput, error) {
	if _, err := a.loadBalancer(in.LoadBalancerArn); err != nil {
		return nil, err
	}
	return &elb.DescribeCapacityReservationOutput{CapacityReservationState: []types.ZonalCapacityReservationState{}, DecreaseRequestsRemaining: aws.Int32(2)}, nil
}

// ModifyCapacityReservation reserves nothing, as in an account that has no quota
// for it
// (https://docs.aws.amazon.com/elasticloadbalancing/latest/application/capacity-unit-reservation.html).
func (a tx) ModifyCapacityReservation(in *elb.ModifyCapacityReservationInput) (*elb.ModifyCapacityReservationOutput, error) {
	if _, err := a.loadBalancer(in.LoadBalancerArn); err != nil {
		return nil, err
	}
	if m := in.MinimumLoadBalancerCapacity; m != nil && aws.ToInt32(m.CapacityUnits) > 0 {
		return nil, kernel.Fail("CapacityUnitsLimitExceeded", "The local cloud's load balancers have no capacity to reserve")
	}
	return &elb.ModifyCapacityReservationOutput{CapacityReservationState: []types.ZonalCapacityReservationState{}, DecreaseRequestsRemaining: aws.Int32(2)}, nil
}
