package preflight

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/provision"
)

// checkMove refuses another VPC, or another range of it, for a stack that is there.
func (in Intent) checkMove() error {
	have, want := in.Deployed, in.Settings
	otherStackHint := func(flag, value string) hint.Message {
		return hint.New("leave --%s out; or create another stack with it, with --stack; or destroy this one, which keeps a snapshot of its data, and create it again with %s",
			flag, hint.Command("up", "--"+flag, value, "--restore", "latest"))
	}
	switch {
	case have.VPC == "" && want.VPC != "" && have.Zones != [2]string{}:
		return hint.With(fmt.Errorf("this stack has a VPC of its own, and can't move: %s requires replacement", want.VPC), "%s", otherStackHint("vpc", want.VPC))
	case have.VPC != "" && want.VPC != have.VPC:
		return hint.With(fmt.Errorf("this stack is in %s, and can't move: %s requires replacement", have.VPC, want.VPC), "%s", otherStackHint("vpc", want.VPC))
	case have.Zones != [2]string{} && want.CIDR != have.CIDR:
		// https://docs.aws.amazon.com/vpc/latest/userguide/vpc-cidr-blocks.html
		return hint.With(fmt.Errorf("the VPC of this stack is %s, and a VPC can't get another range: %s requires replacement", have.CIDR, want.CIDR), "%s", otherStackHint("cidr", want.CIDR))
	}
	return nil
}

// checkDatabaseStays refuses subnets without those that the database may be in. RDS does not move
// an instance within its VPC, and refuses to take a subnet that one is in out of the group
// (SubnetAlreadyInUse).
// https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBSubnetGroup.html
func (in Intent) checkDatabaseStays() error {
	if in.Settings.VPC == "" || in.Settings.DBSubnets == "" || in.Settings.NoDatabase || !in.Deployed.HasData() {
		return nil
	}
	named := provision.IDList(in.Settings.DBSubnets)
	left := slices.DeleteFunc(slices.Clone(in.Deployed.DatabaseSubnets()), func(id string) bool { return slices.Contains(named, id) })
	if len(left) == 0 {
		return nil
	}
	ids := strings.Join(left, ", ")
	return hint.With(fmt.Errorf("the database may be in %s, which --db-subnets leaves out, and RDS does not move it", ids),
		"keep that with %s; or restore a snapshot of the data into another stack, with --stack", hint.Command("up", "--db-subnets", strings.Join(append(left, named...), ",")))
}

// checkOwner refuses a VPC that another account shares. Its main route table is not shown, so
// that its public subnets are not known, and what is created in it has to be allowed on the
// VPC of that account.
// https://docs.aws.amazon.com/vpc/latest/userguide/vpc-sharing.html
func (in Intent) checkOwner(g provision.VPCInfo, account string) error {
	if g.Owner == "" || g.Owner == account || in.Deployed.VPC == g.VPC {
		return nil
	}
	return hint.With(fmt.Errorf("%s is a VPC of account %s, which shares it with this one, %s: a stack can't be created in it", g.VPC, g.Owner, account),
		"choose a VPC of this account with --vpc, or leave --vpc out, and the stack has its own")
}

// hasPlace reports whether the stack has its subnets, and keeps them.
func (in Intent) hasPlace() bool {
	have, want := in.Deployed, in.Settings
	if want.VPC == "" {
		return have.Zones[0] != "" && have.Zones[1] != ""
	}
	return have.VPC == want.VPC && want.Subnets != "" && have.Subnets == want.Subnets && have.DBSubnets == want.DBSubnets && (want.NoDatabase || want.DBSubnets != "")
}

// subnetChoice are the subnets of an existing VPC among which a stack's are chosen.
type subnetChoice struct {
	provision.VPCInfo
	public, data []provision.SubnetInfo
	// named and dataNamed say that the user has chosen, and kept that the stack is in the
	// public ones already, where it has its addresses.
	named, dataNamed, kept bool
}

