package ec2

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
)

// state is what EC2 keeps.
type state struct {
	VPCs        []*ec2VPC         `json:"vpcs,omitempty"`
	Subnets     []*ec2Subnet      `json:"subnets,omitempty"`
	Gateways    []*ec2Gateway     `json:"gateways,omitempty"`
	Tables      []*ec2Table       `json:"tables,omitempty"`
	Groups      []*ec2Group       `json:"groups,omitempty"`
	ACLs        []*ec2ACL         `json:"acls,omitempty"`
	DHCPOptions []*ec2DHCPOptions `json:"dhcpOptions,omitempty"`
	Interfaces  []*ec2Interface   `json:"interfaces,omitempty"`
	Attached    []*ec2Attached    `json:"attached,omitempty"`
	// Tokens are the client tokens seen.
	Tokens map[string]ec2Token `json:"tokens,omitempty"`
	// Started says that the account has been given its default VPC, which may
	// have been deleted since.
	Started bool `json:"started,omitempty"`
	// Addresses counts the public addresses handed out.
	Addresses int `json:"addresses,omitempty"`
}

// ec2Token is what a client token has made.
type ec2Token struct {
	Request string `json:"request"` // its hash
	ID      string `json:"id"`
}

// ec2Thing is what everything in EC2 has.
type ec2Thing struct {
	ID   string            `json:"id"`
	Tags map[string]string `json:"tags,omitempty"`
}

func (t *ec2Thing) thing() *ec2Thing { return t }

// ec2Item is a thing that can be described. Its fields are what it can be
// filtered by besides its tags; each name is there even without a value.
type ec2Item interface {
	thing() *ec2Thing
	fields() map[string][]string
}

// ec2Kind is how EC2 calls a type of thing, in its errors too:
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
type ec2Kind struct {
	prefix   string // of ids
	code     string // of the errors about ids
	noun     string
	resource types.ResourceType
}

var (
	kindVPC         = ec2Kind{"vpc", "InvalidVpcID", "vpc ID", types.ResourceTypeVpc}
	kindSubnet      = ec2Kind{"subnet", "InvalidSubnetID", "subnet ID", types.ResourceTypeSubnet}
	kindGateway     = ec2Kind{"igw", "InvalidInternetGatewayID", "internetGateway ID", types.ResourceTypeInternetGateway}
	kindTable       = ec2Kind{"rtb", "InvalidRouteTableID", "routeTable ID", types.ResourceTypeRouteTable}
	kindGroup       = ec2Kind{"sg", "InvalidGroup", "security group", types.ResourceTypeSecurityGroup}
	kindRule        = ec2Kind{"sgr", "InvalidSecurityGroupRuleId", "security group rule ID", types.ResourceTypeSecurityGroupRule}
	kindACL         = ec2Kind{"acl", "InvalidNetworkAclID", "networkAcl ID", types.ResourceTypeNetworkAcl}
	kindDHCPOptions = ec2Kind{"dopt", "InvalidDhcpOptionsID", "dhcpOptions ID", types.ResourceTypeDhcpOptions}
	kindInterface   = ec2Kind{"eni", "InvalidNetworkInterfaceID", "networkInterface ID", types.ResourceTypeNetworkInterface}
)

func (k ec2Kind) notFound(id string) error {
	return kernel.Fail(k.code+".NotFound", "The %s '%s' does not exist", k.noun, id)
}

// check tells an id of another kind from one that is gone.
func (k ec2Kind) check(id string) error {
	if !strings.HasPrefix(id, k.prefix+"-") {
		code := k.code
		if k == kindGroup {
			code = "InvalidGroupId"
		}
		return kernel.Fail(code+".Malformed", "Invalid id: \"%s\" (expecting \"%s-...\")", id, k.prefix)
	}
	return nil
}

