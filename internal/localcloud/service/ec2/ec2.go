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
	VPCs         []*vpc              `json:"vpcs,omitempty"`
	DeletingVPCs []*vpc              `json:"deletingVPCs,omitempty"`
	Subnets      []*subnet           `json:"subnets,omitempty"`
	Gateways     []*gateway          `json:"gateways,omitempty"`
	Tables       []*routeTable       `json:"tables,omitempty"`
	Groups       []*securityGroup    `json:"groups,omitempty"`
	ACLs         []*networkACL       `json:"acls,omitempty"`
	DHCPOptions  []*dhcpOptionsSet   `json:"dhcpOptions,omitempty"`
	Interfaces   []*networkInterface `json:"interfaces,omitempty"`
	Attached     []*attachment       `json:"attached,omitempty"`
	// BlockMode is that of VPC Block Public Access; "" is off.
	BlockMode string `json:"blockMode,omitempty"`
	// Tokens are the client tokens seen.
	Tokens map[string]clientToken `json:"tokens,omitempty"`
	// Started reports whether the account has been given its default VPC, which may
	// have been deleted since.
	Started bool `json:"started,omitempty"`
	// Addresses counts the public addresses handed out.
	Addresses int `json:"addresses,omitempty"`
}

// clientToken is what a client token has made.
type clientToken struct {
	Request string `json:"request"` // its hash
	ID      string `json:"id"`
}

// resource is what everything in EC2 has.
type resource struct {
	ID   string            `json:"id"`
	Tags map[string]string `json:"tags,omitempty"`
}

func (t *resource) base() *resource { return t }

// describable is a resource that can be described. Its fields are what it can be
// filtered by besides its tags; each name is there even without a value.
type describable interface {
	base() *resource
	fields() map[string][]string
}

// resourceKind is how EC2 calls a type of resource, in its errors too:
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
type resourceKind struct {
	prefix   string // of ids
	code     string // of the errors about ids
	noun     string
	resource types.ResourceType
}

var (
	kindVPC         = resourceKind{"vpc", "InvalidVpcID", "vpc ID", types.ResourceTypeVpc}
	kindSubnet      = resourceKind{"subnet", "InvalidSubnetID", "subnet ID", types.ResourceTypeSubnet}
	kindGateway     = resourceKind{"igw", "InvalidInternetGatewayID", "internetGateway ID", types.ResourceTypeInternetGateway}
	kindTable       = resourceKind{"rtb", "InvalidRouteTableID", "routeTable ID", types.ResourceTypeRouteTable}
	kindGroup       = resourceKind{"sg", "InvalidGroup", "security group", types.ResourceTypeSecurityGroup}
	kindRule        = resourceKind{"sgr", "InvalidSecurityGroupRuleId", "security group rule ID", types.ResourceTypeSecurityGroupRule}
	kindACL         = resourceKind{"acl", "InvalidNetworkAclID", "networkAcl ID", types.ResourceTypeNetworkAcl}
	kindDHCPOptions = resourceKind{"dopt", "InvalidDhcpOptionsID", "dhcpOptions ID", types.ResourceTypeDhcpOptions}
	kindInterface   = resourceKind{"eni", "InvalidNetworkInterfaceID", "networkInterface ID", types.ResourceTypeNetworkInterface}
)

func (k resourceKind) notFound(id string) error {
	return kernel.Fail(k.code+".NotFound", "The %s '%s' does not exist", k.noun, id)
}

