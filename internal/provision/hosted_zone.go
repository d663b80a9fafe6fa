package provision

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/route53"
	"github.com/aws/aws-sdk-go-v2/service/route53/types"

	"github.com/bookctl/bookctl/internal/hint"
)

// errNoZone is wrapped by the error of a domain that no public hosted zone of
// the account is for.
var errNoZone = errors.New("this account has no public hosted zone for it")

// hostedZone is the Route 53 zone that a domain's records go into. It is looked
// up when it is first asked for. The zone is its owner's, and never changed but
// for the records of the domain.
type hostedZone struct {
	client *route53.Client
	domain string
	// everywhere has all zones looked up that records of the domain may be in, and not only
	// those with the longest name: a destroy looks in all.
	everywhere bool

	mu     sync.Mutex
	zones  []publicZone // longest names first
	chosen publicZone   // by choose; of several zones of a name, else none is known to be the one
	// nameServers are those of zones that were asked for theirs.
	nameServers map[publicZone][]string
}

// publicZone is one of the zones that records can be in.
type publicZone struct{ id, name string }

// HostedZone returns the id of the public hosted zone that the records of a domain
// go into. A zone that delegates the domain to others is an error.
func HostedZone(ctx context.Context, c Clients, domain string) (string, error) {
	z := &hostedZone{client: c.Route53, domain: domain}
	found, err := z.find(ctx)
	if err != nil {
		return "", err
	}
	return found.id, z.checkDelegation(ctx)
}

// list returns the zones with the longest name that the domain ends in, or all.
func (z *hostedZone) list(ctx context.Context) ([]publicZone, error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.zones != nil {
		return z.zones, nil
	}
	var found []publicZone
	for name := z.domain; strings.Contains(name, ".") && (found == nil || z.everywhere); _, name, _ = strings.Cut(name, ".") {
		out, err := z.client.ListHostedZonesByName(ctx, &route53.ListHostedZonesByNameInput{DNSName: aws.String(name)})
		if err != nil {
			return nil, fmt.Errorf("look for the hosted zone of %s: %w", z.domain, err)
		}
		for _, x := range out.HostedZones { // in order of names, from this one on
			if aws.ToString(x.Name) == name+"." && (x.Config == nil || !x.Config.PrivateZone) {
				found = append(found, publicZone{strings.TrimPrefix(aws.ToString(x.Id), "/hostedzone/"), name})
			}
		}
	}
	if found == nil {
		return nil, hint.With(fmt.Errorf("domain %s: %w", z.domain, errNoZone),
			"make one, or leave --domain out and point the domain to the load balancer yourself, with --certificate")
	}
	z.zones = found
	return found, nil
}

// find returns the zone that the domain's records go into.
func (z *hostedZone) find(ctx context.Context) (publicZone, error) {
	all, err := z.list(ctx)
	if err != nil {
		return publicZone{}, err
	}
	if chosen := z.decided(); chosen != (publicZone{}) {
		return chosen, nil
	}
	if len(all) == 1 {
		return all[0], nil
	}
	var each []string
	for _, one := range all {
		servers, err := z.servers(ctx, one)
		if err != nil {
			return publicZone{}, err
		}
		each = append(each, one.id+" with the name servers "+strings.Join(servers, ", "))
	}
	return publicZone{}, hint.With(fmt.Errorf("domain %s: there are %d public hosted zones %s, and the world asks only one of them: %s", z.domain, len(all), all[0].name, strings.Join(each, "; ")),
		"'dig NS %s' prints the name servers that the world asks; delete a zone only if none of its own are among them, or leave --domain out and point the domain to the load balancer yourself, with --certificate", all[0].name)
}

// decided is what choose has chosen, empty for nothing yet.
func (z *hostedZone) decided() publicZone {
	z.mu.Lock()
	defer z.mu.Unlock()
	return z.chosen
}

// choose decides between zones of the same name by a record of the stack's. The stack made it
// when there was one zone.
func (z *hostedZone) choose(ctx context.Context, name string, kind types.RRType, own func(*types.ResourceRecordSet) bool) error {
	all, err := z.list(ctx)
	if len(all) < 2 || err != nil {
		return err
	}
	if z.decided() != (publicZone{}) {
		return nil
	}
	_, err = z.each(ctx, func(one publicZone) (bool, error) { // without a choice, find fails
		have, err := z.recordIn(ctx, one, name, kind)
		if have == nil || err != nil || !own(have) {
			return false, err
		}
		z.mu.Lock()
		z.chosen = one
		z.mu.Unlock()
		return true, nil
	})
	return err
}

// each calls do with each zone until it is done. A zone that may not be read is passed over, and
// unread is why: where something of the stack's is in another one, nothing is in that.
func (z *hostedZone) each(ctx context.Context, do func(publicZone) (done bool, err error)) (unread, err error) {
	all, err := z.list(ctx)
	if err != nil {
		return nil, err
	}
	for _, one := range all {
		done, err := do(one)
		if _, denied := Denied(err); denied {
			unread = err
			continue
		}
		if done || err != nil {
			return unread, err
		}
	}
	return unread, nil
}

