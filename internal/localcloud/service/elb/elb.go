package elb

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/bookctl/bookctl/internal/localcloud/balancer"
	"github.com/bookctl/bookctl/internal/localcloud/kernel"
	"github.com/bookctl/bookctl/internal/localcloud/network"
)

// state is what ELBv2 keeps, by ARN. The SDK's structs in it are never
// changed through their pointers and slices, only by new ones, since answers
// share them.
type state struct {
	LoadBalancers map[string]*elbLoadBalancer `json:"loadBalancers,omitempty"`
	TargetGroups  map[string]*elbTargetGroup  `json:"targetGroups,omitempty"`
	Listeners     map[string]*elbListener     `json:"listeners,omitempty"`
	Rules         map[string]*elbRule         `json:"rules,omitempty"`
}

type elbLoadBalancer struct {
	types.LoadBalancer
	Interfaces map[string]string // subnet to interface
	Attributes map[string]string
	Tags       map[string]string
}

type elbTargetGroup struct {
	types.TargetGroup
	Attributes map[string]string
	Tags       map[string]string
	Targets    []balancer.Target
}

type elbListener struct {
	types.Listener
	Attributes map[string]string // those that were set
	Extra      []string          // certificates besides the default one
	Tags       map[string]string
}

// live is what runs behind ELBv2, by ARN.
type live struct {
	groups    map[string]Group
	listeners map[string]Listener
}

// API is the service's operations.
func (s *Service) API() kernel.Service {
	return kernel.Service{Model: "elbv2", Signing: "elasticloadbalancing", Protocol: kernel.Query, Operations: kernel.Operations(s.in,
		kernel.Op("CreateLoadBalancer", tx.CreateLoadBalancer), kernel.Op("DeleteLoadBalancer", tx.DeleteLoadBalancer), kernel.Op("DescribeLoadBalancers", tx.DescribeLoadBalancers),
		kernel.Op("DescribeLoadBalancerAttributes", tx.DescribeLoadBalancerAttributes), kernel.Op("ModifyLoadBalancerAttributes", tx.ModifyLoadBalancerAttributes),
		kernel.Op("SetSecurityGroups", tx.SetSecurityGroups), kernel.Op("SetSubnets", tx.SetSubnets), kernel.Op("SetIpAddressType", tx.SetIpAddressType),
		kernel.Op("CreateTargetGroup", tx.CreateTargetGroup), kernel.Op("DeleteTargetGroup", tx.DeleteTargetGroup), kernel.Op("DescribeTargetGroups", tx.DescribeTargetGroups),
		kernel.Op("ModifyTargetGroup", tx.ModifyTargetGroup),
		kernel.Op("DescribeTargetGroupAttributes", tx.DescribeTargetGroupAttributes), kernel.Op("ModifyTargetGroupAttributes", tx.ModifyTargetGroupAttributes),
		kernel.Op("RegisterTargets", tx.RegisterTargets), kernel.Op("DeregisterTargets", tx.DeregisterTargets), kernel.Op("DescribeTargetHealth", tx.DescribeTargetHealth),
		kernel.Op("CreateListener", tx.CreateListener), kernel.Op("DeleteListener", tx.DeleteListener), kernel.Op("DescribeListeners", tx.DescribeListeners), kernel.Op("ModifyListener", tx.ModifyListener),
		kernel.Op("DescribeListenerAttributes", tx.DescribeListenerAttributes), kernel.Op("ModifyListenerAttributes", tx.ModifyListenerAttributes),
		kernel.Op("DescribeListenerCertificates", tx.DescribeListenerCertificates), kernel.Op("AddListenerCertificates", tx.AddListenerCertificates),
		kernel.Op("RemoveListenerCertificates", tx.RemoveListenerCertificates), kernel.Op("DescribeSSLPolicies", tx.DescribeSSLPolicies),
		kernel.Op("CreateRule", tx.CreateRule), kernel.Op("DeleteRule", tx.DeleteRule), kernel.Op("DescribeRules", tx.DescribeRules), kernel.Op("ModifyRule", tx.ModifyRule),
		kernel.Op("SetRulePriorities", tx.SetRulePriorities), kernel.Op("DescribeAccountLimits", tx.DescribeAccountLimits),
		kernel.Op("DescribeCapacityReservation", tx.DescribeCapacityReservation), kernel.Op("ModifyCapacityReservation", tx.ModifyCapacityReservation),
		kernel.Op("AddTags", tx.AddTags), kernel.Op("RemoveTags", tx.RemoveTags), kernel.Op("DescribeTags", tx.DescribeTags),
	)}
}

// elbName is what load balancers and target groups may be called.
var elbName = regexp.MustCompile(`^[A-Za-z0-9](?:[A-Za-z0-9-]{0,30}[A-Za-z0-9])?$`)

func checkELBName(what, name string) error {
	switch {
	case len(name) > 32:
		return kernel.Fail("ValidationError", "The %s name '%s' cannot be longer than '32' characters", what, name)
	case !elbName.MatchString(name):
		return kernel.Fail("ValidationError", "The %s name '%s' must contain only alphanumeric characters or hyphens and must not begin or end with a hyphen", what, name)
	case strings.HasPrefix(name, "internal-"):
		return kernel.Fail("ValidationError", "The %s name '%s' cannot begin with 'internal-'", what, name)
	}
	return nil
}

func (a tx) loadBalancer(arn *string) (*elbLoadBalancer, error) {
	lb := a.state().LoadBalancers[aws.ToString(arn)]
	if lb == nil || !a.Visible(*arn) {
		return nil, kernel.Fail("LoadBalancerNotFound", "Load balancer '%s' not found", aws.ToString(arn))
	}
	return lb, nil
}

func (a tx) targetGroup(arn *string) (*elbTargetGroup, error) {
	tg := a.state().TargetGroups[aws.ToString(arn)]
	if tg == nil || !a.Visible(*arn) {
		return nil, kernel.Fail("TargetGroupNotFound", "Target groups '%s' not found", aws.ToString(arn))
	}
	return tg, nil
}

