package provision

// What tests look at that is no business of other packages.
var (
	IsRegionName  = isRegionName
	RepositoryARN = repositoryARN
)

// PartitionOf is the name of a region's partition.
func PartitionOf(region string) string { return partitionOf(region).name }

// Partitions are name, regions and suffix of all partitions.
func Partitions() (out [][3]string) {
	for _, p := range partitions {
		out = append(out, [3]string{p.name, p.regions.String(), p.suffix})
	}
	return out
}

// RoleNames are the names of a stack's roles.
func RoleNames(stack, region string) (out []string) {
	for _, name := range []string{executionRoleName, taskRoleName} {
		r := newRole(identity{stack: stack, region: region}, nil, name, "", &Secret{}, nil, nil)
		out = append(out, *r.roleName())
	}
	return out
}
