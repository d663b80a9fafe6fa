package provision_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/acm"
	"github.com/aws/aws-sdk-go-v2/service/route53"
	"github.com/google/go-cmp/cmp"

	"github.com/bookctl/bookctl/internal/moto"
	"github.com/bookctl/bookctl/internal/pricing"
	"github.com/bookctl/bookctl/internal/provision"
	"github.com/bookctl/bookctl/internal/provision/graph"
)

// goesWith are the settings that one can't be chosen without.
var goesWith = map[string][]string{"registry-secret": {"image"}, "https-port": {"certificate"}, "spot-base": {"spot"}, "subnets": {"vpc", "db-subnets"}, "db-subnets": {"vpc", "subnets"}, "vpc": {"subnets", "db-subnets"}}

// TestEachSettingDoesWhatItsRowSays goes over the table of settings. Changed, a
// setting shows in a plan where its row says, by the resource that it drives and by
// its record, and changes the costs that the row names, and no others. What has no
// tag is deployed and read back; for the rest see TestARecordedSettingIsReadBack.
func TestEachSettingDoesWhatItsRowSays(t *testing.T) {
	t.Parallel()
	endpoint, ctx := moto.Start(t), t.Context()
	w := &wire{}
	c := w.clients(endpoint)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := c.Route53.CreateHostedZone(ctx, &route53.CreateHostedZoneInput{Name: aws.String("example.com"), CallerReference: aws.String("1")})
	must(err)
	certificate, err := c.ACM.RequestCertificate(ctx, &acm.RequestCertificateInput{DomainName: aws.String("api.example.com")})
	must(err)

	vpc, public, private := givenVPC(t, endpoint)
	examples := map[string]string{ // of what is there, in moto's account
		"alarm-topic": "arn:aws:sns:us-east-1:123456789012:ops",
		"certificate": *certificate.CertificateArn, "vpc": vpc, "subnets": strings.Join(public, ","), "db-subnets": strings.Join(private, ","),
	}
	base := spec()
	base.CPU, base.Memory, base.Count, base.Min, base.Max, base.DBVersion = 512, 2048, 2, 1, 4, "17" // so that all examples go with it
	run := func(spec provision.Spec) provision.Deployed {
		t.Helper()
		s := wired(t, w, endpoint, spec)
		_, err := graph.Up(ctx, s.Resources(), soon(s))
		must(err)
		have, err := provision.ReadDeployed(ctx, c, "book")
		must(err)
		return have
	}
	have := run(base)
	costs, err := pricing.Cost(base.Usage(), "us-east-1")
	must(err)

	table := provision.Table()
	choose := func(s *provision.Settings, flag string) {
		t.Helper()
		at := slices.IndexFunc(table, func(row provision.Setting) bool { return row.Flag == flag })
		example := table[at].Example
		if real := examples[flag]; real != "" {
			example = real
		}
		before := table[at].Value.Format(*s)
		if !table[at].Value.Parse(s, example) || table[at].Value.Format(*s) != example || before == example {
			t.Fatalf("--%s: %q is no example of another value than %q", flag, example, before)
		}
	}
	all := base
	for _, row := range table {
		changed := base
		changed.Deployed = nil
		for _, flag := range append(goesWith[row.Flag], row.Flag) {
			choose(&changed.Settings, flag)
		}
		// moto fails at any task with a network of its own, so it runs no command;
		// TestAReleaseCommandComesBeforeItsRelease reads it back.
		if !strings.HasPrefix(row.Recorded(), "tag ") && row.Flag != "release-command" {
			choose(&all.Settings, row.Flag)
		}
		if err := changed.Check(); err != nil {
			t.Errorf("--%s %s: %v", row.Flag, row.Example, err)
			continue
		}
		var seen []string
		for _, f := range graph.Observe(ctx, wired(t, w, endpoint, changed).Resources(), graph.Options{Owner: "book"}) {
			if f.Err != nil {
				t.Fatalf("--%s: %s: %v", row.Flag, f.Name, f.Err)
			}
			if f.Phase == graph.Absent && !f.Unwanted {
				seen = append(seen, f.Name+" ")
			}
			for _, d := range f.Drift {
				seen = append(seen, f.Name+" "+d.Field)
			}
		}
		for _, d := range row.Drives {
			if !slices.Contains(seen, d.Resource+" "+d.Field) && !slices.Contains(seen, d.Resource+" ") {
				t.Errorf("--%s drives %s %s, and a plan with it shows %q", row.Flag, d.Resource, d.Field, seen)
			}
		}
		if len(row.Drives) == 0 {
			t.Errorf("--%s drives nothing", row.Flag)
		}
		recorded := func(s string) bool { return strings.HasSuffix(s, " "+row.Tag()) }
		if inTag := strings.HasPrefix(row.Recorded(), "tag "); slices.ContainsFunc(seen, recorded) != inTag {
			t.Errorf("--%s is recorded in %s, and a plan with it shows %q", row.Flag, row.Recorded(), seen)
		}

		then, err := pricing.Cost(changed.Usage(), "us-east-1")
		must(err)
		var dearer []string
		for _, line := range costs { // what is not there any more costs nothing
			if !slices.Contains(then, line) {
				dearer = append(dearer, line.Item)
			}
		}
		for _, line := range then {
			if !slices.ContainsFunc(costs, func(had pricing.Line) bool { return had.Item == line.Item }) {
				dearer = append(dearer, line.Item)
			}
		}
		if diff := cmp.Diff(row.Costs, dearer); diff != "" {
			t.Errorf("--%s changes other costs than its row says (-row +cost):\n%s", row.Flag, diff)
		}
	}

	all.Deployed = &have
	deployed := run(all) // moto does not keep all that the others change
	for _, row := range table {
		if got, want := row.Value.Format(deployed.Settings), row.Value.Format(all.Settings); got != want {
			t.Errorf("--%s %s is read back as %q", row.Flag, want, got)
		}
	}
}