// checkDelegation fails if the zone leaves the domain to the name servers of another zone: then
// nobody asks this one for it, and ACM, for one, never sees its records.
// https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/dns-routing-traffic-for-subdomains.html
func (z *hostedZone) checkDelegation(ctx context.Context) error {
	in, err := z.find(ctx)
	if err != nil {
		return err
	}
	for name := z.domain; name != in.name; _, name, _ = strings.Cut(name, ".") {
		ns, err := z.recordIn(ctx, in, name, types.RRTypeNs)
		if err != nil {
			return err
		}
		if ns != nil {
			return hint.With(fmt.Errorf("domain %s: %s is delegated to %s, whose zone is not in this account", z.domain, name, strings.Join(valuesOf(ns), ", ")),
				"use the account that has that zone; or take the NS record %s out of hosted zone %s, if it is out of date; or leave --domain out and point the domain to the load balancer yourself, with --certificate", name, in.id)
		}
	}
	return nil
}

// servers returns the name servers of a zone.
func (z *hostedZone) servers(ctx context.Context, of publicZone) ([]string, error) {
	z.mu.Lock()
	known := z.nameServers[of]
	z.mu.Unlock()
	if known != nil {
		return known, nil
	}
	ns, err := z.recordIn(ctx, of, of.name, types.RRTypeNs)
	if err != nil {
		return nil, err
	}
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.nameServers == nil {
		z.nameServers = map[publicZone][]string{}
	}
	z.nameServers[of] = valuesOf(ns)
	return z.nameServers[of], nil
}

// asked says by what to see whether the world asks the zone, and what to do if it does not.
func (z *hostedZone) asked(ctx context.Context) (string, hint.Message, error) {
	in, err := z.find(ctx)
	if err != nil {
		return "", hint.Message{}, err
	}
	servers, err := z.servers(ctx, in)
	if err != nil {
		return "", hint.Message{}, err
	}
	return fmt.Sprintf("hosted zone %s (%s), which the world asks if 'dig NS %s' prints %s", in.name, in.id, in.name, strings.Join(servers, ", ")),
		hint.New("compare what 'dig NS %s' prints with the name servers of the zone; if it is something else, name these where the domain is registered, or in the zone above", in.name), nil
}

// valuesOf are the values of a record without the dots at their ends; none for nil.
func valuesOf(r *types.ResourceRecordSet) []string {
	if r == nil {
		return nil
	}
	return mapped(r.ResourceRecords, func(v types.ResourceRecord) string { return strings.TrimSuffix(aws.ToString(v.Value), ".") })
}

// record returns the record of that name and type, or nil.
func (z *hostedZone) record(ctx context.Context, name string, kind types.RRType) (*types.ResourceRecordSet, error) {
	in, err := z.find(ctx)
	if err != nil {
		return nil, err
	}
	return z.recordIn(ctx, in, name, kind)
}

// recordIn is record, of one of the zones.
func (z *hostedZone) recordIn(ctx context.Context, in publicZone, name string, kind types.RRType) (*types.ResourceRecordSet, error) {
	all, err := z.recordsFrom(ctx, in, name, kind, 1)
	for _, r := range all {
		if r.Type == kind {
			return &r, err
		}
	}
	return nil, err
}

// recordsFrom returns the records of that name, in the order of their types from that one on.
func (z *hostedZone) recordsFrom(ctx context.Context, in publicZone, name string, kind types.RRType, most int32) ([]types.ResourceRecordSet, error) {
	out, err := z.client.ListResourceRecordSets(ctx, &route53.ListResourceRecordSetsInput{
		HostedZoneId: &in.id, StartRecordName: &name, StartRecordType: kind, MaxItems: &most,
	})
	if err != nil {
		return nil, fmt.Errorf("look for record %s in hosted zone %s: %w", name, in.id, err)
	}
	return slices.DeleteFunc(out.ResourceRecordSets, func(r types.ResourceRecordSet) bool { return dotted(aws.ToString(r.Name)) != dotted(name) }), nil
}

// change makes or removes a record.
func (z *hostedZone) change(ctx context.Context, action types.ChangeAction, record *types.ResourceRecordSet) error {
	in, err := z.find(ctx)
	if err != nil {
		return err
	}
	return z.changeIn(ctx, in, action, record)
}

// changeIn is change, in one of the zones.
func (z *hostedZone) changeIn(ctx context.Context, in publicZone, action types.ChangeAction, record *types.ResourceRecordSet) error {
	_, err := z.client.ChangeResourceRecordSets(ctx, &route53.ChangeResourceRecordSetsInput{
		HostedZoneId: &in.id, ChangeBatch: &types.ChangeBatch{Changes: []types.Change{{Action: action, ResourceRecordSet: record}}},
	})
	if action == types.ChangeActionDelete && says(err, "InvalidChangeBatch", "not found") {
		return nil // removed by a call whose answer was lost
	}
	if err != nil {
		return fmt.Errorf("%s record %s in hosted zone %s: %w", strings.ToLower(string(action)), aws.ToString(record.Name), in.id, err)
	}
	return nil
}

// dotted is a DNS name as Route 53 writes it.
func dotted(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) + "." }

// sameRecord compares the values of records, whatever their time to live is.
func sameRecord(have, want *types.ResourceRecordSet) bool {
	value := func(r types.ResourceRecord) string { return dotted(aws.ToString(r.Value)) }
	return have != nil && slices.EqualFunc(have.ResourceRecords, want.ResourceRecords, func(x, y types.ResourceRecord) bool { return value(x) == value(y) })
}