// check distinguishes an id of another kind from one that no longer exists.
func (k resourceKind) check(id string) error {
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
	return kernel.Service{Model: "ec2", Signing: "ec2", Protocol: kernel.EC2, Limits: limits, Operations: kernel.Operations(s.in,
		dryable("AcceptVpcPeeringConnection", tx.AcceptVpcPeeringConnection),
		dryable("AssociateDhcpOptions", tx.AssociateDhcpOptions),
		dryable("AssociateRouteTable", tx.AssociateRouteTable),
		dryable("AssociateSecurityGroupVpc", tx.AssociateSecurityGroupVpc),
		dryable("AttachInternetGateway", tx.AttachInternetGateway),
		dryable("AttachVpnGateway", tx.AttachVpnGateway),
		dryable("AuthorizeSecurityGroupEgress", tx.AuthorizeSecurityGroupEgress),
		dryable("AuthorizeSecurityGroupIngress", tx.AuthorizeSecurityGroupIngress),
		dryable("CreateDhcpOptions", tx.CreateDhcpOptions),
		dryable("CreateEgressOnlyInternetGateway", tx.CreateEgressOnlyInternetGateway),
		dryable("CreateInternetGateway", tx.CreateInternetGateway),
		dryable("CreateNatGateway", tx.CreateNatGateway),
		dryable("CreateNetworkAcl", tx.CreateNetworkAcl),
		dryable("CreateNetworkAclEntry", tx.CreateNetworkAclEntry),
		dryable("CreateNetworkInterface", tx.CreateNetworkInterface),
		dryable("CreateRoute", tx.CreateRoute),
		dryable("CreateRouteTable", tx.CreateRouteTable),
		dryable("CreateSecurityGroup", tx.CreateSecurityGroup),
		dryable("CreateSubnet", tx.CreateSubnet),
		dryable("CreateTags", tx.CreateTags),
		dryable("CreateTransitGatewayVpcAttachment", tx.CreateTransitGatewayVpcAttachment),
		dryable("CreateVpc", tx.CreateVpc),
		dryable("CreateVpcEndpoint", tx.CreateVpcEndpoint),
		dryable("CreateVpcPeeringConnection", tx.CreateVpcPeeringConnection),
		dryable("CreateVpnGateway", tx.CreateVpnGateway),
		dryable("DeleteDhcpOptions", tx.DeleteDhcpOptions),
		dryable("DeleteEgressOnlyInternetGateway", tx.DeleteEgressOnlyInternetGateway),
		dryable("DeleteInternetGateway", tx.DeleteInternetGateway),
		dryable("DeleteNatGateway", tx.DeleteNatGateway),
		dryable("DeleteNetworkAcl", tx.DeleteNetworkAcl),
		dryable("DeleteNetworkAclEntry", tx.DeleteNetworkAclEntry),
		dryable("DeleteNetworkInterface", tx.DeleteNetworkInterface),
		dryable("DeleteRoute", tx.DeleteRoute),
		dryable("DeleteRouteTable", tx.DeleteRouteTable),
		dryable("DeleteSecurityGroup", tx.DeleteSecurityGroup),
		dryable("DeleteSubnet", tx.DeleteSubnet),
		dryable("DeleteTags", tx.DeleteTags),
		dryable("DeleteTransitGatewayVpcAttachment", tx.DeleteTransitGatewayVpcAttachment),
		dryable("DeleteVpc", tx.DeleteVpc),
		dryable("DeleteVpcEndpoints", tx.DeleteVpcEndpoints),
		dryable("DeleteVpcPeeringConnection", tx.DeleteVpcPeeringConnection),
		dryable("DeleteVpnGateway", tx.DeleteVpnGateway),
		dryable("DescribeAccountAttributes", tx.DescribeAccountAttributes),
		dryable("DescribeAddresses", tx.DescribeAddresses),
		dryable("DescribeAvailabilityZones", tx.DescribeAvailabilityZones),
		dryable("DescribeDhcpOptions", tx.DescribeDhcpOptions),
		dryable("DescribeEgressOnlyInternetGateways", tx.DescribeEgressOnlyInternetGateways),
		dryable("DescribeInstances", tx.DescribeInstances),
		dryable("DescribeInternetGateways", tx.DescribeInternetGateways),
		dryable("DescribeNatGateways", tx.DescribeNatGateways),
		dryable("DescribeNetworkAcls", tx.DescribeNetworkAcls),
		dryable("DescribeNetworkInterfaces", tx.DescribeNetworkInterfaces),
		dryable("DescribeRegions", tx.DescribeRegions),
		dryable("DescribeRouteTables", tx.DescribeRouteTables),
		dryable("DescribeSecurityGroupRules", tx.DescribeSecurityGroupRules),
		dryable("DescribeSecurityGroupVpcAssociations", tx.DescribeSecurityGroupVpcAssociations),
		dryable("DescribeSecurityGroups", tx.DescribeSecurityGroups),
		dryable("DescribeSnapshots", tx.DescribeSnapshots),
		dryable("DescribeSubnets", tx.DescribeSubnets),
		dryable("DescribeTags", tx.DescribeTags),
		dryable("DescribeTransitGatewayVpcAttachments", tx.DescribeTransitGatewayVpcAttachments),
		dryable("DescribeVolumes", tx.DescribeVolumes),
		dryable("DescribeVpcAttribute", tx.DescribeVpcAttribute),
		dryable("DescribeVpcBlockPublicAccessOptions", tx.DescribeVpcBlockPublicAccessOptions),
		dryable("DescribeVpcEndpoints", tx.DescribeVpcEndpoints),
		dryable("DescribeVpcPeeringConnections", tx.DescribeVpcPeeringConnections),
		dryable("DescribeVpcs", tx.DescribeVpcs),
		dryable("DescribeVpnGateways", tx.DescribeVpnGateways),
		dryable("DetachInternetGateway", tx.DetachInternetGateway),
		dryable("DetachNetworkInterface", tx.DetachNetworkInterface),
		dryable("DetachVpnGateway", tx.DetachVpnGateway),
		dryable("DisassociateRouteTable", tx.DisassociateRouteTable),
		dryable("DisassociateSecurityGroupVpc", tx.DisassociateSecurityGroupVpc),
		dryable("ModifySecurityGroupRules", tx.ModifySecurityGroupRules),
		dryable("ModifySubnetAttribute", tx.ModifySubnetAttribute),
		dryable("ModifyVpcAttribute", tx.ModifyVpcAttribute),
		dryable("ModifyVpcBlockPublicAccessOptions", tx.ModifyVpcBlockPublicAccessOptions),
		dryable("ReplaceNetworkAclAssociation", tx.ReplaceNetworkAclAssociation),
		dryable("ReplaceNetworkAclEntry", tx.ReplaceNetworkAclEntry),
		dryable("ReplaceRoute", tx.ReplaceRoute),
		dryable("ReplaceRouteTableAssociation", tx.ReplaceRouteTableAssociation),
		dryable("RevokeSecurityGroupEgress", tx.RevokeSecurityGroupEgress),
		dryable("RevokeSecurityGroupIngress", tx.RevokeSecurityGroupIngress),
		dryable("UpdateSecurityGroupRuleDescriptionsEgress", tx.UpdateSecurityGroupRuleDescriptionsEgress),
		dryable("UpdateSecurityGroupRuleDescriptionsIngress", tx.UpdateSecurityGroupRuleDescriptionsIngress),
	)}
}

