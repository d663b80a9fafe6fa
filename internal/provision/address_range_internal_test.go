package provision

import (
	"fmt"
	"net/netip"
	"testing"
)

// TestTheSubnetsArePartsOfTheirVPC goes over all sizes of a VPC.
func TestTheSubnetsArePartsOfTheirVPC(t *testing.T) {
	t.Parallel()
	const smallestSubnet = 27 // of a load balancer
	public, private := subnetCIDRs(defaultCIDR)
	if got := fmt.Sprint(public, private); got != "[10.0.0.0/24 10.0.1.0/24] [10.0.10.0/24 10.0.11.0/24]" {
		t.Errorf("those of stacks that were made before the range could be chosen have moved: %s", got)
	}
	for bits := largestVPC; bits <= smallestVPC; bits++ {
		vpc := netip.MustParsePrefix(fmt.Sprintf("10.20.128.0/%d", bits)).Masked()
		if wrong := checkCIDR(vpc.String()); wrong != "" {
			t.Errorf("%s: %s", vpc, wrong)
		}
		public, private := subnetCIDRs(vpc.String())
		all := append(public[:], private[:]...)
		for i, text := range all {
			subnet := netip.MustParsePrefix(text)
			if !vpc.Contains(subnet.Addr()) || subnet.Masked() != subnet || subnet.Bits() > smallestSubnet {
				t.Errorf("%s has a subnet %s", vpc, subnet)
			}
			for _, other := range all[:i] {
				if subnet.Overlaps(netip.MustParsePrefix(other)) {
					t.Errorf("in %s %s and %s overlap", vpc, subnet, other)
				}
			}
		}
	}
}
