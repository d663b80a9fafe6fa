package route53

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/route53"
	"github.com/aws/aws-sdk-go-v2/service/route53/types"

	"github.com/bookctl/bookctl/internal/localcloud/kernel"
	"github.com/bookctl/bookctl/internal/sorted"
)

// state is what Route 53 keeps.
type state struct {
	Zones map[string]*zone `json:"zones,omitempty"` // by id
	// Changes are the ids of all changes, which are in sync at once.
	Changes map[string]bool `json:"changes,omitempty"`
}

// zone is a hosted zone. Names end in a dot and are in lower case.
type zone struct {
	ID        string            `json:"id"`
	Name      string            `json:"name"`
	Reference string            `json:"reference"` // of its creation
	Comment   string            `json:"comment,omitempty"`
	Records   []record          `json:"records"`
	Tags      map[string]string `json:"tags,omitempty"`
	Created   time.Time         `json:"created,omitzero"`
}

// record is a record set: values, or the name of which it is an alias.
type record struct {
	Name   string             `json:"name"`
	Type   types.RRType       `json:"type"`
	TTL    int64              `json:"ttl,omitempty"`
	Values []string           `json:"values,omitempty"`
	Alias  *types.AliasTarget `json:"alias,omitempty"`
}

// API is the service's operations.
func (s *Service) API() kernel.Service {
	return kernel.Service{Model: "route53", Signing: "route53", Protocol: kernel.RESTXML, Limits: limits, Operations: kernel.Operations(s.in,
		kernel.Op("ChangeResourceRecordSets", tx.ChangeResourceRecordSets),
		kernel.Op("ChangeTagsForResource", tx.ChangeTagsForResource),
		kernel.Op("CreateHostedZone", tx.CreateHostedZone),
		kernel.Op("DeleteHostedZone", tx.DeleteHostedZone),
		kernel.Op("GetChange", tx.GetChange),
		kernel.Op("GetHostedZone", tx.GetHostedZone),
		kernel.Op("ListHostedZones", tx.ListHostedZones),
		kernel.Op("ListHostedZonesByName", tx.ListHostedZonesByName),
		kernel.Op("ListResourceRecordSets", tx.ListResourceRecordSets),
		kernel.Op("ListTagsForResource", tx.ListTagsForResource),
	)}
}

// dnsName is a name as Route 53 keeps it
// (https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/DomainNameFormat.html).
func dnsName(name string) string {
	name = strings.ReplaceAll(strings.ToLower(name), "*", `\052`)
	return strings.TrimSuffix(name, ".") + "."
}

// dnsOrder compares names from their last label to the first, as Route 53 sorts.
func dnsOrder(a, b string) int {
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	slices.Reverse(x)
	slices.Reverse(y)
	return slices.Compare(x, y)
}

// nameServers returns the four name servers of a new zone, which no other zone has. Nobody is
// behind them.
// https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/GetInfoAboutHostedZone.html
func nameServers() []string {
	id := kernel.HexDigits(6)
	return []string{"ns-" + id + ".awsdns-local.com", "ns-" + id + ".awsdns-local.net", "ns-" + id + ".awsdns-local.org", "ns-" + id + ".awsdns-local.co.uk"}
}

// servers are the zone's name servers, as its own record has them.
func (z *zone) servers() []string {
	for _, r := range z.Records {
		if r.Type == types.RRTypeNs && r.Name == z.Name {
			return r.Values
		}
	}
	return nil
}

func (a tx) zone(id *string) (*zone, error) {
	short := strings.TrimPrefix(aws.ToString(id), "/hostedzone/")
	z, ok := a.state().Zones[short]
	if !ok || !a.Visible(z.ID) {
		return nil, &kernel.Error{Status: 404, Code: "NoSuchHostedZone", Message: "No hosted zone found with ID: " + short}
	}
	return z, nil
}

// change makes the record of a change, which is in sync at once.
func (a tx) change(comment *string) *types.ChangeInfo {
	if a.state().Changes == nil {
		a.state().Changes = map[string]bool{}
	}
	id := "C" + strings.ToUpper(kernel.HexDigits(20))
	a.state().Changes[id] = true
	return &types.ChangeInfo{Id: aws.String("/change/" + id), Status: types.ChangeStatusInsync, SubmittedAt: aws.Time(a.Now()), Comment: comment}
}

