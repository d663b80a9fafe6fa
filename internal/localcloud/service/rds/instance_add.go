package rds

import (
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/rds/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
	"github.com/bookctl/bookctl/internal/localcloud/network"
)

// instanceReferences are the names in a request for a new instance that refer to other
// resources.
type instanceReferences struct {
	id, subnetGroup, parameterGroup, zone *string
	groups                                []string
	tags                                  []types.Tag
}

// addInstance checks a new instance, gives it its place in the network and starts
// making it.
func (a tx) addInstance(db *instance, p instanceReferences) error {
	id, err := identifier("DBInstanceIdentifier", p.id)
	if err != nil {
		return err
	}
	db.ID = id
	if slices.ContainsFunc(a.state().Instances, func(x *instance) bool { return x.ID == id }) {
		return kernel.Fail("DBInstanceAlreadyExists", "DB instance already exists")
	}
	if !slices.Contains(dbClasses(), db.Class) {
		return kernel.Fail("InvalidParameterValue", "Invalid DB Instance class: %s", db.Class)
	}
	if err := checkStorage(db.StorageType, db.Storage); err != nil {
		return err
	}
	if err := checkBackups(db.Backups); err != nil {
		return err
	}
	if db.MostStorage != 0 && db.MostStorage <= db.Storage {
		return kernel.Fail("InvalidParameterCombination", "Max storage size must be greater than storage size")
	}
	if err := checkLimit(db.MostStorage, db.Storage); err != nil {
		return err
	}
	db.withBaseline()
	if db.Tags, err = addTags(nil, p.tags); err != nil {
		return err
	}
	group := value(p.parameterGroup, defaultGroupName(db.Version))
	parameters, err := a.parameterGroup(&group)
	if err != nil {
		return err
	}
	if err := parameters.fits(db.Version); err != nil {
		return err
	}
	db.ParameterGroup, db.Applied = parameters.Name, parameters.Values
	var subnets *subnetGroup
	if p.subnetGroup == nil {
		subnets, err = a.defaultSubnetGroup()
	} else {
		subnets, err = a.subnetGroup(p.subnetGroup)
	}
	if err != nil {
		return err
	}
	db.SubnetGroup = subnets.Name
	if db.Groups, err = a.checkGroups(p.groups, subnets.VPC); err != nil {
		return err
	}
	subnet, err := a.chooseSubnet(db, subnets, p.zone)
	if err != nil {
		return err
	}
	i, err := a.needs.Network.Attach(a.Tx, network.Spec{
		SubnetID: subnet, Groups: db.Groups, Description: "RDSNetworkInterface", RequesterID: "amazon-rds", Public: db.Public,
	})
	if err != nil {
		return err
	}
	db.Interface, db.Groups = i.ID, slices.Clone(i.Groups)
	db.Resource = "db-" + kernel.RandomText(26, kernel.Capitals+kernel.Digits)
	db.Status = dbCreating
	a.state().Instances = append(a.state().Instances, db)
	a.Created(db.Resource)
	a.beginWork(db.Resource, a.create)
	return nil
}

// fits checks that instances of a version may have the group.
func (g *parameterGroup) fits(version string) error {
	if family := familyOf(version); g.Family != family {
		return kernel.Fail("InvalidParameterCombination", "The Parameter Group %s with DBParameterGroupFamily %s can't be used for this instance. Please use a Parameter Group with DBParameterGroupFamily %s", g.Name, g.Family, family)
	}
	return nil
}

// checkGroups wants security groups of the VPC; none means its default one.
func (a tx) checkGroups(ids []string, vpc string) ([]string, error) {
	for _, id := range ids {
		own, ok := a.needs.Network.GroupVPC(a.Tx, id)
		if !ok || !a.Visible(id) {
			return nil, kernel.Fail("InvalidParameterValue", "Invalid security group , groupId= %s, groupName=.", id)
		}
		if own != vpc {
			return nil, kernel.Fail("InvalidParameterCombination", "The DB instance and EC2 security group are in different VPCs. The DB instance is in %s and the EC2 security group is in %s", vpc, own)
		}
	}
	return slices.Clone(ids), nil
}

// chooseSubnet picks a subnet in a zone that has the class, and sets the
// instance's zones.
func (a tx) chooseSubnet(db *instance, group *subnetGroup, zone *string) (string, error) {
	have := a.classZones(db.Class)
	var zones, ids []string
	for _, id := range group.Subnets {
		if s, ok := a.needs.Network.Subnet(a.Tx, id); ok && slices.Contains(have, s.Zone) && !slices.Contains(zones, s.Zone) {
			zones, ids = append(zones, s.Zone), append(ids, id)
		}
	}
	at := 0
	if zone != nil {
		if db.MultiAZ {
			return "", kernel.Fail("InvalidParameterCombination", "Requesting a specific availability zone is not valid for Multi-AZ instances.")
		}
		if at = slices.Index(zones, *zone); at < 0 {
			// As hashicorp/terraform-provider-aws #20712 shows it.
			return "", kernel.Fail("InvalidVPCNetworkStateFault", "Cannot create a %s database instance because there is not a subnet in %s, the targeted availability zone. Create a new subnet in %s and target that availability zone again, or retry the launch with no availability zone, or choose from these availability zones: %s.", db.Class, *zone, *zone, strings.Join(zones, ", "))
		}
	}
	need := 1
	if db.MultiAZ {
		need = 2
	}
	if len(zones) < need {
		// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/CHAP_Troubleshooting.html#CHAP_Troubleshooting.Capacity
		return "", kernel.Fail("InsufficientDBInstanceCapacity", "DB instance class %s is not available in enough availability zones of DB subnet group %s: it is in [%s], and %d needed.", db.Class, group.Name, strings.Join(zones, ", "), need)
	}
	db.Zone = zones[at]
	if db.MultiAZ {
		db.SecondZone = zones[1]
	}
	return ids[at], nil
}