func (a tx) listener(arn *string) (*elbListener, error) {
	l := a.state().Listeners[aws.ToString(arn)]
	if l == nil || !a.Visible(*arn) {
		return nil, kernel.Fail("ListenerNotFound", "Listener '%s' not found", aws.ToString(arn))
	}
	return l, nil
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

// targetGroupAttributes are those of an HTTP target group with their defaults.
var targetGroupAttributes = map[string]string{
	"deregistration_delay.timeout_seconds": "300", "load_balancing.algorithm.type": "round_robin",
	"load_balancing.algorithm.anomaly_mitigation": "off", "load_balancing.cross_zone.enabled": "use_load_balancer_configuration",
	"slow_start.duration_seconds": "0", "stickiness.enabled": "false", "stickiness.type": "lb_cookie",
	"stickiness.app_cookie.cookie_name": "", "stickiness.app_cookie.duration_seconds": "86400", "stickiness.lb_cookie.duration_seconds": "86400",
	"target_group_health.dns_failover.minimum_healthy_targets.count": "1", "target_group_health.dns_failover.minimum_healthy_targets.percentage": "off",
	"target_group_health.unhealthy_state_routing.minimum_healthy_targets.count": "1", "target_group_health.unhealthy_state_routing.minimum_healthy_targets.percentage": "off",
}

// secondsOf are the attributes that are numbers, with their ranges.
var secondsOf = map[string][2]int{
	"idle_timeout.timeout_seconds": {1, 4000}, "client_keep_alive.seconds": {60, 604800},
	"deregistration_delay.timeout_seconds": {0, 3600}, "slow_start.duration_seconds": {0, 900},
	"stickiness.lb_cookie.duration_seconds": {1, 604800}, "stickiness.app_cookie.duration_seconds": {1, 604800},
}

func checkAttribute(what string, known map[string]string, key, value string) error {
	otherwise, ok := known[key]
	if !ok {
		return kernel.Fail("ValidationError", "%s attribute key '%s' is not recognized", what, key)
	}
	bad := kernel.Fail("ValidationError", "%s attribute value '%s' is not valid for the key '%s'", what, value, key)
	if bounds, ok := secondsOf[key]; ok {
		if n, err := strconv.Atoi(value); err != nil || n < bounds[0] || n > bounds[1] {
			return bad
		}
	} else if (otherwise == "true" || otherwise == "false") && value != "true" && value != "false" {
		return bad
	}
	if key == "stickiness.enabled" && value == "true" {
		return kernel.Fail("ValidationError", "The local cloud's load balancers have no sticky sessions")
	}
	return nil
}

// CreateLoadBalancer makes a load balancer, or returns the one that is the same.
func (a tx) CreateLoadBalancer(in *elb.CreateLoadBalancerInput) (*elb.CreateLoadBalancerOutput, error) {
	name := aws.ToString(in.Name)
	if err := checkELBName("load balancer", name); err != nil {
		return nil, err
	}
	if in.Type != "" && in.Type != types.LoadBalancerTypeEnumApplication {
		return nil, kernel.Fail("ValidationError", "The local cloud has application load balancers only, not '%s'", in.Type)
	}
	if !a.roles.LinkedRoleUsable(a.Tx, "elasticloadbalancing.amazonaws.com") {
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
		if !a.network.HasGroup(a.Tx, g) {
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
	lb := &elbLoadBalancer{
		LoadBalancer: types.LoadBalancer{
			LoadBalancerArn: aws.String(a.ARN("elasticloadbalancing", "loadbalancer/app/"+name+"/"+id)), LoadBalancerName: aws.String(name),
			AvailabilityZones: zones, CanonicalHostedZoneId: aws.String("Z35SXDOTRQ7X7K"), CreatedTime: aws.Time(a.Now()), DNSName: aws.String("localhost"),
			IpAddressType: cmp.Or(in.IpAddressType, types.IpAddressTypeIpv4), Scheme: scheme, SecurityGroups: slices.Clone(in.SecurityGroups),
			State: &types.LoadBalancerState{Code: types.LoadBalancerStateEnumProvisioning}, Type: types.LoadBalancerTypeEnumApplication, VpcId: aws.String(vpc),
		},
		Interfaces: map[string]string{}, Attributes: maps.Clone(loadBalancerAttributes), Tags: elbTags(in.Tags),
	}
	for _, subnet := range subnets {
		if err := a.joinSubnet(lb, subnet); err != nil {
			a.leaveSubnets(lb)
			return nil, err
		}
	}
	if a.state().LoadBalancers == nil {
		a.state().LoadBalancers = map[string]*elbLoadBalancer{}
	}
	arn := *lb.LoadBalancerArn
	a.state().LoadBalancers[arn] = lb
	a.Born(arn)
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
func (c tx) activate(arn string) {
	lb := c.state().LoadBalancers[arn]
	if lb == nil {
		return // deleted meanwhile
	}
	lb.State = &types.LoadBalancerState{Code: types.LoadBalancerStateEnumActive}
	c.configureListeners()
}

func (a tx) joinSubnet(lb *elbLoadBalancer, subnet string) error {
	_, id, _ := strings.Cut(*lb.LoadBalancerArn, ":loadbalancer/")
	i, err := a.network.Attach(a.Tx, network.Spec{
		SubnetID: subnet, Groups: lb.SecurityGroups, Description: "ELB " + id, RequesterID: "amazon-elb", InterfaceType: "interface",
		Public: lb.Scheme == types.LoadBalancerSchemeEnumInternetFacing,
	})
	if err != nil {
		return err
	}
	lb.Interfaces[subnet] = i.ID
	return nil
}

func (a tx) leaveSubnets(lb *elbLoadBalancer) {
	for subnet, id := range lb.Interfaces {
		a.network.Release(a.Tx, id)
		delete(lb.Interfaces, subnet)
	}
}

// zonesOf checks the subnets of a load balancer, which have to be of two zones.
func (a tx) zonesOf(subnets []string) (zones []types.AvailabilityZone, vpc string, err error) {
	seen := map[string]bool{}
	for _, id := range subnets {
		subnet, ok := a.network.Subnet(a.Tx, id)
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

// DeleteLoadBalancer removes a load balancer with its listeners. One that does
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
	if missing := lacking(found, in.LoadBalancerArns, in.Names); len(missing) > 0 {
		return nil, kernel.Fail("LoadBalancerNotFound", "Load balancers '[%s]' not found", strings.Join(missing, ", "))
	}
	page, next, err := elbPage(all, in.Marker, in.PageSize)
	return &elb.DescribeLoadBalancersOutput{LoadBalancers: page, NextMarker: next}, err
}

// elbPage is a page of at most 400, as many as AWS gives unasked.
func elbPage[T any](all []T, marker *string, size *int32) ([]T, *string, error) {
	limit := 400
	if size != nil {
		if limit = int(*size); limit < 1 || limit > 400 {
			return nil, nil, kernel.Fail("ValidationError", "1 validation error detected: Value '%d' at 'pageSize' failed to satisfy constraint: Member must have value between 1 and 400", limit)
		}
	}
	page, next, err := kernel.PageOf(all, marker, limit, kernel.Fail("ValidationError", "Invalid marker"))
	if len(page) == 0 {
		page = []T{} // an empty list, not none
	}
	return page, next, err
}

// lacking are the names of the lists that were not found.
func lacking(found map[string]bool, lists ...[]string) (missing []string) {
	for _, name := range slices.Concat(lists...) {
		if !found[name] {
			missing = append(missing, name)
		}
	}
	return missing
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
		if !a.network.HasGroup(a.Tx, g) {
			return nil, kernel.Fail("InvalidSecurityGroup", "The security group '%s' does not exist", g)
		}
	}
	lb.SecurityGroups = slices.Clone(in.SecurityGroups)
	// The interfaces carry the groups, so they are made anew.
	for subnet, id := range maps.Clone(lb.Interfaces) {
		if err := a.joinSubnet(lb, subnet); err != nil {
			return nil, err
		}
		a.network.Release(a.Tx, id)
	}
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
			a.network.Release(a.Tx, id)
			delete(lb.Interfaces, subnet)
		}
	}
	lb.AvailabilityZones = zones
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

// DescribeCapacityReservation says that nothing is reserved.
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

// DescribeAccountLimits lists the quotas of a new account
// (https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-limits.html).
func (a tx) DescribeAccountLimits(in *elb.DescribeAccountLimitsInput) (*elb.DescribeAccountLimitsOutput, error) {
	var all []types.Limit
	for _, l := range []struct {
		name string
		most int
	}{
		{"application-load-balancers", 50}, {"target-groups", 3000}, {"targets-per-application-load-balancer", 1000},
		{"listeners-per-application-load-balancer", 50}, {"rules-per-application-load-balancer", maxRules},
		{"condition-values-per-alb-rule", maxRuleValues}, {"condition-wildcards-per-alb-rule", 6},
		{"certificates-per-application-load-balancer", maxExtraCertificates}, {"target-groups-per-action-on-application-load-balancer", 5},
		{"target-groups-per-application-load-balancer", 100}, {"targets-per-availability-zone-per-application-load-balancer", 1000},
	} {
		all = append(all, types.Limit{Name: aws.String(l.name), Max: aws.String(strconv.Itoa(l.most))})
	}
	page, next, err := elbPage(all, in.Marker, in.PageSize)
	return &elb.DescribeAccountLimitsOutput{Limits: page, NextMarker: next}, err
}

// checkHealthCheck is about the settings of a group's health checks.
func checkHealthCheck(tg types.TargetGroup) error {
	between := func(what string, n *int32, low, high int32) error {
		if *n < low || *n > high {
			return kernel.Fail("ValidationError", "%s '%d' must be between %d and %d", what, *n, low, high)
		}
		return nil
	}
	if err := errors.Join(
		between("Health check interval", tg.HealthCheckIntervalSeconds, 5, 300), between("Health check timeout", tg.HealthCheckTimeoutSeconds, 2, 120),
		between("Healthy threshold count", tg.HealthyThresholdCount, 2, 10), between("Unhealthy threshold count", tg.UnhealthyThresholdCount, 2, 10),
	); err != nil {
		var first *kernel.Error
		errors.As(err, &first)
		return first
	}
	if *tg.HealthCheckTimeoutSeconds >= *tg.HealthCheckIntervalSeconds {
		return kernel.Fail("ValidationError", "Health check timeout '%d' must be smaller than the interval '%d'", *tg.HealthCheckTimeoutSeconds, *tg.HealthCheckIntervalSeconds)
	}
	if !strings.HasPrefix(*tg.HealthCheckPath, "/") || len(*tg.HealthCheckPath) > 1024 {
		return kernel.Fail("ValidationError", "Health check path '%s' must begin with a '/' character and be at most 1024 characters long", *tg.HealthCheckPath)
	}
	if port := *tg.HealthCheckPort; port != "traffic-port" {
		if n, err := strconv.Atoi(port); err != nil || n < 1 || n > 65535 {
			return kernel.Fail("ValidationError", "Health check port '%s' must be 'traffic-port' or a port", port)
		}
	}
	if !codeMatcher.MatchString(*tg.Matcher.HttpCode) {
		return kernel.Fail("ValidationError", "Health check matcher HTTP code '%s' is invalid", *tg.Matcher.HttpCode)
	}
	return nil
}

var codeMatcher = regexp.MustCompile(`^[2-4]\d\d(?:-[2-4]\d\d)?(?:,[2-4]\d\d(?:-[2-4]\d\d)?)*$`)

// CreateTargetGroup makes a group, or returns the one that is the same.
func (a tx) CreateTargetGroup(in *elb.CreateTargetGroupInput) (*elb.CreateTargetGroupOutput, error) {
	name := aws.ToString(in.Name)
	if err := checkELBName("target group", name); err != nil {
		return nil, err
	}
	if in.TargetType != types.TargetTypeEnumIp {
		return nil, kernel.Fail("ValidationError", "The local cloud has target groups of type 'ip' only, which is what Fargate needs, not '%s'", cmp.Or(in.TargetType, types.TargetTypeEnumInstance))
	}
	if in.Protocol != types.ProtocolEnumHttp || in.HealthCheckProtocol != "" && in.HealthCheckProtocol != types.ProtocolEnumHttp {
		return nil, kernel.Fail("ValidationError", "The local cloud's target groups speak HTTP only, not '%s'", cmp.Or(in.HealthCheckProtocol, in.Protocol))
	}
	if p := aws.ToInt32(in.Port); p < 1 || p > 65535 {
		return nil, kernel.Fail("ValidationError", "Port '%d' must be between 1 and 65535", p)
	}
	if in.VpcId == nil {
		return nil, kernel.Fail("ValidationError", "A VPC ID must be specified")
	}
	matcher := &types.Matcher{HttpCode: aws.String("200")}
	if in.Matcher != nil && in.Matcher.HttpCode != nil {
		matcher = in.Matcher
	}
	described := types.TargetGroup{
		TargetGroupName: in.Name, TargetType: in.TargetType, Protocol: in.Protocol, ProtocolVersion: aws.String(cmp.Or(aws.ToString(in.ProtocolVersion), "HTTP1")),
		Port: in.Port, VpcId: in.VpcId, IpAddressType: types.TargetGroupIpAddressTypeEnumIpv4, LoadBalancerArns: []string{},
		HealthCheckEnabled: aws.Bool(true), HealthCheckProtocol: types.ProtocolEnumHttp, HealthCheckPort: cmp.Or(in.HealthCheckPort, aws.String("traffic-port")),
		HealthCheckPath: cmp.Or(in.HealthCheckPath, aws.String("/")), HealthCheckIntervalSeconds: cmp.Or(in.HealthCheckIntervalSeconds, aws.Int32(30)),
		HealthCheckTimeoutSeconds: cmp.Or(in.HealthCheckTimeoutSeconds, aws.Int32(5)), HealthyThresholdCount: cmp.Or(in.HealthyThresholdCount, aws.Int32(5)),
		UnhealthyThresholdCount: cmp.Or(in.UnhealthyThresholdCount, aws.Int32(2)), Matcher: matcher,
	}
	if err := checkHealthCheck(described); err != nil {
		return nil, err
	}
	for _, have := range a.state().TargetGroups {
		if *have.TargetGroupName != name {
			continue
		}
		if !sameTargetGroup(have.TargetGroup, described) {
			return nil, kernel.Fail("DuplicateTargetGroupName", "A target group with the same name '%s' exists, but with different settings", name)
		}
		return &elb.CreateTargetGroupOutput{TargetGroups: []types.TargetGroup{have.TargetGroup}}, nil
	}
	arn := a.ARN("elasticloadbalancing", "targetgroup/"+name+"/"+kernel.HexDigits(16))
	described.TargetGroupArn = aws.String(arn)
	tg := &elbTargetGroup{TargetGroup: described, Attributes: maps.Clone(targetGroupAttributes), Tags: elbTags(in.Tags)}
	if a.state().TargetGroups == nil {
		a.state().TargetGroups = map[string]*elbTargetGroup{}
	}
	a.state().TargetGroups[arn] = tg
	a.openGroup(tg)
	a.Born(arn)
	return &elb.CreateTargetGroupOutput{TargetGroups: []types.TargetGroup{described}}, nil
}

func sameTargetGroup(x, y types.TargetGroup) bool {
	return *x.Port == *y.Port && x.Protocol == y.Protocol && *x.VpcId == *y.VpcId && x.TargetType == y.TargetType && *x.ProtocolVersion == *y.ProtocolVersion &&
		*x.HealthCheckPort == *y.HealthCheckPort && *x.HealthCheckPath == *y.HealthCheckPath && *x.HealthCheckIntervalSeconds == *y.HealthCheckIntervalSeconds &&
		*x.HealthCheckTimeoutSeconds == *y.HealthCheckTimeoutSeconds && *x.HealthyThresholdCount == *y.HealthyThresholdCount &&
		*x.UnhealthyThresholdCount == *y.UnhealthyThresholdCount && *x.Matcher.HttpCode == *y.Matcher.HttpCode
}

// openGroup brings a target group to life.
func (c tx) openGroup(tg *elbTargetGroup) {
	if c.live().groups == nil {
		c.live().groups = map[string]Group{}
	}
	g := c.balancer.NewGroup(c.groupSettings(tg))
	for _, t := range tg.Targets {
		g.Register(t)
	}
	c.live().groups[*tg.TargetGroupArn] = g
}

func (c tx) groupSettings(tg *elbTargetGroup) balancer.Settings {
	second := func(n *int32) time.Duration { return time.Duration(*n) * time.Second }
	delay, _ := strconv.Atoi(tg.Attributes["deregistration_delay.timeout_seconds"]) // checked when it was set
	port, _ := strconv.Atoi(*tg.HealthCheckPort)                                    // 0 for traffic-port
	return balancer.Settings{
		Path: *tg.HealthCheckPath, CheckPort: port, Interval: c.ScaledTo(leastInterval, second(tg.HealthCheckIntervalSeconds)), Timeout: second(tg.HealthCheckTimeoutSeconds),
		HealthyThreshold: int(*tg.HealthyThresholdCount), UnhealthyThreshold: int(*tg.UnhealthyThresholdCount), Matcher: *tg.Matcher.HttpCode,
		DeregistrationDelay: time.Duration(delay) * time.Second,
	}
}

// DeleteTargetGroup removes a group that no listener uses. One that does not
// exist is no error.
func (a tx) DeleteTargetGroup(in *elb.DeleteTargetGroupInput) (*elb.DeleteTargetGroupOutput, error) {
	arn := aws.ToString(in.TargetGroupArn)
	tg := a.state().TargetGroups[arn]
	if tg == nil {
		return &elb.DeleteTargetGroupOutput{}, nil
	}
	if len(tg.LoadBalancerArns) > 0 {
		return nil, kernel.Fail("ResourceInUse", "Target group '%s' is currently in use by a listener or a rule", arn)
	}
	a.live().groups[arn].Close()
	delete(a.live().groups, arn)
	delete(a.state().TargetGroups, arn)
	return &elb.DeleteTargetGroupOutput{}, nil
}

// DescribeTargetGroups lists groups, or those asked for.
func (a tx) DescribeTargetGroups(in *elb.DescribeTargetGroupsInput) (*elb.DescribeTargetGroupsOutput, error) {
	if in.LoadBalancerArn != nil {
		if _, err := a.loadBalancer(in.LoadBalancerArn); err != nil {
			return nil, err
		}
	}
	var all []types.TargetGroup
	found := map[string]bool{}
	for _, arn := range slices.Sorted(maps.Keys(a.state().TargetGroups)) {
		tg := a.state().TargetGroups[arn]
		if !kernel.Selected(in.TargetGroupArns, arn) || !kernel.Selected(in.Names, *tg.TargetGroupName) || !a.Visible(arn) ||
			in.LoadBalancerArn != nil && !slices.Contains(tg.LoadBalancerArns, *in.LoadBalancerArn) {
			continue
		}
		found[arn], found[*tg.TargetGroupName] = true, true
		all = append(all, tg.TargetGroup)
	}
	if len(lacking(found, in.TargetGroupArns, in.Names)) > 0 {
		return nil, kernel.Fail("TargetGroupNotFound", "One or more target groups not found")
	}
	page, next, err := elbPage(all, in.Marker, in.PageSize)
	return &elb.DescribeTargetGroupsOutput{TargetGroups: page, NextMarker: next}, err
}

// ModifyTargetGroup changes a group's health checks.
func (a tx) ModifyTargetGroup(in *elb.ModifyTargetGroupInput) (*elb.ModifyTargetGroupOutput, error) {
	tg, err := a.targetGroup(in.TargetGroupArn)
	if err != nil {
		return nil, err
	}
	next := tg.TargetGroup
	next.HealthCheckPort, next.HealthCheckPath = cmp.Or(in.HealthCheckPort, next.HealthCheckPort), cmp.Or(in.HealthCheckPath, next.HealthCheckPath)
	next.HealthCheckIntervalSeconds = cmp.Or(in.HealthCheckIntervalSeconds, next.HealthCheckIntervalSeconds)
	next.HealthCheckTimeoutSeconds = cmp.Or(in.HealthCheckTimeoutSeconds, next.HealthCheckTimeoutSeconds)
	next.HealthyThresholdCount = cmp.Or(in.HealthyThresholdCount, next.HealthyThresholdCount)
	next.UnhealthyThresholdCount = cmp.Or(in.UnhealthyThresholdCount, next.UnhealthyThresholdCount)
	if in.Matcher != nil && in.Matcher.HttpCode != nil {
		next.Matcher = in.Matcher
	}
	if err := checkHealthCheck(next); err != nil {
		return nil, err
	}
	tg.TargetGroup = next
	a.live().groups[*tg.TargetGroupArn].Configure(a.groupSettings(tg))
	return &elb.ModifyTargetGroupOutput{TargetGroups: []types.TargetGroup{next}}, nil
}

func tgAttributes(attributes map[string]string) (out []types.TargetGroupAttribute) {
	for _, k := range slices.Sorted(maps.Keys(attributes)) {
		out = append(out, types.TargetGroupAttribute{Key: aws.String(k), Value: aws.String(attributes[k])})
	}
	return out
}

// DescribeTargetGroupAttributes lists all attributes.
func (a tx) DescribeTargetGroupAttributes(in *elb.DescribeTargetGroupAttributesInput) (*elb.DescribeTargetGroupAttributesOutput, error) {
	tg, err := a.targetGroup(in.TargetGroupArn)
	if err != nil {
		return nil, err
	}
	return &elb.DescribeTargetGroupAttributesOutput{Attributes: tgAttributes(tg.Attributes)}, nil
}

// ModifyTargetGroupAttributes changes the given ones, or none if one is wrong.
func (a tx) ModifyTargetGroupAttributes(in *elb.ModifyTargetGroupAttributesInput) (*elb.ModifyTargetGroupAttributesOutput, error) {
	tg, err := a.targetGroup(in.TargetGroupArn)
	if err != nil {
		return nil, err
	}
	for _, t := range in.Attributes {
		if err := checkAttribute("Target group", targetGroupAttributes, aws.ToString(t.Key), aws.ToString(t.Value)); err != nil {
			return nil, err
		}
	}
	for _, t := range in.Attributes {
		tg.Attributes[*t.Key] = aws.ToString(t.Value)
	}
	a.live().groups[*tg.TargetGroupArn].Configure(a.groupSettings(tg))
	return &elb.ModifyTargetGroupAttributesOutput{Attributes: tgAttributes(tg.Attributes)}, nil
}

// register adds a target. An address that no task has is served by nobody.
func (c tx) register(tg *elbTargetGroup, t balancer.Target) {
	c.live().groups[*tg.TargetGroupArn].Register(t)
	tg.Targets = slices.DeleteFunc(slices.Clone(tg.Targets), func(have balancer.Target) bool { return have.ID == t.ID && have.Port == t.Port })
	tg.Targets = append(tg.Targets, t)
}

// deregister takes a target away; the channel is closed when it has drained.
func (c tx) deregister(tg *elbTargetGroup, id string, port int) <-chan struct{} {
	tg.Targets = slices.DeleteFunc(slices.Clone(tg.Targets), func(t balancer.Target) bool { return t.ID == id && (port == 0 || t.Port == port) })
	return c.live().groups[*tg.TargetGroupArn].Deregister(id, port)
}

// RegisterTargets adds targets by their private addresses.
func (a tx) RegisterTargets(in *elb.RegisterTargetsInput) (*elb.RegisterTargetsOutput, error) {
	tg, err := a.targetGroup(in.TargetGroupArn)
	if err != nil {
		return nil, err
	}
	for _, t := range in.Targets {
		if _, err := netip.ParseAddr(aws.ToString(t.Id)); err != nil {
			return nil, kernel.Fail("ValidationError", "The IP address '%s' is not a valid IPv4 address", aws.ToString(t.Id))
		}
	}
	for _, t := range in.Targets {
		port := int(aws.ToInt32(cmp.Or(t.Port, tg.Port)))
		target := balancer.Target{ID: *t.Id, Port: port, Zone: aws.ToString(t.AvailabilityZone)}
		target.Addr, target.Zone = a.tasks.Address(a.Tx, *t.Id, port)
		a.register(tg, target)
	}
	return &elb.RegisterTargetsOutput{}, nil
}

// DeregisterTargets lets targets drain.
func (a tx) DeregisterTargets(in *elb.DeregisterTargetsInput) (*elb.DeregisterTargetsOutput, error) {
	tg, err := a.targetGroup(in.TargetGroupArn)
	if err != nil {
		return nil, err
	}
	for _, t := range in.Targets {
		if !slices.ContainsFunc(tg.Targets, func(have balancer.Target) bool { return have.ID == aws.ToString(t.Id) }) {
			return nil, kernel.Fail("InvalidTarget", "The following targets are not registered: '%s'", aws.ToString(t.Id))
		}
	}
	for _, t := range in.Targets {
		a.deregister(tg, aws.ToString(t.Id), int(aws.ToInt32(t.Port)))
	}
	return &elb.DeregisterTargetsOutput{}, nil
}

// DescribeTargetHealth says how the targets are, draining ones too.
func (a tx) DescribeTargetHealth(in *elb.DescribeTargetHealthInput) (*elb.DescribeTargetHealthOutput, error) {
	tg, err := a.targetGroup(in.TargetGroupArn)
	if err != nil {
		return nil, err
	}
	out := &elb.DescribeTargetHealthOutput{TargetHealthDescriptions: []types.TargetHealthDescription{}}
	health := a.live().groups[*tg.TargetGroupArn].Health()
	wanted := func(h balancer.Health, t types.TargetDescription) bool {
		return h.ID == aws.ToString(t.Id) && (t.Port == nil || h.Port == int(*t.Port))
	}
	for _, h := range health {
		if len(in.Targets) > 0 && !slices.ContainsFunc(in.Targets, func(t types.TargetDescription) bool { return wanted(h, t) }) {
			continue
		}
		checkPort := *tg.HealthCheckPort
		if checkPort == "traffic-port" {
			checkPort = strconv.Itoa(h.Port)
		}
		d := types.TargetHealthDescription{
			HealthCheckPort: aws.String(checkPort), Target: &types.TargetDescription{Id: aws.String(h.ID), Port: aws.Int32(int32(h.Port))},
			TargetHealth: &types.TargetHealth{State: types.TargetHealthStateEnum(h.State), Reason: types.TargetHealthReasonEnum(h.Reason)},
			// Nobody has shifted a zone's traffic away:
			// https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_AdministrativeOverride.html
			AdministrativeOverride: &types.AdministrativeOverride{
				State: types.TargetAdministrativeOverrideStateEnumNoOverride, Reason: types.TargetAdministrativeOverrideReasonEnumNoOverrideEngaged,
				Description: aws.String("No override is currently active on target"),
			},
		}
		if slices.Contains(in.Include, types.DescribeTargetHealthInputIncludeEnumAnomaly) || slices.Contains(in.Include, types.DescribeTargetHealthInputIncludeEnumAll) {
			d.AnomalyDetection = &types.AnomalyDetection{Result: types.AnomalyResultEnumNormal, MitigationInEffect: types.MitigationInEffectEnumNo}
		}
		if h.Zone != "" {
			d.Target.AvailabilityZone = aws.String(h.Zone)
		}
		if h.Description != "" {
			d.TargetHealth.Description = aws.String(h.Description)
		}
		out.TargetHealthDescriptions = append(out.TargetHealthDescriptions, d)
	}
	for _, t := range in.Targets {
		if slices.ContainsFunc(health, func(h balancer.Health) bool { return wanted(h, t) }) {
			continue
		}
		out.TargetHealthDescriptions = append(out.TargetHealthDescriptions, types.TargetHealthDescription{
			Target: &t, TargetHealth: &types.TargetHealth{
				State: types.TargetHealthStateEnumUnused, Reason: types.TargetHealthReasonEnumNotRegistered, Description: aws.String("Target is not registered to the target group"),
			},
		})
	}
	return out, nil
}

// actions checks and completes what a listener or a rule does.
func (a tx) actions(in []types.Action, loadBalancer string) ([]types.Action, error) {
	if len(in) != 1 {
		return nil, kernel.Fail("ValidationError", "A listener and a rule have exactly one action here, not %d", len(in))
	}
	action := in[0]
	switch action.Type {
	case types.ActionTypeEnumForward:
		forward, err := a.forwardTo(action, loadBalancer)
		if err != nil {
			return nil, err
		}
		action.ForwardConfig, action.TargetGroupArn = forward, nil
		if len(forward.TargetGroups) == 1 {
			action.TargetGroupArn = forward.TargetGroups[0].TargetGroupArn
		}
	case types.ActionTypeEnumRedirect:
		if action.RedirectConfig == nil || action.RedirectConfig.StatusCode == "" {
			return nil, kernel.Fail("ValidationError", "A redirect action must have a status code")
		}
		r := *action.RedirectConfig
		r.Protocol, r.Host, r.Port = cmp.Or(r.Protocol, aws.String("#{protocol}")), cmp.Or(r.Host, aws.String("#{host}")), cmp.Or(r.Port, aws.String("#{port}"))
		r.Path, r.Query = cmp.Or(r.Path, aws.String("/#{path}")), cmp.Or(r.Query, aws.String("#{query}"))
		action.RedirectConfig = &r
	case types.ActionTypeEnumFixedResponse:
		f := action.FixedResponseConfig
		if f == nil || !regexp.MustCompile(`^[245]\d\d$`).MatchString(aws.ToString(f.StatusCode)) {
			return nil, kernel.Fail("ValidationError", "A fixed-response action must have a status code of 2XX, 4XX or 5XX")
		}
	default:
		return nil, kernel.Fail("ValidationError", "The local cloud knows no action of type '%s'", action.Type)
	}
	return []types.Action{action}, nil
}

// forwardTo checks and completes the target groups of an action, which may name
// one group in either of two places, or up to five with their weights.
func (a tx) forwardTo(action types.Action, loadBalancer string) (*types.ForwardActionConfig, error) {
	tuples := []types.TargetGroupTuple{{TargetGroupArn: action.TargetGroupArn}}
	if f := action.ForwardConfig; f != nil {
		if s := f.TargetGroupStickinessConfig; s != nil && aws.ToBool(s.Enabled) {
			return nil, kernel.Fail("ValidationError", "The local cloud's load balancers have no sticky sessions")
		}
		if len(f.TargetGroups) > 0 {
			tuples = slices.Clone(f.TargetGroups)
		}
		if action.TargetGroupArn != nil && (len(tuples) != 1 || aws.ToString(tuples[0].TargetGroupArn) != *action.TargetGroupArn) {
			return nil, kernel.Fail("ValidationError", "You cannot specify both a target group ARN and a forward config with other target groups")
		}
	}
	if len(tuples) > 5 {
		return nil, kernel.Fail("TooManyTargetGroups", "The maximum number of target groups per forward action is 5")
	}
	for i, t := range tuples {
		arn := aws.ToString(t.TargetGroupArn)
		tg := a.state().TargetGroups[arn]
		if tg == nil {
			return nil, kernel.Fail("TargetGroupNotFound", "Target groups '%s' not found", arn)
		}
		if len(tg.LoadBalancerArns) > 0 && !slices.Contains(tg.LoadBalancerArns, loadBalancer) {
			return nil, kernel.Fail("TargetGroupAssociationLimit", "The following target groups cannot be associated with more than one load balancer: %s", arn)
		}
		weight := aws.ToInt32(cmp.Or(t.Weight, aws.Int32(1)))
		if weight < 0 || weight > 999 {
			return nil, kernel.Fail("ValidationError", "The weight of a target group must be between 0 and 999, not %d", weight)
		}
		tuples[i].Weight = aws.Int32(weight)
	}
	return &types.ForwardActionConfig{TargetGroups: tuples, TargetGroupStickinessConfig: &types.TargetGroupStickinessConfig{Enabled: aws.Bool(false)}}, nil
}

// policies are the TLS policies that are accepted; the listeners here always
// speak TLS 1.2 and 1.3.
var policies = []string{
	"ELBSecurityPolicy-2016-08", "ELBSecurityPolicy-FS-1-2-Res-2020-10", "ELBSecurityPolicy-TLS-1-2-2017-01", "ELBSecurityPolicy-TLS13-1-2-2021-06",
	"ELBSecurityPolicy-TLS13-1-2-Res-2021-06", "ELBSecurityPolicy-TLS13-1-2-Ext1-2021-06", "ELBSecurityPolicy-TLS13-1-3-2021-06",
	"ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09", "ELBSecurityPolicy-TLS13-1-2-PQ-2025-09",
}

// secure checks what goes with a listener's protocol and returns the
// certificate of an HTTPS one.
func (a tx) secure(protocol types.ProtocolEnum, certificates []types.Certificate, policy string) (*tls.Certificate, error) {
	switch protocol {
	case types.ProtocolEnumHttp:
		if len(certificates) > 0 {
			return nil, kernel.Fail("ValidationError", "Certificates cannot be specified for HTTP listeners")
		}
		return nil, nil
	case types.ProtocolEnumHttps:
		if len(certificates) != 1 {
			return nil, kernel.Fail("ValidationError", "A certificate must be specified for HTTPS listeners")
		}
		if !slices.Contains(policies, policy) {
			return nil, kernel.Fail("SSLPolicyNotFound", "SSL policy '%s' not found", policy)
		}
		cert, err := a.certificates.Certificate(a.Tx, aws.ToString(certificates[0].CertificateArn))
		if err != nil {
			return nil, err
		}
		return &cert, nil
	default:
		return nil, kernel.Fail("ValidationError", "Listener protocol '%s' must be one of 'HTTPS, HTTP'", protocol)
	}
}

// CreateListener binds the port on this machine, for real.
func (a tx) CreateListener(in *elb.CreateListenerInput) (*elb.CreateListenerOutput, error) {
	lb, err := a.loadBalancer(in.LoadBalancerArn)
	if err != nil {
		return nil, err
	}
	port := aws.ToInt32(in.Port)
	if port < 1 || port > 65535 {
		return nil, kernel.Fail("ValidationError", "Port '%d' must be between 1 and 65535", port)
	}
	actions, err := a.actions(in.DefaultActions, *lb.LoadBalancerArn)
	if err != nil {
		return nil, err
	}
	policy := aws.ToString(in.SslPolicy)
	if in.Protocol == types.ProtocolEnumHttps {
		policy = cmp.Or(policy, policies[0])
	}
	cert, err := a.secure(in.Protocol, in.Certificates, policy)
	if err != nil {
		return nil, err
	}
	for _, have := range a.state().Listeners {
		if *have.LoadBalancerArn != *lb.LoadBalancerArn || *have.Port != port {
			continue
		}
		if have.Protocol == in.Protocol && sameActions(have.DefaultActions, actions) && aws.ToString(have.SslPolicy) == policy && sameCertificates(have.Certificates, in.Certificates) {
			return &elb.CreateListenerOutput{Listeners: []types.Listener{have.Listener}}, nil
		}
		return nil, kernel.Fail("DuplicateListener", "A listener already exists on this port for this load balancer '%s'", *lb.LoadBalancerArn)
	}
	_, path, _ := strings.Cut(*lb.LoadBalancerArn, ":loadbalancer/")
	l := &elbListener{
		Listener: types.Listener{
			ListenerArn: aws.String(a.ARN("elasticloadbalancing", "listener/"+path+"/"+kernel.HexDigits(16))), LoadBalancerArn: lb.LoadBalancerArn,
			Port: in.Port, Protocol: in.Protocol, DefaultActions: actions, Certificates: slices.Clone(in.Certificates),
		},
		Tags: elbTags(in.Tags),
	}
	if policy != "" {
		l.SslPolicy = aws.String(policy)
	}
	if err := a.bind(l, cert); err != nil {
		return nil, err
	}
	if a.state().Listeners == nil {
		a.state().Listeners = map[string]*elbListener{}
	}
	a.state().Listeners[*l.ListenerArn] = l
	a.Born(*l.ListenerArn)
	a.configureListeners()
	return &elb.CreateListenerOutput{Listeners: []types.Listener{l.Listener}}, nil
}

func sameActions(x, y []types.Action) bool {
	weights := func(a types.Action) (all []string) {
		if a.ForwardConfig != nil {
			for _, t := range a.ForwardConfig.TargetGroups {
				all = append(all, fmt.Sprint(*t.TargetGroupArn, *t.Weight))
			}
		}
		return all
	}
	return slices.EqualFunc(x, y, func(x, y types.Action) bool {
		return x.Type == y.Type && slices.Equal(weights(x), weights(y)) && fmt.Sprint(plainAction(x)) == fmt.Sprint(plainAction(y))
	})
}

func sameCertificates(x, y []types.Certificate) bool {
	return slices.EqualFunc(x, y, func(x, y types.Certificate) bool {
		return aws.ToString(x.CertificateArn) == aws.ToString(y.CertificateArn)
	})
}

// plainAction is an action as values, without its target groups.
func plainAction(a types.Action) (redirect balancer.Redirect, fixed balancer.Fixed) {
	if r := a.RedirectConfig; r != nil {
		code, _ := strconv.Atoi(strings.TrimPrefix(string(r.StatusCode), "HTTP_")) // an enum
		redirect = balancer.Redirect{
			Protocol: aws.ToString(r.Protocol), Host: aws.ToString(r.Host), Port: aws.ToString(r.Port),
			Path: aws.ToString(r.Path), Query: aws.ToString(r.Query), Code: code,
		}
	}
	if f := a.FixedResponseConfig; f != nil {
		code, _ := strconv.Atoi(aws.ToString(f.StatusCode)) // checked when it was set
		fixed = balancer.Fixed{Code: code, ContentType: aws.ToString(f.ContentType), Body: aws.ToString(f.MessageBody)}
	}
	return redirect, fixed
}

// bind takes a listener's port of this machine.
func (c tx) bind(l *elbListener, cert *tls.Certificate) error {
	bound, err := c.balancer.Listen(int(*l.Port), cert, balancer.Action{Fixed: &balancer.Fixed{Code: http.StatusServiceUnavailable}}, balancer.Options{IdleTimeout: time.Minute})
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return kernel.Fail("InvalidConfigurationRequest", "Port %d of this machine is in use by another program, and a load balancer of the local cloud listens on it for real; choose another port", *l.Port)
	case errors.Is(err, syscall.EACCES):
		return kernel.Fail("InvalidConfigurationRequest", "Port %d of this machine is reserved for root, and a load balancer of the local cloud listens on it for real; choose a port above 1023", *l.Port)
	case err != nil:
		return err
	}
	if c.live().listeners == nil {
		c.live().listeners = map[string]Listener{}
	}
	c.live().listeners[*l.ListenerArn] = bound
	return nil
}

// configureListeners makes what runs agree with the state, and derives which
// load balancers use a target group.
func (c tx) configureListeners() {
	users := map[string][]string{}
	inUse := map[string]bool{}
	for _, arn := range slices.Sorted(maps.Keys(c.state().Listeners)) {
		l := c.state().Listeners[arn]
		lb := c.state().LoadBalancers[*l.LoadBalancerArn]
		active := lb.State.Code == types.LoadBalancerStateEnumActive
		do := func(actions []types.Action) balancer.Action {
			for _, tg := range forwards(actions[0]) {
				inUse[tg] = inUse[tg] || active
				if !slices.Contains(users[tg], *l.LoadBalancerArn) {
					users[tg] = append(users[tg], *l.LoadBalancerArn)
				}
			}
			return c.liveAction(actions[0])
		}
		action := do(l.DefaultActions)
		idle, _ := strconv.Atoi(lb.Attributes["idle_timeout.timeout_seconds"]) // checked when it was set
		options := balancer.Options{
			IdleTimeout:        time.Duration(idle) * time.Second,
			DropInvalidHeaders: lb.Attributes["routing.http.drop_invalid_header_fields.enabled"] == "true",
			Header:             l.header(), HideServer: l.Attributes[serverEnabled] == "false",
		}
		for _, r := range c.rulesOf(arn) {
			options.Rules = append(options.Rules, balancer.Rule{Match: match(r.Conditions), Action: do(r.Actions)})
		}
		if !active {
			action, options.Rules = balancer.Action{Fixed: &balancer.Fixed{Code: http.StatusServiceUnavailable}}, nil
		}
		if running := c.live().listeners[arn]; running != nil {
			running.Configure(action, options)
		}
	}
	for arn, tg := range c.state().TargetGroups {
		tg.LoadBalancerArns = append([]string{}, users[arn]...)
		c.live().groups[arn].Use(inUse[arn])
	}
}

// forwards are the target groups of an action.
func forwards(a types.Action) (groups []string) {
	if a.Type == types.ActionTypeEnumForward {
		for _, t := range a.ForwardConfig.TargetGroups {
			groups = append(groups, *t.TargetGroupArn)
		}
	}
	return groups
}

// liveAction is what runs for an action.
func (c tx) liveAction(a types.Action) balancer.Action {
	redirect, fixed := plainAction(a)
	switch a.Type {
	case types.ActionTypeEnumRedirect:
		return balancer.Action{Redirect: &redirect}
	case types.ActionTypeEnumFixedResponse:
		return balancer.Action{Fixed: &fixed}
	}
	var action balancer.Action
	for _, t := range a.ForwardConfig.TargetGroups {
		action.Split = append(action.Split, balancer.Share{Group: c.live().groups[*t.TargetGroupArn], Weight: int(*t.Weight)})
	}
	return action
}

// dropListener forgets a listener with its rules and gives its port free.
func (c tx) dropListener(arn string) {
	delete(c.state().Listeners, arn)
	for _, r := range c.rulesOf(arn) {
		delete(c.state().Rules, *r.RuleArn)
	}
	c.unbind(arn)
}

func (c tx) unbind(arn string) {
	running := c.live().listeners[arn]
	if running == nil {
		return // its port could not be bound after a restart
	}
	delete(c.live().listeners, arn)
	running.Release()
	c.Go(func(context.Context) { running.Close() })
}

// DeleteListener gives the port free.
func (a tx) DeleteListener(in *elb.DeleteListenerInput) (*elb.DeleteListenerOutput, error) {
	if _, err := a.listener(in.ListenerArn); err != nil {
		return nil, err
	}
	a.dropListener(*in.ListenerArn)
	a.configureListeners()
	return &elb.DeleteListenerOutput{}, nil
}

// DescribeListeners lists a load balancer's listeners, or those asked for.
func (a tx) DescribeListeners(in *elb.DescribeListenersInput) (*elb.DescribeListenersOutput, error) {
	if in.LoadBalancerArn == nil && len(in.ListenerArns) == 0 {
		return nil, kernel.Fail("ValidationError", "You must specify either listener ARNs or a load balancer ARN")
	}
	if in.LoadBalancerArn != nil {
		if _, err := a.loadBalancer(in.LoadBalancerArn); err != nil {
			return nil, err
		}
	}
	var all []types.Listener
	found := map[string]bool{}
	for _, arn := range slices.Sorted(maps.Keys(a.state().Listeners)) {
		l := a.state().Listeners[arn]
		if kernel.Selected(in.ListenerArns, arn) && (in.LoadBalancerArn == nil || *l.LoadBalancerArn == *in.LoadBalancerArn) && a.Visible(arn) {
			found[arn] = true
			all = append(all, l.Listener)
		}
	}
	if len(lacking(found, in.ListenerArns)) > 0 {
		return nil, kernel.Fail("ListenerNotFound", "One or more listeners not found")
	}
	page, next, err := elbPage(all, in.Marker, in.PageSize)
	return &elb.DescribeListenersOutput{Listeners: page, NextMarker: next}, err
}

// ModifyListener changes a listener; a new port or protocol binds anew.
func (a tx) ModifyListener(in *elb.ModifyListenerInput) (*elb.ModifyListenerOutput, error) {
	l, err := a.listener(in.ListenerArn)
	if err != nil {
		return nil, err
	}
	next := &elbListener{Listener: l.Listener, Attributes: l.Attributes, Extra: l.Extra, Tags: l.Tags}
	next.Port, next.Protocol = cmp.Or(in.Port, l.Port), cmp.Or(in.Protocol, l.Protocol)
	next.SslPolicy = cmp.Or(in.SslPolicy, l.SslPolicy)
	if len(in.Certificates) > 0 {
		next.Certificates = slices.Clone(in.Certificates)
	}
	switch {
	case next.Protocol == types.ProtocolEnumHttp:
		next.Certificates, next.SslPolicy, next.Extra = nil, nil, nil
	case next.SslPolicy == nil:
		next.SslPolicy = aws.String(policies[0])
	}
	if len(in.DefaultActions) > 0 {
		if next.DefaultActions, err = a.actions(in.DefaultActions, *l.LoadBalancerArn); err != nil {
			return nil, err
		}
	}
	cert, err := a.secure(next.Protocol, next.Certificates, aws.ToString(next.SslPolicy))
	if err != nil {
		return nil, err
	}
	for arn, other := range a.state().Listeners {
		if arn != *l.ListenerArn && *other.LoadBalancerArn == *l.LoadBalancerArn && *other.Port == *next.Port {
			return nil, kernel.Fail("DuplicateListener", "A listener already exists on this port for this load balancer '%s'", *l.LoadBalancerArn)
		}
	}
	switch running := a.live().listeners[*l.ListenerArn]; {
	case running != nil && *next.Port == *l.Port && next.Protocol == l.Protocol:
		if cert != nil {
			running.SetCertificates(cert)
		}
	case *next.Port == *l.Port:
		a.unbind(*l.ListenerArn) // the port can't be bound twice
		if err := a.bind(next, cert); err != nil {
			return nil, err
		}
	default:
		if err := a.bind(next, cert); err != nil {
			return nil, err
		}
		if running != nil {
			running.Release()
			a.Go(func(context.Context) { running.Close() })
		}
	}
	*l = *next
	if len(l.Extra) > 0 {
		if err := a.showCertificates(l); err != nil {
			return nil, err
		}
	}
	a.configureListeners()
	return &elb.ModifyListenerOutput{Listeners: []types.Listener{l.Listener}}, nil
}

// DescribeSSLPolicies lists the names of the TLS policies.
func (a tx) DescribeSSLPolicies(in *elb.DescribeSSLPoliciesInput) (*elb.DescribeSSLPoliciesOutput, error) {
	out := &elb.DescribeSSLPoliciesOutput{}
	for _, name := range policies {
		if kernel.Selected(in.Names, name) {
			out.SslPolicies = append(out.SslPolicies, types.SslPolicy{Name: aws.String(name), SslProtocols: []string{"TLSv1.2", "TLSv1.3"}})
		}
	}
	if len(out.SslPolicies) < len(in.Names) {
		return nil, kernel.Fail("SSLPolicyNotFound", "One or more SSL policies not found")
	}
	return out, nil
}

func elbTags(tags []types.Tag) map[string]string {
	m := map[string]string{}
	for _, t := range tags {
		m[aws.ToString(t.Key)] = aws.ToString(t.Value)
	}
	return m
}

// tagsOf are the tags of the thing that an ARN names.
func (a tx) tagsOf(arn string) (map[string]string, error) {
	if strings.Contains(arn, ":loadbalancer/") {
		lb, err := a.loadBalancer(&arn)
		if err != nil {
			return nil, err
		}
		return lb.Tags, nil
	}
	if strings.Contains(arn, ":targetgroup/") {
		tg, err := a.targetGroup(&arn)
		if err != nil {
			return nil, err
		}
		return tg.Tags, nil
	}
	if strings.Contains(arn, ":listener-rule/") {
		r := a.state().Rules[arn]
		if r == nil || !a.Visible(arn) {
			return nil, kernel.Fail("RuleNotFound", "One or more rules not found")
		}
		return r.Tags, nil
	}
	l, err := a.listener(&arn)
	if err != nil {
		return nil, err
	}
	return l.Tags, nil
}

// AddTags tags load balancers, target groups, listeners and rules.
func (a tx) AddTags(in *elb.AddTagsInput) (*elb.AddTagsOutput, error) {
	for _, arn := range in.ResourceArns {
		tags, err := a.tagsOf(arn)
		if err != nil {
			return nil, err
		}
		maps.Copy(tags, elbTags(in.Tags))
	}
	return &elb.AddTagsOutput{}, nil
}

// RemoveTags is the opposite of AddTags.
func (a tx) RemoveTags(in *elb.RemoveTagsInput) (*elb.RemoveTagsOutput, error) {
	for _, arn := range in.ResourceArns {
		tags, err := a.tagsOf(arn)
		if err != nil {
			return nil, err
		}
		for _, k := range in.TagKeys {
			delete(tags, k)
		}
	}
	return &elb.RemoveTagsOutput{}, nil
}

// DescribeTags lists the tags of up to 20 things.
func (a tx) DescribeTags(in *elb.DescribeTagsInput) (*elb.DescribeTagsOutput, error) {
	if len(in.ResourceArns) > 20 {
		return nil, kernel.Fail("ValidationError", "1 validation error detected: Value at 'resourceArns' failed to satisfy constraint: Member must have length less than or equal to 20")
	}
	out := &elb.DescribeTagsOutput{TagDescriptions: []types.TagDescription{}}
	for _, arn := range in.ResourceArns {
		tags, err := a.tagsOf(arn)
		if err != nil {
			return nil, err
		}
		d := types.TagDescription{ResourceArn: aws.String(arn), Tags: []types.Tag{}}
		for _, k := range slices.Sorted(maps.Keys(tags)) {
			d.Tags = append(d.Tags, types.Tag{Key: aws.String(k), Value: aws.String(tags[k])})
		}
		out.TagDescriptions = append(out.TagDescriptions, d)
	}
	return out, nil
}

// Start brings target groups and listeners back after a restart. The
// tasks behind them are gone; the scheduler registers new ones. It takes the
// lock.
func (c *Service) Start() {
	c.update(func(c tx) {
		for _, tg := range c.state().TargetGroups {
			tg.Targets = nil
			c.openGroup(tg)
		}
		a := c
		for arn, l := range c.state().Listeners {
			if err := a.serve(l); err != nil {
				// The others are of use without it.
				c.Log().Error("a listener does not serve", "listener", arn, "error", err)
				c.Go(func(ctx context.Context) { c.serveLater(ctx, arn) })
			}
		}
		for _, lb := range c.state().LoadBalancers {
			lb.State = &types.LoadBalancerState{Code: types.LoadBalancerStateEnumActive}
		}
		c.configureListeners()
	})
}

// serve binds the port of a listener that was there before the cloud was.
func (a tx) serve(l *elbListener) error {
	cert, err := a.secure(l.Protocol, l.Certificates, aws.ToString(l.SslPolicy))
	if err != nil {
		return err
	}
	if err := a.bind(l, cert); err != nil || len(l.Extra) == 0 {
		return err
	}
	return a.showCertificates(l)
}

// serveLater waits until the program that has taken a listener's port meanwhile
// gives it free, or the listener is changed to another, or gone.
func (c *Service) serveLater(ctx context.Context, arn string) {
	for over := false; !over && kernel.Wait(ctx, nil, time.Second); {
		c.update(func(c tx) {
			l := c.state().Listeners[arn]
			if over = ctx.Err() != nil || l == nil || c.live().listeners[arn] != nil; over {
				return
			}
			if over = c.serve(l) == nil; over {
				c.Log().Info("a listener serves again", "listener", arn)
				c.configureListeners()
			}
		})
	}
}

// Close ends all listeners and health checks. It takes the lock.
func (c *Service) Close() {
	var listeners []Listener
	var groups []Group
	c.view(func(c tx) {
		listeners = slices.Collect(maps.Values(c.live().listeners))
		groups = slices.Collect(maps.Values(c.live().groups))
		*c.live() = live{}
	})
	done := make(chan struct{})
	for _, l := range listeners {
		go func() { l.Close(); done <- struct{}{} }()
	}
	for range listeners {
		<-done
	}
	for _, g := range groups {
		g.Close()
	}
}