// subnetsOf finds the subnets that a stack can have in the VPC that it was given, of the
// zones that are open to it.
func (in Intent) subnetsOf(g provision.VPCInfo, open []string) (subnetChoice, error) {
	c := subnetChoice{VPCInfo: g, named: in.Settings.Subnets != "", dataNamed: in.Settings.DBSubnets != "", kept: in.Settings.Subnets != "" && in.Settings.Subnets == in.Deployed.Subnets}
	if !g.DNSSupport {
		return c, hint.With(fmt.Errorf("DNS support of %s is off, and tasks find the database by its name", g.VPC),
			"turn it on, if its owners agree: %s", hint.AWS("ec2", "modify-vpc-attribute", "--vpc-id", g.VPC, "--enable-dns-support"))
	}
	var err error
	if c.named {
		if c.public, err = namedSubnets(g, in.Settings.Subnets, open); err != nil {
			return c, err
		}
		for i, r := range c.public {
			if !r.Public() {
				return c, hint.With(fmt.Errorf("subnet %s is not public: its default route leads to %s, and not to an internet gateway", r.ID, cmp.Or(r.Route, "nowhere")), "choose others with --subnets")
			}
			if r.Blocked != provision.NotBlocked {
				return c, blockedError("subnet "+r.ID, r.Blocked)
			}
			if at := slices.IndexFunc(c.public[:i], func(o provision.SubnetInfo) bool { return o.Zone == r.Zone }); at >= 0 {
				return c, hint.With(fmt.Errorf("subnets %s and %s are both in %s, and a load balancer takes one in each zone", c.public[at].ID, r.ID, r.Zone), "leave out one of them")
			}
		}
	} else {
		c.public = filtered(g.Subnets, func(r provision.SubnetInfo) bool {
			return r.Public() && r.Blocked == provision.NotBlocked && slices.Contains(open, r.Zone) && r.Free >= provision.BalancerAddresses
		})
	}
	if n := zonesOf(c.public); len(n) < 2 && g.Blocked != provision.NotBlocked {
		return c, blockedError(g.VPC, g.Blocked)
	}
	if n := zonesOf(c.public); len(n) < 2 {
		return c, hint.With(fmt.Errorf("%s has public subnets with %d free addresses in %s, and a load balancer needs them in two: the default route of a public subnet leads to an internet gateway",
			g.VPC, provision.BalancerAddresses, zonesText(n)), "add some, or choose another VPC with --vpc; it has %s", subnetsText(g))
	}
	if in.Settings.NoDatabase {
		return c, nil
	}
	if c.dataNamed {
		if c.data, err = namedSubnets(g, in.Settings.DBSubnets, open); err != nil {
			return c, err
		}
		// https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_CreateDBSubnetGroup.html
		if n := zonesOf(c.data); len(n) < 2 {
			return c, hint.With(fmt.Errorf("the subnets of the database are in %s, and RDS wants them in two", zonesText(n)), "choose others with --db-subnets")
		}
		for _, r := range c.data {
			if r.Free < provision.DatabaseAddresses && !slices.Contains(provision.IDList(in.Deployed.DBSubnets), r.ID) {
				return c, hint.With(fmt.Errorf("subnet %s has %d free addresses, and RDS needs %d: one for the database and one for its recovery", r.ID, r.Free, provision.DatabaseAddresses), "choose others with --db-subnets")
			}
		}
		return c, nil
	}
	c.data = filtered(g.Subnets, func(r provision.SubnetInfo) bool {
		return !r.Public() && slices.Contains(open, r.Zone) && r.Free >= provision.DatabaseAddresses
	})
	if len(zonesOf(c.data)) >= 2 {
		return c, nil
	}
	c.data = c.public
	if roomy := filtered(c.public, func(r provision.SubnetInfo) bool {
		return r.Free >= provision.BalancerAddresses+provision.DatabaseAddresses
	}); !c.named && len(zonesOf(roomy)) >= 2 {
		c.public, c.data = roomy, roomy
	}
	return c, nil
}

func blockedError(what, mode string) error {
	return hint.With(fmt.Errorf("VPC Block Public Access keeps the internet out of %s (%s)", what, mode),
		"whoever manages the account can exclude the VPC, or its public subnets in two zones, from it")
}

// classWarnings returns what may keep RDS from creating the database of a class in the VPC. No API
// tells which classes it takes there.
// https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_VPC.WorkingWithRDSInstanceinaVPC.html
func (in Intent) classWarnings(g provision.VPCInfo) (out []string) {
	class := in.Settings.DBClass
	if in.Settings.NoDatabase || in.Deployed.Database && class == in.Deployed.DBClass {
		return nil
	}
	if g.Encrypted {
		out = append(out, fmt.Sprintf("%s enforces encryption in transit, with which RDS takes only classes on Nitro hardware that encrypts: if it rejects %s (VpcEncryptionControlViolationException), choose another with --db-class", g.VPC, class))
	}
	if g.Dedicated {
		out = append(out, fmt.Sprintf("%s has dedicated tenancy, with which RDS takes only classes of EC2's dedicated instances: if it rejects %s, choose another with --db-class", g.VPC, class))
	}
	return out
}

// zones are those in which the stack's database can be, or its tasks where there is none.
func (c subnetChoice) zones() []string {
	public, data := zonesOf(c.public), zonesOf(c.data)
	if c.data == nil {
		return public
	}
	// Those that have both spare the tasks a way into another zone.
	both := slices.DeleteFunc(slices.Clone(data), func(z string) bool { return !slices.Contains(public, z) })
	if c.dataNamed || len(both) < 2 {
		return data
	}
	return both
}