// API is the service's operations.
func (s *Service) API() kernel.Service {
	return kernel.Service{Model: "ec2", Signing: "ec2", Protocol: kernel.EC2, Operations: kernel.Operations(s.in,
		ec2op("AcceptVpcPeeringConnection", tx.AcceptVpcPeeringConnection),
		ec2op("AssociateDhcpOptions", tx.AssociateDhcpOptions),
		ec2op("AssociateRouteTable", tx.AssociateRouteTable),
		ec2op("AttachInternetGateway", tx.AttachInternetGateway),
		ec2op("AttachVpnGateway", tx.AttachVpnGateway),
		ec2op("AuthorizeSecurityGroupEgress", tx.AuthorizeSecurityGroupEgress),
		ec2op("AuthorizeSecurityGroupIngress", tx.AuthorizeSecurityGroupIngress),
		ec2op("CreateDhcpOptions", tx.CreateDhcpOptions),
		ec2op("CreateEgressOnlyInternetGateway", tx.CreateEgressOnlyInternetGateway),
		ec2op("CreateInternetGateway", tx.CreateInternetGateway),
		ec2op("CreateNatGateway", tx.CreateNatGateway),
		ec2op("CreateNetworkAcl", tx.CreateNetworkAcl),
		ec2op("CreateNetworkAclEntry", tx.CreateNetworkAclEntry),
		ec2op("CreateNetworkInterface", tx.CreateNetworkInterface),
		ec2op("CreateRoute", tx.CreateRoute),
		ec2op("CreateRouteTable", tx.CreateRouteTable),
		ec2op("CreateSecurityGroup", tx.CreateSecurityGroup),
		ec2op("CreateSubnet", tx.CreateSubnet),
		ec2op("CreateTags", tx.CreateTags),
		ec2op("CreateTransitGatewayVpcAttachment", tx.CreateTransitGatewayVpcAttachment),
		ec2op("CreateVpc", tx.CreateVpc),
		ec2op("CreateVpcEndpoint", tx.CreateVpcEndpoint),
		ec2op("CreateVpcPeeringConnection", tx.CreateVpcPeeringConnection),
		ec2op("CreateVpnGateway", tx.CreateVpnGateway),
		ec2op("DeleteDhcpOptions", tx.DeleteDhcpOptions),
		ec2op("DeleteEgressOnlyInternetGateway", tx.DeleteEgressOnlyInternetGateway),
		ec2op("DeleteInternetGateway", tx.DeleteInternetGateway),
		ec2op("DeleteNatGateway", tx.DeleteNatGateway),
		ec2op("DeleteNetworkAcl", tx.DeleteNetworkAcl),
		ec2op("DeleteNetworkAclEntry", tx.DeleteNetworkAclEntry),
		ec2op("DeleteNetworkInterface", tx.DeleteNetworkInterface),
		ec2op("DeleteRoute", tx.DeleteRoute),
		ec2op("DeleteRouteTable", tx.DeleteRouteTable),
		ec2op("DeleteSecurityGroup", tx.DeleteSecurityGroup),
		ec2op("DeleteSubnet", tx.DeleteSubnet),
		ec2op("DeleteTags", tx.DeleteTags),
		ec2op("DeleteTransitGatewayVpcAttachment", tx.DeleteTransitGatewayVpcAttachment),
		ec2op("DeleteVpc", tx.DeleteVpc),
		ec2op("DeleteVpcEndpoints", tx.DeleteVpcEndpoints),
		ec2op("DeleteVpcPeeringConnection", tx.DeleteVpcPeeringConnection),
		ec2op("DeleteVpnGateway", tx.DeleteVpnGateway),
		ec2op("DescribeAccountAttributes", tx.DescribeAccountAttributes),
		ec2op("DescribeAddresses", tx.DescribeAddresses),
		ec2op("DescribeAvailabilityZones", tx.DescribeAvailabilityZones),
		ec2op("DescribeDhcpOptions", tx.DescribeDhcpOptions),
		ec2op("DescribeEgressOnlyInternetGateways", tx.DescribeEgressOnlyInternetGateways),
		ec2op("DescribeInstances", tx.DescribeInstances),
		ec2op("DescribeInternetGateways", tx.DescribeInternetGateways),
		ec2op("DescribeNatGateways", tx.DescribeNatGateways),
		ec2op("DescribeNetworkAcls", tx.DescribeNetworkAcls),
		ec2op("DescribeNetworkInterfaces", tx.DescribeNetworkInterfaces),
		ec2op("DescribeRegions", tx.DescribeRegions),
		ec2op("DescribeRouteTables", tx.DescribeRouteTables),
		ec2op("DescribeSecurityGroupRules", tx.DescribeSecurityGroupRules),
		ec2op("DescribeSecurityGroups", tx.DescribeSecurityGroups),
		ec2op("DescribeSnapshots", tx.DescribeSnapshots),
		ec2op("DescribeSubnets", tx.DescribeSubnets),
		ec2op("DescribeTags", tx.DescribeTags),
		ec2op("DescribeTransitGatewayVpcAttachments", tx.DescribeTransitGatewayVpcAttachments),
		ec2op("DescribeVolumes", tx.DescribeVolumes),
		ec2op("DescribeVpcAttribute", tx.DescribeVpcAttribute),
		ec2op("DescribeVpcEndpoints", tx.DescribeVpcEndpoints),
		ec2op("DescribeVpcPeeringConnections", tx.DescribeVpcPeeringConnections),
		ec2op("DescribeVpcs", tx.DescribeVpcs),
		ec2op("DescribeVpnGateways", tx.DescribeVpnGateways),
		ec2op("DetachInternetGateway", tx.DetachInternetGateway),
		ec2op("DetachNetworkInterface", tx.DetachNetworkInterface),
		ec2op("DetachVpnGateway", tx.DetachVpnGateway),
		ec2op("DisassociateRouteTable", tx.DisassociateRouteTable),
		ec2op("ModifySecurityGroupRules", tx.ModifySecurityGroupRules),
		ec2op("ModifySubnetAttribute", tx.ModifySubnetAttribute),
		ec2op("ModifyVpcAttribute", tx.ModifyVpcAttribute),
		ec2op("ReplaceNetworkAclAssociation", tx.ReplaceNetworkAclAssociation),
		ec2op("ReplaceNetworkAclEntry", tx.ReplaceNetworkAclEntry),
		ec2op("ReplaceRoute", tx.ReplaceRoute),
		ec2op("ReplaceRouteTableAssociation", tx.ReplaceRouteTableAssociation),
		ec2op("RevokeSecurityGroupEgress", tx.RevokeSecurityGroupEgress),
		ec2op("RevokeSecurityGroupIngress", tx.RevokeSecurityGroupIngress),
		ec2op("UpdateSecurityGroupRuleDescriptionsEgress", tx.UpdateSecurityGroupRuleDescriptionsEgress),
		ec2op("UpdateSecurityGroupRuleDescriptionsIngress", tx.UpdateSecurityGroupRuleDescriptionsIngress),
	)}
}