func (a tx) CreateHostedZone(in *route53.CreateHostedZoneInput) (*route53.CreateHostedZoneOutput, error) {
	if in.VPC != nil || in.DelegationSetId != nil || in.HostedZoneConfig != nil && in.HostedZoneConfig.PrivateZone {
		return nil, kernel.Fail("InvalidInput", "The local cloud has public hosted zones only")
	}
	name := dnsName(aws.ToString(in.Name))
	if !strings.Contains(strings.TrimSuffix(name, "."), ".") {
		return nil, kernel.Fail("InvalidDomainName", "The domain name %s is not valid", aws.ToString(in.Name))
	}
	for _, z := range a.state().Zones {
		if z.Reference == aws.ToString(in.CallerReference) {
			return nil, &kernel.Error{Status: 409, Code: "HostedZoneAlreadyExists", Message: "A hosted zone has already been created with the specified caller reference."}
		}
	}
	z, servers := &zone{ID: "Z" + strings.ToUpper(kernel.HexDigits(20)), Name: name, Reference: aws.ToString(in.CallerReference), Created: a.Now()}, nameServers()
	if in.HostedZoneConfig != nil {
		z.Comment = aws.ToString(in.HostedZoneConfig.Comment)
	}
	z.Records = []record{
		{Name: name, Type: types.RRTypeNs, TTL: 172800, Values: servers},
		{Name: name, Type: types.RRTypeSoa, TTL: 900, Values: []string{servers[0] + ". awsdns-hostmaster.amazon.com. 1 7200 900 1209600 86400"}},
	}
	if a.state().Zones == nil {
		a.state().Zones = map[string]*zone{}
	}
	a.state().Zones[z.ID] = z
	a.Created(z.ID)
	return &route53.CreateHostedZoneOutput{
		HostedZone: z.sdk(), ChangeInfo: a.change(nil),
		DelegationSet: &types.DelegationSet{NameServers: servers},
		Location:      aws.String("https://route53.amazonaws.com/2013-04-01/hostedzone/" + z.ID),
	}, nil
}

func (z *zone) sdk() *types.HostedZone {
	out := &types.HostedZone{
		Id: aws.String("/hostedzone/" + z.ID), Name: aws.String(z.Name), CallerReference: aws.String(z.Reference),
		Config: &types.HostedZoneConfig{}, ResourceRecordSetCount: aws.Int64(int64(len(z.Records))),
	}
	if z.Comment != "" {
		out.Config.Comment = aws.String(z.Comment)
	}
	return out
}

func (a tx) GetHostedZone(in *route53.GetHostedZoneInput) (*route53.GetHostedZoneOutput, error) {
	z, err := a.zone(in.Id)
	if err != nil {
		return nil, err
	}
	return &route53.GetHostedZoneOutput{HostedZone: z.sdk(), DelegationSet: &types.DelegationSet{NameServers: z.servers()}}, nil
}

func (a tx) DeleteHostedZone(in *route53.DeleteHostedZoneInput) (*route53.DeleteHostedZoneOutput, error) {
	z, err := a.zone(in.Id)
	if err != nil {
		return nil, err
	}
	if len(z.Records) > 2 {
		return nil, kernel.Fail("HostedZoneNotEmpty", "The specified hosted zone contains non-required resource record sets and so cannot be deleted.")
	}
	delete(a.state().Zones, z.ID)
	return &route53.DeleteHostedZoneOutput{ChangeInfo: a.change(nil)}, nil
}

// sorted are the visible zones by name, then id.
func (a tx) sorted() []*zone {
	zones := slices.DeleteFunc(slices.Collect(maps.Values(a.state().Zones)), func(z *zone) bool { return !a.Visible(z.ID) })
	slices.SortFunc(zones, func(x, y *zone) int { return cmp.Or(dnsOrder(x.Name, y.Name), cmp.Compare(x.ID, y.ID)) })
	return zones
}

const maxZones = 100

func pageSize(n *int32) (int, error) {
	size := int(aws.ToInt32(n))
	if n == nil {
		return maxZones, nil
	}
	if size < 1 {
		return 0, kernel.Fail("InvalidInput", "maxitems must be at least 1")
	}
	return size, nil
}