// dryable is op with the DryRun that every EC2 call has: it asks whether the
// caller might, and here everybody may. Its types are pointers, for the reason of kernel.Op.
//
//go:noinline
func dryable[In, Out any](name string, f func(tx, In) (Out, error)) kernel.Method[tx] {
	return kernel.Op(name, func(a tx, in In) (out Out, err error) {
		var dry *bool // not every input has one
		if f := reflect.ValueOf(in).Elem().FieldByName("DryRun"); f.IsValid() {
			dry, _ = f.Interface().(*bool)
		}
		if aws.ToBool(dry) {
			return out, &kernel.Error{Status: http.StatusPreconditionFailed, Code: "DryRunOperation", Message: "Request would have succeeded, but DryRun flag is set."}
		}
		return f(a, in)
	})
}

// item is the resource of that id.
func item[T describable](a tx, kind resourceKind, all []T, id string) (T, error) {
	var none T
	if err := kind.check(id); err != nil {
		return none, err
	}
	for _, x := range all {
		if x.base().ID == id && a.Visible(id) {
			return x, nil
		}
	}
	return none, kind.notFound(id)
}

// items are the resources that a Describe call asks for: those of the ids, or all,
// and of them those that match every filter.
func items[T any, P interface {
	*T
	describable
}](a tx, kind resourceKind, all []P, ids []string, filters []types.Filter) ([]P, error) {
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
		t := x.base()
		if len(ids) > 0 && !slices.Contains(ids, t.ID) || len(ids) == 0 && !a.Visible(t.ID) {
			continue
		}
		fields := x.fields()
		fields["owner-id"] = []string{a.Account()}
		if matches(filters, t.Tags, fields) {
			out = append(out, x)
		}
	}
	return out, nil
}

