package pricing_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awspricing "github.com/aws/aws-sdk-go-v2/service/pricing"
	"github.com/aws/smithy-go/middleware"

	"github.com/bookctl/bookctl/internal/pricing"
	"github.com/bookctl/bookctl/internal/requestbody"
)

// small is the smallest stack.
func small() pricing.Usage {
	return pricing.Usage{Tasks: 1, CPU: 256, Memory: 512, Arch: "amd64", LoadBalancer: true, BalancerSubnets: 2, Database: true, DBClass: "db.t4g.micro", DBStorage: 20, BackupDays: 7, Secrets: 1}
}

func TestCostOfTheSmallestStack(t *testing.T) {
	t.Parallel()
	s := small()
	lines, err := pricing.Cost(s, "us-east-1")
	if err != nil {
		t.Fatal(err)
	}
	// Worked out by hand from the published prices: 730 hours of a quarter CPU
	// (0.04048) and half a GB (0.004445), the balancer (0.0225) and one unit
	// (0.008), the smallest database (0.016) with 20 GB (0.115), three
	// addresses (0.005), and the small change.
	want := 730*(0.25*0.04048+0.5*0.004445) + 730*(0.0225+0.008) + 730*0.016 + 20*0.115 + 3*730*0.005 + 0.40 + 0.005 + 0.50
	if got := pricing.Total(lines); math.Abs(got-want) > 0.01 {
		t.Errorf("a month costs %.2f, by hand %.2f: %v", got, want, lines)
	}
	for _, l := range lines {
		if l.Item == "" || l.Note == "" || l.Monthly < 0 {
			t.Errorf("line %+v", l)
		}
	}
}

func TestCostFollowsTheSettings(t *testing.T) {
	t.Parallel()
	total := func(change func(*pricing.Usage)) float64 {
		s := small()
		change(&s)
		lines, err := pricing.Cost(s, "eu-central-1")
		if err != nil {
			t.Fatal(err)
		}
		return pricing.Total(lines)
	}
	base := total(func(*pricing.Usage) {})
	for name, c := range map[string]struct {
		change func(*pricing.Usage)
		more   float64
	}{
		"second task": {func(s *pricing.Usage) { s.Tasks = 2 }, 730 * (0.25*0.04656 + 0.5*0.00511 + 0.005)},
		// Two of three on Spot, each at half the price of its task, and no base at all.
		"spot":          {func(s *pricing.Usage) { s.Tasks, s.Spot, s.SpotBase = 3, true, 1 }, 730 * 2 * ((0.25*0.04656+0.5*0.00511)/2 + 0.005)},
		"no base":       {func(s *pricing.Usage) { s.Spot = true }, -730 * (0.25*0.04656 + 0.5*0.00511) / 2},
		"a larger base": {func(s *pricing.Usage) { s.Spot, s.SpotBase = true, 4 }, 0},
		"arm is less":   {func(s *pricing.Usage) { s.Arch = "arm64" }, 730 * (0.25*(0.03725-0.04656) + 0.5*(0.00409-0.00511))},
		"a larger disk": {func(s *pricing.Usage) { s.Storage = 120 }, 730 * 100 * 0.000132},
		"standby":       {func(s *pricing.Usage) { s.DBMultiAZ = true }, 730*0.019 + 20*0.137},
		"twice storage": {func(s *pricing.Usage) { s.DBStorage = 40 }, 20 * 0.137},
	} {
		if got := total(c.change) - base; math.Abs(got-c.more) > 0.01 {
			t.Errorf("%s: %+.2f a month, want %+.2f", name, got, c.more)
		}
	}
}

func TestWhatHasNoPriceIsUnknown(t *testing.T) {
	t.Parallel()
	if _, err := pricing.Cost(small(), "mars-north-1"); !errors.Is(err, pricing.ErrNoPrice) {
		t.Errorf("an unknown region: %v", err)
	}
	s := small()
	s.DBClass = "db.x2iedn.32xlarge"
	if _, err := pricing.Cost(s, "us-east-1"); !errors.Is(err, pricing.ErrNoPrice) {
		t.Errorf("an unknown class: %v", err)
	}
	if _, err := pricing.SnapshotCost("mars-north-1", 20); !errors.Is(err, pricing.ErrNoPrice) {
		t.Errorf("a snapshot in an unknown region: %v", err)
	}
	if got, err := pricing.SnapshotCost("us-east-1", 20); err != nil || math.Abs(got-1.90) > 0.001 {
		t.Errorf("20 GiB cost %.2f, %v", got, err)
	}
}