func (a tx) ListHostedZones(in *route53.ListHostedZonesInput) (*route53.ListHostedZonesOutput, error) {
	size, err := pageSize(in.MaxItems)
	if err != nil {
		return nil, err
	}
	zones := a.sorted()
	slices.SortFunc(zones, func(x, y *zone) int { return cmp.Compare(x.ID, y.ID) })
	out := &route53.ListHostedZonesOutput{Marker: in.Marker, MaxItems: aws.Int32(int32(size))}
	for _, z := range zones {
		switch {
		case z.ID < aws.ToString(in.Marker):
		case len(out.HostedZones) == size:
			out.IsTruncated, out.NextMarker = true, aws.String(z.ID)
			return out, nil
		default:
			out.HostedZones = append(out.HostedZones, *z.sdk())
		}
	}
	return out, nil
}

func (a tx) ListHostedZonesByName(in *route53.ListHostedZonesByNameInput) (*route53.ListHostedZonesByNameOutput, error) {
	size, err := pageSize(in.MaxItems)
	if err != nil {
		return nil, err
	}
	out := &route53.ListHostedZonesByNameOutput{DNSName: in.DNSName, HostedZoneId: in.HostedZoneId, MaxItems: aws.Int32(int32(size))}
	for _, z := range a.sorted() {
		if in.DNSName != nil {
			order := dnsOrder(z.Name, dnsName(*in.DNSName))
			if order < 0 || order == 0 && z.ID < aws.ToString(in.HostedZoneId) {
				continue
			}
		}
		if len(out.HostedZones) == size {
			out.IsTruncated, out.NextDNSName, out.NextHostedZoneId = true, aws.String(z.Name), aws.String(z.ID)
			break
		}
		out.HostedZones = append(out.HostedZones, *z.sdk())
	}
	return out, nil
}

// ChangeResourceRecordSets does all of a batch or nothing.
func (a tx) ChangeResourceRecordSets(in *route53.ChangeResourceRecordSetsInput) (*route53.ChangeResourceRecordSetsOutput, error) {
	z, err := a.zone(in.HostedZoneId)
	if err != nil {
		return nil, err
	}
	records := slices.Clone(z.Records)
	var wrong []string
	for _, change := range in.ChangeBatch.Changes {
		r, err := z.record(change.ResourceRecordSet)
		if err != nil {
			return nil, err
		}
		if message := apply(&records, change.Action, r, z.Name); message != "" {
			wrong = append(wrong, message)
		}
	}
	if len(wrong) > 0 {
		return nil, kernel.Fail("InvalidChangeBatch", "[%s]", strings.Join(wrong, ", "))
	}
	sorted.By(records, func(x, y record) int { return cmp.Or(dnsOrder(x.Name, y.Name), cmp.Compare(x.Type, y.Type)) })
	z.Records = records
	a.certificates.IssuePending(a.Tx)
	return &route53.ChangeResourceRecordSetsOutput{ChangeInfo: a.change(in.ChangeBatch.Comment)}, nil
}

// record reads a record set of the zone. The routing policies are not served.
func (z *zone) record(in *types.ResourceRecordSet) (record, error) {
	r := record{Name: dnsName(aws.ToString(in.Name)), Type: in.Type, TTL: aws.ToInt64(in.TTL), Alias: in.AliasTarget}
	for _, v := range in.ResourceRecords {
		r.Values = append(r.Values, aws.ToString(v.Value))
	}
	switch {
	case in.SetIdentifier != nil || in.Weight != nil || in.Region != "" || in.Failover != "" || in.GeoLocation != nil ||
		in.MultiValueAnswer != nil || in.CidrRoutingConfig != nil || in.GeoProximityLocation != nil || in.HealthCheckId != nil:
		return r, kernel.Fail("InvalidInput", "The local cloud has simple routing only")
	case !isWithin(r.Name, z.Name):
		return r, kernel.Fail("InvalidChangeBatch", "[RRSet with DNS name %s is not permitted in zone %s]", r.Name, z.Name)
	case (r.Alias == nil) == (len(r.Values) == 0):
		return r, kernel.Fail("InvalidInput", "Invalid XML ; exactly one of [AliasTarget, ResourceRecords] must be given for %s", r.Name)
	case r.Alias != nil && in.TTL != nil:
		return r, kernel.Fail("InvalidInput", "An alias has no TTL: %s", r.Name)
	case r.Alias == nil && in.TTL == nil:
		return r, kernel.Fail("InvalidInput", "Missing field 'TTL' in %s", r.Name)
	case r.Type == types.RRTypeCname && r.Name == z.Name:
		return r, kernel.Fail("InvalidChangeBatch", "[RRSet of type CNAME with DNS name %s is not permitted at apex in zone %s]", r.Name, z.Name)
	}
	return r, nil
}

