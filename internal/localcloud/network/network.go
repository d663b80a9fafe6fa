// Package network has the subnet and network interface types that EC2 shares with the
// other services. They are copies; EC2 keeps the originals.
package network

// Subnet is a subnet of a VPC.
type Subnet struct {
	ID, VPC, Zone string
	// Default reports whether it is one of the default VPC's own.
	Default bool
}

// Spec is what a service wants of an interface in its customer's VPC.
type Spec struct {
	SubnetID    string
	Groups      []string // the VPC's default group when empty
	Description string
	// RequesterID is the service: amazon-elb, amazon-rds, or that of ECS.
	RequesterID string
	// InterfaceType is "interface" when empty.
	InterfaceType string
	// Public gives it a public address, which needs an internet gateway.
	Public bool
}

// Interface is a network interface.
type Interface struct {
	ID, SubnetID, VPC string
	// Groups are its security groups.
	Groups []string
	// PrivateIP is its address in the subnet.
	PrivateIP string
	MAC       string
}
