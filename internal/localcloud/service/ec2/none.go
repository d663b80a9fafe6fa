package ec2

import (
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// What the local cloud has none of and an inventory of an account asks for.

func (a tx) DescribeAddresses(*ec2.DescribeAddressesInput) (*ec2.DescribeAddressesOutput, error) {
	return &ec2.DescribeAddressesOutput{}, nil
}

func (a tx) DescribeInstances(*ec2.DescribeInstancesInput) (*ec2.DescribeInstancesOutput, error) {
	return &ec2.DescribeInstancesOutput{}, nil
}

func (a tx) DescribeSnapshots(*ec2.DescribeSnapshotsInput) (*ec2.DescribeSnapshotsOutput, error) {
	return &ec2.DescribeSnapshotsOutput{}, nil
}

func (a tx) DescribeVolumes(*ec2.DescribeVolumesInput) (*ec2.DescribeVolumesOutput, error) {
	return &ec2.DescribeVolumesOutput{}, nil
}

func (a tx) DescribeAccountAttributes(in *ec2.DescribeAccountAttributesInput) (*ec2.DescribeAccountAttributesOutput, error) {
	defaultVPC := "none"
	for _, v := range a.state().VPCs {
		if v.Default {
			defaultVPC = v.ID
		}
	}
	out := &ec2.DescribeAccountAttributesOutput{}
	for _, x := range []struct{ name, value string }{
		{"supported-platforms", "VPC"}, {"default-vpc", defaultVPC}, {"vpc-max-security-groups-per-interface", strconv.Itoa(quotaGroups)},
	} {
		asked := len(in.AttributeNames) == 0
		for _, n := range in.AttributeNames {
			asked = asked || string(n) == x.name
		}
		if asked {
			out.AccountAttributes = append(out.AccountAttributes, types.AccountAttribute{
				AttributeName: aws.String(x.name), AttributeValues: []types.AccountAttributeValue{{AttributeValue: aws.String(x.value)}},
			})
		}
	}
	return out, nil
}