// matches reports whether a resource passes every filter, of whose values one is
// enough: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_Filtering.html
func matches(filters []types.Filter, tags map[string]string, fields map[string][]string) bool {
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

// page is a page of a Describe call. Without MaxResults there is one.
func page[T any](all []T, limit *int32, token *string) ([]T, *string, error) {
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
// and page.
func described[T, O any, P interface {
	*T
	describable
}](a tx, kind resourceKind, all []P, ids []string, filters []types.Filter, limit *int32, token *string, describe func(P) O) ([]O, *string, error) {
	found, err := items(a, kind, all, ids, filters)
	if err != nil {
		return nil, nil, err
	}
	page, next, err := page(found, limit, token)
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
func onCreate(kind resourceKind, specs []types.TagSpecification) (map[string]string, error) {
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

func writeTags(tags map[string]string) []types.Tag {
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
			a.state().Tokens = map[string]clientToken{}
		}
		a.state().Tokens[*token] = clientToken{Request: hash, ID: id}
	}, nil
}

// tagged is everything that has tags, with its kind.
func (a tx) tagged(yield func(resourceKind, *resource) bool) {
	s := a.state()
	each := func(kind resourceKind, n int, at func(int) *resource) bool {
		for i := range n {
			if !yield(kind, at(i)) {
				return false
			}
		}
		return true
	}
	_ = each(kindVPC, len(s.VPCs), func(i int) *resource { return &s.VPCs[i].resource }) &&
		each(kindSubnet, len(s.Subnets), func(i int) *resource { return &s.Subnets[i].resource }) &&
		each(kindGateway, len(s.Gateways), func(i int) *resource { return &s.Gateways[i].resource }) &&
		each(kindTable, len(s.Tables), func(i int) *resource { return &s.Tables[i].resource }) &&
		each(kindGroup, len(s.Groups), func(i int) *resource { return &s.Groups[i].resource }) &&
		each(kindACL, len(s.ACLs), func(i int) *resource { return &s.ACLs[i].resource }) &&
		each(kindDHCPOptions, len(s.DHCPOptions), func(i int) *resource { return &s.DHCPOptions[i].resource }) &&
		each(kindInterface, len(s.Interfaces), func(i int) *resource { return &s.Interfaces[i].resource }) &&
		a.taggedAttached(yield)
}

func (a tx) taggedAttached(yield func(resourceKind, *resource) bool) bool {
	for _, kind := range attachedKinds {
		for _, x := range a.attached(kind) {
			if !yield(kind, &x.resource) {
				return false
			}
		}
	}
	return true
}

// taggable finds what is to be tagged; it fails before anything is.
func (a tx) taggable(ids []string) ([]*resource, error) {
	var out []*resource
	for _, id := range ids {
		var found *resource
		for kind, t := range a.tagged {
			if kind.check(id) == nil && t.ID == id && a.Visible(id) {
				found = t
			}
		}
		for _, g := range a.state().Groups {
			for _, r := range g.Rules {
				if r.ID == id {
					found = &r.resource
				}
			}
		}
		if found == nil {
			for _, kind := range append([]resourceKind{kindVPC, kindSubnet, kindGateway, kindTable, kindGroup, kindRule, kindACL, kindDHCPOptions, kindInterface}, attachedKinds...) {
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
	all, err := a.taggable(in.Resources)
	if err != nil {
		return nil, err
	}
	for _, t := range all {
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

// DeleteTags deletes a tag whatever its value, unless one is given, and all
// tags if none is named.
func (a tx) DeleteTags(in *ec2.DeleteTagsInput) (*ec2.DeleteTagsOutput, error) {
	all, err := a.taggable(in.Resources)
	if err != nil {
		return nil, err
	}
	for _, t := range all {
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
		for _, tag := range writeTags(t.Tags) {
			fields := map[string][]string{
				"key": {*tag.Key}, "value": {*tag.Value}, "resource-id": {t.ID}, "resource-type": {string(kind.resource)},
			}
			if a.Visible(t.ID) && matches(in.Filters, map[string]string{*tag.Key: *tag.Value}, fields) {
				all = append(all, types.TagDescription{Key: tag.Key, Value: tag.Value, ResourceId: aws.String(t.ID), ResourceType: kind.resource})
			}
		}
	}
	page, next, err := page(all, in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	return &ec2.DescribeTagsOutput{Tags: page, NextToken: next}, nil
}