// apply does one change of a zone and returns AWS's words for why it can't be done
// (hashicorp/terraform #9732, ansible-collections/amazon.aws #2694).
func apply(records *[]record, action types.ChangeAction, r record, zone string) string {
	i := slices.IndexFunc(*records, func(have record) bool { return have.Name == r.Name && have.Type == r.Type })
	named := "resource record set [name='" + r.Name + "', type='" + string(r.Type) + "']"
	conflict := slices.ContainsFunc(*records, func(have record) bool {
		return have.Name == r.Name && have.Type != r.Type && (have.Type == types.RRTypeCname || r.Type == types.RRTypeCname)
	})
	switch action {
	case types.ChangeActionDelete:
		if i < 0 {
			return "Tried to delete " + named + " but it was not found"
		}
		if r.Name == zone && (r.Type == types.RRTypeSoa || r.Type == types.RRTypeNs) {
			return "A HostedZone must contain exactly one SOA record and at least one NS record."
		}
		if !(*records)[i].equal(r) {
			return "Tried to delete " + named + " but the values provided do not match the current values"
		}
		*records = slices.Delete(*records, i, i+1)
	case types.ChangeActionCreate:
		if i >= 0 {
			return "Tried to create " + named + " but it already exists"
		}
		fallthrough
	default: // UPSERT
		switch {
		case conflict && r.Type == types.RRTypeCname:
			return "RRSet of type CNAME with DNS name " + r.Name + " is not permitted as it conflicts with other records with the same DNS name in zone " + zone
		case conflict:
			return "RRSet of type " + string(r.Type) + " with DNS name " + r.Name + " is not permitted because a conflicting RRSet of type CNAME with the same DNS name already exists in zone " + zone
		}
		if i >= 0 {
			(*records)[i] = r
		} else {
			*records = append(*records, r)
		}
	}
	return ""
}

func (r record) equal(other record) bool {
	x, y := r.Alias, other.Alias
	if (x == nil) != (y == nil) || x != nil && (dnsName(aws.ToString(x.DNSName)) != dnsName(aws.ToString(y.DNSName)) || aws.ToString(x.HostedZoneId) != aws.ToString(y.HostedZoneId)) {
		return false
	}
	return r.TTL == other.TTL && slices.Equal(r.Values, other.Values)
}

func (a tx) ListResourceRecordSets(in *route53.ListResourceRecordSetsInput) (*route53.ListResourceRecordSetsOutput, error) {
	z, err := a.zone(in.HostedZoneId)
	if err != nil {
		return nil, err
	}
	size := 300 // https://docs.aws.amazon.com/Route53/latest/APIReference/API_ListResourceRecordSets.html
	if in.MaxItems != nil {
		size = min(size, int(*in.MaxItems))
	}
	out := &route53.ListResourceRecordSetsOutput{MaxItems: aws.Int32(int32(size))}
	for _, r := range z.Records {
		if in.StartRecordName != nil {
			order := dnsOrder(r.Name, dnsName(*in.StartRecordName))
			if order < 0 || order == 0 && r.Type < in.StartRecordType {
				continue
			}
		}
		if len(out.ResourceRecordSets) == size {
			out.IsTruncated, out.NextRecordName, out.NextRecordType = true, aws.String(r.Name), r.Type
			break
		}
		set := types.ResourceRecordSet{Name: aws.String(r.Name), Type: r.Type}
		if r.Alias != nil {
			alias := *r.Alias
			alias.DNSName = aws.String(dnsName(aws.ToString(alias.DNSName)))
			set.AliasTarget = &alias
		} else {
			set.TTL = aws.Int64(r.TTL)
		}
		for _, v := range r.Values {
			set.ResourceRecords = append(set.ResourceRecords, types.ResourceRecord{Value: aws.String(v)})
		}
		out.ResourceRecordSets = append(out.ResourceRecordSets, set)
	}
	return out, nil
}