// priceList answers like the Pricing API of a region, with prices that are made up, in
// their order.
func priceList(t *testing.T, region string, list ...priced) *awspricing.Client {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			ServiceCode string
			Filters     []struct{ Field, Value string }
		}
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		for _, f := range in.Filters {
			if f.Field == "regionCode" && f.Value != region {
				http.Error(w, f.Value, http.StatusBadRequest)
				return
			}
		}
		var out struct{ PriceList []string }
		for _, p := range list {
			if p.service == in.ServiceCode {
				out.PriceList = append(out.PriceList, fmt.Sprintf(`{"product":{"attributes":{"usagetype":%q}},"terms":{"OnDemand":{"A.B":{"priceDimensions":{"A.B.C":{"beginRange":"0","pricePerUnit":{"USD":"%.10f"}}}}}}}`, p.usage, p.price))
			}
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		_ = json.NewEncoder(w).Encode(out) // a client that is gone needs no answer
	}))
	t.Cleanup(server.Close)
	return awspricing.NewFromConfig(aws.Config{
		Region: pricing.Region, BaseEndpoint: &server.URL, Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
		APIOptions: []func(*middleware.Stack) error{requestbody.Readable},
	})
}

// priced is a product of a price list.
type priced struct {
	service, usage string
	price          float64
}

func TestLiveCostTakesTheRightPrices(t *testing.T) {
	t.Parallel()
	s := small()
	s.DBClass, s.Storage = "db.m7g.large", 30
	// Usage types begin with their region, but those of us-east-1.
	for region, prefix := range map[string]string{"eu-central-1": "EUC1-", "eu-west-1": "EU-", "us-east-1": "", "us-gov-west-1": "UGW1-"} {
		list := []priced{
			{"AmazonECS", prefix + "Fargate-vCPU-Hours:perCPU", 1}, {"AmazonECS", prefix + "Fargate-GB-Hours", 2},
			{"AmazonECS", prefix + "Fargate-ARM-vCPU-Hours:perCPU", 50}, {"AmazonECS", prefix + "Fargate-ARM-GB-Hours", 60},
			{"AmazonECS", prefix + "Fargate-Windows-vCPU-Hours:perCPU", 70}, {"AmazonECS", prefix + "Fargate-EphemeralStorage-GB-Hours", 0.5},
			{"AmazonRDS", prefix + "InstanceUsage:db.m7g.large", 3}, {"AmazonRDS", prefix + "RDS:GP3-Storage", 4},
			{"AWSELB", prefix + "LoadBalancerUsage", 5}, {"AWSELB", prefix + "TS-LoadBalancerUsage", 80}, {"AWSELB", prefix + "LCUUsage", 6}, {"AWSELB", prefix + "LCUUsage", 6},
		}
		for range 2 {
			lines, err := pricing.LiveCost(t.Context(), priceList(t, region, list...), s, region)
			if err != nil {
				t.Fatalf("%s: %v", region, err)
			}
			got := map[string]float64{}
			for _, l := range lines {
				got[l.Item] = l.Monthly
			}
			for item, want := range map[string]float64{
				"tasks": 730 * (0.25*1 + 0.5*2), "task storage": 730 * 10 * 0.5, "database": 730 * 3, "database storage": 20 * 4, "load balancer": 730 * 5, "load balancer traffic": 730 * 6,
			} {
				if math.Abs(got[item]-want) > 0.001 {
					t.Errorf("%s in %s: %.2f, want %.2f", item, region, got[item], want)
				}
			}
			slices.Reverse(list)
		}
		twice := append(slices.Clone(list), priced{"AWSELB", prefix + "LoadBalancerUsage", 7})
		if _, err := pricing.LiveCost(t.Context(), priceList(t, region, twice...), s, region); !errors.Is(err, pricing.ErrNoPrice) {
			t.Errorf("two prices of one thing in %s: %v", region, err)
		}
		none := slices.DeleteFunc(list, func(p priced) bool { return strings.HasSuffix(p.usage, "LCUUsage") })
		if _, err := pricing.LiveCost(t.Context(), priceList(t, region, none...), s, region); !errors.Is(err, pricing.ErrNoPrice) {
			t.Errorf("a price that AWS does not name in %s: %v", region, err)
		}
	}
}

