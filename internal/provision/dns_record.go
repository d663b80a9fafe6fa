package provision

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/route53/types"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/partition"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// DNSRecord is the alias by which the domain leads to the load balancer. A
// record carries no tags: it is ours if it leads to our load balancer, or, where that is
// gone, to one that was called as ours is; see isFormer. One that leads anywhere else is
// another owner's, which is refused and left alone.
//
// It is made last, when HTTPS serves and the domain is recorded: so a domain whose certificate was
// never issued has none. A destroy deletes one alias of the stack after the other, of
// its domain and of those that it has certificates for, in all zones that have one.
type DNSRecord struct {
	graph.NodeOf[*liveDNSRecord]
	identity
	zone *hostedZone
	lb   *LoadBalancer
	// of is the certificate of the domain; nil for one that is not the stack's.
	of *Certificate
	// service is asked whether the stack stands. It is none of the needs.
	service *Service

	others map[string]*hostedZone // of a destroy, by their domains
	seen   map[string]bool        // the domains of which the destroy has found the alias
	// formers are the aliases to an earlier load balancer that the first look found, and
	// looked reports whether that is over.
	formers map[string]bool
	looked  bool
}

func newDNSRecord(i identity, zone *hostedZone, lb *LoadBalancer, of *Certificate, listener *Listener) *DNSRecord {
	needs := []graph.Finder{graph.OnceCreated(lb), listener}
	if of != nil {
		needs = append(needs, of)
	}
	d := &DNSRecord{identity: i, zone: zone, lb: lb, of: of, others: map[string]*hostedZone{}, seen: map[string]bool{}, formers: map[string]bool{}}
	d.NodeOf = graph.Of(d, "dns-record", 10*time.Minute, needs...)
	return d
}

// leading are the types of other records by which a domain leads somewhere: no A record can be
// of the same name as a CNAME, and clients ask for the others as well.
// https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/ResourceRecordTypes.html
var leading = []types.RRType{types.RRTypeCname, types.RRTypeAaaa, types.RRTypeHttps}

// leadsElsewhere reports whether a record is one of those, and not of the domain itself, as an
// HTTPS record with the target "." is.
// https://www.rfc-editor.org/rfc/rfc9460#section-2.5
func leadsElsewhere(r types.ResourceRecordSet, domain string) bool {
	if r.Type != types.RRTypeHttps || r.AliasTarget != nil {
		return slices.Contains(leading, r.Type)
	}
	return slices.ContainsFunc(r.ResourceRecords, func(v types.ResourceRecord) bool {
		fields := strings.Fields(aws.ToString(v.Value))
		return len(fields) < 2 || fields[1] != "." && dotted(fields[1]) != dotted(domain)
	})
}

// liveDNSRecord is a record as far as it is compared.
type liveDNSRecord struct {
	target string
	// of is the zone of its domain, and in the one that it is in.
	of *hostedZone
	in publicZone
}

// within returns the zones of the domains that the stack may have an alias of. A destroy that was
// cut off may have left the domain only with the certificate.
func (d *DNSRecord) within() []*hostedZone {
	var zones []*hostedZone
	if d.zone.domain != "" {
		zones = append(zones, d.zone)
	}
	if !d.destroying || d.of.Last() == nil {
		return zones
	}
	for _, domain := range d.of.Last().domains {
		if slices.ContainsFunc(zones, func(z *hostedZone) bool { return z.domain == domain }) {
			continue
		}
		if d.others[domain] == nil {
			d.others[domain] = d.of.zoneOf(domain)
		}
		zones = append(zones, d.others[domain])
	}
	return zones
}

// Read looks the record up by the domain.
func (d *DNSRecord) Read(ctx context.Context) (*liveDNSRecord, graph.State, error) {
	read := d.read
	if d.destroying {
		read = d.readAny
	}
	live, st, err := read(ctx)
	d.looked = d.looked || err == nil
	return live, st, err
}

// read looks in the zone that the record goes into.
func (d *DNSRecord) read(ctx context.Context) (*liveDNSRecord, graph.State, error) {
	zone := d.zone
	err := zone.choose(ctx, zone.domain, types.RRTypeA, func(r *types.ResourceRecordSet) bool { return aliasTarget(r) != "" && aliasTarget(r) == d.target() })
	if errors.Is(err, errNoZone) && d.lb.DNSName() == "" {
		return nil, absent, nil // nothing of it is there, and nothing can be made
	}
	if err != nil {
		return nil, absent, err
	}
	in, err := zone.find(ctx)
	if err != nil {
		return nil, absent, err
	}
	live, st, err := d.readIn(ctx, zone, in)
	if st.Phase == graph.Absent && err == nil {
		err = zone.checkDelegation(ctx)
	}
	return live, st, err
}

// readAny looks in all zones for an alias of the stack's.
func (d *DNSRecord) readAny(ctx context.Context) (*liveDNSRecord, graph.State, error) {
	var live *liveDNSRecord
	st := absent
	for _, zone := range d.within() {
		unread, err := zone.each(ctx, func(in publicZone) (bool, error) {
			have, here, err := d.readIn(ctx, zone, in)
			if have == nil && (st.Phase != graph.Absent || err != nil) {
				return false, err
			}
			if live, st = have, here; have != nil && len(zone.zones) > 1 {
				st.ID += " in hosted zone " + in.id
			}
			return have != nil, err
		})
		if errors.Is(err, errNoZone) {
			continue
		}
		if live != nil {
			d.seen[zone.domain] = true
		}
		if unread != nil && !d.seen[zone.domain] {
			err = cmp.Or(err, unread)
		}
		if live != nil || err != nil {
			return live, st, err
		}
	}
	return live, st, nil
}

