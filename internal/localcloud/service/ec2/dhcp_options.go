package ec2

import (
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
)

// dhcpOptionsSet is what a VPC hands out by DHCP, such as the address of the resolver. The
// account's first set names Amazon's own resolver, and new VPCs have it:
// https://docs.aws.amazon.com/vpc/latest/userguide/VPC_DHCP_Options.html
type dhcpOptionsSet struct {
	resource
	Values map[string][]string `json:"values"`
}

func (d *dhcpOptionsSet) fields() map[string][]string {
	return map[string][]string{"dhcp-options-id": {d.ID}}
}

// defaultDHCPOptions is the set that new VPCs have. The network is started with it.
func (a tx) defaultDHCPOptions() *dhcpOptionsSet {
	s := a.state()
	if len(s.DHCPOptions) == 0 {
		s.DHCPOptions = append(s.DHCPOptions, &dhcpOptionsSet{resource: resource{ID: kernel.NewID("dopt")}, Values: map[string][]string{
			"domain-name": {a.Region() + ".compute.internal"}, "domain-name-servers": {"AmazonProvidedDNS"},
		}})
	}
	return s.DHCPOptions[0]
}

func dhcpOptions(account string, d *dhcpOptionsSet) types.DhcpOptions {
	out := types.DhcpOptions{DhcpOptionsId: aws.String(d.ID), OwnerId: aws.String(account), Tags: writeTags(d.Tags)}
	for _, key := range slices.Sorted(maps.Keys(d.Values)) {
		c := types.DhcpConfiguration{Key: aws.String(key)}
		for _, v := range d.Values[key] {
			c.Values = append(c.Values, types.AttributeValue{Value: aws.String(v)})
		}
		out.DhcpConfigurations = append(out.DhcpConfigurations, c)
	}
	return out
}

func (a tx) CreateDhcpOptions(in *ec2.CreateDhcpOptionsInput) (*ec2.CreateDhcpOptionsOutput, error) {
	tags, err := onCreate(kindDHCPOptions, in.TagSpecifications)
	if err != nil {
		return nil, err
	}
	d := &dhcpOptionsSet{resource: resource{kernel.NewID("dopt"), tags}, Values: map[string][]string{}}
	for _, c := range in.DhcpConfigurations {
		d.Values[aws.ToString(c.Key)] = c.Values
	}
	a.state().DHCPOptions = append(a.state().DHCPOptions, d)
	a.Created(d.ID)
	out := dhcpOptions(a.Account(), d)
	return &ec2.CreateDhcpOptionsOutput{DhcpOptions: &out}, nil
}

func (a tx) DescribeDhcpOptions(in *ec2.DescribeDhcpOptionsInput) (*ec2.DescribeDhcpOptionsOutput, error) {
	page, next, err := described(a, kindDHCPOptions, a.state().DHCPOptions, in.DhcpOptionsIds, in.Filters, in.MaxResults, in.NextToken, func(d *dhcpOptionsSet) types.DhcpOptions { return dhcpOptions(a.Account(), d) })
	return &ec2.DescribeDhcpOptionsOutput{DhcpOptions: page, NextToken: next}, err
}

// AssociateDhcpOptions gives a VPC a set, or with "default" none at all.
func (a tx) AssociateDhcpOptions(in *ec2.AssociateDhcpOptionsInput) (*ec2.AssociateDhcpOptionsOutput, error) {
	v, err := item(a, kindVPC, a.state().VPCs, aws.ToString(in.VpcId))
	if err != nil {
		return nil, err
	}
	if id := aws.ToString(in.DhcpOptionsId); id != noDHCPOptions {
		if _, err := item(a, kindDHCPOptions, a.state().DHCPOptions, id); err != nil {
			return nil, err
		}
	}
	v.DHCPOptions = aws.ToString(in.DhcpOptionsId)
	return &ec2.AssociateDhcpOptionsOutput{}, nil
}

// noDHCPOptions is what a VPC without a set shows.
const noDHCPOptions = "default"

// DeleteDhcpOptions deletes a set that no VPC has.
func (a tx) DeleteDhcpOptions(in *ec2.DeleteDhcpOptionsInput) (*ec2.DeleteDhcpOptionsOutput, error) {
	s := a.state()
	d, err := item(a, kindDHCPOptions, s.DHCPOptions, aws.ToString(in.DhcpOptionsId))
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(s.VPCs, func(v *vpc) bool { return a.dhcpOptionsOf(v) == d.ID }) {
		return nil, kernel.Fail("DependencyViolation", "The dhcpOptions '%s' has dependencies and cannot be deleted.", d.ID)
	}
	s.DHCPOptions = slices.DeleteFunc(s.DHCPOptions, func(x *dhcpOptionsSet) bool { return x == d })
	return &ec2.DeleteDhcpOptionsOutput{}, nil
}

func (a tx) dhcpOptionsOf(v *vpc) string {
	if v.DHCPOptions == "" {
		return a.defaultDHCPOptions().ID
	}
	return v.DHCPOptions
}
