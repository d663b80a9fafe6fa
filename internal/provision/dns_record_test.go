package provision_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/route53"
	"github.com/aws/aws-sdk-go-v2/service/route53/types"

	"github.com/bookctl/bookctl/internal/hint"
	"github.com/bookctl/bookctl/internal/moto"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// TestADomainWithAnotherRecordIsRefused has records of other types at the domain, which a
// request would follow or an A record can't be beside.
func TestADomainWithAnotherRecordIsRefused(t *testing.T) {
	t.Parallel()
	endpoint, ctx := moto.Start(t), t.Context()
	dns := (&wire{}).clients(endpoint).Route53
	zone, err := dns.CreateHostedZone(ctx, &route53.CreateHostedZoneInput{Name: aws.String("example.com"), CallerReference: aws.String("1")})
	if err != nil {
		t.Fatal(err)
	}
	want := spec()
	want.Domain = "api.example.com"
	change := func(action types.ChangeAction, name string, kind types.RRType, value string) {
		t.Helper()
		if _, err := dns.ChangeResourceRecordSets(ctx, &route53.ChangeResourceRecordSetsInput{HostedZoneId: zone.HostedZone.Id, ChangeBatch: &types.ChangeBatch{Changes: []types.Change{{
			Action: action, ResourceRecordSet: &types.ResourceRecordSet{Name: &name, Type: kind, TTL: aws.Int64(60), ResourceRecords: []types.ResourceRecord{{Value: &value}}},
		}}}}); err != nil {
			t.Fatal(err)
		}
	}
	// These are of another name and of no consequence.
	change(types.ChangeActionCreate, "b.api.example.com", types.RRTypeCname, "elsewhere.example.net")
	change(types.ChangeActionCreate, "api.example.com", types.RRTypeTxt, `"v=spf1 -all"`)
	record := func() graph.Finding {
		t.Helper()
		s := wired(t, &wire{}, endpoint, want)
		for _, f := range graph.Observe(ctx, s.Resources(), s.Options()) {
			if f.Name == "dns-record" {
				return f
			}
		}
		t.Fatal("there is no record in the graph")
		return graph.Finding{}
	}
	if f := record(); f.Err != nil || f.Phase != graph.Absent {
		t.Errorf("beside a TXT record: %+v", f)
	}
	change(types.ChangeActionDelete, "api.example.com", types.RRTypeTxt, `"v=spf1 -all"`)
	// The target of this one is the domain itself.
	change(types.ChangeActionCreate, "api.example.com", types.RRTypeHttps, `1 . alpn="h2"`)
	if f := record(); f.Err != nil || f.Phase != graph.Absent {
		t.Errorf("beside an HTTPS record of the domain itself: %+v", f)
	}
	change(types.ChangeActionDelete, "api.example.com", types.RRTypeHttps, `1 . alpn="h2"`)
	for kind, value := range map[types.RRType]string{types.RRTypeCname: "elsewhere.example.net", types.RRTypeAaaa: "2001:db8::1", types.RRTypeHttps: "1 elsewhere.example.net."} {
		change(types.ChangeActionCreate, "api.example.com", kind, value)
		f := record()
		if next := f.Next.String(); f.Phase == graph.Absent || f.Owner != "" || !strings.Contains(next, "take the "+string(kind)+" record of the domain away first") {
			t.Errorf("beside a record of type %s: %+v, next: %s", kind, f.State, next)
		}
		w := &wire{}
		s := wired(t, w, endpoint, want)
		_, err := graph.Up(ctx, s.Resources(), soon(s))
		if err == nil || !strings.Contains(err.Error(), "is not managed by this stack") || hint.Of(err).Empty() {
			t.Errorf("up with a record of type %s: %v", kind, err)
		}
		if writes := w.written(); len(writes) > 0 {
			t.Errorf("up with a record of type %s wrote %v", kind, writes)
		}
		change(types.ChangeActionDelete, "api.example.com", kind, value)
	}
}
