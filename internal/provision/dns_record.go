package provision

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/route53"
	"github.com/aws/aws-sdk-go-v2/service/route53/types"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/partition"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// ErrNoZone is wrapped by the error of a domain that no public hosted zone of
// the account is for.
var ErrNoZone = errors.New("this account has no public hosted zone for it")

// hostedZone is the Route 53 zone that a domain's records go into. It is looked
// up when it is first asked for. The zone is its owner's, and never changed but
// for the records of the domain.
type hostedZone struct {
	client *route53.Client
	domain string

	mu sync.Mutex
	id string
}

// HostedZone returns the id of the public hosted zone that the records of a domain
// go into.
func HostedZone(ctx context.Context, c Clients, domain string) (string, error) {
	return (&hostedZone{client: c.Route53, domain: domain}).find(ctx)
}

// find returns the id of the zone with the longest name that the domain ends in.
func (z *hostedZone) find(ctx context.Context) (string, error) {
	z.mu.Lock()
	defer z.mu.Unlock()
	if z.id != "" {
		return z.id, nil
	}
	for name := z.domain; strings.Contains(name, "."); _, name, _ = strings.Cut(name, ".") {
		out, err := z.client.ListHostedZonesByName(ctx, &route53.ListHostedZonesByNameInput{DNSName: aws.String(name)})
		if err != nil {
			return "", fmt.Errorf("look for the hosted zone of %s: %w", z.domain, err)
		}
		var ids []string
		for _, x := range out.HostedZones { // in order of names, from this one on
			if aws.ToString(x.Name) == name+"." && (x.Config == nil || !x.Config.PrivateZone) {
				ids = append(ids, strings.TrimPrefix(aws.ToString(x.Id), "/hostedzone/"))
			}
		}
		switch len(ids) {
		case 0:
		case 1:
			z.id = ids[0]
			return z.id, nil
		default:
			return "", fmt.Errorf("domain %s: there are %d hosted zones %s (%s), and only one of them can be the one that the world asks: delete the others", z.domain, len(ids), name, strings.Join(ids, ", "))
		}
	}
	return "", hint.With(fmt.Errorf("domain %s: %w", z.domain, ErrNoZone),
		"make one, or leave --domain out and point the domain to the load balancer yourself, with --certificate")
}

// record returns the record of that name and type, or nil.
func (z *hostedZone) record(ctx context.Context, name string, kind types.RRType) (*types.ResourceRecordSet, error) {
	all, err := z.recordsFrom(ctx, name, kind, 1)
	for _, r := range all {
		if r.Type == kind {
			return &r, err
		}
	}
	return nil, err
}

// recordsFrom returns the records of that name, in the order of their types from that one on.
func (z *hostedZone) recordsFrom(ctx context.Context, name string, kind types.RRType, most int32) ([]types.ResourceRecordSet, error) {
	id, err := z.find(ctx)
	if err != nil {
		return nil, err
	}
	out, err := z.client.ListResourceRecordSets(ctx, &route53.ListResourceRecordSetsInput{
		HostedZoneId: &id, StartRecordName: &name, StartRecordType: kind, MaxItems: &most,
	})
	if err != nil {
		return nil, fmt.Errorf("look for record %s in hosted zone %s: %w", name, id, err)
	}
	return slices.DeleteFunc(out.ResourceRecordSets, func(r types.ResourceRecordSet) bool { return dotted(aws.ToString(r.Name)) != dotted(name) }), nil
}

// change makes or removes a record.
func (z *hostedZone) change(ctx context.Context, action types.ChangeAction, record *types.ResourceRecordSet) error {
	id, err := z.find(ctx)
	if err != nil {
		return err
	}
	_, err = z.client.ChangeResourceRecordSets(ctx, &route53.ChangeResourceRecordSetsInput{
		HostedZoneId: &id, ChangeBatch: &types.ChangeBatch{Changes: []types.Change{{Action: action, ResourceRecordSet: record}}},
	})
	if action == types.ChangeActionDelete && says(err, "InvalidChangeBatch", "not found") {
		return nil // removed by a call whose answer was lost
	}
	if err != nil {
		return fmt.Errorf("%s record %s in hosted zone %s: %w", strings.ToLower(string(action)), aws.ToString(record.Name), id, err)
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

// DNSRecord is the alias by which the domain leads to the load balancer. A
// record carries no tags: it is ours if it leads to our load balancer, or, where that is
// gone, to one that was called as ours is; see isFormer. One that leads anywhere else is
// another owner's, which is refused and left alone.
type DNSRecord struct {
	graph.NodeOf[*liveDNSRecord]
	identity
	zone *hostedZone
	lb   *LoadBalancer
	// of is the certificate of the domain; nil for one that is not the stack's.
	of *Certificate
	// service is asked whether the stack stands. It is none of the needs.
	service *Service

	// former is the alias to an earlier load balancer that the first look found, or "".
	// looked reports whether that look is over.
	former string
	looked bool
}

func newDNSRecord(i identity, zone *hostedZone, lb *LoadBalancer, of *Certificate) *DNSRecord {
	needs := []graph.Finder{graph.OnceCreated(lb)}
	if of != nil {
		needs = append(needs, graph.OnceCreated(of))
	}
	d := &DNSRecord{identity: i, zone: zone, lb: lb, of: of}
	d.NodeOf = graph.Of(d, "dns-record", 10*time.Minute, needs...)
	return d
}

// leading are the types of other records by which a domain leads somewhere: no A record can be
// beside a CNAME, and clients ask for the others as well.
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
type liveDNSRecord struct{ target string }

// within returns the zone of the record's domain. A destroy that was cut off may have left
// the domain only with the certificate; then it is of that, or "".
func (d *DNSRecord) within() *hostedZone {
	if d.destroying && d.zone.domain == "" {
		return d.of.zoneFound()
	}
	return d.zone
}

// Read looks the record up by the domain.
func (d *DNSRecord) Read(ctx context.Context) (*liveDNSRecord, graph.State, error) {
	live, st, err := d.read(ctx)
	d.looked = d.looked || err == nil
	return live, st, err
}

func (d *DNSRecord) read(ctx context.Context) (*liveDNSRecord, graph.State, error) {
	zone := d.within()
	if zone.domain == "" {
		return nil, absent, nil
	}
	all, err := zone.recordsFrom(ctx, zone.domain, types.RRTypeA, 100)
	if errors.Is(err, ErrNoZone) && (d.destroying || d.lb.DNSName() == "") {
		return nil, absent, nil // nothing of it is there, and nothing can be made
	}
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
	leads := ""
	if have.AliasTarget != nil {
		leads = strings.TrimPrefix(dotted(aws.ToString(have.AliasTarget.DNSName)), "dualstack.")
	}
	if !d.looked {
		former, err := d.isFormer(ctx, leads)
		if err != nil {
			return nil, graph.State{}, err
		}
		if former {
			d.former = leads
		}
	}
	if leads == "" || leads != d.target() && leads != d.former {
		return elsewhere(types.RRTypeA)
	}
	st.Owner = d.stack
	return &liveDNSRecord{target: leads}, st, nil
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

// Delete deletes the record as it is.
func (d *DNSRecord) Delete(ctx context.Context) error {
	zone := d.within()
	have, err := zone.record(ctx, zone.domain, types.RRTypeA)
	if have == nil || err != nil {
		return err
	}
	return zone.change(ctx, types.ChangeActionDelete, have)
}