func (a tx) GetChange(in *route53.GetChangeInput) (*route53.GetChangeOutput, error) {
	id := strings.TrimPrefix(aws.ToString(in.Id), "/change/")
	if !a.state().Changes[id] {
		return nil, &kernel.Error{Status: 404, Code: "NoSuchChange", Message: "Could not find resource with ID: " + id}
	}
	return &route53.GetChangeOutput{ChangeInfo: &types.ChangeInfo{
		Id: aws.String("/change/" + id), Status: types.ChangeStatusInsync, SubmittedAt: aws.Time(a.Now()),
	}}, nil
}

// tagZone finds the zone that is tagged; health checks, the other kind of resource
// with tags, are not served.
func (a tx) tagZone(kind types.TagResourceType, id *string) (*zone, error) {
	if kind != types.TagResourceTypeHostedzone {
		return nil, kernel.Fail("InvalidInput", "The local cloud has no %ss", kind)
	}
	return a.zone(id)
}

func (a tx) ChangeTagsForResource(in *route53.ChangeTagsForResourceInput) (*route53.ChangeTagsForResourceOutput, error) {
	z, err := a.tagZone(in.ResourceType, in.ResourceId)
	if err != nil {
		return nil, err
	}
	if z.Tags == nil {
		z.Tags = map[string]string{}
	}
	for _, key := range in.RemoveTagKeys {
		delete(z.Tags, key)
	}
	for _, t := range in.AddTags {
		z.Tags[aws.ToString(t.Key)] = aws.ToString(t.Value)
	}
	if len(z.Tags) > 10 { // https://docs.aws.amazon.com/Route53/latest/APIReference/API_ChangeTagsForResource.html
		return nil, kernel.Fail("InvalidInput", "A hosted zone can have %s tags at most", strconv.Itoa(10))
	}
	return &route53.ChangeTagsForResourceOutput{}, nil
}

func (a tx) ListTagsForResource(in *route53.ListTagsForResourceInput) (*route53.ListTagsForResourceOutput, error) {
	z, err := a.tagZone(in.ResourceType, in.ResourceId)
	if err != nil {
		return nil, err
	}
	set := &types.ResourceTagSet{ResourceId: aws.String(z.ID), ResourceType: in.ResourceType}
	for _, key := range slices.Sorted(maps.Keys(z.Tags)) {
		set.Tags = append(set.Tags, types.Tag{Key: aws.String(key), Value: aws.String(z.Tags[key])})
	}
	return &route53.ListTagsForResourceOutput{ResourceTagSet: set}, nil
}

// CNAME is the value of a CNAME record as the world sees it, in lower case and with a dot at
// its end; "" if there is none.
func (s *Service) CNAME(t *kernel.Tx, name string) string {
	name = dnsName(name)
	z := s.in(t).answering(name)
	if z == nil {
		return ""
	}
	for _, r := range z.Records {
		if r.Type == types.RRTypeCname && r.Name == name && len(r.Values) == 1 {
			return dnsName(r.Values[0])
		}
	}
	return ""
}

// answering is the zone that the world asks for a name, or nil for none of the account's. The
// domains of all zones are registered: with the name servers of the first zone of the shortest
// name. From there on a zone is asked only if the one above delegates to its name servers.
// https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/dns-routing-traffic-for-subdomains.html
func (a tx) answering(name string) *zone {
	var at *zone
	for _, z := range a.state().Zones {
		if isWithin(name, z.Name) && (at == nil || len(z.Name) < len(at.Name) || z.Name == at.Name && cmp.Or(z.Created.Compare(at.Created), strings.Compare(z.ID, at.ID)) < 0) {
			at = z
		}
	}
	for at != nil {
		i := slices.IndexFunc(at.Records, func(r record) bool { return r.Type == types.RRTypeNs && r.Name != at.Name && isWithin(name, r.Name) })
		if i < 0 {
			return at
		}
		delegated := at.Records[i]
		at = nil
		for _, z := range a.state().Zones {
			if z.Name == delegated.Name && slices.ContainsFunc(z.servers(), func(server string) bool {
				return slices.ContainsFunc(delegated.Values, func(v string) bool { return dnsName(v) == dnsName(server) })
			}) {
				at = z
			}
		}
	}
	return nil
}

// isWithin reports whether a name is a zone's own, or below it.
func isWithin(name, zone string) bool { return name == zone || strings.HasSuffix(name, "."+zone) }
