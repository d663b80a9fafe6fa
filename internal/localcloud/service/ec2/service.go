// Package ec2 is EC2: networks, and no machines.
package ec2

import (
	"context"
	"net/netip"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
	"github.com/bookctl/bookctl/internal/localcloud/network"
)

// GroupUsers are what security groups limit.
type GroupUsers interface {
	// RulesChanged says that groups have other rules.
	RulesChanged(t *kernel.Tx)
}

// Service is the service outside of transactions.
type Service struct {
	*kernel.Kernel
	quota int // of VPCs
	users GroupUsers
	store *kernel.Store[state]
}

// New creates the service, with its part of the state and its tags. vpcs is the quota
// of VPCs; zero is that of a new account, 5.
func New(k *kernel.Kernel, vpcs int, users GroupUsers) *Service {
	s := &Service{Kernel: k, quota: vpcs, users: users, store: kernel.Saved[state](k, "ec2")}
	kernel.RegisterTagger(k, "ec2", s.in, kernel.TaggerMethods[tx]{List: tx.listTagged, Add: tx.tagByARN, Remove: tx.untagByARN})
	return s
}

// tx is the service within a transaction.
type tx struct {
	*kernel.Tx
	*Service
}

func (s *Service) in(t *kernel.Tx) tx { return tx{t, s} }

func (a tx) state() *state { return a.store.In(a.Tx) }

// Subnet is the subnet of that id.
func (s *Service) Subnet(t *kernel.Tx, id string) (network.Subnet, bool) {
	for _, x := range s.in(t).state().Subnets {
		if x.ID == id {
			return network.Subnet{ID: x.ID, VPC: x.VPC, Zone: x.Zone, Default: x.Default}, true
		}
	}
	return network.Subnet{}, false
}

// DefaultSubnets are those of the default VPC that it was made with.
func (s *Service) DefaultSubnets(t *kernel.Tx) (all []network.Subnet) {
	for _, x := range s.in(t).state().Subnets {
		if x.Default {
			all = append(all, network.Subnet{ID: x.ID, VPC: x.VPC, Zone: x.Zone, Default: true})
		}
	}
	return all
}

// HasGroup reports whether there is a security group of that id.
func (s *Service) HasGroup(t *kernel.Tx, id string) bool {
	_, ok := s.GroupVPC(t, id)
	return ok
}

// Sends reports whether a rule of one of those security groups lets TCP out to that address and
// port.
func (s *Service) Sends(t *kernel.Tx, groups []string, address string, port int) bool {
	st := s.in(t).state()
	for _, g := range st.Groups {
		if slices.Contains(groups, g.ID) && slices.ContainsFunc(g.Rules, func(r *groupRule) bool { return r.Egress && r.lets(port) && st.isPeer(g, r, address) }) {
			return true
		}
	}
	return false
}

// lets reports whether a rule is about that TCP port.
func (r *groupRule) lets(port int) bool {
	return r.Protocol == "-1" || r.Protocol == "tcp" && int(r.From) <= port && port <= int(r.To)
}

// isPeer reports whether a rule is about what has that address.
func (st *state) isPeer(g *securityGroup, r *groupRule, address string) bool {
	if r.Group != "" {
		return slices.ContainsFunc(st.Interfaces, func(i *networkInterface) bool {
			return i.VPC == g.VPC && i.PrivateIP == address && slices.Contains(i.Groups, r.Group)
		})
	}
	cidr, err := netip.ParsePrefix(r.CIDR)
	a, wrong := netip.ParseAddr(address)
	return err == nil && wrong == nil && cidr.Contains(a)
}

// GroupVPC is the VPC of the security group of that id.
func (s *Service) GroupVPC(t *kernel.Tx, id string) (string, bool) {
	for _, g := range s.in(t).state().Groups {
		if g.ID == id {
			return g.VPC, true
		}
	}
	return "", false
}

// Attach creates an interface that is in use by a service. Errors are EC2's.
func (s *Service) Attach(t *kernel.Tx, spec network.Spec) (network.Interface, error) {
	i, err := s.in(t).makeInterface(spec)
	if err != nil {
		return network.Interface{}, err
	}
	i.Attachment, i.Attached = kernel.NewID("eni-attach"), t.Now()
	return i.value(), nil
}

