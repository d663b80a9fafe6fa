package provision

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

// defaultCIDR is the IPv4 range of the VPC of a new stack.
const defaultCIDR = "10.0.0.0/16"

// The limits of the range of a stack's VPC. EC2 takes /16 to /28, and recommends the
// ranges of RFC 1918; others can be somebody else's on the internet. A stack has four
// subnets, and AWS asks for /27 where a load balancer is, so that the smallest is /25.
// https://docs.aws.amazon.com/vpc/latest/userguide/vpc-cidr-blocks.html
// https://docs.aws.amazon.com/elasticloadbalancing/latest/application/application-load-balancers.html#subnets-load-balancer
const (
	largestVPC  = 16
	smallestVPC = 25
)

// private are the ranges of RFC 1918.
var private = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16")}

// checkCIDR returns what is wrong with the range of a VPC, "" for nothing.
func checkCIDR(text string) string {
	p, err := netip.ParsePrefix(text)
	if err != nil || !p.Addr().Is4() {
		return fmt.Sprintf("CIDR %q: give an IPv4 range such as %s", text, defaultCIDR)
	}
	if p.Bits() < largestVPC || p.Bits() > smallestVPC {
		return fmt.Sprintf("CIDR %s: a VPC is /%d at most, and the four subnets of a stack need /%d at least", text, largestVPC, smallestVPC)
	}
	for _, within := range private {
		if within.Contains(p.Addr()) {
			return ""
		}
	}
	return fmt.Sprintf("CIDR %s: choose from the private ranges 10.0.0.0/8, 172.16.0.0/12 and 192.168.0.0/16 (RFC 1918)", text)
}

// canonicalCIDR is the range without what is below its prefix, as EC2 makes it.
func canonicalCIDR(text string) string {
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return text
	}
	return p.Masked().String()
}

// subnetCIDRs are the ranges of the subnets in the range of their VPC: the public ones
// from its beginning, and the private ones further on. They are /24, or a quarter of
// a VPC that is too small for that. What no stack can have has none.
func subnetCIDRs(vpc string) (public, private [2]string) {
	p, err := netip.ParsePrefix(vpc)
	if err != nil || checkCIDR(vpc) != "" {
		return public, private
	}
	bits := max(24, p.Bits()+2)
	at := func(n int) string {
		first := binary.BigEndian.Uint32(p.Masked().Addr().AsSlice()) + uint32(n)<<(32-bits)
		var address [4]byte
		binary.BigEndian.PutUint32(address[:], first)
		return netip.PrefixFrom(netip.AddrFrom4(address), bits).String()
	}
	behind := min(10, 1<<(bits-p.Bits())/2)
	return [2]string{at(0), at(1)}, [2]string{at(behind), at(behind + 1)}
}

const (
	// reservedAddresses are those of each subnet that AWS keeps.
	// https://docs.aws.amazon.com/vpc/latest/userguide/subnet-sizing.html
	reservedAddresses = 5
	// BalancerAddresses are what a load balancer needs free in each subnet.
	BalancerAddresses = 8
	// DatabaseAddresses are what a database needs free in each subnet that it may be in: its own, and
	// one that RDS takes for a recovery.
	// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_VPC.WorkingWithRDSInstanceinaVPC.html
	DatabaseAddresses = 2
)

// roomForTasks is how many tasks have an address in the public subnets of a VPC with
// that range, alongside the load balancer.
func roomForTasks(vpc string) int32 {
	public, _ := subnetCIDRs(vpc)
	room := int32(0)
	for _, cidr := range public {
		if p, err := netip.ParsePrefix(cidr); err == nil {
			room += int32(1)<<(32-p.Bits()) - reservedAddresses - BalancerAddresses
		}
	}
	return room
}