// ec2op is op with the DryRun that every EC2 call has: it asks whether the
// caller might, and here everybody may.
func ec2op[I, O any](name string, f func(tx, *I) (*O, error)) kernel.Method[tx] {
	return kernel.Op(name, func(a tx, in *I) (*O, error) {
		var dry *bool // not every input has one
		if f := reflect.ValueOf(in).Elem().FieldByName("DryRun"); f.IsValid() {
			dry, _ = f.Interface().(*bool)
		}
		if aws.ToBool(dry) {
			return nil, &kernel.Error{Status: http.StatusPreconditionFailed, Code: "DryRunOperation", Message: "Request would have succeeded, but DryRun flag is set."}
		}
		return f(a, in)
	})
}

// item is the thing of that id.
func item[T ec2Item](a tx, kind ec2Kind, all []T, id string) (T, error) {
	var none T
	if err := kind.check(id); err != nil {
		return none, err
	}
	for _, x := range all {
		if x.thing().ID == id && a.Visible(id) {
			return x, nil
		}
	}
	return none, kind.notFound(id)
}

// items are the things that a Describe call asks for: those of the ids, or all,
// and of them those that match every filter.
func items[T any, P interface {
	*T
	ec2Item
}](a tx, kind ec2Kind, all []P, ids []string, filters []types.Filter) ([]P, error) {
	for _, id := range ids {
		if _, err := item(a, kind, all, id); err != nil {
			return nil, err
		}
	}
	known := P(new(T)).fields()
	for _, f := range filters {
		name := aws.ToString(f.Name)
		_, ok := known[name]
		if !ok && name != "owner-id" && name != "tag-key" && !strings.HasPrefix(name, "tag:") {
			return nil, kernel.Fail("InvalidParameterValue", "The filter '%s' is invalid", name)
		}
	}
	var out []P
	for _, x := range all {
		t := x.thing()
		if len(ids) > 0 && !slices.Contains(ids, t.ID) || len(ids) == 0 && !a.Visible(t.ID) {
			continue
		}
		fields := x.fields()
		fields["owner-id"] = []string{a.Account()}
		if ec2Match(filters, t.Tags, fields) {
			out = append(out, x)
		}
	}
	return out, nil
}

// ec2Match says whether a thing passes every filter, of whose values one is
// enough: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Filtering.html
func ec2Match(filters []types.Filter, tags map[string]string, fields map[string][]string) bool {
	for _, f := range filters {
		have := fields[aws.ToString(f.Name)]
		if key, ok := strings.CutPrefix(aws.ToString(f.Name), "tag:"); ok {
			have = nil
			if v, ok := tags[key]; ok {
				have = []string{v}
			}
		} else if *f.Name == "tag-key" {
			have = slices.Collect(maps.Keys(tags))
		}
		if !slices.ContainsFunc(f.Values, func(want string) bool {
			return slices.ContainsFunc(have, func(h string) bool { return kernel.Wildcard(want, h) })
		}) {
			return false
		}
	}
	return true
}