// chooseSubnets chooses the subnets, in the chosen zones as far as they have some.
func (c subnetChoice) chooseSubnets(env *Environment, deployed, s provision.Settings) error {
	env.Subnets, env.DBSubnets = s.Subnets, s.DBSubnets
	public := c.public
	if !c.named {
		public = oneInEach(c.public, env.Zones)
		env.Subnets = ids(public)
	}
	if c.data != nil && !c.dataNamed {
		data := oneInEach(c.data, env.Zones)
		if c.data[0].Public() {
			data = public
		}
		env.DBSubnets = ids(data)
	}
	if err := checkRoom(public, env.DBSubnets, deployed, s); err != nil && !c.kept {
		return err
	}
	if !c.DNSHostnames {
		env.Warnings = append(env.Warnings, fmt.Sprintf("DNS hostnames of %s are off, which VPC endpoints with private names need", c.VPC))
	}
	text := fmt.Sprintf("the stack is created in %s, of which nothing is changed: load balancer and tasks in %s", c.VPC, strings.ReplaceAll(env.Subnets, ",", ", "))
	if !s.NoDatabase {
		text += ", the database in " + strings.ReplaceAll(env.DBSubnets, ",", ", ")
	}
	env.Warnings = append(env.Warnings, text)
	return nil
}

// checkRoom returns the reason why subnets have no addresses for load balancer and tasks, and for
// the database in those that are in its list, too, unless it is in them already.
func checkRoom(subnets []provision.SubnetInfo, data string, deployed, s provision.Settings) error {
	settled := provision.IDList(deployed.DBSubnets)
	free, alongside := int32(0), "the load balancer"
	for _, r := range subnets {
		others, who := int32(provision.BalancerAddresses), "a load balancer needs"
		if slices.Contains(provision.IDList(data), r.ID) && !slices.Contains(settled, r.ID) {
			others, who, alongside = others+provision.DatabaseAddresses, "a load balancer and a database need", "the load balancer and the database"
		}
		if free += r.Free - others; r.Free < others {
			return hint.With(fmt.Errorf("subnet %s has %d free addresses, and %s %d", r.ID, r.Free, who, others), "choose others with --subnets")
		}
	}
	if tasks := max(s.Count, s.Max); s.MostTasks() > free {
		return hint.With(fmt.Errorf("the subnets %s have addresses for %d tasks alongside %s, and %d and those of a deployment need more", ids(subnets), free, alongside, tasks), "choose larger ones with --subnets")
	}
	return nil
}

// namedSubnets are the subnets that a setting names.
func namedSubnets(g provision.VPCInfo, list string, open []string) ([]provision.SubnetInfo, error) {
	var out []provision.SubnetInfo
	for id := range strings.SplitSeq(list, ",") {
		r, err := g.Subnet(id)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(open, r.Zone) {
			return nil, hint.With(fmt.Errorf("subnet %s is in %s, which a stack can't use", id, r.Zone), "choose one in %s", strings.Join(open, ", "))
		}
		out = append(out, r)
	}
	return out, nil
}

func filtered(all []provision.SubnetInfo, keep func(provision.SubnetInfo) bool) []provision.SubnetInfo {
	return slices.DeleteFunc(slices.Clone(all), func(r provision.SubnetInfo) bool { return !keep(r) })
}

func zonesOf(all []provision.SubnetInfo) []string {
	var out []string
	for _, r := range all {
		out = append(out, r.Zone)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// zonesText is a number of zones with their names.
func zonesText(zones []string) string {
	switch len(zones) {
	case 0:
		return "no zone"
	case 1:
		return "one zone (" + zones[0] + ")"
	}
	return fmt.Sprintf("%d zones (%s)", len(zones), strings.Join(zones, ", "))
}

// subnetsText are the subnets of a VPC as a message lists them.
func subnetsText(g provision.VPCInfo) string {
	var out []string
	for _, r := range g.Subnets {
		out = append(out, fmt.Sprintf("%s in %s with %d free addresses, whose default route leads to %s", r.ID, r.Zone, r.Free, cmp.Or(r.Route, "nowhere")))
	}
	return cmp.Or(strings.Join(out, "; "), "no subnets")
}

// oneInEach chooses a subnet in each of two zones: in those that are wanted, as far as
// there are some, and else in the first ones. It is the one with the most free addresses.
func oneInEach(all []provision.SubnetInfo, wanted [2]string) []provision.SubnetInfo {
	zones := zonesOf(all)
	slices.SortStableFunc(zones, func(a, b string) int {
		rank := func(z string) int {
			if slices.Contains(wanted[:], z) {
				return 0
			}
			return 1
		}
		return rank(a) - rank(b)
	})
	var out []provision.SubnetInfo
	for _, z := range zones[:min(2, len(zones))] {
		out = append(out, slices.MaxFunc(filtered(all, func(r provision.SubnetInfo) bool { return r.Zone == z }), func(a, b provision.SubnetInfo) int {
			return cmp.Or(cmp.Compare(a.Free, b.Free), strings.Compare(b.ID, a.ID))
		}))
	}
	return out
}

func ids(all []provision.SubnetInfo) string {
	var out []string
	for _, r := range all {
		out = append(out, r.ID)
	}
	return strings.Join(out, ",")
}

// readGiven reads the VPC that the stack is given, nil for one of its own.
func (in Intent) readGiven(ctx context.Context, c provision.Clients) (*provision.VPCInfo, error) {
	if in.Settings.VPC == "" {
		return nil, nil
	}
	g, err := provision.ReadVPC(ctx, c.EC2, in.Settings.VPC)
	return &g, err
}