// readIn looks in one zone.
func (d *DNSRecord) readIn(ctx context.Context, zone *hostedZone, in publicZone) (*liveDNSRecord, graph.State, error) {
	all, err := zone.recordsFrom(ctx, in, zone.domain, types.RRTypeA, 100)
	if err != nil {
		return nil, absent, err
	}
	st := graph.State{Phase: graph.Ready, ID: zone.domain}
	elsewhere := func(kind types.RRType) (*liveDNSRecord, graph.State, error) {
		st.Note, st.Next = "the domain leads elsewhere", hint.New("take the %s record of the domain away first, or choose another with --domain", kind)
		return nil, st, nil
	}
	var have *types.ResourceRecordSet
	for i, r := range all {
		if r.Type == types.RRTypeA {
			have = &all[i]
		}
	}
	if have == nil {
		i := slices.IndexFunc(all, func(r types.ResourceRecordSet) bool { return leadsElsewhere(r, zone.domain) })
		if i < 0 || d.destroying {
			return nil, absent, nil
		}
		return elsewhere(all[i].Type)
	}
	leads := aliasTarget(have)
	if !d.looked {
		former, err := d.isFormer(ctx, leads)
		if err != nil {
			return nil, graph.State{}, err
		}
		if former {
			d.formers[leads] = true
		}
	}
	if leads == "" || leads != d.target() && !d.formers[leads] {
		return elsewhere(types.RRTypeA)
	}
	st.Owner = d.stack
	return &liveDNSRecord{target: leads, of: zone, in: in}, st, nil
}

// aliasTarget is the name that a record is an alias of, or "".
func aliasTarget(r *types.ResourceRecordSet) string {
	if r.AliasTarget == nil {
		return ""
	}
	return strings.TrimPrefix(dotted(aws.ToString(r.AliasTarget.DNSName)), "dualstack.")
}

// target is the name of the load balancer, or "" while there is none.
func (d *DNSRecord) target() string {
	if d.lb.DNSName() == "" {
		return ""
	}
	return dotted(d.lb.DNSName())
}

// Wanted implements graph.Shape.
func (d *DNSRecord) Wanted(*liveDNSRecord) *liveDNSRecord {
	return &liveDNSRecord{target: cmp.Or(d.target(), "the new load balancer")}
}

// Attributes implements graph.Shape.
func (d *DNSRecord) Attributes() graph.Attributes[*liveDNSRecord] {
	return graph.Attributes[*liveDNSRecord]{
		graph.Field("alias", func(l *liveDNSRecord) string { return l.target }, graph.SetBy(func(ctx context.Context, _ []graph.Change) error {
			return d.zone.change(ctx, types.ChangeActionUpsert, d.alias())
		})),
	}
}

// isFormer reports whether an alias leads to an earlier load balancer of the stack, as far as
// that is known before the run changes anything. AWS makes the address of a load balancer
// from its name, of which there is one in an account and region, and a number. A stack of the
// same name in another account has the same, and the domain may have moved there. So the stack
// must have had the domain, which its certificate shows, and have lost its load balancer but
// not its service, which a destroy that did not end has removed first.
func (d *DNSRecord) isFormer(ctx context.Context, leads string) (bool, error) {
	number, ok := strings.CutPrefix(leads, strings.ToLower(d.lb.loadBalancerName())+"-")
	number, host, _ := strings.Cut(number, ".")
	if !ok || strings.Trim(number, "0123456789") != "" || host != dotted(d.region+".elb."+partition.Of(d.region).Suffix) {
		return false, nil
	}
	if d.target() != "" || !d.destroying && (d.of == nil || d.of.Last() == nil) {
		return false, nil
	}
	service, err := d.service.describe(ctx)
	return service != nil && aws.ToString(service.Status) == "ACTIVE", err
}

func (d *DNSRecord) alias() *types.ResourceRecordSet {
	return &types.ResourceRecordSet{Name: &d.zone.domain, Type: types.RRTypeA, AliasTarget: &types.AliasTarget{
		DNSName: aws.String(d.lb.DNSName()), HostedZoneId: aws.String(d.lb.hostedZoneID()), EvaluateTargetHealth: false,
	}}
}

// Create creates the record, unless somebody else has made one since.
func (d *DNSRecord) Create(ctx context.Context) (string, error) {
	return d.zone.domain, d.zone.change(ctx, types.ChangeActionCreate, d.alias())
}

// Delete deletes the record that was read, as it is.
func (d *DNSRecord) Delete(ctx context.Context) error {
	live := d.Last()
	if live == nil {
		return nil
	}
	have, err := live.of.recordIn(ctx, live.in, live.of.domain, types.RRTypeA)
	if have == nil || err != nil {
		return err
	}
	return live.of.changeIn(ctx, live.in, types.ChangeActionDelete, have)
}