// ec2Page is a page of a Describe call. Without MaxResults there is one.
func ec2Page[T any](all []T, limit *int32, token *string) ([]T, *string, error) {
	n := len(all)
	if limit != nil {
		if *limit < 5 {
			return nil, nil, kernel.Fail("InvalidParameterValue", "Value ( %d ) for parameter maxResults is invalid. Expecting a value greater than or equal to 5.", *limit)
		}
		n = int(min(*limit, 1000))
	}
	return kernel.PageOf(all, token, n, kernel.Fail("InvalidPaginationToken", "The pagination token is invalid"))
}

// described is the page that a Describe call asks for, as its answer has it: see items
// and ec2Page.
func described[T, O any, P interface {
	*T
	ec2Item
}](a tx, kind ec2Kind, all []P, ids []string, filters []types.Filter, limit *int32, token *string, describe func(P) O) ([]O, *string, error) {
	found, err := items(a, kind, all, ids, filters)
	if err != nil {
		return nil, nil, err
	}
	page, next, err := ec2Page(found, limit, token)
	if err != nil {
		return nil, nil, err
	}
	out := make([]O, 0, len(page)) // an empty list, not none
	for _, x := range page {
		out = append(out, describe(x))
	}
	return out, next, nil
}

// onCreate are the tags that a create call gives to what it makes.
func onCreate(kind ec2Kind, specs []types.TagSpecification) (map[string]string, error) {
	tags := map[string]string{}
	for _, s := range specs {
		if s.ResourceType != kind.resource {
			return nil, kernel.Fail("InvalidParameterValue", "'%s' is not a valid taggable resource type for this operation.", s.ResourceType)
		}
		if err := addTags(tags, s.Tags); err != nil {
			return nil, err
		}
	}
	return tags, nil
}

// addTags writes tags within EC2's limits:
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Tags.html#tag-restrictions
func addTags(tags map[string]string, add []types.Tag) error {
	for _, t := range add {
		k, v := aws.ToString(t.Key), aws.ToString(t.Value)
		switch {
		case strings.HasPrefix(strings.ToLower(k), "aws:"):
			return kernel.Fail("InvalidParameterValue", "Tag keys starting with 'aws:' are reserved for internal use")
		case k == "" || len([]rune(k)) > 128:
			return kernel.Fail("InvalidParameterValue", "Tag key exceeds the maximum length of 128 characters")
		case len([]rune(v)) > 256:
			return kernel.Fail("InvalidParameterValue", "Tag value exceeds the maximum length of 256 characters")
		}
		tags[k] = v
	}
	if len(tags) > 50 {
		return kernel.Fail("TagLimitExceeded", "The maximum number of Tags for a resource has been reached.")
	}
	return nil
}

func ec2Tags(tags map[string]string) []types.Tag {
	var out []types.Tag
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		out = append(out, types.Tag{Key: aws.String(k), Value: aws.String(tags[k])})
	}
	return out
}

// once is the id that a client token has made before, "" for a new one; done is
// called with the id that it makes now. https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html
func (a tx) once(token *string, request any) (id string, done func(id string), err error) {
	if aws.ToString(token) == "" {
		return "", func(string) {}, nil
	}
	text, err := json.Marshal(request)
	if err != nil {
		return "", nil, fmt.Errorf("hash a request: %w", err)
	}
	sum := sha256.Sum256(append([]byte(reflect.TypeOf(request).String()), text...))
	hash := hex.EncodeToString(sum[:])
	if t, ok := a.state().Tokens[*token]; ok {
		if t.Request != hash {
			return "", nil, kernel.Fail("IdempotentParameterMismatch", "The client token you have provided is associated with a resource, and its parameters differ from those of this request.")
		}
		return t.ID, nil, nil
	}
	return "", func(id string) {
		if a.state().Tokens == nil {
			a.state().Tokens = map[string]ec2Token{}
		}
		a.state().Tokens[*token] = ec2Token{Request: hash, ID: id}
	}, nil
}