// Interface is the network interface of that id.
func (s *Service) Interface(t *kernel.Tx, id string) (network.Interface, bool) {
	for _, i := range s.in(t).state().Interfaces {
		if i.ID == id {
			return i.value(), true
		}
	}
	return network.Interface{}, false
}

// Change gives an interface other groups, and a public address or none.
func (s *Service) Change(t *kernel.Tx, id string, groups []string, public bool) {
	a := s.in(t)
	for _, i := range a.state().Interfaces {
		if i.ID != id {
			continue
		}
		i.Groups = slices.Clone(groups)
		if public && i.PublicIP == "" {
			i.PublicIP = a.publicAddress()
		} else if !public {
			i.PublicIP = ""
		}
	}
}

// Release removes an interface whose owner is gone, at once or when it has
// lingered.
func (s *Service) Release(t *kernel.Tx, id string) {
	remove := func(t *kernel.Tx) {
		st := s.in(t).state()
		st.Interfaces = slices.DeleteFunc(st.Interfaces, func(i *networkInterface) bool { return i.ID == id })
	}
	linger := s.interfaceLinger()
	if linger == 0 {
		remove(t)
		return
	}
	for _, i := range s.in(t).state().Interfaces {
		if i.ID == id && !i.Released {
			i.Released = true
			t.Go(func(ctx context.Context) {
				if kernel.Wait(ctx, nil, linger) {
					s.Update(remove)
				}
			})
		}
	}
}

// AssociationEnds are the ARNs of the route table and the subnet that an
// association joins.
func (s *Service) AssociationEnds(t *kernel.Tx, id string) (ends []string) {
	for _, table := range s.in(t).state().Tables {
		for _, x := range table.Associations {
			if x.ID != id {
				continue
			}
			ends = append(ends, t.ARN("ec2", "route-table/"+table.ID))
			if x.Subnet != "" {
				ends = append(ends, t.ARN("ec2", "subnet/"+x.Subnet))
			}
		}
	}
	return ends
}

func (i *networkInterface) value() network.Interface {
	return network.Interface{ID: i.ID, SubnetID: i.SubnetID, VPC: i.VPC, Groups: slices.Clone(i.Groups), PrivateIP: i.PrivateIP, MAC: i.MAC}
}

// listTagged are the resources that the tagging API lists.
func (a tx) listTagged() []kernel.Tagged {
	var all []kernel.Tagged
	add := func(kind string, t *resource) {
		all = append(all, kernel.Tagged{ARN: a.ARN("ec2", kind+"/"+t.ID), Tags: t.Tags})
	}
	s := a.state()
	for _, t := range s.VPCs {
		add("vpc", t.base())
	}
	for _, t := range s.Subnets {
		add("subnet", t.base())
	}
	for _, t := range s.Gateways {
		add("internet-gateway", t.base())
	}
	for _, t := range s.Tables {
		add("route-table", t.base())
	}
	for _, t := range s.ACLs {
		add("network-acl", t.base())
	}
	for _, t := range s.DHCPOptions {
		add("dhcp-options", t.base())
	}
	for _, t := range s.Interfaces {
		add("network-interface", t.base())
	}
	for _, t := range s.Groups {
		add("security-group", t.base())
		for _, rule := range t.Rules {
			add("security-group-rule", rule.base())
		}
	}
	return all
}

// tagByARN and untagByARN are what the tagging API does to one of them.
func (a tx) tagByARN(arn string, tags map[string]string) error {
	_, err := a.CreateTags(&ec2.CreateTagsInput{
		Resources: []string{resourceID(arn)}, Tags: kernel.TagList(tags, func(k, v *string) types.Tag { return types.Tag{Key: k, Value: v} }),
	})
	return err
}

func (a tx) untagByARN(arn string, keys []string) error {
	_, err := a.DeleteTags(&ec2.DeleteTagsInput{
		Resources: []string{resourceID(arn)}, Tags: kernel.KeyList(keys, func(k *string) types.Tag { return types.Tag{Key: k} }),
	})
	return err
}

// resourceID is the id in an ARN.
func resourceID(arn string) string { return arn[strings.LastIndex(arn, "/")+1:] }