// TestExtendedSupportCostsFromTheDayAfter prices a database before, in and late in the
// extended support of its version.
func TestExtendedSupportCostsFromTheDayAfter(t *testing.T) {
	t.Parallel()
	ends := time.Date(2027, 2, 28, 0, 0, 0, 0, time.UTC)
	u := small()
	u.DBClass, u.DBMultiAZ, u.DBSupportEnds = "db.t4g.micro", true, ends // two CPUs, twice
	for _, tc := range []struct {
		now     time.Time
		monthly float64
		note    string // "" for no line
	}{
		{ends.AddDate(-1, 0, -1), 0, ""},
		{ends.AddDate(-1, 0, 1), 0, "292.00 from 2027-03-01, unless the database is upgraded before; 584.00 from 2029-03-01"},
		{ends.Add(23 * time.Hour), 0, "292.00 from 2027-03-01, unless the database is upgraded before; 584.00 from 2029-03-01"},
		{ends.AddDate(0, 0, 1), 292, "since 2027-03-01, until the database is upgraded; 584.00 from 2029-03-01"},
		{ends.AddDate(2, 0, 1), 584, "since 2027-03-01, until the database is upgraded"},
	} {
		u.Now = tc.now
		lines, err := pricing.Cost(u, "us-east-1")
		if err != nil {
			t.Fatal(err)
		}
		at := slices.IndexFunc(lines, func(l pricing.Line) bool { return l.Item == "extended support" })
		switch {
		case at < 0 && tc.note != "":
			t.Errorf("on %s there is no line", tc.now)
		case at >= 0 && (math.Abs(lines[at].Monthly-tc.monthly) > 0.005 || lines[at].Note != tc.note):
			t.Errorf("on %s: %+v; want %.2f, %q", tc.now, lines[at], tc.monthly, tc.note)
		}
	}
}

// TestExtendedSupportIsPricedByRegion prices extended support where it costs more than in the
// US: from the table with that said, and by the price list of the region.
func TestExtendedSupportIsPricedByRegion(t *testing.T) {
	t.Parallel()
	u := small()
	u.DBClass, u.DBMajor = "db.m7g.large", 13 // two CPUs
	u.DBSupportEnds = time.Date(2025, 2, 28, 0, 0, 0, 0, time.UTC)
	line := func(lines []pricing.Line, err error) pricing.Line {
		t.Helper()
		at := slices.IndexFunc(lines, func(l pricing.Line) bool { return l.Item == "extended support" })
		if err != nil || at < 0 {
			t.Fatalf("%+v, %v", lines, err)
		}
		return lines[at]
	}
	list := func(more ...priced) []priced {
		return append(more, priced{"AmazonECS", "EUC1-Fargate-vCPU-Hours:perCPU", 1}, priced{"AmazonECS", "EUC1-Fargate-GB-Hours", 2}, priced{"AmazonRDS", "EUC1-InstanceUsage:db.m7g.large", 3}, priced{"AmazonRDS", "EUC1-RDS:GP3-Storage", 4},
			priced{"AWSELB", "EUC1-LoadBalancerUsage", 5}, priced{"AWSELB", "EUC1-LCUUsage", 6})
	}
	known := list(priced{"AmazonRDS", "EUC1-ExtendedSupport:Yr1-Yr2:PostgreSQL13", 0.125}, priced{"AmazonRDS", "EUC1-ExtendedSupport:Yr3:PostgreSQL13", 0.3}, priced{"AmazonRDS", "EUC1-ExtendedSupport:Yr1-Yr2:PostgreSQL12", 9})
	const elsewhere = "; as in the US, and other regions cost up to twice that"
	for _, tc := range []struct {
		years   int
		list    []priced // nil is the table
		monthly float64
		note    string
	}{
		{0, known, 2 * 730 * 0.125, "since 2025-03-01, until the database is upgraded; 438.00 from 2027-03-01"},
		{3, known, 2 * 730 * 0.3, "since 2025-03-01, until the database is upgraded"},
		{3, list(), 2 * 730 * 0.2, "since 2025-03-01, until the database is upgraded" + elsewhere},
		{0, nil, 2 * 730 * 0.1, "since 2025-03-01, until the database is upgraded; 292.00 from 2027-03-01" + elsewhere},
	} {
		u.Now = u.DBSupportEnds.AddDate(tc.years, 1, 0)
		var got pricing.Line
		if tc.list == nil {
			v := u
			v.DBClass = "db.t4g.micro"
			got = line(pricing.Cost(v, "eu-central-1"))
		} else {
			got = line(pricing.LiveCost(t.Context(), priceList(t, "eu-central-1", tc.list...), u, "eu-central-1"))
		}
		if math.Abs(got.Monthly-tc.monthly) > 0.005 || got.Note != tc.note {
			t.Errorf("after %d years: %+v; want %.2f, %q", tc.years, got, tc.monthly, tc.note)
		}
	}
}