// tagged is everything that has tags, with its kind.
func (a tx) tagged(yield func(ec2Kind, *ec2Thing) bool) {
	s := a.state()
	each := func(kind ec2Kind, n int, at func(int) *ec2Thing) bool {
		for i := range n {
			if !yield(kind, at(i)) {
				return false
			}
		}
		return true
	}
	_ = each(kindVPC, len(s.VPCs), func(i int) *ec2Thing { return &s.VPCs[i].ec2Thing }) &&
		each(kindSubnet, len(s.Subnets), func(i int) *ec2Thing { return &s.Subnets[i].ec2Thing }) &&
		each(kindGateway, len(s.Gateways), func(i int) *ec2Thing { return &s.Gateways[i].ec2Thing }) &&
		each(kindTable, len(s.Tables), func(i int) *ec2Thing { return &s.Tables[i].ec2Thing }) &&
		each(kindGroup, len(s.Groups), func(i int) *ec2Thing { return &s.Groups[i].ec2Thing }) &&
		each(kindACL, len(s.ACLs), func(i int) *ec2Thing { return &s.ACLs[i].ec2Thing }) &&
		each(kindDHCPOptions, len(s.DHCPOptions), func(i int) *ec2Thing { return &s.DHCPOptions[i].ec2Thing }) &&
		each(kindInterface, len(s.Interfaces), func(i int) *ec2Thing { return &s.Interfaces[i].ec2Thing }) &&
		a.taggedAttached(yield)
}

func (a tx) taggedAttached(yield func(ec2Kind, *ec2Thing) bool) bool {
	for _, kind := range attachedKinds {
		for _, x := range a.attached(kind) {
			if !yield(kind, &x.ec2Thing) {
				return false
			}
		}
	}
	return true
}

// things finds what is to be tagged; it fails before anything is.
func (a tx) things(ids []string) ([]*ec2Thing, error) {
	var out []*ec2Thing
	for _, id := range ids {
		var found *ec2Thing
		for kind, t := range a.tagged {
			if kind.check(id) == nil && t.ID == id && a.Visible(id) {
				found = t
			}
		}
		for _, g := range a.state().Groups {
			for _, r := range g.Rules {
				if r.ID == id {
					found = &r.ec2Thing
				}
			}
		}
		if found == nil {
			for _, kind := range append([]ec2Kind{kindVPC, kindSubnet, kindGateway, kindTable, kindGroup, kindRule, kindACL, kindDHCPOptions, kindInterface}, attachedKinds...) {
				if kind.check(id) == nil {
					return nil, kind.notFound(id)
				}
			}
			return nil, kernel.Fail("InvalidID", "The ID '%s' is not valid", id)
		}
		out = append(out, found)
	}
	return out, nil
}

func (a tx) CreateTags(in *ec2.CreateTagsInput) (*ec2.CreateTagsOutput, error) {
	things, err := a.things(in.Resources)
	if err != nil {
		return nil, err
	}
	for _, t := range things {
		tags := maps.Clone(t.Tags)
		if tags == nil {
			tags = map[string]string{}
		}
		if err := addTags(tags, in.Tags); err != nil {
			return nil, err
		}
		t.Tags = tags
	}
	return &ec2.CreateTagsOutput{}, nil
}

// DeleteTags removes a tag whatever its value, unless one is given, and all
// tags if none is named.
func (a tx) DeleteTags(in *ec2.DeleteTagsInput) (*ec2.DeleteTagsOutput, error) {
	things, err := a.things(in.Resources)
	if err != nil {
		return nil, err
	}
	for _, t := range things {
		if len(in.Tags) == 0 {
			t.Tags = nil
		}
		for _, tag := range in.Tags {
			k := aws.ToString(tag.Key)
			if v, ok := t.Tags[k]; ok && (tag.Value == nil || *tag.Value == v) {
				delete(t.Tags, k)
			}
		}
	}
	return &ec2.DeleteTagsOutput{}, nil
}

func (a tx) DescribeTags(in *ec2.DescribeTagsInput) (*ec2.DescribeTagsOutput, error) {
	for _, f := range in.Filters {
		if n := aws.ToString(f.Name); !slices.Contains([]string{"key", "value", "resource-id", "resource-type"}, n) && !strings.HasPrefix(n, "tag:") {
			return nil, kernel.Fail("InvalidParameterValue", "The filter '%s' is invalid", n)
		}
	}
	var all []types.TagDescription
	for kind, t := range a.tagged {
		for _, tag := range ec2Tags(t.Tags) {
			fields := map[string][]string{
				"key": {*tag.Key}, "value": {*tag.Value}, "resource-id": {t.ID}, "resource-type": {string(kind.resource)},
			}
			if a.Visible(t.ID) && ec2Match(in.Filters, map[string]string{*tag.Key: *tag.Value}, fields) {
				all = append(all, types.TagDescription{Key: tag.Key, Value: tag.Value, ResourceId: aws.String(t.ID), ResourceType: kind.resource})
			}
		}
	}
	page, next, err := ec2Page(all, in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	return &ec2.DescribeTagsOutput{Tags: page, NextToken: next}, nil
}
